/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the records of a tree: inodes, entries, bytes, xattrs.
 *
 * Two rules keep these safe on a file that changes under them. A field is read once, into a local,
 * and it is the local that is checked and used. And bytes that are handed out are touched first, so
 * that a page that cannot be read marks the tree damaged (guard.c) before the mark is looked at:
 * a damaged tree answers -EIO to everything, because a page of zeros can also look like a name that
 * is not there. */
#include "layerfs/tree/mapped.h"
#include "layerfs/tree/names.h"
#include "oci/layer.h"

enum { TOUCH_STEP = 4096 }; /* bytes: the smallest page there is */

static void touch(const void *data, size_t size)
{
    const volatile uint8_t *p = data;

    for (size_t i = 0; i < size; i += TOUCH_STEP)
        (void)p[i];
    if (size)
        (void)p[size - 1];
}

/* The result of an accessor, unless the tree went bad on the way to it. */
static int checked(const struct lfs_tree *tree, int r)
{
    return lfs_guard_is_damaged(tree->guard) ? -EIO : r;
}

static bool type_known(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK:
        return (mode & ~(uint32_t)(S_IFMT | 07777)) == 0;
    default:
        return false;
    }
}

/* What a record means whatever it is of. */
static void decode_common(
    uint32_t number, const struct lfs_disk_inode *d, struct lfs_inode *ret_inode)
{
    *ret_inode = (struct lfs_inode){
        .number = number,
        .mode = le32toh(d->mode),
        .uid = le32toh(d->uid),
        .gid = le32toh(d->gid),
        .nlink = le32toh(d->nlink),
        .size = le64toh(d->size),
        .mtime_sec = (int64_t)le64toh((uint64_t)d->mtime_sec),
        .mtime_nsec = le32toh(d->mtime_nsec),
        .data_kind = le16toh(d->data_kind),
        .digest = le32toh(d->digest),
        .xattrs = le32toh(d->xattrs),
        .flags = le16toh(d->flags),
    };
}

static void decode_regular(const struct lfs_disk_inode *d, struct lfs_inode *inode)
{
    inode->data_offset = le64toh(d->ref);
    if (inode->data_kind == LFS_DATA_PACK)
        inode->pack = le32toh(d->aux);
}

/* ref and aux mean something else for each type. */
static void decode_by_type(const struct lfs_disk_inode *d, struct lfs_inode *inode)
{
    switch (inode->mode & S_IFMT) {
    case S_IFREG:
        decode_regular(d, inode);
        break;
    case S_IFLNK:
        inode->data_offset = le64toh(d->ref);
        break;
    case S_IFDIR:
        inode->first_entry = le64toh(d->ref);
        inode->entry_count = le32toh(d->aux);
        inode->parent = le32toh(d->parent);
        break;
    case S_IFCHR:
    case S_IFBLK:
        inode->rdev_major = (uint32_t)(le64toh(d->ref) >> 32);
        inode->rdev_minor = (uint32_t)le64toh(d->ref);
        break;
    default:
        break;
    }
}

static bool has_bytes(const struct lfs_inode *inode)
{
    return S_ISLNK(inode->mode) || inode->data_kind == LFS_DATA_INLINE ||
           (inode->flags & LFS_INODE_LINK);
}

static bool references_ok(const struct lfs_tree *tree, const struct lfs_inode *inode)
{
    if (inode->data_kind > (S_ISREG(inode->mode) ? LFS_DATA_OBJECT : LFS_DATA_NONE) ||
        inode->digest > tree->digest_count || inode->xattrs > tree->xattrs_size)
        return false;
    if (has_bytes(inode) && !lfs_range_ok(inode->data_offset, inode->size, tree->data_size))
        return false;
    if (inode->data_kind == LFS_DATA_PACK && inode->pack >= tree->pack_count)
        return false;
    if (!S_ISDIR(inode->mode))
        return true;
    return lfs_range_ok(inode->first_entry, inode->entry_count, tree->entry_count) &&
           inode->parent != 0 && inode->parent < tree->inode_count;
}

int lfs_tree_inode(const struct lfs_tree *tree, uint64_t number, struct lfs_inode *ret_inode)
{
    struct lfs_disk_inode record;
    struct lfs_inode inode;

    if (number == 0 || number >= tree->inode_count)
        return -ESTALE;
    record = tree->inodes[number];
    decode_common((uint32_t)number, &record, &inode);
    if (!type_known(inode.mode) || inode.mtime_nsec >= 1000000000 || inode.size > INT64_MAX)
        return -EIO;
    decode_by_type(&record, &inode);
    if (!references_ok(tree, &inode))
        return -EIO;
    *ret_inode = inode;
    return checked(tree, 0);
}

static int read_entry(const struct lfs_tree *tree, uint64_t number, struct lfs_dirent *ret_entry)
{
    struct lfs_disk_entry record;
    struct lfs_dirent entry;
    uint32_t name;

    if (number >= tree->entry_count)
        return -EIO;
    record = tree->entries[number];
    name = le32toh(record.name);
    entry = (struct lfs_dirent){
        .name = tree->names + name,
        .name_size = le16toh(record.name_size),
        .inode = le32toh(record.inode),
        .type = record.type,
    };
    if (entry.name_size == 0 || entry.name_size > OCI_NAME_MAX ||
        !lfs_range_ok(name, entry.name_size, tree->names_size) || entry.inode >= tree->inode_count)
        return -EIO;
    *ret_entry = entry;
    return 0;
}

int lfs_tree_entry(const struct lfs_tree *tree, const struct lfs_inode *dir, uint32_t index,
    struct lfs_dirent *ret_entry)
{
    int r;

