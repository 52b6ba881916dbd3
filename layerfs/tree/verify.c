/* SPDX-License-Identifier: Apache-2.0 */
/* Checking a whole tree once, so that serving it needs no more than bounds checks.
 *
 * The checksum proves that the file is what somebody wrote. The rest proves that what was written
 * is a tree: whoever can write the file can write its checksum too.
 *
 *   1. every inode alone: type, data reference, flags, unused fields zero;
 *   2. every directory's entries: names valid, sorted and unique, types those of the inodes, parent
 *      links, and each entry in exactly one directory;
 *   3. links counted: each directory is in exactly one, all others have as many names as they say;
 *   4. a walk down from the root reaches every directory. With 3 it meets none twice, so it ends,
 *      and what it does not meet lies in a circle.
 *
 * One array of counters by inode and one bit an entry is all the memory it takes, beside the
 * starts of xattr sets. */
#include <dirent.h>

#include "layerfs/tree/mapped.h"
#include "layerfs/tree/names.h"
#include "oci/layer.h"
#include "oci/util/buf.h"

struct verify {
    const struct lfs_tree *tree;
    struct report *r;
    uint32_t *links;   /* by inode: entries that lead to it */
    uint8_t *claimed;  /* by entry, one bit: it is in a directory */
    struct buf sets;   /* uint32_t: offset + 1 of each xattr set, ascending */
    uint32_t features; /* that the tree should have */
    uint32_t dirs;     /* inodes that are directories */
    uint64_t entries;  /* of all directories */
    uint64_t file_bytes;
};

#define BAD(v, ...) report_fail((v)->r, -EBADMSG, __VA_ARGS__)

/* -EIO of an accessor means a broken reference here, but for a page that cannot be read. */
static int broken(struct verify *v, int err, const char *what, uint32_t number)
{
    if (lfs_tree_is_damaged(v->tree))
        return report_fail(v->r, -EIO, "cannot be read");
    return err == -EIO || err == -ESTALE
               ? BAD(v, "%s %u: fields or references out of range", what, number)
               : report_errno(v->r, err, "%s %u", what, number);
}

static int verify_checksum(struct verify *v)
{
    const struct lfs_disk_header *h = (const struct lfs_disk_header *)v->tree->base;
    struct oci_digest sum;
    int r = oci_digest_of(
        OCI_DIGEST_SHA256, v->tree->base + sizeof(*h), v->tree->size - sizeof(*h), &sum);

    if (r < 0)
        return report_errno(v->r, r, "hashing");
    if (memcmp(sum.bytes, h->checksum, sizeof(h->checksum)) != 0)
        return BAD(v, "damaged (checksum differs)");
    return 0;
}

/* Between sections there are at most 7 bytes, and they are zero. */
static int verify_padding(struct verify *v)
{
    const struct lfs_disk_header *h = (const struct lfs_disk_header *)v->tree->base;

    for (unsigned i = 0; i + 1 < LFS_SECTIONS; i++) {
        uint64_t at = le64toh(h->sections[i].offset) + le64toh(h->sections[i].size);
        uint64_t next = le64toh(h->sections[i + 1].offset);

        if (at > next || next > v->tree->size)
            return BAD(v, "sections overlap");
        for (; at < next; at++)
            if (v->tree->base[at])
                return BAD(v, "bytes between sections %u and %u", i, i + 1);
    }
    return 0;
}

/* One attribute, which must come after the one before it. */
static int verify_xattr(struct verify *v, const struct lfs_xattr *x, const struct lfs_xattr *before)
{
    if (memchr(x->name, '\0', x->name_size))
        return BAD(v, "an extended attribute's name holds a zero byte");
    if (before->name &&
        lfs_name_compare(before->name, before->name_size, x->name, x->name_size) >= 0)
        return BAD(v, "extended attributes are not sorted");
    if (lfs_name_is_acl(x->name, x->name_size))
        v->features |= LFS_TREE_HAS_ACLS;
    return 0;
}

/* The reserved field, which the accessors do not hand out, lies before the name. */
static bool reserved_is_zero(const struct lfs_xattr *x)
{
    const uint8_t *head = (const uint8_t *)x->name - sizeof(struct lfs_disk_xattr);

    return lfs_read_u16(head + offsetof(struct lfs_disk_xattr, reserved)) == 0;
}

