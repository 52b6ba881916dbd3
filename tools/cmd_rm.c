/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs rm: names off images. */
#include "layerfs/store/image.h"
#include "tools/tool.h"

static const struct option_def options[] = {{0}};

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    int r = tool_open_store(tool, 0, &store);

    (void)values;
    for (int i = 0; r == 0 && i < arg_count; i++) {
        tool->subject = args[i];
        r = lfs_image_untag(store, args[i], &tool->report);
    }
    return r;
}

const struct command command_rm = {
    .name = "rm",
    .arguments = "NAME...",
    .summary = "remove images' names from the store",
    .description =
        "Removes the name; given a digest, every name of that image. Blobs, trees and contents "
        "stay: live mounts go on serving, and another image may share them.",
    .options = options,
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
