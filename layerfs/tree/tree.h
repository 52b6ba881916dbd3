/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a tree in place.
 *
 * A tree is immutable and mapped read-only: any number of threads use it without locks. Opening
 * costs an mmap whatever its size: it checks the header and that the sections fit the file.
 * lfs_tree_verify() checks everything else, once in a tree's life (the store remembers that). The
 * accessors check each reference against its section all the same, which costs a comparison, so
 * that no damage done later can make them touch foreign memory: they return -EIO then. A page of
 * a mapping that cannot be read (a file cut off, a failing disk) reads as zeros after
 * lfs_tree_guard_install(), and all accessors of that tree return -EIO from then on. */
#ifndef LAYERFS_TREE_TREE_H
#define LAYERFS_TREE_TREE_H

#include <sys/stat.h>

#include "layerfs/tree/format.h"
#include "oci/digest.h"
#include "oci/util/report.h"

struct lfs_tree;

/* Maps dirfd/name. -ENOENT; -EBADMSG: no tree, or damaged; -EOPNOTSUPP: a newer version. */
int lfs_tree_open(int dirfd, const char *name, struct lfs_tree **ret_tree, struct report *r);
struct lfs_tree *lfs_tree_close(struct lfs_tree *tree);
DEFINE_CLEANUP(struct lfs_tree *, lfs_tree_close)

/* Checks the checksum and every record, order and reference, so that a verified tree serves any
 * request right. -EBADMSG with a text that names the record. Reads the whole file. */
int lfs_tree_verify(const struct lfs_tree *tree, struct report *r);

/* Turns SIGBUS in any tree's mapping into pages of zeros, from then on, for this process; a SIGBUS
 * elsewhere keeps its default action. lfs_tree_is_damaged() tells whether it happened. */
int lfs_tree_guard_install(void);
bool lfs_tree_is_damaged(const struct lfs_tree *tree);

/* Asks the kernel to read the beginning of the metadata ahead; does not wait. */
void lfs_tree_prefetch(const struct lfs_tree *tree);

/* Gives back what was mapped by use: the pages stay in the page cache, where the kernel may drop
 * them, but no longer count as the process's. A tree of up to 4 MiB stays mapped. Other threads may
 * read meanwhile. */
void lfs_tree_trim(const struct lfs_tree *tree);

enum lfs_tree_kind lfs_tree_kind(const struct lfs_tree *tree);
uint32_t lfs_tree_features(const struct lfs_tree *tree);
struct oci_digest lfs_tree_id(const struct lfs_tree *tree);
uint32_t lfs_tree_inode_count(const struct lfs_tree *tree); /* the unused record 0 included */
uint32_t lfs_tree_pack_count(const struct lfs_tree *tree);
uint64_t lfs_tree_file_bytes(const struct lfs_tree *tree);
uint64_t lfs_tree_size(const struct lfs_tree *tree); /* bytes of the file */

/* A decoded inode, a value. */
struct lfs_inode {
    uint32_t number;
    uint32_t mode, uid, gid, nlink;
    uint64_t size;
    int64_t mtime_sec;
    uint32_t mtime_nsec;
    uint32_t rdev_major, rdev_minor;
    uint32_t parent;      /* directories */
    uint32_t entry_count; /* directories */
    uint64_t first_entry; /* directories */
    enum lfs_data_kind data_kind;
    uint64_t data_offset; /* inline, symlink, LINK: in the data section; pack: in the pack */
    uint32_t pack;        /* pack number */
    uint32_t digest;      /* for lfs_tree_digest(); 0: none */
    uint32_t xattrs;      /* 0: none */
    unsigned flags;       /* enum lfs_inode_flag */
};

/* 0; -ESTALE: no such number; -EIO: damaged. */
int lfs_tree_inode(const struct lfs_tree *tree, uint64_t number, struct lfs_inode *ret_inode);

struct lfs_dirent {
    const char *name; /* not terminated; the tree's */
    size_t name_size;
    uint32_t inode; /* 0: a whiteout */
    uint8_t type;   /* DT_* */
};

/* Entry number index of a directory: 0, -ENOENT past the last, -EIO. */
int lfs_tree_entry(const struct lfs_tree *tree, const struct lfs_inode *dir, uint32_t index,
    struct lfs_dirent *ret_entry);

/* Finds a name in a directory, by bisection: 0, -ENOENT, -ENOTDIR, -EIO. */
int lfs_tree_lookup(const struct lfs_tree *tree, const struct lfs_inode *dir, const char *name,
    size_t name_size, struct lfs_dirent *ret_entry);

/* Resolves a path of components ("a/b", "" for the root) without following links. */
int lfs_tree_resolve(const struct lfs_tree *tree, const char *path, struct lfs_inode *ret_inode);

/* Bytes in the tree: a symlink's target, a LINK's path, an inline content. 0 or -EIO. */
int lfs_tree_bytes(
    const struct lfs_tree *tree, const struct lfs_inode *inode, const char **ret_data);

/* The sha256 of a content or of a pack's layer; -EIO. 32 bytes of the tree. */
int lfs_tree_digest(const struct lfs_tree *tree, uint32_t digest, const uint8_t **ret_sha256);
int lfs_tree_pack(const struct lfs_tree *tree, uint32_t pack, const uint8_t **ret_sha256);

struct lfs_xattr {
    const char *name; /* not terminated; the tree's */
    size_t name_size;
    const void *value;
    size_t value_size;
};

/* Walks a set: *cursor starts at 0; 1 and an attribute, 0 at the end, -EIO. */
int lfs_tree_xattr_next(const struct lfs_tree *tree, const struct lfs_inode *inode,
    uint64_t *cursor, struct lfs_xattr *ret_xattr);

/* One attribute: 0, -ENODATA, -EIO. */
int lfs_tree_xattr_get(const struct lfs_tree *tree, const struct lfs_inode *inode, const char *name,
    struct lfs_xattr *ret_xattr);

#endif
