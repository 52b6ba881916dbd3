/* SPDX-License-Identifier: Apache-2.0 */
/* Requests under way.
 *
 * A thread tries the slot first that it had last: nobody else wants that one unless a request went
 * on to another thread with it. So a request costs two readings of the clock and three uncontended
 * atomic operations. */
#include "layerfs/fuse/flight.h"

#include <time.h>

#include "layerfs/fuse/health.h"

static __thread struct lfs_flight own;
static __thread unsigned hint; /* slot + 1; 0: the thread had none yet */

/* Threads start far from one another. */
static unsigned first_hint(void)
{
    static _Atomic unsigned threads;
    enum { STRIDE = 37 }; /* odd, so that it reaches all slots */

    return atomic_fetch_add_explicit(&threads, STRIDE, memory_order_relaxed) % LFS_STATS_SLOTS + 1;
}

static unsigned take_slot(struct lfs_stats *stats, uint64_t value)
{
    if (!hint)
        hint = first_hint();
    for (unsigned i = 0; i < LFS_STATS_SLOTS; i++) {
        unsigned slot = (hint - 1 + i) % LFS_STATS_SLOTS;
        _Atomic uint64_t *started = &stats->slots[slot].started;
        uint64_t expected = 0;

        if (atomic_load_explicit(started, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(
                started, &expected, value, memory_order_relaxed, memory_order_relaxed)) {
            hint = slot + 1;
            return slot;
        }
    }
    return LFS_STATS_SLOTS;
}

static void give_slot(const struct lfs_flight *flight)
{
    if (flight->slot < LFS_STATS_SLOTS)
        atomic_store_explicit(&flight->stats->slots[flight->slot].started, 0, memory_order_relaxed);
}

void lfs_flight_begin(struct lfs_stats *stats, unsigned opcode)
{
    uint64_t now = lfs_health_now();

    if (own.stats) /* a reply that did not go through ours */
        give_slot(&own);
    own = (struct lfs_flight){
        .stats = stats,
        .start = now,
        .opcode = (uint16_t)opcode,
        .slot = (uint16_t)take_slot(stats, now * LFS_STATS_OPCODES + opcode),
    };
}

struct lfs_flight lfs_flight_take(void)
{
    struct lfs_flight flight = own;

    own.stats = NULL;
    return flight;
}

void lfs_flight_resume(struct lfs_flight flight)
{
    own = flight;
}

void lfs_flight_end(void)
{
    struct lfs_latency *latency;
    uint64_t took;

    if (!own.stats)
        return;
    took = lfs_health_now() - own.start;
    latency = &own.stats->latency[own.opcode];
    atomic_fetch_add_explicit(&latency->sum, took, memory_order_relaxed);
    atomic_fetch_add_explicit(&latency->buckets[lfs_latency_bucket(took)], 1, memory_order_relaxed);
    give_slot(&own);
    own.stats = NULL;
}
