/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs images: what the store holds. */
#include <stdio.h>
#include <string.h>

#include "layerfs/store/image.h"
#include "tools/output.h"
#include "tools/tool.h"

struct images_values {
    bool json, quiet;
};

#define VALUE(field) offsetof(struct images_values, field)
static const struct option_def options[] = {
    {.name = "json",
        .kind = OPTION_FLAG,
        .offset = VALUE(json),
        .help = "print an array of objects with name, digest, platform, layers, size (bytes of the "
                "blobs), created and prepared; error instead of these for a broken image"},
    {.name = "quiet",
        .letter = 'q',
        .kind = OPTION_FLAG,
        .offset = VALUE(quiet),
        .help = "print names only"},
    {0},
};

static uint64_t blobs_size(const struct lfs_image *image)
{
    uint64_t size = image->descriptor.size + image->manifest->config.size;

    for (size_t i = 0; i < image->manifest->layer_count; i++)
        size += image->manifest->layers[i].size;
    return size;
}

static const char *created(const struct lfs_image *image)
{
    const char *text = json_string_value(json_object_get(image->config->json, "created"));

    return text ? text : "";
}

static bool is_prepared(struct lfs_store *store, const struct lfs_image *image)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;

    return lfs_store_open_tree(store, &image->chain_id, &tree, NULL) == 0;
}

static json_t *entry_json(
    struct lfs_store *store, const char *name, const struct oci_descriptor *entry)
{
    _cleanup_(lfs_image_freep) struct lfs_image *image = NULL;
    char digest[OCI_DIGEST_STR_MAX], platform[100];
    struct report r = REPORT_INIT;

    (void)oci_digest_format(&entry->digest, digest);
    if (lfs_image_load(store, digest, NULL, &image, &r) < 0)
        return json_pack("{s:s?, s:s, s:s}", "name", name, "digest", digest, "error", r.text);
    return json_pack("{s:s?, s:s, s:s, s:I, s:I, s:s, s:b}", "name", name, "digest", digest,
        "platform", oci_platform_format(&image->config->platform, platform), "layers",
        (json_int_t)image->manifest->layer_count, "size", (json_int_t)blobs_size(image), "created",
        created(image), "prepared", is_prepared(store, image));
}

static int collect(struct lfs_store *store, json_t *list, struct report *r)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    int err = oci_layout_read_index(lfs_store_layout(store), &index, NULL, r);

    for (size_t i = 0; err == 0 && i < index->count; i++) {
        const char *name =
            oci_descriptor_annotation(&index->manifests[i], "org.opencontainers.image.ref.name");

        err = json_array_append_new(list, entry_json(store, name, &index->manifests[i])) < 0
                  ? -ENOMEM
                  : 0;
    }
    return err;
}

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));

    return text ? text : "-";
}

static void print_entry(const json_t *entry)
{
    char size[SIZE_TEXT_MAX];
    const char *digest = text_of(entry, "digest");
    const char *colon = strchr(digest, ':');

    printf("%-36s %-14.12s ", text_of(entry, "name"), colon ? colon + 1 : digest);
    if (json_object_get(entry, "error")) {
        printf("broken: ");
        output_text(stdout, text_of(entry, "error"));
    } else {
        printf("%-14s %6lld %10s  %.19s", text_of(entry, "platform"),
            (long long)json_integer_value(json_object_get(entry, "layers")),
            format_size((uint64_t)json_integer_value(json_object_get(entry, "size")), size),
            text_of(entry, "created"));
    }
    printf("\n");
}

static void print_list(const struct images_values *v, const json_t *list)
{
    size_t i;
    json_t *entry;

    if (!v->quiet)
        printf("%-36s %-14s %-14s %6s %10s  %s\n", "NAME", "DIGEST", "PLATFORM", "LAYERS", "SIZE",
            "CREATED");
    json_array_foreach(list, i, entry)
    {
        if (v->quiet)
            printf("%s\n", text_of(entry, json_object_get(entry, "name") ? "name" : "digest"));
        else
            print_entry(entry);
    }
}

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct images_values *v = values;
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    json_t *list;
    int r = tool_open_store(tool, LFS_STORE_READ_ONLY, &store);

    (void)args;
    (void)arg_count;
    if (r < 0)
        return r;
    list = json_array();
    r = list ? collect(store, list, &tool->report) : -ENOMEM;
    if (r == 0 && v->json)
        return output_json(list);
    if (r == 0)
        print_list(v, list);
    json_decref(list);
    return r;
}

const struct command command_images = {
    .name = "images",
    .arguments = "",
    .summary = "list the images in the store",
    .description = "One line an entry of the store's index. SIZE is that of the image's blobs, "
                   "shared ones counted for each image.",
    .options = options,
    .values_size = sizeof(struct images_values),
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
