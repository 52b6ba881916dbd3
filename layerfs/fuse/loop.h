/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that take requests from /dev/fuse.
 *
 * A fixed number, as against libfuse's own loop, which makes threads while requests run and takes a
 * lock twice a request; and one that another thread can end in any version of libfuse. */
#ifndef LAYERFS_FUSE_LOOP_H
#define LAYERFS_FUSE_LOOP_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <semaphore.h>

#include "layerfs/fuse/stats.h"

enum { LFS_LOOP_THREADS_MAX = 64 };

struct lfs_worker {
    struct lfs_loop *loop;
    pthread_t thread;
    struct fuse_buf buffer;
};

struct lfs_loop {
    struct fuse_session *session; /* borrowed */
    struct lfs_stats *stats;      /* borrowed */
    sem_t end;                    /* posted by who wants the loop to end */
    _Atomic int error;            /* of a worker */
    unsigned count;               /* of workers that run */
    struct lfs_worker workers[LFS_LOOP_THREADS_MAX];
};

int lfs_loop_init(struct lfs_loop *loop, struct fuse_session *session, struct lfs_stats *stats);
void lfs_loop_deinit(struct lfs_loop *loop);

/* Takes and handles one request on the calling thread: 1, 0 when the mount is gone, -errno. */
int lfs_loop_once(struct lfs_loop *loop);

/* Starts the workers; -errno when not even one started. */
int lfs_loop_start(struct lfs_loop *loop, unsigned threads);

/* Waits until the mount is gone or lfs_loop_end(), ends the workers. 0 or a worker's -errno. */
int lfs_loop_wait(struct lfs_loop *loop);

/* From any thread or signal handler. */
void lfs_loop_end(struct lfs_loop *loop);

#endif
