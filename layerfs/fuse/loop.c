/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that take requests from /dev/fuse. */
#include "layerfs/fuse/loop.h"

#include <linux/fuse.h>

int lfs_loop_init(struct lfs_loop *loop, struct fuse_session *session, struct lfs_stats *stats)
{
    loop->session = session;
    loop->stats = stats;
    loop->count = 0;
    loop->error = 0;
    return sem_init(&loop->end, 0, 0) < 0 ? neg_errno() : 0;
}

void lfs_loop_deinit(struct lfs_loop *loop)
{
    (void)sem_destroy(&loop->end);
}

/* Requests over io_uring are counted by the handlers; this sees all others, whatever they are. */
static void count(struct lfs_loop *loop, const struct fuse_buf *buffer)
{
    const struct fuse_in_header *header = buffer->mem;

    if (!(buffer->flags & FUSE_BUF_IS_FD) && header->opcode < LFS_STATS_OPCODES)
        atomic_fetch_add_explicit(&loop->stats->requests[header->opcode], 1, memory_order_relaxed);
}

/* May only be cancelled while it waits for a request. */
static int serve_one(struct lfs_loop *loop, struct fuse_buf *buffer)
{
    int n;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    n = fuse_session_receive_buf(loop->session, buffer);
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    if (n <= 0)
        return n == -EINTR ? 1 : n;
    count(loop, buffer);
    fuse_session_process_buf(loop->session, buffer);
    return 1;
}

int lfs_loop_once(struct lfs_loop *loop)
{
    struct fuse_buf buffer = {.mem = NULL};
    int r = serve_one(loop, &buffer);

    (void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    free(buffer.mem);
    return r;
}

static void *work(void *userdata)
{
    struct lfs_worker *w = userdata;
    int r;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    do
        r = serve_one(w->loop, &w->buffer);
    while (r > 0 && !fuse_session_exited(w->loop->session));
    if (r < 0)
        atomic_store(&w->loop->error, r);
    lfs_loop_end(w->loop);
    return NULL;
}

int lfs_loop_start(struct lfs_loop *loop, unsigned threads)
{
    int r = 0;

    for (unsigned i = 0; i < MIN(threads, (unsigned)LFS_LOOP_THREADS_MAX) && r == 0; i++) {
        struct lfs_worker *w = &loop->workers[i];

        *w = (struct lfs_worker){.loop = loop};
        r = -pthread_create(&w->thread, NULL, work, w);
        if (r == 0)
            loop->count++;
    }
    return loop->count > 0 ? 0 : r;
}

int lfs_loop_wait(struct lfs_loop *loop)
{
    while (sem_wait(&loop->end) < 0 && errno == EINTR)
        ;
    fuse_session_exit(loop->session);
    for (unsigned i = 0; i < loop->count; i++)
        (void)pthread_cancel(loop->workers[i].thread);
    for (unsigned i = 0; i < loop->count; i++) {
        (void)pthread_join(loop->workers[i].thread, NULL);
        free(loop->workers[i].buffer.mem);
    }
    loop->count = 0;
    return atomic_load(&loop->error);
}

void lfs_loop_end(struct lfs_loop *loop)
{
    (void)sem_post(&loop->end);
}
