/* SPDX-License-Identifier: Apache-2.0 */
/* What a store has beside images: its own files, names, permissions. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "layerfs/store/mounts.h"
#include "layerfs/store/seal.h"
#include "layerfs/store/uppers.h"
#include "layerfs/store/validate_private.h"
#include "oci/util/io.h"

enum { SMALL_MAX = 64 << 10 /* bytes */ };

static int root_of(const struct lfs_validating *g)
{
    return lfs_store_dirfd(g->store, LFS_DIR_ROOT);
}

/* ------------------------------------------------------------------------------------------------
 * Own files
 */

static void check_version_file(struct lfs_validating *g)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    char want[40];
    int size = snprintf(want, sizeof(want), "{\"version\":%d}\n", LFS_STORE_VERSION);

    if (io_read_file(root_of(g), "layerfs.json", SMALL_MAX, &b) < 0 || b.size != (size_t)size ||
        memcmp(b.data, want, b.size) != 0)
        lfs_validate_add(
            g, LFS_FINDING_STORE, true, "layerfs.json", 0, NULL, "is not what LayerFS writes");
}

/* index.json has no checksum of its own; index.sum says what we wrote last. */
static void check_index_sum(struct lfs_validating *g)
{
    _cleanup_(buf_deinit) struct buf index = {0}, sum = {0};
    char text[OCI_DIGEST_STR_MAX];
    struct oci_digest digest;

    if (io_read_file(root_of(g), "index.sum", SMALL_MAX, &sum) < 0 ||
        io_read_file(root_of(g), "index.json", OCI_DOCUMENT_MAX, &index) < 0 ||
        oci_digest_of(OCI_DIGEST_SHA256, index.data, index.size, &digest) < 0)
        return;
    (void)oci_digest_format(&digest, text);
    if (sum.size != strlen(text) || memcmp(sum.data, text, sum.size) != 0)
        lfs_validate_add(g, LFS_FINDING_STORE, false, "index.json", 0, NULL,
            "was changed since LayerFS wrote it: by another tool, or by damage");
}

/* ------------------------------------------------------------------------------------------------
 * Permissions
 */

/* Who can change a file can change what containers run. */
static void check_mode(struct lfs_validating *g, const char *name, uid_t owner,
    enum lfs_item_kind kind, struct lfs_item *item)
{
    struct stat st;

