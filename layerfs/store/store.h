/* SPDX-License-Identifier: Apache-2.0 */
/* The store: an OCI image layout with trees/, packs/, objects/, mounts/, locks/, partial/ and tmp/
 * beside it.
 *
 *     oci-layout index.json blobs/   the images, as any OCI tool reads and writes them
 *     layerfs.json                   the store's version: {"version": 1}
 *     trees/<sha256 hex>             the tree of an image, by chainID
 *     trees/<sha256 hex>.layer       the tree of a layer, by diffID (the chainID of a single layer
 *                                    is its diffID, so the two kinds have names of their own)
 *     trees/<name>.verified          which file of that name passed lfs_tree_verify()
 *     packs/<sha256 hex>             contents of a layer's small files, by diffID, in tar order
 *     objects/ab/<62 hex>            one content, by its sha256, 0444, never changed
 *     mounts/<id>.json               a live mount, see mounts.h
 *     leases/<id>                    what a running command relies on, see lease.h
 *     uppers/<id>.json               a writable directory above an image, see uppers.h
 *     used/<sha256 hex>              empty; its mtime: when that manifest was last mounted
 *     index.sum                      sha256 of index.json as LayerFS last wrote it
 *     locks/                         flock files: one ingest of a layer at a time, by diffID
 *     partial/<digest>               the first bytes of a blob that was not read to its end;
 * flocked while somebody reads on tmp/                           what is unfinished; folders in it
 * are flocked while in use
 *
 * A digest that is not sha256 is named in trees/ and packs/ by the sha256 of its string, and no
 * digest at all (the chainID of an image without layers) by the sha256 of nothing.
 * All of a thing appears by one rename or link after its bytes are durable. docs/store.md tells
 * the order in which things appear. */
#ifndef LAYERFS_STORE_STORE_H
#define LAYERFS_STORE_STORE_H

#include "layerfs/tree/tree.h"
#include "oci/layout.h"

enum {
    LFS_STORE_VERSION = 1,
    LFS_PACK_LIMIT = 64 << 10, /* bytes: larger contents become objects */
    LFS_INLINE_LIMIT = 512,    /* bytes: contents up to this lie in the tree */
};

struct lfs_store;

enum lfs_store_flags {
    LFS_STORE_CREATE = 1 << 0,    /* make it where there is none */
    LFS_STORE_READ_ONLY = 1 << 1, /* never write; a missing tree is then an error */
};

/* --store, else $LAYERFS_STORE, else /var/lib/layerfs as root, else $XDG_DATA_HOME/layerfs, else
 * ~/.local/share/layerfs. free() it; NULL when out of memory or no home is known. */
char *lfs_store_default_path(void);

/* path NULL: the default. -ENOENT (no store there), -EOPNOTSUPP (a newer store), -EACCES, … */
int lfs_store_open(
    const char *path, unsigned flags, struct lfs_store **ret_store, struct report *r);
struct lfs_store *lfs_store_close(struct lfs_store *store);
DEFINE_CLEANUP(struct lfs_store *, lfs_store_close)

/* Borrowed, valid while the store is open. */
struct oci_layout *lfs_store_layout(struct lfs_store *store);
const char *lfs_store_path(const struct lfs_store *store); /* absolute */

enum lfs_store_dir {
    LFS_DIR_ROOT,
    LFS_DIR_TREES,
    LFS_DIR_PACKS,
    LFS_DIR_OBJECTS,
    LFS_DIR_MOUNTS,
    LFS_DIR_LOCKS,
    LFS_DIR_PARTIAL,
    LFS_DIR_TMP,
    LFS_DIR_LEASES,
    LFS_DIR_UPPERS,
    LFS_DIR_USED,
    LFS_DIRS,
};
int lfs_store_dirfd(const struct lfs_store *store, enum lfs_store_dir dir); /* borrowed */

/* The name in trees/ and packs/ of a diffID or chainID: 64 hex digits. */
enum { LFS_KEY_MAX = 65 };
int lfs_store_key(const struct oci_digest *digest, char ret_key[static LFS_KEY_MAX]);
/* The same as a digest: what the tree of that diffID or chainID has as its id. */
int lfs_store_key_digest(const struct oci_digest *digest, struct oci_digest *ret_key);

/* Opens an image's tree (by chainID) and makes sure that it was verified since it last changed;
 * the first time verifies it and leaves the note. -ENOENT, -EBADMSG, … */
int lfs_store_open_tree(struct lfs_store *store, const struct oci_digest *chain_id,
    struct lfs_tree **ret_tree, struct report *r);
/* The same for a layer's tree (by diffID). */
int lfs_store_open_layer(struct lfs_store *store, const struct oci_digest *diff_id,
    struct lfs_tree **ret_tree, struct report *r);
/* Whether the note on a tree (by its file name) is of the file that has the name now: 0, 1 when it
 * is of another, -ENOENT when there is none. */
int lfs_store_check_note(struct lfs_store *store, const char *tree_name);
/* File name of a tree in trees/. */
enum { LFS_TREE_NAME_MAX = LFS_KEY_MAX + 6 };
int lfs_store_tree_name(
    enum lfs_tree_kind kind, const struct oci_digest *id, char ret_name[static LFS_TREE_NAME_MAX]);

/* An fd for reading: an object by content sha256, or a pack by the raw 32 bytes of its key.
 * -ENOENT and the rest of open's errors. Thread-safe; needs only the directory fds. */
int lfs_store_open_object(const struct lfs_store *store, const uint8_t sha256[static 32]);
int lfs_store_open_pack(const struct lfs_store *store, const uint8_t key[static 32]);

/* The name of an object below objects/, for who opens it by other means: "ab/cdef…". */
enum { LFS_OBJECT_NAME_MAX = LFS_KEY_MAX + 1 };
void lfs_store_object_name(
    const uint8_t sha256[static 32], char ret_name[static LFS_OBJECT_NAME_MAX]);

/* Takes the exclusive lock `locks/<name>`, waiting for it; closing the fd gives it back. */
int lfs_store_lock(struct lfs_store *store, const char *name, int *ret_fd, struct report *r);
/* The same without waiting: -EWOULDBLOCK, without a text, when somebody holds it. */
int lfs_store_try_lock(struct lfs_store *store, const char *name, int *ret_fd, struct report *r);

/* Shared and exclusive, for gc.c and who must not be disturbed by it: see docs/locking.md. */
int lfs_store_lock_shared(struct lfs_store *store, const char *name, int *ret_fd, struct report *r);

bool lfs_store_is_read_only(const struct lfs_store *store);

/* Makes all that was written to the store so far durable. */
int lfs_store_sync(struct lfs_store *store, struct report *r);

#endif
