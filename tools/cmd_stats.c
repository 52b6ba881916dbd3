/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs stats: what mounts did so far, and how they are. */
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "layerfs/fuse/health.h"
#include "oci/util/io.h"
#include "tools/find_mount.h"
#include "tools/output.h"
#include "tools/prometheus.h"
#include "tools/stats_json.h"

struct stats_values {
    bool json;
    bool prometheus;
    const char *prometheus_file;
    const char *watch; /* seconds; NULL: once */
};

#define VALUE(field) offsetof(struct stats_values, field)
static const struct option_def options[] = {
    {.name = "watch",
        .argument = "[=SECONDS]",
        .kind = OPTION_TEXT,
        .offset = VALUE(watch),
        .value = "2",
        .help = "one line a mount every SECONDS (default 2), of what happened since the line "
                "before; with --json the whole object, one a line"},
    {.name = "prometheus",
        .kind = OPTION_FLAG,
        .offset = VALUE(prometheus),
        .help = "print the text format of Prometheus"},
    {.name = "prometheus-file",
        .argument = "FILE",
        .kind = OPTION_TEXT,
        .offset = VALUE(prometheus_file),
        .help = "write it to FILE, which is replaced as a whole: for node_exporter's textfile "
                "collector, which takes files that end in .prom"},
    {.name = "json",
        .kind = OPTION_FLAG,
        .offset = VALUE(json),
        .help = "print an object (without MOUNTPOINT an array of them): mountpoint, image, pid, "
                "alive, transport, data, confined, total_requests, requests by opcode, counters, "
                "latency by opcode, health, pools"},
    {0},
};

/* The mounts that were asked for, with their counters. */
struct selection {
    struct found_mount found; /* keeps the records */
    struct prometheus_mount *mounts;
    size_t count;
};

static void selection_deinit(struct selection *s)
{
    for (size_t i = 0; i < s->count; i++)
        lfs_stats_close(s->mounts[i].stats);
    free(s->mounts);
    found_mount_deinit(&s->found);
}

/* required: fail where there are no counters. */
static int select_record(struct selection *s, size_t i, bool required, struct report *r)
{
    struct prometheus_mount *m = &s->mounts[s->count];

    *m = (struct prometheus_mount){
        .record = &s->found.list.records[i], .alive = s->found.list.alive[i]};
    if (lfs_stats_open(m->record->stats_path, &m->stats, r) < 0 && required)
        return -ENOENT;
    s->count++;
    return 0;
}

static int select_one(struct tool *tool, const char *path, struct selection *s)
{
    _cleanup_(freep) char *mountpoint = NULL;
    int r = mountpoint_resolve(path, &mountpoint, &tool->report);

    tool->subject = path;
    if (r == 0)
        r = mount_find(tool, mountpoint, &s->found);
    if (r < 0)
        return r;
    s->mounts = calloc(1, sizeof(*s->mounts));
    return s->mounts ? select_record(s, s->found.index, true, &tool->report) : -ENOMEM;
}

/* Mounts of dead daemons only where they are still there and somebody must see it. */
static int select_all(struct tool *tool, bool dead, struct selection *s)
{
    const struct lfs_mount_list *list = &s->found.list;
    int r = tool_open_store(tool, 0, &s->found.store);

    if (r == 0)
        r = lfs_mount_list_load(s->found.store, &s->found.list, &tool->report);
    if (r < 0)
        return r;
    s->mounts = calloc(MAX(list->count, (size_t)1), sizeof(*s->mounts));
    if (!s->mounts)
        return -ENOMEM;
    for (size_t i = 0; i < list->count; i++)
        if (list->alive[i] || (dead && mount_is_present(&list->records[i])))
            (void)select_record(s, i, !dead, NULL);
    return 0;
}

static json_t *selection_json(const struct selection *s)
{
    json_t *all = json_array();

    for (size_t i = 0; i < s->count; i++)
        (void)json_array_append_new(
            all, stats_json(s->mounts[i].record, s->mounts[i].alive, s->mounts[i].stats));
    return all;
}

static int print(const struct selection *s, const struct stats_values *v, bool one)
{
    json_t *all = selection_json(s), *mount;
    size_t i;

    if (v->json && one) {
        mount = json_incref(json_array_get(all, 0));
        json_decref(all);
        return output_json(mount);
    }
    if (v->json)
        return output_json(all);
    json_array_foreach(all, i, mount) stats_print(mount);
    json_decref(all);
    return 0;
}

/* ------------------------------------------------------------------------------------------------
 * Prometheus
 */

