/* SPDX-License-Identifier: Apache-2.0 */
/* Writing an OCI image layout: blobs, and index.json beside programs that do not know our lock. */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "oci/layout_private.h"
#include "oci/util/io.h"

enum { DIR_MODE = 0755, FILE_MODE = 0644, EDIT_TRIES = 16 };

static int open_dir(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    return fd < 0 ? neg_errno() : fd;
}

/* Opens a directory, making it (durably) where there is none. */
static int make_dir(int dirfd, const char *name)
{
    int fd = open_dir(dirfd, name);
    int r;

    if (fd != -ENOENT)
        return fd;
    r = io_mkdir(dirfd, name, DIR_MODE);
    if (r < 0)
        return r;
    if (fsync(dirfd) < 0)
        return neg_errno();
    return open_dir(dirfd, name);
}

/* ---- a new layout ---- */

/* Writes a file that is not there; one that is stays. */
static int write_new(int dirfd, const char *name, const char *text)
{
    _cleanup_(io_tmp_deinit) struct io_tmp tmp = IO_TMP_INIT;
    int r = io_tmp_open(dirfd, FILE_MODE, &tmp);

    if (r == 0)
        r = io_write_full(tmp.fd, text, strlen(text));
    if (r == 0)
        r = io_tmp_publish(&tmp, dirfd, name, IO_PUBLISH_SYNC);
    return r == -EEXIST ? 0 : r;
}

/* The file oci-layout comes last: with it the layout is complete. */
int oci_layout_init_at(int dirfd, struct report *r)
{
    _cleanup_(fd_closep) int blobs = make_dir(dirfd, "blobs");
    _cleanup_(fd_closep) int sha256 = -1;
    int err;

    if (blobs < 0)
        return report_errno(r, blobs, "blobs");
    sha256 = make_dir(blobs, "sha256");
    if (sha256 < 0)
        return report_errno(r, sha256, "blobs/sha256");
    err = write_new(dirfd, OCI_INDEX_FILE,
        "{\"manifests\":[],\"mediaType\":\"" OCI_TYPE_INDEX "\",\"schemaVersion\":2}");
    if (err < 0)
        return report_errno(r, err, OCI_INDEX_FILE);
    err = write_new(dirfd, OCI_LAYOUT_FILE, "{\"imageLayoutVersion\":\"1.0.0\"}");
    return err < 0 ? report_errno(r, err, OCI_LAYOUT_FILE) : 0;
}

/* ---- blobs ---- */

struct oci_blob_writer {
    int blobs_dirfd;
    struct io_tmp tmp;
    int partial_dirfd; /* borrowed; -1: the file has no name there */
    char partial_name[OCI_DIGEST_STR_MAX];
    uint64_t size; /* bytes written */
    int error;     /* sticky */
};

int oci_blob_writer_new(struct oci_layout *layout, struct oci_blob_writer **ret_writer)
{
    _cleanup_(oci_blob_writer_freep) struct oci_blob_writer *w = malloc(sizeof(*w));
    int r;

    if (!w)
        return -ENOMEM;
    *w = (struct oci_blob_writer){.tmp = IO_TMP_INIT, .partial_dirfd = -1};
    w->blobs_dirfd = make_dir(layout->dirfd, "blobs");
    if (w->blobs_dirfd < 0)
        return w->blobs_dirfd;
    r = io_tmp_open(
        layout->tmp_dirfd >= 0 ? layout->tmp_dirfd : w->blobs_dirfd, FILE_MODE, &w->tmp);
    if (r < 0)
        return r;
    *ret_writer = TAKE_PTR(w);
    return 0;
}

