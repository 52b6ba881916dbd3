/* SPDX-License-Identifier: Apache-2.0 */
/* One entry's headers.
 *
 * Written by hand, though libarchive can write PAX: it decides itself when an extended header is
 * needed, and leaves sub-second times out where nothing else needs one. Here the bytes are a
 * function of the entry alone:
 *
 *   - what fits into ustar stands in ustar; names there are bytes without a charset,
 *   - else records in this order: hdrcharset=BINARY (before names that are not UTF-8), path,
 *     linkpath, size, uid, gid, mtime, GNU.sparse.*, SCHILY.xattr.* by name,
 *   - sparse files are PAX 1.0, the one form that GNU tar, Go and libarchive all read, and that
 *     keeps the content where other readers find it. */
#include "oci/tar_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "oci/tar_format.h"

static int put_record(struct buf *b, const char *key, const char *value, size_t size)
{
    return tar_record_append(b, "", key, strlen(key), value, size);
}

static int put_number(struct buf *b, const char *key, int64_t value)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%" PRId64, value);

    return put_record(b, key, text, (size_t)n);
}

/* Bytes of the UTF-8 sequence that starts at s, 0 when it is not valid. */
static size_t utf8_size(const uint8_t *s)
{
    static const struct {
        uint8_t first, last, second_min, second_max, size;
    } rows[] = {
        {0x01, 0x7f, 0, 0, 1},
        {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3},
        {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (s[0] < rows[i].first || s[0] > rows[i].last)
            continue;
        if (rows[i].size > 1 && (s[1] < rows[i].second_min || s[1] > rows[i].second_max))
            return 0;
        for (size_t k = 2; k < rows[i].size; k++)
            if ((s[k] & 0xc0) != 0x80)
                return 0;
        return rows[i].size;
    }
    return 0;
}

static bool is_utf8(const char *text)
{
    const uint8_t *s = (const uint8_t *)text;

    while (*s) {
        size_t n = utf8_size(s);

        if (n == 0)
            return false;
        s += n;
    }
    return true;
}

/* Puts path into name, or into prefix and name cut at a slash. */
static bool put_path(struct tar_header *h, const char *path)
{
    size_t size = strlen(path), cut;

    if (size <= sizeof(h->name)) {
        memcpy(h->name, path, size);
        return true;
    }
    for (cut = MIN(size - 2, sizeof(h->prefix)); cut > 0 && path[cut] != '/'; cut--)
        ;
    if (cut == 0 || size - cut - 1 > sizeof(h->name)) {
        memcpy(h->name, path, sizeof(h->name)); /* for readers that know no PAX */
        return false;
    }
    memcpy(h->prefix, path, cut);
    memcpy(h->name, path + cut + 1, size - cut - 1);
    return true;
}

static bool put_link(struct tar_header *h, const char *link)
{
    size_t size = strlen(link);

    memcpy(h->link, link, MIN(size, sizeof(h->link)));
    return size <= sizeof(h->link);
}

static void put_magic(struct tar_header *h)
{
    static const char magic[8] = {'u', 's', 't', 'a', 'r', '\0', '0', '0'};

    memcpy(h->magic, magic, sizeof(magic));
}

static const char *base_name(const char *path)
{
    size_t n = strlen(path);

    while (n > 0 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    return path + n;
}

/* ---- sparse files ---- */

static uint64_t stored_size(const struct tar_entry *e)
{
    uint64_t sum = 0;

    if (!e->sparse)
        return e->size;
    for (size_t i = 0; i < e->extent_count; i++)
        sum += e->extents[i].size;
    return sum;
}

/* The number of extents, then offset and size of each; padded to a block. An empty one ends a file
 * that ends with a hole: GNU tar takes the size from there. */
static int make_map(const struct tar_entry *e, struct buf *map)
{
    const struct tar_extent *last = e->extent_count ? &e->extents[e->extent_count - 1] : NULL;
    bool ends_in_hole = !last || last->offset + last->size < e->size;
    int err = buf_printf(map, "%zu\n", e->extent_count + ends_in_hole);

    for (size_t i = 0; i < e->extent_count && err == 0; i++)
        err =
            buf_printf(map, "%" PRIu64 "\n%" PRIu64 "\n", e->extents[i].offset, e->extents[i].size);
    if (err == 0 && ends_in_hole)
        err = buf_printf(map, "%" PRIu64 "\n0\n", e->size);
    return err == 0 ? buf_align(map, TAR_BLOCK) : err;
}

static int sparse_records(struct buf *b, const struct tar_entry *e)
{
    int err = put_record(b, "GNU.sparse.major", "1", 1);

    if (err == 0)
        err = put_record(b, "GNU.sparse.minor", "0", 1);
    if (err == 0)
        err = put_record(b, "GNU.sparse.name", e->path, strlen(e->path));
    return err == 0 ? put_number(b, "GNU.sparse.realsize", (int64_t)e->size) : err;
}

/* ---- headers ---- */

static int xattr_records(struct buf *b, const struct tar_entry *e)
{
    for (size_t i = 0; i < e->xattr_count; i++) {
        const struct oci_xattr *x = &e->xattrs[i];
        int err;

        if (strchr(x->name, '='))
            return -EINVAL;
        err = tar_record_append(b, "SCHILY.xattr.", x->name, strlen(x->name), x->value, x->size);
        if (err < 0)
            return err;
    }
    return 0;
}

static int name_records(struct buf *b, const struct tar_entry *e, bool path_fits, bool link_fits)
{
    bool path = !path_fits && !e->sparse, link = !link_fits;
    int err = 0;

    if (((path || e->sparse) && !is_utf8(e->path)) || (link && !is_utf8(e->link)))
        err = put_record(b, "hdrcharset", "BINARY", 6);
    if (err == 0 && path)
        err = put_record(b, "path", e->path, strlen(e->path));
    if (err == 0 && link)
        err = put_record(b, "linkpath", e->link, strlen(e->link));
    return err;
}

static int time_record(struct buf *b, const struct tar_entry *e)
{
    int64_t sec = e->mtime_sec;
    uint32_t nsec = e->mtime_nsec;
    char text[48];
    int n;

    if (nsec == 0)
        return put_number(b, "mtime", sec);
    if (sec < 0) { /* 750 ms after second -2 is -1.25 */
        sec++;
        nsec = 1000000000 - nsec;
    }
    n = snprintf(text, sizeof(text), "%s%" PRId64 ".%09u", e->mtime_sec < 0 && sec == 0 ? "-" : "",
        sec, nsec);
    while (text[n - 1] == '0')
        n--;
    return put_record(b, "mtime", text, (size_t)n);
}

/* Fills the header's numbers, and makes records of those that do not fit. */
static int put_numbers(
    struct tar_header *h, const struct tar_entry *e, uint64_t stored, struct buf *records)
{
    int err = 0;

    (void)tar_put_octal(h->mode, sizeof(h->mode), e->mode & 07777);
    if (tar_put_octal(h->size, sizeof(h->size), stored) < 0)
        err = put_number(records, "size", (int64_t)stored);
    if (tar_put_octal(h->uid, sizeof(h->uid), e->uid) < 0 && err == 0)
        err = put_number(records, "uid", e->uid);
    if (tar_put_octal(h->gid, sizeof(h->gid), e->gid) < 0 && err == 0)
        err = put_number(records, "gid", e->gid);
    if ((tar_put_octal(h->mtime, sizeof(h->mtime), (uint64_t)e->mtime_sec) < 0 || e->mtime_nsec) &&
        err == 0)
        err = time_record(records, e);
    if (tar_put_octal(h->dev_major, sizeof(h->dev_major), e->dev_major) < 0)
        tar_put_binary(h->dev_major, sizeof(h->dev_major), e->dev_major);
    if (tar_put_octal(h->dev_minor, sizeof(h->dev_minor), e->dev_minor) < 0)
        tar_put_binary(h->dev_minor, sizeof(h->dev_minor), e->dev_minor);
    return err;
}

static int fill_header(
    struct tar_header *h, const struct tar_entry *e, uint64_t stored, struct buf *records)
{
    bool path_fits, link_fits;
    char name[sizeof(h->name) + 1];
    int err;

    if (e->sparse) {
        (void)snprintf(name, sizeof(name), "GNUSparseFile.0/%s", base_name(e->path));
        path_fits = put_path(h, name);
    } else {
        path_fits = put_path(h, e->path);
    }
    link_fits = !e->link || put_link(h, e->link);
    h->type = e->type;
    put_magic(h);
    err = name_records(records, e, path_fits, link_fits);
    if (err == 0)
        err = put_numbers(h, e, stored, records);
    if (err == 0 && e->sparse)
        err = sparse_records(records, e);
    if (err == 0)
        err = xattr_records(records, e);
    tar_checksum_set(h);
    return err;
}

/* The extended header; everything in its own header but name and size is fixed. */
static int append_pax(struct buf *out, const struct tar_entry *e, struct buf *records)
{
    struct tar_header h = {.type = 'x'};
    char name[sizeof(h.name) + 1];
    int err;

    (void)snprintf(name, sizeof(name), "PaxHeaders.0/%s", base_name(e->path));
    (void)put_path(&h, name);
    put_magic(&h);
    (void)tar_put_octal(h.mode, sizeof(h.mode), 0644);
    (void)tar_put_octal(h.uid, sizeof(h.uid), 0);
    (void)tar_put_octal(h.gid, sizeof(h.gid), 0);
    (void)tar_put_octal(h.size, sizeof(h.size), records->size);
    (void)tar_put_octal(h.mtime, sizeof(h.mtime), 0);
    tar_checksum_set(&h);
    err = buf_align(records, TAR_BLOCK);
    if (err == 0)
        err = buf_append(out, &h, sizeof(h));
    return err == 0 ? buf_append(out, records->data, records->size) : err;
}

int tar_write_headers(struct buf *out, const struct tar_entry *e)
{
    _cleanup_(buf_deinit) struct buf records = {0};
    _cleanup_(buf_deinit) struct buf map = {0};
    struct tar_header h = {0};
    int err = e->sparse ? make_map(e, &map) : 0;

    if (err == 0)
        err = fill_header(&h, e, map.size + stored_size(e), &records);
    if (err == 0 && records.size > 0)
        err = append_pax(out, e, &records);
    if (err == 0)
        err = buf_append(out, &h, sizeof(h));
    return err == 0 ? buf_append(out, map.data, map.size) : err;
}
