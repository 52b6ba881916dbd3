/* SPDX-License-Identifier: Apache-2.0 */
/* Files whose contents the kernel reads itself, from the object behind them.
 *
 * passthrough.c is built where libfuse has it (3.17), passthrough_none.c elsewhere. */
#ifndef LAYERFS_FUSE_PASSTHROUGH_H
#define LAYERFS_FUSE_PASSTHROUGH_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "layerfs/tree/tree.h"

struct lfs_mount;
struct lfs_passthrough;

/* What a file handle says of an open. */
enum lfs_handle {
    LFS_HANDLE_CACHED = 0,      /* by the page cache; the kernel may forget it */
    LFS_HANDLE_TRACKED = 1,     /* the same, of an inode that may be passed through too */
    LFS_HANDLE_PASSTHROUGH = 2, /* by the kernel */
};

/* Whether this build can do it at all. */
bool lfs_passthrough_built(void);

/* Whether a mount may ask for it: 0, -EOPNOTSUPP, or -EPERM for lack of privilege, with a text. */
int lfs_passthrough_available(struct report *r);

/* In INIT: whether the kernel offers it and it was taken. nested: the store itself lies on a file
 * system stacked over another (then none can be stacked above the mount). */
bool lfs_passthrough_negotiate(struct fuse_conn_info *conn, bool nested);

int lfs_passthrough_new(struct lfs_mount *m, struct lfs_passthrough **ret_passthrough);

/* Answers OPEN of a file with an object. */
void lfs_passthrough_open(struct lfs_mount *m, fuse_req_t req, const struct lfs_inode *inode);

/* What RELEASE tells: an open with this handle is over. */
void lfs_passthrough_release(struct lfs_mount *m, uint64_t number, uint64_t handle);

/* Registers no more files from then on: the connection is about to go. */
void lfs_passthrough_stop(struct lfs_passthrough *passthrough);

struct lfs_passthrough *lfs_passthrough_free(struct lfs_passthrough *passthrough);

/* Bytes of an OPEN under way, for its pool. */
extern const size_t lfs_open_size;

#endif
