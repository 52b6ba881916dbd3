/* SPDX-License-Identifier: Apache-2.0 */
/* The filter in front of libarchive.
 *
 * Tars have four ways to give a long name, four to store a sparse file, three to write a number and
 * no rule what wins, and libarchive decides some of that otherwise than Go's archive/tar, through
 * which layers are made and unpacked elsewhere: it turns names into the locale's charset, takes
 * xattrs from vendor records, gives hard links a body. So each entry's headers are read here, by
 * Go's rules, and passed on in one form:
 *
 *     in    x PAX │ L long name │ K long link │ header │ GNU sparse map… │ content │ padding
 *                 ▼ checked, limits enforced, merged
 *     out   [x: hdrcharset=BINARY, path, linkpath, SCHILY.xattr.*] │ ustar header │ content │
 * padding
 *
 * Numbers go into the header as base-256. A sparse file passes as a file of what is stored of it;
 * its map stays here, and the reader asks for it. Contents pass without being copied.
 *
 * Rules: PAX over header, 'L' and 'K' over PAX, the last 'x' counts. Global headers ('g') are
 * dropped, as Go drops them. Entries of the types that have no content have none, whatever size
 * they claim. Of PAX records only path, linkpath, size, uid, gid, mtime, GNU.sparse.* and
 * SCHILY.xattr.* count: ACLs travel as system.posix_acl_* xattrs. An archive may end without its
 * two zero blocks, but only between entries. */
#include "oci/tar_guard.h"

#include <inttypes.h>
#include <string.h>

#include "oci/tar_format.h"
#include "oci/tar_sparse.h"

enum {
    TEXT_NAME_MAX = 255,
    RAW_NAME_MAX = 2 * OCI_PATH_MAX, /* before "./" and the like are taken out */
    BODY_MAX = 1 << 20,              /* of a PAX header, in libarchive */
};

static const char xattr_prefix[] = "SCHILY.xattr.";

const struct oci_layer_limits oci_layer_limits_default = {
    .max_size = UINT64_C(1) << 40,
    .max_entries = UINT64_C(16) << 20,
    .max_file_size = UINT64_C(1) << 40,
    .max_header = 1 << 20,
};

struct text {
    const char *data; /* NULL: not given */
    size_t size;
};

/* One entry's headers, merged. Texts point into the buffers of the guard. */
struct merged {
    struct tar_header header;
    struct text path, link; /* given in another place than the header */
    int64_t size, uid, gid, mtime, mode, dev_major, dev_minor;
    uint32_t mtime_nsec;
};

struct tar_guard {
    struct oci_source *from;
    struct oci_layer_limits limits;

    const uint8_t *chunk; /* of from, not yet passed on */
    size_t chunk_size;
    uint64_t position; /* bytes taken from chunks */
    uint64_t received; /* bytes in all chunks */
    uint64_t headers;

    struct buf pax, long_name, long_link, scratch; /* bodies; "" when not given */
    bool has_pax, has_name, has_link;
    size_t header_bytes; /* of the current entry's headers */

    struct buf out;   /* headers as they are passed on */
    struct buf name;  /* of the entry, a string */
    uint64_t content; /* bytes of content and padding to pass on */
    struct tar_sparse sparse;
    struct tar_guard_entry entry;
    bool archive_ended;
};

/* ---- taking bytes ---- */

/* Makes chunk hold something: 1, 0 at the end of the stream, -errno. */
static int refill(struct tar_guard *g, struct report *r)
{
    ssize_t n;

    if (g->chunk_size > 0)
        return 1;
    n = oci_source_next(g->from, &g->chunk, r);
    if (n <= 0)
        return (int)n;
    g->chunk_size = (size_t)n;
    g->received += (uint64_t)n;
    if (g->received > g->limits.max_size)
        return report_fail(
            r, -EFBIG, "the tar is larger than the limit of %" PRIu64 " bytes", g->limits.max_size);
    return 1;
}

static size_t take(struct tar_guard *g, uint64_t max, const uint8_t **ret_data)
{
    size_t n = (size_t)MIN(max, (uint64_t)g->chunk_size);

    *ret_data = g->chunk;
    g->chunk += n;
    g->chunk_size -= n;
    g->position += n;
    return n;
}

