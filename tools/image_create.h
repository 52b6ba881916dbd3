/* SPDX-License-Identifier: Apache-2.0 */
/* Making an image from directories and tars. */
#ifndef TOOLS_IMAGE_CREATE_H
#define TOOLS_IMAGE_CREATE_H

#include "tools/image_config.h"
#include "tools/progress.h"
#include "tools/tool.h"

struct layer_input {
    const char *path;
    bool is_tar;
};

struct create_request {
    const char *tag;
    const char *from; /* base image, or NULL */
    const struct layer_input *inputs;
    size_t input_count;
    enum oci_compression compression;
    int level;        /* -1: the format's default */
    unsigned threads; /* 0: one a core */
    const struct config_changes *config;
    bool has_clamp_mtime;
    int64_t clamp_mtime; /* seconds */
    bool prepare;
    struct progress *progress;
};

/* Layers, config, manifest, trees, tag, in this order; nothing of it is left when it fails.
 * 0; -errno; EXIT_CODE_USAGE when an option is wrong. ret_manifest: to be freed by
 * oci_descriptor_deinit(). */
int image_create(struct tool *tool, struct lfs_store *store, const struct create_request *request,
    struct oci_descriptor *ret_manifest);

#endif
