/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of bytes that are pulled. */
#include "oci/source.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "oci/util/io.h"

enum { FILE_CHUNK = 256 << 10 };

ssize_t oci_source_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    return s->ops->next(s, ret_data, r);
}

struct oci_source *oci_source_close(struct oci_source *s)
{
    if (s) {
        int saved = errno;

        s->ops->close(s);
        errno = saved;
    }
    return NULL;
}

/* What each stage that can fail by itself carries: the failure is repeated at further calls. */
struct sticky {
    int err;
    struct report text;
};

static ssize_t sticky_keep(struct sticky *st, ssize_t n, const struct report *r)
{
    if (n < 0 && st->err == 0) {
        st->err = (int)n;
        if (r)
            st->text = *r;
    }
    return n;
}

static ssize_t sticky_again(const struct sticky *st, struct report *r)
{
    if (r)
        *r = st->text;
    return st->err;
}

/* ---- file ---- */

struct file_source {
    struct oci_source source;
    int fd;
    bool pipe; /* cannot be read at an offset */
    uint64_t offset;
    uint64_t left; /* UINT64_MAX: to the end of the file */
    struct sticky sticky;
    uint8_t chunk[FILE_CHUNK];
};

static ssize_t file_read(struct file_source *f, size_t want, struct report *r)
{
    ssize_t n;

    n = f->pipe ? io_read_full(f->fd, f->chunk, want)
                : io_pread_full(f->fd, f->chunk, want, (off_t)f->offset);
    if (n < 0)
        return report_errno(r, (int)n, "cannot read at offset %" PRIu64, f->offset);
    if (n == 0 && f->left != UINT64_MAX)
        return report_fail(r, -EBADMSG,
            "truncated: %" PRIu64 " bytes are missing at offset %" PRIu64, f->left, f->offset);
    return n;
}

static ssize_t file_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct file_source *f = (struct file_source *)s;
    ssize_t n;

    if (f->sticky.err)
        return sticky_again(&f->sticky, r);
    if (f->left == 0)
        return 0;
    n = file_read(f, (size_t)MIN(f->left, (uint64_t)FILE_CHUNK), r);
    if (n <= 0)
        return sticky_keep(&f->sticky, n, r);
    f->offset += (uint64_t)n;
    if (f->left != UINT64_MAX)
        f->left -= (uint64_t)n;
    *ret_data = f->chunk;
    return n;
}

static void file_close(struct oci_source *s)
{
    struct file_source *f = (struct file_source *)s;

    (void)fd_close(f->fd);
    free(f);
}

static const struct oci_source_ops file_ops = {.next = file_next, .close = file_close};

int oci_source_file(int fd, uint64_t offset, uint64_t size, struct oci_source **ret_source)
{
    struct file_source *f = NULL;

    if (offset <= INT64_MAX)
        f = malloc(sizeof(*f)); /* not calloc: the chunk's pages are touched when they are read */
    if (!f) {
        (void)fd_close(fd);
        return offset <= INT64_MAX ? -ENOMEM : -EINVAL;
    }
    f->source.ops = &file_ops;
    f->fd = fd;
    f->pipe = offset == 0 && lseek(fd, 0, SEEK_CUR) < 0 && errno == ESPIPE;
    f->offset = offset;
    f->left = size;
    f->sticky = (struct sticky){0};
    (void)posix_fadvise(fd, (off_t)offset, 0, POSIX_FADV_SEQUENTIAL);
    *ret_source = &f->source;
    return 0;
}

/* ---- memory ---- */

struct memory_source {
    struct oci_source source;
    const uint8_t *data;
    size_t size;
};

static ssize_t memory_next(
    struct oci_source *s, const uint8_t **ret_data, _unused_ struct report *r)
{
    struct memory_source *m = (struct memory_source *)s;
    size_t n = MIN(m->size, (size_t)SSIZE_MAX);

    *ret_data = m->data;
    m->data += n;
    m->size -= n;
    return (ssize_t)n;
}

static void memory_close(struct oci_source *s)
{
    free(s);
}

static const struct oci_source_ops memory_ops = {.next = memory_next, .close = memory_close};

