/* SPDX-License-Identifier: Apache-2.0 */
/* What all commands share. */
#include "tools/tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "oci/util/log.h"

enum exit_code exit_code_of(int err)
{
    switch (-err) {
    case 0:
        return EXIT_CODE_OK;
    case ENOENT:
        return EXIT_CODE_NOT_FOUND;
    case EBADMSG:
    case EFBIG:
    case E2BIG:
    case EPROTO:
    case ELOOP:
    case ENAMETOOLONG:
    case EOPNOTSUPP:
        return EXIT_CODE_INVALID;
    case ENOSPC:
    case EDQUOT:
    case EACCES:
    case EPERM:
    case EROFS:
        return EXIT_CODE_NO_ROOM;
    default:
        return EXIT_CODE_FAILURE;
    }
}

int tool_usage(struct tool *tool, const char *fmt, ...)
{
    char text[REPORT_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    (void)report_fail(&tool->report, -EINVAL, "%s", text);
    return EXIT_CODE_USAGE;
}

/* An image layout that another tool made becomes a store by its first use. */
static bool is_layout(const char *path)
{
    _cleanup_(freep) char *file = NULL;

    return asprintf(&file, "%s/oci-layout", path) >= 0 && access(file, F_OK) == 0;
}

int tool_open_store(struct tool *tool, unsigned flags, struct lfs_store **ret_store)
{
    _cleanup_(freep) char *path =
        tool->store_path ? strdup(tool->store_path) : lfs_store_default_path();
    int r;

    if (!path)
        return report_fail(&tool->report, -ENOENT, "no home directory is known for the store");
    r = lfs_store_open(path, flags, ret_store, &tool->report);
    if (r == -ENOENT && is_layout(path)) {
        tool->report = REPORT_INIT;
        r = lfs_store_open(path, LFS_STORE_CREATE, ret_store, &tool->report);
    }
    if (r == 0)
        log_debug(LOG_STORE, "store %s", lfs_store_path(*ret_store));
    else if (!report_is_set(&tool->report))
        (void)report_errno(&tool->report, r, "store %s", path);
    return r;
}

int tool_print_failure(const struct tool *tool, const char *command, int r)
{
    struct report line = REPORT_INIT;
    const char *space = tool->subject ? " " : "", *subject = tool->subject ? tool->subject : "";
    const char *text = report_is_set(&tool->report) ? tool->report.text
                       : r < 0                      ? strerror(-r)
                                                    : "wrong usage";

    (void)report_fail(
        &line, r, "%s%s%s%s%s", command ? command : "", space, subject, command ? ": " : "", text);
    (void)fprintf(stderr, "layerfs: %s\n", line.text);
    return r > 0 ? r : (int)exit_code_of(r);
}