static int verify_set(struct verify *v, uint64_t *offset)
{
    struct lfs_inode holder = {.xattrs = (uint32_t)*offset + 1};
    struct lfs_xattr xattr = {0}, before;
    uint64_t cursor = 0;
    int r;

    for (;;) {
        before = xattr;
        r = lfs_tree_xattr_next(v->tree, &holder, &cursor, &xattr);
        if (r <= 0)
            break;
        r = reserved_is_zero(&xattr) ? verify_xattr(v, &xattr, &before)
                                     : BAD(v, "reserved bytes of an extended attribute");
        if (r < 0)
            return r;
    }
    if (r < 0)
        return broken(v, r, "extended attributes at", (uint32_t)*offset);
    if (!xattr.name)
        return BAD(v, "an empty set of extended attributes");
    *offset = cursor;
    return buf_append(&v->sets, &holder.xattrs, sizeof(holder.xattrs));
}

/* Sets lie one behind the other and fill their section. */
static int verify_xattrs(struct verify *v)
{
    uint64_t offset = 0;
    int r = 0;

    while (r == 0 && offset < v->tree->xattrs_size)
        r = verify_set(v, &offset);
    if (r == 0 && offset)
        v->features |= LFS_TREE_HAS_XATTRS;
    return r;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t l = *(const uint32_t *)a, r = *(const uint32_t *)b;

    return (l > r) - (l < r);
}

static bool is_set(const struct verify *v, uint32_t xattrs)
{
    return bsearch(
        &xattrs, v->sets.data, v->sets.size / sizeof(xattrs), sizeof(xattrs), compare_u32);
}

static int verify_regular(struct verify *v, const struct lfs_inode *i)
{
    if (i->size == 0 || i->data_kind == LFS_DATA_NONE)
        return i->size == 0 && i->data_kind == LFS_DATA_NONE && i->digest == 0 &&
                       i->data_offset == 0
                   ? 0
                   : BAD(v, "inode %u: content and size disagree", i->number);
    if (i->digest == 0)
        return BAD(v, "inode %u: content without a digest", i->number);
    if (i->data_kind == LFS_DATA_OBJECT && i->data_offset)
        return BAD(v, "inode %u: an object has no offset", i->number);
    if (i->data_offset > INT64_MAX - i->size ||
        __builtin_add_overflow(v->file_bytes, i->size, &v->file_bytes))
        return BAD(v, "inode %u: size out of range", i->number);
    return 0;
}

/* Bytes that are a path: of 1 to OCI_PATH_MAX - 1 bytes, none of them zero. */
static int verify_path(struct verify *v, const struct lfs_inode *i)
{
    const char *path;
    int r = lfs_tree_bytes(v->tree, i, &path);

    if (r < 0)
        return broken(v, r, "inode", i->number);
    if (i->size == 0 || i->size >= OCI_PATH_MAX || memchr(path, '\0', i->size))
        return BAD(v, "inode %u: not a path", i->number);
    return 0;
}

static int verify_flags(struct verify *v, const struct lfs_inode *i)
{
    unsigned allowed = 0;

    if (v->tree->kind == LFS_TREE_LAYER && S_ISDIR(i->mode))
        allowed = LFS_INODE_OPAQUE | LFS_INODE_IMPLICIT;
    else if (v->tree->kind == LFS_TREE_LAYER && i->mode == S_IFREG)
        allowed = LFS_INODE_LINK;
    return i->flags & ~allowed ? BAD(v, "inode %u: flags %#x", i->number, i->flags) : 0;
}

/* Fields that a type does not use. */
static int verify_unused(struct verify *v, const struct lfs_inode *i)
{
    const struct lfs_disk_inode *d = &v->tree->inodes[i->number];
    bool is_file = S_ISREG(i->mode) && !(i->flags & LFS_INODE_LINK);
    bool uses_ref = !S_ISFIFO(i->mode) && !S_ISSOCK(i->mode);
    bool uses_aux = S_ISDIR(i->mode) || i->data_kind == LFS_DATA_PACK;
    bool uses_size = S_ISREG(i->mode) || S_ISLNK(i->mode);

    if ((!is_file && (d->data_kind || d->digest)) || (!uses_ref && d->ref) ||
        (!uses_aux && d->aux) || (!uses_size && d->size) || (!S_ISDIR(i->mode) && d->parent))
        return BAD(v, "inode %u: an unused field is not zero", i->number);
    return 0;
}