    if (fstatat(root_of(g), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (st.st_mode & 022)
        lfs_validate_add(g, LFS_FINDING_PERMISSIONS, true, name, kind, item,
            "mode %04o lets others write", (unsigned)(st.st_mode & 07777));
    if (st.st_uid != owner && st.st_uid != 0)
        lfs_validate_add(g, LFS_FINDING_PERMISSIONS, true, name, kind, item,
            "belongs to user %u and not to %u", (unsigned)st.st_uid, (unsigned)owner);
}

static void check_modes(struct lfs_validating *g)
{
    static const char *const names[] = {".", "blobs", "blobs/sha256", "trees", "packs", "objects",
        "mounts", "locks", "tmp", "leases", "uppers", "used", "partial", "index.json", "oci-layout",
        "layerfs.json"};
    struct stat st;

    if (fstat(root_of(g), &st) < 0)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        check_mode(g, names[i], st.st_uid, 0, NULL);
    for (int kind = 0; kind < LFS_ITEM_KINDS; kind++) {
        for (int i = 0; i < 256; i++) {
            struct lfs_bucket *bucket = &g->inventory->buckets[kind][i];

            for (size_t j = 0; j < bucket->count; j++) {
                char name[LFS_ITEM_NAME_MAX];

                lfs_item_name((enum lfs_item_kind)kind, &bucket->items[j], name);
                check_mode(g, name, st.st_uid, (enum lfs_item_kind)kind, &bucket->items[j]);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------------------
 * Names
 */

static bool is_hex(const char *s, size_t size)
{
    return strspn(s, "0123456789abcdef") >= size;
}

static bool is_tmp(const char *s)
{
    return strncmp(s, ".tmp-", 5) == 0;
}

static bool ok_root(const char *s)
{
    static const char *const names[] = {"oci-layout", "index.json", "index.sum", "blobs",
        "layerfs.json", "trees", "packs", "objects", "mounts", "locks", "tmp", "leases", "uppers",
        "used", "partial"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(s, names[i]) == 0)
            return true;
    return is_tmp(s);
}

static bool ok_blobs(const char *s)
{
    return strcmp(s, "sha256") == 0 || strcmp(s, "sha512") == 0 || is_tmp(s);
}

static bool ok_hex64(const char *s)
{
    return strlen(s) == 64 && is_hex(s, 64);
}

static bool ok_hex128(const char *s)
{
    return strlen(s) == 128 && is_hex(s, 128);
}

static bool ok_tree(const char *s)
{
    const char *tail = is_hex(s, 64) && strlen(s) >= 64 ? s + 64 : "?";

    return !tail[0] || strcmp(tail, ".layer") == 0 || strcmp(tail, ".verified") == 0 ||
           strcmp(tail, ".layer.verified") == 0;
}

static bool ok_object_dir(const char *s)
{
    return strlen(s) == 2 && is_hex(s, 2);
}

static bool ok_object(const char *s)
{
    return strlen(s) == 62 && is_hex(s, 62);
}

/* path below the root; missing ones are empty. */
static void check_names(struct lfs_validating *g, const char *path, bool (*ok)(const char *name))
{
    int fd = openat(root_of(g), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        char name[PATH_MAX];

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || ok(e->d_name))
            continue;
        (void)snprintf(name, sizeof(name), "%s%s%s", strcmp(path, ".") == 0 ? "" : path,
            strcmp(path, ".") == 0 ? "" : "/", e->d_name);
        lfs_validate_add(
            g, LFS_FINDING_STRAY, false, name, 0, NULL, "nothing of the store has such a name");
    }
    if (dir)
        (void)closedir(dir);
    else
        (void)fd_close(fd);
}

static void check_all_names(struct lfs_validating *g)
{
    check_names(g, ".", ok_root);
    check_names(g, "blobs", ok_blobs);
    check_names(g, "blobs/sha256", ok_hex64);
    check_names(g, "blobs/sha512", ok_hex128);
    check_names(g, "trees", ok_tree);
    check_names(g, "packs", ok_hex64);
    check_names(g, "objects", ok_object_dir);
    for (unsigned i = 0; i < 256; i++) {
        char path[16];

        (void)snprintf(path, sizeof(path), "objects/%02x", i);
        check_names(g, path, ok_object);
    }
}

/* ------------------------------------------------------------------------------------------------
 * Notes and records
 */

static void check_note(struct lfs_validating *g, enum lfs_item_kind kind, struct lfs_item *item)
{
    char name[LFS_ITEM_NAME_MAX + 16];
    int state;

    lfs_item_name(kind, item, name);
    state = lfs_store_check_note(g->store, name + strlen("trees/"));
    (void)strcat(name, ".verified");
    if (state > 0)
        lfs_validate_add(g, LFS_FINDING_STORE, false, name, 0, NULL,
            "is of another file: the tree is verified again at its next use");
}

static void check_notes(struct lfs_validating *g)
{
    for (int kind = LFS_ITEM_IMAGE_TREE; kind <= LFS_ITEM_LAYER_TREE; kind++)
        for (int i = 0; i < 256; i++)
            for (size_t j = 0; j < g->inventory->buckets[kind][i].count; j++)
                check_note(g, (enum lfs_item_kind)kind, &g->inventory->buckets[kind][i].items[j]);
}

/* Files with a checksum of their own. A record is rewritten in place: what looks broken is read
 * once more. */
static void check_sealed(struct lfs_validating *g, const char *path)
{
    int fd = openat(root_of(g), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        bool sound = e->d_name[0] == '.';
        char name[PATH_MAX];

        for (int i = 0; i < 3 && !sound; i++) {
            _cleanup_(buf_deinit) struct buf b = {0};
            int err = io_read_file(fd, e->d_name, SMALL_MAX, &b);

            sound = err == -ENOENT || (err == 0 && lfs_seal_is_sound(&b));
        }
        (void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        if (!sound)
            lfs_validate_add(g, LFS_FINDING_STORE, true, name, 0, NULL,
                "is damaged: nobody knows which image it keeps");
        g->v->things++;
    }
    if (dir)
        (void)closedir(dir);
    else
        (void)fd_close(fd);
}

int lfs_validate_store_files(struct lfs_validating *g)
{
    check_version_file(g);
    check_index_sum(g);
    check_modes(g);
    check_all_names(g);
    check_notes(g);
    check_sealed(g, "mounts");
    check_sealed(g, "uppers");
    return atomic_load(&g->error);
}
