/* SPDX-License-Identifier: Apache-2.0 */
/* What counters say. */
#include "layerfs/fuse/health.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { FIRST_BOUND_LOG2 = 10 };

uint64_t lfs_health_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* no failure is possible */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

unsigned lfs_latency_bucket(uint64_t ns)
{
    unsigned log2;

    if (ns <= UINT64_C(1) << FIRST_BOUND_LOG2)
        return 0;
    log2 = 64 - (unsigned)__builtin_clzll(ns - 1); /* of the power of two that is not below ns */
    return MIN(log2 - FIRST_BOUND_LOG2, (unsigned)LFS_STATS_BUCKETS - 1);
}

uint64_t lfs_latency_bound(unsigned bucket)
{
    return bucket >= LFS_STATS_BUCKETS - 1 ? UINT64_MAX
                                           : UINT64_C(1) << (FIRST_BOUND_LOG2 + bucket);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

uint64_t lfs_latency_count(const struct lfs_latency *latency)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < LFS_STATS_BUCKETS; i++)
        count += load(&latency->buckets[i]);
    return count;
}

uint64_t lfs_latency_quantile(const struct lfs_latency *latency, unsigned percent)
{
    uint64_t count = lfs_latency_count(latency), below = 0;

    for (unsigned i = 0; count > 0 && i < LFS_STATS_BUCKETS; i++) {
        below += load(&latency->buckets[i]);
        if (below * 100 >= count * percent)
            return lfs_latency_bound(i);
    }
    return 0;
}

/* Keeps the oldest ones, in order. */
static void note(struct lfs_health *health, unsigned opcode, uint64_t age)
{
    unsigned n = MIN(health->in_flight, (unsigned)ARRAY_SIZE(health->oldest));
    unsigned at = n;

    while (at > 0 && health->oldest[at - 1].age < age)
        at--;
    health->in_flight++;
    health->hung += age > LFS_HUNG_NS;
    if (at == ARRAY_SIZE(health->oldest))
        return;
    n = MIN(n, (unsigned)ARRAY_SIZE(health->oldest) - 1);
    memmove(&health->oldest[at + 1], &health->oldest[at], (n - at) * sizeof(health->oldest[0]));
    health->oldest[at] = (struct lfs_pending){.opcode = opcode, .age = age};
}

void lfs_health_read(const struct lfs_stats *stats, uint64_t now, struct lfs_health *ret_health)
{
    *ret_health = (struct lfs_health){.in_flight = 0};
    for (unsigned i = 0; i < LFS_STATS_SLOTS; i++) {
        uint64_t value = load(&stats->slots[i].started);
        uint64_t start = value / LFS_STATS_OPCODES;

        if (value)
            note(ret_health, value % LFS_STATS_OPCODES, now > start ? now - start : 0);
    }
}

int lfs_health_waiting(const struct lfs_stats *stats)
{
    uint32_t device = atomic_load_explicit(&stats->device, memory_order_relaxed);
    _cleanup_(fd_closep) int fd = -1;
    char path[64], text[16];
    ssize_t n;

    if (!device)
        return -ENODATA;
    (void)snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/waiting", device);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n < 0)
        return neg_errno();
    text[n] = '\0';
    return atoi(text);
}