static int verify_inode(struct verify *v, uint32_t number)
{
    struct lfs_inode inode;
    int r = lfs_tree_inode(v->tree, number, &inode);

    if (r < 0)
        return broken(v, r, "inode", number);
    r = verify_flags(v, &inode);
    if (r == 0)
        r = verify_unused(v, &inode);
    if (r == 0 && inode.xattrs && !is_set(v, inode.xattrs))
        r = BAD(v, "inode %u: its extended attributes begin amidst others", number);
    if (r < 0)
        return r;
    if (S_ISLNK(inode.mode) || (inode.flags & LFS_INODE_LINK))
        return verify_path(v, &inode);
    if (S_ISREG(inode.mode))
        return verify_regular(v, &inode);
    if (S_ISDIR(inode.mode)) {
        v->dirs++;
        v->entries += inode.entry_count;
    }
    return 0;
}

static int verify_inodes(struct verify *v)
{
    static const struct lfs_disk_inode unused;
    int r = 0;

    if (memcmp(&v->tree->inodes[0], &unused, sizeof(unused)) != 0)
        return BAD(v, "inode 0 is not empty");
    for (uint32_t i = 1; r == 0 && i < v->tree->inode_count; i++)
        r = verify_inode(v, i);
    if (r == 0 && v->entries != v->tree->entry_count)
        r = BAD(v, "%llu entries in directories, %u in the tree", (unsigned long long)v->entries,
            v->tree->entry_count);
    return r;
}

static bool name_is_valid(const struct lfs_dirent *e)
{
    bool dots =
        e->name[0] == '.' && (e->name_size == 1 || (e->name_size == 2 && e->name[1] == '.'));

    return !dots && !memchr(e->name, '/', e->name_size) && !memchr(e->name, '\0', e->name_size);
}

/* Marks an entry as part of a directory; it must not be part of another. */
static int claim(struct verify *v, uint64_t entry)
{
    uint8_t bit = (uint8_t)(1u << (entry & 7));

    if (v->claimed[entry / 8] & bit)
        return BAD(v, "entry %llu: in two directories", (unsigned long long)entry);
    v->claimed[entry / 8] |= bit;
    return 0;
}

static int verify_whiteout(struct verify *v, const struct lfs_dirent *e, uint64_t number)
{
    if (v->tree->kind != LFS_TREE_LAYER || e->type != 0)
        return BAD(v, "entry %llu: leads to no inode", (unsigned long long)number);
    return 0;
}

static int verify_child(
    struct verify *v, const struct lfs_inode *dir, const struct lfs_dirent *e, uint64_t number)
{
    struct lfs_inode inode;
    int r = lfs_tree_inode(v->tree, e->inode, &inode);

    if (r < 0)
        return broken(v, r, "inode", e->inode);
    if (e->type != IFTODT(inode.mode))
        return BAD(
            v, "entry %llu: another type than its inode %u", (unsigned long long)number, e->inode);
    if (S_ISDIR(inode.mode) && inode.parent != dir->number)
        return BAD(v, "inode %u: its parent is %u, not %u", e->inode, inode.parent, dir->number);
    v->links[e->inode]++;
    return 0;
}

static int verify_entry(struct verify *v, const struct lfs_inode *dir, uint32_t index,
    struct lfs_dirent *before, uint32_t *subdirs)
{
    uint64_t number = dir->first_entry + index;
    struct lfs_dirent entry;
    int r = lfs_tree_entry(v->tree, dir, index, &entry);

    if (r < 0)
        return broken(v, r, "entry", (uint32_t)number);
    if (v->tree->entries[number].reserved || !name_is_valid(&entry))
        return BAD(v, "entry %llu: not a valid name", (unsigned long long)number);
    if (before->name &&
        lfs_name_compare(before->name, before->name_size, entry.name, entry.name_size) >= 0)
        return BAD(v, "entry %llu: not sorted", (unsigned long long)number);
    *before = entry;
    *subdirs += entry.type == DT_DIR;
    r = claim(v, number);
    if (r < 0)
        return r;
    return entry.inode ? verify_child(v, dir, &entry, number) : verify_whiteout(v, &entry, number);
}

static int verify_dir(struct verify *v, const struct lfs_inode *dir)
{
    struct lfs_dirent before = {0};
    uint32_t subdirs = 0;
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < dir->entry_count; i++)
        r = verify_entry(v, dir, i, &before, &subdirs);
    if (r == 0 && dir->nlink != 2 + (uint64_t)subdirs)
        r = BAD(v, "inode %u: %u links, but %u subdirectories", dir->number, dir->nlink, subdirs);
    return r;
}

