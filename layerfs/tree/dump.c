/* SPDX-License-Identifier: Apache-2.0 */
/* A tree as text: one line a name, directories before what is in them, names in byte order.
 *
 *     PATH MODE UID:GID SIZE MTIME NLINK RDEV TARGET [NAME=HEX]... [#INODE] [DATA DIGEST] [MARK]...
 *
 *     /bin/sh 120777 0:0 4 1700000000.000000000 1 - dash
 *     /etc/hosts 100644 0:0 12 1700000000.123456789 1 - - user.note=6869 inline:40 sha256:…
 *     /etc/old whiteout
 *
 * MODE is st_mode in octal, RDEV major:minor, "-" stands for what a type does not have. In paths,
 * targets and names of attributes a byte that is not a visible ASCII character, a backslash, and a
 * "-" that stands alone are written as \xNN, so that fields never contain spaces and lines can be
 * sorted and compared. Marks are of layer trees: implicit, opaque, lower-link. */
#include <dirent.h>
#include <stdio.h>

#include "layerfs/tree/builder.h"
#include "layerfs/tree/mapped.h"
#include "oci/util/buf.h"

/* A directory on the way down. */
struct level {
    struct lfs_inode dir;
    uint32_t next;    /* index of the entry to come */
    size_t path_size; /* bytes of the directory's path */
};

struct dump {
    const struct lfs_tree *tree;
    const struct lfs_dump_options *options;
    int (*emit)(void *userdata, const char *text);
    void *userdata;
    struct buf levels; /* a stack of struct level */
    struct buf path;   /* of the name at hand, not escaped */
    struct buf line;
    uint64_t lines; /* so far; no more than there are entries, however broken the tree is */
};

static int put_escaped(struct buf *line, const char *text, size_t size)
{
    int r = 0;

    if (size == 1 && text[0] == '-')
        return buf_append_str(line, "\\x2d");
    for (size_t i = 0; r == 0 && i < size; i++) {
        unsigned char c = (unsigned char)text[i];

        r = c <= 0x20 || c >= 0x7f || c == '\\' ? buf_printf(line, "\\x%02x", c)
                                                : buf_append(line, &c, 1);
    }
    return r;
}

static int put_hex(struct buf *line, const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    int r = buf_reserve(line, 2 * size);

    for (size_t i = 0; r == 0 && i < size; i++) {
        char pair[2] = {digits[p[i] >> 4], digits[p[i] & 15]};

        r = buf_append(line, pair, sizeof(pair));
    }
    return r;
}

static int put_stat(struct buf *line, const struct lfs_inode *inode)
{
    return buf_printf(line, " %06o %u:%u %llu %lld.%09u %u", inode->mode, inode->uid, inode->gid,
        (unsigned long long)inode->size, (long long)inode->mtime_sec, inode->mtime_nsec,
        inode->nlink);
}

static int put_target(struct dump *d, const struct lfs_inode *inode)
{
    const char *target;
    int r;

    if (!S_ISLNK(inode->mode) && !(inode->flags & LFS_INODE_LINK))
        return buf_append_str(&d->line, " -");
    r = lfs_tree_bytes(d->tree, inode, &target);
    if (r == 0)
        r = buf_append_str(&d->line, " ");
    return r < 0 ? r : put_escaped(&d->line, target, inode->size);
}

static int put_rdev(struct buf *line, const struct lfs_inode *inode)
{
    if (!S_ISCHR(inode->mode) && !S_ISBLK(inode->mode))
        return buf_append_str(line, " -");
    return buf_printf(line, " %u:%u", inode->rdev_major, inode->rdev_minor);
}

static int put_xattrs(struct dump *d, const struct lfs_inode *inode)
{
    struct lfs_xattr xattr;
    uint64_t cursor = 0;
    int r;

    while ((r = lfs_tree_xattr_next(d->tree, inode, &cursor, &xattr)) > 0) {
        r = buf_append_str(&d->line, " ");
        if (r == 0)
            r = put_escaped(&d->line, xattr.name, xattr.name_size);
        if (r == 0)
            r = buf_append_str(&d->line, "=");
        if (r == 0)
            r = put_hex(&d->line, xattr.value, xattr.value_size);
        if (r < 0)
            break;
    }
    return r;
}

