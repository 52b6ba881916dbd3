/* SPDX-License-Identifier: Apache-2.0 */
/* The reader: a queue that workers put requests on, and who serves it.
 *
 *     workers ──▶ queue ──▶ reader thread ──▶ io_uring ──▶ done(), which replies
 *                   └ eventfd, written by whoever finds the queue empty
 *
 * The ring belongs to its thread alone (SINGLE_ISSUER, DEFER_TASKRUN): were it shared, the kernel
 * would finish each read in the thread that submitted it and interrupt that worker for it. A read
 * without a buffer gets one of a bounded pool when its turn comes and waits while there is none, so
 * that memory stays bounded whatever the kernel asks at once. */
#include "layerfs/fuse/reader.h"

#include <assert.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "oci/util/log.h"

enum {
    DEPTH = 128,          /* requests in the ring at once */
    SMALL = 64 << 10,     /* bytes */
    SMALL_LIMIT = 64,     /* buffers: 4 MiB */
    LARGE_LIMIT = 16,     /* buffers: 16 MiB */
    KEEP = 4,             /* buffers of a kind that are kept when idle */
    FALLBACK_THREADS = 4, /* without io_uring */
    OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY,
};

struct lfs_reader {
    pthread_mutex_t lock; /* protects the queue, stopping and started; no I/O under it */
    pthread_cond_t cond;  /* a start is decided; without io_uring also: something is queued */
    struct lfs_io *first, **last;
    bool stopping;
    bool started;

    pthread_t threads[FALLBACK_THREADS];
    unsigned thread_count;
    int event_fd;
    struct pool small, large;

    /* Of the ring's thread only. */
    struct io_uring ring;
    int ring_error; /* why there is none; fixed once started */
    unsigned in_ring;
    struct lfs_io *waiting; /* its turn, but no buffer for it */
    uint64_t wakeups;       /* read from the eventfd; also the mark of that read */
};

/* The reader whose thread this is. */
static __thread const struct lfs_reader *own_reader;

static int lend(struct lfs_reader *reader, struct lfs_io *io)
{
    if (io->kind != LFS_IO_READ || io->buffer)
        return 0;
    assert(io->size <= LFS_READER_SIZE_MAX);
    io->buffer = pool_take(io->size <= SMALL ? &reader->small : &reader->large);
    io->lent = io->buffer != NULL;
    return io->buffer ? 0 : -ENOMEM;
}

void lfs_reader_return(struct lfs_reader *reader, struct lfs_io *io)
{
    if (!io->lent)
        return;
    pool_give(io->size <= SMALL ? &reader->small : &reader->large, io->buffer);
    io->buffer = NULL;
    io->lent = false;
}

/* The oldest request of the queue or NULL. Under the lock. */
static struct lfs_io *pop(struct lfs_reader *reader)
{
    struct lfs_io *io = reader->first;

    if (!io)
        return NULL;
    reader->first = io->next;
    if (!reader->first)
        reader->last = &reader->first;
    io->next = NULL;
    return io;
}

static void prepare(struct io_uring_sqe *sqe, struct lfs_io *io)
{
    switch (io->kind) {
    case LFS_IO_READ:
        io_uring_prep_read(sqe, io->fd, (uint8_t *)io->buffer + io->filled,
            (unsigned)(io->size - io->filled), io->offset + io->filled);
        break;
    case LFS_IO_OPEN:
        io_uring_prep_openat(sqe, io->fd, io->name, OPEN_FLAGS, 0);
        break;
    case LFS_IO_WILLNEED:
        io_uring_prep_fadvise(sqe, io->fd, io->offset, (off_t)io->size, POSIX_FADV_WILLNEED);
        break;
    }
    io_uring_sqe_set_data(sqe, io);
}

static void await_wakeup(struct lfs_reader *reader)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&reader->ring);

    assert(sqe); /* the ring has room for DEPTH requests and this */
    io_uring_prep_read(sqe, reader->event_fd, &reader->wakeups, sizeof(reader->wakeups), 0);
    io_uring_sqe_set_data(sqe, &reader->wakeups);
}

/* The next request to put into the ring; NULL: none that could be. */
static struct lfs_io *next_request(struct lfs_reader *reader)
{
    struct lfs_io *io = reader->waiting;

