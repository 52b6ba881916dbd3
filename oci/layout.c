/* SPDX-License-Identifier: Apache-2.0 */
/* Reading an OCI image layout. Whoever wrote it is not trusted: only regular files are opened,
 * links are not followed, and documents are checked against their digests. */
#include "oci/layout_private.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/document.h"
#include "oci/find.h"
#include "oci/util/io.h"

const char *oci_blob_path(const struct oci_digest *digest, char path[static OCI_BLOB_PATH_MAX])
{
    char hex[OCI_DIGEST_STR_MAX];

    (void)snprintf(path, OCI_BLOB_PATH_MAX, "blobs/%s/%s", oci_digest_alg_name(digest->alg),
        oci_digest_hex(digest, hex));
    return path;
}

/* O_NONBLOCK: a FIFO must not stop us before we see that it is one. */
static int open_regular(int dirfd, const char *path, struct stat *ret_st)
{
    _cleanup_(fd_closep) int fd =
        openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return errno == ELOOP ? -EBADMSG : neg_errno();
    if (fstat(fd, ret_st) < 0)
        return neg_errno();
    if (!S_ISREG(ret_st->st_mode))
        return -EBADMSG;
    return TAKE_FD(fd);
}

int oci_layout_read_file(
    const struct oci_layout *layout, const char *name, struct buf *b, struct report *r)
{
    struct stat st;
    _cleanup_(fd_closep) int fd = open_regular(layout->dirfd, name, &st);
    int err;

    if (fd == -EBADMSG)
        return report_fail(r, fd, "%s: not a regular file", name);
    if (fd < 0)
        return report_errno(r, fd, "%s", name);
    err = io_read_fd(fd, OCI_DOCUMENT_MAX, b);
    return err < 0 ? report_errno(r, err, "%s", name) : 0;
}

int oci_layout_check_version(const struct buf *b, struct report *r)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    const char *version = NULL;
    int err = oci_json_load(b->data, b->size, OCI_LAYOUT_FILE, &json, r);

    if (err == 0)
        err = oci_json_get_string(
            json, "imageLayoutVersion", OCI_JSON_REQUIRED, OCI_LAYOUT_FILE, &version, r);
    if (err == 0 && strncmp(version, "1.", 2) != 0)
        err = report_fail(r, -EBADMSG, OCI_LAYOUT_FILE ": version \"%s\" is not 1.x", version);
    return err;
}

int oci_layout_read_layout_file(struct oci_layout *layout, struct buf *b, struct report *r)
{
    return oci_layout_read_file(layout, OCI_LAYOUT_FILE, b, r);
}

static int check_layout_file(const struct oci_layout *layout, struct report *r)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    int err = oci_layout_read_file(layout, OCI_LAYOUT_FILE, &b, r);

    if (err == -ENOENT)
        return report_fail(r, -EBADMSG, "not an OCI image layout: no file " OCI_LAYOUT_FILE);
    return err < 0 ? err : oci_layout_check_version(&b, r);
}

static int open_layout(int dirfd, bool owns, struct oci_layout **ret_layout, struct report *r)
{
    struct oci_layout *layout = malloc(sizeof(*layout));
    int err;

    if (!layout) {
        if (owns)
            (void)fd_close(dirfd);
        return report_errno(r, -ENOMEM, "layout");
    }
    *layout = (struct oci_layout){.dirfd = dirfd, .tmp_dirfd = -1, .owns_dirfd = owns};
    err = check_layout_file(layout, r);
    if (err < 0)
        (void)oci_layout_close(layout);
    else
        *ret_layout = layout;
    return err;
}

int oci_layout_open(const char *path, struct oci_layout **ret_layout, struct report *r)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err;

    if (fd < 0)
        return report_errno(r, neg_errno(), "layout %s", path);
    err = open_layout(fd, true, ret_layout, r);
    return err < 0 ? report_context(r, err, "layout %s", path) : 0;
}

int oci_layout_open_at(int dirfd, struct oci_layout **ret_layout, struct report *r)
{
    return open_layout(dirfd, false, ret_layout, r);
}

struct oci_layout *oci_layout_close(struct oci_layout *layout)
{
    if (layout && layout->owns_dirfd)
        (void)fd_close(layout->dirfd);
    free(layout);
    return NULL;
}