int oci_source_memory(const void *data, size_t size, struct oci_source **ret_source)
{
    struct memory_source *m = calloc(1, sizeof(*m));

    if (!m)
        return -ENOMEM;
    m->source.ops = &memory_ops;
    m->data = size ? data : (const uint8_t *)"";
    m->size = size;
    *ret_source = &m->source;
    return 0;
}

/* ---- tee ---- */

struct tee_source {
    struct oci_source source;
    struct oci_source *from;
    oci_sink_fn sink;
    void *userdata;
    struct sticky sticky;
};

static ssize_t tee_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct tee_source *t = (struct tee_source *)s;
    const uint8_t *data;
    ssize_t n;
    int err;

    if (t->sticky.err)
        return sticky_again(&t->sticky, r);
    n = oci_source_next(t->from, &data, r);
    if (n > 0) {
        err = t->sink(t->userdata, data, (size_t)n, r);
        n = err < 0 ? err : n;
    }
    if (n > 0)
        *ret_data = data;
    return sticky_keep(&t->sticky, n, r);
}

static void tee_close(struct oci_source *s)
{
    struct tee_source *t = (struct tee_source *)s;

    (void)oci_source_close(t->from);
    free(t);
}

static const struct oci_source_ops tee_ops = {.next = tee_next, .close = tee_close};

int oci_source_tee(
    struct oci_source *from, oci_sink_fn sink, void *userdata, struct oci_source **ret_source)
{
    struct tee_source *t = calloc(1, sizeof(*t));

    if (!t) {
        (void)oci_source_close(from);
        return -ENOMEM;
    }
    t->source.ops = &tee_ops;
    t->from = from;
    t->sink = sink;
    t->userdata = userdata;
    *ret_source = &t->source;
    return 0;
}

/* ---- concat ---- */

struct concat_source {
    struct oci_source source;
    struct oci_source *from, *then; /* then NULL: from is the second */
};

static ssize_t concat_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct concat_source *c = (struct concat_source *)s;
    ssize_t n = oci_source_next(c->from, ret_data, r);

    if (n != 0 || !c->then)
        return n;
    (void)oci_source_close(c->from);
    c->from = TAKE_PTR(c->then);
    return oci_source_next(c->from, ret_data, r);
}

static void concat_close(struct oci_source *s)
{
    struct concat_source *c = (struct concat_source *)s;

    (void)oci_source_close(c->from);
    (void)oci_source_close(c->then);
    free(c);
}

static const struct oci_source_ops concat_ops = {.next = concat_next, .close = concat_close};

int oci_source_concat(
    struct oci_source *first, struct oci_source *second, struct oci_source **ret_source)
{
    struct concat_source *c = calloc(1, sizeof(*c));

    if (!c) {
        (void)oci_source_close(first);
        (void)oci_source_close(second);
        return -ENOMEM;
    }
    c->source.ops = &concat_ops;
    c->from = first;
    c->then = second;
    *ret_source = &c->source;
    return 0;
}

/* ---- verify ---- */

struct verify_source {
    struct oci_source source;
    struct oci_source *from;
    struct oci_hash *hash;
    char *what;
    uint64_t expect_size, size;
    struct oci_digest expect;
    struct oci_digest *ret_digest; /* borrowed, may be NULL */
    bool ended;
    struct sticky sticky;
};

static ssize_t verify_chunk(
    struct verify_source *v, const uint8_t *data, size_t size, struct report *r)
{
    int err;

    v->size += size;
    if (v->size > v->expect_size)
        return report_fail(r, -EBADMSG,
            "%s: size differs (expected %" PRIu64 ", got at least %" PRIu64 ")", v->what,
            v->expect_size, v->size);
    err = oci_hash_update(v->hash, data, size);
    return err < 0 ? report_errno(r, err, "%s: cannot hash", v->what) : (ssize_t)size;
}

