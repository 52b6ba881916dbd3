/* SPDX-License-Identifier: Apache-2.0 */
/* Decompression by what the bytes are.
 *
 * A compressed stream is a row of members (gzip) or frames (zstd), which may be followed by zeros:
 * some writers pad to a block. The source below stands either within a member, and runs its codec,
 * or between two, and looks at the next byte. */
#include "oci/compression.h"

#include <inttypes.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "oci/inflate.h"

enum {
    OUT_CHUNK = 256 << 10,
    MAGIC_SIZE = 4,
    ZSTD_WINDOW_LOG_MAX = 27, /* 128 MiB */
};

static const char *const compression_names[] = {
    [OCI_COMPRESSION_NONE] = "none",
    [OCI_COMPRESSION_GZIP] = "gzip",
    [OCI_COMPRESSION_ZSTD] = "zstd",
};

const char *oci_compression_name(enum oci_compression c)
{
    return compression_names[c];
}

int oci_compression_parse(const char *name, enum oci_compression *ret_compression)
{
    for (unsigned i = 0; i < ARRAY_SIZE(compression_names); i++)
        if (strcmp(name, compression_names[i]) == 0) {
            *ret_compression = (enum oci_compression)i;
            return 0;
        }
    return -EINVAL;
}

static enum oci_compression detect(const uint8_t *p, size_t size)
{
    if (size >= 2 && p[0] == 0x1f && p[1] == 0x8b)
        return OCI_COMPRESSION_GZIP;
    if (size >= 4 && memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0)
        return OCI_COMPRESSION_ZSTD;
    if (size >= 4 && (p[0] & 0xf0) == 0x50 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0)
        return OCI_COMPRESSION_ZSTD; /* a skippable frame */
    return OCI_COMPRESSION_NONE;
}

struct decompress {
    struct oci_source source;
    struct oci_source *from;
    enum oci_compression *ret_compression; /* borrowed, may be NULL */
    enum oci_compression compression;
    struct inflate *inflate;
    ZSTD_DCtx *zstd;

    const uint8_t *in; /* of the current chunk */
    size_t in_size;
    const uint8_t *chunk; /* what follows in, when that is magic[] */
    size_t chunk_size;
    uint8_t magic[MAGIC_SIZE]; /* the first bytes, when they come in bits */
    uint64_t consumed;         /* compressed bytes */
    bool in_ended;

    bool detected;
    bool between; /* members, or at the end */
    bool padding; /* a zero was seen between members: only zeros may follow */
    bool ended;

    int err; /* sticky */
    struct report text;
    uint8_t out[OUT_CHUNK];
};

/* Makes in hold at least a byte, or in_ended true. */
static int refill(struct decompress *d, struct report *r)
{
    ssize_t n;

    if (d->in_size > 0 || d->in_ended)
        return 0;
    if (d->chunk_size > 0) {
        d->in = d->chunk;
        d->in_size = d->chunk_size;
        d->chunk_size = 0;
        return 0;
    }
    n = oci_source_next(d->from, &d->in, r);
    if (n < 0)
        return (int)n;
    d->in_size = (size_t)n;
    d->in_ended = n == 0;
    return 0;
}

/* Lets in start with the first bytes of the stream: MAGIC_SIZE, or all there are. */
static int gather_magic(struct decompress *d, struct report *r)
{
    size_t have = 0;

    while (have < MAGIC_SIZE) {
        size_t n;
        int err = refill(d, r);

        if (err < 0)
            return err;
        if (have == 0 && d->in_size >= MAGIC_SIZE)
            return 0; /* as nearly always */
        if (d->in_ended)
            break;
        n = MIN(d->in_size, MAGIC_SIZE - have);
        memcpy(d->magic + have, d->in, n);
        have += n;
        d->in += n;
        d->in_size -= n;
    }
    d->chunk = d->in;
    d->chunk_size = d->in_size;
    d->in = d->magic;
    d->in_size = have;
    return 0;
}

static int start_codec(struct decompress *d)
{
    if (d->compression == OCI_COMPRESSION_GZIP)
        return inflate_new(&d->inflate);
    if (d->compression == OCI_COMPRESSION_ZSTD) {
        d->zstd = ZSTD_createDCtx();
        if (!d->zstd)
            return -ENOMEM;
        (void)ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    }
    return 0;
}

static int begin(struct decompress *d, struct report *r)
{
    int err = gather_magic(d, r);

    if (err < 0)
        return err;
    d->compression = detect(d->in, d->in_size);
    err = start_codec(d);
    if (err < 0)
        return report_errno(r, err, "cannot start decompression");
    if (d->ret_compression)
        *d->ret_compression = d->compression;
    d->detected = true;
    return 0;
}

