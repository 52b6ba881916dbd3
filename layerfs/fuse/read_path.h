/* SPDX-License-Identifier: Apache-2.0 */
/* Answering READ. */
#ifndef LAYERFS_FUSE_READ_PATH_H
#define LAYERFS_FUSE_READ_PATH_H

#include "layerfs/fuse/session.h"

/* Opens all packs of the tree. -ENOENT, … with a text. */
int lfs_packs_open(struct lfs_mount *m, struct report *r);
void lfs_packs_close(struct lfs_mount *m);

/* Replies to req with size bytes of a file from offset on, fewer at its end: at once when they are
 * in memory, else later, from the reader's thread. */
void lfs_read(struct lfs_mount *m, fuse_req_t req, const struct lfs_inode *inode, uint64_t offset,
    size_t size);

/* Bytes of a struct lfs_read, for its pool. */
extern const size_t lfs_read_size;

#endif