/* Copies size bytes out: how many there were before the stream's end, or -errno. */
static ssize_t read_bytes(struct tar_guard *g, uint8_t *data, size_t size, struct report *r)
{
    size_t done = 0;

    while (done < size) {
        const uint8_t *from;
        int n = refill(g, r);
        size_t got;

        if (n < 0)
            return n;
        if (n == 0)
            break;
        got = take(g, size - done, &from);
        memcpy(data + done, from, got);
        done += got;
    }
    return (ssize_t)done;
}

/* As read_bytes(), but all must be there. */
static int read_all(struct tar_guard *g, uint8_t *data, size_t size, struct report *r)
{
    ssize_t n = read_bytes(g, data, size, r);

    if (n < 0)
        return (int)n;
    return (size_t)n == size
               ? 0
               : report_fail(r, -EBADMSG, "truncated: the tar ends at byte %" PRIu64, g->position);
}

/* ---- headers ---- */

/* Counts bytes of the entry's headers in, before they are read. */
static int count_header(struct tar_guard *g, uint64_t size, struct report *r)
{
    if (size > g->limits.max_header || g->header_bytes > g->limits.max_header - size)
        return report_fail(
            r, -EFBIG, "headers are larger than the limit of %zu bytes", g->limits.max_header);
    g->header_bytes += (size_t)size;
    return 0;
}

/* The two zero blocks; the second may be missing, but may not be something else. */
static int end_of_archive(struct tar_guard *g, struct report *r)
{
    struct tar_header second;
    ssize_t n = read_bytes(g, (uint8_t *)&second, sizeof(second), r);

    if (n < 0)
        return (int)n;
    if (n > 0 && (n < TAR_BLOCK || !tar_block_is_zero(&second)))
        return report_fail(r, -EBADMSG, "data after a zero block at byte %" PRIu64, g->position);
    return 0;
}

/* The next header block: 1, 0 at the end of the archive, -errno. */
static int read_header(struct tar_guard *g, struct tar_header *h, struct report *r)
{
    uint64_t at = g->position;
    ssize_t n = read_bytes(g, (uint8_t *)h, sizeof(*h), r);

    if (n <= 0)
        return (int)n;
    if (n < TAR_BLOCK)
        return report_fail(
            r, -EBADMSG, "truncated: the tar ends in a header at byte %" PRIu64, g->position);
    if (tar_block_is_zero(h))
        return end_of_archive(g, r);
    if (!tar_checksum_ok(h))
        return at == 0 ? report_fail(r, -EBADMSG, "not a tar (bad header checksum)")
                       : report_fail(r, -EBADMSG, "bad header checksum at byte %" PRIu64, at);
    if (++g->headers > g->limits.max_entries)
        return report_fail(
            r, -EFBIG, "more entries than the limit of %" PRIu64, g->limits.max_entries);
    return 1;
}

/* Reads the body of an extended header as a string. */
static int read_body(
    struct tar_guard *g, const struct tar_header *h, struct buf *body, struct report *r)
{
    int64_t size;
    int err;

    if (tar_number(h->size, sizeof(h->size), &size) < 0 || size < 0)
        return report_fail(r, -EBADMSG, "bad size of an extended header");
    err = count_header(g, (uint64_t)size, r);
    if (err < 0)
        return err;
    body->size = 0;
    if (!buf_extend(body, tar_padded((uint64_t)size) + 1))
        return -ENOMEM;
    err = read_all(g, body->data, tar_padded((uint64_t)size), r);
    body->data[size] = '\0';
    body->size = (size_t)size;
    return err;
}

static int check_global(struct tar_guard *g, struct report *r)
{
    const char *data = (const char *)g->scratch.data;
    size_t size = g->scratch.size;
    struct tar_record record;
    int n;

    while ((n = tar_record_next(&data, &size, &record)) > 0)
        ;
    return n < 0 ? report_fail(r, n, "bad record in a global PAX header") : 0;
}

static int read_extended(struct tar_guard *g, const struct tar_header *h, struct report *r)
{
    int err;

    switch (h->type) {
    case 'x':
        g->has_pax = true;
        return read_body(g, h, &g->pax, r);
    case 'L':
        g->has_name = true;
        return read_body(g, h, &g->long_name, r);
    case 'K':
        g->has_link = true;
        return read_body(g, h, &g->long_link, r);
    default: /* 'g' */
        err = read_body(g, h, &g->scratch, r);
        return err < 0 ? err : check_global(g, r);
    }
}

