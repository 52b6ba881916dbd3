/* SPDX-License-Identifier: Apache-2.0 */
/* The tree file: the metadata of one layer or one image, used in place by mmap.
 *
 *     header │ inodes │ entries │ digests │ packs │ names │ xattrs │ data
 *
 * All numbers are little-endian. Sections are aligned to 8 bytes and lie in this order without
 * gaps but for that alignment, so that the same tree is always the same bytes. docs/formats.md
 * describes each field; this file is its C form.
 *
 * Inode numbers are record numbers: record 0 is unused and all zero, record 1 is the root
 * directory. The entries of a directory are consecutive and sorted by name (memcmp, then length).
 * Directories follow one another in preorder; a directory's children have consecutive entries and,
 * but for further names of hard links, consecutive inode numbers. No path has more than 4095 bytes.
 * A section has fewer than 2^32 records, or bytes where it has none.
 *
 * A layer's tree may also hold what only means something above other layers: whiteouts (entries
 * with inode 0), opaque directories, directories that no entry of the tar described, and hard links
 * to files of lower layers. An image's tree holds none of these. */
#ifndef LAYERFS_TREE_FORMAT_H
#define LAYERFS_TREE_FORMAT_H

#include <stdint.h>

#define LFS_TREE_MAGIC "LayerFS\1" /* 8 bytes, no NUL */

enum {
    LFS_TREE_VERSION = 1,
    LFS_TREE_ROOT = 1, /* inode number of the root, as FUSE has it */
};

enum lfs_tree_kind { LFS_TREE_LAYER = 1, LFS_TREE_IMAGE = 2 };

/* Feature bits: a reader refuses a tree with bits that it does not know. */
enum lfs_tree_feature {
    LFS_TREE_HAS_XATTRS = 1 << 0,
    LFS_TREE_HAS_ACLS = 1 << 1, /* a system.posix_acl_* xattr occurs */
};

enum lfs_tree_section {
    LFS_SECTION_INODES,  /* struct lfs_disk_inode */
    LFS_SECTION_ENTRIES, /* struct lfs_disk_entry */
    LFS_SECTION_DIGESTS, /* 32 bytes each: sha256 of a regular file's content */
    LFS_SECTION_PACKS,   /* 32 bytes each: sha256 diffID of the layer whose pack it is */
    LFS_SECTION_NAMES,   /* bytes; entries point into it */
    LFS_SECTION_XATTRS,  /* xattr sets, see below */
    LFS_SECTION_DATA,    /* symlink targets and contents of tiny files */
    LFS_SECTIONS,
};

struct lfs_disk_section {
    uint64_t offset; /* bytes from the start of the file */
    uint64_t size;   /* bytes */
};

struct lfs_disk_header {
    uint8_t magic[8];
    uint32_t version;
    uint32_t features;
    uint32_t kind;        /* enum lfs_tree_kind */
    uint32_t header_size; /* bytes of this struct */
    uint64_t file_size;   /* bytes */
    uint8_t id[32];       /* sha256 of the diffID (layer) or chainID (image) this tree is of */
    uint8_t checksum[32]; /* sha256 of everything behind the header */
    uint64_t file_bytes;  /* sum of the sizes of all regular files, each inode once */
    struct lfs_disk_section sections[LFS_SECTIONS];
    uint8_t reserved[8];
    uint8_t header_checksum[32]; /* sha256 of the header up to here */
};

/* Where a regular file's content is; what a non-regular inode is follows from its mode. */
enum lfs_data_kind {
    LFS_DATA_NONE = 0,   /* not a regular file, or empty */
    LFS_DATA_INLINE = 1, /* ref: offset in the data section */
    LFS_DATA_PACK = 2,   /* ref: offset in pack number aux */
    LFS_DATA_OBJECT = 3, /* the object named by the content's digest */
};

enum lfs_inode_flag {
    LFS_INODE_OPAQUE = 1 << 0,   /* layer trees: hides what lower layers have in it */
    LFS_INODE_IMPLICIT = 1 << 1, /* layer trees: a parent that the tar did not describe */
    LFS_INODE_LINK = 1 << 2, /* layer trees: a hard link to a lower file, its path in the data; the
                                mode is S_IFREG without permissions, all else is zero */
};

struct lfs_disk_inode {
    uint64_t size; /* bytes: content, or symlink target, or 0 */
    int64_t mtime_sec;
    uint64_t ref; /* file: see lfs_data_kind; directory: first entry; symlink and LINK: offset in
                     the data section; device: major << 32 | minor */
    uint32_t mtime_nsec;
    uint32_t mode; /* S_IFMT and permission bits */
    uint32_t uid;
    uint32_t gid;
    uint32_t nlink;     /* as stat shows it: directories 2 + subdirectories */
    uint32_t xattrs;    /* offset of the set in the xattr section + 1; 0: none */
    uint32_t digest;    /* number in the digest section + 1; 0: none */
    uint32_t aux;       /* directory: number of entries; pack: number of the pack */
    uint32_t parent;    /* directory: inode of its parent (the root's is the root) */
    uint16_t data_kind; /* enum lfs_data_kind */
    uint16_t flags;     /* enum lfs_inode_flag */
};

struct lfs_disk_entry {
    uint32_t inode;     /* 0: a whiteout */
    uint32_t name;      /* offset in the name section */
    uint16_t name_size; /* bytes, 1..255 */
    uint8_t type;       /* DT_* of the inode, so that a listing need not touch it; 0: a whiteout */
    uint8_t reserved;
};

/* An xattr set: u32 count, then for each attribute, sorted by name: u16 name size, u16 reserved,
 * u32 value size, name bytes, value bytes; no padding. Sets differ from one another. */
struct lfs_disk_xattr {
    uint16_t name_size;
    uint16_t reserved;
    uint32_t value_size;
};

_Static_assert(
    sizeof(struct lfs_disk_header) == 8 + 4 * 4 + 8 + 64 + 8 + LFS_SECTIONS * 16 + 8 + 32,
    "the header has no padding");
_Static_assert(sizeof(struct lfs_disk_inode) == 64, "an inode is one cache line");
_Static_assert(sizeof(struct lfs_disk_entry) == 12, "an entry has no padding");
_Static_assert(sizeof(struct lfs_disk_xattr) == 8, "an xattr header has no padding");

#endif
