/* SPDX-License-Identifier: Apache-2.0 */
/* Compression to one gzip member by several threads.
 *
 * The input is cut into blocks of a fixed size. Each is deflated by itself, with the last 32 KiB of
 * the block before as dictionary, and flushed to a byte boundary; put one after the other they are
 * one deflate stream, closed by an empty last block. CRCs are combined. What a block becomes
 * depends on the input alone, so the bytes are the same for any number of threads.
 *
 *     header │ block 0 │ block 1 │ … │ 03 00 │ CRC-32, size
 *
 * Jobs go round a ring in the order of the blocks: the caller fills and submits ahead, workers take
 * the next one submitted, and the caller waits for the oldest. zlib compresses in any build, also
 * where ISA-L inflates, that the bytes do not depend on that choice. */
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "oci/compress.h"
#include "oci/util/thread.h"

enum {
    BLOCK = 256 << 10,
    DICTIONARY = 32 << 10,
    RAW_DEFLATE = -MAX_WBITS,
    HEADER_SIZE = 10,
    TRAILER_SIZE = 2 + 8,
};

/* No name, no time, "unknown" system: nothing of the machine. */
static const uint8_t header[HEADER_SIZE] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};

struct job {
    size_t dictionary_size, in_size, out_size, out_capacity;
    uLong crc;
    int err;
    bool done;
    uint8_t *out;
    uint8_t in[DICTIONARY + BLOCK]; /* the dictionary ends where the block starts */
};

struct gzip_source {
    struct oci_source source;
    struct oci_source *from;
    const uint8_t *chunk; /* of from, not yet cut */
    size_t chunk_size;
    bool in_ended, header_sent, trailer_sent;
    uLong crc;
    uint64_t total;
    uint8_t trailer[TRAILER_SIZE];
    int level;
    int err; /* sticky */
    struct report text;

    pthread_mutex_t lock;     /* protects the counters, stop, and done and err of jobs */
    pthread_cond_t submitted; /* for workers: started < filled, or stop */
    pthread_cond_t finished;  /* for the caller: a job is done */
    uint64_t filled, started, taken;
    bool stop;

    unsigned thread_count, job_count;
    pthread_t threads[COMPRESS_THREADS_MAX];
    struct job *jobs[]; /* a job is its worker's from start to done, else the caller's */
};

/* ---- the worker's side ---- */

/* Deflates the job's block. The room suffices: deflateBound() and the flush's empty block. */
static int deflate_block(z_stream *z, struct job *job)
{
    uint8_t *block = job->in + DICTIONARY;

    if (deflateReset(z) != Z_OK)
        return -EIO;
    if (job->dictionary_size &&
        deflateSetDictionary(z, block - job->dictionary_size, (uInt)job->dictionary_size) != Z_OK)
        return -EIO;
    z->next_in = block;
    z->avail_in = (uInt)job->in_size;
    z->next_out = job->out;
    z->avail_out = (uInt)job->out_capacity;
    if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in != 0 || z->avail_out == 0)
        return -EIO;
    job->out_size = job->out_capacity - z->avail_out;
    job->crc = crc32(crc32(0, NULL, 0), block, (uInt)job->in_size);
    return 0;
}

static struct job *next_job(struct gzip_source *g)
{
    struct job *job = NULL;

    pthread_mutex_lock(&g->lock);
    while (!g->stop && g->started == g->filled)
        pthread_cond_wait(&g->submitted, &g->lock);
    if (!g->stop)
        job = g->jobs[g->started++ % g->job_count];
    pthread_mutex_unlock(&g->lock);
    return job;
}

static void finish_job(struct gzip_source *g, struct job *job, int err)
{
    pthread_mutex_lock(&g->lock);
    job->err = err;
    job->done = true;
    pthread_cond_signal(&g->finished);
    pthread_mutex_unlock(&g->lock);
}