static bool is_extended(char type)
{
    return type == 'x' || type == 'g' || type == 'L' || type == 'K';
}

/* Reads one entry's headers up to its main one: 1, 0 at the end of the archive, -errno. */
static int read_group(struct tar_guard *g, struct tar_header *h, struct report *r)
{
    g->has_pax = g->has_name = g->has_link = false;
    g->header_bytes = 0;
    for (;;) {
        int n = read_header(g, h, r);

        if (n == 0 && (g->has_pax || g->has_name || g->has_link))
            return report_fail(r, -EBADMSG, "truncated: the tar ends after an extended header");
        if (n <= 0)
            return n;
        n = count_header(g, TAR_BLOCK, r);
        if (n == 0 && !is_extended(h->type))
            return 1;
        if (n == 0)
            n = read_extended(g, h, r);
        if (n < 0)
            return n;
    }
}

/* ---- merging ---- */

static struct text field_text(const char *field, size_t size)
{
    return (struct text){.data = field, .size = strnlen(field, size)};
}

/* Drops what GNU and star writers keep where ustar has the prefix, and makes the header ustar. Some
 * old Go versions wrote GNU headers with a prefix: there it is not a number. */
static void make_ustar(struct tar_header *h)
{
    bool ustar = memcmp(h->magic, "ustar\0", 6) == 0;
    bool gnu = memcmp(h->magic, "ustar  \0", 8) == 0;
    int64_t number;

    if (ustar && memcmp(h->rest + 8, "tar\0", 4) == 0)
        memset(h->prefix + 131, 0, sizeof(h->prefix) - 131);
    if (gnu && tar_number(h->prefix, TAR_GNU_NUMBER, &number) == 0)
        memset(h->prefix, 0, sizeof(h->prefix));
    if (!ustar && !gnu) {
        memset(h->dev_major, 0, sizeof(h->dev_major) + sizeof(h->dev_minor));
        memset(h->prefix, 0, sizeof(h->prefix));
    }
    memset(h->rest, 0, sizeof(h->rest));
    memset(h->user, 0, sizeof(h->user) + sizeof(h->group)); /* numbers count, not names */
    memcpy(h->magic,
        "ustar\0"
        "00",
        sizeof(h->magic));
}

static int header_numbers(struct merged *m, struct report *r)
{
    struct tar_header *h = &m->header;
    bool device = h->type == '3' || h->type == '4';

    if (tar_number(h->mode, sizeof(h->mode), &m->mode) < 0 ||
        tar_number(h->uid, sizeof(h->uid), &m->uid) < 0 ||
        tar_number(h->gid, sizeof(h->gid), &m->gid) < 0 ||
        tar_number(h->size, sizeof(h->size), &m->size) < 0 ||
        tar_number(h->mtime, sizeof(h->mtime), &m->mtime) < 0)
        return report_fail(r, -EBADMSG, "bad number in the header");
    if (device && (tar_number(h->dev_major, sizeof(h->dev_major), &m->dev_major) < 0 ||
                      tar_number(h->dev_minor, sizeof(h->dev_minor), &m->dev_minor) < 0))
        return report_fail(r, -EBADMSG, "bad device number");
    return 0;
}

/* Takes what one PAX record says, but for xattrs. Empty values leave the header's, as in Go. */
static int merge_record(
    struct tar_guard *g, struct merged *m, const struct tar_record *rec, struct report *r)
{
    static const char sparse[] = "GNU.sparse.";
    const char *v = rec->value;
    size_t n = rec->value_size;
    int err = 0;

    if (n == 0)
        return 0;
    if (tar_record_is(rec, "path"))
        m->path = (struct text){v, n};
    else if (tar_record_is(rec, "linkpath"))
        m->link = (struct text){v, n};
    else if (tar_record_is(rec, "size"))
        err = tar_decimal(v, n, &m->size);
    else if (tar_record_is(rec, "uid"))
        err = tar_decimal(v, n, &m->uid);
    else if (tar_record_is(rec, "gid"))
        err = tar_decimal(v, n, &m->gid);
    else if (tar_record_is(rec, "mtime"))
        err = tar_time(v, n, &m->mtime, &m->mtime_nsec);
    else if (rec->key_size > sizeof(sparse) - 1 &&
             memcmp(rec->key, sparse, sizeof(sparse) - 1) == 0)
        err = tar_sparse_record(&g->sparse, rec);
    if (err < 0 && err != -ENOMEM)
        return report_fail(
            r, err, "bad value of PAX record \"%.*s\"", (int)MIN(rec->key_size, 100u), rec->key);
    return err;
}

