/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs inspect: an image's documents and tree. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "layerfs/tree/builder.h"
#include "tools/output.h"
#include "tools/prepare.h"
#include "tools/registry_values.h"

struct inspect_values {
    bool tree, config, manifest, digests, json;
    struct oci_platform platform;
    struct registry_values registry;
};

#define VALUE(field) offsetof(struct inspect_values, field)
static const struct option_def options[] = {
    {.name = "tree",
        .kind = OPTION_FLAG,
        .offset = VALUE(tree),
        .help = "print the merged tree, a line for each name; prepares the image if needed"},
    {.name = "digests",
        .kind = OPTION_FLAG,
        .offset = VALUE(digests),
        .help = "with --tree: each content's sha256 and where it is kept"},
    {.name = "config",
        .kind = OPTION_FLAG,
        .offset = VALUE(config),
        .help = "print the image's config as it is stored"},
    {.name = "manifest",
        .kind = OPTION_FLAG,
        .offset = VALUE(manifest),
        .help = "print the image's manifest as it is stored"},
    {.name = "platform",
        .argument = "OS/ARCH[/VARIANT]",
        .kind = OPTION_PARSE,
        .offset = VALUE(platform),
        .parse = prepare_parse_platform,
        .help = "of an image for several platforms; default: this machine's"},
    REGISTRY_OPTIONS(VALUE(registry)),
    {.name = "json",
        .kind = OPTION_FLAG,
        .offset = VALUE(json),
        .help = "print the summary as an object"},
    {0},
};

static json_t *layers_json(const struct lfs_image *image)
{
    json_t *layers = json_array();

    for (size_t i = 0; i < image->manifest->layer_count; i++) {
        const struct oci_descriptor *layer = &image->manifest->layers[i];

        (void)json_array_append_new(
            layers, json_pack("{s:o, s:o, s:I, s:s}", "digest", json_digest(&layer->digest),
                        "diffID", json_digest(&image->config->diff_ids[i]), "size",
                        (json_int_t)layer->size, "mediaType", layer->media_type));
    }
    return layers;
}

/* Figures of the tree; null where the image is not prepared; what is wrong with a damaged one. */
static json_t *tree_json(struct lfs_store *store, const struct lfs_image *image)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct report r = REPORT_INIT;
    int err;

    err = lfs_store_open_tree(store, &image->chain_id, &tree, &r);
    if (err == -ENOENT)
        return json_null();
    if (err < 0)
        return json_pack("{s:s}", "error", report_is_set(&r) ? r.text : strerror(-err));
    return json_pack("{s:I, s:I, s:I, s:I}", "inodes", (json_int_t)lfs_tree_inode_count(tree) - 1,
        "file_bytes", (json_int_t)lfs_tree_file_bytes(tree), "tree_bytes",
        (json_int_t)lfs_tree_size(tree), "packs", (json_int_t)lfs_tree_pack_count(tree));
}

static json_t *summary_json(
    struct lfs_store *store, const char *name, const struct lfs_image *image)
{
    json_t *tree = store ? tree_json(store, image) : json_null();
    char platform[100];
    const json_t *config = image->config->json;
    json_t *chain = image->chain_id.alg ? json_digest(&image->chain_id) : json_null();
    const char *created = json_string_value(json_object_get(config, "created"));

    return json_pack("{s:s, s:o, s:o, s:s, s:s*, s:O*, s:o, s:o}", "name", name, "digest",
        json_digest(&image->descriptor.digest), "chainID", chain, "platform",
        oci_platform_format(&image->config->platform, platform), "created", created, "config",
        json_object_get(config, "config"), "layers", layers_json(image), "tree", tree);
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text ? text : "-";
}

static void print_line(const char *label, const char *text)
{
    printf("%-12s ", label);
    output_text(stdout, text);
    printf("\n");
}

/* Config fields as JSON: exact, and on one line. */
static void print_config(const json_t *config)
{
    static const char *const keys[] = {
        "Entrypoint", "Cmd", "Env", "WorkingDir", "User", "ExposedPorts", "Volumes", "Labels"};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const json_t *value = json_object_get(config, keys[i]);
        _cleanup_(freep) char *text =
            value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

        if (text)
            print_line(keys[i], text);
    }
}

static void print_layers(const json_t *layers)
{
    size_t i;
    json_t *layer;

    json_array_foreach(layers, i, layer)
    {
        char size[SIZE_TEXT_MAX];

        printf("%-12s %s %10s\n", i ? "" : "Layers", text_of(layer, "digest"),
            format_size((uint64_t)json_integer_value(json_object_get(layer, "size")), size));
    }
}

static void print_tree(const json_t *tree)
{
    char sizes[2][SIZE_TEXT_MAX];

    if (json_is_null(tree)) {
        print_line("Tree", "not prepared");
        return;
    }
    if (json_object_get(tree, "error")) {
        print_line("Tree", text_of(tree, "error"));
        return;
    }
    printf("%-12s %lld inodes, %s of files, metadata %s\n", "Tree",
        (long long)json_integer_value(json_object_get(tree, "inodes")),
        format_size((uint64_t)json_integer_value(json_object_get(tree, "file_bytes")), sizes[0]),
        format_size((uint64_t)json_integer_value(json_object_get(tree, "tree_bytes")), sizes[1]));
}

