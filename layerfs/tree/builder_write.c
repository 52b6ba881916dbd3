/* SPDX-License-Identifier: Apache-2.0 */
/* A builder's tree as a file.
 *
 * *Order.* Directories are visited in preorder, the children of each sorted by name. A visit hands
 * out consecutive entries to all children and consecutive inode numbers to those that have none
 * yet (a hard link has the number of its first name). So a listing with attributes reads two runs
 * of records, and walking the whole tree as find does reads both sections from front to back.
 * Names, digests, packs, xattr sets and data follow in the order in which the inodes need them;
 * what nobody needs is left out. Nothing depends on node numbers or on the hash table: the same
 * tree is the same bytes, however it came about.
 *
 * *Writing.* First a plan in memory: the order, and where everything will lie. Then the sections
 * stream out behind the header's place, hashed as they pass, and the header comes last. */
#include <dirent.h>
#include <endian.h>
#include <string.h>

#include "layerfs/tree/names.h"
#include "layerfs/tree/nodes.h"
#include "oci/util/io.h"

enum { OUT_BUFFER = 1 << 20 };

/* What the plan knows about a node. */
struct plan_node {
    uint32_t number;      /* its inode number, 0: not reached (yet) */
    uint32_t first_entry; /* directories */
    uint32_t entries;     /* directories: children; others: names */
    uint32_t subdirs;     /* directories */
};

/* Where the inline content of a digest lies. */
struct plan_inline {
    uint32_t end; /* 0: nowhere yet */
    uint32_t size;
};

struct plan {
    struct lfs_builder *b;
    struct plan_node *nodes; /* by node */
    uint32_t *inodes;        /* node by inode number */
    uint32_t *order;         /* names in the order of the entries */
    uint32_t *stack;         /* directories to visit */
    uint32_t inode_count, entry_count, stack_size;

    uint32_t *digests, *digest_order; /* new number + 1 by old number; old number by new number */
    uint32_t *packs, *pack_order;     /* the same */
    uint32_t *xattrs, *xattr_order;   /* new offset + 1 by old number */
    uint32_t digest_count, pack_count, xattr_count, old_packs;
    struct plan_inline *inlines; /* by old digest number */
    uint64_t names_size, xattrs_size, data_size;
    uint64_t file_bytes;
    uint32_t features;
};

static void plan_deinit(struct plan *p)
{
    free(p->nodes);
    free(p->inodes);
    free(p->order);
    free(p->stack);
    free(p->digests);
    free(p->digest_order);
    free(p->packs);
    free(p->pack_order);
    free(p->xattrs);
    free(p->xattr_order);
    free(p->inlines);
}

static int plan_init(struct plan *p, struct lfs_builder *b)
{
    size_t digests = b->digests.count, xattrs = b->xattrs.count;

    p->b = b;
    p->inode_count = 1;
    p->old_packs = b->kind == LFS_TREE_LAYER ? 1 : (uint32_t)(b->packs.size / 32);
    p->nodes = calloc(b->node_count, sizeof(*p->nodes));
    p->inodes = calloc(b->node_count, sizeof(*p->inodes));
    p->order = calloc(b->name_count, sizeof(*p->order));
    p->stack = calloc(b->node_count, sizeof(*p->stack));
    p->digests = calloc(digests + 1, sizeof(*p->digests));
    p->digest_order = calloc(digests + 1, sizeof(*p->digest_order));
    p->packs = calloc(p->old_packs + 1, sizeof(*p->packs));
    p->pack_order = calloc(p->old_packs + 1, sizeof(*p->pack_order));
    p->xattrs = calloc(xattrs + 1, sizeof(*p->xattrs));
    p->xattr_order = calloc(xattrs + 1, sizeof(*p->xattr_order));
    p->inlines = calloc(digests + 1, sizeof(*p->inlines));
    return p->nodes && p->inodes && p->order && p->stack && p->digests && p->digest_order &&
                   p->packs && p->pack_order && p->xattrs && p->xattr_order && p->inlines
               ? 0
               : -ENOMEM;
}

