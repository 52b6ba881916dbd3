/* SPDX-License-Identifier: Apache-2.0 */
/* Following a path in a builder as a kernel would, inside the root. Private to layerfs/tree. */
#ifndef LAYERFS_TREE_PLACE_H
#define LAYERFS_TREE_PLACE_H

#include "layerfs/tree/nodes.h"

enum { PLACE_LINKS_MAX = 40 }; /* symlinks followed, as Linux does */

/* Where a path leads: as far as it exists, and the rest. */
struct lfs_place {
    uint32_t dir;               /* the deepest directory that exists */
    size_t missing_size;        /* bytes; 0 when all of the path exists */
    char missing[OCI_PATH_MAX]; /* the components below it that do not: "a/b" */
};

/* Follows path[size] from a directory, every component as a directory. Symlinks are followed, `..`
 * stops at the root, and a whiteout is a name that does not exist. Below a missing name `..` takes
 * away the name before it. Creates nothing.
 * 0; -ENOTDIR: a component is something else; -ELOOP; -ENAMETOOLONG. */
int place_resolve(const struct lfs_builder *b, uint32_t from, const char *path, size_t size,
    struct lfs_place *ret_place);

/* Makes the missing directories, with these flags; one that takes the place of a whiteout becomes
 * an opaque directory of its own. -ENOMEM, -EFBIG, -ENAMETOOLONG. */
int place_create(
    struct lfs_builder *b, const struct lfs_place *place, uint16_t flags, uint32_t *ret_dir);

/* Whether a whiteout hides the first missing name, and so all of the rest. */
bool place_is_hidden(const struct lfs_builder *b, const struct lfs_place *place);

/* Cuts a path into what leads to it and its last component. */
struct lfs_split {
    const char *parent, *leaf;
    size_t parent_size, leaf_size;
};
struct lfs_split path_split(const char *path, size_t size);

#endif
