/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock, by its system calls; headers and C libraries are often older than the kernel.
 *
 * What a version of the interface knows grows with it: 1 files, 2 moving them, 3 truncating, 4 TCP,
 * 5 ioctls of devices, 6 signals and abstract sockets. Asking for more than the kernel knows is an
 * error, so the version comes first. Files and directories that are open stay usable. */
#include <fcntl.h>
#include <sys/syscall.h>

#include "layerfs/fuse/sandbox_parts.h"

#ifndef SYS_landlock_create_ruleset /* the same numbers on all architectures */
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

enum {
    CREATE_VERSION = 1, /* flag: only tell the version */
    RULE_PATH_BENEATH = 1,
    ACCESS_EXECUTE = 1 << 0,
    ACCESS_READ_FILE = 1 << 2,
    FS_VERSION_1 = (1 << 13) - 1, /* all that it knew */
    FS_REFER = 1 << 13,
    FS_TRUNCATE = 1 << 14,
    FS_IOCTL_DEV = 1 << 15,
    NET_TCP = 3,    /* bind, connect */
    SCOPED_ALL = 3, /* abstract sockets, signals */
};

struct ruleset {
    uint64_t fs;
    uint64_t net;    /* from version 4 on */
    uint64_t scoped; /* from version 6 on */
};

struct path_rule {
    uint64_t access;
    int32_t fd;
} __attribute__((packed));

static int create(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
    struct ruleset rules = {.fs = FS_VERSION_1};
    size_t size = version >= 6   ? sizeof(rules)
                  : version >= 4 ? offsetof(struct ruleset, scoped)
                                 : offsetof(struct ruleset, net);
    long fd;

    if (version < 0)
        return neg_errno();
    rules.fs |= (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) |
                (version >= 5 ? FS_IOCTL_DEV : 0);
    rules.net = version >= 4 ? NET_TCP : 0;
    rules.scoped = version >= 6 ? SCOPED_ALL : 0;
    fd = syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    return fd < 0 ? neg_errno() : (int)fd;
}

static int allow(int ruleset_fd, int dir_fd, uint64_t access)
{
    struct path_rule rule = {.access = access, .fd = dir_fd};

    if (syscall(SYS_landlock_add_rule, ruleset_fd, RULE_PATH_BENEATH, &rule, 0) < 0)
        return neg_errno();
    return 0;
}

int lfs_landlock_apply(int objects_fd)
{
    _cleanup_(fd_closep) int ruleset_fd = create(), processors_fd = -1;
    int r;

    if (ruleset_fd < 0)
        return ruleset_fd;
    /* The kernel opens a backing file as this process would, and for execution when it is executed. */
    r = allow(ruleset_fd, objects_fd, ACCESS_READ_FILE | ACCESS_EXECUTE);
    processors_fd = open("/sys/devices/system/cpu", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r == 0 && processors_fd >= 0)
        r = allow(ruleset_fd, processors_fd, ACCESS_READ_FILE);
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0)
        r = neg_errno();
    return r;
}