static int by_name(const void *left, const void *right, void *userdata)
{
    const struct lfs_builder *b = userdata;
    const struct lfs_name *l = name_at(b, *(const uint32_t *)left);
    const struct lfs_name *r = name_at(b, *(const uint32_t *)right);

    return lfs_name_compare(name_text(b, l), name_size(b, l), name_text(b, r), name_size(b, r));
}

/* Gives a child of a visited directory its number. */
static void visit_child(struct plan *p, struct plan_node *dir, uint32_t name)
{
    uint32_t node = name_at(p->b, name)->node;
    struct plan_node *child = &p->nodes[node];

    p->names_size += name_size(p->b, name_at(p->b, name));
    if (node == NO_NODE)
        return;
    if (child->number == 0) {
        child->number = p->inode_count;
        p->inodes[p->inode_count++] = node;
    }
    if (node_is_dir(p->b, node))
        dir->subdirs++;
    else
        child->entries++;
}

static void visit_dir(struct plan *p, uint32_t node)
{
    struct plan_node *dir = &p->nodes[node];
    uint32_t *children = p->order + p->entry_count;

    dir->first_entry = p->entry_count;
    for (uint32_t name = node_at(p->b, node)->first_name; name != NO_NAME;
         name = name_at(p->b, name)->next)
        p->order[p->entry_count++] = name;
    dir->entries = p->entry_count - dir->first_entry;
    qsort_r(children, dir->entries, sizeof(*children), by_name, p->b);
    for (uint32_t i = 0; i < dir->entries; i++)
        visit_child(p, dir, children[i]);
    for (uint32_t i = dir->entries; i-- > 0;) /* the first is to be on top */
        if (node_is_dir(p->b, name_at(p->b, children[i])->node))
            p->stack[p->stack_size++] = name_at(p->b, children[i])->node;
}

static void plan_order(struct plan *p)
{
    p->nodes[ROOT_NODE].number = LFS_TREE_ROOT;
    p->inodes[p->inode_count++] = ROOT_NODE;
    p->stack[p->stack_size++] = ROOT_NODE;
    while (p->stack_size)
        visit_dir(p, p->stack[--p->stack_size]);
}

static bool set_has_acl(const uint8_t *set)
{
    struct lfs_disk_xattr head;
    uint32_t count;

    memcpy(&count, set, sizeof(count));
    set += sizeof(count);
    for (count = le32toh(count); count > 0; count--) {
        memcpy(&head, set, sizeof(head));
        set += sizeof(head);
        if (lfs_name_is_acl((const char *)set, le16toh(head.name_size)))
            return true;
        set += le16toh(head.name_size) + le32toh(head.value_size);
    }
    return false;
}

static void plan_xattrs(struct plan *p, uint32_t set)
{
    const uint8_t *bytes;
    size_t size;

    if (p->xattrs[set])
        return;
    bytes = lfs_intern_get(&p->b->xattrs, set, &size);
    p->xattrs[set] = (uint32_t)p->xattrs_size + 1;
    p->xattr_order[p->xattr_count++] = set;
    p->xattrs_size += size;
    p->features |= LFS_TREE_HAS_XATTRS | (set_has_acl(bytes) ? LFS_TREE_HAS_ACLS : 0);
}

/* Where a node's bytes lie in the data section, of which *end bytes are taken: equal contents lie
 * there once. True when they are to be put there, at *end. */
static bool place_bytes(
    struct plan_inline *inlines, const struct lfs_node *n, uint64_t *end, uint64_t *ret_at)
{
    struct plan_inline *known = n->data_kind == LFS_DATA_INLINE ? &inlines[n->digest - 1] : NULL;

    if (known && known->end && known->size == n->size) {
        *ret_at = known->end - known->size;
        return false;
    }
    *ret_at = *end;
    *end += n->size;
    if (known && !known->end && *end <= UINT32_MAX)
        *known = (struct plan_inline){.end = (uint32_t)*end, .size = (uint32_t)n->size};
    return true;
}

