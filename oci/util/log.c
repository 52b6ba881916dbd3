/* SPDX-License-Identifier: Apache-2.0 */
/* Debug lines on stderr. */
#include "oci/util/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const subsystem_names[LOG_SUBSYSTEMS] = {
    [LOG_OCI] = "oci",
    [LOG_LAYER] = "layer",
    [LOG_TREE] = "tree",
    [LOG_STORE] = "store",
    [LOG_FUSE] = "fuse",
    [LOG_READ] = "read",
    [LOG_MOUNT] = "mount",
    [LOG_UNION] = "union",
    [LOG_REGISTRY] = "registry",
};

unsigned log_enabled_mask;

static unsigned mask_of(const char *name, size_t len)
{
    if (len == 3 && memcmp(name, "all", 3) == 0)
        return ~0u;
    for (unsigned i = 0; i < LOG_SUBSYSTEMS; i++)
        if (strlen(subsystem_names[i]) == len && memcmp(subsystem_names[i], name, len) == 0)
            return 1u << i;
    return 0;
}

int log_setup(const char *names)
{
    int r = 0;

    log_enabled_mask = 0;
    while (names && *names) {
        size_t len = strcspn(names, ",");
        unsigned mask = mask_of(names, len);

        if (!mask && len)
            r = -EINVAL;
        log_enabled_mask |= mask;
        names += len + (names[len] == ',');
    }
    return r;
}

const char *log_subsystem_names(void)
{
    return "oci,layer,tree,store,fuse,read,mount,union,registry";
}

void log_write(enum log_subsystem subsystem, const char *fmt, ...)
{
    char line[1024];
    struct timespec now;
    va_list args;
    int at;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    at = snprintf(line, sizeof(line), "layerfs[%ld.%06ld] %s: ", (long)now.tv_sec,
        now.tv_nsec / 1000, subsystem_names[subsystem]);
    va_start(args, fmt);
    at += vsnprintf(line + at, sizeof(line) - (size_t)at, fmt, args);
    va_end(args);
    at = MIN(at, (int)sizeof(line) - 2);
    line[at++] = '\n';
    (void)!write(STDERR_FILENO, line, (size_t)at); /* one write a line: threads do not mix theirs */
}
