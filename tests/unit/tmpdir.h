/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for one test, below $TMPDIR or /tmp, that goes with its scope:
 *
 *     _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
 */
#ifndef TESTS_UNIT_TMPDIR_H
#define TESTS_UNIT_TMPDIR_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/util/io.h"

struct tmpdir {
    char path[256];
    int fd;
};

static inline struct tmpdir tmpdir_make(void)
{
    const char *base = getenv("TMPDIR");
    struct tmpdir dir;

    (void)snprintf(
        dir.path, sizeof(dir.path), "%s/layerfs-test-XXXXXX", base && *base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(dir.path), "mkdtemp %s: %s", dir.path, strerror(errno));
    dir.fd = open(dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(dir.fd, 0);
    return dir;
}

static inline int tmpdir_remove_entry(
    const char *path, _unused_ const struct stat *st, _unused_ int type, _unused_ struct FTW *ftw)
{
    (void)remove(path);
    return 0;
}

static inline void tmpdir_remove(struct tmpdir *dir)
{
    dir->fd = fd_close(dir->fd);
    (void)nftw(dir->path, tmpdir_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* "DIR/name" in a static buffer. */
static inline const char *tmpdir_path(const struct tmpdir *dir, const char *name)
{
    static char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", dir->path, name);
    return path;
}

/* Writes a file, making the directories in front of it. */
static inline void tmpdir_write(
    const struct tmpdir *dir, const char *name, const void *data, size_t size)
{
    char parent[512];
    char *slash;

    (void)snprintf(parent, sizeof(parent), "%s/%s", dir->path, name);
    slash = strrchr(parent, '/');
    *slash = '\0';
    cr_assert_eq(io_mkdir_parents(parent, 0755), 0, "%s", parent);
    cr_assert_eq(io_write_file(dir->fd, name, data, size, 0644), 0, "%s", name);
}

static inline void tmpdir_write_str(const struct tmpdir *dir, const char *name, const char *text)
{
    tmpdir_write(dir, name, text, strlen(text));
}

/* The number of entries of a directory below, "." for itself; hidden ones count. */
static inline unsigned tmpdir_count(const struct tmpdir *dir, const char *name)
{
    DIR *d = opendir(tmpdir_path(dir, name));
    unsigned count = 0;

    cr_assert_not_null(d, "%s", name);
    for (struct dirent *e; (e = readdir(d));)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    (void)closedir(d);
    return count;
}

#endif