void oci_layout_set_tmp(struct oci_layout *layout, int tmp_dirfd)
{
    layout->tmp_dirfd = tmp_dirfd;
}

int oci_layout_open_blob(struct oci_layout *layout, const struct oci_digest *digest, uint64_t size,
    int *ret_fd, struct report *r)
{
    char path[OCI_BLOB_PATH_MAX], text[OCI_DIGEST_STR_MAX];
    struct stat st;
    int fd;

    (void)oci_digest_format(digest, text);
    if (digest->alg == OCI_DIGEST_NONE)
        return report_fail(r, -EOPNOTSUPP, "blob of an unknown digest algorithm");
    fd = open_regular(layout->dirfd, oci_blob_path(digest, path), &st);
    if (fd == -ENOENT)
        return report_fail(r, fd, "blob %s is missing", text);
    if (fd == -EBADMSG)
        return report_fail(r, fd, "blob %s is not a regular file", text);
    if (fd < 0)
        return report_errno(r, fd, "blob %s", text);
    if (size != UINT64_MAX && (uint64_t)st.st_size != size) {
        (void)fd_close(fd);
        return report_fail(r, -EBADMSG, "blob %s: size is %llu, expected %llu", text,
            (unsigned long long)st.st_size, (unsigned long long)size);
    }
    *ret_fd = fd;
    return 0;
}

bool oci_layout_has_blob(struct oci_layout *layout, const struct oci_digest *digest, uint64_t size)
{
    char path[OCI_BLOB_PATH_MAX];
    struct stat st;

    return fstatat(layout->dirfd, oci_blob_path(digest, path), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode) && (size == UINT64_MAX || (uint64_t)st.st_size == size);
}

int oci_layout_read_blob(struct oci_layout *layout, const struct oci_descriptor *descriptor,
    struct buf *b, struct report *r)
{
    _cleanup_(fd_closep) int fd = -1;
    _cleanup_(buf_deinit) struct buf bytes = {0};
    char text[OCI_DIGEST_STR_MAX];
    int err = oci_layout_open_blob(layout, &descriptor->digest, descriptor->size, &fd, r);

    if (err < 0)
        return err;
    err = io_read_fd(fd, OCI_DOCUMENT_MAX, &bytes);
    if (err == -EFBIG)
        return report_fail(r, err, "blob %s: too large for a document (more than %d bytes)",
            oci_digest_format(&descriptor->digest, text), OCI_DOCUMENT_MAX);
    if (err < 0)
        return report_errno(r, err, "blob %s", oci_digest_format(&descriptor->digest, text));
    err = oci_document_verify(&descriptor->digest, &bytes, r);
    if (err < 0)
        return err;
    buf_deinit(b);
    *b = bytes;
    bytes = (struct buf){0};
    return 0;
}

int oci_layout_read_index(
    struct oci_layout *layout, struct oci_index **ret_index, json_t **ret_json, struct report *r)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};
    int err = oci_layout_read_file(layout, OCI_INDEX_FILE, &b, r);

    if (err == -ENOENT)
        return report_fail(r, -EBADMSG, "not an OCI image layout: no file " OCI_INDEX_FILE);
    if (err == 0)
        err = oci_json_load(b.data, b.size, OCI_INDEX_FILE, &json, r);
    if (err < 0)
        return err;
    err = oci_index_from_json(json, ret_index, r);
    if (err < 0)
        return report_context(r, err, OCI_INDEX_FILE);
    if (ret_json)
        *ret_json = TAKE_PTR(json);
    return 0;
}

static int read_document(
    void *userdata, const struct oci_descriptor *descriptor, struct buf *b, struct report *r)
{
    return oci_layout_read_blob(userdata, descriptor, b, r);
}

int oci_layout_find(struct oci_layout *layout, const char *name,
    const struct oci_platform *platform, struct oci_descriptor *ret_manifest, struct report *r)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    struct oci_document_reader reader = {.read = read_document, .userdata = layout};
    int err = oci_layout_read_index(layout, &index, NULL, r);

    return err < 0 ? err : oci_index_find(index, name, platform, &reader, ret_manifest, r);
}
