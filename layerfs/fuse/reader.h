/* SPDX-License-Identifier: Apache-2.0 */
/* Opens and reads that would wait for a disk, done behind the FUSE workers' backs.
 *
 * A thread of its own owns an io_uring and takes requests from all workers; where the kernel gives
 * no io_uring, a few threads do the same with plain system calls. Requests are structs of the
 * caller: nothing is allocated. */
#ifndef LAYERFS_FUSE_READER_H
#define LAYERFS_FUSE_READER_H

#include "oci/util/pool.h"

struct lfs_reader;

enum lfs_io_kind {
    LFS_IO_READ,
    LFS_IO_OPEN,     /* read-only; no link is followed in the last place */
    LFS_IO_WILLNEED, /* asks the kernel to read ahead */
};

/* One request. The caller fills it but for what is said to be the reader's. */
struct lfs_io {
    enum lfs_io_kind kind;
    int fd;           /* of the file, or of the directory to open in */
    const char *name; /* to open, relative to fd */
    void *buffer;     /* to read into; NULL: the reader lends one of at least size bytes, which
                         lfs_reader_return() gives back */
    size_t size;      /* bytes, at most LFS_READER_SIZE_MAX for a lent buffer */
    size_t filled;    /* bytes of the buffer that are there: reading goes on behind them */
    uint64_t offset;  /* of the first byte of the buffer */

    /* Called once on a thread of the reader, with the bytes read, the fd opened, 0 or -errno. It
     * may submit the request again or free it. */
    void (*done)(struct lfs_io *io, int result);

    struct lfs_io *next; /* the reader's */
    bool lent;           /* the reader's */
};

enum { LFS_READER_SIZE_MAX = 1 << 20 };

int lfs_reader_new(struct lfs_reader **ret_reader);

/* From then on the gauges follow the lent buffers of both sizes. They must outlive the reader. */
void lfs_reader_watch(
    struct lfs_reader *reader, struct pool_gauge *small, struct pool_gauge *large);

/* Hands a request over. After lfs_reader_stop(), done() is called at once with -ESHUTDOWN. */
void lfs_reader_submit(struct lfs_reader *reader, struct lfs_io *io);

/* Gives a lent buffer back, in done() or later; nothing for a buffer of the caller's. */
void lfs_reader_return(struct lfs_reader *reader, struct lfs_io *io);

/* Waits until all that was handed over is done, and ends the threads. */
void lfs_reader_stop(struct lfs_reader *reader);

/* Most buffers that were lent at once. */
uint32_t lfs_reader_buffers_peak(struct lfs_reader *reader);

/* Stops when that was not done. */
struct lfs_reader *lfs_reader_free(struct lfs_reader *reader);
DEFINE_CLEANUP(struct lfs_reader *, lfs_reader_free)

#endif
