/* SPDX-License-Identifier: Apache-2.0 */
/* The in-memory tree of a builder. Private to layerfs/tree.
 *
 *                    names by (directory, name)                 nodes (inodes)
 *     hash table ──▶ ┌───────┬──────┬──────┬───────────┐     ┌───────────────────────┐
 *     bucket heads   │ dir   │ name │ node │ next/prev │     │ mode owner times size │
 *                    │   1   │ etc  │  2   │ siblings  │────▶│ data xattrs digest    │
 *                    │   2   │ motd │  3   │           │     │ directory: first name │
 *                    │   2   │ m.bak│  3   │           │     └───────────────────────┘
 *                    └───────┴──────┴──────┴───────────┘
 *
 * A *node* is an inode: a file, a directory. A *name* is a directory entry that leads to it; hard
 * links are several names of one node, and a whiteout is a name of node 0. Both live in arrays and
 * refer to one another by number, which is half a pointer, survives the arrays growing, and is a
 * node's identity for callers. Number 0 is nobody; node 1 is the root directory.
 *
 * One hash table keyed by (directory, name) finds children, whatever the size of the directory; a
 * doubly linked list in each directory walks and unlinks them. The bytes of names lie in one arena,
 * a length byte before each. Digests and xattr sets are kept once each (intern.h).
 *
 * Nothing is ever reused: a name that is removed leaves the table and the list, a node without a
 * name is left out when the tree is written. So a node number that a caller still holds never
 * turns into another file, and the cost is bounded by the entries read. A file takes 60 bytes as a
 * node, 28 and its length as a name, 4 to 8 in the table and, with content, about 40 for its
 * digest. */
#ifndef LAYERFS_TREE_NODES_H
#define LAYERFS_TREE_NODES_H

#include "layerfs/tree/builder.h"
#include "layerfs/tree/intern.h"
#include "oci/util/buf.h"

enum {
    NO_NAME = 0,
    NO_NODE = 0,
    ROOT_NODE = 1,
};

/* Flags of nodes beyond enum lfs_inode_flag; never written. */
enum {
    /* A directory that exists only because a whiteout or an opaque mark lies below it. It hides
     * things in lower layers, but does not make a directory where there is none. */
    NODE_GHOST = 1 << 8,
};

struct lfs_node {
    union {
        uint64_t size;      /* bytes: content or target; LINK: of its path */
        uint64_t path_size; /* directories: bytes of their path, 0 for the root */
    };
    int64_t mtime_sec;
    union {
        uint64_t ref; /* as in struct lfs_disk_inode, offsets into the builder's data */
        struct {
            uint32_t first_name; /* directories: head of the list of children */
            uint32_t own_name;   /* directories: the name that leads here; the root's is NO_NAME */
        };
    };
    uint32_t mtime_nsec;
    uint32_t mode;
    uint32_t uid, gid;
    uint32_t xattrs; /* set number + 1 */
    uint32_t digest; /* digest number + 1 */
    uint32_t pack;   /* number in the builder's packs */
    uint16_t data_kind;
    uint16_t flags; /* enum lfs_inode_flag and NODE_GHOST */
};

struct lfs_name {
    uint32_t dir;        /* node */
    uint32_t node;       /* NO_NODE: a whiteout */
    uint32_t text;       /* offset in the arena: a length byte, then the bytes */
    uint32_t next, prev; /* siblings, in no particular order */
    uint32_t hash;       /* kept, so that growing the table reads no name */
    uint32_t hash_next;  /* chain of the bucket */
};

struct lfs_builder {
    enum lfs_tree_kind kind;
    uint8_t hash_key[16]; /* random, so that names cannot be chosen to collide */

    struct lfs_node *nodes;
    uint32_t node_count, node_capacity; /* number 0 included */
    struct lfs_name *names;
    uint32_t name_count, name_capacity; /* number 0 included */
    uint32_t *buckets;                  /* heads of chains */
    uint32_t bucket_count;              /* a power of two */
    struct buf arena;                   /* bytes of names */

    struct lfs_intern digests; /* 32 bytes each */
    struct lfs_intern xattrs;  /* sets as they are written */
    struct buf data;           /* symlink targets, LINK paths, inline contents */
    struct buf packs;          /* images: 32 bytes each */
};

static inline struct lfs_node *node_at(const struct lfs_builder *b, uint32_t node)
{
    return &b->nodes[node];
}

static inline struct lfs_name *name_at(const struct lfs_builder *b, uint32_t name)
{
    return &b->names[name];
}

static inline const char *name_text(const struct lfs_builder *b, const struct lfs_name *name)
{
    return (const char *)b->arena.data + name->text + 1;
}

static inline size_t name_size(const struct lfs_builder *b, const struct lfs_name *name)
{
    return b->arena.data[name->text];
}

static inline bool node_is_dir(const struct lfs_builder *b, uint32_t node)
{
    return node != NO_NODE && S_ISDIR(b->nodes[node].mode);
}

/* The directory above a directory; the root's is the root. */
static inline uint32_t dir_parent(const struct lfs_builder *b, uint32_t dir)
{
    return dir == ROOT_NODE ? ROOT_NODE : b->names[b->nodes[dir].own_name].dir;
}

/* A copy of proto under a new number; it has no name yet. -ENOMEM, -EFBIG. */
int node_new(struct lfs_builder *b, const struct lfs_node *proto, uint32_t *ret_node);

/* What a directory is of which nothing is known: 0755, root's, of 1970. flags: as a node's. */
struct lfs_node node_default_dir(uint16_t flags);

/* Appends to the builder's data and returns where. -ENOMEM, -EFBIG. */
int node_data_add(struct lfs_builder *b, const void *data, size_t size, uint64_t *ret_offset);

/* The name in a directory, or NO_NAME. */
uint32_t name_find(const struct lfs_builder *b, uint32_t dir, const char *text, size_t size);

/* A new name, which must not exist, for a node, which must not be a directory with a name.
 * -ENOMEM, -EFBIG, -ENAMETOOLONG when the path becomes longer than OCI_PATH_MAX allows. */
int name_add(struct lfs_builder *b, uint32_t dir, const char *text, size_t size, uint32_t node,
    uint32_t *ret_name);

/* Points an existing or new name at a node; a directory that was there goes with all below it. */
int name_put(struct lfs_builder *b, uint32_t dir, const char *text, size_t size, uint32_t node);

/* Removes a name, and all below it when it leads to a directory. */
void name_remove(struct lfs_builder *b, uint32_t name);

/* Removes everything in a directory. */
void dir_clear(struct lfs_builder *b, uint32_t dir);

/* Whether dir lies below the directory `top` or is it. */
bool dir_is_below(const struct lfs_builder *b, uint32_t dir, uint32_t top);

/* Appends the path of a directory, without a slash at either end. */
int dir_path(const struct lfs_builder *b, uint32_t dir, struct buf *path);

/* The builder's number of a pack. -ENOMEM. */
int pack_intern(struct lfs_builder *b, const uint8_t sha256[static 32], uint32_t *ret_pack);

#endif