static int put_data(struct dump *d, const struct lfs_inode *inode)
{
    static const char *const kinds[] = {"none", "inline", "pack", "object"};
    unsigned long long offset = inode->data_offset;
    const uint8_t *sha256;
    int r;

    if (inode->data_kind == LFS_DATA_NONE)
        return 0;
    r = buf_printf(&d->line, " %s", kinds[inode->data_kind]);
    if (r == 0 && inode->data_kind == LFS_DATA_INLINE)
        r = buf_printf(&d->line, ":%llu", offset);
    if (r == 0 && inode->data_kind == LFS_DATA_PACK)
        r = buf_printf(&d->line, ":%u:%llu", inode->pack, offset);
    if (r == 0)
        r = lfs_tree_digest(d->tree, inode->digest, &sha256);
    if (r == 0)
        r = buf_append_str(&d->line, " sha256:");
    return r < 0 ? r : put_hex(&d->line, sha256, 32);
}

static int put_marks(struct buf *line, unsigned flags)
{
    int r = 0;

    if (flags & LFS_INODE_IMPLICIT)
        r = buf_append_str(line, " implicit");
    if (r == 0 && (flags & LFS_INODE_OPAQUE))
        r = buf_append_str(line, " opaque");
    if (r == 0 && (flags & LFS_INODE_LINK))
        r = buf_append_str(line, " lower-link");
    return r;
}

static int put_inode(struct dump *d, const struct lfs_inode *inode)
{
    int r = put_stat(&d->line, inode);

    if (r == 0)
        r = put_rdev(&d->line, inode);
    if (r == 0)
        r = put_target(d, inode);
    if (r == 0)
        r = put_xattrs(d, inode);
    if (r == 0 && d->options->numbers)
        r = buf_printf(&d->line, " #%u", inode->number);
    if (r == 0 && d->options->digests)
        r = put_data(d, inode);
    return r < 0 ? r : put_marks(&d->line, inode->flags);
}

/* The line of d->path; inode NULL: a whiteout. */
static int dump_line(struct dump *d, const struct lfs_inode *inode)
{
    int r = d->lines++ <= d->tree->entry_count ? 0 : -EIO;

    d->line.size = 0;
    if (r == 0)
        r = buf_append_str(&d->line, "/");
    if (r == 0)
        r = put_escaped(&d->line, (const char *)d->path.data, d->path.size);
    if (r == 0)
        r = inode ? put_inode(d, inode) : buf_append_str(&d->line, " whiteout");
    if (r == 0)
        r = buf_append(&d->line, "", 1);
    return r < 0 ? r : d->emit(d->userdata, (const char *)d->line.data);
}

static int enter(struct dump *d, const struct lfs_inode *dir)
{
    struct level level = {.dir = *dir, .path_size = d->path.size};

    return buf_append(&d->levels, &level, sizeof(level));
}

static int dump_entry(struct dump *d, const struct lfs_dirent *entry)
{
    struct lfs_inode inode;
    int r = d->path.size ? buf_append(&d->path, "/", 1) : 0;

    if (r == 0)
        r = buf_append(&d->path, entry->name, entry->name_size);
    if (r == 0 && !entry->inode)
        return dump_line(d, NULL);
    if (r == 0)
        r = lfs_tree_inode(d->tree, entry->inode, &inode);
    if (r == 0)
        r = dump_line(d, &inode);
    return r == 0 && S_ISDIR(inode.mode) ? enter(d, &inode) : r;
}

static int dump_all(struct dump *d)
{
    struct lfs_inode root;
    int r = lfs_tree_inode(d->tree, LFS_TREE_ROOT, &root);

    if (r == 0)
        r = dump_line(d, &root);
    if (r == 0)
        r = enter(d, &root);
    while (r == 0 && d->levels.size) {
        struct level *top = (struct level *)(void *)(d->levels.data + d->levels.size) - 1;
        struct lfs_dirent entry;

        d->path.size = top->path_size;
        r = lfs_tree_entry(d->tree, &top->dir, top->next++, &entry);
        if (r == 0)
            r = dump_entry(d, &entry);
        else if (r == -ENOENT) {
            d->levels.size -= sizeof(*top);
            r = 0;
        }
    }
    return r;
}

int lfs_tree_dump(const struct lfs_tree *tree, const struct lfs_dump_options *options,
    int (*line)(void *userdata, const char *text), void *userdata)
{
    struct dump d = {.tree = tree, .options = options, .emit = line, .userdata = userdata};
    int r = dump_all(&d);

    buf_deinit(&d.levels);
    buf_deinit(&d.path);
    buf_deinit(&d.line);
    return r;
}
