/* SPDX-License-Identifier: Apache-2.0 */
/* Compression with zstd, and the choice of a compressor. */
#include <zstd.h>

#include "oci/compress.h"
#include "oci/compression.h"

enum { OUT_CHUNK = 256 << 10 };

struct zstd_source {
    struct oci_source source;
    struct oci_source *from;
    ZSTD_CCtx *zstd;
    ZSTD_inBuffer in;
    bool in_ended, ended;
    int err; /* sticky */
    struct report text;
    uint8_t out[OUT_CHUNK];
};

/* One step: reads a chunk when there is none, and compresses. The remaining bytes are only closed
 * with an empty input, so that how chunks fall does not show in the output. */
static int zstd_step(struct zstd_source *z, ZSTD_outBuffer *out, struct report *r)
{
    const uint8_t *data;
    size_t left;

    if (z->in.pos == z->in.size && !z->in_ended) {
        ssize_t n = oci_source_next(z->from, &data, r);

        if (n < 0)
            return (int)n;
        z->in = (ZSTD_inBuffer){.src = data, .size = (size_t)n};
        z->in_ended = n == 0;
    }
    left = ZSTD_compressStream2(z->zstd, out, &z->in, z->in_ended ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left))
        return report_fail(r, -EIO, "zstd: %s", ZSTD_getErrorName(left));
    z->ended = z->in_ended && left == 0;
    return 0;
}

static ssize_t zstd_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct zstd_source *z = (struct zstd_source *)s;
    ZSTD_outBuffer out = {.dst = z->out, .size = OUT_CHUNK};

    while (out.pos < out.size && !z->ended && z->err == 0)
        z->err = zstd_step(z, &out, &z->text);
    if (z->err < 0) {
        if (r)
            *r = z->text;
        return z->err;
    }
    *ret_data = z->out;
    return (ssize_t)out.pos;
}

static void zstd_close(struct oci_source *s)
{
    struct zstd_source *z = (struct zstd_source *)s;

    (void)ZSTD_freeCCtx(z->zstd); /* joins its threads, which read no source */
    (void)oci_source_close(z->from);
    free(z);
}

static const struct oci_source_ops zstd_ops = {.next = zstd_next, .close = zstd_close};

/* With workers the library cuts its input into jobs of a fixed size, whatever their number; without
 * any it does not cut. So one worker is the least, that one thread gives the bytes of eight. */
static int zstd_setup(ZSTD_CCtx *zstd, int level, unsigned threads)
{
    if (level < 0)
        level = ZSTD_CLEVEL_DEFAULT;
    if (level > ZSTD_maxCLevel())
        return -EINVAL;
    if (ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1)))
        return -EINVAL;
    /* Refused by a library without threads: it never cuts then, which is reproducible as well. */
    (void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_nbWorkers, (int)threads);
    return 0;
}

int compress_zstd(
    struct oci_source *from, int level, unsigned threads, struct oci_source **ret_source)
{
    struct zstd_source *z = calloc(1, sizeof(*z));
    int err;

    if (!z) {
        (void)oci_source_close(from);
        return -ENOMEM;
    }
    z->source.ops = &zstd_ops;
    z->from = from;
    z->zstd = ZSTD_createCCtx();
    err = z->zstd ? zstd_setup(z->zstd, level, threads) : -ENOMEM;
    if (err < 0) {
        zstd_close(&z->source);
        return err;
    }
    *ret_source = &z->source;
    return 0;
}

int oci_source_compress(struct oci_source *from, enum oci_compression c, int level,
    unsigned threads, struct oci_source **ret_source)
{
    threads = MIN(MAX(threads, 1u), (unsigned)COMPRESS_THREADS_MAX);
    switch (c) {
    case OCI_COMPRESSION_GZIP:
        return compress_gzip(from, level, threads, ret_source);
    case OCI_COMPRESSION_ZSTD:
        return compress_zstd(from, level, threads, ret_source);
    case OCI_COMPRESSION_NONE:
        *ret_source = from;
        return 0;
    }
    (void)oci_source_close(from);
    return -EINVAL;
}