static void *work(void *userdata)
{
    struct gzip_source *g = userdata;
    z_stream z = {0};
    bool ok = deflateInit2(&z, g->level, Z_DEFLATED, RAW_DEFLATE, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    struct job *job;

    while ((job = next_job(g)))
        finish_job(g, job, ok ? deflate_block(&z, job) : -ENOMEM);
    if (ok)
        (void)deflateEnd(&z);
    return NULL;
}

/* ---- the caller's side ---- */

/* Cuts the next block out of the chunks of from. */
static int fill_block(struct gzip_source *g, struct job *job, struct report *r)
{
    uint8_t *block = job->in + DICTIONARY;

    job->in_size = 0;
    while (job->in_size < BLOCK && !g->in_ended) {
        size_t n = MIN(g->chunk_size, BLOCK - job->in_size);

        if (n == 0) {
            ssize_t got = oci_source_next(g->from, &g->chunk, r);

            if (got < 0)
                return (int)got;
            g->chunk_size = (size_t)got;
            g->in_ended = got == 0;
            continue;
        }
        memcpy(block + job->in_size, g->chunk, n);
        job->in_size += n;
        g->chunk += n;
        g->chunk_size -= n;
    }
    return 0;
}

/* Takes the dictionary from the block before, which is still in its slot: the ring has at least
 * two. */
static void copy_dictionary(struct gzip_source *g, struct job *job)
{
    const struct job *before;

    job->dictionary_size = 0;
    if (g->filled == 0)
        return;
    before = g->jobs[(g->filled - 1) % g->job_count];
    job->dictionary_size = MIN(before->in_size, (size_t)DICTIONARY);
    memcpy(job->in + DICTIONARY - job->dictionary_size,
        before->in + DICTIONARY + before->in_size - job->dictionary_size, job->dictionary_size);
}

/* Submits blocks until the ring is full or the input ends. */
static int submit_ahead(struct gzip_source *g, struct report *r)
{
    while (!g->in_ended && g->filled - g->taken < g->job_count) {
        struct job *job = g->jobs[g->filled % g->job_count];
        int err = fill_block(g, job, r);

        if (err < 0)
            return err;
        if (job->in_size == 0)
            break;
        copy_dictionary(g, job);
        job->done = false;
        pthread_mutex_lock(&g->lock);
        g->filled++;
        pthread_cond_signal(&g->submitted);
        pthread_mutex_unlock(&g->lock);
    }
    return 0;
}

static const struct job *wait_oldest(struct gzip_source *g)
{
    struct job *job = g->jobs[g->taken % g->job_count];

    pthread_mutex_lock(&g->lock);
    while (!job->done)
        pthread_cond_wait(&g->finished, &g->lock);
    pthread_mutex_unlock(&g->lock);
    return job;
}

static size_t make_trailer(struct gzip_source *g)
{
    g->trailer[0] = 0x03; /* an empty last block with fixed codes */
    g->trailer[1] = 0x00;
    for (unsigned i = 0; i < 4; i++) {
        g->trailer[2 + i] = (uint8_t)(g->crc >> (8 * i));
        g->trailer[6 + i] = (uint8_t)(g->total >> (8 * i));
    }
    g->trailer_sent = true;
    return TRAILER_SIZE;
}

/* The next part of the member. The output of a job stays its slot's until the call after, in which
 * the slot may be filled again: nothing is submitted between wait_oldest() and the return. */
static ssize_t gzip_part(struct gzip_source *g, const uint8_t **ret_data, struct report *r)
{
    const struct job *job;
    int err = submit_ahead(g, r);

    if (err < 0)
        return err;
    if (!g->header_sent) {
        g->header_sent = true;
        *ret_data = header;
        return HEADER_SIZE;
    }
    if (g->taken == g->filled) {
        *ret_data = g->trailer;
        return g->trailer_sent ? 0 : (ssize_t)make_trailer(g);
    }
    job = wait_oldest(g);
    if (job->err < 0)
        return report_errno(r, job->err, "cannot compress with gzip");
    g->taken++;
    g->crc = crc32_combine(g->crc, job->crc, (z_off_t)job->in_size);
    g->total += job->in_size;
    *ret_data = job->out;
    return (ssize_t)job->out_size;
}

static ssize_t gzip_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct gzip_source *g = (struct gzip_source *)s;
    ssize_t n;

    if (g->err == 0) {
        n = gzip_part(g, ret_data, &g->text);
        if (n >= 0)
            return n;
        g->err = (int)n;
    }
    if (r)
        *r = g->text;
    return g->err;
}

static void gzip_close(struct oci_source *s)
{
    struct gzip_source *g = (struct gzip_source *)s;

    pthread_mutex_lock(&g->lock);
    g->stop = true;
    pthread_cond_broadcast(&g->submitted);
    pthread_mutex_unlock(&g->lock);
    for (unsigned i = 0; i < g->thread_count; i++)
        (void)pthread_join(g->threads[i], NULL);
    (void)oci_source_close(g->from);
    for (unsigned i = 0; i < g->job_count && g->jobs[i]; i++) {
        free(g->jobs[i]->out);
        free(g->jobs[i]);
    }
    (void)pthread_cond_destroy(&g->submitted);
    (void)pthread_cond_destroy(&g->finished);
    (void)pthread_mutex_destroy(&g->lock);
    free(g);
}

static const struct oci_source_ops gzip_ops = {.next = gzip_next, .close = gzip_close};

static int allocate_jobs(struct gzip_source *g)
{
    for (unsigned i = 0; i < g->job_count; i++) {
        struct job *job = calloc(1, sizeof(*job));

        g->jobs[i] = job;
        if (!job)
            return -ENOMEM;
        job->out_capacity = compressBound(BLOCK) + 64;
        job->out = malloc(job->out_capacity);
        if (!job->out)
            return -ENOMEM;
    }
    return 0;
}

static int start_threads(struct gzip_source *g, unsigned threads)
{
    for (; g->thread_count < threads; g->thread_count++) {
        int err = thread_start(&g->threads[g->thread_count], work, g);

        if (err < 0)
            return g->thread_count ? 0 : err; /* one is enough */
    }
    return 0;
}

int compress_gzip(
    struct oci_source *from, int level, unsigned threads, struct oci_source **ret_source)
{
    unsigned job_count = threads * 2 + 1;
    struct gzip_source *g = NULL;
    int err;

    if (level <= Z_BEST_COMPRESSION)
        g = calloc(1, sizeof(*g) + job_count * sizeof(g->jobs[0]));
    if (!g) {
        (void)oci_source_close(from);
        return level <= Z_BEST_COMPRESSION ? -ENOMEM : -EINVAL;
    }
    g->source.ops = &gzip_ops;
    g->from = from;
    g->level = level < 0 ? 6 : level; /* what Z_DEFAULT_COMPRESSION means, spelled out */
    g->job_count = job_count;
    g->crc = crc32(0, NULL, 0);
    (void)pthread_mutex_init(&g->lock, NULL);
    (void)pthread_cond_init(&g->submitted, NULL);
    (void)pthread_cond_init(&g->finished, NULL);
    err = allocate_jobs(g);
    if (err == 0)
        err = start_threads(g, threads);
    if (err < 0) {
        gzip_close(&g->source);
        return err;
    }
    *ret_source = &g->source;
    return 0;
}
