/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of gc share. */
#ifndef LAYERFS_STORE_GC_PRIVATE_H
#define LAYERFS_STORE_GC_PRIVATE_H

#include "layerfs/store/gc.h"
#include "layerfs/store/roots.h"

struct lfs_gc_run {
    struct lfs_store *store;
    const struct lfs_gc_options *options;
    struct lfs_gc_result *result;
    struct lfs_inventory *inventory;
    struct lfs_roots roots;
    struct stat index;   /* index.json, as it was read last */
    int64_t now, cutoff; /* seconds: what is older than cutoff may go */
};

static inline void lfs_gc_count_one(
    struct lfs_gc_run *g, enum lfs_gc_kind kind, bool freed, uint64_t bytes)
{
    struct lfs_gc_count *c = &g->result->kinds[kind];

    *(freed ? &c->freed : &c->kept) += 1;
    *(freed ? &c->freed_bytes : &c->kept_bytes) += bytes;
}

/* Looks at everything but images' contents and removes what is dead, unless it is a dry run. In a
 * real run the caller excludes others. */
int lfs_gc_sweep_leftovers(struct lfs_gc_run *g, struct report *r);

#endif