static bool has_bytes(const struct lfs_node *n)
{
    return S_ISLNK(n->mode) || n->data_kind == LFS_DATA_INLINE || (n->flags & LFS_INODE_LINK);
}

static int plan_file(struct plan *p, const struct lfs_node *n, struct report *r)
{
    if (n->size && n->data_kind == LFS_DATA_NONE)
        return report_fail(
            r, -EINVAL, "a file of %llu bytes was given no content", (unsigned long long)n->size);
    if (__builtin_add_overflow(p->file_bytes, n->size, &p->file_bytes))
        return report_fail(r, -EFBIG, "more than 2^64 bytes in files");
    if (n->digest && !p->digests[n->digest - 1]) {
        p->digest_order[p->digest_count++] = n->digest - 1;
        p->digests[n->digest - 1] = p->digest_count;
    }
    if (n->data_kind == LFS_DATA_PACK && !p->packs[n->pack]) {
        p->pack_order[p->pack_count++] = n->pack;
        p->packs[n->pack] = p->pack_count;
    }
    return 0;
}

static int plan_content(struct plan *p, struct report *r)
{
    int err = 0;

    for (uint32_t i = 1; err == 0 && i < p->inode_count; i++) {
        const struct lfs_node *n = node_at(p->b, p->inodes[i]);

        if (n->xattrs)
            plan_xattrs(p, n->xattrs - 1);
        if (S_ISREG(n->mode) && !(n->flags & LFS_INODE_LINK))
            err = plan_file(p, n, r);
    }
    return err;
}

/* A file being written: everything passes through one buffer and the hash. */
struct out {
    int fd;
    uint64_t at; /* offset in the file of the buffer's start */
    struct buf buffer;
    struct oci_hash *hash;
    int err; /* sticky */
};

static void out_flush(struct out *o)
{
    if (o->err == 0)
        o->err = oci_hash_update(o->hash, o->buffer.data, o->buffer.size);
    if (o->err == 0)
        o->err = io_pwrite_full(o->fd, o->buffer.data, o->buffer.size, (off_t)o->at);
    o->at += o->buffer.size;
    o->buffer.size = 0;
}

static void out_put(struct out *o, const void *data, size_t size)
{
    if (o->buffer.size + size > OUT_BUFFER)
        out_flush(o);
    if (o->err == 0)
        o->err = buf_append(&o->buffer, data, size);
}

static uint64_t out_offset(const struct out *o)
{
    return o->at + o->buffer.size;
}

static void section_begin(struct out *o, struct lfs_disk_header *h, enum lfs_tree_section which)
{
    static const uint8_t zeros[8];

    out_put(o, zeros, -out_offset(o) & 7);
    h->sections[which].offset = htole64(out_offset(o));
}

static int section_end(struct out *o, struct lfs_disk_header *h, enum lfs_tree_section which,
    const char *what, struct report *r)
{
    uint64_t size = out_offset(o) - le64toh(h->sections[which].offset);

    h->sections[which].size = htole64(size);
    if (o->err < 0)
        return report_errno(r, o->err, "writing the tree");
    if (size > UINT32_MAX && which >= LFS_SECTION_NAMES)
        return report_fail(r, -EFBIG, "more than 4 GiB of %s", what);
    return 0;
}

static void encode_dir(const struct plan *p, uint32_t node, struct lfs_disk_inode *d)
{
    const struct plan_node *planned = &p->nodes[node];

    d->size = 0;
    d->ref = htole64(planned->first_entry);
    d->aux = htole32(planned->entries);
    d->nlink = htole32(2 + planned->subdirs);
    d->parent = htole32(p->nodes[dir_parent(p->b, node)].number);
}

static void encode_node(
    struct plan *p, uint32_t node, uint64_t *data_end, struct lfs_disk_inode *ret_inode)
{
    const struct lfs_node *n = node_at(p->b, node);
    uint64_t ref = n->ref;

