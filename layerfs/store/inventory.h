/* SPDX-License-Identifier: Apache-2.0 */
/* Everything below blobs/, trees/, packs/ and objects/, in memory, with counts of references.
 * Private to layerfs/store: gc and df count with it, validate walks it.
 *
 * A thing is 64 bytes, found by its digest: each kind has 256 sorted arrays, by the digest's first
 * byte. What refers to what has two steps: an image holds blobs and trees, a tree holds its pack
 * and objects. So counts are kept per step: a tree that gains its first reference adds one to each
 * of its contents, and one that loses its last takes them away again. */
#ifndef LAYERFS_STORE_INVENTORY_H
#define LAYERFS_STORE_INVENTORY_H

#include "layerfs/store/store.h"

enum lfs_item_kind {
    LFS_ITEM_BLOB,
    LFS_ITEM_IMAGE_TREE,
    LFS_ITEM_LAYER_TREE,
    LFS_ITEM_PACK,
    LFS_ITEM_OBJECT,
    LFS_ITEM_KINDS,
};

enum lfs_item_flag {
    LFS_ITEM_NAMED = 1 << 0,  /* a blob whose digest is not sha256: its name is in `name` */
    LFS_ITEM_PINNED = 1 << 1, /* a manifest that a mount, an upper or a lease names */
    LFS_ITEM_UNSEEN = 1 << 2, /* an object whose size and mtime were not looked at */
};

struct lfs_item {
    uint8_t key[32]; /* the digest, or its first 32 bytes */
    uint64_t size;   /* bytes; of a tree with its note */
    int64_t mtime;   /* seconds */
    union {
        uint64_t inode; /* of a tree */
        char *name;     /* with LFS_ITEM_NAMED: "sha512/…", owned */
    };
    uint32_t refs;
    uint16_t flags; /* enum lfs_item_flag */
    uint16_t stamp; /* the walk that counted it last */
};

struct lfs_bucket {
    struct lfs_item *items; /* sorted by key */
    size_t count, capacity;
};

struct lfs_inventory {
    struct lfs_store *store;
    bool lazy;
    struct lfs_bucket buckets[LFS_ITEM_KINDS][256];
    bool has_damage;      /* something that refers to others could not be read … */
    struct report damage; /* … the first of them */
};

/* jobs: threads, 0: by the number of cores. What has no digest for a name is left out. lazy: objects
 * are only listed; those that a tree refers to then have the size that it says, and for others there is
 * lfs_inventory_see(). A million inodes need not be read so. */
int lfs_inventory_load(struct lfs_store *store, unsigned jobs, bool lazy,
    struct lfs_inventory **ret_inventory, struct report *r);
struct lfs_inventory *lfs_inventory_free(struct lfs_inventory *inventory);
DEFINE_CLEANUP(struct lfs_inventory *, lfs_inventory_free)

/* NULL when there is none. */
struct lfs_item *lfs_inventory_find(
    struct lfs_inventory *inventory, enum lfs_item_kind kind, const struct oci_digest *digest);

/* Fills size and mtime of an item that was only listed. */
void lfs_inventory_see(
    struct lfs_inventory *inventory, enum lfs_item_kind kind, struct lfs_item *item);

/* One reference more or less; item may be NULL. 0 or -ENOMEM: a tree that cannot be read is noted
 * as damage. */
int lfs_inventory_retain(
    struct lfs_inventory *inventory, enum lfs_item_kind kind, struct lfs_item *item);
int lfs_inventory_release(
    struct lfs_inventory *inventory, enum lfs_item_kind kind, struct lfs_item *item);

/* The contents of a tree: calls each() with every pack and object item that it refers to and that
 * is there, objects as often as files have them. */
typedef void (*lfs_content_fn)(void *userdata, enum lfs_item_kind kind, struct lfs_item *item);
int lfs_inventory_each_content(struct lfs_inventory *inventory, enum lfs_item_kind kind,
    const uint8_t key[static 32], lfs_content_fn each, void *userdata);

/* The name of an item below the store's root. */
enum { LFS_ITEM_NAME_MAX = 160 };
void lfs_item_name(
    enum lfs_item_kind kind, const struct lfs_item *item, char ret_name[static LFS_ITEM_NAME_MAX]);

/* "blobs", "trees", … */
const char *lfs_item_kind_name(enum lfs_item_kind kind);

/* Parses 64 hex digits. */
bool lfs_parse_key(const char *hex, uint8_t ret_key[static 32]);

#endif
