/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of validate share. */
#ifndef LAYERFS_STORE_VALIDATE_PRIVATE_H
#define LAYERFS_STORE_VALIDATE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "layerfs/store/roots.h"
#include "layerfs/store/validate.h"

/* What a check is told beside its item. */
struct lfs_check_input {
    struct oci_descriptor blob;
    struct oci_digest diff_id;   /* layers */
    struct oci_digest *diff_ids; /* merges: owned */
    size_t diff_id_count;
};

/* Something to be read by a thread. There may be a million, so it is small. */
struct lfs_check {
    enum { CHECK_BLOB, CHECK_LAYER, CHECK_TREE, CHECK_MERGE, CHECK_OBJECT } what;
    enum lfs_item_kind kind;
    struct lfs_item *item;         /* NULL outside a store, and of a blob that is missing */
    struct lfs_check_input *input; /* owned; NULL: the item says it all */
};

struct lfs_validating {
    const struct lfs_validate_options *options;
    struct lfs_validation *v;
    /* Where blobs are: a layout, or a source. */
    struct oci_layout *layout;
    struct oci_image_source *source;
    /* A store's. */
    struct lfs_store *store;
    struct lfs_inventory *inventory;

    struct lfs_check *checks;
    size_t check_count, check_capacity;
    atomic_size_t next;
    atomic_int error;     /* why it cannot go on: out of memory */
    pthread_mutex_t lock; /* protects v */
};

/* Adds a finding; from any thread. item may be NULL. */
void lfs_validate_add(struct lfs_validating *g, enum lfs_finding_kind kind, bool is_error,
    const char *object, enum lfs_item_kind item_kind, struct lfs_item *item, const char *fmt, ...)
    _printf_(7, 8);

/* Walks the documents of an image and queues its blobs and layers, each once. */
int lfs_validate_image(struct lfs_validating *g, const struct oci_descriptor *descriptor);
/* index.json and oci-layout. *ret_index NULL when it cannot be used. */
int lfs_validate_layout_files(struct lfs_validating *g, struct oci_index **ret_index);

struct lfs_check_input *lfs_check_input_free(struct lfs_check_input *input);
int lfs_validate_queue(struct lfs_validating *g, const struct lfs_check *check);
bool lfs_validate_has(const struct lfs_validating *g, const struct lfs_check *check);
void lfs_validate_run_checks(struct lfs_validating *g);
/* One check, by a thread. */
void lfs_validate_check(struct lfs_validating *g, const struct lfs_check *check);

/* Everything of a store that is no image: own files, permissions, notes, records, strays. */
int lfs_validate_store_files(struct lfs_validating *g);
void lfs_validate_repair(struct lfs_validating *g);

#endif
