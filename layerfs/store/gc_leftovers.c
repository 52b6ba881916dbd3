/* SPDX-License-Identifier: Apache-2.0 */
/* What commands that died left behind.
 *
 * Whoever works in the store locks what he works on: a file or folder of ours that can be locked
 * belongs to nobody. What is not of ours in tmp/ goes by its age. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "layerfs/store/gc_private.h"
#include "layerfs/store/uppers.h"

/* ------------------------------------------------------------------------------------------------
 * Directories
 */

struct sweep {
    struct lfs_gc_run *g;
    int dirfd;
    int (*fn)(struct sweep *s, const char *name, const struct stat *st);
    enum lfs_gc_kind kind;
};

static int count(struct sweep *s, bool freed, uint64_t bytes)
{
    lfs_gc_count_one(s->g, s->kind, freed, bytes);
    return 0;
}

/* Removes a file, or says that it would. */
static int remove_file(struct sweep *s, const char *name, uint64_t bytes)
{
    if (!s->g->options->dry_run && unlinkat(s->dirfd, name, 0) < 0 && errno != ENOENT)
        return neg_errno();
    return count(s, true, bytes);
}

/* path below the store's root; one that is missing is empty. */
static int sweep_dir(struct lfs_gc_run *g, const char *path, enum lfs_gc_kind kind,
    int (*fn)(struct sweep *s, const char *name, const struct stat *st), struct report *r)
{
    int fd = openat(lfs_store_dirfd(g->store, LFS_DIR_ROOT), path,
        O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct sweep s = {.g = g, .dirfd = fd, .fn = fn, .kind = kind};
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int err = 0;

    if (!dir) {
        err = errno == ENOENT ? 0 : neg_errno();
        (void)fd_close(fd);
        return err < 0 ? report_errno(r, err, "%s", path) : 0;
    }
    for (struct dirent *e = readdir(dir); e && err == 0; e = readdir(dir)) {
        struct stat st;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        err = fn(&s, e->d_name, &st);
    }
    (void)closedir(dir);
    return err < 0 ? report_errno(r, err, "%s", path) : 0;
}

/* An fd with the lock on it, or -EWOULDBLOCK when somebody has it. */
static int lock_if_free(int dirfd, const char *name, int flags)
{
    _cleanup_(fd_closep) int fd =
        openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return neg_errno();
    return TAKE_FD(fd);
}

static bool is_old(const struct sweep *s, const struct stat *st)
{
    return st->st_mtim.tv_sec <= s->g->cutoff;
}

/* ------------------------------------------------------------------------------------------------
 * tmp/, and temporary files elsewhere
 */

/* Files of a folder, which holds no folders. */
static int empty_folder(int fd, bool dry_run, uint64_t *ret_bytes)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);

    if (!dir) {
        (void)fd_close(copy);
        return neg_errno();
    }
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        struct stat st;

        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
            continue;
        if (st.st_nlink == 1) /* one more name of an object frees nothing */
            *ret_bytes += (uint64_t)st.st_size;
        if (!dry_run)
            (void)unlinkat(fd, e->d_name, 0);
    }
    (void)closedir(dir);
    return 0;
}

static int sweep_folder(struct sweep *s, const char *name)
{
    _cleanup_(fd_closep) int fd = lock_if_free(s->dirfd, name, O_DIRECTORY);
    uint64_t bytes = 0;
    int err = fd < 0 ? fd : empty_folder(fd, s->g->options->dry_run, &bytes);

    if (err == -EWOULDBLOCK || err == -ENOENT)
        return 0; /* in use, and no leftover */
    if (err == 0 && !s->g->options->dry_run && unlinkat(s->dirfd, name, AT_REMOVEDIR) < 0)
        return count(s, false, bytes); /* it holds what is not ours */
    return err == 0 ? count(s, true, bytes) : err;
}

static int sweep_tmp_file(struct sweep *s, const char *name, const struct stat *st)
{
    _cleanup_(fd_closep) int fd = lock_if_free(s->dirfd, name, 0);

    if (fd == -EWOULDBLOCK || fd == -ENOENT)
        return 0;
    return fd < 0 ? fd : remove_file(s, name, (uint64_t)st->st_size);
}

static int sweep_tmp(struct sweep *s, const char *name, const struct stat *st)
{
    if (S_ISDIR(st->st_mode) && strncmp(name, "objects-", 8) == 0)
        return sweep_folder(s, name);
    if (S_ISREG(st->st_mode) && strncmp(name, ".tmp-", 5) == 0)
        return sweep_tmp_file(s, name, st);
    if (!is_old(s, st))
        return count(s, false, (uint64_t)st->st_size);
    return S_ISDIR(st->st_mode) ? sweep_folder(s, name) : sweep_tmp_file(s, name, st);
}

static int sweep_stray_tmp(struct sweep *s, const char *name, const struct stat *st)
{
    return S_ISREG(st->st_mode) && strncmp(name, ".tmp-", 5) == 0 ? sweep_tmp_file(s, name, st) : 0;
}