static int merge_pax(struct tar_guard *g, struct merged *m, struct report *r)
{
    const char *data = (const char *)g->pax.data;
    size_t size = g->has_pax ? g->pax.size : 0;
    struct tar_record record;
    int n;

    while ((n = tar_record_next(&data, &size, &record)) > 0) {
        int err = merge_record(g, m, &record, r);

        if (err < 0)
            return err;
    }
    return n < 0 ? report_fail(r, n, "bad PAX record") : 0;
}

/* An empty 'L' or 'K' says nothing, as in Go. */
static void merge_long_names(struct tar_guard *g, struct merged *m)
{
    struct text name =
        g->has_name ? field_text((char *)g->long_name.data, g->long_name.size) : (struct text){0};
    struct text link =
        g->has_link ? field_text((char *)g->long_link.data, g->long_link.size) : (struct text){0};

    if (name.size > 0)
        m->path = name;
    if (link.size > 0)
        m->link = link;
}

/* The entry's name as the tar has it, into g->name. */
static int effective_name(struct tar_guard *g, const struct merged *m)
{
    struct text prefix = field_text(m->header.prefix, sizeof(m->header.prefix));
    struct text name = field_text(m->header.name, sizeof(m->header.name));
    int err = 0;

    g->name.size = 0;
    if (m->path.data)
        name = m->path;
    else if (prefix.size > 0)
        err = buf_append(&g->name, prefix.data, prefix.size);
    if (err == 0 && g->name.size > 0)
        err = buf_append(&g->name, "/", 1);
    if (err == 0)
        err = buf_append(&g->name, name.data, name.size);
    if (err == 0)
        err = buf_append(&g->name, "", 1);
    if (err == 0)
        g->name.size--;
    g->entry.name = (const char *)g->name.data;
    return err;
}

/* Old tars mark directories by a slash; elsewhere it must not make one of a file with content. */
static void settle_type(struct tar_guard *g, struct merged *m)
{
    size_t n = g->name.size;
    bool slash = n > 0 && g->name.data[n - 1] == '/';
    char *type = &m->header.type;

    if (*type == '\0')
        *type = slash ? '5' : '0';
    if (*type == '7' || *type == 'S')
        *type = '0';
    if (*type != '0' || !slash)
        return;
    while (n > 1 && g->name.data[n - 1] == '/')
        n--;
    m->path = (struct text){(char *)g->name.data, n};
    if (n == 1 && g->name.data[0] == '/')
        m->path = (struct text){".", 1};
}

static int check_type(const struct merged *m, struct report *r)
{
    char type = m->header.type;

    bool gnu = memcmp(m->header.magic, "ustar  ", 8) == 0;

    if (type == '\0' || (type >= '0' && type <= '7') || (type == 'S' && gnu))
        return 0;
    return report_fail(r, -EBADMSG,
        type > ' ' && type < 0x7f ? "unknown type '%c'" : "unknown type %#x", (unsigned char)type);
}

static int check_numbers(const struct tar_guard *g, const struct merged *m, struct report *r)
{
    if (m->uid < 0 || m->uid >= UINT32_MAX || m->gid < 0 || m->gid >= UINT32_MAX)
        return report_fail(
            r, -EBADMSG, "owner %" PRId64 ":%" PRId64 " is out of range", m->uid, m->gid);
    if (m->dev_major < 0 || m->dev_major > UINT32_MAX || m->dev_minor < 0 ||
        m->dev_minor > UINT32_MAX)
        return report_fail(r, -EBADMSG, "device number is out of range");
    if (m->size < 0)
        return report_fail(r, -EBADMSG, "negative size");
    if ((uint64_t)m->size > g->limits.max_file_size || m->size > INT64_MAX - TAR_BLOCK)
        return report_fail(r, -EFBIG, "%" PRId64 " bytes are over the limit of %" PRIu64, m->size,
            g->limits.max_file_size);
    if (m->path.size > RAW_NAME_MAX || m->link.size > RAW_NAME_MAX)
        return report_fail(r, -ENAMETOOLONG, "name of %zu bytes", MAX(m->path.size, m->link.size));
    return 0;
}

