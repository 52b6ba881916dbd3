/* SPDX-License-Identifier: Apache-2.0 */
/* All layers of an image into the store, several at a time. */
#ifndef LAYERFS_STORE_LAYERS_H
#define LAYERFS_STORE_LAYERS_H

#include "layerfs/store/ingest.h"

struct lfs_layers_input {
    const struct oci_manifest *manifest; /* has as many layers as config has diffIDs */
    const struct oci_config *config;
    bool store_blobs;
    /* As in struct lfs_layer_input; called from several threads. */
    int (*open)(void *userdata, const struct oci_descriptor *blob, struct oci_source **ret_source,
        struct report *r);
    int (*open_at)(void *userdata, const struct oci_descriptor *blob, uint64_t offset,
        struct oci_source **ret_source, struct report *r);
    void *userdata;
};

/* Makes sure that the store has each layer, and each blob where blobs are stored. Layers appear
 * when all of a round are sound; the first failure ends the others. */
int lfs_layers_ensure(struct lfs_store *store, const struct lfs_layers_input *input,
    const struct lfs_ingest_options *options, struct report *r);

#endif
