/* SPDX-License-Identifier: Apache-2.0 */
/* Requests under way: seen by readers of the stats, and timed.
 *
 * The thread that takes a request begins its flight, the thread that replies ends it. Who answers
 * later, on another thread, carries the flight over. */
#ifndef LAYERFS_FUSE_FLIGHT_H
#define LAYERFS_FUSE_FLIGHT_H

#include "layerfs/fuse/stats.h"

/* A value; stats NULL: none. */
struct lfs_flight {
    struct lfs_stats *stats;
    uint64_t start; /* ns */
    uint16_t opcode;
    uint16_t slot; /* LFS_STATS_SLOTS: the table was full */
};

/* The calling thread took a request. opcode is below LFS_STATS_OPCODES. */
void lfs_flight_begin(struct lfs_stats *stats, unsigned opcode);

/* The calling thread's request, which it thereby forgets: somebody else will reply. */
struct lfs_flight lfs_flight_take(void);

/* The calling thread is about to reply to it. */
void lfs_flight_resume(struct lfs_flight flight);

/* The calling thread replied; nothing when it has no request. */
void lfs_flight_end(void);

#endif
