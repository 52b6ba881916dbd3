/* SPDX-License-Identifier: Apache-2.0 */
/* The store's directories, version, trees, objects, packs and locks. */
#include "layerfs/store/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "oci/util/io.h"
#include "oci/util/log.h"

struct lfs_store {
    char *path; /* absolute */
    unsigned flags;
    int dirs[LFS_DIRS];
    struct oci_layout *layout;
};

static const char *const dir_names[LFS_DIRS] = {
    [LFS_DIR_ROOT] = ".",
    [LFS_DIR_TREES] = "trees",
    [LFS_DIR_PACKS] = "packs",
    [LFS_DIR_OBJECTS] = "objects",
    [LFS_DIR_MOUNTS] = "mounts",
    [LFS_DIR_LOCKS] = "locks",
    [LFS_DIR_PARTIAL] = "partial",
    [LFS_DIR_TMP] = "tmp",
    [LFS_DIR_LEASES] = "leases",
    [LFS_DIR_UPPERS] = "uppers",
    [LFS_DIR_USED] = "used",
};

static const char version_file[] = "layerfs.json";

/* ------------------------------------------------------------------------------------------------
 * Where it is
 */

static char *join(const char *directory, const char *tail)
{
    char *path;

    return asprintf(&path, "%s/%s", directory, tail) < 0 ? NULL : path;
}

char *lfs_store_default_path(void)
{
    const char *path = getenv("LAYERFS_STORE");

    if (path && path[0])
        return strdup(path);
    if (geteuid() == 0)
        return strdup("/var/lib/layerfs");
    path = getenv("XDG_DATA_HOME");
    if (path && path[0] == '/')
        return join(path, "layerfs");
    path = getenv("HOME");
    return path && path[0] == '/' ? join(path, ".local/share/layerfs") : NULL;
}

/* Makes the parents for anybody and the store itself for its owner: contents of an image are 0444
 * below it whatever their mode in the image. An owner who shares the store opens the root's mode.
 */
static int make_root(const char *path)
{
    _cleanup_(freep) char *parent = NULL;
    char *slash;
    int err = io_mkdir(AT_FDCWD, path, 0700);

    if (err != -ENOENT && err != -ENOTDIR)
        return err;
    parent = strdup(path);
    if (!parent)
        return -ENOMEM;
    slash = strrchr(parent, '/');
    if (!slash || slash == parent)
        return err;
    *slash = '\0';
    err = io_mkdir_parents(parent, 0755);
    return err < 0 ? err : io_mkdir(AT_FDCWD, path, 0700);
}

/* path without slashes at its end; free() it. */
static char *trim_slashes(const char *path)
{
    size_t size = strlen(path);

    while (size > 1 && path[size - 1] == '/')
        size--;
    return strndup(path, size);
}

/* ------------------------------------------------------------------------------------------------
 * Version
 */

/* 1 and the version, or 0 where there is no version file. */
static int read_version(int dirfd, json_int_t *ret_version, struct report *r)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    json_t *json, *version;
    int err = io_read_file(dirfd, version_file, 4096, &b);

    if (err == -ENOENT)
        return 0;
    if (err < 0)
        return report_errno(r, err, "%s", version_file);
    err = oci_json_load(b.data, b.size, version_file, &json, r);
    if (err < 0)
        return err;
    version = json_object_get(json, "version");
    *ret_version = json_integer_value(version);
    err = json_is_integer(version) && *ret_version > 0 ? 1 : -EBADMSG;
    json_decref(json);
    return err < 0 ? report_fail(r, err, "%s holds no version", version_file) : err;
}

static int write_version(int dirfd)
{
    char text[40];
    int size = snprintf(text, sizeof(text), "{\"version\":%d}\n", LFS_STORE_VERSION);

    return io_write_file(dirfd, version_file, text, (size_t)size, 0644);
}

/* ------------------------------------------------------------------------------------------------
 * Creating
 */

