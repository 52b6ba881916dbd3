/* SPDX-License-Identifier: Apache-2.0 */
/* Which memory is a tree's, for the SIGBUS handler. Private to layerfs/tree. */
#ifndef LAYERFS_TREE_GUARD_H
#define LAYERFS_TREE_GUARD_H

#include <stdatomic.h>

#include "oci/util/macros.h"

/* One mapping. Slots are never freed, only reused, so that the handler may read any of them at any
 * time; a slot whose start is 0 is free. */
struct lfs_guard_slot {
    _Atomic uintptr_t start;
    _Atomic uintptr_t end;
    atomic_bool damaged;
    struct lfs_guard_slot *next; /* set before the slot is published, then constant */
};

/* Registers a mapping: 0 or -ENOMEM. */
int lfs_guard_add(const void *start, size_t size, struct lfs_guard_slot **ret_slot);
/* To be called before munmap; accepts NULL. */
void lfs_guard_remove(struct lfs_guard_slot *slot);

static inline bool lfs_guard_is_damaged(const struct lfs_guard_slot *slot)
{
    return atomic_load_explicit(&slot->damaged, memory_order_relaxed);
}

#endif
