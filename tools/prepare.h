/* SPDX-License-Identifier: Apache-2.0 */
/* Loading and preparing an image the way mount, bundle, inspect and prepare all do. */
#ifndef TOOLS_PREPARE_H
#define TOOLS_PREPARE_H

#include "layerfs/store/image.h"
#include "oci/layer.h"
#include "tools/tool.h"

/* What --jobs, --quiet and --max-layer-size set; zeroed: the defaults. */
struct prepare_options {
    unsigned jobs;
    bool quiet;
    bool lines; /* progress also where stderr is no terminal: for who asked for this work */
    uint64_t max_layer_size; /* bytes of a layer's tar; 0: the default */
};

/* Finds an image and opens its tree, making what is missing. */
int prepare_image(struct tool *tool, struct lfs_store *store, const char *name,
    const struct oci_platform *platform, const struct prepare_options *options,
    struct lfs_image **ret_image, struct lfs_tree **ret_tree);

/* The layer limits that --max-layer-size means. */
struct oci_layer_limits prepare_limits(uint64_t max_layer_size);

/* OPTION_PARSE of --platform, into a struct oci_platform. */
int prepare_parse_platform(const char *argument, void *ret_platform);
/* NULL when --platform was not given. */
const struct oci_platform *prepare_platform(const struct oci_platform *platform);

#endif