    if (reader->in_ring == DEPTH)
        return NULL;
    reader->waiting = NULL;
    if (!io) {
        pthread_mutex_lock(&reader->lock);
        io = pop(reader);
        pthread_mutex_unlock(&reader->lock);
    }
    return io;
}

static void fill_ring(struct lfs_reader *reader)
{
    struct lfs_io *io;

    while ((io = next_request(reader))) {
        if (lend(reader, io) < 0 && reader->in_ring > 0) {
            reader->waiting = io; /* until one in the ring is done */
            return;
        }
        if (io->kind == LFS_IO_READ && !io->buffer) {
            io->done(io, -ENOMEM);
            continue;
        }
        prepare(io_uring_get_sqe(&reader->ring), io);
        reader->in_ring++;
    }
}

static void reap(struct lfs_reader *reader)
{
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&reader->ring, &cqe) == 0) {
        void *data = io_uring_cqe_get_data(cqe);
        int result = cqe->res;

        io_uring_cqe_seen(&reader->ring, cqe);
        if (data == &reader->wakeups) {
            await_wakeup(reader);
            continue;
        }
        reader->in_ring--;
        ((struct lfs_io *)data)->done(data, result);
    }
}

static bool all_done(struct lfs_reader *reader)
{
    bool done;

    pthread_mutex_lock(&reader->lock);
    done = reader->stopping && !reader->first && !reader->waiting && reader->in_ring == 0;
    pthread_mutex_unlock(&reader->lock);
    return done;
}

static int make_ring(struct lfs_reader *reader)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    int r = io_uring_queue_init_params(2 * DEPTH, &reader->ring, &params);

    if (r == -EINVAL) { /* before Linux 6.1 */
        params = (struct io_uring_params){0};
        r = io_uring_queue_init_params(2 * DEPTH, &reader->ring, &params);
    }
    return r;
}

static void tell_started(struct lfs_reader *reader, int ring_error)
{
    pthread_mutex_lock(&reader->lock);
    reader->ring_error = ring_error;
    reader->started = true;
    pthread_cond_broadcast(&reader->cond);
    pthread_mutex_unlock(&reader->lock);
}

static void *serve_ring(void *userdata)
{
    struct lfs_reader *reader = userdata;
    int r = make_ring(reader);

    own_reader = reader;
    tell_started(reader, r);
    if (r < 0)
        return NULL;
    await_wakeup(reader);
    while (!all_done(reader)) {
        fill_ring(reader);
        (void)io_uring_submit_and_wait(&reader->ring, 1);
        reap(reader);
    }
    io_uring_queue_exit(&reader->ring);
    return NULL;
}

static int perform(const struct lfs_io *io)
{
    ssize_t n = -1;

    switch (io->kind) {
    case LFS_IO_READ:
        n = pread(io->fd, (uint8_t *)io->buffer + io->filled, io->size - io->filled,
            (off_t)(io->offset + io->filled));
        break;
    case LFS_IO_OPEN:
        n = openat(io->fd, io->name, OPEN_FLAGS);
        break;
    case LFS_IO_WILLNEED:
        return -posix_fadvise(io->fd, (off_t)io->offset, (off_t)io->size, POSIX_FADV_WILLNEED);
    }
    return n < 0 ? neg_errno() : (int)n;
}

/* Waits for a request; NULL when it is time to end. */
static struct lfs_io *wait_for_request(struct lfs_reader *reader)
{
    struct lfs_io *io;

    pthread_mutex_lock(&reader->lock);
    while (!(io = pop(reader)) && !reader->stopping)
        pthread_cond_wait(&reader->cond, &reader->lock);
    pthread_mutex_unlock(&reader->lock);
    return io;
}

static void *serve_plainly(void *userdata)
{
    struct lfs_reader *reader = userdata;
    struct lfs_io *io;

    own_reader = reader;
    while ((io = wait_for_request(reader))) {
        int r = lend(reader, io);

        io->done(io, r < 0 ? r : perform(io));
    }
    return NULL;
}

static int start_threads(struct lfs_reader *reader, void *(*serve)(void *), unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int r = -pthread_create(&reader->threads[i], NULL, serve, reader);

        if (r < 0)
            return i == 0 ? r : 0;
        reader->thread_count++;
    }
    return 0;
}

