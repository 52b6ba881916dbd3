/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs gc: removing what nothing needs. */
#include <stdio.h>
#include <string.h>

#include "layerfs/store/gc.h"
#include "tools/find_mount.h"
#include "tools/output.h"
#include "tools/runtime_dir.h"
#include "tools/tool.h"

enum { DEFAULT_GRACE = 24 * 3600 /* seconds */ };

struct given_number {
    bool given;
    uint64_t value;
};

struct gc_values {
    bool dry_run, json;
    struct given_number grace, keep_last, max_size;
    unsigned jobs;
};

/* "90", "30s", "15m", "24h", "7d": seconds. */
static int parse_grace(const char *argument, void *ret_value)
{
    static const struct {
        char letter;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    size_t size = strlen(argument);
    struct given_number *n = ret_value;
    uint64_t factor = 1, value;
    char digits[24];
    int r;

    for (size_t i = 0; size > 0 && i < ARRAY_SIZE(units); i++)
        if (argument[size - 1] == units[i].letter)
            factor = units[i].seconds;
    if (size > 0 && (argument[size - 1] < '0' || argument[size - 1] > '9'))
        size--;
    if (size == 0 || size >= sizeof(digits) ||
        (argument[size] && factor == 1 && argument[size] != 's'))
        return -EINVAL;
    memcpy(digits, argument, size);
    digits[size] = '\0';
    r = parse_number(digits, INT32_MAX / factor, &value);
    if (r == 0)
        *n = (struct given_number){true, value * factor};
    return r;
}

static int parse_count(const char *argument, void *ret_value)
{
    struct given_number *n = ret_value;
    int r = parse_number(argument, 1000000, &n->value);

    n->given = r == 0;
    return r;
}

static int parse_bytes(const char *argument, void *ret_value)
{
    struct given_number *n = ret_value;
    int r = parse_size(argument, &n->value);

    n->given = r == 0;
    return r;
}

#define VALUE(field) offsetof(struct gc_values, field)
static const struct option_def options[] = {
    {.name = "dry-run",
        .letter = 'n',
        .kind = OPTION_FLAG,
        .offset = VALUE(dry_run),
        .help = "remove nothing, and report what would be"},
    {.name = "grace",
        .argument = "TIME",
        .kind = OPTION_PARSE,
        .offset = VALUE(grace),
        .parse = parse_grace,
        .help = "keep what was written since (30s, 15m, 24h, 7d), and images used since; 0: "
                "nothing is too young; default 24h"},
    {.name = "keep-last",
        .argument = "N",
        .kind = OPTION_PARSE,
        .offset = VALUE(keep_last),
        .parse = parse_count,
        .help = "remove the tags of all images but those in use and the N that were used last; "
                "with --max-size never those of the N"},
    {.name = "max-size",
        .argument = "SIZE",
        .kind = OPTION_PARSE,
        .offset = VALUE(max_size),
        .parse = parse_bytes,
        .help = "remove the tags of images not in use, those mounted longest ago first, until what "
                "stays is no larger"},
    {.name = "jobs",
        .letter = 'j',
        .argument = "N",
        .kind = OPTION_NUMBER,
        .offset = VALUE(jobs),
        .help = "threads that list the store; default: the number of cores"},
    {.name = "json",
        .kind = OPTION_FLAG,
        .offset = VALUE(json),
        .help = "print an object: dry_run, kinds (kept, kept_bytes, freed, freed_bytes of each), "
                "freed_bytes, kept_bytes, evicted, damage"},
    {0},
};

/* Records and runtime directories of dead daemons whose mounts are gone. */
static bool sweep_mount(
    struct lfs_store *store, const struct lfs_mount_record *record, bool dry_run)
{
    if (mount_is_present(record))
        return false; /* `layerfs umount --dead` takes it away */
    if (!dry_run)
        mount_remove_traces(store, record);
    return true;
}

static json_t *count_json(const struct lfs_gc_count *c)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "kept", (json_int_t)c->kept, "kept_bytes",
        (json_int_t)c->kept_bytes, "freed", (json_int_t)c->freed, "freed_bytes",
        (json_int_t)c->freed_bytes);
}

static struct lfs_gc_count add_up(const struct lfs_gc_result *result)
{
    struct lfs_gc_count all = {0};

