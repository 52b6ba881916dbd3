/* SPDX-License-Identifier: Apache-2.0 */
/* What a mount did, as JSON and as text. */
#include "tools/stats_json.h"

#include <stdio.h>

#include "layerfs/fuse/health.h"
#include "layerfs/fuse/mount.h"
#include "tools/output.h"

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static json_t *json_number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

enum { OPCODE_TEXT_MAX = 24 };
static const char *opcode_text(unsigned opcode, char buf[static OPCODE_TEXT_MAX])
{
    const char *name = lfs_stats_opcode_name(opcode);

    (void)snprintf(buf, OPCODE_TEXT_MAX, "OPCODE_%u", opcode);
    return name ? name : buf;
}

static json_t *requests_json(const struct lfs_stats *stats, uint64_t *ret_total)
{
    json_t *requests = json_object();

    *ret_total = 0;
    for (unsigned i = 0; i < LFS_STATS_OPCODES; i++) {
        uint64_t n = load(&stats->requests[i]);
        char name[OPCODE_TEXT_MAX];

        if (n)
            (void)json_object_set_new(requests, opcode_text(i, name), json_number(n));
        *ret_total += n;
    }
    return requests;
}

static json_t *counters_json(const struct lfs_stats *stats)
{
    json_t *counters = json_object();

    for (unsigned i = 0; i < LFS_COUNTERS; i++)
        (void)json_object_set_new(counters, lfs_counter_name((enum lfs_counter)i),
            json_number(load(&stats->counters[i])));
    return counters;
}

/* A bound as a number; the last bucket has none: null. */
static json_t *bound_json(uint64_t bound)
{
    return bound == UINT64_MAX ? json_null() : json_number(bound);
}

static json_t *histogram_json(const struct lfs_latency *latency)
{
    json_t *buckets = json_array();

    for (unsigned i = 0; i < LFS_STATS_BUCKETS; i++)
        (void)json_array_append_new(buckets, json_number(load(&latency->buckets[i])));
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "count", json_number(lfs_latency_count(latency)),
        "sum_ns", json_number(load(&latency->sum)), "p50_ns",
        bound_json(lfs_latency_quantile(latency, 50)), "p99_ns",
        bound_json(lfs_latency_quantile(latency, 99)), "buckets", buckets);
}

static json_t *latency_json(const struct lfs_stats *stats)
{
    json_t *latency = json_object();
    char name[OPCODE_TEXT_MAX];

    for (unsigned i = 0; i < LFS_STATS_OPCODES; i++)
        if (lfs_latency_count(&stats->latency[i]))
            (void)json_object_set_new(
                latency, opcode_text(i, name), histogram_json(&stats->latency[i]));
    return latency;
}

static json_t *pools_json(const struct lfs_stats *stats)
{
    json_t *pools = json_object();

    for (unsigned i = 0; i < LFS_POOLS; i++) {
        const struct pool_gauge *p = &stats->pools[i];

        (void)json_object_set_new(pools, lfs_pool_name((enum lfs_stats_pool)i),
            json_pack("{s:I, s:I, s:I, s:I}", "in_use",
                (json_int_t)atomic_load_explicit(&p->in_use, memory_order_relaxed), "free",
                (json_int_t)atomic_load_explicit(&p->free, memory_order_relaxed), "peak",
                (json_int_t)atomic_load_explicit(&p->peak, memory_order_relaxed), "object_size",
                (json_int_t)atomic_load_explicit(&p->object_size, memory_order_relaxed)));
    }
    return pools;
}

static json_t *confined_json(const struct lfs_stats *stats)
{
    const uint32_t confined = atomic_load_explicit(&stats->confined, memory_order_relaxed);
    json_t *names = json_array();

    for (unsigned bit = 1; lfs_confined_name(bit); bit <<= 1)
        if (confined & bit)
            (void)json_array_append_new(names, json_string(lfs_confined_name(bit)));
    return names;
}

/* in_flight, hung, oldest and, where the kernel says it, waiting. */
static json_t *health_json(const struct lfs_stats *stats, bool alive)
{
    const int waiting = alive ? lfs_health_waiting(stats) : -ENODATA;
    json_t *oldest = json_array(), *json;
    struct lfs_health health;

    lfs_health_read(stats, lfs_health_now(), &health);
    for (unsigned i = 0; i < MIN(health.in_flight, (unsigned)ARRAY_SIZE(health.oldest)); i++) {
        char name[OPCODE_TEXT_MAX];

        (void)json_array_append_new(
            oldest, json_pack("{s:s, s:f}", "opcode", opcode_text(health.oldest[i].opcode, name),
                        "seconds", (double)health.oldest[i].age / 1e9));
    }
    json = json_pack("{s:i, s:i, s:o}", "in_flight", (int)health.in_flight, "hung",
        (int)health.hung, "oldest", oldest);
    if (waiting >= 0)
        (void)json_object_set_new(json, "waiting", json_integer(waiting));
    return json;
}

