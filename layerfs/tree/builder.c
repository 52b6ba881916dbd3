/* SPDX-License-Identifier: Apache-2.0 */
/* A builder's life, and where the contents of its files are. */
#include "layerfs/tree/builder.h"

#include <string.h>
#include <sys/random.h>

#include "layerfs/tree/nodes.h"

enum { BUCKETS_MIN = 256 };

/* The arrays begin with the unused number 0, and the root as node 1. */
static int init(struct lfs_builder *b)
{
    struct lfs_node nobody = {0};
    struct lfs_node root = node_default_dir(b->kind == LFS_TREE_LAYER ? LFS_INODE_IMPLICIT : 0);
    uint32_t node;
    int r;

    if (getrandom(b->hash_key, sizeof(b->hash_key), 0) != sizeof(b->hash_key))
        return neg_errno();
    b->digests.key = b->hash_key;
    b->xattrs.key = b->hash_key;
    b->bucket_count = BUCKETS_MIN;
    b->name_count = 1;
    b->name_capacity = BUCKETS_MIN;
    b->buckets = calloc(b->bucket_count, sizeof(*b->buckets));
    b->names = calloc(b->name_capacity, sizeof(*b->names));
    if (!b->buckets || !b->names)
        return -ENOMEM;
    r = node_new(b, &nobody, &node);
    if (r == 0)
        r = node_new(b, &root, &node);
    return r;
}

int lfs_builder_new(enum lfs_tree_kind kind, struct lfs_builder **ret_builder)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = calloc(1, sizeof(*b));
    int r;

    if (!b)
        return -ENOMEM;
    b->kind = kind;
    r = init(b);
    if (r < 0)
        return r;
    *ret_builder = TAKE_PTR(b);
    return 0;
}

struct lfs_builder *lfs_builder_free(struct lfs_builder *b)
{
    if (!b)
        return NULL;
    free(b->nodes);
    free(b->names);
    free(b->buckets);
    buf_deinit(&b->arena);
    lfs_intern_deinit(&b->digests);
    lfs_intern_deinit(&b->xattrs);
    buf_deinit(&b->data);
    buf_deinit(&b->packs);
    free(b);
    return NULL;
}

/* Notes the digest of a regular file's content and where that is. */
static int set_content(struct lfs_builder *b, uint32_t node, enum lfs_data_kind kind, uint64_t ref,
    const uint8_t sha256[static 32])
{
    uint32_t digest;
    int r = lfs_intern_add(&b->digests, sha256, 32, &digest);

    if (r < 0)
        return r;
    node_at(b, node)->digest = digest + 1;
    node_at(b, node)->data_kind = (uint16_t)kind;
    node_at(b, node)->ref = ref;
    return 0;
}

/* Whether a node is a regular file whose content is not known yet. */
static bool wants_content(const struct lfs_builder *b, uint32_t node)
{
    const struct lfs_node *n = node_at(b, node);

    return node != NO_NODE && node < b->node_count && S_ISREG(n->mode) && n->size > 0 &&
           !(n->flags & LFS_INODE_LINK) && n->data_kind == LFS_DATA_NONE;
}

int lfs_builder_set_inline(
    struct lfs_builder *b, uint32_t node, const void *data, const uint8_t sha256[static 32])
{
    uint64_t offset;
    int r;

    if (!wants_content(b, node))
        return -EINVAL;
    r = node_data_add(b, data, node_at(b, node)->size, &offset);
    return r < 0 ? r : set_content(b, node, LFS_DATA_INLINE, offset, sha256);
}

int lfs_builder_set_pack(
    struct lfs_builder *b, uint32_t node, uint64_t offset, const uint8_t sha256[static 32])
{
    if (!wants_content(b, node))
        return -EINVAL;
    if (offset > INT64_MAX - node_at(b, node)->size)
        return -EFBIG;
    return set_content(b, node, LFS_DATA_PACK, offset, sha256);
}

int lfs_builder_set_object(struct lfs_builder *b, uint32_t node, const uint8_t sha256[static 32])
{
    return wants_content(b, node) ? set_content(b, node, LFS_DATA_OBJECT, 0, sha256) : -EINVAL;
}
