/* SPDX-License-Identifier: Apache-2.0 */
/* Byte strings kept once each and known by number: digests, xattr sets. Private to layerfs/tree.
 *
 * The strings lie one after the other in a buffer; an array holds where each one starts, a table of
 * open addressing finds them by hash. Nothing is removed. Zero-initialise but for key. */
#ifndef LAYERFS_TREE_INTERN_H
#define LAYERFS_TREE_INTERN_H

#include "oci/util/buf.h"

struct lfs_intern {
    const uint8_t *key; /* 16 bytes for lfs_hash(), borrowed */
    struct buf bytes;
    uint64_t *offsets; /* of each string; where its successor starts is its end */
    uint32_t *table;   /* number + 1; 0: free */
    uint32_t count, capacity;
    uint32_t table_size; /* a power of two, at least twice count */
};

void lfs_intern_deinit(struct lfs_intern *in);

/* The number of these bytes, new or known. -ENOMEM, -EFBIG. */
int lfs_intern_add(struct lfs_intern *in, const void *data, size_t size, uint32_t *ret_number);

/* Bytes of a number; valid until the next add. */
const uint8_t *lfs_intern_get(const struct lfs_intern *in, uint32_t number, size_t *ret_size);

/* SipHash-1-3: fast on short keys, and without the key nobody can make strings collide. */
uint64_t lfs_hash(const uint8_t key[static 16], uint64_t tweak, const void *data, size_t size);

#endif
