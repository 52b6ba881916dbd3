/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a layer.
 *
 *     tar ── guard (checks, one form) ── libarchive (parses) ── entries with OCI's meaning
 *
 * libarchive pulls the guard's pieces and parses no more than the header it is asked for, so that
 * tar_guard_entry() speaks of the entry at hand. Contents come from libarchive block by block,
 * where they lie in the source's chunks, and are laid out by the guard's map of a sparse file. */
#include "oci/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <string.h>

#include "oci/tar_guard.h"

static const char whiteout_prefix[] = ".wh.", meta_prefix[] = ".wh..wh.",
                  opaque_name[] = ".wh..wh..opq";

struct ranked_xattr {
    struct oci_xattr xattr;
    size_t rank;
};

struct oci_layer_reader {
    struct tar_guard *guard;
    struct archive *archive;
    const struct tar_guard_entry *source; /* of the entry; NULL before the first */
    struct oci_layer_entry entry;
    struct oci_xattr *xattrs;    /* sorted, names differ */
    struct ranked_xattr *ranked; /* as libarchive lists them */
    size_t xattr_capacity;       /* of both */
    bool opened, ended;

    const uint8_t *piece; /* of the content, not yet returned */
    size_t piece_size;
    uint64_t stored; /* bytes of the content returned */
    size_t extent;   /* of a sparse file: the current one, and bytes of it returned */
    uint64_t extent_done;

    int err; /* sticky; from the guard, or found here */
    struct report text;

    char path[OCI_PATH_MAX];
    char link[OCI_PATH_MAX];
};

/* ---- libarchive ---- */

static la_ssize_t pull(_unused_ struct archive *a, void *userdata, const void **ret_data)
{
    struct oci_layer_reader *reader = userdata;
    const uint8_t *data = NULL;
    ssize_t n;

    if (reader->err < 0)
        return ARCHIVE_FATAL;
    n = tar_guard_next(reader->guard, &data, &reader->text);
    if (n < 0) {
        reader->err = (int)n;
        return ARCHIVE_FATAL;
    }
    *ret_data = data;
    return n;
}

/* The failure of a call of libarchive: the guard's, or its own. Anything but success is one: a
 * warning means that something was not understood. */
static int archive_failed(struct oci_layer_reader *reader)
{
    const char *text = archive_error_string(reader->archive);

    if (reader->err < 0)
        return reader->err;
    if (archive_errno(reader->archive) == ENOMEM)
        return -ENOMEM;
    return report_fail(&reader->text, -EBADMSG, "%s", text ? text : "not a valid tar");
}

static int open_archive(struct oci_layer_reader *reader)
{
    reader->archive = archive_read_new();
    if (!reader->archive)
        return -ENOMEM;
    if (archive_read_support_format_tar(reader->archive) != ARCHIVE_OK ||
        archive_read_open(reader->archive, reader, NULL, pull, NULL) != ARCHIVE_OK)
        return archive_failed(reader);
    reader->opened = true;
    return 0;
}

/* ---- names ---- */

static bool has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Bytes that a component may have: a whiteout removes names of up to OCI_NAME_MAX bytes. */
static size_t name_limit(const char *name)
{
    return has_prefix(name, whiteout_prefix) ? OCI_NAME_MAX + strlen(whiteout_prefix)
                                             : OCI_NAME_MAX;
}

/* Takes out empty, "." and ".." components. A path that leaves the root is refused; one that starts
 * with "/" starts at the image's root. */
static int clean_path(const char *raw, char path[static OCI_PATH_MAX])
{
    size_t size = 0;

    while (*raw) {
        size_t n = strcspn(raw, "/");

        if (n == 2 && raw[0] == '.' && raw[1] == '.') {
            if (size == 0)
                return -EBADMSG;
            while (size > 0 && path[--size] != '/')
                ;
        } else if (n > 1 || (n == 1 && raw[0] != '.')) {
            if (n > name_limit(raw) || size + (size > 0) + n >= OCI_PATH_MAX)
                return -ENAMETOOLONG;
            if (size > 0)
                path[size++] = '/';
            memcpy(path + size, raw, n);
            size += n;
        }
        raw += n + (raw[n] == '/');
    }
    path[size] = '\0';
    return 0;
}

