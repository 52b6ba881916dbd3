/* SPDX-License-Identifier: Apache-2.0 */
/* Requests under way, histograms, and what they say. */
#include <pthread.h>

#include <criterion/criterion.h>

#include "layerfs/fuse/flight.h"
#include "layerfs/fuse/health.h"

TestSuite(health);

static struct lfs_stats stats;

Test(health, buckets_are_powers_of_two_and_bounds_belong_to_them)
{
    cr_assert_eq(lfs_latency_bucket(0), 0);
    cr_assert_eq(lfs_latency_bucket(1024), 0);
    cr_assert_eq(lfs_latency_bucket(1025), 1);
    cr_assert_eq(lfs_latency_bucket(UINT64_MAX), LFS_STATS_BUCKETS - 1);
    for (unsigned i = 0; i + 1 < LFS_STATS_BUCKETS; i++) {
        cr_assert_eq(lfs_latency_bucket(lfs_latency_bound(i)), i);
        cr_assert_eq(lfs_latency_bucket(lfs_latency_bound(i) + 1), i + 1);
    }
    cr_assert_eq(lfs_latency_bound(LFS_STATS_BUCKETS - 2), UINT64_C(1) << 34);
    cr_assert_eq(lfs_latency_bound(LFS_STATS_BUCKETS - 1), UINT64_MAX);
}

Test(health, quantiles)
{
    struct lfs_latency latency = {.sum = 0};

    cr_assert_eq(lfs_latency_quantile(&latency, 50), 0, "nothing happened yet");
    latency.buckets[0] = 98;
    latency.buckets[3] = 1;
    latency.buckets[LFS_STATS_BUCKETS - 1] = 1;
    cr_assert_eq(lfs_latency_count(&latency), 100);
    cr_assert_eq(lfs_latency_quantile(&latency, 50), lfs_latency_bound(0));
    cr_assert_eq(lfs_latency_quantile(&latency, 98), lfs_latency_bound(0));
    cr_assert_eq(lfs_latency_quantile(&latency, 99), lfs_latency_bound(3));
    cr_assert_eq(lfs_latency_quantile(&latency, 100), UINT64_MAX);
}

Test(health, a_request_is_seen_while_it_is_under_way_and_timed_after)
{
    struct lfs_health health;

    lfs_flight_begin(&stats, 15);
    lfs_health_read(&stats, lfs_health_now() + LFS_HUNG_NS / 2, &health);
    cr_assert_eq(health.in_flight, 1);
    cr_assert_eq(health.hung, 0);
    cr_assert_eq(health.oldest[0].opcode, 15);
    cr_assert_geq(health.oldest[0].age, LFS_HUNG_NS / 2);
    lfs_health_read(&stats, lfs_health_now() + LFS_HUNG_NS, &health);
    cr_assert_eq(health.hung, 1);
    cr_assert_eq(lfs_latency_count(&stats.latency[15]), 0);
    lfs_flight_end();
    lfs_health_read(&stats, lfs_health_now(), &health);
    cr_assert_eq(health.in_flight, 0);
    cr_assert_eq(lfs_latency_count(&stats.latency[15]), 1);
    cr_assert_gt(stats.latency[15].sum, 0);
    lfs_flight_end();
    cr_assert_eq(lfs_latency_count(&stats.latency[15]), 1, "it has ended already");
}

static void *reply(void *flight)
{
    lfs_flight_resume(*(struct lfs_flight *)flight);
    lfs_flight_end();
    return NULL;
}

Test(health, another_thread_may_reply)
{
    struct lfs_flight flight;
    struct lfs_health health;
    pthread_t thread;

    lfs_flight_begin(&stats, 14);
    flight = lfs_flight_take();
    lfs_flight_begin(&stats, 1); /* the thread takes the next one meanwhile */
    lfs_health_read(&stats, lfs_health_now(), &health);
    cr_assert_eq(health.in_flight, 2);
    cr_assert_eq(health.oldest[0].opcode, 14, "the older one first");
    cr_assert_eq(pthread_create(&thread, NULL, reply, &flight), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    lfs_health_read(&stats, lfs_health_now(), &health);
    cr_assert_eq(health.in_flight, 1);
    cr_assert_eq(health.oldest[0].opcode, 1);
    lfs_flight_end();
    cr_assert_eq(lfs_latency_count(&stats.latency[14]), 1);
    cr_assert_eq(lfs_latency_count(&stats.latency[1]), 1);
}

Test(health, a_request_that_nobody_ended_does_not_stay)
{
    struct lfs_health health;

    lfs_flight_begin(&stats, 1);
    lfs_flight_begin(&stats, 2);
    lfs_health_read(&stats, lfs_health_now(), &health);
    cr_assert_eq(health.in_flight, 1);
    cr_assert_eq(health.oldest[0].opcode, 2);
}

Test(health, more_requests_than_slots_are_timed_all_the_same)
{
    static struct lfs_flight flights[LFS_STATS_SLOTS + 1];
    struct lfs_health health;

    for (unsigned i = 0; i < ARRAY_SIZE(flights); i++) {
        lfs_flight_begin(&stats, 1);
        flights[i] = lfs_flight_take();
    }
    lfs_health_read(&stats, lfs_health_now(), &health);
    cr_assert_eq(health.in_flight, LFS_STATS_SLOTS);
    for (unsigned i = 1; i < ARRAY_SIZE(health.oldest); i++)
        cr_assert_leq(health.oldest[i].age, health.oldest[i - 1].age);
    for (unsigned i = 0; i < ARRAY_SIZE(flights); i++) {
        lfs_flight_resume(flights[i]);
        lfs_flight_end();
    }
    lfs_health_read(&stats, lfs_health_now(), &health);
    cr_assert_eq(health.in_flight, 0);
    cr_assert_eq(lfs_latency_count(&stats.latency[1]), LFS_STATS_SLOTS + 1);
}

Test(health, a_mount_that_did_not_answer_yet_has_no_device)
{
    cr_assert_eq(lfs_health_waiting(&stats), -ENODATA);
}
