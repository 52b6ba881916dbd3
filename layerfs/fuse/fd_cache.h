/* SPDX-License-Identifier: Apache-2.0 */
/* Open files of a mount's objects: a bounded cache that forgets what was not used for longest.
 *
 * Keyed by the number of a content's digest in the tree. Entries are allocated once; getting and
 * putting takes the lock of one shard for a few instructions. */
#ifndef LAYERFS_FUSE_FD_CACHE_H
#define LAYERFS_FUSE_FD_CACHE_H

#include "layerfs/fuse/stats.h"

struct lfs_fd_cache;
struct lfs_fd_entry;

/* An open file in use; a value. entry NULL: the fd is the holder's alone. */
struct lfs_fd_ref {
    int fd;
    struct lfs_fd_entry *entry;
};
#define LFS_FD_REF_NONE ((struct lfs_fd_ref){.fd = -1, .entry = NULL})

/* capacity in files, at least 1; stats is borrowed. 0 or -ENOMEM. */
int lfs_fd_cache_new(unsigned capacity, struct lfs_stats *stats, struct lfs_fd_cache **ret_cache);

/* Closes all; no reference may be out (asserted). */
struct lfs_fd_cache *lfs_fd_cache_free(struct lfs_fd_cache *cache);
DEFINE_CLEANUP(struct lfs_fd_cache *, lfs_fd_cache_free)

/* A reference to a cached file, or LFS_FD_REF_NONE. Thread-safe, as is all below. */
struct lfs_fd_ref lfs_fd_cache_get(struct lfs_fd_cache *cache, uint32_t key);

/* Puts an open file in, taking the fd over, and refers to it. When another thread was faster, that
 * one's file is used and fd closed; when all entries are in use, the reference alone owns fd. */
struct lfs_fd_ref lfs_fd_cache_insert(struct lfs_fd_cache *cache, uint32_t key, int fd);

/* Gives a reference back. */
void lfs_fd_cache_put(struct lfs_fd_cache *cache, struct lfs_fd_ref ref);

#endif
