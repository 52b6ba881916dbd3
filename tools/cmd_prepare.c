/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs prepare: trees, packs and objects ahead of the first mount. */
#include "tools/prepare.h"

struct prepare_values {
    struct oci_platform platform;
    struct prepare_options options;
};

#define VALUE(field) offsetof(struct prepare_values, field)
static const struct option_def options[] = {
    {.name = "platform",
        .argument = "OS/ARCH[/VARIANT]",
        .kind = OPTION_PARSE,
        .offset = VALUE(platform),
        .parse = prepare_parse_platform,
        .help = "of an image for several platforms; default: this machine's"},
    {.name = "jobs",
        .letter = 'j',
        .argument = "N",
        .kind = OPTION_NUMBER,
        .offset = VALUE(options.jobs),
        .help = "layers at a time; default: the number of cores"},
    {.name = "max-layer-size",
        .argument = "SIZE",
        .kind = OPTION_SIZE,
        .offset = VALUE(options.max_layer_size),
        .help = "refuse a layer whose tar is larger, however small it was compressed; default 1T"},
    {.name = "quiet",
        .letter = 'q',
        .kind = OPTION_FLAG,
        .offset = VALUE(options.quiet),
        .help = "no progress"},
    {0},
};

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct prepare_values *v = values;
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    struct prepare_options how = v->options;
    int r = tool_open_store(tool, 0, &store);

    how.lines = true;
    for (int i = 0; r == 0 && i < arg_count; i++) {
        _cleanup_(lfs_image_freep) struct lfs_image *image = NULL;
        _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;

        tool->subject = args[i];
        r = prepare_image(
            tool, store, args[i], prepare_platform(&v->platform), &how, &image, &tree);
    }
    return r;
}

const struct command command_prepare = {
    .name = "prepare",
    .arguments = "IMAGE...",
    .summary = "make an image ready to mount",
    .description =
        "Reads the layers' blobs and writes the trees, packs and objects that a mount serves from. "
        "pull and create do that themselves; it is for images that another tool put into the "
        "store. A mount does it too where it is missing.",
    .options = options,
    .values_size = sizeof(struct prepare_values),
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