    for (int i = 0; i < LFS_GC_KINDS; i++) {
        all.kept += result->kinds[i].kept;
        all.kept_bytes += result->kinds[i].kept_bytes;
        all.freed += result->kinds[i].freed;
        all.freed_bytes += result->kinds[i].freed_bytes;
    }
    return all;
}

static int print_json(const struct gc_values *v, const struct lfs_gc_result *result)
{
    struct lfs_gc_count all = add_up(result);
    json_t *kinds = json_object(), *evicted = json_array(), *runtime;

    for (int i = 0; i < LFS_GC_KINDS; i++)
        (void)json_object_set_new(kinds, lfs_gc_kind_name(i), count_json(&result->kinds[i]));
    for (size_t i = 0; i < result->evicted_count; i++)
        (void)json_array_append_new(evicted, json_string(result->evicted[i]));
    runtime = json_pack("{s:b, s:o, s:I, s:I, s:o, s:s*}", "dry_run", v->dry_run, "kinds", kinds,
        "kept_bytes", (json_int_t)all.kept_bytes, "freed_bytes", (json_int_t)all.freed_bytes,
        "evicted", evicted, "damage", result->has_damage ? result->damage.text : NULL);
    return output_json(runtime);
}

static void print_row(const char *name, const struct lfs_gc_count *c)
{
    char kept[SIZE_TEXT_MAX], freed[SIZE_TEXT_MAX];

    printf("%-10s %10llu %12s %10llu %12s\n", name, (unsigned long long)c->kept,
        format_size(c->kept_bytes, kept), (unsigned long long)c->freed,
        format_size(c->freed_bytes, freed));
}

static void print_text(const struct gc_values *v, const struct lfs_gc_result *result)
{
    struct lfs_gc_count all = add_up(result);

    for (size_t i = 0; i < result->evicted_count; i++)
        printf("%s %s\n", v->dry_run ? "would evict" : "evicted", result->evicted[i]);
    printf("%-10s %10s %12s %10s %12s\n", "KIND", "KEPT", "SIZE", v->dry_run ? "TO FREE" : "FREED",
        "SIZE");
    for (int i = 0; i < LFS_GC_KINDS; i++)
        print_row(lfs_gc_kind_name(i), &result->kinds[i]);
    print_row("all", &all);
}

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct gc_values *v = values;
    _cleanup_(lfs_gc_result_deinit) struct lfs_gc_result result = {0};
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    struct lfs_gc_options o = {
        .dry_run = v->dry_run,
        .grace = v->grace.given ? v->grace.value : DEFAULT_GRACE,
        .has_keep_last = v->keep_last.given,
        .keep_last = (unsigned)v->keep_last.value,
        .has_max_size = v->max_size.given,
        .max_size = v->max_size.value,
        .jobs = v->jobs,
        .sweep_mount = sweep_mount,
    };
    int r = tool_open_store(tool, v->dry_run ? LFS_STORE_READ_ONLY : 0, &store);

    (void)args;
    (void)arg_count;
    if (r == 0)
        r = lfs_gc(store, &o, &result, &tool->report);
    if (r == 0 && !v->dry_run)
        runtime_dir_sweep(lfs_store_path(store), store, mount_record_exists);
    if (r < 0)
        return r;
    if (v->json)
        r = print_json(v, &result);
    else
        print_text(v, &result);
    if (r == 0 && result.has_damage)
        return report_fail(&tool->report, -EBADMSG,
            "images' contents were all kept, because the store is damaged: %s (see layerfs "
            "validate)",
            result.damage.text);
    return r;
}

const struct command command_gc = {
    .name = "gc",
    .arguments = "",
    .summary = "remove from the store what nothing needs",
    .description =
        "Keeps what is reached from tags, live mounts, writable uppers that hold anything, and "
        "commands at work, and what is younger than the grace time; removes all other blobs, "
        "trees, packs and objects, partial downloads, and what commands that died left. Prints "
        "what was kept and freed, by kind.\n\n"
        "May run at any time beside everything else, and be killed at any time. When a document "
        "or tree is damaged, so that nobody knows what it needs, contents are all kept and the "
        "exit status is 4.",
    .options = options,
    .values_size = sizeof(struct gc_values),
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