    if (index >= dir->entry_count)
        return -ENOENT;
    r = read_entry(tree, dir->first_entry + index, ret_entry);
    if (r < 0)
        return r;
    touch(ret_entry->name, ret_entry->name_size);
    return checked(tree, 0);
}

int lfs_tree_lookup(const struct lfs_tree *tree, const struct lfs_inode *dir, const char *name,
    size_t name_size, struct lfs_dirent *ret_entry)
{
    uint64_t low = dir->first_entry, high = low + dir->entry_count;

    if (!S_ISDIR(dir->mode))
        return -ENOTDIR;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct lfs_dirent entry;
        int r = read_entry(tree, middle, &entry);

        if (r < 0)
            return r;
        r = lfs_name_compare(name, name_size, entry.name, entry.name_size);
        if (r == 0) {
            *ret_entry = entry;
            return checked(tree, 0);
        }
        if (r < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return checked(tree, -ENOENT);
}

int lfs_tree_resolve(const struct lfs_tree *tree, const char *path, struct lfs_inode *ret_inode)
{
    struct lfs_inode inode;
    int r = lfs_tree_inode(tree, LFS_TREE_ROOT, &inode);

    while (r == 0 && *path) {
        size_t size = strcspn(path, "/");
        struct lfs_dirent entry;

        r = lfs_tree_lookup(tree, &inode, path, size, &entry);
        if (r == 0)
            r = entry.inode ? lfs_tree_inode(tree, entry.inode, &inode) : -ENOENT;
        if (r == -ESTALE)
            r = -EIO;
        path += size + (path[size] == '/');
    }
    if (r < 0)
        return r;
    *ret_inode = inode;
    return 0;
}

int lfs_tree_bytes(
    const struct lfs_tree *tree, const struct lfs_inode *inode, const char **ret_data)
{
    if (!has_bytes(inode) || !lfs_range_ok(inode->data_offset, inode->size, tree->data_size))
        return -EIO;
    touch(tree->data + inode->data_offset, inode->size);
    *ret_data = tree->data + inode->data_offset;
    return checked(tree, 0);
}

int lfs_tree_digest(const struct lfs_tree *tree, uint32_t digest, const uint8_t **ret_sha256)
{
    if (digest == 0 || digest > tree->digest_count)
        return -EIO;
    touch(tree->digests[digest - 1], sizeof(tree->digests[0]));
    *ret_sha256 = tree->digests[digest - 1];
    return checked(tree, 0);
}

int lfs_tree_pack(const struct lfs_tree *tree, uint32_t pack, const uint8_t **ret_sha256)
{
    if (pack >= tree->pack_count)
        return -EIO;
    touch(tree->packs[pack], sizeof(tree->packs[0]));
    *ret_sha256 = tree->packs[pack];
    return checked(tree, 0);
}

/* Reads the attribute at offset and moves offset behind it. */
static int read_xattr(const struct lfs_tree *tree, uint64_t *offset, struct lfs_xattr *ret_xattr)
{
    const uint8_t *at = tree->xattrs + *offset;
    uint64_t name_size, value_size, rest;

    if (!lfs_range_ok(*offset, sizeof(struct lfs_disk_xattr), tree->xattrs_size))
        return -EIO;
    name_size = lfs_read_u16(at + offsetof(struct lfs_disk_xattr, name_size));
    value_size = lfs_read_u32(at + offsetof(struct lfs_disk_xattr, value_size));
    rest = *offset + sizeof(struct lfs_disk_xattr);
    if (name_size == 0 || name_size > OCI_XATTR_NAME_MAX || value_size > OCI_XATTR_SIZE_MAX ||
        !lfs_range_ok(rest, name_size + value_size, tree->xattrs_size))
        return -EIO;
    at += sizeof(struct lfs_disk_xattr);
    touch(at, name_size + value_size);
    *offset = rest + name_size + value_size;
    *ret_xattr = (struct lfs_xattr){
        .name = (const char *)at,
        .name_size = name_size,
        .value = at + name_size,
        .value_size = value_size,
    };
    return 0;
}

/* The cursor is the offset of the next attribute, below the number of those still to come; it is 0
 * only at the start, as a set's first attribute lies behind its count. */
int lfs_tree_xattr_next(const struct lfs_tree *tree, const struct lfs_inode *inode,
    uint64_t *cursor, struct lfs_xattr *ret_xattr)
{
    uint64_t offset = *cursor & UINT32_MAX, left = *cursor >> 32;
    int r;

    if (*cursor == 0) {
        if (inode->xattrs == 0)
            return 0;
        offset = inode->xattrs - 1;
        if (!lfs_range_ok(offset, sizeof(uint32_t), tree->xattrs_size))
            return -EIO;
        left = lfs_read_u32(tree->xattrs + offset);
        offset += sizeof(uint32_t);
    }
    if (left == 0) {
        *cursor = offset;
        return checked(tree, 0);
    }
    r = read_xattr(tree, &offset, ret_xattr);
    if (r < 0)
        return r;
    *cursor = offset | (left - 1) << 32;
    return checked(tree, 1);
}

int lfs_tree_xattr_get(const struct lfs_tree *tree, const struct lfs_inode *inode, const char *name,
    struct lfs_xattr *ret_xattr)
{
    size_t name_size = strlen(name);
    struct lfs_xattr xattr;
    uint64_t cursor = 0;
    int r;

    while ((r = lfs_tree_xattr_next(tree, inode, &cursor, &xattr)) > 0)
        if (xattr.name_size == name_size && memcmp(xattr.name, name, name_size) == 0) {
            *ret_xattr = xattr;
            return 0;
        }
    return r < 0 ? r : -ENODATA;
}