/* Partial downloads wait for their next try: by age, unless one is being written. */
static int sweep_partial(struct sweep *s, const char *name, const struct stat *st)
{
    _cleanup_(fd_closep) int fd = -1;

    if (!S_ISREG(st->st_mode))
        return 0;
    if (!is_old(s, st))
        return count(s, false, (uint64_t)st->st_size);
    fd = lock_if_free(s->dirfd, name, 0);
    if (fd == -EWOULDBLOCK)
        return count(s, false, (uint64_t)st->st_size);
    return fd < 0 ? 0 : remove_file(s, name, (uint64_t)st->st_size);
}

/* ------------------------------------------------------------------------------------------------
 * Notes
 */

static int sweep_lock(struct sweep *s, const char *name, const struct stat *st)
{
    _cleanup_(fd_closep) int fd = -1;

    if (strncmp(name, "gc", 2) == 0 || !S_ISREG(st->st_mode))
        return 0;
    fd = lock_if_free(s->dirfd, name, 0);
    return fd < 0 ? 0 : remove_file(s, name, (uint64_t)st->st_size);
}

static int sweep_lease(struct sweep *s, const char *name, const struct stat *st)
{
    _cleanup_(fd_closep) int fd = lock_if_free(s->dirfd, name, 0);

    return fd < 0 ? 0 : remove_file(s, name, (uint64_t)st->st_size);
}

/* The note of a tree that is gone. */
static int sweep_note(struct sweep *s, const char *name, const struct stat *st)
{
    static const char suffix[] = ".verified";
    size_t size = strlen(name), tail = sizeof(suffix) - 1;
    char tree[NAME_MAX + 1];

    if (size <= tail || strcmp(name + size - tail, suffix) != 0)
        return 0;
    (void)snprintf(tree, sizeof(tree), "%.*s", (int)(size - tail), name);
    if (faccessat(s->dirfd, tree, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    return remove_file(s, name, (uint64_t)st->st_size);
}

/* The time of the last mount of a manifest that goes or is gone. */
static int sweep_used(struct sweep *s, const char *name, const struct stat *st)
{
    struct oci_digest digest = {.alg = OCI_DIGEST_SHA256};
    const struct lfs_item *item = NULL;

    if (lfs_parse_key(name, digest.bytes))
        item = lfs_inventory_find(s->g->inventory, LFS_ITEM_BLOB, &digest);
    if ((item && item->refs > 0) || s->g->inventory->has_damage)
        return 0;
    /* One of an image that was pulled after the listing is new, and of no use before long. */
    return !item && st->st_mtim.tv_sec >= s->g->now ? 0
                                                    : remove_file(s, name, (uint64_t)st->st_size);
}

static int sweep_upper(void *userdata, const char *name, const struct lfs_upper *upper)
{
    struct lfs_gc_run *g = userdata;
    struct sweep s = {
        .g = g, .dirfd = lfs_store_dirfd(g->store, LFS_DIR_UPPERS), .kind = LFS_GC_MOUNTS};

    return lfs_upper_look(upper) == LFS_UPPER_GONE ? remove_file(&s, name, 0) : count(&s, false, 0);
}

static int sweep_mounts(struct lfs_gc_run *g, struct report *r)
{
    _cleanup_(lfs_mount_list_deinit) struct lfs_mount_list list = {0};
    int err = lfs_mount_list_load(g->store, &list, r);

    for (size_t i = 0; err == 0 && i < list.count; i++) {
        bool gone = !list.alive[i] && g->options->sweep_mount &&
                    g->options->sweep_mount(g->store, &list.records[i], g->options->dry_run);

        lfs_gc_count_one(g, LFS_GC_MOUNTS, gone, 0);
    }
    return err;
}

int lfs_gc_sweep_leftovers(struct lfs_gc_run *g, struct report *r)
{
    static const struct {
        const char *path;
        enum lfs_gc_kind kind;
        int (*fn)(struct sweep *s, const char *name, const struct stat *st);
    } dirs[] = {
        {"tmp", LFS_GC_LEFTOVERS, sweep_tmp},
        {".", LFS_GC_LEFTOVERS, sweep_stray_tmp},
        {"blobs", LFS_GC_LEFTOVERS, sweep_stray_tmp},
        {"uppers", LFS_GC_LEFTOVERS, sweep_stray_tmp},
        {"trees", LFS_GC_LEFTOVERS, sweep_note},
        {"locks", LFS_GC_LEFTOVERS, sweep_lock},
        {"leases", LFS_GC_LEFTOVERS, sweep_lease},
        {"used", LFS_GC_LEFTOVERS, sweep_used},
        {"partial", LFS_GC_PARTIAL, sweep_partial},
    };
    int err = 0;

    for (size_t i = 0; err == 0 && i < ARRAY_SIZE(dirs); i++)
        err = sweep_dir(g, dirs[i].path, dirs[i].kind, dirs[i].fn, r);
    if (err == 0)
        err = sweep_mounts(g, r);
    return err == 0 ? lfs_upper_each(g->store, sweep_upper, g, r) : err;
}