    if (has_bytes(n))
        (void)place_bytes(p->inlines, n, data_end, &ref);
    *ret_inode = (struct lfs_disk_inode){
        .size = htole64(n->size),
        .mtime_sec = (int64_t)htole64((uint64_t)n->mtime_sec),
        .ref = htole64(ref),
        .mtime_nsec = htole32(n->mtime_nsec),
        .mode = htole32(n->mode),
        .uid = htole32(n->uid),
        .gid = htole32(n->gid),
        .nlink = htole32(p->nodes[node].entries),
        .xattrs = htole32(n->xattrs ? p->xattrs[n->xattrs - 1] : 0),
        .digest = htole32(n->digest ? p->digests[n->digest - 1] : 0),
        .aux = htole32(n->data_kind == LFS_DATA_PACK ? p->packs[n->pack] - 1 : 0),
        .data_kind = htole16(n->data_kind),
        .flags = htole16(n->flags & (LFS_INODE_OPAQUE | LFS_INODE_IMPLICIT | LFS_INODE_LINK)),
    };
    if (S_ISDIR(n->mode))
        encode_dir(p, node, ret_inode);
}

static int write_inodes(struct plan *p, struct out *o, struct lfs_disk_header *h, struct report *r)
{
    struct lfs_disk_inode record = {0};
    uint64_t data_end = 0;

    section_begin(o, h, LFS_SECTION_INODES);
    out_put(o, &record, sizeof(record));
    for (uint32_t i = 1; i < p->inode_count; i++) {
        encode_node(p, p->inodes[i], &data_end, &record);
        out_put(o, &record, sizeof(record));
    }
    return section_end(o, h, LFS_SECTION_INODES, "inodes", r);
}

static int write_entries(
    const struct plan *p, struct out *o, struct lfs_disk_header *h, struct report *r)
{
    uint64_t text = 0;

    if (p->names_size > UINT32_MAX)
        return report_fail(r, -EFBIG, "more than 4 GiB of names");
    section_begin(o, h, LFS_SECTION_ENTRIES);
    for (uint32_t i = 0; i < p->entry_count; i++) {
        const struct lfs_name *name = name_at(p->b, p->order[i]);
        struct lfs_disk_entry record = {
            .inode = htole32(p->nodes[name->node].number),
            .name = htole32((uint32_t)text),
            .name_size = htole16((uint16_t)name_size(p->b, name)),
            .type = name->node ? (uint8_t)IFTODT(node_at(p->b, name->node)->mode) : 0,
        };

        out_put(o, &record, sizeof(record));
        text += name_size(p->b, name);
    }
    return section_end(o, h, LFS_SECTION_ENTRIES, "entries", r);
}

static int write_digests(
    const struct plan *p, struct out *o, struct lfs_disk_header *h, struct report *r)
{
    section_begin(o, h, LFS_SECTION_DIGESTS);
    for (uint32_t i = 0; i < p->digest_count; i++) {
        size_t size;
        const uint8_t *sha256 = lfs_intern_get(&p->b->digests, p->digest_order[i], &size);

        out_put(o, sha256, size);
    }
    return section_end(o, h, LFS_SECTION_DIGESTS, "digests", r);
}

static int write_packs(
    const struct plan *p, struct out *o, struct lfs_disk_header *h, struct report *r)
{
    section_begin(o, h, LFS_SECTION_PACKS);
    for (uint32_t i = 0; i < p->pack_count; i++)
        out_put(o,
            p->b->kind == LFS_TREE_LAYER ? h->id : p->b->packs.data + (size_t)p->pack_order[i] * 32,
            32);
    return section_end(o, h, LFS_SECTION_PACKS, "packs", r);
}

static int write_names(
    const struct plan *p, struct out *o, struct lfs_disk_header *h, struct report *r)
{
    section_begin(o, h, LFS_SECTION_NAMES);
    for (uint32_t i = 0; i < p->entry_count; i++) {
        const struct lfs_name *name = name_at(p->b, p->order[i]);

        out_put(o, name_text(p->b, name), name_size(p->b, name));
    }
    return section_end(o, h, LFS_SECTION_NAMES, "names", r);
}