/* 0, or why there is no ring. */
static int start_ring(struct lfs_reader *reader)
{
    int r = start_threads(reader, serve_ring, 1);

    if (r < 0)
        return r;
    pthread_mutex_lock(&reader->lock);
    while (!reader->started)
        pthread_cond_wait(&reader->cond, &reader->lock);
    r = reader->ring_error;
    pthread_mutex_unlock(&reader->lock);
    if (r < 0) {
        (void)pthread_join(reader->threads[0], NULL);
        reader->thread_count = 0;
    }
    return r;
}

static int start(struct lfs_reader *reader)
{
    int r = start_ring(reader);

    if (r == 0)
        return 0;
    log_debug(LOG_READ, "no io_uring (%d): reading with threads", r);
    return start_threads(reader, serve_plainly, FALLBACK_THREADS);
}

int lfs_reader_new(struct lfs_reader **ret_reader)
{
    struct lfs_reader *reader = calloc(1, sizeof(*reader));
    int r;

    if (!reader)
        return -ENOMEM;
    reader->last = &reader->first;
    (void)pthread_mutex_init(&reader->lock, NULL);
    (void)pthread_cond_init(&reader->cond, NULL);
    (void)pool_init(&reader->small, SMALL, KEEP, SMALL_LIMIT);
    (void)pool_init(&reader->large, LFS_READER_SIZE_MAX, KEEP, LARGE_LIMIT);
    reader->event_fd = eventfd(0, EFD_CLOEXEC);
    r = reader->event_fd < 0 ? neg_errno() : start(reader);
    if (r < 0) {
        (void)lfs_reader_free(reader);
        return r;
    }
    *ret_reader = reader;
    return 0;
}

static void wake(struct lfs_reader *reader)
{
    const uint64_t one = 1;

    if (reader->ring_error < 0)
        pthread_cond_signal(&reader->cond);
    else if (own_reader != reader) /* which looks at the queue before it waits */
        (void)!write(reader->event_fd, &one, sizeof(one)); /* full means awake */
}

/* Whether the request was taken, and whether somebody must be woken for it. */
static bool enqueue(struct lfs_reader *reader, struct lfs_io *io, bool *ret_wake)
{
    bool ok;

    pthread_mutex_lock(&reader->lock);
    ok = !reader->stopping || own_reader == reader;
    if (ok) {
        *ret_wake = !reader->first || reader->ring_error < 0;
        io->next = NULL;
        *reader->last = io;
        reader->last = &io->next;
    }
    pthread_mutex_unlock(&reader->lock);
    return ok;
}

void lfs_reader_submit(struct lfs_reader *reader, struct lfs_io *io)
{
    bool must_wake = false;

    if (!enqueue(reader, io, &must_wake))
        io->done(io, -ESHUTDOWN);
    else if (must_wake)
        wake(reader);
}

void lfs_reader_stop(struct lfs_reader *reader)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&reader->lock);
    reader->stopping = true;
    pthread_cond_broadcast(&reader->cond);
    pthread_mutex_unlock(&reader->lock);
    (void)!write(reader->event_fd, &one, sizeof(one));
    for (unsigned i = 0; i < reader->thread_count; i++)
        (void)pthread_join(reader->threads[i], NULL);
    reader->thread_count = 0;
}

void lfs_reader_watch(struct lfs_reader *reader, struct pool_gauge *small, struct pool_gauge *large)
{
    pool_watch(&reader->small, small);
    pool_watch(&reader->large, large);
}

uint32_t lfs_reader_buffers_peak(struct lfs_reader *reader)
{
    return pool_get_stats(&reader->small).peak + pool_get_stats(&reader->large).peak;
}

struct lfs_reader *lfs_reader_free(struct lfs_reader *reader)
{
    if (!reader)
        return NULL;
    lfs_reader_stop(reader);
    reader->event_fd = fd_close(reader->event_fd);
    pool_deinit(&reader->small);
    pool_deinit(&reader->large);
    (void)pthread_cond_destroy(&reader->cond);
    (void)pthread_mutex_destroy(&reader->lock);
    free(reader);
    return NULL;
}
