/* SPDX-License-Identifier: Apache-2.0 */
/* What writer, reader and verifier must agree on about names. Private to layerfs/tree. */
#ifndef LAYERFS_TREE_NAMES_H
#define LAYERFS_TREE_NAMES_H

#include <string.h>

#include "oci/util/macros.h"

/* The order of directories and xattr sets: by bytes, a name before the names that it begins. */
static inline int lfs_name_compare(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, MIN(a_size, b_size));

    return order ? order : (a_size > b_size) - (a_size < b_size);
}

/* Whether an attribute sets LFS_TREE_HAS_ACLS. */
static inline bool lfs_name_is_acl(const char *name, size_t size)
{
    static const char prefix[] = "system.posix_acl_";

    return size >= sizeof(prefix) - 1 && memcmp(name, prefix, sizeof(prefix) - 1) == 0;
}

#endif
