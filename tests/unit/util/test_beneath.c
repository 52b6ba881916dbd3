/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/util/beneath.h"

TestSuite(beneath);

typedef int (*open_fn)(int dirfd, const char *path, int flags);

static const open_fn opens[] = {beneath_open, beneath_open_walking};

/* A directory with d/sub/file, links of all kinds, and no name: it is gone with its descriptor. */
static int make_tree(char *dir)
{
    int fd;

    cr_assert(mkdtemp(dir));
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert(fd >= 0);
    cr_assert_eq(mkdirat(fd, "d", 0700), 0);
    cr_assert_eq(mkdirat(fd, "d/sub", 0700), 0);
    (void)close(openat(fd, "d/sub/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    cr_assert_eq(symlinkat("sub", fd, "d/link"), 0);
    cr_assert_eq(symlinkat("/", fd, "root"), 0);
    cr_assert_eq(symlinkat("..", fd, "up"), 0);
    return fd;
}

static void remove_tree(int fd, const char *dir)
{
    static const char *const names[] = {"d/sub/file", "d/link", "root", "up"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        cr_assert_eq(unlinkat(fd, names[i], 0), 0);
    cr_assert_eq(unlinkat(fd, "d/sub", AT_REMOVEDIR), 0);
    cr_assert_eq(unlinkat(fd, "d", AT_REMOVEDIR), 0);
    cr_assert_eq(rmdir(dir), 0);
    (void)close(fd);
}

static void check(int fd, const char *path, int flags, int expect)
{
    for (size_t i = 0; i < ARRAY_SIZE(opens); i++) {
        int got = opens[i](fd, path, flags);

        if (expect == 0)
            cr_assert(got >= 0, "%zu: %s: %s", i, path, strerror(-got));
        else
            cr_assert_eq(got, expect, "%zu: %s: %d", i, path, got);
        if (got >= 0)
            cr_assert_eq(fcntl(got, F_GETFD), FD_CLOEXEC);
        (void)fd_close(got);
    }
}

Test(beneath, opens_what_is_below_and_nothing_else)
{
    char dir[] = "/tmp/layerfs-test-XXXXXX";
    int fd = make_tree(dir);

    check(fd, "", O_RDONLY | O_DIRECTORY, 0);
    check(fd, "d/sub/file", O_RDONLY, 0);
    check(fd, "d//sub/", O_RDONLY | O_DIRECTORY, 0);
    check(fd, "d/./sub", O_PATH, 0);
    check(fd, "d/link", O_PATH | O_NOFOLLOW, 0);
    check(fd, "d/link", O_RDONLY, -ELOOP);
    check(fd, "root", O_RDONLY, -ELOOP);
    check(fd, "d/none", O_RDONLY, -ENOENT);
    check(fd, "d/sub/file/x", O_RDONLY, -ENOTDIR);
    check(fd, "/d", O_RDONLY, -EINVAL);
    check(fd, "..", O_RDONLY, -EINVAL);
    check(fd, "d/../d", O_RDONLY, -EINVAL);
    remove_tree(fd, dir);
}

/* What a link in the middle is told as differs, that it is not followed does not. */
Test(beneath, links_in_the_middle)
{
    static const char *const paths[] = {"d/link/file", "root/etc", "up/tmp", "root/"};
    char dir[] = "/tmp/layerfs-test-XXXXXX";
    int fd = make_tree(dir);

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        for (size_t k = 0; k < ARRAY_SIZE(opens); k++) {
            int got = opens[k](fd, paths[i], O_RDONLY);

            cr_assert(got == -ELOOP || got == -ENOTDIR, "%s: %d", paths[i], got);
        }
    remove_tree(fd, dir);
}
