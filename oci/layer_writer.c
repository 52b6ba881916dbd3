/* SPDX-License-Identifier: Apache-2.0 */
/* Making a layer of a directory tree.
 *
 * The tree is walked in the order of names, and each entry is written when the bytes before it
 * have been taken: memory is one chunk, the names of the directories on the way down, and one
 * record for each file that has several names. Names are opened from the root without following
 * links; a file is compared with what was seen of it before, so that one swapped meanwhile is
 * noticed. */
#include "oci/layer_writer.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "oci/compression.h"
#include "oci/dir_walk.h"
#include "oci/file_meta.h"
#include "oci/link_map.h"
#include "oci/tar_format.h"
#include "oci/tar_write.h"
#include "oci/util/beneath.h"
#include "oci/util/io.h"
#include "oci/util/log.h"

enum { CHUNK = 256 << 10 };

struct dir_source {
    struct oci_source source;
    struct oci_layer_options options;
    int root_fd;
    struct dir_walk *walk;
    struct link_map links;
    struct file_meta meta; /* xattrs and extents of the current entry */
    struct buf out;

    int fd; /* of the file whose content is being written, else -1 */
    char *path;
    struct stat stat;
    size_t extent;
    uint64_t offset;  /* in the file */
    uint64_t written; /* bytes of content */

    bool ended;
    int err; /* sticky */
    struct report text;
};

static int changed(struct dir_source *d, const char *path)
{
    return report_fail(&d->text, -EAGAIN, "\"%s\" changed while it was read", path);
}

/* ---- headers ---- */

static char tar_type(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return '0';
    case S_IFLNK:
        return '2';
    case S_IFCHR:
        return '3';
    case S_IFBLK:
        return '4';
    case S_IFDIR:
        return '5';
    case S_IFIFO:
        return '6';
    default:
        return '\0'; /* a socket */
    }
}

static void set_time(struct dir_source *d, struct tar_entry *e, const struct stat *st)
{
    const struct oci_layer_options *o = &d->options;

    e->mtime_sec = st->st_mtim.tv_sec;
    e->mtime_nsec = (uint32_t)st->st_mtim.tv_nsec;
    if (o->has_clamp_mtime && e->mtime_sec >= o->clamp_mtime) {
        e->mtime_sec = o->clamp_mtime;
        e->mtime_nsec = 0;
    }
}

static void set_common(struct dir_source *d, struct tar_entry *e, const struct stat *st)
{
    e->mode = st->st_mode & 07777;
    e->uid = d->options.has_owner ? d->options.uid : st->st_uid;
    e->gid = d->options.has_owner ? d->options.gid : st->st_gid;
    set_time(d, e, st);
}

static int write_headers(struct dir_source *d, const struct tar_entry *e, const char *path)
{
    int err = tar_write_headers(&d->out, e);

    if (err == -EINVAL)
        return report_fail(&d->text, err, "\"%s\" has an xattr whose name holds a \"=\"", path);
    return err < 0 ? report_errno(&d->text, err, "\"%s\"", path) : 0;
}

/* The name of the entry in the tar: directories end with "/", the root is "./". */
static char *entry_name(const char *path, mode_t mode)
{
    struct buf b = {0};
    int err = buf_append_str(&b, *path ? path : ".");

    if (err == 0 && S_ISDIR(mode))
        err = buf_append_str(&b, "/");
    if (err < 0) {
        buf_deinit(&b);
        return NULL;
    }
    return buf_steal_str(&b);
}

static int write_link(
    struct dir_source *d, const char *path, const char *first, const struct stat *st)
{
    struct tar_entry e = {.type = '1', .path = path, .link = first};

    set_common(d, &e, st);
    return write_headers(d, &e, path);
}

static int open_content(struct dir_source *d, const char *path, const struct stat *st)
{
    _cleanup_(fd_closep) int fd =
        beneath_open(d->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat now;
    int err;

    if (fd < 0)
        return report_errno(&d->text, fd, "cannot open \"%s\"", path);
    if (fstat(fd, &now) < 0)
        return report_errno(&d->text, neg_errno(), "cannot stat \"%s\"", path);
    if (now.st_dev != st->st_dev || now.st_ino != st->st_ino || now.st_size != st->st_size)
        return changed(d, path);
    err = file_meta_read_extents(&d->meta, fd, (uint64_t)st->st_size);
    if (err < 0)
        return report_errno(&d->text, err, "cannot read \"%s\"", path);
    d->path = strdup(path);
    if (!d->path)
        return -ENOMEM;
    d->fd = TAKE_FD(fd);
    d->stat = *st;
    d->extent = 0;
    d->offset = 0;
    d->written = 0;
    return 0;
}

static int write_node(
    struct dir_source *d, const char *path, const char *name, int fd, const struct stat *st)
{
    struct tar_entry e = {.type = tar_type(st->st_mode), .path = name};
    char target[OCI_PATH_MAX];
    int err = file_meta_read_xattrs(&d->meta, fd);

    if (err < 0)
        return report_errno(&d->text, err, "cannot read the xattrs of \"%s\"", path);
    set_common(d, &e, st);
    e.xattrs = d->meta.xattrs;
    e.xattr_count = d->meta.xattr_count;
    if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlinkat(fd, "", target, sizeof(target) - 1);

        if (n < 0)
            return report_errno(&d->text, neg_errno(), "cannot read link \"%s\"", path);
        target[n] = '\0';
        e.link = target;
    }
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
        e.dev_major = major(st->st_rdev);
        e.dev_minor = minor(st->st_rdev);
    }
    if (S_ISREG(st->st_mode) && st->st_size > 0) {
        err = open_content(d, path, st);
        if (err < 0)
            return err;
        e.size = (uint64_t)st->st_size;
        e.sparse = d->meta.sparse;
        e.extents = d->meta.extents;
        e.extent_count = d->meta.extent_count;
    }
    return write_headers(d, &e, path);
}

