/* SPDX-License-Identifier: Apache-2.0 */
/* Removing what nothing needs, and counting what there is. docs/store.md tells the rules. */
#ifndef LAYERFS_STORE_GC_H
#define LAYERFS_STORE_GC_H

#include "layerfs/store/mounts.h"

enum lfs_gc_kind {
    LFS_GC_BLOBS,
    LFS_GC_TREES,  /* of images */
    LFS_GC_LAYERS, /* trees of layers */
    LFS_GC_PACKS,
    LFS_GC_OBJECTS,
    LFS_GC_PARTIAL,   /* unfinished downloads */
    LFS_GC_LEFTOVERS, /* what crashed commands left: temporary files, leases, locks, notes */
    LFS_GC_MOUNTS,    /* records of mounts */
    LFS_GC_KINDS,
};
const char *lfs_gc_kind_name(enum lfs_gc_kind kind);

struct lfs_gc_count {
    uint64_t kept, kept_bytes, freed, freed_bytes; /* bytes: sizes of the files */
};

struct lfs_gc_options {
    bool dry_run;
    uint64_t grace; /* seconds: what was written since is kept, and all that it reaches */
    bool has_keep_last, has_max_size;
    unsigned keep_last; /* images that are never evicted: those used last */
    uint64_t max_size;  /* bytes: evict images that are not in use until the store is that small */
    unsigned jobs;      /* threads; 0: by the number of cores */
    /* Removes the record of a dead mount and what else is left of it, unless the mount is still
     * there; tells whether the record goes (went). NULL: the records stay. */
    bool (*sweep_mount)(
        struct lfs_store *store, const struct lfs_mount_record *record, bool dry_run);
};

struct lfs_gc_result {
    struct lfs_gc_count kinds[LFS_GC_KINDS];
    char **evicted; /* owned: names, or digests, of images whose tags were removed */
    size_t evicted_count;
    bool has_damage;      /* something could not be read: contents were all kept … */
    struct report damage; /* … because of this */
};
void lfs_gc_result_deinit(struct lfs_gc_result *result);

/* Beside any other command; one gc at a time, later ones wait. What a dry run reports as freed is
 * what a run at that moment frees. May be killed at any time. */
int lfs_gc(struct lfs_store *store, const struct lfs_gc_options *options,
    struct lfs_gc_result *ret_result, struct report *r);

struct lfs_image_usage {
    char *name; /* owned: tags, or the digest */
    struct oci_digest digest;
    uint64_t total;  /* bytes of all that it reaches */
    uint64_t unique; /* of these, what only it reaches */
    int64_t last_used;
    bool in_use; /* a mount, an upper or a running command has it */
};

struct lfs_usage {
    struct lfs_image_usage *images;
    size_t count;
    struct lfs_gc_count kinds[LFS_GC_KINDS]; /* kept: all; freed: reclaimable without grace */
    bool has_damage;
    struct report damage;
};
void lfs_usage_deinit(struct lfs_usage *usage);
int lfs_usage_load(
    struct lfs_store *store, unsigned jobs, struct lfs_usage *ret_usage, struct report *r);

#endif