static bool is_ours(const char *name)
{
    static const char *const others[] = {".", "..", "oci-layout", "index.json", "blobs"};

    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (strcmp(name, others[i]) == 0)
            return true;
    for (size_t i = 0; i < LFS_DIRS; i++)
        if (strcmp(name, dir_names[i]) == 0)
            return true;
    return strncmp(name, ".tmp-", 5) == 0; /* an unfinished oci-layout or index.json */
}

/* A typing error in --store must not fill somebody's home: only a directory that is empty, an OCI
 * layout, or a store whose making was interrupted becomes a store. */
static int check_may_become_store(int dirfd, struct report *r)
{
    int fd, err = 0;
    DIR *dir;

    if (faccessat(dirfd, "oci-layout", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        err = neg_errno();
        (void)fd_close(fd);
        return err;
    }
    for (struct dirent *e = readdir(dir); e && err == 0; e = readdir(dir))
        if (!is_ours(e->d_name))
            err = report_fail(r, -ENOTEMPTY, "holds other files (%s) and no store", e->d_name);
    (void)closedir(dir);
    return err;
}

/* The version file comes last: a store without it is made again from wherever it stopped. */
static int create_in(int dirfd, struct report *r)
{
    int err = check_may_become_store(dirfd, r);

    if (err == 0 && faccessat(dirfd, "oci-layout", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        err = oci_layout_init_at(dirfd, r);
    for (int i = LFS_DIR_ROOT + 1; i < LFS_DIRS && err == 0; i++) {
        err = io_mkdir(dirfd, dir_names[i], 0755);
        if (err < 0)
            return report_errno(r, err, "%s", dir_names[i]);
    }
    if (err == 0) {
        err = write_version(dirfd);
        if (err < 0)
            (void)report_errno(r, err, "%s", version_file);
    }
    return err;
}

/* ------------------------------------------------------------------------------------------------
 * Opening
 */

static int open_root(struct lfs_store *store, const char *path, struct report *r)
{
    bool create = (store->flags & LFS_STORE_CREATE) && !(store->flags & LFS_STORE_READ_ONLY);
    _cleanup_(freep) char *trimmed = trim_slashes(path);
    int err = 0;

    if (!trimmed)
        return -ENOMEM;
    store->dirs[LFS_DIR_ROOT] = open(trimmed, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dirs[LFS_DIR_ROOT] < 0 && errno == ENOENT && create) {
        err = make_root(trimmed);
        if (err == 0)
            store->dirs[LFS_DIR_ROOT] = open(trimmed, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (err < 0 || store->dirs[LFS_DIR_ROOT] < 0)
        return report_errno(r, err < 0 ? err : neg_errno(), "store %s", path);
    store->path = realpath(trimmed, NULL);
    return store->path ? 0 : report_errno(r, neg_errno(), "store %s", path);
}

static int check_version(struct lfs_store *store, struct report *r)
{
    int root = store->dirs[LFS_DIR_ROOT];
    json_int_t version = 0;
    int err = read_version(root, &version, r);

    if (err == 0 && !(store->flags & LFS_STORE_READ_ONLY) && (store->flags & LFS_STORE_CREATE)) {
        version = LFS_STORE_VERSION;
        err = create_in(root, r);
    } else if (err == 0) {
        return report_fail(r, -ENOENT, "no store at %s (%s is missing)", store->path, version_file);
    }
    if (err < 0)
        return report_context(r, err, "store %s", store->path);
    if (version > LFS_STORE_VERSION)
        return report_fail(r, -EOPNOTSUPP,
            "store %s has version %" PRId64 ", this layerfs knows %d", store->path,
            (int64_t)version, LFS_STORE_VERSION);
    return 0;
}

static int open_dir(const struct lfs_store *store, const char *name)
{
    int fd =
        openat(store->dirs[LFS_DIR_ROOT], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    return fd < 0 ? neg_errno() : fd;
}

static int open_dirs(struct lfs_store *store, struct report *r)
{
    for (int i = LFS_DIR_ROOT + 1; i < LFS_DIRS; i++) {
        store->dirs[i] = open_dir(store, dir_names[i]);
        if (store->dirs[i] < 0)
            return report_errno(r, store->dirs[i], "store %s: %s", store->path, dir_names[i]);
    }
    return 0;
}

static struct lfs_store *store_new(unsigned flags)
{
    struct lfs_store *store = calloc(1, sizeof(*store));

    if (!store)
        return NULL;
    store->flags = flags;
    for (int i = 0; i < LFS_DIRS; i++)
        store->dirs[i] = -1;
    return store;
}

int lfs_store_open(const char *path, unsigned flags, struct lfs_store **ret_store, struct report *r)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = store_new(flags);
    _cleanup_(freep) char *default_path = path ? NULL : lfs_store_default_path();
    int err;

    if (!store)
        return -ENOMEM;
    if (!path)
        path = default_path;
    if (!path)
        return report_fail(r, -ENOENT, "no place for the store: set LAYERFS_STORE or HOME");
    err = open_root(store, path, r);
    if (err == 0)
        err = check_version(store, r);
    if (err == 0)
        err = open_dirs(store, r);
    if (err == 0) {
        err = oci_layout_open_at(store->dirs[LFS_DIR_ROOT], &store->layout, r);
        if (err < 0)
            (void)report_context(r, err, "store %s", store->path);
        else
            oci_layout_set_tmp(store->layout, store->dirs[LFS_DIR_TMP]);
    }
    if (err < 0)
        return err;
    oci_layout_set_tmp(store->layout, store->dirs[LFS_DIR_TMP]);
    *ret_store = TAKE_PTR(store);
    return 0;
}

struct lfs_store *lfs_store_close(struct lfs_store *store)
{
    if (!store)
        return NULL;
    (void)oci_layout_close(store->layout);
    for (int i = 0; i < LFS_DIRS; i++)
        (void)fd_close(store->dirs[i]);
    free(store->path);
    free(store);
    return NULL;
}

struct oci_layout *lfs_store_layout(struct lfs_store *store)
{
    return store->layout;
}

const char *lfs_store_path(const struct lfs_store *store)
{
    return store->path;
}

int lfs_store_dirfd(const struct lfs_store *store, enum lfs_store_dir dir)
{
    return store->dirs[dir];
}

/* ------------------------------------------------------------------------------------------------
 * Names
 */

int lfs_store_key_digest(const struct oci_digest *digest, struct oci_digest *ret_key)
{
    char text[OCI_DIGEST_STR_MAX];

    if (digest->alg == OCI_DIGEST_SHA256) {
        *ret_key = *digest;
        return 0;
    }
    if (digest->alg == OCI_DIGEST_NONE)
        return oci_digest_of(OCI_DIGEST_SHA256, "", 0, ret_key);
    (void)oci_digest_format(digest, text);
    return oci_digest_of(OCI_DIGEST_SHA256, text, strlen(text), ret_key);
}

int lfs_store_key(const struct oci_digest *digest, char ret_key[static LFS_KEY_MAX])
{
    struct oci_digest key;
    char hex[OCI_DIGEST_STR_MAX];
    int err = lfs_store_key_digest(digest, &key);

    if (err < 0)
        return err;
    memcpy(ret_key, oci_digest_hex(&key, hex), LFS_KEY_MAX);
    return 0;
}

int lfs_store_tree_name(
    enum lfs_tree_kind kind, const struct oci_digest *id, char ret_name[static LFS_TREE_NAME_MAX])
{
    int err = lfs_store_key(id, ret_name);

    if (err == 0 && kind == LFS_TREE_LAYER)
        memcpy(ret_name + LFS_KEY_MAX - 1, ".layer", sizeof(".layer"));
    return err;
}

/* ------------------------------------------------------------------------------------------------
 * Trees
 */

enum { NOTE_MAX = 128 }; /* bytes of a .verified file */

/* Says which file a note is about: any change of the file changes one of these. */
static int format_note(int dirfd, const char *name, char ret_note[static NOTE_MAX])
{
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return neg_errno();
    (void)snprintf(ret_note, NOTE_MAX, "%" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 "\n",
        (uint64_t)st.st_ino, (uint64_t)st.st_size,
        (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
        (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec);
    return 0;
}

static bool note_matches(int dirfd, const char *note_name, const char *note)
{
    _cleanup_(buf_deinit) struct buf b = {0};

    return io_read_file(dirfd, note_name, NOTE_MAX, &b) == 0 && b.size == strlen(note) &&
           memcmp(b.data, note, b.size) == 0;
}

int lfs_store_check_note(struct lfs_store *store, const char *tree_name)
{
    char note_name[LFS_TREE_NAME_MAX + 10], note[NOTE_MAX];
    int dirfd = store->dirs[LFS_DIR_TREES];

    (void)snprintf(note_name, sizeof(note_name), "%s.verified", tree_name);
    if (faccessat(dirfd, note_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return neg_errno();
    return format_note(dirfd, tree_name, note) == 0 && note_matches(dirfd, note_name, note) ? 0 : 1;
}

/* Not synced: a note that is lost or broken costs one more verification. A store that cannot be
 * written is verified each time. */
static void write_note(struct lfs_store *store, const char *note_name, const char *note)
{
    _cleanup_(io_tmp_deinit) struct io_tmp tmp = IO_TMP_INIT;
    int err;

    if (store->flags & LFS_STORE_READ_ONLY)
        return;
    err = io_tmp_open(store->dirs[LFS_DIR_TMP], 0644, &tmp);
    if (err == 0)
        err = io_write_full(tmp.fd, note, strlen(note));
    if (err == 0)
        err = io_tmp_publish(&tmp, store->dirs[LFS_DIR_TREES], note_name, IO_PUBLISH_REPLACE);
    if (err < 0)
        log_debug(LOG_STORE, "%s: %s", note_name, strerror(-err));
}

/* The name was looked up three times (note, map, note); the same answers before and after the
 * mapping mean that the mapped file is the one the note is about. */
static int verify_once(
    struct lfs_store *store, const char *name, struct lfs_tree **ret_tree, struct report *r)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    char note_name[LFS_TREE_NAME_MAX + 10], before[NOTE_MAX], after[NOTE_MAX];
    int dirfd = store->dirs[LFS_DIR_TREES];
    int err = format_note(dirfd, name, before);

    if (err < 0)
        return report_errno(r, err, "tree %s", name);
    err = lfs_tree_open(dirfd, name, &tree, r);
    if (err < 0)
        return report_context(r, err, "tree %s", name);
    (void)snprintf(note_name, sizeof(note_name), "%s.verified", name);
    err = format_note(dirfd, name, after);
    if (err < 0 || strcmp(before, after) != 0 || !note_matches(dirfd, note_name, before)) {
        log_debug(LOG_STORE, "verify tree %s", name);
        err = lfs_tree_verify(tree, r);
        if (err < 0)
            return report_context(r, err, "tree %s", name);
        if (format_note(dirfd, name, after) == 0 && strcmp(before, after) == 0)
            write_note(store, note_name, before);
    }
    *ret_tree = TAKE_PTR(tree);
    return 0;
}

/* A tree that is sound but not the one its name promises serves the wrong files. */
static int check_identity(const struct lfs_tree *tree, enum lfs_tree_kind kind,
    const struct oci_digest *id, const char *name, struct report *r)
{
    struct oci_digest is = lfs_tree_id(tree), want;
    int err = lfs_store_key_digest(id, &want);

    if (err < 0)
        return err;
    if (!oci_digest_equal(&is, &want) || lfs_tree_kind(tree) != kind)
        return report_fail(r, -EBADMSG, "tree %s: is the tree of something else", name);
    return 0;
}

static int open_tree(struct lfs_store *store, enum lfs_tree_kind kind, const struct oci_digest *id,
    struct lfs_tree **ret_tree, struct report *r)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    char name[LFS_TREE_NAME_MAX];
    int err = lfs_store_tree_name(kind, id, name);

    if (err == 0)
        err = verify_once(store, name, &tree, r);
    if (err == 0)
        err = check_identity(tree, kind, id, name, r);
    if (err < 0)
        return err;
    *ret_tree = TAKE_PTR(tree);
    return 0;
}

int lfs_store_open_tree(struct lfs_store *store, const struct oci_digest *chain_id,
    struct lfs_tree **ret_tree, struct report *r)
{
    return open_tree(store, LFS_TREE_IMAGE, chain_id, ret_tree, r);
}

int lfs_store_open_layer(struct lfs_store *store, const struct oci_digest *diff_id,
    struct lfs_tree **ret_tree, struct report *r)
{
    return open_tree(store, LFS_TREE_LAYER, diff_id, ret_tree, r);
}

/* ------------------------------------------------------------------------------------------------
 * Contents, locks
 */

static int open_content(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);

    return fd < 0 ? neg_errno() : fd;
}

void lfs_store_object_name(
    const uint8_t sha256[static 32], char ret_name[static LFS_OBJECT_NAME_MAX])
{
    struct oci_digest digest = oci_digest_sha256(sha256);
    char hex[OCI_DIGEST_STR_MAX];

    (void)oci_digest_hex(&digest, hex);
    (void)snprintf(ret_name, LFS_OBJECT_NAME_MAX, "%.2s/%.62s", hex, hex + 2);
}

int lfs_store_open_object(const struct lfs_store *store, const uint8_t sha256[static 32])
{
    char name[LFS_OBJECT_NAME_MAX];

    lfs_store_object_name(sha256, name);
    return open_content(store->dirs[LFS_DIR_OBJECTS], name);
}

int lfs_store_open_pack(const struct lfs_store *store, const uint8_t key[static 32])
{
    struct oci_digest digest = oci_digest_sha256(key);
    char hex[OCI_DIGEST_STR_MAX];

    return open_content(store->dirs[LFS_DIR_PACKS], oci_digest_hex(&digest, hex));
}

static int flock_wait(int fd, int operation)
{
    while (flock(fd, operation) < 0)
        if (errno != EINTR)
            return neg_errno();
    return 0;
}

/* A lock file may be removed by whoever holds it, so the lock counts only while the file still has
 * its name: 1 when it has, 0 when it must be opened again. */
static int still_named(int fd, int dirfd, const char *name)
{
    struct stat is, named;

    if (fstat(fd, &is) < 0)
        return neg_errno();
    if (fstatat(dirfd, name, &named, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : neg_errno();
    return is.st_dev == named.st_dev && is.st_ino == named.st_ino;
}

static int lock_file(struct lfs_store *store, const char *name, int operation, int *ret_fd)
{
    int dirfd = store->dirs[LFS_DIR_LOCKS];

    if (store->flags & LFS_STORE_READ_ONLY)
        return -EROFS;
    for (;;) {
        _cleanup_(fd_closep) int fd =
            openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        int err = fd < 0 ? neg_errno() : flock_wait(fd, operation);

        if (err == 0)
            err = still_named(fd, dirfd, name);
        if (err < 0)
            return err;
        if (err > 0) {
            *ret_fd = TAKE_FD(fd);
            return 0;
        }
    }
}

int lfs_store_lock(struct lfs_store *store, const char *name, int *ret_fd, struct report *r)
{
    int err = lock_file(store, name, LOCK_EX, ret_fd);

    return err < 0 ? report_errno(r, err, "lock %s", name) : 0;
}

int lfs_store_try_lock(struct lfs_store *store, const char *name, int *ret_fd, struct report *r)
{
    int err = lock_file(store, name, LOCK_EX | LOCK_NB, ret_fd);

    return err < 0 && err != -EWOULDBLOCK ? report_errno(r, err, "lock %s", name) : err;
}

int lfs_store_lock_shared(struct lfs_store *store, const char *name, int *ret_fd, struct report *r)
{
    int err = lock_file(store, name, LOCK_SH, ret_fd);

    return err < 0 ? report_errno(r, err, "lock %s", name) : 0;
}

bool lfs_store_is_read_only(const struct lfs_store *store)
{
    return store->flags & LFS_STORE_READ_ONLY;
}

int lfs_store_sync(struct lfs_store *store, struct report *r)
{
    return syncfs(store->dirs[LFS_DIR_ROOT]) < 0
               ? report_errno(r, neg_errno(), "sync store %s", store->path)
               : 0;
}
