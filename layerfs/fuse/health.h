/* SPDX-License-Identifier: Apache-2.0 */
/* What a mount's counters say about its health; computed by who reads them. */
#ifndef LAYERFS_FUSE_HEALTH_H
#define LAYERFS_FUSE_HEALTH_H

#include "layerfs/fuse/stats.h"

#define LFS_HUNG_NS UINT64_C(10000000000) /* a request under way for longer is said to hang */

/* CLOCK_MONOTONIC in ns: the clock of slots, the same for all processes. */
uint64_t lfs_health_now(void);

/* The bucket of a time, and the longest time (ns) that falls into a bucket; UINT64_MAX for the
 * last. */
unsigned lfs_latency_bucket(uint64_t ns);
uint64_t lfs_latency_bound(unsigned bucket);

/* Requests in a histogram, and the bound of the bucket that holds the one which percent of all are
 * not slower than; 0 when there was none. */
uint64_t lfs_latency_count(const struct lfs_latency *latency);
uint64_t lfs_latency_quantile(const struct lfs_latency *latency, unsigned percent);

/* A request that is under way. */
struct lfs_pending {
    unsigned opcode;
    uint64_t age; /* ns */
};

struct lfs_health {
    unsigned in_flight, hung;
    struct lfs_pending oldest[16]; /* oldest first; as many as are under way */
};

/* now: of lfs_health_now(). */
void lfs_health_read(const struct lfs_stats *stats, uint64_t now, struct lfs_health *ret_health);

/* Requests that wait in the kernel, taken by the daemon or not: -errno when it does not say (its
 * control file system is not mounted, or shows others' connections to root only). */
int lfs_health_waiting(const struct lfs_stats *stats);

#endif
