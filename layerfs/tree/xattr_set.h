/* SPDX-License-Identifier: Apache-2.0 */
/* Making xattr sets in the form of the format. Private to layerfs/tree. */
#ifndef LAYERFS_TREE_XATTR_SET_H
#define LAYERFS_TREE_XATTR_SET_H

#include "layerfs/tree/nodes.h"

/* Keeps a set once and returns its number + 1, 0 for an empty set. Names must be sorted and differ:
 * -EBADMSG; -E2BIG beyond Linux's limits, -EFBIG, -ENOMEM. */
int xattr_set_add(
    struct lfs_builder *b, const struct lfs_xattr *xattrs, size_t count, uint32_t *ret_xattrs);

#endif
