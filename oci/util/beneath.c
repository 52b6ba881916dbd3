/* SPDX-License-Identifier: Apache-2.0 */
/* Opening names below a directory. */
#include "oci/util/beneath.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

static bool has_dotdot(const char *path)
{
    for (const char *p = path; *p; p += strspn(p, "/")) {
        size_t n = strcspn(p, "/");

        if (n == 2 && p[0] == '.' && p[1] == '.')
            return true;
        p += n;
    }
    return false;
}

/* The directory that holds path's last component, and that component. */
static int open_parent(int dirfd, const char *path, const char **ret_name)
{
    _cleanup_(fd_closep) int at = openat(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (at < 0)
        return neg_errno();
    for (;;) {
        char name[NAME_MAX + 1];
        const char *next = strchr(path, '/');
        int fd;

        if (!next)
            break;
        if ((size_t)(next - path) >= sizeof(name))
            return -ENAMETOOLONG;
        memcpy(name, path, (size_t)(next - path));
        name[next - path] = '\0';
        path = next + strspn(next, "/");
        fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return neg_errno();
        (void)fd_close(at);
        at = fd;
    }
    *ret_name = *path ? path : ".";
    return TAKE_FD(at);
}

int beneath_open_walking(int dirfd, const char *path, int flags)
{
    _cleanup_(fd_closep) int parent = -1;
    const char *name;
    int fd;

    if (path[0] == '/' || has_dotdot(path))
        return -EINVAL;
    parent = open_parent(dirfd, path, &name);
    if (parent < 0)
        return parent;
    fd = openat(parent, name, flags | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? neg_errno() : fd;
}

int beneath_open(int dirfd, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd;

    if (path[0] == '/' || has_dotdot(path))
        return -EINVAL;
    fd = syscall(SYS_openat2, dirfd, *path ? path : ".", &how, sizeof(how));
    if (fd >= 0)
        return (int)fd;
    /* EPERM: seccomp filters from before openat2() say so. */
    return errno == ENOSYS || errno == EPERM ? beneath_open_walking(dirfd, path, flags)
                                             : neg_errno();
}
