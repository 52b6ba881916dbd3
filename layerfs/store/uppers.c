/* SPDX-License-Identifier: Apache-2.0 */
/* Notes on uppers: {"chain_id", "manifest", "parent_inode", "path"}; the path in hex, because it
 * need not be UTF-8. */
#include "layerfs/store/uppers.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "layerfs/store/seal.h"
#include "oci/util/io.h"

enum { NOTE_MAX = 64 << 10 /* bytes */ };

static uint64_t parent_inode(const char *path)
{
    _cleanup_(freep) char *copy = strdup(path);
    struct stat st;

    return copy && stat(dirname(copy), &st) == 0 ? st.st_ino : 0;
}

static int to_hex(const char *s, char **ret_hex)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    int err = 0;

    for (; err == 0 && *s; s++)
        err = buf_printf(&b, "%02x", (unsigned char)*s);
    *ret_hex = err == 0 ? buf_steal_str(&b) : NULL;
    return *ret_hex ? 0 : -ENOMEM;
}

static int from_hex(const char *hex, char **ret_s)
{
    size_t size = strlen(hex) / 2;
    char *s = malloc(size + 1);

    if (!s)
        return -ENOMEM;
    for (size_t i = 0; i < size; i++) {
        unsigned value;

        if (sscanf(hex + 2 * i, "%2x", &value) != 1 || value == 0) {
            free(s);
            return -EBADMSG;
        }
        s[i] = (char)value;
    }
    s[size] = '\0';
    *ret_s = s;
    return size > 0 ? 0 : -EBADMSG;
}

static int format(const char *path, const struct oci_digest *manifest,
    const struct oci_digest *chain_id, struct buf *b)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    _cleanup_(freep) char *hex = NULL;
    char texts[2][OCI_DIGEST_STR_MAX];
    struct oci_digest key;
    int err = lfs_store_key_digest(chain_id, &key);

    if (err == 0)
        err = to_hex(path, &hex);
    if (err < 0)
        return err;
    json = json_pack("{s:s, s:s, s:s, s:I}", "path", hex, "manifest",
        oci_digest_format(manifest, texts[0]), "chain_id", oci_digest_format(&key, texts[1]),
        "parent_inode", (json_int_t)parent_inode(path));
    return json ? lfs_seal(json, b) : -ENOMEM;
}

int lfs_upper_note(struct lfs_store *store, const char *path, const struct oci_digest *manifest,
    const struct oci_digest *chain_id, struct report *r)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    char name[OCI_DIGEST_STR_MAX + 8], hex[OCI_DIGEST_STR_MAX];
    struct oci_digest id;
    int err = oci_digest_of(OCI_DIGEST_SHA256, path, strlen(path), &id);

    if (err == 0)
        err = format(path, manifest, chain_id, &b);
    if (err == 0) {
        (void)snprintf(name, sizeof(name), "%s.json", oci_digest_hex(&id, hex));
        err = io_write_file(lfs_store_dirfd(store, LFS_DIR_UPPERS), name, b.data, b.size, 0644);
    }
    return err < 0 ? report_errno(r, err, "note on upper %s", path) : 0;
}

static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    bool empty = dir != NULL; /* what cannot be read may hold anything */

    for (struct dirent *e = dir ? readdir(dir) : NULL; e && empty; e = readdir(dir))
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    if (dir)
        (void)closedir(dir);
    return empty;
}

/* Absent where its directory is the one of then: removed. Where that is another or none, a disk may
 * just not be mounted. */
enum lfs_upper_state lfs_upper_look(const struct lfs_upper *upper)
{
    struct stat st;

    if (lstat(upper->path, &st) == 0)
        return S_ISDIR(st.st_mode) && is_empty(upper->path) ? LFS_UPPER_EMPTY : LFS_UPPER_IN_USE;
    return errno == ENOENT && parent_inode(upper->path) == upper->parent_inode ? LFS_UPPER_GONE
                                                                               : LFS_UPPER_IN_USE;
}

static int parse(const struct buf *b, const char *name, struct lfs_upper *upper, struct report *r)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    const char *path = NULL;
    json_t *inode = NULL;
    int err = oci_json_load(b->data, b->size, name, &json, r);

    if (err == 0)
        err = oci_json_get_string(json, "path", OCI_JSON_REQUIRED, name, &path, r);
    if (err == 0)
        err = oci_json_get_digest(json, "manifest", OCI_JSON_REQUIRED, name, &upper->manifest, r);
    if (err == 0)
        err = oci_json_get_digest(json, "chain_id", OCI_JSON_REQUIRED, name, &upper->chain_id, r);
    if (err == 0)
        err = oci_json_get(json, "parent_inode", JSON_INTEGER, OCI_JSON_REQUIRED, name, &inode, r);
    if (err < 0)
        return err;
    upper->parent_inode = (uint64_t)json_integer_value(inode);
    err = from_hex(path, &upper->path);
    return err < 0 ? report_errno(r, err, "%s", name) : 0;
}

static int read_note(
    struct lfs_store *store, const char *name, lfs_upper_fn each, void *userdata, struct report *r)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    struct lfs_upper upper = {0};
    int err = io_read_file(lfs_store_dirfd(store, LFS_DIR_UPPERS), name, NOTE_MAX, &b);

    if (err == -ENOENT)
        return 0;
    if (err < 0)
        return report_errno(r, err, "uppers/%s", name);
    err = parse(&b, name, &upper, r);
    if (err == 0)
        err = each(userdata, name, &upper);
    else
        (void)report_context(r, err, "uppers");
    free(upper.path);
    return err;
}

int lfs_upper_each(struct lfs_store *store, lfs_upper_fn each, void *userdata, struct report *r)
{
    int uppers = lfs_store_dirfd(store, LFS_DIR_UPPERS), err = 0, fd;
    DIR *dir;

    if (uppers < 0)
        return 0;
    fd = openat(uppers, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        err = report_errno(r, neg_errno(), "uppers");
        (void)fd_close(fd);
        return err;
    }
    for (struct dirent *e = readdir(dir); e && err == 0; e = readdir(dir))
        if (e->d_name[0] != '.')
            err = read_note(store, e->d_name, each, userdata, r);
    (void)closedir(dir);
    return err;
}