static int verify_dirs(struct verify *v)
{
    int r = 0;

    for (uint32_t i = 1; r == 0 && i < v->tree->inode_count; i++) {
        struct lfs_inode inode;

        r = lfs_tree_inode(v->tree, i, &inode);
        if (r == 0 && S_ISDIR(inode.mode))
            r = verify_dir(v, &inode);
        else if (r < 0)
            r = broken(v, r, "inode", i);
    }
    return r;
}

static int verify_link_count(struct verify *v, const struct lfs_inode *inode)
{
    uint32_t links = v->links[inode->number];

    if (inode->number == LFS_TREE_ROOT)
        return links == 0 && S_ISDIR(inode->mode) && inode->parent == LFS_TREE_ROOT
                   ? 0
                   : BAD(v, "the root is not a root directory");
    if (S_ISDIR(inode->mode))
        return links == 1 ? 0 : BAD(v, "inode %u: a directory of %u names", inode->number, links);
    if (links == 0 || links != inode->nlink)
        return BAD(v, "inode %u: %u links, but %u names", inode->number, inode->nlink, links);
    return 0;
}

static int verify_links(struct verify *v)
{
    int r = 0;

    for (uint32_t i = 1; r == 0 && i < v->tree->inode_count; i++) {
        struct lfs_inode inode;

        r = lfs_tree_inode(v->tree, i, &inode);
        r = r < 0 ? broken(v, r, "inode", i) : verify_link_count(v, &inode);
    }
    return r;
}

/* A directory to be visited and the bytes of its path. */
struct visit {
    uint32_t dir;
    uint32_t path_size;
};

static int visit_dir(struct verify *v, struct buf *stack, struct visit at)
{
    struct lfs_inode dir;
    int r = lfs_tree_inode(v->tree, at.dir, &dir);

    for (uint32_t i = 0; r == 0 && i < dir.entry_count; i++) {
        struct lfs_dirent entry;
        struct visit child = {.path_size = at.path_size + (at.path_size > 0)};

        r = lfs_tree_entry(v->tree, &dir, i, &entry);
        if (r < 0)
            break;
        child.dir = entry.inode;
        child.path_size += (uint32_t)entry.name_size;
        if (child.path_size >= OCI_PATH_MAX)
            return BAD(v, "inode %u: a path of %u bytes", entry.inode, child.path_size);
        if (entry.type == DT_DIR)
            r = buf_append(stack, &child, sizeof(child));
    }
    return r < 0 ? broken(v, r, "inode", at.dir) : 0;
}

static int verify_reach(struct verify *v)
{
    _cleanup_(buf_deinit) struct buf stack = {0};
    struct visit at = {.dir = LFS_TREE_ROOT};
    uint32_t visited = 0;
    int r = buf_append(&stack, &at, sizeof(at));

    while (r == 0 && stack.size) {
        stack.size -= sizeof(at);
        memcpy(&at, stack.data + stack.size, sizeof(at));
        visited++;
        r = visit_dir(v, &stack, at);
    }
    if (r == 0 && visited != v->dirs)
        r = BAD(v, "%u directories are not below the root", v->dirs - visited);
    return r;
}

static int verify_header(struct verify *v)
{
    if (v->features != v->tree->features)
        return BAD(v, "features %#x, found %#x", v->tree->features, v->features);
    if (v->file_bytes != v->tree->file_bytes)
        return BAD(v, "%llu bytes in files, found %llu", (unsigned long long)v->tree->file_bytes,
            (unsigned long long)v->file_bytes);
    if (v->tree->kind == LFS_TREE_LAYER &&
        (v->tree->pack_count > 1 ||
            (v->tree->pack_count && memcmp(v->tree->packs[0], v->tree->id, 32) != 0)))
        return BAD(v, "a layer with packs that are not its own");
    return 0;
}

int lfs_tree_verify(const struct lfs_tree *tree, struct report *r)
{
    static int (*const steps[])(struct verify *) = {verify_checksum, verify_padding, verify_xattrs,
        verify_inodes, verify_dirs, verify_links, verify_reach, verify_header};
    struct verify v = {.tree = tree, .r = r};
    int err = 0;

    v.links = calloc(tree->inode_count, sizeof(*v.links));
    v.claimed = calloc((size_t)tree->entry_count / 8 + 1, 1);
    if (!v.links || !v.claimed)
        err = -ENOMEM;
    for (size_t i = 0; err == 0 && i < ARRAY_SIZE(steps); i++)
        err = steps[i](&v);
    if (lfs_tree_is_damaged(tree))
        err = report_fail(r, -EIO, "cannot be read");
    free(v.links);
    free(v.claimed);
    buf_deinit(&v.sets);
    return err;
}
