/* SPDX-License-Identifier: Apache-2.0 */
/* Loading and preparing an image. */
#include "tools/prepare.h"

#include "tools/progress.h"

struct oci_layer_limits prepare_limits(uint64_t max_layer_size)
{
    struct oci_layer_limits limits = oci_layer_limits_default;

    if (max_layer_size) {
        limits.max_size = max_layer_size;
        limits.max_file_size = MIN(limits.max_file_size, max_layer_size);
    }
    return limits;
}

int prepare_image(struct tool *tool, struct lfs_store *store, const char *name,
    const struct oci_platform *platform, const struct prepare_options *options,
    struct lfs_image **ret_image, struct lfs_tree **ret_tree)
{
    _cleanup_(lfs_image_freep) struct lfs_image *image = NULL;
    _cleanup_(progress_freep) struct progress *progress = NULL;
    struct oci_layer_limits limits = prepare_limits(options->max_layer_size);
    struct lfs_ingest_options ingest = {.jobs = options->jobs, .limits = &limits};
    int r = lfs_image_load(store, name, platform, &image, &tool->report);

    if (r < 0)
        return r;
    /* The usual case, nothing to do, is quiet. A damaged tree is told, not made anew: whoever
     * damages one will do so again. */
    r = lfs_store_open_tree(store, &image->chain_id, ret_tree, &tool->report);
    if (r == 0)
        *ret_image = TAKE_PTR(image);
    if (r != -ENOENT)
        return r;
    tool->report = REPORT_INIT;
    r = progress_new(
        "prepare", options->quiet || (!options->lines && !isatty(STDERR_FILENO)), &progress);
    if (r < 0)
        return r;
    ingest.progress = progress_callbacks(progress);
    r = lfs_image_prepare(store, image, &ingest, ret_tree, &tool->report);
    if (r < 0)
        return r;
    *ret_image = TAKE_PTR(image);
    return 0;
}

int prepare_parse_platform(const char *argument, void *ret_platform)
{
    return oci_platform_parse(argument, ret_platform);
}

const struct oci_platform *prepare_platform(const struct oci_platform *platform)
{
    return platform->os[0] ? platform : NULL;
}
