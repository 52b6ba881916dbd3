/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/util/pool.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

TestSuite(pool);

Test(pool, gives_objects_up_to_its_limit)
{
    struct pool p;
    void *objects[3];

    cr_assert(zero(int, pool_init(&p, 100, 1, 3)));
    for (unsigned i = 0; i < 3; i++) {
        objects[i] = pool_take(&p);
        cr_assert(ne(ptr, objects[i], NULL));
        memset(objects[i], (int)i, 100);
    }
    cr_assert(zero(ptr, pool_take(&p)), "the limit");
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 100; k++)
            cr_assert(eq(u8, ((uint8_t *)objects[i])[k], i), "objects do not overlap");
    pool_give(&p, objects[0]);
    objects[0] = pool_take(&p);
    cr_assert(ne(ptr, objects[0], NULL), "room again");
    for (unsigned i = 0; i < 3; i++)
        pool_give(&p, objects[i]);
    pool_deinit(&p);
}

Test(pool, keeps_few_and_counts)
{
    struct pool_stats s;
    struct pool p;
    void *objects[4];

    cr_assert(zero(int, pool_init(&p, 64, 2, 10)));
    for (unsigned i = 0; i < 4; i++)
        objects[i] = pool_take(&p);
    for (unsigned i = 0; i < 4; i++)
        pool_give(&p, objects[i]);
    s = pool_get_stats(&p);
    cr_assert(eq(u32, s.free, 2), "no more than keep");
    cr_assert(zero(u32, s.in_use));
    cr_assert(eq(u32, s.peak, 4));
    cr_assert(eq(u64, s.taken, 4));
    cr_assert(zero(u64, s.reused));
    objects[0] = pool_take(&p);
    s = pool_get_stats(&p);
    cr_assert(eq(u64, s.taken, 5));
    cr_assert(eq(u64, s.reused, 1));
    cr_assert(eq(u32, s.free, 1));
    cr_assert(eq(u32, s.in_use, 1));
    pool_give(&p, objects[0]);
    pool_deinit(&p);
}

Test(pool, whole_pages_are_aligned)
{
    struct pool p;
    void *object;

    cr_assert(zero(int, pool_init(&p, 8192, 1, 1)));
    object = pool_take(&p);
    cr_assert(zero(u64, (uint64_t)(uintptr_t)object % 4096));
    pool_give(&p, object);
    pool_deinit(&p);
}

Test(pool, tiny_objects_have_room_for_the_list)
{
    struct pool p;
    void *object;

    cr_assert(zero(int, pool_init(&p, 1, 4, 4)));
    cr_assert(eq(sz, pool_get_stats(&p).object_size, sizeof(void *)));
    object = pool_take(&p);
    pool_give(&p, object);
    pool_give(&p, NULL);
    cr_assert(eq(ptr, pool_take(&p), object), "the kept one comes back");
    pool_give(&p, object);
    pool_deinit(&p);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *hammer(void *arg)
{
    struct pool *p = arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t *a = pool_take(p), *b = pool_take(p);

        if (a)
            *a = i;
        if (b)
            *b = ~i;
        if (a && b)
            cr_assert(eq(u32, *a, i), "nobody else has our object");
        pool_give(p, a);
        pool_give(p, b);
    }
    return NULL;
}

Test(pool, threads_share_it)
{
    pthread_t threads[THREADS];
    struct pool_stats s;
    struct pool p;

    cr_assert(zero(int, pool_init(&p, 32, 3, 6)));
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert(zero(int, pthread_create(&threads[i], NULL, hammer, &p)));
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert(zero(int, pthread_join(threads[i], NULL)));
    s = pool_get_stats(&p);
    cr_assert(zero(u32, s.in_use));
    cr_assert(le(u32, s.peak, 6));
    cr_assert(le(u32, s.free, 3));
    pool_deinit(&p);
}

Test(pool, a_gauge_follows_the_counts)
{
    struct pool_gauge gauge = {0};
    struct pool p;
    void *a, *b;

    cr_assert_eq(pool_init(&p, 100, 1, 2), 0);
    a = pool_take(&p);
    pool_watch(&p, &gauge);
    cr_assert_eq(gauge.object_size, 100);
    cr_assert_eq(gauge.in_use, 1, "what was out before");
    b = pool_take(&p);
    cr_assert_eq(gauge.in_use, 2);
    cr_assert_eq(gauge.peak, 2);
    pool_give(&p, a);
    cr_assert_eq(gauge.in_use, 1);
    cr_assert_eq(gauge.free, 1);
    pool_give(&p, b);
    cr_assert_eq(gauge.in_use, 0);
    cr_assert_eq(gauge.free, 1, "one is kept");
    cr_assert_eq(gauge.peak, 2);
    pool_deinit(&p);
}
