/* SPDX-License-Identifier: Apache-2.0 */
/* Building a tree in memory: from a layer's entries, or by laying layers over one another.
 *
 * A builder is a directory tree of nodes in arrays (node numbers, not pointers; about 150 bytes a
 * file), used by one thread. lfs_builder_write() turns it into the format, reproducibly: the same
 * calls give the same bytes. The rules are those of image-spec layer.md; where that is silent,
 * those of umoci unpack, which the tests compare with. After an error only lfs_builder_free() is of
 * use. */
#ifndef LAYERFS_TREE_BUILDER_H
#define LAYERFS_TREE_BUILDER_H

#include "layerfs/tree/tree.h"
#include "oci/layer.h"

struct lfs_builder;

int lfs_builder_new(enum lfs_tree_kind kind, struct lfs_builder **ret_builder);
struct lfs_builder *lfs_builder_free(struct lfs_builder *b);
DEFINE_CLEANUP(struct lfs_builder *, lfs_builder_free)

/* Layer trees: takes one entry of the tar, in order. A later entry of a path replaces an earlier
 * one (a directory over a directory keeps what is in it); parents that are symlinks are followed
 * inside the root; whiteouts and opaques touch lower layers only. *ret_node is the node of a new
 * regular file with content, whose data the caller then sets, else 0. -EBADMSG (a parent that is no
 * directory, a link to a directory, …), -ELOOP, -EFBIG, -ENOMEM. */
int lfs_builder_add(struct lfs_builder *b, const struct oci_layer_entry *entry, uint32_t *ret_node,
    struct report *r);

/* Where a node's content is. Exactly one of these for each node that lfs_builder_add() returned. */
int lfs_builder_set_inline(
    struct lfs_builder *b, uint32_t node, const void *data, const uint8_t sha256[static 32]);
int lfs_builder_set_pack(
    struct lfs_builder *b, uint32_t node, uint64_t offset, const uint8_t sha256[static 32]);
int lfs_builder_set_object(struct lfs_builder *b, uint32_t node, const uint8_t sha256[static 32]);

/* Image trees: lays a layer's tree over what is there. layer_name is for texts. */
int lfs_builder_apply(
    struct lfs_builder *b, const struct lfs_tree *layer, const char *layer_name, struct report *r);

/* Writes the tree to fd (empty, seekable) under id (sha256 of the diffID or chainID; the single
 * pack of a layer is named by it). Not synced. */
int lfs_builder_write(struct lfs_builder *b, const struct oci_digest *id, int fd, struct report *r);

/* Text dump, one line a name (dump.c describes it), for `inspect --tree` and tests. line() gets it
 * without a newline; what it returns other than 0 ends the dump and is returned. */
struct lfs_dump_options {
    bool digests; /* with content digests and where the data are */
    bool numbers; /* with inode numbers, which show what hard links belong together */
};
int lfs_tree_dump(const struct lfs_tree *tree, const struct lfs_dump_options *options,
    int (*line)(void *userdata, const char *text), void *userdata);

#endif