static int write_entry(struct dir_source *d, const char *path)
{
    _cleanup_(fd_closep) int fd = beneath_open(d->root_fd, path, O_PATH | O_NOFOLLOW);
    _cleanup_(freep) char *name = NULL;
    const char *first = NULL;
    struct stat st;

    if (fd < 0)
        return report_errno(&d->text, fd, "cannot open \"%s\"", path);
    if (fstat(fd, &st) < 0)
        return report_errno(&d->text, neg_errno(), "cannot stat \"%s\"", path);
    if (!tar_type(st.st_mode)) {
        log_debug(LOG_LAYER, "left out: %s (a socket)", path);
        return 0;
    }
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
        int n = link_map_get(&d->links, st.st_dev, st.st_ino, path, &first);

        if (n < 0)
            return n;
    }
    if (first)
        return write_link(d, path, first, &st);
    name = entry_name(path, st.st_mode);
    return name ? write_node(d, path, name, fd, &st) : -ENOMEM;
}

/* ---- contents ---- */

/* Where the content goes on: bytes from d->offset that are in a row, 0 at the end. */
static uint64_t next_run(struct dir_source *d)
{
    const struct file_meta *m = &d->meta;
    const struct tar_extent *e;

    if (!m->sparse)
        return (uint64_t)d->stat.st_size - d->offset;
    if (d->extent == m->extent_count)
        return 0;
    e = &m->extents[d->extent];
    if (d->offset < e->offset)
        d->offset = e->offset;
    if (d->offset == e->offset + e->size) {
        d->extent++;
        return next_run(d);
    }
    return e->offset + e->size - d->offset;
}

/* Closes the file, pads the content, and checks that the file is what it was. */
static int end_content(struct dir_source *d)
{
    _cleanup_(freep) char *path = TAKE_PTR(d->path);
    _cleanup_(fd_closep) int fd = TAKE_FD(d->fd);
    size_t pad = (size_t)(tar_padded(d->written) - d->written);
    struct stat now;

    if (fstat(fd, &now) < 0)
        return report_errno(&d->text, neg_errno(), "cannot stat \"%s\"", path);
    if (now.st_size != d->stat.st_size)
        return changed(d, path);
    return buf_extend(&d->out, pad) || pad == 0 ? 0 : -ENOMEM;
}

static int write_content(struct dir_source *d)
{
    uint64_t run = next_run(d);
    size_t want = (size_t)MIN(run, (uint64_t)(CHUNK - d->out.size));
    ssize_t n;
    int err;

    if (run == 0)
        return end_content(d);
    err = buf_reserve(&d->out, want);
    if (err < 0)
        return err;
    n = io_pread_full(d->fd, d->out.data + d->out.size, want, (off_t)d->offset);
    if (n < 0)
        return report_errno(&d->text, (int)n, "cannot read \"%s\"", d->path);
    if ((size_t)n < want)
        return changed(d, d->path);
    d->out.size += want;
    d->offset += want;
    d->written += want;
    return 0;
}

/* ---- the source ---- */

static int step(struct dir_source *d)
{
    const char *path;
    int n;

    if (d->fd >= 0)
        return write_content(d);
    n = dir_walk_next(d->walk, &path, &d->text);
    if (n > 0)
        return write_entry(d, path);
    if (n == 0) {
        d->ended = true;
        n = buf_extend(&d->out, (size_t)2 * TAR_BLOCK) ? 0 : -ENOMEM;
    }
    return n;
}

static ssize_t dir_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct dir_source *d = (struct dir_source *)s;

    d->out.size = 0;
    while (d->err == 0 && !d->ended && d->out.size < CHUNK)
        d->err = step(d);
    if (d->err < 0) {
        if (!report_is_set(&d->text))
            (void)report_errno(&d->text, d->err, "cannot read the directory");
        if (r)
            *r = d->text;
        return d->err;
    }
    *ret_data = d->out.data;
    return (ssize_t)d->out.size;
}

static void dir_close(struct oci_source *s)
{
    struct dir_source *d = (struct dir_source *)s;

    (void)dir_walk_free(d->walk);
    (void)fd_close(d->fd);
    (void)fd_close(d->root_fd);
    link_map_deinit(&d->links);
    file_meta_deinit(&d->meta);
    buf_deinit(&d->out);
    free(d->path);
    free(d);
}

static const struct oci_source_ops dir_ops = {.next = dir_next, .close = dir_close};

int oci_layer_from_dir(const char *path, const struct oci_layer_options *options,
    struct oci_source **ret_tar, struct report *r)
{
    struct dir_source *d = calloc(1, sizeof(*d));
    int err;

    if (!d)
        return report_errno(r, -ENOMEM, "%s", path);
    d->source.ops = &dir_ops;
    d->options = *options;
    d->fd = -1;
    d->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    err = d->root_fd < 0 ? neg_errno() : dir_walk_new(d->root_fd, &d->walk);
    if (err < 0) {
        dir_close(&d->source);
        return report_errno(r, err, "%s", path);
    }
    *ret_tar = &d->source;
    return 0;
}

int oci_layer_from_tar(const char *path, struct oci_source **ret_tar, struct report *r)
{
    struct oci_source *s = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int err;

    if (fd < 0)
        return report_errno(r, neg_errno(), "%s", path);
    err = oci_source_file(fd, 0, UINT64_MAX, &s);
    if (err == 0)
        err = oci_source_decompress(s, NULL, &s);
    if (err < 0)
        return report_errno(r, err, "%s", path);
    *ret_tar = s;
    return 0;
}
