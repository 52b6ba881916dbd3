/* SPDX-License-Identifier: Apache-2.0 */
/* What an image or any other document in the store reaches. Private to layerfs/store. */
#ifndef LAYERFS_STORE_ROOTS_H
#define LAYERFS_STORE_ROOTS_H

#include "layerfs/store/inventory.h"

struct lfs_root_ref {
    enum lfs_item_kind kind;
    struct lfs_item *item;
    bool is_document; /* an index or a manifest */
};

/* A document and all that it reaches, each thing once for each way to it. */
struct lfs_root {
    struct oci_digest digest;
    char *names; /* owned: tags, comma-separated; NULL: none */
    struct lfs_root_ref *refs;
    size_t count, capacity;
    int64_t last_used; /* seconds: the last mount, else when it was written */
    bool evicted;
};

struct lfs_roots {
    struct lfs_root *roots;
    size_t count;
};

void lfs_root_deinit(struct lfs_root *root);
void lfs_roots_deinit(struct lfs_roots *roots);

/* Fills a zeroed root. Whatever is not there is left out: an index may name platforms that nobody
 * pulled. What is there and cannot be read is noted as damage of the inventory. */
int lfs_root_collect(
    struct lfs_inventory *inventory, const struct oci_digest *digest, struct lfs_root *ret_root);

/* One root for each digest in index.json, except for those in `known` (may be NULL), of which
 * evicted ones are skipped only when skip_evicted. */
int lfs_roots_load(struct lfs_inventory *inventory, const struct lfs_roots *known,
    bool skip_evicted, struct lfs_roots *ret_roots, struct report *r);

int lfs_root_retain(struct lfs_inventory *inventory, const struct lfs_root *root);
int lfs_root_release(struct lfs_inventory *inventory, const struct lfs_root *root);

/* True when a live mount, an upper or a lease names one of its manifests. */
bool lfs_root_is_pinned(const struct lfs_root *root);

/* What a document is, by its fields. */
enum lfs_document { LFS_DOCUMENT_NONE, LFS_DOCUMENT_INDEX, LFS_DOCUMENT_MANIFEST };
enum lfs_document lfs_document_classify(const json_t *json);
/* The same of a blob; NONE when it is no JSON or cannot be read. *ret_json may be NULL. */
enum lfs_document lfs_document_of(
    struct lfs_inventory *inventory, const struct lfs_item *item, json_t **ret_json);

/* Keeps what live mounts, uppers and leases name. -EBADMSG when one of them cannot be read. */
int lfs_pins_retain(struct lfs_inventory *inventory, struct report *r);

#endif