/* ---- sparse files ---- */

/* Reads the extension blocks of an old GNU sparse header. */
static int read_old_sparse(struct tar_guard *g, const struct tar_header *h, struct report *r)
{
    const char *block = (const char *)h;
    char ext[TAR_BLOCK];
    bool more = block[TAR_GNU_EXTENDED] != 0;
    int err = tar_sparse_old(&g->sparse, block + TAR_GNU_SPARSE, TAR_GNU_SPARSE_COUNT);

    if (err == 0)
        err = tar_sparse_old_size(&g->sparse, block + TAR_GNU_REALSIZE);
    while (err == 0 && more) {
        err = count_header(g, TAR_BLOCK, r);
        if (err == 0)
            err = read_all(g, (uint8_t *)ext, sizeof(ext), r);
        if (err < 0)
            return err;
        err = tar_sparse_old(&g->sparse, ext, TAR_GNU_EXT_COUNT);
        more = ext[TAR_GNU_EXT_EXTENDED] != 0;
    }
    return err == -EBADMSG ? report_fail(r, err, "bad sparse map") : err;
}

/* Reads the map that PAX 1.0 puts in front of the content, which becomes shorter by it. */
static int read_inner_map(struct tar_guard *g, struct merged *m, struct report *r)
{
    int n;

    do {
        char block[TAR_BLOCK];

        if (m->size < TAR_BLOCK)
            return report_fail(r, -EBADMSG, "sparse map is longer than the content");
        n = count_header(g, TAR_BLOCK, r);
        if (n == 0)
            n = read_all(g, (uint8_t *)block, sizeof(block), r);
        if (n < 0)
            return n;
        m->size -= TAR_BLOCK;
        n = tar_sparse_text(&g->sparse, block, sizeof(block));
    } while (n == 0);
    return n == -EBADMSG ? report_fail(r, n, "bad sparse map") : MIN(n, 0);
}

/* After the numbers: reads the map where it stands, and checks it against the file. */
static int settle_sparse(
    struct tar_guard *g, struct merged *m, const struct tar_header *old_gnu, struct report *r)
{
    struct tar_sparse *s = &g->sparse;
    int err = 0;

    if (old_gnu)
        err = read_old_sparse(g, old_gnu, r);
    else if (s->inner_map)
        err = read_inner_map(g, m, r);
    if (err < 0 || !(old_gnu || s->is_sparse))
        return err;
    if (m->header.type != '0' || !tar_sparse_valid(s, (uint64_t)m->size))
        return report_fail(r, -EBADMSG, "sparse map does not fit the file");
    if (s->size > g->limits.max_file_size)
        return report_fail(r, -EFBIG, "%" PRIu64 " bytes are over the limit of %" PRIu64, s->size,
            g->limits.max_file_size);
    g->entry.sparse = true;
    g->entry.extents = s->extents;
    g->entry.extent_count = s->count;
    g->entry.size = s->size;
    return 0;
}

/* ---- passing on ---- */

static int append_xattr(struct tar_guard *g, const struct tar_record *record, struct report *r)
{
    size_t prefix = sizeof(xattr_prefix) - 1, name = record->key_size - prefix;

    if (name == 0 || name > OCI_XATTR_NAME_MAX)
        return report_fail(r, -EBADMSG, "xattr name of %zu bytes", name);
    if (record->value_size > OCI_XATTR_SIZE_MAX)
        return report_fail(r, -EFBIG, "xattr \"%.*s\" of %zu bytes", (int)name,
            record->key + prefix, record->value_size);
    return tar_record_append(
        &g->out, "", record->key, record->key_size, record->value, record->value_size);
}

static int append_xattrs(struct tar_guard *g, struct report *r)
{
    const char *data = (const char *)g->pax.data;
    size_t size = g->has_pax ? g->pax.size : 0;
    struct tar_record record;

    while (tar_record_next(&data, &size, &record) > 0) {
        int err = 0;

        if (record.key_size >= sizeof(xattr_prefix) - 1 &&
            memcmp(record.key, xattr_prefix, sizeof(xattr_prefix) - 1) == 0)
            err = append_xattr(g, &record, r);
        if (err < 0)
            return err;
    }
    return 0;
}

