/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "tools/mountinfo.h"
#include "tools/output.h"
#include "tools/overlay.h"
#include "tools/progress.h"
#include "tools/tool.h"

Test(output, sizes)
{
    char text[SIZE_TEXT_MAX];

    cr_expect_str_eq(format_size(0, text), "0 B");
    cr_expect_str_eq(format_size(1023, text), "1023 B");
    cr_expect_str_eq(format_size(1536, text), "1.5 KiB");
    cr_expect_str_eq(format_size(5ull << 30, text), "5.0 GiB");
    cr_expect_str_eq(format_size(UINT64_MAX, text), "16.0 EiB");
}

Test(output, control_bytes_are_shown)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    output_text(f, "a\n\x1b[2Jö\x7f");
    (void)fclose(f);
    cr_expect_str_eq(text, "a\\x0a\\x1b[2Jö\\x7f");
    free(text);
}

Test(exit_codes, follow_from_errno)
{
    static const struct {
        int err;
        enum exit_code code;
    } cases[] = {
        {0, EXIT_CODE_OK},
        {-EIO, EXIT_CODE_FAILURE},
        {-EBUSY, EXIT_CODE_FAILURE},
        {-ENOENT, EXIT_CODE_NOT_FOUND},
        {-EBADMSG, EXIT_CODE_INVALID},
        {-EFBIG, EXIT_CODE_INVALID},
        {-EPROTO, EXIT_CODE_INVALID},
        {-ELOOP, EXIT_CODE_INVALID},
        {-ENAMETOOLONG, EXIT_CODE_INVALID},
        {-EOPNOTSUPP, EXIT_CODE_INVALID},
        {-ENOSPC, EXIT_CODE_NO_ROOM},
        {-EDQUOT, EXIT_CODE_NO_ROOM},
        {-EACCES, EXIT_CODE_NO_ROOM},
        {-EPERM, EXIT_CODE_NO_ROOM},
        {-EROFS, EXIT_CODE_NO_ROOM},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        cr_expect_eq(exit_code_of(cases[i].err), cases[i].code, "%d", cases[i].err);
}

Test(progress, bars)
{
    char line[PROGRESS_LINE_MAX];

    cr_expect_str_eq(progress_format_bar("layer abc", 5 << 20, 10 << 20, 1000, 80, line),
        "layer abc [==============>              ] 5.0 MiB / 10.0 MiB 5.0 MiB/s ETA 0:01");
    cr_expect_str_eq(progress_format_bar("layer abc", 10 << 20, 10 << 20, 0, 60, line),
        "layer abc [===========================] 10.0 MiB / 10.0 MiB");
    cr_expect_str_eq(progress_format_bar("layer abc", 1024, UINT64_MAX, 1000, 80, line),
        "layer abc 1.0 KiB 1.0 KiB/s");
    cr_expect_eq(strlen(progress_format_bar("layer abc", 1, 1000, 1, 20, line)), 20);
    /* More than was announced. */
    cr_expect_not_null(progress_format_bar("layer abc", 2000, 1000, 1000, 80, line));
}

Test(overlay, separators_in_paths_are_escaped)
{
    char *text = overlay_format_options("/run/a:b", "/u,v", "/w\\x");

    cr_expect_str_eq(text, "lowerdir=/run/a\\:b,upperdir=/u\\,v,workdir=/w\\\\x");
    free(text);
}

Test(overlay, paths_below)
{
    cr_expect(path_is_below("/a/b", "/a"));
    cr_expect(path_is_below("/a", "/a"));
    cr_expect(path_is_below("/a", "/"));
    cr_expect_not(path_is_below("/ab", "/a"));
    cr_expect_not(path_is_below("/a", "/a/b"));
}

Test(mountinfo, lines)
{
    struct mountinfo m;

    cr_assert_eq(
        mountinfo_parse("36 35 98:0 /r /mnt\\040a\\134b rw,noatime shared:1 - ext3 /dev/ro\\040ot "
                        "rw,errors=continue\n",
            &m),
        0);
    cr_expect_eq(m.id, 36);
    cr_expect_str_eq(m.mountpoint, "/mnt a\\b");
    cr_expect_str_eq(m.type, "ext3");
    cr_expect_str_eq(m.source, "/dev/ro ot");
    cr_expect_str_eq(m.options, "rw,errors=continue");
    mountinfo_deinit(&m);
    cr_expect_eq(mountinfo_parse("36 35 98:0 /r", &m), -EBADMSG);
    cr_expect_eq(mountinfo_parse("36 - ext3 a b", &m), -EBADMSG);
    cr_expect_eq(mountinfo_parse("36 35 98:0 / / rw - ext3", &m), -EBADMSG);
}

Test(mountinfo, finds_what_is_mounted)
{
    struct mountinfo m, again;

    cr_assert_eq(mountinfo_find("/proc", &m), 0);
    cr_expect_str_eq(m.type, "proc");
    cr_assert_eq(mountinfo_find_id(m.id, &again), 0);
    cr_expect_str_eq(again.mountpoint, "/proc");
    mountinfo_deinit(&m);
    mountinfo_deinit(&again);
    cr_expect_eq(mountinfo_find("/no/such/mount", &m), -ENOENT);
}
