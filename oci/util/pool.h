/* SPDX-License-Identifier: Apache-2.0 */
/* Object pools: fixed-size objects that are taken and given back without malloc.
 *
 * Free objects wait on a list; the pool grows one object at a time up to `limit` and frees what is
 * given back beyond `keep`, so that its memory falls again after a burst. */
#ifndef OCI_UTIL_POOL_H
#define OCI_UTIL_POOL_H

#include <pthread.h>
#include <stdatomic.h>

#include "oci/util/macros.h"

struct pool_stats {
    uint64_t taken;     /* calls of pool_take() that succeeded */
    uint64_t reused;    /* of these, served from the free list */
    uint32_t in_use;    /* objects out now */
    uint32_t free;      /* objects waiting */
    uint32_t peak;      /* most objects out at once */
    size_t object_size; /* bytes */
};

/* A copy of the counts for whoever may not take the lock, such as another process. */
struct pool_gauge {
    _Atomic uint32_t in_use, free, peak, object_size;
};

struct pool {
    pthread_mutex_t lock; /* protects everything below; held for a few instructions only */
    void *free_list;
    uint32_t keep, limit;
    struct pool_stats stats;
    struct pool_gauge *gauge; /* borrowed, or NULL */
};

/* object_size in bytes (made at least a pointer's);
 * keep <= limit, counts of objects. 0 or -errno. */
int pool_init(struct pool *p, size_t object_size, uint32_t keep, uint32_t limit);

/* Frees the waiting objects. All taken objects must have been given back (asserted). */
void pool_deinit(struct pool *p);

/* An object, page-aligned when its size is a multiple of the page, contents undefined. NULL when
 * out of memory or at the limit. Thread-safe. */
void *pool_take(struct pool *p);

/* Gives an object back; NULL is ignored. Thread-safe. */
void pool_give(struct pool *p, void *object);

/* From then on *gauge, which must outlive the pool, follows the counts. */
void pool_watch(struct pool *p, struct pool_gauge *gauge);

struct pool_stats pool_get_stats(struct pool *p);

#endif
