/* SPDX-License-Identifier: Apache-2.0 */
/* Checking images and the store: what is wrong, where, and what depends on it. */
#ifndef LAYERFS_STORE_VALIDATE_H
#define LAYERFS_STORE_VALIDATE_H

#include "layerfs/store/image.h"

enum lfs_finding_kind {
    LFS_FINDING_STORE,       /* the store's own files, index.json, notes, records */
    LFS_FINDING_DOCUMENT,    /* an index, manifest or config breaks a rule */
    LFS_FINDING_BLOB,        /* missing, or size or digest differ */
    LFS_FINDING_LAYER,       /* a blob is sound, but no layer, or not the one of its diffID */
    LFS_FINDING_TREE,        /* damaged, of something else, or not what its layers give */
    LFS_FINDING_PACK,        /* missing, too short, or contents differ */
    LFS_FINDING_OBJECT,      /* missing, or size or digest differ */
    LFS_FINDING_PERMISSIONS, /* others may write */
    LFS_FINDING_STRAY,       /* nothing of the store has such a name */
    LFS_FINDING_KINDS,
};
const char *lfs_finding_kind_name(enum lfs_finding_kind kind);

enum lfs_repair_state {
    LFS_REPAIR_NONE,
    LFS_REPAIR_DONE,    /* made anew from the blobs, or put right */
    LFS_REPAIR_REFETCH, /* the bad file was removed: the next pull of the image brings it back */
    LFS_REPAIR_FAILED,
};

struct lfs_finding {
    enum lfs_finding_kind kind;
    bool is_error;    /* else a warning: nothing is lost */
    char *object;     /* "blobs/sha256/…", "manifest sha256:…" */
    char *text;       /* what is wrong */
    char *dependents; /* images that need it, comma-separated; NULL: none or unknown */
    enum lfs_repair_state repair;
    int item_kind;     /* enum lfs_item_kind, or -1 */
    uint8_t item[32];  /* its key */
    void *item_handle; /* private */
};

struct lfs_validate_options {
    bool deep;   /* read everything: digests of all bytes, diffIDs, contents of packs */
    bool repair; /* of a store only */
    unsigned jobs;
    const char *const *images; /* NULL: the whole store */
    size_t image_count;
};

struct lfs_validation {
    struct lfs_finding *findings; /* in the order of their objects */
    size_t count;
    size_t errors;   /* that were not repaired */
    size_t warnings; /* the same */
    uint64_t images, things;
    uint64_t bytes; /* that were read */
};
void lfs_validation_deinit(struct lfs_validation *v);

/* Fails only when it could not look; what is found wrong is in *ret_validation. */
int lfs_validate_store(struct lfs_store *store, const struct lfs_validate_options *options,
    struct lfs_validation *ret_validation, struct report *r);

/* A foreign layout: all of it (tag NULL), or one image. */
int lfs_validate_layout(struct oci_layout *layout, const char *tag,
    const struct lfs_validate_options *options, struct lfs_validation *ret_validation,
    struct report *r);

/* An image that a transport found. */
int lfs_validate_source(struct oci_image_source *source, const struct lfs_validate_options *options,
    struct lfs_validation *ret_validation, struct report *r);

#endif
