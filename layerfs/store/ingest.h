/* SPDX-License-Identifier: Apache-2.0 */
/* One layer into the store in one streaming pass.
 *
 *     blob bytes ─ verify ─ (blob file) ─ decompress ─ verify diffID ─ readahead ─ layer reader
 *                                                                                   │ entries
 *            contents: inline in the tree │ appended to the pack │ an object  ◀─────┘
 *
 * Memory is bounded whatever the layer's size: small contents are held one at a time, large ones
 * are written as they come. The result is staged: everything lies in tmp/ without names, and the
 * layer's lock is held. Several staged layers are then published together, so that an image needs
 * two syncs and not two a layer. A layer whose tree has its name is complete. */
#ifndef LAYERFS_STORE_INGEST_H
#define LAYERFS_STORE_INGEST_H

#include <stdatomic.h>

#include "layerfs/store/image.h"

/* Where the bytes of a layer come from and what they must be. */
struct lfs_layer_input {
    const struct oci_descriptor *blob; /* digest and size are verified */
    const struct oci_digest *diff_id;  /* verified */
    bool store_blob;                   /* also write it below blobs/ unless it is there */
    /* Opens the blob's bytes; called only when they are needed. */
    int (*open)(void *userdata, const struct oci_descriptor *blob, struct oci_source **ret_source,
        struct report *r);
    /* The same from a byte of it on; NULL: not possible. With it a blob that is stored but not read
     * to its end stays in partial/, and is read on from there the next time. */
    int (*open_at)(void *userdata, const struct oci_descriptor *blob, uint64_t offset,
        struct oci_source **ret_source, struct report *r);
    void *userdata;
    const atomic_bool *cancelled; /* NULL: never; else ends the work with -ECANCELED when true */
};

struct lfs_staged_layer;
struct lfs_staged_layer *lfs_staged_layer_free(struct lfs_staged_layer *staged);
DEFINE_CLEANUP(struct lfs_staged_layer *, lfs_staged_layer_free)

enum {
    LFS_INGEST_STAGED = 0, /* *ret_staged is to be published */
    LFS_INGEST_EXISTS = 1, /* the store has all of it */
    LFS_INGEST_BUSY = 2,   /* another process (or thread) works on this layer */
};

/* Ingests one layer unless the store has it, holding its lock, for which it does not wait. Returns
 * one of the above or -errno with a text that starts with the layer's digest. */
int lfs_ingest_layer(struct lfs_store *store, const struct lfs_layer_input *input,
    const struct lfs_ingest_options *options, struct lfs_staged_layer **ret_staged,
    struct report *r);

/* Gives staged layers their names: sync, then objects, packs and blobs, sync, then trees. NULL
 * entries are skipped. The names of the trees are not yet durable when it returns. */
int lfs_ingest_publish(struct lfs_store *store, struct lfs_staged_layer *const *staged,
    size_t count, struct report *r);

/* True when the layer's tree is there and sound, and its pack and objects are there too. */
bool lfs_layer_is_complete(struct lfs_store *store, const struct oci_digest *diff_id);

#endif