static int write_file(const char *path, const struct buf *text, struct report *r)
{
    _cleanup_(freep) char *for_dir = strdup(path), *for_name = strdup(path);
    _cleanup_(fd_closep) int dir_fd = -1;
    int err;

    if (!for_dir || !for_name)
        return -ENOMEM;
    dir_fd = open(dirname(for_dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return report_errno(r, neg_errno(), "%s", path);
    err = io_write_file(dir_fd, basename(for_name), text->data, text->size, 0644);
    return err < 0 ? report_errno(r, err, "%s", path) : 0;
}

static int export(struct tool *tool, const struct selection *s, const struct stats_values *v)
{
    _cleanup_(buf_deinit) struct buf text = {0};
    int r = prometheus_format(s->mounts, s->count, lfs_health_now(), &text);

    if (r == 0 && v->prometheus && fwrite(text.data, 1, text.size, stdout) != text.size)
        r = -EIO;
    if (r == 0 && v->prometheus_file)
        r = write_file(v->prometheus_file, &text, &tool->report);
    return r;
}

/* ------------------------------------------------------------------------------------------------
 * Watching
 */

/* What is compared between two lines. */
struct reading {
    uint64_t requests, bytes, errors, took; /* took in ns */
};

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static struct reading read_now(const struct lfs_stats *stats)
{
    struct reading now = {0};

    for (unsigned i = 0; i < LFS_STATS_OPCODES; i++) {
        now.requests += load(&stats->requests[i]);
        now.took += load(&stats->latency[i].sum);
    }
    now.bytes = load(&stats->counters[LFS_COUNT_READ_INLINE_BYTES]) +
                load(&stats->counters[LFS_COUNT_READ_PACK_BYTES]) +
                load(&stats->counters[LFS_COUNT_READ_OBJECT_BYTES]);
    now.errors = load(&stats->counters[LFS_COUNT_ERRORS]);
    return now;
}

static void print_line(
    const struct prometheus_mount *m, const struct reading *before, double interval)
{
    const struct reading now = read_now(m->stats);
    const uint64_t requests = now.requests - before->requests;
    struct lfs_health health;

    lfs_health_read(m->stats, lfs_health_now(), &health);
    printf("%10.0f %9.1f %9.1f %9u %6u %8llu  ", (double)requests / interval,
        (double)(now.bytes - before->bytes) / 1048576 / interval,
        requests ? (double)(now.took - before->took) / 1e3 / (double)requests : 0, health.in_flight,
        health.hung, (unsigned long long)(now.errors - before->errors));
    output_text(stdout, m->record->mountpoint);
    putchar('\n');
}

static void print_lines(struct selection *s, struct reading *readings, double interval)
{
    for (size_t i = 0; i < s->count; i++) {
        print_line(&s->mounts[i], &readings[i], interval);
        readings[i] = read_now(s->mounts[i].stats);
    }
}

static int print_json_lines(const struct selection *s)
{
    json_t *all = selection_json(s), *mount;
    size_t i;
    int r = 0;

    json_array_foreach(all, i, mount)
    {
        if (json_dumpf(mount, stdout, JSON_COMPACT) < 0)
            r = -EIO;
        putchar('\n');
    }
    json_decref(all);
    return r;
}

static int pause_for(uint64_t seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds};

    return nanosleep(&time, NULL) < 0 ? neg_errno() : 0;
}

/* The mounts are those that are there when it starts; it ends when none of them is left. */
static bool any_alive(const struct selection *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (access(s->mounts[i].record->stats_path, F_OK) == 0)
            return true;
    return false;
}

static int watch(struct tool *tool, struct selection *s, const struct stats_values *v)
{
    _cleanup_(freep) struct reading *readings = calloc(MAX(s->count, (size_t)1), sizeof(*readings));
    uint64_t seconds;
    int r = 0;

    if (!readings)
        return -ENOMEM;
    if (parse_number(v->watch, 86400, &seconds) < 0 || seconds == 0)
        return tool_usage(tool, "--watch=%s: a number of seconds, 1 to 86400", v->watch);
    for (size_t i = 0; i < s->count; i++)
        readings[i] = read_now(s->mounts[i].stats);
    if (!v->json)
        printf("%10s %9s %9s %9s %6s %8s  %s\n", "requests/s", "MiB/s", "mean us", "under way",
            "hung", "errors", "mountpoint");
    while (r == 0 && fflush(stdout) == 0 && any_alive(s) && (r = pause_for(seconds)) == 0) {
        if (v->json)
            r = print_json_lines(s);
        else
            print_lines(s, readings, (double)seconds);
    }
    return r;
}

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct stats_values *v = values;
    const bool exporting = v->prometheus || v->prometheus_file;
    _cleanup_(selection_deinit) struct selection s = {.count = 0};
    int r;

    if (exporting && (v->watch || v->json))
        return tool_usage(tool, "--prometheus goes with neither --watch nor --json");
    r = arg_count ? select_one(tool, args[0], &s) : select_all(tool, exporting, &s);
    if (r != 0)
        return r;
    if (exporting)
        return export(tool, &s, v);
    return v->watch ? watch(tool, &s, v) : print(&s, v, arg_count > 0);
}

const struct command command_stats = {
    .name = "stats",
    .arguments = "[MOUNTPOINT]",
    .summary = "show what mounts did so far, and how they are",
    .description =
        "Requests by opcode since the mount began and how long they took, where contents came "
        "from, cache hits, pools, what is under way or hangs (more than 10 s), what confines the "
        "daemon, and which data mode and transport the mount uses. Without MOUNTPOINT: every live "
        "mount of the store. "
        "Reading them costs the mount nothing, and works when its daemon hangs.",
    .options = options,
    .values_size = sizeof(struct stats_values),
    .min_args = 0,
    .max_args = 1,
    .run = run,
};