static int clean_path_report(
    const char *raw, char path[static OCI_PATH_MAX], const char *what, struct report *r)
{
    int err = clean_path(raw, path);

    if (err == -ENAMETOOLONG)
        return report_fail(r, err, "%s is too long", what);
    return err < 0 ? report_fail(r, err, "%s leaves the root of the image", what) : 0;
}

/* Removes the last component; the path's parent may be the root, "". */
static void cut_name(char *path, char *name)
{
    name[name > path ? -1 : 0] = '\0';
}

/* What the names mean that start with ".wh.": 1 when the entry is to be returned, 0 when it is to
 * be skipped (what aufs kept for itself), -EBADMSG. The prefix marks a removal, so that no real
 * file may have it; a hidden directory of such a name would be seen by no other tool. */
static int read_whiteout(struct oci_layer_entry *entry, char *path, struct report *r)
{
    char *name = path;

    for (;;) {
        size_t n = strcspn(name, "/");

        if (name[n] == '\0')
            break;
        if (has_prefix(name, meta_prefix))
            return 0;
        if (has_prefix(name, whiteout_prefix))
            return report_fail(r, -EBADMSG, "a whiteout has nothing below it");
        name += n + 1;
    }
    if (!has_prefix(name, whiteout_prefix))
        return 1;
    if (strcmp(name, opaque_name) == 0) {
        entry->kind = OCI_ENTRY_OPAQUE;
        cut_name(path, name);
        return 1;
    }
    if (has_prefix(name, meta_prefix))
        return 0;
    memmove(name, name + strlen(whiteout_prefix), strlen(name) - strlen(whiteout_prefix) + 1);
    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return report_fail(r, -EBADMSG, "a whiteout of nothing");
    entry->kind = OCI_ENTRY_WHITEOUT;
    return 1;
}

/* ---- entries ---- */

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked_xattr *x = a, *y = b;
    int c = strcmp(x->xattr.name, y->xattr.name);

    return c ? c : (x->rank > y->rank) - (x->rank < y->rank);
}

static int reserve_xattrs(struct oci_layer_reader *reader, size_t count)
{
    struct ranked_xattr *ranked;
    struct oci_xattr *xattrs;

    if (count <= reader->xattr_capacity)
        return 0;
    ranked = reallocarray(reader->ranked, count, sizeof(*ranked));
    if (!ranked)
        return -ENOMEM;
    reader->ranked = ranked;
    xattrs = reallocarray(reader->xattrs, count, sizeof(*xattrs));
    if (!xattrs)
        return -ENOMEM;
    reader->xattrs = xattrs;
    reader->xattr_capacity = count;
    return 0;
}

/* Of several of one name the last in the tar wins; libarchive lists them from the last on. */
static int read_xattrs(struct oci_layer_reader *reader, struct archive_entry *ae)
{
    size_t count = (size_t)archive_entry_xattr_reset(ae), kept = 0;
    int err = reserve_xattrs(reader, count);

    if (err < 0 || count == 0)
        return err;
    for (size_t i = 0; i < count; i++) {
        struct oci_xattr *x = &reader->ranked[i].xattr;

        if (archive_entry_xattr_next(ae, &x->name, &x->value, &x->size) != ARCHIVE_OK)
            return -EIO;
        reader->ranked[i].rank = i;
    }
    qsort(reader->ranked, count, sizeof(reader->ranked[0]), compare_ranked);
    for (size_t i = 0; i < count; i++) {
        const struct oci_xattr *x = &reader->ranked[i].xattr;

        if (kept == 0 || strcmp(reader->xattrs[kept - 1].name, x->name) != 0)
            reader->xattrs[kept++] = *x;
    }
    reader->entry.xattrs = reader->xattrs;
    reader->entry.xattr_count = kept;
    return 0;
}

