/* SPDX-License-Identifier: Apache-2.0 */
/* Object pools. */
#include "oci/util/pool.h"

#include <assert.h>

enum { PAGE = 4096 };

int pool_init(struct pool *p, size_t object_size, uint32_t keep, uint32_t limit)
{
    *p = (struct pool){.keep = keep, .limit = limit};
    p->stats.object_size = MAX(object_size, sizeof(void *));
    return -pthread_mutex_init(&p->lock, NULL);
}

void pool_deinit(struct pool *p)
{
    assert(p->stats.in_use == 0);
    while (p->free_list) {
        void *object = p->free_list;

        p->free_list = *(void **)object;
        free(object);
    }
    (void)pthread_mutex_destroy(&p->lock);
}

static void *allocate(size_t size)
{
    return size % PAGE == 0 ? aligned_alloc(PAGE, size) : malloc(size);
}

/* Under the lock, after each change. */
static void publish(struct pool *p)
{
    if (!p->gauge)
        return;
    atomic_store_explicit(&p->gauge->in_use, p->stats.in_use, memory_order_relaxed);
    atomic_store_explicit(&p->gauge->free, p->stats.free, memory_order_relaxed);
    atomic_store_explicit(&p->gauge->peak, p->stats.peak, memory_order_relaxed);
}

void pool_watch(struct pool *p, struct pool_gauge *gauge)
{
    pthread_mutex_lock(&p->lock);
    p->gauge = gauge;
    atomic_store(&gauge->object_size, (uint32_t)p->stats.object_size);
    publish(p);
    pthread_mutex_unlock(&p->lock);
}

/* Counts one more object out, and takes it off the free list where that has one. False at the
 * limit. */
static bool count_out(struct pool *p, void **ret_object)
{
    bool ok;

    pthread_mutex_lock(&p->lock);
    ok = p->stats.in_use < p->limit;
    if (ok) {
        *ret_object = p->free_list;
        if (p->free_list) {
            p->free_list = *(void **)p->free_list;
            p->stats.free--;
            p->stats.reused++;
        }
        p->stats.in_use++;
        p->stats.taken++;
        p->stats.peak = MAX(p->stats.peak, p->stats.in_use);
        publish(p);
    }
    pthread_mutex_unlock(&p->lock);
    return ok;
}

void *pool_take(struct pool *p)
{
    void *object = NULL;

    if (!count_out(p, &object))
        return NULL;
    if (object)
        return object;
    object = allocate(p->stats.object_size); /* constant after init */
    if (!object) {
        pthread_mutex_lock(&p->lock);
        p->stats.in_use--;
        p->stats.taken--;
        publish(p);
        pthread_mutex_unlock(&p->lock);
    }
    return object;
}

void pool_give(struct pool *p, void *object)
{
    if (!object)
        return;
    pthread_mutex_lock(&p->lock);
    p->stats.in_use--;
    if (p->stats.free < p->keep) {
        *(void **)object = p->free_list;
        p->free_list = object;
        p->stats.free++;
        object = NULL;
    }
    publish(p);
    pthread_mutex_unlock(&p->lock);
    free(object);
}

struct pool_stats pool_get_stats(struct pool *p)
{
    struct pool_stats stats;

    pthread_mutex_lock(&p->lock);
    stats = p->stats;
    pthread_mutex_unlock(&p->lock);
    return stats;
}