static int write_xattrs(
    const struct plan *p, struct out *o, struct lfs_disk_header *h, struct report *r)
{
    section_begin(o, h, LFS_SECTION_XATTRS);
    for (uint32_t i = 0; i < p->xattr_count; i++) {
        size_t size;
        const uint8_t *set = lfs_intern_get(&p->b->xattrs, p->xattr_order[i], &size);

        out_put(o, set, size);
    }
    return section_end(o, h, LFS_SECTION_XATTRS, "extended attributes", r);
}

/* Places everything once more, in the same order and so at the same offsets, and writes it. */
static int write_data(struct plan *p, struct out *o, struct lfs_disk_header *h, struct report *r)
{
    uint64_t end = 0;

    memset(p->inlines, 0, p->b->digests.count * sizeof(*p->inlines));
    section_begin(o, h, LFS_SECTION_DATA);
    for (uint32_t i = 1; i < p->inode_count; i++) {
        const struct lfs_node *n = node_at(p->b, p->inodes[i]);
        uint64_t at;

        if (has_bytes(n) && place_bytes(p->inlines, n, &end, &at))
            out_put(o, p->b->data.data + n->ref, n->size);
    }
    return section_end(o, h, LFS_SECTION_DATA, "symlinks and tiny files", r);
}

static int write_sections(
    struct plan *p, struct out *o, struct lfs_disk_header *h, struct report *r)
{
    int err = write_inodes(p, o, h, r);

    if (err == 0)
        err = write_entries(p, o, h, r);
    if (err == 0)
        err = write_digests(p, o, h, r);
    if (err == 0)
        err = write_packs(p, o, h, r);
    if (err == 0)
        err = write_names(p, o, h, r);
    if (err == 0)
        err = write_xattrs(p, o, h, r);
    if (err == 0)
        err = write_data(p, o, h, r);
    out_flush(o);
    return err == 0 && o->err < 0 ? report_errno(r, o->err, "writing the tree") : err;
}

static int write_header(struct out *o, struct lfs_disk_header *h, struct report *r)
{
    struct oci_digest sum;
    int err = oci_hash_final(o->hash, &sum);

    h->file_size = htole64(o->at);
    memcpy(h->checksum, sum.bytes, sizeof(h->checksum));
    if (err == 0)
        err = oci_digest_of(
            OCI_DIGEST_SHA256, h, offsetof(struct lfs_disk_header, header_checksum), &sum);
    memcpy(h->header_checksum, sum.bytes, sizeof(h->header_checksum));
    if (err == 0)
        err = io_pwrite_full(o->fd, h, sizeof(*h), 0);
    return err < 0 ? report_errno(r, err, "writing the tree") : 0;
}

static int write_file(struct plan *p, struct out *o, const struct oci_digest *id, struct report *r)
{
    struct lfs_disk_header h = {
        .magic = LFS_TREE_MAGIC,
        .version = htole32(LFS_TREE_VERSION),
        .features = htole32(p->features),
        .kind = htole32(p->b->kind),
        .header_size = htole32(sizeof(h)),
        .file_bytes = htole64(p->file_bytes),
    };
    int err = oci_hash_new(OCI_DIGEST_SHA256, &o->hash);

    if (err < 0)
        return err;
    memcpy(h.id, id->bytes, sizeof(h.id));
    err = write_sections(p, o, &h, r);
    return err < 0 ? err : write_header(o, &h, r);
}

int lfs_builder_write(struct lfs_builder *b, const struct oci_digest *id, int fd, struct report *r)
{
    _cleanup_(plan_deinit) struct plan p = {0};
    struct out o = {.fd = fd, .at = sizeof(struct lfs_disk_header)};
    int err;

    if (id->alg != OCI_DIGEST_SHA256)
        return report_fail(r, -EINVAL, "a tree is named by a sha256");
    err = plan_init(&p, b);
    if (err < 0)
        return err;
    plan_order(&p);
    err = plan_content(&p, r);
    if (err == 0)
        err = write_file(&p, &o, id, r);
    buf_deinit(&o.buffer);
    oci_hash_free(o.hash);
    return err;
}
