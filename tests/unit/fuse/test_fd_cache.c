/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of open objects: what it finds, what it forgets, and whose the fds are. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>

#include "layerfs/fuse/fd_cache.h"

TestSuite(fd_cache);

static struct lfs_stats stats;

static int new_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    cr_assert_geq(fd, 0);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static uint64_t counter(enum lfs_counter c)
{
    return atomic_load(&stats.counters[c]);
}

static struct lfs_fd_cache *make(unsigned capacity)
{
    struct lfs_fd_cache *cache;

    stats = (struct lfs_stats){.transport = 0};
    cr_assert_eq(lfs_fd_cache_new(capacity, &stats, &cache), 0);
    return cache;
}

/* Puts a file in and gives the reference back at once. */
static int put_in(struct lfs_fd_cache *cache, uint32_t key)
{
    struct lfs_fd_ref ref = lfs_fd_cache_insert(cache, key, new_fd());

    lfs_fd_cache_put(cache, ref);
    return ref.fd;
}

Test(fd_cache, an_unknown_key_is_a_miss)
{
    _cleanup_(lfs_fd_cache_freep) struct lfs_fd_cache *cache = make(4);

    cr_assert_eq(lfs_fd_cache_get(cache, 7).fd, -1);
    cr_assert_eq(counter(LFS_COUNT_FD_MISSES), 1);
    cr_assert_eq(counter(LFS_COUNT_FD_HITS), 0);
}

Test(fd_cache, what_was_put_in_is_found_while_in_use_and_after)
{
    _cleanup_(lfs_fd_cache_freep) struct lfs_fd_cache *cache = make(4);
    struct lfs_fd_ref first = lfs_fd_cache_insert(cache, 7, new_fd());
    struct lfs_fd_ref second = lfs_fd_cache_get(cache, 7);

    cr_assert_eq(first.fd, second.fd);
    lfs_fd_cache_put(cache, first);
    lfs_fd_cache_put(cache, second);
    second = lfs_fd_cache_get(cache, 7);
    cr_assert_eq(first.fd, second.fd);
    lfs_fd_cache_put(cache, second);
    cr_assert_eq(counter(LFS_COUNT_FD_HITS), 2);
}

Test(fd_cache, the_slower_of_two_openers_uses_the_file_of_the_faster)
{
    _cleanup_(lfs_fd_cache_freep) struct lfs_fd_cache *cache = make(4);
    struct lfs_fd_ref first = lfs_fd_cache_insert(cache, 7, new_fd());
    int late = new_fd();
    struct lfs_fd_ref second = lfs_fd_cache_insert(cache, 7, late);

    cr_assert_eq(second.fd, first.fd);
    cr_assert_not(is_open(late));
    lfs_fd_cache_put(cache, first);
    lfs_fd_cache_put(cache, second);
}

Test(fd_cache, a_new_file_takes_the_place_of_an_unused_one)
{
    _cleanup_(lfs_fd_cache_freep) struct lfs_fd_cache *cache = make(1);

    (void)put_in(cache, 1);
    (void)put_in(cache, 2);
    cr_assert_eq(counter(LFS_COUNT_FD_EVICTIONS), 1);
    cr_assert_eq(lfs_fd_cache_get(cache, 1).fd, -1);
}

Test(fd_cache, what_is_used_again_and_again_stays)
{
    _cleanup_(lfs_fd_cache_freep) struct lfs_fd_cache *cache = make(16); /* two in each shard */

    (void)put_in(cache, 1);
    for (uint32_t key = 1000; key < 1500; key++) {
        struct lfs_fd_ref ref;

        (void)put_in(cache, key);
        ref = lfs_fd_cache_get(cache, 1);
        cr_assert_geq(ref.fd, 0, "evicted by key %u", key);
        lfs_fd_cache_put(cache, ref);
    }
    cr_assert_geq(counter(LFS_COUNT_FD_EVICTIONS), 500 - 16);
}

Test(fd_cache, a_file_in_use_is_never_evicted)
{
    _cleanup_(lfs_fd_cache_freep) struct lfs_fd_cache *cache = make(1);
    struct lfs_fd_ref used = lfs_fd_cache_insert(cache, 1, new_fd());
    struct lfs_fd_ref extra = lfs_fd_cache_insert(cache, 2, new_fd());

    cr_assert_null(extra.entry, "no entry is free");
    cr_assert(is_open(extra.fd));
    cr_assert(is_open(used.fd));
    lfs_fd_cache_put(cache, extra);
    cr_assert_not(is_open(extra.fd), "its reference alone owned it");
    cr_assert(is_open(used.fd));
    lfs_fd_cache_put(cache, used);
    cr_assert(is_open(used.fd));
}

Test(fd_cache, freeing_closes_all)
{
    struct lfs_fd_cache *cache = make(4);
    int fd = put_in(cache, 1);

    cr_assert(is_open(fd));
    cr_assert_null(lfs_fd_cache_free(cache));
    cr_assert_not(is_open(fd));
}

enum { HAMMER_ROUNDS = 4000, HAMMER_KEYS = 40, HAMMER_THREADS = 4 };

/* Every reference must be to an open file, whatever the others do. */
static void *hammer(void *userdata)
{
    struct lfs_fd_cache *cache = userdata;
    uint32_t seed = (uint32_t)(uintptr_t)pthread_self();

    for (int i = 0; i < HAMMER_ROUNDS; i++) {
        struct lfs_fd_ref ref;

        seed = seed * 1103515245u + 12345u;
        ref = lfs_fd_cache_get(cache, (seed >> 16) % HAMMER_KEYS);
        if (ref.fd < 0)
            ref = lfs_fd_cache_insert(cache, (seed >> 16) % HAMMER_KEYS, new_fd());
        if (!is_open(ref.fd))
            return cache;
        lfs_fd_cache_put(cache, ref);
    }
    return NULL;
}

Test(fd_cache, threads)
{
    _cleanup_(lfs_fd_cache_freep) struct lfs_fd_cache *cache = make(12);
    pthread_t threads[HAMMER_THREADS];
    void *failed;

    for (int i = 0; i < HAMMER_THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, hammer, cache), 0);
    for (int i = 0; i < HAMMER_THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], &failed), 0);
        cr_assert_null(failed);
    }
    cr_assert_gt(counter(LFS_COUNT_FD_EVICTIONS), 0);
}
