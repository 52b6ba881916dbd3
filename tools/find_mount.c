/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a mount. */
#include "tools/find_mount.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include "tools/mountinfo.h"
#include "tools/runtime_dir.h"

void found_mount_deinit(struct found_mount *found)
{
    lfs_mount_list_deinit(&found->list);
    found->store = found->store ? lfs_store_close(found->store) : NULL;
}

int mountpoint_resolve(const char *path, char **ret_path, struct report *r)
{
    _cleanup_(freep) char *real = realpath(path, NULL);
    _cleanup_(freep) char *for_name = strdup(path), *for_parent = strdup(path), *parent = NULL;
    const char *name;
    char *joined;

    if (real) {
        *ret_path = TAKE_PTR(real);
        return 0;
    }
    /* Looking through a dead mount fails, so only what is above it is resolved. */
    if (!for_name || !for_parent)
        return report_fail(r, -ENOMEM, "out of memory");
    name = basename(for_name);
    parent = realpath(dirname(for_parent), NULL);
    if (!parent)
        return report_errno(r, neg_errno(), "%s", path);
    if (asprintf(&joined, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name) < 0)
        return -ENOMEM;
    *ret_path = joined;
    return 0;
}

bool mount_is_present(const struct lfs_mount_record *record)
{
    struct mountinfo m;
    bool is;

    if (mountinfo_find(record->mountpoint, &m) < 0)
        return false;
    is = strcmp(m.type, record->upper ? "overlay" : "fuse.layerfs") == 0;
    mountinfo_deinit(&m);
    return is;
}

void mount_remove_traces(struct lfs_store *store, const struct lfs_mount_record *record)
{
    _cleanup_(freep) char *base = NULL, *path = NULL;

    if (record->upper)
        (void)umount2(record->fuse_mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
    if (!strchr(record->id, '/') && runtime_dir_open(&base, NULL) == 0 &&
        asprintf(&path, "%s/%s", base, record->id) >= 0)
        runtime_dir_remove(path);
    lfs_mount_record_remove(store, record->id);
}

bool mount_record_exists(struct lfs_store *store, const char *id)
{
    char name[NAME_MAX + 1];

    (void)snprintf(name, sizeof(name), "%s.json", id);
    return faccessat(lfs_store_dirfd(store, LFS_DIR_MOUNTS), name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Ids grow with time, see mount_serve.c. */
static bool is_newer(const struct lfs_mount_record *a, const struct lfs_mount_record *b)
{
    return a->started != b->started ? a->started > b->started : strcmp(a->id, b->id) > 0;
}

/* The newest record of a mountpoint whose daemon lives, or is dead, or -ENOENT. */
static ssize_t find_newest(const struct lfs_mount_list *list, const char *mountpoint, bool alive)
{
    ssize_t found = -ENOENT;

    for (size_t i = 0; i < list->count; i++) {
        if (list->alive[i] != alive || strcmp(list->records[i].mountpoint, mountpoint))
            continue;
        if (found < 0 || is_newer(&list->records[i], &list->records[found]))
            found = (ssize_t)i;
    }
    return found;
}

/* The record of what is on top of the mountpoint, or -ENOENT. The mount itself is asked only where
 * there is doubt, because a daemon that hangs would not answer. */
static ssize_t find_top(const struct lfs_mount_list *list, const char *mountpoint)
{
    ssize_t alive = find_newest(list, mountpoint, true);
    ssize_t dead = find_newest(list, mountpoint, false);
    struct statfs fs;

    if (alive < 0 || dead < 0)
        return alive >= 0 ? alive : dead;
    return statfs(mountpoint, &fs) < 0 && errno == ENOTCONN ? dead : alive;
}

/* 1 when the store has a record of the mountpoint. */
static int look_in(const char *path, const char *mountpoint, struct found_mount *ret_found)
{
    _cleanup_(found_mount_deinit) struct found_mount found = {0};
    ssize_t at;
    int r = lfs_store_open(path, 0, &found.store, NULL);

    if (r == 0)
        r = lfs_mount_list_load(found.store, &found.list, NULL);
    if (r < 0)
        return 0; /* a store that cannot be read holds no mount that we could serve */
    at = find_top(&found.list, mountpoint);
    if (at < 0)
        return 0;
    found.index = (size_t)at;
    *ret_found = found;
    found = (struct found_mount){0};
    return 1;
}

struct search {
    const char *mountpoint;
    struct found_mount *ret_found;
};

static int look_in_each(void *userdata, const char *store_path)
{
    struct search *search = userdata;

    return look_in(store_path, search->mountpoint, search->ret_found);
}

int mount_find(struct tool *tool, const char *mountpoint, struct found_mount *ret_found)
{
    struct search search = {mountpoint, ret_found};
    int r = look_in(tool->store_path, mountpoint, ret_found);

    if (r == 0 && !tool->store_path)
        r = runtime_dir_each_store(look_in_each, &search);
    if (r > 0)
        return 0;
    return report_fail(&tool->report, -ENOENT, "%s is not a mount of LayerFS", mountpoint);
}
