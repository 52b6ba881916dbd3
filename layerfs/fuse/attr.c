/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes as FUSE attributes and directory entries, written straight into the reply. */
#include "layerfs/fuse/attr.h"

#include <string.h>

enum { STAT_BLOCK = 512 }; /* bytes: the unit of st_blocks */

/* The kernel's encoding of a device number in 32 bits. */
static uint32_t encode_dev(uint32_t major_number, uint32_t minor_number)
{
    return (minor_number & 0xff) | (major_number << 8) | ((minor_number & ~0xffu) << 12);
}

void lfs_attr_fill(const struct lfs_inode *inode, struct fuse_attr *ret_attr)
{
    uint64_t sec = (uint64_t)inode->mtime_sec;

    *ret_attr = (struct fuse_attr){
        .ino = inode->number,
        .size = inode->size,
        .blocks = inode->size / STAT_BLOCK + (inode->size % STAT_BLOCK != 0),
        .atime = sec,
        .mtime = sec,
        .ctime = sec,
        .atimensec = inode->mtime_nsec,
        .mtimensec = inode->mtime_nsec,
        .ctimensec = inode->mtime_nsec,
        .mode = inode->mode,
        .nlink = inode->nlink,
        .uid = inode->uid,
        .gid = inode->gid,
        .rdev = encode_dev(inode->rdev_major, inode->rdev_minor),
        .blksize = S_ISDIR(inode->mode) ? LFS_DIR_BLOCK_SIZE : LFS_BLOCK_SIZE,
    };
}

void lfs_entry_fill(const struct lfs_inode *inode, struct fuse_entry_out *ret_entry)
{
    *ret_entry = (struct fuse_entry_out){.entry_valid = LFS_ATTR_VALID};
    if (!inode)
        return;
    ret_entry->nodeid = inode->number;
    ret_entry->attr_valid = LFS_ATTR_VALID;
    lfs_attr_fill(inode, &ret_entry->attr);
}

/* What stands at a position of a directory: 0, -ENOENT past the end, -EIO. */
static int entry_at(const struct lfs_tree *tree, const struct lfs_inode *dir, uint64_t position,
    struct lfs_dirent *ret_entry)
{
    static const char dots[] = "..";

    if (position < 2) {
        *ret_entry = (struct lfs_dirent){
            .name = dots,
            .name_size = (size_t)position + 1,
            .inode = position == 0 ? dir->number : dir->parent,
            .type = S_IFDIR >> 12,
        };
        return 0;
    }
    if (position - 2 >= dir->entry_count)
        return -ENOENT;
    return lfs_tree_entry(tree, dir, (uint32_t)(position - 2), ret_entry);
}

static size_t dirent_size(const struct lfs_dirent *entry, bool plus)
{
    return FUSE_DIRENT_ALIGN(
        (plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET) + entry->name_size);
}

static void put_dirent(
    const struct lfs_dirent *entry, uint64_t next_position, void *buffer, size_t size)
{
    struct fuse_dirent *d = buffer;

    d->ino = entry->inode;
    d->off = next_position;
    d->namelen = (uint32_t)entry->name_size;
    d->type = entry->type;
    memcpy(d->name, entry->name, entry->name_size);
    memset(d->name + entry->name_size, 0, size - FUSE_NAME_OFFSET - entry->name_size);
}

/* The inode part of a READDIRPLUS entry. "." and ".." have none: the kernel knows them. */
static int put_inode(
    const struct lfs_tree *tree, const struct lfs_dirent *entry, uint64_t position, void *buffer)
{
    struct fuse_entry_out *out = buffer;
    struct lfs_inode inode;
    int r;

    if (position < 2) {
        *out = (struct fuse_entry_out){0};
        return 0;
    }
    r = lfs_tree_inode(tree, entry->inode, &inode);
    if (r < 0)
        return -EIO;
    lfs_entry_fill(&inode, out);
    return 0;
}

/* Bytes written at buffer, 0: the end or no room, -EIO. */
static ssize_t put_entry(const struct lfs_tree *tree, const struct lfs_inode *dir,
    uint64_t position, bool plus, uint8_t *buffer, size_t room)
{
    const size_t head = plus ? sizeof(struct fuse_entry_out) : 0;
    struct lfs_dirent entry;
    size_t size;
    int r = entry_at(tree, dir, position, &entry);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    size = dirent_size(&entry, plus);
    if (size > room)
        return 0;
    if (plus)
        r = put_inode(tree, &entry, position, buffer);
    if (r < 0)
        return r;
    put_dirent(&entry, position + 1, buffer + head, size - head);
    return (ssize_t)size;
}

ssize_t lfs_readdir_fill(const struct lfs_tree *tree, const struct lfs_inode *dir, uint64_t offset,
    bool plus, void *buffer, size_t size)
{
    size_t used = 0;

    for (uint64_t position = offset;; position++) {
        ssize_t n = put_entry(tree, dir, position, plus, (uint8_t *)buffer + used, size - used);

        if (n < 0 && used == 0)
            return n;
        if (n <= 0)
            return (ssize_t)used;
        used += (size_t)n;
    }
}
