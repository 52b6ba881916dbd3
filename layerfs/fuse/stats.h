/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of a mount, in a file that the daemon maps shared and `layerfs stats` reads.
 *
 * Reading them costs the daemon nothing and works when it hangs. Each counter is written with
 * relaxed atomic adds; a reader sees values that are each right, not a snapshot of all. */
#ifndef LAYERFS_FUSE_STATS_H
#define LAYERFS_FUSE_STATS_H

#include <stdatomic.h>

#include "oci/util/report.h"

#define LFS_STATS_MAGIC "LFSstat\1"

enum { LFS_STATS_OPCODES = 64 };

enum lfs_counter {
    LFS_COUNT_READ_INLINE_BYTES,
    LFS_COUNT_READ_PACK_BYTES,
    LFS_COUNT_READ_OBJECT_BYTES,
    LFS_COUNT_READ_CACHED, /* reads answered from the page cache at once */
    LFS_COUNT_READ_ASYNC,  /* reads that waited for the disk in the ring */
    LFS_COUNT_FD_HITS,
    LFS_COUNT_FD_MISSES,
    LFS_COUNT_FD_EVICTIONS,
    LFS_COUNT_PASSTHROUGH_OPENS,
    LFS_COUNT_STORED_BYTES, /* pushed into the page cache ahead of reads */
    LFS_COUNT_ERRORS,       /* replies other than success, ENOENT, ENODATA, ENOSYS, ERANGE */
    LFS_COUNT_BUFFERS_PEAK,
    LFS_COUNTERS,
};

struct lfs_stats {
    char magic[8];
    _Atomic uint32_t transport;                   /* enum lfs_transport once known */
    _Atomic uint32_t data_mode;                   /* enum lfs_data_mode */
    _Atomic uint64_t requests[LFS_STATS_OPCODES]; /* by FUSE opcode */
    _Atomic uint64_t counters[LFS_COUNTERS];
};

const char *lfs_stats_opcode_name(unsigned opcode);     /* "LOOKUP"; NULL for an unknown one */
const char *lfs_counter_name(enum lfs_counter counter); /* "read_inline_bytes" */

/* Makes the file, zeroed, and maps it. */
int lfs_stats_create(const char *path, struct lfs_stats **ret_stats, struct report *r);
/* Maps an existing one read-only. -EBADMSG. */
int lfs_stats_open(const char *path, const struct lfs_stats **ret_stats, struct report *r);
void lfs_stats_close(const struct lfs_stats *stats);

static inline void lfs_stats_add(struct lfs_stats *s, enum lfs_counter c, uint64_t n)
{
    atomic_fetch_add_explicit(&s->counters[c], n, memory_order_relaxed);
}

#endif