json_t *stats_json(const struct lfs_mount_record *record, bool alive, const struct lfs_stats *stats)
{
    uint64_t total;
    json_t *requests = requests_json(stats, &total);
    uint32_t transport = atomic_load_explicit(&stats->transport, memory_order_relaxed);
    uint32_t data = atomic_load_explicit(&stats->data_mode, memory_order_relaxed);

    return json_pack("{s:s, s:s, s:s*, s:I, s:b, s:I, s:s, s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:o}",
        "mountpoint", record->mountpoint, "image", record->image, "upper", record->upper, "pid",
        (json_int_t)record->pid, "alive", alive, "started", (json_int_t)record->started,
        "transport", lfs_transport_name((enum lfs_transport)transport), "data",
        lfs_data_mode_name((enum lfs_data_mode)data), "confined", confined_json(stats),
        "total_requests", (json_int_t)total, "requests", requests, "counters", counters_json(stats),
        "latency", latency_json(stats), "health", health_json(stats, alive), "pools",
        pools_json(stats));
}

/* ------------------------------------------------------------------------------------------------
 * Text
 */

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text ? text : "";
}

static long long number_of(const json_t *json, const char *key)
{
    return (long long)json_integer_value(json_object_get(json, key));
}

static void print_section(const json_t *mount, const char *key)
{
    const char *name;
    json_t *value;

    json_object_foreach(json_object_get(mount, key), name, value)
    {
        if (json_integer_value(value))
            printf("    %-24s %14lld\n", name, (long long)json_integer_value(value));
    }
}

static void print_requests(const json_t *mount)
{
    const json_t *latency = json_object_get(mount, "latency");
    const char *name;
    json_t *value;

    printf("  requests %-19lld %10s %10s %10s\n", number_of(mount, "total_requests"), "mean µs",
        "p50 µs <=", "p99 µs <=");
    json_object_foreach(json_object_get(mount, "requests"), name, value)
    {
        const json_t *h = json_object_get(latency, name);

        printf("    %-16s %11lld", name, (long long)json_integer_value(value));
        if (h)
            printf(" %10.1f %10.1f %10.1f",
                (double)number_of(h, "sum_ns") / 1e3 / (double)number_of(h, "count"),
                (double)number_of(h, "p50_ns") / 1e3, (double)number_of(h, "p99_ns") / 1e3);
        putchar('\n');
    }
}

static void print_health(const json_t *mount)
{
    const json_t *health = json_object_get(mount, "health"), *oldest;
    size_t i;

    printf(
        "  under way %lld, hung %lld", number_of(health, "in_flight"), number_of(health, "hung"));
    if (json_object_get(health, "waiting"))
        printf(", waiting in the kernel %lld", number_of(health, "waiting"));
    putchar('\n');
    json_array_foreach(json_object_get(health, "oldest"), i, oldest)
        printf("    %-16s for %.1f s\n", text_of(oldest, "opcode"),
            json_real_value(json_object_get(oldest, "seconds")));
}

static void print_pools(const json_t *mount)
{
    const char *name;
    json_t *pool;

    printf("  pools                   in use       free       peak      bytes each\n");
    json_object_foreach(json_object_get(mount, "pools"), name, pool)
        printf("    %-14s %11lld %10lld %10lld %15lld\n", name, number_of(pool, "in_use"),
            number_of(pool, "free"), number_of(pool, "peak"), number_of(pool, "object_size"));
}

static void print_confined(const json_t *mount)
{
    const json_t *names = json_object_get(mount, "confined"), *name;
    size_t i;

    printf("  confined by");
    json_array_foreach(names, i, name) printf("%s %s", i ? "," : "", json_string_value(name));
    printf("%s\n", json_array_size(names) ? "" : " nothing");
}

void stats_print(const json_t *mount)
{
    output_text(stdout, text_of(mount, "mountpoint"));
    printf("\n  image ");
    output_text(stdout, text_of(mount, "image"));
    printf(", data %s, transport %s, process %lld%s\n", text_of(mount, "data"),
        text_of(mount, "transport"), number_of(mount, "pid"),
        json_is_true(json_object_get(mount, "alive")) ? "" : " (dead)");
    print_confined(mount);
    print_health(mount);
    print_requests(mount);
    printf("  counters\n");
    print_section(mount, "counters");
    print_pools(mount);
}
