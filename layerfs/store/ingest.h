/* SPDX-License-Identifier: Apache-2.0 */
/* One layer into the store in one streaming pass.
 *
 *     blob bytes ─ verify ─ (blob file) ─ decompress ─ verify diffID ─ readahead ─ layer reader
 *                                                                                   │ entries
 *            contents: inline in the tree │ appended to the pack │ an object  ◀─────┘
 *
 * Memory is bounded whatever the layer's size: small contents are held one at a time, large ones
 * are written as they come. At the end the pack and the tree are published; a layer whose tree
 * exists is complete. */
#ifndef LAYERFS_STORE_INGEST_H
#define LAYERFS_STORE_INGEST_H

#include "layerfs/store/image.h"

/* Where the bytes of a layer come from and what they must be. */
struct lfs_layer_input {
    const struct oci_descriptor *blob; /* digest and size are verified */
    const struct oci_digest *diff_id;  /* verified */
    struct oci_source *source;         /* of the blob's bytes; taken over in any case */
    bool store_blob;                   /* also write it below blobs/ */
};

/* Ingests one layer whose tree is not there, holding its lock; when another process was faster,
 * nothing is read. 0 or -errno with a text that starts with the layer's digest. Data are durable
 * when it returns. */
int lfs_ingest_layer(struct lfs_store *store, const struct lfs_layer_input *input,
    const struct lfs_ingest_options *options, struct report *r);

#endif
