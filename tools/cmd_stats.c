/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs stats: what a mount did so far. */
#include <stdio.h>

#include "layerfs/fuse/mount.h"
#include "tools/find_mount.h"
#include "tools/output.h"

struct stats_values {
    bool json;
};

#define VALUE(field) offsetof(struct stats_values, field)
static const struct option_def options[] = {
    {.name = "json",
        .kind = OPTION_FLAG,
        .offset = VALUE(json),
        .help = "print an object (without MOUNTPOINT an array of them): mountpoint, image, pid, "
                "alive, transport, data, total_requests, requests by opcode, counters"},
    {0},
};

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static json_t *requests_json(const struct lfs_stats *stats, uint64_t *ret_total)
{
    json_t *requests = json_object();

    *ret_total = 0;
    for (unsigned i = 0; i < LFS_STATS_OPCODES; i++) {
        uint64_t n = load(&stats->requests[i]);
        const char *name = lfs_stats_opcode_name(i);
        char number[16];

        if (!n)
            continue;
        (void)snprintf(number, sizeof(number), "OPCODE_%u", i);
        (void)json_object_set_new(requests, name ? name : number, json_integer((json_int_t)n));
        *ret_total += n;
    }
    return requests;
}

static json_t *counters_json(const struct lfs_stats *stats)
{
    json_t *counters = json_object();

    for (unsigned i = 0; i < LFS_COUNTERS; i++)
        (void)json_object_set_new(counters, lfs_counter_name((enum lfs_counter)i),
            json_integer((json_int_t)load(&stats->counters[i])));
    return counters;
}

static json_t *mount_json(
    const struct lfs_mount_record *record, bool alive, const struct lfs_stats *stats)
{
    uint64_t total;
    json_t *requests = requests_json(stats, &total);
    uint32_t transport = atomic_load_explicit(&stats->transport, memory_order_relaxed);
    uint32_t data = atomic_load_explicit(&stats->data_mode, memory_order_relaxed);

    return json_pack("{s:s, s:s, s:s*, s:I, s:b, s:I, s:s, s:s, s:I, s:o, s:o}", "mountpoint",
        record->mountpoint, "image", record->image, "upper", record->upper, "pid",
        (json_int_t)record->pid, "alive", alive, "started", (json_int_t)record->started,
        "transport", lfs_transport_name((enum lfs_transport)transport), "data",
        lfs_data_mode_name((enum lfs_data_mode)data), "total_requests", (json_int_t)total,
        "requests", requests, "counters", counters_json(stats));
}

static int collect(
    const struct lfs_mount_record *record, bool alive, json_t **ret_json, struct report *r)
{
    const struct lfs_stats *stats;
    int err = lfs_stats_open(record->stats_path, &stats, r);

    if (err < 0)
        return err;
    *ret_json = mount_json(record, alive, stats);
    lfs_stats_close(stats);
    return *ret_json ? 0 : -ENOMEM;
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

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text ? text : "";
}

static void print_mount(const json_t *mount)
{
    output_text(stdout, text_of(mount, "mountpoint"));
    printf("\n  image ");
    output_text(stdout, text_of(mount, "image"));
    printf(", data %s, transport %s, process %lld%s\n", text_of(mount, "data"),
        text_of(mount, "transport"), (long long)json_integer_value(json_object_get(mount, "pid")),
        json_is_true(json_object_get(mount, "alive")) ? "" : " (dead)");
    printf("  requests %lld\n",
        (long long)json_integer_value(json_object_get(mount, "total_requests")));
    print_section(mount, "requests");
    printf("  counters\n");
    print_section(mount, "counters");
}

static int print_one(struct tool *tool, const struct stats_values *v, const char *path)
{
    _cleanup_(found_mount_deinit) struct found_mount found = {0};
    _cleanup_(freep) char *mountpoint = NULL;
    json_t *json = NULL;
    int r = mountpoint_resolve(path, &mountpoint, &tool->report);

    tool->subject = path;
    if (r == 0)
        r = mount_find(tool, mountpoint, &found);
    if (r == 0)
        r = collect(
            &found.list.records[found.index], found.list.alive[found.index], &json, &tool->report);
    if (r < 0)
        return r;
    if (v->json)
        return output_json(json);
    print_mount(json);
    json_decref(json);
    return 0;
}

static int print_all(struct tool *tool, const struct stats_values *v)
{
    _cleanup_(lfs_mount_list_deinit) struct lfs_mount_list list = {0};
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    json_t *all, *mount;
    size_t i;
    int r = tool_open_store(tool, 0, &store);

    if (r == 0)
        r = lfs_mount_list_load(store, &list, &tool->report);
    if (r < 0)
        return r;
    all = json_array();
    for (i = 0; i < list.count; i++)
        if (list.alive[i] && collect(&list.records[i], true, &mount, NULL) == 0)
            (void)json_array_append_new(all, mount);
    if (v->json)
        return output_json(all);
    json_array_foreach(all, i, mount) print_mount(mount);
    json_decref(all);
    return 0;
}

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    return arg_count ? print_one(tool, values, args[0]) : print_all(tool, values);
}

const struct command command_stats = {
    .name = "stats",
    .arguments = "[MOUNTPOINT]",
    .summary = "show what mounts did so far",
    .description =
        "Requests by opcode since the mount began, where contents came from, cache hits, and which "
        "data mode and transport the mount uses. Without MOUNTPOINT: every live mount of the "
        "store. "
        "Reading them costs the mount nothing.",
    .options = options,
    .values_size = sizeof(struct stats_values),
    .min_args = 0,
    .max_args = 1,
    .run = run,
};