static int append_records(struct tar_guard *g, const struct merged *m, struct report *r)
{
    static const char charset[] = "hdrcharset", path[] = "path", link[] = "linkpath";
    int err = tar_record_append(&g->out, "", charset, sizeof(charset) - 1, "BINARY", 6);

    if (err == 0 && m->path.data)
        err = tar_record_append(&g->out, "", path, sizeof(path) - 1, m->path.data, m->path.size);
    if (err == 0 && m->link.data)
        err = tar_record_append(&g->out, "", link, sizeof(link) - 1, m->link.data, m->link.size);
    return err == 0 ? append_xattrs(g, r) : err;
}

/* Puts a PAX header and its records in front, where there is anything to say in one. */
static int emit_pax(struct tar_guard *g, const struct merged *m, struct report *r)
{
    struct tar_header *h;
    size_t body;
    int err;

    if (!g->has_pax && !m->path.data && !m->link.data)
        return 0;
    if (!buf_extend(&g->out, TAR_BLOCK))
        return -ENOMEM;
    err = append_records(g, m, r);
    if (err < 0)
        return err;
    body = g->out.size - TAR_BLOCK;
    if (body > BODY_MAX)
        return report_fail(r, -EFBIG, "headers are larger than %d bytes", BODY_MAX);
    if (!buf_extend(&g->out, tar_padded(body) - body) && tar_padded(body) != body)
        return -ENOMEM;
    h = (struct tar_header *)g->out.data;
    memcpy(h->name, "PaxHeader", 10);
    (void)tar_put_octal(h->mode, sizeof(h->mode), 0644);
    (void)tar_put_octal(h->size, sizeof(h->size), body);
    memcpy(h->magic,
        "ustar\0"
        "00",
        sizeof(h->magic));
    h->type = 'x';
    tar_checksum_set(h);
    return 0;
}

static int emit_header(struct tar_guard *g, struct merged *m)
{
    struct tar_header *h = &m->header;
    bool device = h->type == '3' || h->type == '4';

    (void)tar_put_octal(h->mode, sizeof(h->mode), (uint64_t)m->mode & 07777);
    tar_put_binary(h->uid, sizeof(h->uid), m->uid);
    tar_put_binary(h->gid, sizeof(h->gid), m->gid);
    tar_put_binary(h->size, sizeof(h->size), m->size);
    tar_put_binary(h->mtime, sizeof(h->mtime), m->mtime);
    tar_put_binary(h->dev_major, sizeof(h->dev_major), device ? m->dev_major : 0);
    tar_put_binary(h->dev_minor, sizeof(h->dev_minor), device ? m->dev_minor : 0);
    tar_checksum_set(h);
    g->content = tar_padded((uint64_t)m->size);
    return buf_append(&g->out, h, sizeof(*h));
}

/* Merges the headers that were read, all but a map that is not in them. */
static int merge_headers(struct tar_guard *g, struct merged *m, bool old_gnu, struct report *r)
{
    int err;

    tar_sparse_reset(&g->sparse);
    make_ustar(&m->header);
    err = header_numbers(m, r);
    if (err == 0)
        err = merge_pax(g, m, r);
    if (err < 0)
        return err;
    if (old_gnu)
        tar_sparse_reset(&g->sparse);
    else if (tar_sparse_settle(&g->sparse) < 0)
        return report_fail(r, -EBADMSG, "unknown or bad sparse format");
    merge_long_names(g, m);
    if (g->sparse.is_sparse && g->sparse.name)
        m->path = (struct text){g->sparse.name, g->sparse.name_size};
    return effective_name(g, m);
}

/* Only links have a target: libarchive would make a hard link of a file that has one. And it takes
 * a PAX one for a hard link's when a symbolic link's header has none. */
static void settle_link(struct merged *m)
{
    struct tar_header *h = &m->header;

    if (h->type != '1' && h->type != '2') {
        m->link = (struct text){0};
        memset(h->link, 0, sizeof(h->link));
    } else if (m->link.data) {
        memset(h->link, 0, sizeof(h->link));
        memcpy(h->link, m->link.data, MIN(m->link.size, sizeof(h->link)));
    }
}

