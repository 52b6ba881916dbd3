/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs df: what takes the room. */
#include <stdio.h>

#include "layerfs/store/gc.h"
#include "tools/output.h"
#include "tools/tool.h"

struct df_values {
    bool json;
};

#define VALUE(field) offsetof(struct df_values, field)
static const struct option_def options[] = {
    {.name = "json",
        .kind = OPTION_FLAG,
        .offset = VALUE(json),
        .help = "print an object: images (name, digest, total, unique, shared, last_used, in_use), "
                "kinds (count, bytes, reclaimable, reclaimable_bytes), bytes, reclaimable_bytes"},
    {0},
};

static json_t *image_json(const struct lfs_image_usage *image)
{
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:b}", "name", image->name, "digest",
        json_digest(&image->digest), "total", (json_int_t)image->total, "unique",
        (json_int_t)image->unique, "shared", (json_int_t)(image->total - image->unique),
        "last_used", (json_int_t)image->last_used, "in_use", image->in_use);
}

static json_t *kind_json(const struct lfs_gc_count *c)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "count", (json_int_t)(c->kept + c->freed), "bytes",
        (json_int_t)(c->kept_bytes + c->freed_bytes), "reclaimable", (json_int_t)c->freed,
        "reclaimable_bytes", (json_int_t)c->freed_bytes);
}

static void add_up(const struct lfs_usage *usage, uint64_t *ret_bytes, uint64_t *ret_reclaimable)
{
    *ret_bytes = *ret_reclaimable = 0;
    for (int i = 0; i < LFS_GC_KINDS; i++) {
        *ret_bytes += usage->kinds[i].kept_bytes + usage->kinds[i].freed_bytes;
        *ret_reclaimable += usage->kinds[i].freed_bytes;
    }
}

static int print_json(const struct lfs_usage *usage)
{
    json_t *images = json_array(), *kinds = json_object();
    uint64_t bytes, reclaimable;

    for (size_t i = 0; i < usage->count; i++)
        (void)json_array_append_new(images, image_json(&usage->images[i]));
    for (int i = 0; i < LFS_GC_KINDS; i++)
        (void)json_object_set_new(kinds, lfs_gc_kind_name(i), kind_json(&usage->kinds[i]));
    add_up(usage, &bytes, &reclaimable);
    return output_json(json_pack("{s:o, s:o, s:I, s:I}", "images", images, "kinds", kinds, "bytes",
        (json_int_t)bytes, "reclaimable_bytes", (json_int_t)reclaimable));
}

static void print_text(const struct lfs_usage *usage)
{
    char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX], c[SIZE_TEXT_MAX];
    uint64_t bytes, reclaimable;

    printf("%-40s %12s %12s %12s  %s\n", "IMAGE", "TOTAL", "UNIQUE", "SHARED", "IN USE");
    for (size_t i = 0; i < usage->count; i++) {
        const struct lfs_image_usage *u = &usage->images[i];

        printf("%-40s %12s %12s %12s  %s\n", u->name, format_size(u->total, a),
            format_size(u->unique, b), format_size(u->total - u->unique, c),
            u->in_use ? "yes" : "no");
    }
    printf("\n%-40s %12s %12s %12s\n", "KIND", "COUNT", "SIZE", "RECLAIMABLE");
    for (int i = 0; i < LFS_GC_KINDS; i++) {
        const struct lfs_gc_count *k = &usage->kinds[i];

        printf("%-40s %12llu %12s %12s\n", lfs_gc_kind_name(i),
            (unsigned long long)(k->kept + k->freed),
            format_size(k->kept_bytes + k->freed_bytes, a), format_size(k->freed_bytes, b));
    }
    add_up(usage, &bytes, &reclaimable);
    printf("%-40s %12s %12s %12s\n", "all", "", format_size(bytes, a), format_size(reclaimable, b));
}

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct df_values *v = values;
    _cleanup_(lfs_usage_deinit) struct lfs_usage usage = {0};
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    int r = tool_open_store(tool, LFS_STORE_READ_ONLY, &store);

    (void)args;
    (void)arg_count;
    if (r == 0)
        r = lfs_usage_load(store, 0, &usage, &tool->report);
    if (r < 0)
        return r;
    if (!v->json)
        print_text(&usage);
    return v->json ? print_json(&usage) : 0;
}

const struct command command_df = {
    .name = "df",
    .arguments = "",
    .summary = "show what takes the room in the store",
    .description =
        "For each image the size of all that it consists of, and how much of it no other image "
        "has, which is what removing it frees. For each kind of file the number, the size, and how "
        "much `layerfs gc --grace 0` would free now.",
    .options = options,
    .values_size = sizeof(struct df_values),
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
