/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs tag: one more name for an image. */
#include "layerfs/store/image.h"
#include "oci/reference.h"
#include "tools/tool.h"

static const struct option_def options[] = {{0}};

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor manifest = {0};
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    _cleanup_(fd_closep) int hold = -1; /* gc must not take between finding it and naming it */
    int r;

    (void)values;
    (void)arg_count;
    tool->subject = args[0];
    if (!oci_tag_is_valid(args[1]))
        return tool_usage(tool, "'%s' is not a valid name", args[1]);
    r = tool_open_store(tool, 0, &store);
    if (r == 0)
        r = lfs_gc_hold(store, &hold, &tool->report);
    if (r == 0)
        r = oci_layout_find(lfs_store_layout(store), args[0], NULL, &manifest, &tool->report);
    if (r == 0)
        r = lfs_image_tag(store, &manifest, args[1], &tool->report);
    return r;
}

const struct command command_tag = {
    .name = "tag",
    .arguments = "IMAGE NEW",
    .summary = "give an image one more name",
    .description =
        "NEW becomes a name of IMAGE (a name, a digest, or a unique prefix of at least four hex "
        "digits of one). A name that another image had moves to this one.",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
