/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes of a tree as FUSE's protocol has them. */
#ifndef LAYERFS_FUSE_ATTR_H
#define LAYERFS_FUSE_ATTR_H

#include <linux/fuse.h>

#include "layerfs/tree/tree.h"

enum {
    /* Seconds for which the kernel may keep what cannot change: nothing does. The kernel holds
     * them in jiffies and cuts what is too long, so any large number means "for good". */
    LFS_ATTR_VALID = 1000000000,
    LFS_BLOCK_SIZE = 4096, /* bytes: st_blksize of files, and the blocks of statfs */
    /* bytes: st_blksize of directories. The C library reads a directory with a buffer of this
     * size, and since Linux 6.16 a READDIRPLUS request has the size of that buffer. */
    LFS_DIR_BLOCK_SIZE = 65536,
};

void lfs_attr_fill(const struct lfs_inode *inode, struct fuse_attr *ret_attr);

/* inode NULL: the answer that says that there is no such name, which the kernel keeps too. */
void lfs_entry_fill(const struct lfs_inode *inode, struct fuse_entry_out *ret_entry);

/* Fills a reply to READDIR (plus: READDIRPLUS, which carries the inodes) from position offset
 * on: 0 is ".", 1 "..", 2 the first entry. Bytes written, 0 at the end, -EIO when the tree is
 * damaged there. No entry is cut. */
ssize_t lfs_readdir_fill(const struct lfs_tree *tree, const struct lfs_inode *dir, uint64_t offset,
    bool plus, void *buffer, size_t size);

#endif