static int run_zstd(struct decompress *d, struct inflate_io *io)
{
    ZSTD_inBuffer in = {.src = io->in, .size = io->in_size};
    ZSTD_outBuffer out = {.dst = io->out, .size = io->out_size};
    size_t n = ZSTD_decompressStream(d->zstd, &out, &in);

    io->in += in.pos;
    io->in_size -= in.pos;
    io->out += out.pos;
    io->out_size -= out.pos;
    if (!ZSTD_isError(n))
        return n == 0;
    if (ZSTD_getErrorCode(n) == ZSTD_error_frameParameter_windowTooLarge)
        return -EFBIG;
    return ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
}

static int codec_failed(const struct decompress *d, int err, struct report *r)
{
    const char *name = oci_compression_name(d->compression);

    if (err == -EFBIG)
        return report_fail(r, err, "%s stream needs a window of more than %u MiB", name,
            1u << (ZSTD_WINDOW_LOG_MAX - 20));
    if (err == -EBADMSG)
        return report_fail(
            r, err, "corrupt %s stream before compressed byte %" PRIu64, name, d->consumed);
    return report_errno(r, err, "cannot decompress %s", name);
}

/* Runs the codec on what is there. */
static int run_codec(struct decompress *d, struct inflate_io *io, struct report *r)
{
    size_t in_before = d->in_size, out_before = io->out_size;
    int n;

    io->in = d->in;
    io->in_size = d->in_size;
    n = d->compression == OCI_COMPRESSION_GZIP ? inflate_run(d->inflate, io) : run_zstd(d, io);
    d->in = io->in;
    d->in_size = io->in_size;
    d->consumed += in_before - io->in_size;
    if (n < 0)
        return codec_failed(d, n, r);
    d->between = n > 0;
    if (n == 0 && d->in_ended && io->out_size == out_before)
        return report_fail(r, -EBADMSG, "truncated %s stream after %" PRIu64 " compressed bytes",
            oci_compression_name(d->compression), d->consumed);
    return 0;
}

/* Between members: skips padding and starts the next one, or notes the end. */
static int next_member(struct decompress *d, struct report *r)
{
    while (d->in_size > 0 && d->in[0] == 0) {
        d->padding = true;
        d->in++;
        d->in_size--;
        d->consumed++;
    }
    if (d->in_ended) {
        d->ended = true;
        return 0;
    }
    if (d->in_size == 0)
        return 0;
    if (d->padding || (d->compression == OCI_COMPRESSION_GZIP && d->in[0] != 0x1f))
        return report_fail(r, -EBADMSG, "garbage after the %s stream at compressed byte %" PRIu64,
            oci_compression_name(d->compression), d->consumed);
    if (d->inflate)
        inflate_restart(d->inflate);
    d->between = false;
    return 0;
}

/* Fills out; the bytes in it, 0 at the end. What was written before an error is returned first. */
static ssize_t fill_out(struct decompress *d, struct report *r)
{
    struct inflate_io io = {.out = d->out, .out_size = OUT_CHUNK};

    while (io.out_size > 0 && !d->ended && d->err == 0) {
        int err = refill(d, r);

        if (err == 0)
            err = d->between ? next_member(d, r) : run_codec(d, &io, r);
        if (err < 0) {
            d->err = err;
            if (r)
                d->text = *r;
        }
    }
    return OUT_CHUNK - (ssize_t)io.out_size;
}

static ssize_t pass_plain(struct decompress *d, const uint8_t **ret_data, struct report *r)
{
    int err = refill(d, r);
    size_t n = d->in_size;

    if (err < 0)
        return err;
    *ret_data = d->in;
    d->in_size = 0;
    return (ssize_t)n;
}

static ssize_t decompress_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct decompress *d = (struct decompress *)s;
    struct report text = REPORT_INIT;
    ssize_t n = 0;

    if (d->err == 0 && !d->detected)
        d->err = begin(d, &d->text);
    if (d->err == 0 && d->compression == OCI_COMPRESSION_NONE)
        return pass_plain(d, ret_data, r);
    if (d->err == 0)
        n = fill_out(d, &text);
    if (n == 0 && d->err < 0) {
        if (r)
            *r = d->text;
        return d->err;
    }
    *ret_data = d->out;
    return n;
}

static void decompress_close(struct oci_source *s)
{
    struct decompress *d = (struct decompress *)s;

    (void)oci_source_close(d->from);
    (void)inflate_free(d->inflate);
    (void)ZSTD_freeDCtx(d->zstd);
    free(d);
}

static const struct oci_source_ops decompress_ops = {
    .next = decompress_next, .close = decompress_close};

int oci_source_decompress(
    struct oci_source *from, enum oci_compression *ret_compression, struct oci_source **ret_source)
{
    struct decompress *d = calloc(1, sizeof(*d));

    if (!d) {
        (void)oci_source_close(from);
        return -ENOMEM;
    }
    d->source.ops = &decompress_ops;
    d->from = from;
    d->ret_compression = ret_compression;
    *ret_source = &d->source;
    return 0;
}
