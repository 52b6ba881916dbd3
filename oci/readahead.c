/* SPDX-License-Identifier: Apache-2.0 */
/* A source that runs the sources below it in a thread of its own.
 *
 * The thread copies chunks into a ring of slots, the caller reads them in place:
 *
 *     taken          filled
 *       │              │
 *   ┌───▼──┬──────┬────▼─┬──────┐      The caller owns slot `taken` (the chunk it was handed last),
 *   │ held │ full │ (fill│ free │      the thread owns slot `filled`; both move only forward and
 *   └──────┴──────┴──────┴──────┘      count without wrapping, so filled - taken are in use.
 *
 * One copy a byte is the price; it is small beside inflating and hashing, which then run beside the
 * reader's work instead of before it. */
#include <string.h>

#include "oci/source.h"
#include "oci/util/thread.h"

enum { SLOT_SIZE = 256 << 10 };

struct slot {
    size_t size;
    uint8_t data[SLOT_SIZE];
};

struct readahead {
    struct oci_source source;
    struct oci_source *from; /* the thread's until it is joined */
    pthread_t thread;

    pthread_mutex_t lock; /* protects all below but the contents of slots */
    pthread_cond_t moved; /* filled, taken, ended or stop changed */
    uint64_t filled, taken;
    bool holding; /* the caller still reads slot taken */
    bool ended;   /* nothing comes after slot filled - 1 */
    bool stop;    /* the caller is leaving */
    int err;      /* how it ended, set before ended */
    struct report text;

    unsigned count;
    struct slot *slots[];
};

/* Waits for a free slot; NULL when the caller leaves. */
static struct slot *wait_free(struct readahead *ra)
{
    struct slot *slot = NULL;

    pthread_mutex_lock(&ra->lock);
    while (!ra->stop && ra->filled - ra->taken >= ra->count)
        pthread_cond_wait(&ra->moved, &ra->lock);
    if (!ra->stop)
        slot = ra->slots[ra->filled % ra->count];
    pthread_mutex_unlock(&ra->lock);
    return slot;
}

static void publish(struct readahead *ra)
{
    pthread_mutex_lock(&ra->lock);
    ra->filled++;
    pthread_cond_signal(&ra->moved);
    pthread_mutex_unlock(&ra->lock);
}

/* Copies one chunk into as many slots as it takes. False when the caller leaves. */
static bool pass_on(struct readahead *ra, const uint8_t *data, size_t size)
{
    while (size > 0) {
        struct slot *slot = wait_free(ra);

        if (!slot)
            return false;
        slot->size = MIN(size, (size_t)SLOT_SIZE);
        memcpy(slot->data, data, slot->size);
        data += slot->size;
        size -= slot->size;
        publish(ra);
    }
    return true;
}

static bool stopped(struct readahead *ra)
{
    bool stop;

    pthread_mutex_lock(&ra->lock);
    stop = ra->stop;
    pthread_mutex_unlock(&ra->lock);
    return stop;
}

static void *run(void *userdata)
{
    struct readahead *ra = userdata;
    struct report text = REPORT_INIT;
    const uint8_t *data;
    ssize_t n = 0;

    while (!stopped(ra)) {
        n = oci_source_next(ra->from, &data, &text);
        if (n <= 0 || !pass_on(ra, data, (size_t)n))
            break;
    }
    pthread_mutex_lock(&ra->lock);
    if (n < 0) {
        ra->err = (int)n;
        ra->text = text;
    }
    ra->ended = true;
    pthread_cond_signal(&ra->moved);
    pthread_mutex_unlock(&ra->lock);
    return NULL;
}

static ssize_t readahead_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct readahead *ra = (struct readahead *)s;
    ssize_t n;

    pthread_mutex_lock(&ra->lock);
    if (ra->holding) {
        ra->holding = false;
        ra->taken++;
        pthread_cond_signal(&ra->moved);
    }
    while (ra->taken == ra->filled && !ra->ended)
        pthread_cond_wait(&ra->moved, &ra->lock);
    if (ra->taken < ra->filled) {
        const struct slot *slot = ra->slots[ra->taken % ra->count];

        ra->holding = true;
        *ret_data = slot->data;
        n = (ssize_t)slot->size;
    } else {
        n = ra->err;
        if (n < 0 && r)
            *r = ra->text;
    }
    pthread_mutex_unlock(&ra->lock);
    return n;
}

/* Frees what is not the thread's. */
static void release(struct readahead *ra)
{
    (void)oci_source_close(ra->from);
    for (unsigned i = 0; i < ra->count; i++)
        free(ra->slots[i]);
    (void)pthread_cond_destroy(&ra->moved);
    (void)pthread_mutex_destroy(&ra->lock);
    free(ra);
}

static void readahead_close(struct oci_source *s)
{
    struct readahead *ra = (struct readahead *)s;

    pthread_mutex_lock(&ra->lock);
    ra->stop = true;
    pthread_cond_signal(&ra->moved);
    pthread_mutex_unlock(&ra->lock);
    (void)pthread_join(ra->thread, NULL);
    release(ra);
}

static const struct oci_source_ops readahead_ops = {
    .next = readahead_next, .close = readahead_close};

/* calloc leaves the memory of slots that are never used untouched. */
static int allocate_slots(struct readahead *ra)
{
    for (unsigned i = 0; i < ra->count; i++) {
        ra->slots[i] = calloc(1, sizeof(*ra->slots[i]));
        if (!ra->slots[i])
            return -ENOMEM;
    }
    return 0;
}

int oci_source_readahead(struct oci_source *from, unsigned chunks, struct oci_source **ret_source)
{
    unsigned count = MIN(MAX(chunks, 2u), 1024u); /* two: one is held while one is filled */
    struct readahead *ra = calloc(1, sizeof(*ra) + count * sizeof(ra->slots[0]));
    int err;

    if (!ra) {
        (void)oci_source_close(from);
        return -ENOMEM;
    }
    ra->source.ops = &readahead_ops;
    ra->from = from;
    ra->count = count;
    (void)pthread_mutex_init(&ra->lock, NULL);
    (void)pthread_cond_init(&ra->moved, NULL);
    err = allocate_slots(ra);
    if (err == 0)
        err = thread_start(&ra->thread, run, ra);
    if (err < 0) {
        release(ra);
        return err;
    }
    *ret_source = &ra->source;
    return 0;
}