/* Makes g->out of the headers that were read. */
static int make_entry(struct tar_guard *g, struct merged *m, struct report *r)
{
    struct tar_header original = m->header;
    bool old_gnu = original.type == 'S' && memcmp(original.magic, "ustar  ", 8) == 0;
    int err = check_type(m, r);

    if (err == 0)
        err = merge_headers(g, m, old_gnu, r);
    if (err < 0)
        return err;
    settle_type(g, m);
    settle_link(m);
    if (m->header.type != '0')
        m->size = 0;
    err = check_numbers(g, m, r);
    g->entry.size = (uint64_t)MAX(m->size, 0);
    g->entry.mtime_nsec = m->mtime_nsec;
    if (err == 0)
        err = settle_sparse(g, m, old_gnu ? &original : NULL, r);
    if (err == 0)
        err = emit_pax(g, m, r);
    return err == 0 ? emit_header(g, m) : err;
}

/* The end of the plain tar, which always has its two blocks: libarchive knows no empty tar. */
static ssize_t emit_end(struct tar_guard *g)
{
    g->archive_ended = true;
    return buf_extend(&g->out, (size_t)2 * TAR_BLOCK) ? 0 : -ENOMEM;
}

int tar_guard_context(const struct tar_guard *g, int err, struct report *r)
{
    const char *name = g->entry.name;
    int shown = (int)MIN(strlen(name), (size_t)TEXT_NAME_MAX);

    return *name ? report_context(r, err, "entry \"%.*s%s\"", shown, name, name[shown] ? "…" : "")
                 : err;
}

/* Names the entry that something was found wrong with, as far as its name is known. */
static int name_failure(struct tar_guard *g, const struct merged *m, int err, struct report *r)
{
    if (!*g->entry.name && effective_name(g, m) < 0)
        return err;
    return tar_guard_context(g, err, r);
}

static ssize_t next_headers(struct tar_guard *g, const uint8_t **ret_data, struct report *r)
{
    struct merged m = {0};
    ssize_t err;
    int n = read_group(g, &m.header, r);

    if (n < 0)
        return n;
    g->out.size = 0;
    g->entry = (struct tar_guard_entry){.name = ""};
    err = n == 0 ? emit_end(g) : make_entry(g, &m, r);
    if (err < 0)
        return name_failure(g, &m, (int)err, r);
    *ret_data = g->out.data;
    return (ssize_t)g->out.size;
}

static ssize_t next_content(struct tar_guard *g, const uint8_t **ret_data, struct report *r)
{
    int err = refill(g, r);
    size_t n;

    if (err == 0) {
        err = report_fail(r, -EBADMSG, "truncated: the tar ends at byte %" PRIu64, g->position);
        return tar_guard_context(g, err, r);
    }
    if (err < 0)
        return err;
    n = take(g, g->content, ret_data);
    g->content -= n;
    return (ssize_t)n;
}

ssize_t tar_guard_next(struct tar_guard *g, const uint8_t **ret_data, struct report *r)
{
    if (g->content > 0)
        return next_content(g, ret_data, r);
    return g->archive_ended ? 0 : next_headers(g, ret_data, r);
}

const struct tar_guard_entry *tar_guard_entry(const struct tar_guard *g)
{
    return &g->entry;
}

int tar_guard_drain(struct tar_guard *g, struct report *r)
{
    int n;

    while ((n = refill(g, r)) > 0)
        g->chunk_size = 0;
    return n;
}

int tar_guard_new(
    struct oci_source *tar, const struct oci_layer_limits *limits, struct tar_guard **ret_guard)
{
    struct tar_guard *g = calloc(1, sizeof(*g));

    if (!g) {
        (void)oci_source_close(tar);
        return -ENOMEM;
    }
    g->from = tar;
    g->limits = *limits;
    *ret_guard = g;
    return 0;
}

struct tar_guard *tar_guard_free(struct tar_guard *g)
{
    if (g) {
        (void)oci_source_close(g->from);
        buf_deinit(&g->pax);
        buf_deinit(&g->long_name);
        buf_deinit(&g->long_link);
        buf_deinit(&g->scratch);
        buf_deinit(&g->out);
        buf_deinit(&g->name);
        tar_sparse_deinit(&g->sparse);
        free(g);
    }
    return NULL;
}
