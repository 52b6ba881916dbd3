/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of a mount, in a file that the daemon maps shared and `layerfs stats` reads.
 *
 * Reading them costs the daemon nothing and works when it hangs. Each counter is written with
 * relaxed atomic adds; a reader sees values that are each right, not a snapshot of all. Another
 * layout of the struct is another number in the magic: readers refuse what they do not know. */
#ifndef LAYERFS_FUSE_STATS_H
#define LAYERFS_FUSE_STATS_H

#include <stdatomic.h>

#include "oci/util/pool.h"
#include "oci/util/report.h"

#define LFS_STATS_MAGIC "LFSstat\2"

enum {
    LFS_STATS_OPCODES = 64,
    LFS_STATS_SLOTS = 512,  /* requests under way that are seen; the kernel sends fewer at once */
    LFS_STATS_BUCKETS = 26, /* of a histogram: up to 2^10 ns, 2^11 ns, … 2^34 ns (17 s), more */
};

enum lfs_counter {
    LFS_COUNT_READ_INLINE_BYTES,
    LFS_COUNT_READ_PACK_BYTES,
    LFS_COUNT_READ_OBJECT_BYTES,
    LFS_COUNT_READ_CACHED,       /* reads answered from the page cache at once */
    LFS_COUNT_READ_CACHED_BYTES, /* their bytes, which are of packs and objects */
    LFS_COUNT_READ_ASYNC,        /* reads that waited for the disk in the ring */
    LFS_COUNT_FD_HITS,
    LFS_COUNT_FD_MISSES,
    LFS_COUNT_FD_EVICTIONS,
    LFS_COUNT_PASSTHROUGH_OPENS,
    LFS_COUNT_PASSTHROUGH_BYTES, /* sizes of these files: what of them is read, the kernel knows */
    LFS_COUNT_STORED_BYTES,      /* pushed into the page cache ahead of reads */
    LFS_COUNT_ERRORS,            /* replies other than success, ENOENT, ENODATA, ENOSYS, ERANGE */
    LFS_COUNT_BUFFERS_PEAK,
    LFS_COUNTERS,
};

enum lfs_stats_pool {
    LFS_POOL_SMALL_BUFFERS, /* of handlers */
    LFS_POOL_LARGE_BUFFERS,
    LFS_POOL_READS,      /* READ requests that wait for the disk */
    LFS_POOL_OPENS,      /* OPEN requests that do */
    LFS_POOL_DISK_SMALL, /* buffers that the disk is read into */
    LFS_POOL_DISK_LARGE,
    LFS_POOLS,
};

/* What confines the daemon, as bits. */
enum {
    LFS_CONFINED_NO_NEW_PRIVS = 1 << 0,
    LFS_CONFINED_CAPABILITIES = 1 << 1,
    LFS_CONFINED_SECCOMP = 1 << 2,
    LFS_CONFINED_LANDLOCK = 1 << 3,
};

/* How long requests of one opcode took, from the handler's start to the reply's end. */
struct lfs_latency {
    _Atomic uint64_t sum; /* ns */
    _Atomic uint64_t buckets[LFS_STATS_BUCKETS];
};

/* A request under way; a cache line of its own, because each thread writes one all the time. */
struct lfs_slot {
    _Alignas(64) _Atomic uint64_t started; /* CLOCK_MONOTONIC in ns, times 64, plus the opcode; 0:
                                              free */
};

struct lfs_stats {
    char magic[8];
    _Atomic uint32_t transport; /* enum lfs_transport once known */
    _Atomic uint32_t data_mode; /* enum lfs_data_mode */
    _Atomic uint32_t confined;  /* LFS_CONFINED_… */
    _Atomic uint32_t device;    /* minor number of the mount's device; 0: not known yet */
    _Atomic uint64_t requests[LFS_STATS_OPCODES]; /* by FUSE opcode */
    _Atomic uint64_t counters[LFS_COUNTERS];
    struct pool_gauge pools[LFS_POOLS];
    struct lfs_latency latency[LFS_STATS_OPCODES];
    struct lfs_slot slots[LFS_STATS_SLOTS];
};

const char *lfs_stats_opcode_name(unsigned opcode);     /* "LOOKUP"; NULL for an unknown one */
const char *lfs_counter_name(enum lfs_counter counter); /* "read_inline_bytes" */
const char *lfs_pool_name(enum lfs_stats_pool pool);    /* "small_buffers" */
const char *lfs_confined_name(unsigned bit);            /* "seccomp" of LFS_CONFINED_SECCOMP */

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
