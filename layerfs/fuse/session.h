/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of an image mount share. Only files of layerfs/fuse include this. */
#ifndef LAYERFS_FUSE_SESSION_H
#define LAYERFS_FUSE_SESSION_H

#include "layerfs/fuse/fd_cache.h"
#include "layerfs/fuse/loop.h"
#include "layerfs/fuse/mount.h"
#include "layerfs/fuse/passthrough.h"
#include "layerfs/fuse/reader.h"
#include "layerfs/fuse/transport.h"

struct lfs_mount {
    /* Fixed from INIT on, so read without a lock. */
    const struct lfs_tree *tree; /* borrowed, as are the next two */
    const struct lfs_store *store;
    struct lfs_stats *stats;
    struct fuse_session *session;
    bool mounted;
    bool no_open;    /* OPEN is answered ENOSYS */
    bool no_opendir; /* OPENDIR is */
    bool has_xattrs;
    enum lfs_data_mode data_mode; /* asked for; after INIT: what it is */
    enum lfs_transport transport; /* asked for; what it is stands in the stats */
    bool uring_taken;
    int error;             /* of INIT */
    struct report *report; /* of lfs_mount_new(); NULL when that is over */
    dev_t device;          /* of the mounted file system; 0 before it answered */
    int root_fd;           /* O_PATH of its root until it answered: a confined thread may be unable
                              to go there by name; -1 after */
    char *mountpoint;
    unsigned threads;
    uint64_t file_bytes;

    _Atomic uint64_t requests; /* handled; drives lfs_tree_trim() */

    int *packs; /* open files, by the tree's pack number */
    uint32_t pack_count;
    struct lfs_fd_cache *fds;
    struct lfs_reader *reader;
    struct lfs_passthrough *passthrough;
    struct pool small_buffers, large_buffers; /* of handlers, for the time of one request */
    struct pool reads;                        /* struct lfs_read, see read_path.c */
    struct pool opens;                        /* struct lfs_open, see passthrough.c */

    struct lfs_loop loop;
};

/* Handlers of libfuse; userdata is the struct lfs_mount. */
extern const struct fuse_lowlevel_ops lfs_image_ops;

/* The init handler, see negotiate.c. */
void lfs_mount_negotiate(void *userdata, struct fuse_conn_info *conn);

/* Every reply goes through these, so that errors are counted and requests timed; another one is
 * followed by lfs_flight_end(). Exactly one a request. */
void lfs_reply_error(struct lfs_mount *m, fuse_req_t req, int error);
void lfs_reply_data(fuse_req_t req, const void *data, size_t size);
int lfs_reply_open(fuse_req_t req, const struct fuse_file_info *fi); /* as fuse_reply_open() */

/* A buffer for the reply to req: the ring's, else from a pool. NULL: out of memory. At least size
 * bytes, which is at most LFS_READER_SIZE_MAX. */
struct lfs_reply_buffer {
    void *data;
    struct pool *pool; /* NULL: the ring's */
};
int lfs_reply_buffer_take(
    struct lfs_mount *m, fuse_req_t req, size_t size, struct lfs_reply_buffer *ret_buffer);
void lfs_reply_buffer_give(struct lfs_reply_buffer *buffer);

#endif
