/* SPDX-License-Identifier: Apache-2.0 */
/* Images in the store: finding, importing, preparing, tagging. */
#ifndef LAYERFS_STORE_IMAGE_H
#define LAYERFS_STORE_IMAGE_H

#include "layerfs/store/lease.h"
#include "oci/transport.h"

/* What an image is, read from its documents. */
struct lfs_image {
    struct oci_descriptor descriptor; /* of the manifest */
    struct oci_manifest *manifest;
    struct oci_config *config;
    struct oci_digest chain_id; /* of all layers; OCI_DIGEST_NONE for an image without layers */
    struct lfs_lease *lease;    /* owned: keeps gc from all of the image; may be NULL */
};

struct lfs_image *lfs_image_free(struct lfs_image *image);
DEFINE_CLEANUP(struct lfs_image *, lfs_image_free)

/* Finds an image by tag, digest or unique digest prefix (oci_layout_find), else by what the name
 * means as a registry's ("debian" is docker.io/library/debian:latest), else by the one tag that a
 * short name is the end of. Reads and checks its manifest and config. platform NULL: the host's.
 * While the image is loaded, gc leaves it alone. */
int lfs_image_load(struct lfs_store *store, const char *name, const struct oci_platform *platform,
    struct lfs_image **ret_image, struct report *r);

/* What a source offers, read from its documents; config (empty) gets the bytes of its config. */
int lfs_image_load_source(struct oci_image_source *source, struct buf *config,
    struct lfs_image **ret_image, struct report *r);

/* The tag that a name which is none itself means, as lfs_image_load() finds it; the name where
 * nothing is found. free() it; NULL when out of memory. */
char *lfs_image_find_tag(struct lfs_store *store, const char *name);

/* Progress of long work. Called from several threads, one call at a time for one layer. */
enum lfs_progress_kind {
    LFS_PROGRESS_BEGIN, /* total: bytes of the blob, UINT64_MAX when unknown */
    LFS_PROGRESS_BYTES, /* done: bytes of the blob read so far */
    LFS_PROGRESS_DONE,
    LFS_PROGRESS_EXISTS, /* nothing to do for this layer */
};
struct lfs_progress {
    void (*update)(void *userdata, enum lfs_progress_kind kind, const struct oci_digest *blob,
        uint64_t done, uint64_t total);
    void *userdata;
};

struct lfs_ingest_options {
    unsigned jobs;                         /* layers at a time; 0: by the number of cores */
    const struct oci_layer_limits *limits; /* NULL: the default */
    const struct lfs_progress *progress;   /* NULL: none */
    bool drop_blobs;                       /* import: do not keep layer blobs */
    bool no_entry;                         /* import: without tag, no entry in index.json either */
    struct lfs_lease *lease; /* import: where to note what is relied on; NULL: a lease of its own */
};

/* Makes all layer trees, packs and objects of an image that are not there yet from the blobs in the
 * store, merges the image's tree, and opens it. An image without layers is an empty root. Nothing
 * becomes visible when it fails. */
int lfs_image_prepare(struct lfs_store *store, const struct lfs_image *image,
    const struct lfs_ingest_options *options, struct lfs_tree **ret_tree, struct report *r);

/* Brings an image in: each layer's blob is read once and becomes blob, tree, pack and objects in
 * that one pass; what the store has is not read. Damaged trees are made anew. Then the image's
 * tree, config, manifest and the entry in index.json appear in this order; tag NULL makes an entry
 * without a name unless the manifest has an entry. ret_descriptor (may be NULL): of the manifest.
 */
int lfs_image_import(struct lfs_store *store, struct oci_image_source *source, const char *tag,
    const struct lfs_ingest_options *options, struct oci_descriptor *ret_descriptor,
    struct report *r);

/* Brings all images of an index in a registry in, one after the other, then the indexes, and points
 * tag at the one that was asked for; for a reference to a single image it is lfs_image_import().
 * The source was opened with all_platforms. Manifests that are no images (attestations) are kept
 * with their blobs as they are. */
int lfs_index_import(struct lfs_store *store, struct oci_image_source *source, const char *tag,
    const struct lfs_ingest_options *options, struct oci_descriptor *ret_descriptor,
    struct report *r);

/* Writes a small blob whose bytes are in memory, after a check of its digest. kind: for texts. */
int lfs_image_put_document(struct lfs_store *store, const char *kind, const struct buf *b,
    const struct oci_digest *digest, struct report *r);

/* Points tag at a manifest in the store, replacing what it pointed at. The caller has a lease on
 * the image, or holds off gc since it found it. */
int lfs_image_tag(struct lfs_store *store, const struct oci_descriptor *manifest, const char *tag,
    struct report *r);

/* Removes a tag; or, given a digest, every entry of it in index.json. Blobs stay until gc.
 * -ENOENT. */
int lfs_image_untag(struct lfs_store *store, const char *name, struct report *r);

/* Notes that an image was mounted now, which gc --max-size and --keep-last go by. */
void lfs_image_mark_used(struct lfs_store *store, const struct oci_digest *manifest);

#endif