static int read_symlink(struct oci_layer_reader *reader, struct archive_entry *ae, struct report *r)
{
    const char *target = archive_entry_symlink(ae);

    if (!target || !*target)
        return report_fail(r, -EBADMSG, "a symbolic link without a target");
    if (strlen(target) >= OCI_PATH_MAX)
        return report_fail(r, -ENAMETOOLONG, "link target is too long");
    reader->entry.link = target;
    return 0;
}

/* What a NODE has. */
static int read_node(struct oci_layer_reader *reader, struct archive_entry *ae, struct report *r)
{
    struct oci_layer_entry *e = &reader->entry;
    mode_t type = archive_entry_filetype(ae);
    int err;

    e->mode = type | (archive_entry_perm(ae) & 07777);
    e->uid = (uint32_t)archive_entry_uid(ae);
    e->gid = (uint32_t)archive_entry_gid(ae);
    e->mtime_sec = archive_entry_mtime(ae);
    e->mtime_nsec = reader->source->mtime_nsec;
    if (type == AE_IFREG)
        e->size = reader->source->size;
    if (type == AE_IFCHR || type == AE_IFBLK) {
        e->rdev_major = (uint32_t)archive_entry_rdevmajor(ae);
        e->rdev_minor = (uint32_t)archive_entry_rdevminor(ae);
    }
    if (!*e->path && type != AE_IFDIR)
        return report_fail(r, -EBADMSG, "the root is no directory");
    err = type == AE_IFLNK ? read_symlink(reader, ae, r) : 0;
    return err < 0 ? err : read_xattrs(reader, ae);
}

static int read_hardlink(struct oci_layer_reader *reader, const char *target, struct report *r)
{
    int err = clean_path_report(target, reader->link, "hard link target", r);

    if (err < 0)
        return err;
    if (!*reader->path || !*reader->link)
        return report_fail(r, -EBADMSG, "a hard link of a directory");
    reader->entry.kind = OCI_ENTRY_HARDLINK;
    reader->entry.link = reader->link;
    return 0;
}

/* Fills reader->entry: 1 when it is to be returned, 0 when it is to be skipped, -errno. */
static int read_entry(struct oci_layer_reader *reader, struct archive_entry *ae, struct report *r)
{
    const char *name = archive_entry_pathname(ae), *hardlink = archive_entry_hardlink(ae);
    struct oci_layer_entry *e = &reader->entry;
    int n = name ? 0 : -ENOMEM;

    *e = (struct oci_layer_entry){.kind = OCI_ENTRY_NODE, .path = reader->path};
    if (n == 0)
        n = clean_path_report(name, reader->path, "path", r);
    if (n == 0)
        n = read_whiteout(e, reader->path, r);
    if (n <= 0 || e->kind != OCI_ENTRY_NODE)
        return n;
    if (hardlink || archive_entry_filetype(ae) == 0) /* 0: a hard link with an empty target */
        n = read_hardlink(reader, hardlink ? hardlink : "", r);
    else
        n = read_node(reader, ae, r);
    return n < 0 ? n : 1;
}

static void start_content(struct oci_layer_reader *reader)
{
    reader->source = tar_guard_entry(reader->guard);
    reader->piece_size = 0;
    reader->stored = 0;
    reader->extent = 0;
    reader->extent_done = 0;
}

/* 1 with reader->entry, 0 at the end, -errno with reader->text. */
static int next_entry(struct oci_layer_reader *reader)
{
    for (;;) {
        struct archive_entry *ae;
        int n = archive_read_next_header(reader->archive, &ae);

        if (n == ARCHIVE_EOF && reader->err == 0)
            return tar_guard_drain(reader->guard, &reader->text);
        if (n != ARCHIVE_OK)
            return archive_failed(reader);
        start_content(reader);
        n = read_entry(reader, ae, &reader->text);
        if (n < 0)
            return tar_guard_context(reader->guard, n, &reader->text);
        if (n > 0)
            return 1;
    }
}