static ssize_t verify_end(struct verify_source *v, struct report *r)
{
    char expected[OCI_DIGEST_STR_MAX], got[OCI_DIGEST_STR_MAX];
    struct oci_digest digest;
    int err;

    if (v->expect_size != UINT64_MAX && v->size != v->expect_size)
        return report_fail(r, -EBADMSG, "%s: size differs (expected %" PRIu64 ", got %" PRIu64 ")",
            v->what, v->expect_size, v->size);
    err = oci_hash_final(v->hash, &digest);
    if (err < 0)
        return report_errno(r, err, "%s: cannot hash", v->what);
    if (v->expect.alg != OCI_DIGEST_NONE && !oci_digest_equal(&v->expect, &digest))
        return report_fail(r, -EBADMSG, "%s: digest mismatch (expected %s, got %s)", v->what,
            oci_digest_format(&v->expect, expected), oci_digest_format(&digest, got));
    if (v->ret_digest)
        *v->ret_digest = digest;
    v->ended = true;
    return 0;
}

static ssize_t verify_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct verify_source *v = (struct verify_source *)s;
    const uint8_t *data;
    ssize_t n;

    if (v->sticky.err)
        return sticky_again(&v->sticky, r);
    if (v->ended)
        return 0;
    n = oci_source_next(v->from, &data, r);
    if (n > 0)
        n = verify_chunk(v, data, (size_t)n, r);
    else if (n == 0)
        n = verify_end(v, r);
    if (n > 0)
        *ret_data = data;
    return sticky_keep(&v->sticky, n, r);
}

static void verify_close(struct oci_source *s)
{
    struct verify_source *v = (struct verify_source *)s;

    (void)oci_source_close(v->from);
    (void)oci_hash_free(v->hash);
    free(v->what);
    free(v);
}

static const struct oci_source_ops verify_ops = {.next = verify_next, .close = verify_close};

int oci_source_verify(struct oci_source *from, const char *what, uint64_t expect_size,
    const struct oci_digest *expect, struct oci_digest *ret_digest, struct oci_source **ret_source)
{
    struct verify_source *v = calloc(1, sizeof(*v));
    int err = v ? 0 : -ENOMEM;

    if (v) {
        v->source.ops = &verify_ops;
        v->from = from;
        v->expect_size = expect_size;
        v->expect = expect ? *expect : (struct oci_digest){0};
        v->ret_digest = ret_digest;
        v->what = strdup(what);
        err = v->what ? oci_hash_new(v->expect.alg ? v->expect.alg : OCI_DIGEST_SHA256, &v->hash)
                      : -ENOMEM;
    }
    if (err < 0) {
        (void)oci_source_close(v ? &v->source : from);
        return err;
    }
    *ret_source = &v->source;
    return 0;
}

/* ---- limit ---- */

struct limit_source {
    struct oci_source source;
    struct oci_source *from;
    char *what;
    uint64_t limit, left;
    struct sticky sticky;
};

static ssize_t limit_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct limit_source *l = (struct limit_source *)s;
    const uint8_t *data;
    ssize_t n;

    if (l->sticky.err)
        return sticky_again(&l->sticky, r);
    n = oci_source_next(l->from, &data, r);
    if (n > 0 && (uint64_t)n > l->left)
        n = report_fail(
            r, -EFBIG, "%s: larger than the limit of %" PRIu64 " bytes", l->what, l->limit);
    if (n > 0) {
        l->left -= (uint64_t)n;
        *ret_data = data;
    }
    return sticky_keep(&l->sticky, n, r);
}

static void limit_close(struct oci_source *s)
{
    struct limit_source *l = (struct limit_source *)s;

    (void)oci_source_close(l->from);
    free(l->what);
    free(l);
}

static const struct oci_source_ops limit_ops = {.next = limit_next, .close = limit_close};

int oci_source_limit(
    struct oci_source *from, const char *what, uint64_t limit, struct oci_source **ret_source)
{
    struct limit_source *l = calloc(1, sizeof(*l));

    if (l)
        *l = (struct limit_source){.source.ops = &limit_ops,
            .from = from,
            .what = strdup(what),
            .limit = limit,
            .left = limit};
    if (!l || !l->what) {
        (void)oci_source_close(l ? &l->source : from);
        return -ENOMEM;
    }
    *ret_source = &l->source;
    return 0;
}