static int print_summary(const struct inspect_values *v, json_t *summary)
{
    if (v->json || !summary)
        return output_json(summary);
    print_line("Name", text_of(summary, "name"));
    print_line("Digest", text_of(summary, "digest"));
    print_line("ChainID", text_of(summary, "chainID"));
    print_line("Platform", text_of(summary, "platform"));
    print_line("Created", text_of(summary, "created"));
    print_config(json_object_get(summary, "config"));
    print_layers(json_object_get(summary, "layers"));
    print_tree(json_object_get(summary, "tree"));
    json_decref(summary);
    return 0;
}

static int print_bytes(const struct buf *b)
{
    return fwrite(b->data, 1, b->size, stdout) == b->size ? 0 : -EIO;
}

/* A document byte by byte, so that its digest can be taken of the output. */
static int print_document(
    struct tool *tool, struct lfs_store *store, const struct oci_descriptor *descriptor)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    int r = oci_layout_read_blob(lfs_store_layout(store), descriptor, &b, &tool->report);

    return r < 0 ? r : print_bytes(&b);
}

/* An image that is not in the store, by its location. */
static int inspect_remote(struct tool *tool, const char *name, const struct inspect_values *v)
{
    _cleanup_(oci_location_deinit) struct oci_location location = {0};
    _cleanup_(oci_image_source_closep) struct oci_image_source *source = NULL;
    _cleanup_(lfs_image_freep) struct lfs_image *image = NULL;
    _cleanup_(buf_deinit) struct buf config = {0};
    struct oci_registry_options registry;
    int r = registry_options_from(tool, &v->registry, &registry);

    (void)signal(SIGPIPE, SIG_IGN); /* a connection that is gone is an error of its write */
    if (r == 0)
        r = oci_location_parse(name, &location, &tool->report);
    if (r != 0)
        return r == -EINVAL ? EXIT_CODE_USAGE : r;
    location.registry = &registry;
    r = oci_image_source_open(&location, prepare_platform(&v->platform), &source, &tool->report);
    if (r == 0 && v->manifest)
        return print_bytes(&source->manifest);
    if (r == 0)
        r = lfs_image_load_source(source, &config, &image, &tool->report);
    if (r < 0)
        return r;
    if (v->config)
        return print_bytes(&config);
    return print_summary(v, summary_json(NULL, source->name ? source->name : name, image));
}

/* True for a name with a transport in front; a tag of the store has none of them. */
static bool is_remote(const char *name)
{
    static const char *const prefixes[] = {"docker://", "oci:", "oci-archive:", "docker-archive:"};

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static int print_tree_line(void *userdata, const char *text)
{
    (void)userdata;
    return puts(text) == EOF ? -EIO : 0;
}

static int dump_tree(
    struct tool *tool, struct lfs_store *store, const char *name, const struct inspect_values *v)
{
    _cleanup_(lfs_image_freep) struct lfs_image *image = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct lfs_dump_options dump = {.digests = v->digests};
    int r = prepare_image(tool, store, name, prepare_platform(&v->platform),
        &(struct prepare_options){0}, &image, &tree);

    return r < 0 ? r : lfs_tree_dump(tree, &dump, print_tree_line, NULL);
}

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct inspect_values *v = values;
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    _cleanup_(lfs_image_freep) struct lfs_image *image = NULL;
    int r;

    (void)arg_count;
    tool->subject = args[0];
    if (v->tree + v->config + v->manifest + v->json > 1)
        return tool_usage(tool, "only one of --tree, --config, --manifest and --json");
    if (v->digests && !v->tree)
        return tool_usage(tool, "--digests goes with --tree");
    if (is_remote(args[0]) && v->tree)
        return tool_usage(tool, "--tree is for images in the store; pull %s first", args[0]);
    if (is_remote(args[0]))
        return inspect_remote(tool, args[0], v);
    r = tool_open_store(tool, v->tree ? 0 : LFS_STORE_READ_ONLY, &store);
    if (r < 0)
        return r;
    if (v->tree)
        return dump_tree(tool, store, args[0], v);
    r = lfs_image_load(store, args[0], prepare_platform(&v->platform), &image, &tool->report);
    if (r < 0)
        return r;
    if (v->manifest)
        return print_document(tool, store, &image->descriptor);
    if (v->config)
        return print_document(tool, store, &image->manifest->config);
    return print_summary(v, summary_json(store, args[0], image));
}

const struct command command_inspect = {
    .name = "inspect",
    .arguments = "IMAGE",
    .summary = "show an image's documents and tree",
    .description =
        "Without options: digest, chainID, platform, what the config says, layers with their "
        "sizes, and figures of the tree.\n\n"
        "IMAGE may also be a location as `layerfs pull` takes it, with its transport in front "
        "(docker://REF): then the documents are read from there, and nothing is stored.",
    .options = options,
    .values_size = sizeof(struct inspect_values),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