static int fail_again(const struct oci_layer_reader *reader, struct report *r)
{
    if (!report_is_set(&reader->text))
        return report_errno(r, reader->err, "cannot read the layer");
    if (r)
        *r = reader->text;
    return reader->err;
}

int oci_layer_reader_next(
    struct oci_layer_reader *reader, const struct oci_layer_entry **ret_entry, struct report *r)
{
    int n = reader->err;

    if (reader->ended)
        return 0;
    if (n == 0 && !reader->opened)
        n = open_archive(reader);
    if (n == 0)
        n = next_entry(reader);
    if (n < 0) {
        reader->err = n;
        return fail_again(reader, r);
    }
    reader->ended = n == 0;
    *ret_entry = &reader->entry;
    return n;
}

/* ---- contents ---- */

/* Makes piece hold something: 1, 0 at the end of the content, -errno. */
static int next_piece(struct oci_layer_reader *reader)
{
    const void *data;
    int64_t offset;
    int n;

    if (reader->piece_size > 0)
        return 1;
    n = archive_read_data_block(reader->archive, &data, &reader->piece_size, &offset);
    if (n == ARCHIVE_EOF && reader->err == 0) {
        reader->piece_size = 0;
        return 0;
    }
    if (n != ARCHIVE_OK)
        return archive_failed(reader);
    reader->piece = data;
    return 1;
}

/* Cuts what can be returned at once off the piece. */
static size_t place_piece(struct oci_layer_reader *reader, uint64_t *ret_offset)
{
    const struct tar_guard_entry *source = reader->source;
    const struct tar_extent *extent;
    size_t n = reader->piece_size;

    *ret_offset = reader->stored;
    if (source->sparse) {
        extent = &source->extents[reader->extent]; /* the guard saw that they hold all */
        n = (size_t)MIN((uint64_t)n, extent->size - reader->extent_done);
        *ret_offset = extent->offset + reader->extent_done;
        reader->extent_done += n;
        if (reader->extent_done == extent->size) {
            reader->extent++;
            reader->extent_done = 0;
        }
    }
    reader->stored += n;
    return n;
}

int oci_layer_reader_data(struct oci_layer_reader *reader, const uint8_t **ret_data,
    size_t *ret_size, uint64_t *ret_offset, struct report *r)
{
    size_t size;
    int n;

    if (reader->err < 0)
        return fail_again(reader, r);
    if (!reader->source || reader->ended || !S_ISREG(reader->entry.mode))
        return 0;
    n = next_piece(reader);
    if (n < 0) {
        reader->err = n;
        return fail_again(reader, r);
    }
    if (n == 0)
        return 0;
    size = place_piece(reader, ret_offset);
    *ret_data = reader->piece;
    *ret_size = size;
    reader->piece += size;
    reader->piece_size -= size;
    return 1;
}

int oci_layer_reader_new(struct oci_source *tar, const struct oci_layer_limits *limits,
    struct oci_layer_reader **ret_reader)
{
    struct oci_layer_reader *reader = calloc(1, sizeof(*reader));
    int err;

    if (!reader) {
        (void)oci_source_close(tar);
        return -ENOMEM;
    }
    err = tar_guard_new(tar, limits ? limits : &oci_layer_limits_default, &reader->guard);
    if (err < 0) {
        free(reader);
        return err;
    }
    *ret_reader = reader;
    return 0;
}

struct oci_layer_reader *oci_layer_reader_free(struct oci_layer_reader *reader)
{
    if (reader) {
        (void)archive_read_free(reader->archive);
        (void)tar_guard_free(reader->guard);
        free(reader->xattrs);
        free(reader->ranked);
        free(reader);
    }
    return NULL;
}