static bool has_name(int fd, int dirfd, const char *name)
{
    struct stat is, named;

    return fstat(fd, &is) == 0 && fstatat(dirfd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           is.st_ino == named.st_ino && is.st_dev == named.st_dev && S_ISREG(is.st_mode);
}

/* Opens and locks the file of this name. Whoever published it meanwhile has taken the name away,
 * so the lock counts only while the file still has it. */
static int open_partial(int dirfd, const char *name)
{
    for (;;) {
        _cleanup_(fd_closep) int fd = openat(dirfd, name,
            O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, FILE_MODE);

        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
            return neg_errno();
        if (has_name(fd, dirfd, name))
            return TAKE_FD(fd);
    }
}

int oci_blob_writer_resume(struct oci_layout *layout, int partial_dirfd,
    const struct oci_digest *digest, struct oci_blob_writer **ret_writer, uint64_t *ret_size)
{
    _cleanup_(oci_blob_writer_freep) struct oci_blob_writer *w = malloc(sizeof(*w));
    off_t end;

    if (!w)
        return -ENOMEM;
    *w = (struct oci_blob_writer){.tmp = IO_TMP_INIT, .partial_dirfd = partial_dirfd};
    (void)oci_digest_format(digest, w->partial_name);
    w->blobs_dirfd = make_dir(layout->dirfd, "blobs");
    if (w->blobs_dirfd < 0)
        return w->blobs_dirfd;
    w->tmp.fd = open_partial(partial_dirfd, w->partial_name);
    if (w->tmp.fd < 0)
        return w->tmp.fd;
    end = lseek(w->tmp.fd, 0, SEEK_END);
    if (end < 0)
        return neg_errno();
    w->size = *ret_size = (uint64_t)end;
    *ret_writer = TAKE_PTR(w);
    return 0;
}

int oci_blob_writer_reopen(const struct oci_blob_writer *w)
{
    int fd = openat(w->partial_dirfd, w->partial_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd < 0 ? neg_errno() : fd;
}

void oci_blob_writer_discard(struct oci_blob_writer *w)
{
    if (w->partial_dirfd >= 0 && w->tmp.fd >= 0) {
        (void)unlinkat(w->partial_dirfd, w->partial_name, 0);
        w->tmp.fd = fd_close(w->tmp.fd);
    }
}

int oci_blob_writer_write(struct oci_blob_writer *w, const void *data, size_t size)
{
    if (w->error == 0)
        w->error = io_write_full(w->tmp.fd, data, size);
    if (w->error == 0)
        w->size += size;
    return w->error;
}

/* Moves the named file to its place. What may be there is of the same content, or broken. */
static int publish_partial(struct oci_blob_writer *w, int dirfd, const char *name, bool sync)
{
    if (sync && fsync(w->tmp.fd) < 0)
        return neg_errno();
    if (renameat(w->partial_dirfd, w->partial_name, dirfd, name) < 0)
        return neg_errno();
    w->tmp.fd = fd_close(w->tmp.fd);
    return sync && fsync(dirfd) < 0 ? neg_errno() : 0;
}

/* A blob of this name is there. It is kept when it can be what its name says: a regular file of the
 * same size. What a crash or another tool left otherwise is replaced. */
static int keep_or_replace(struct oci_blob_writer *w, int dirfd, const char *name, unsigned flags)
{
    _cleanup_(fd_closep) int fd =
        openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != w->size)
        return io_tmp_publish(&w->tmp, dirfd, name, flags | IO_PUBLISH_REPLACE);
    io_tmp_deinit(&w->tmp);
    if ((flags & IO_PUBLISH_SYNC) && (fsync(fd) < 0 || fsync(dirfd) < 0))
        return neg_errno();
    return 0;
}

int oci_blob_writer_commit(struct oci_blob_writer *w, const struct oci_digest *digest, bool sync)
{
    _cleanup_(fd_closep) int dirfd = -1;
    unsigned flags = sync ? IO_PUBLISH_SYNC : 0;
    char name[OCI_DIGEST_STR_MAX];
    int r;

    if (w->error < 0)
        return w->error;
    if (digest->alg == OCI_DIGEST_NONE || w->tmp.fd < 0)
        return -EINVAL;
    dirfd = make_dir(w->blobs_dirfd, oci_digest_alg_name(digest->alg));
    if (dirfd < 0)
        return dirfd;
    (void)oci_digest_hex(digest, name);
    if (w->partial_dirfd >= 0)
        return publish_partial(w, dirfd, name, sync);
    r = io_tmp_publish(&w->tmp, dirfd, name, flags);
    return r == -EEXIST ? keep_or_replace(w, dirfd, name, flags) : r;
}

struct oci_blob_writer *oci_blob_writer_free(struct oci_blob_writer *w)
{
    if (w) {
        if (w->partial_dirfd >= 0 && w->size == 0)
            oci_blob_writer_discard(w);
        io_tmp_deinit(&w->tmp);
        (void)fd_close(w->blobs_dirfd);
        free(w);
    }
    return NULL;
}

static int write_blob(
    struct oci_layout *layout, const void *data, size_t size, const struct oci_digest *digest)
{
    _cleanup_(oci_blob_writer_freep) struct oci_blob_writer *w = NULL;
    int r = oci_blob_writer_new(layout, &w);

    if (r == 0)
        r = oci_blob_writer_write(w, data, size);
    return r < 0 ? r : oci_blob_writer_commit(w, digest, true);
}

int oci_layout_put_blob(struct oci_layout *layout, const void *data, size_t size,
    struct oci_digest *ret_digest, struct report *r)
{
    char text[OCI_DIGEST_STR_MAX];
    struct oci_digest digest;
    int err = oci_digest_of(OCI_DIGEST_SHA256, data, size, &digest);

    if (err < 0)
        return report_errno(r, err, "blob");
    err = write_blob(layout, data, size, &digest);
    if (err < 0)
        return report_errno(r, err, "blob %s", oci_digest_format(&digest, text));
    *ret_digest = digest;
    return 0;
}

/* ---- index.json ---- */

/* An fd whose closing gives the lock back. The directory itself is locked, through an open file of
 * its own, so that foreign layouts get no file of ours. */
static int lock_directory(const struct oci_layout *layout)
{
    _cleanup_(fd_closep) int fd = openat(layout->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return neg_errno();
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return neg_errno();
    return TAKE_FD(fd);
}

static bool is_same_version(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int stat_index(const struct oci_layout *layout, struct stat *ret_st, struct report *r)
{
    if (fstatat(layout->dirfd, OCI_INDEX_FILE, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
        return report_errno(r, neg_errno(), OCI_INDEX_FILE);
    return 0;
}

/* The bytes of an edited document, which must still be an index. */
static int dump_index(json_t *json, struct buf *b, struct report *r)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    int err = oci_json_dump(json, b);

    if (err < 0)
        return report_errno(r, err, OCI_INDEX_FILE);
    err = oci_index_parse(b->data, b->size, &index, r);
    return err < 0 ? report_context(r, err, "edited " OCI_INDEX_FILE) : 0;
}

/* One try; *ret_again when somebody else wrote index.json meanwhile. */
static int edit_once(struct oci_layout *layout, oci_index_edit_fn edit, void *userdata,
    bool *ret_again, struct report *r)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};
    struct stat before, after;
    int err = stat_index(layout, &before, r);

    if (err == 0)
        err = oci_layout_read_index(layout, &index, &json, r);
    if (err == 0 && json_is_null(json_object_get(json, "manifests")) && /* what Go makes of none */
        json_object_set_new(json, "manifests", json_array()) < 0)
        err = report_errno(r, -ENOMEM, OCI_INDEX_FILE);
    if (err == 0)
        err = edit(json, userdata, r);
    if (err != 0)
        return err;
    err = dump_index(json, &b, r);
    if (err == 0)
        err = stat_index(layout, &after, r);
    if (err < 0)
        return err;
    *ret_again = !is_same_version(&before, &after);
    if (*ret_again)
        return 0;
    err = io_write_file(layout->dirfd, OCI_INDEX_FILE, b.data, b.size, FILE_MODE);
    return err < 0 ? report_errno(r, err, OCI_INDEX_FILE) : 0;
}

int oci_layout_edit_index(
    struct oci_layout *layout, oci_index_edit_fn edit, void *userdata, struct report *r)
{
    _cleanup_(fd_closep) int lock = lock_directory(layout);

    if (lock < 0)
        return report_errno(r, lock, "locking the layout");
    for (unsigned i = 0; i < EDIT_TRIES; i++) {
        bool again = false;
        int err = edit_once(layout, edit, userdata, &again, r);

        if (!again)
            return err;
    }
    return report_fail(r, -EAGAIN, OCI_INDEX_FILE ": other programs keep changing it");
}
