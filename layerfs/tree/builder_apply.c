/* SPDX-License-Identifier: Apache-2.0 */
/* Laying a layer over the tree of the layers below it.
 *
 * The cost is that of the layer, not of the tree: only names that the layer has are looked up.
 *
 * 1. *survey*: each record of the layer once. LINKs are resolved now, while the lower tree is as
 * the links knew it; what they lead to may be renamed or removed in this same layer. And
 * directories are told apart: *real* ones are described by the tar or hold something, the others
 * exist in the layer's tree only to hold whiteouts and are not made where lower layers have none.
 * 2. *hide*: whiteouts and opaque directories remove what lower layers have, before anything is
 *    added, as image-spec wants.
 * 3. *fill*: the layer's directories are merged into the tree's, everything else replaces. This
 * goes by names, each directory with what is below it, as a sorted tar does: where two paths of the
 *    layer mean the same file through a symlink of a lower layer, the last one stays.
 * 4. *late links*: LINKs that the lower tree could not answer, because their path leads through a
 *    symlink of it to something that this layer brings.
 *
 * An IMPLICIT directory of the layer over a symlink follows that inside the root: the tar of a
 * layer may say lib/x where a lower layer made lib a symlink to usr/lib. All other entries replace
 * what is at their name, symlink or not.
 *
 * The layer's tree is not trusted to be well-formed, only to be read safely: a budget of steps ends
 * what would go in circles. */
#include <dirent.h>
#include <string.h>

#include "layerfs/tree/mapped.h"
#include "layerfs/tree/place.h"
#include "layerfs/tree/xattr_set.h"

/* A directory of the layer on the way down, and the one of the builder that it is laid over. */
struct level {
    struct lfs_inode dir;
    uint32_t target; /* node */
    uint32_t next;   /* index of the entry to come */
};

/* A name that waits for its link to be found. */
struct late_link {
    uint32_t dir; /* node */
    uint32_t inode;
    const char *name; /* the layer's */
    size_t name_size;
};

struct apply {
    struct lfs_builder *b;
    const struct lfs_tree *layer;
    struct report *r;
    uint32_t *nodes;     /* by inode of the layer: the node made of it, or NO_NODE */
    bool *real;          /* by inode of the layer, directories */
    struct buf levels;   /* a stack of struct level */
    struct buf late;     /* struct late_link */
    uint64_t steps_left; /* records that may still be read */
};

static int step(struct apply *a)
{
    return a->steps_left-- > 0 ? 0 : -EIO;
}

static int push(struct apply *a, const struct lfs_inode *dir, uint32_t target)
{
    struct level level = {.dir = *dir, .target = target};

    return buf_append(&a->levels, &level, sizeof(level));
}

/* Reads a directory's entry that is part of what the layer adds or removes. */
static int next_entry(
    struct apply *a, const struct lfs_inode *dir, uint32_t index, struct lfs_dirent *ret_entry)
{
    int r = step(a);

    return r < 0 ? r : lfs_tree_entry(a->layer, dir, index, ret_entry);
}

static int read_dir(struct apply *a, uint32_t number, struct lfs_inode *ret_dir)
{
    int r = step(a);

    if (r == 0)
        r = lfs_tree_inode(a->layer, number, ret_dir);
    return r == 0 && !S_ISDIR(ret_dir->mode) ? -EIO : r;
}

/* Finds what a hard link's path means in the tree as it is: NO_NODE when nothing is there. */
static int find_linked(struct apply *a, const char *path, size_t size, uint32_t *ret_node)
{
    struct lfs_split split = path_split(path, size);
    struct lfs_place place;
    uint32_t name, node;
    int r = place_resolve(a->b, ROOT_NODE, split.parent, split.parent_size, &place);

    *ret_node = NO_NODE;
    if (r < 0 || place.missing_size)
        return r == -ENOTDIR ? 0 : r;
    name = name_find(a->b, place.dir, split.leaf, split.leaf_size);
    node = name == NO_NAME ? NO_NODE : name_at(a->b, name)->node;
    if (node_is_dir(a->b, node))
        return report_fail(a->r, -EBADMSG, "hard link to %.*s, a directory", (int)size, path);
    *ret_node = node;
    return 0;
}

static int survey_link(struct apply *a, const struct lfs_inode *inode)
{
    const char *path;
    int r = lfs_tree_bytes(a->layer, inode, &path);

    return r < 0 ? r : find_linked(a, path, inode->size, &a->nodes[inode->number]);
}

static int mark_real(struct apply *a, const struct lfs_inode *dir)
{
    struct lfs_inode at = *dir;
    int r = 0;

    while (r == 0 && !a->real[at.number]) {
        a->real[at.number] = true;
        r = lfs_tree_inode(a->layer, at.parent, &at);
    }
    return r;
}

static int survey_dir(struct apply *a, const struct lfs_inode *dir)
{
    bool real = !(dir->flags & LFS_INODE_IMPLICIT) || dir->number == LFS_TREE_ROOT;
    int r = 0;

    for (uint32_t i = 0; r == 0 && !real && i < dir->entry_count; i++) {
        struct lfs_dirent entry;

        r = next_entry(a, dir, i, &entry);
        real = r == 0 && entry.inode && entry.type != DT_DIR;
    }
    return r == 0 && real ? mark_real(a, dir) : r;
}

static int survey(struct apply *a)
{
    int r = 0;

    for (uint32_t i = 1; r == 0 && i < lfs_tree_inode_count(a->layer); i++) {
        struct lfs_inode inode;

        r = lfs_tree_inode(a->layer, i, &inode);
        if (r == 0 && S_ISDIR(inode.mode))
            r = survey_dir(a, &inode);
        else if (r == 0 && (inode.flags & LFS_INODE_LINK))
            r = survey_link(a, &inode);
    }
    return r;
}

/* The directory of the tree over which a directory of the layer lies: NO_NODE when it has none. */
static int find_below(struct apply *a, uint32_t target, const struct lfs_dirent *entry,
    const struct lfs_inode *dir, uint32_t *ret_node)
{
    uint32_t name = name_find(a->b, target, entry->name, entry->name_size);
    uint32_t node = name == NO_NAME ? NO_NODE : name_at(a->b, name)->node;
    struct lfs_place place;
    int r;

    *ret_node = NO_NODE;
    if (node_is_dir(a->b, node))
        *ret_node = node;
    if (node == NO_NODE || !S_ISLNK(node_at(a->b, node)->mode) ||
        !(dir->flags & LFS_INODE_IMPLICIT))
        return 0;
    r = place_resolve(a->b, target, entry->name, entry->name_size, &place);
    if (r == 0 && place.missing_size == 0)
        *ret_node = place.dir;
    return r == -ENOTDIR || r == -ELOOP || r == -ENAMETOOLONG ? 0 : r;
}

/* An opaque directory hides all at once; whiteouts in it have nothing left to hide. */
static int hide_dir(struct apply *a, const struct lfs_inode *dir, uint32_t target)
{
    if (!(dir->flags & LFS_INODE_OPAQUE))
        return push(a, dir, target);
    dir_clear(a->b, target);
    return 0;
}

static int hide_entry(struct apply *a, uint32_t target, const struct lfs_dirent *entry)
{
    struct lfs_inode dir;
    uint32_t name, node;
    int r;

    if (!entry->inode) {
        name = name_find(a->b, target, entry->name, entry->name_size);
        if (name != NO_NAME)
            name_remove(a->b, name);
        return 0;
    }
    if (entry->type != DT_DIR)
        return 0;
    r = read_dir(a, entry->inode, &dir);
    if (r == 0)
        r = find_below(a, target, entry, &dir, &node);
    return r == 0 && node != NO_NODE ? hide_dir(a, &dir, node) : r;
}

static int copy_xattrs(struct apply *a, const struct lfs_inode *inode, uint32_t *ret_xattrs)
{
    _cleanup_(buf_deinit) struct buf set = {0};
    struct lfs_xattr xattr;
    uint64_t cursor = 0;
    int r;

    while ((r = lfs_tree_xattr_next(a->layer, inode, &cursor, &xattr)) > 0) {
        r = buf_append(&set, &xattr, sizeof(xattr));
        if (r < 0)
            break;
    }
    if (r < 0)
        return r;
    return xattr_set_add(
        a->b, (const struct lfs_xattr *)(void *)set.data, set.size / sizeof(xattr), ret_xattrs);
}

static int copy_metadata(struct apply *a, const struct lfs_inode *inode, struct lfs_node *node)
{
    node->mode = inode->mode;
    node->uid = inode->uid;
    node->gid = inode->gid;
    node->mtime_sec = inode->mtime_sec;
    node->mtime_nsec = inode->mtime_nsec;
    node->xattrs = 0;
    return inode->xattrs ? copy_xattrs(a, inode, &node->xattrs) : 0;
}

static int copy_bytes(struct apply *a, const struct lfs_inode *inode, struct lfs_node *node)
{
    const char *data;
    int r = lfs_tree_bytes(a->layer, inode, &data);

    return r < 0 ? r : node_data_add(a->b, data, inode->size, &node->ref);
}

static int copy_pack(struct apply *a, const struct lfs_inode *inode, struct lfs_node *node)
{
    const uint8_t *sha256;
    int r = lfs_tree_pack(a->layer, inode->pack, &sha256);

    node->ref = inode->data_offset;
    return r < 0 ? r : pack_intern(a->b, sha256, &node->pack);
}

static int copy_content(struct apply *a, const struct lfs_inode *inode, struct lfs_node *node)
{
    const uint8_t *sha256;
    uint32_t digest;
    int r;

    if (inode->data_kind == LFS_DATA_NONE)
        return inode->size ? -EIO : 0;
    node->data_kind = (uint16_t)inode->data_kind;
    r = lfs_tree_digest(a->layer, inode->digest, &sha256);
    if (r == 0)
        r = lfs_intern_add(&a->b->digests, sha256, 32, &digest);
    if (r < 0)
        return r;
    node->digest = digest + 1;
    if (inode->data_kind == LFS_DATA_INLINE)
        return copy_bytes(a, inode, node);
    return inode->data_kind == LFS_DATA_PACK ? copy_pack(a, inode, node) : 0;
}

static int copy_node(struct apply *a, const struct lfs_inode *inode, uint32_t *ret_node)
{
    struct lfs_node node = {.size = inode->size};
    int r = copy_metadata(a, inode, &node);

    if (r == 0 && S_ISREG(inode->mode))
        r = copy_content(a, inode, &node);
    else if (r == 0 && S_ISLNK(inode->mode))
        r = copy_bytes(a, inode, &node);
    if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
        node.ref = (uint64_t)inode->rdev_major << 32 | inode->rdev_minor;
    return r < 0 ? r : node_new(a->b, &node, ret_node);
}

/* The path of a directory entry for a text; `path` keeps it. */
static const char *full_path(
    const struct apply *a, uint32_t dir, const char *name, size_t size, struct buf *path)
{
    if (dir_path(a->b, dir, path) < 0 || (path->size && buf_append(path, "/", 1) < 0) ||
        buf_append(path, name, size) < 0 || buf_append(path, "", 1) < 0)
        return "a path";
    return (const char *)path->data;
}

static int fail_at(
    const struct apply *a, int err, uint32_t dir, const struct lfs_dirent *entry, const char *what)
{
    _cleanup_(buf_deinit) struct buf path = {0};

    return report_fail(
        a->r, err, "%s: %s", full_path(a, dir, entry->name, entry->name_size, &path), what);
}

/* A directory of its own in place of whatever is there. */
static int new_dir(struct apply *a, uint32_t target, const struct lfs_dirent *entry,
    const struct lfs_node *proto, uint32_t *ret_node)
{
    int r = node_new(a->b, proto, ret_node);

    return r < 0 ? r : name_put(a->b, target, entry->name, entry->name_size, *ret_node);
}

/* An IMPLICIT directory over a symlink. */
static int follow_dir(
    struct apply *a, uint32_t target, const struct lfs_dirent *entry, uint32_t *ret_node)
{
    struct lfs_place place;
    int r = place_resolve(a->b, target, entry->name, entry->name_size, &place);

    if (r == -ENOTDIR)
        return fail_at(a, -EBADMSG, target, entry, "a parent that leads to no directory");
    if (r == -ELOOP)
        return fail_at(a, r, target, entry, "a parent of too many symlinks");
    return r < 0 ? r : place_create(a->b, &place, 0, ret_node);
}

static int fill_implicit_dir(
    struct apply *a, uint32_t target, const struct lfs_dirent *entry, uint32_t *ret_node)
{
    uint32_t name = name_find(a->b, target, entry->name, entry->name_size);
    struct lfs_node proto = node_default_dir(0);

    if (name == NO_NAME)
        return new_dir(a, target, entry, &proto, ret_node);
    *ret_node = name_at(a->b, name)->node;
    if (node_is_dir(a->b, *ret_node))
        return 0;
    if (S_ISLNK(node_at(a->b, *ret_node)->mode))
        return follow_dir(a, target, entry, ret_node);
    return fail_at(a, -EBADMSG, target, entry, "a parent that is no directory in a lower layer");
}

static int describe_dir(struct apply *a, const struct lfs_inode *dir, uint32_t node)
{
    struct lfs_node copy = *node_at(a->b, node);
    int r = copy_metadata(a, dir, &copy);

    if (r == 0)
        *node_at(a->b, node) = copy;
    return r;
}

static int fill_described_dir(struct apply *a, uint32_t target, const struct lfs_dirent *entry,
    const struct lfs_inode *dir, uint32_t *ret_node)
{
    uint32_t name = name_find(a->b, target, entry->name, entry->name_size);
    struct lfs_node proto = {0};
    int r;

    if (name != NO_NAME && node_is_dir(a->b, name_at(a->b, name)->node)) {
        *ret_node = name_at(a->b, name)->node;
        return describe_dir(a, dir, *ret_node);
    }
    r = copy_metadata(a, dir, &proto);
    return r < 0 ? r : new_dir(a, target, entry, &proto, ret_node);
}

static int fill_subdir(struct apply *a, uint32_t target, const struct lfs_dirent *entry)
{
    struct lfs_inode dir;
    uint32_t node;
    int r = read_dir(a, entry->inode, &dir);

    if (r < 0 || !a->real[dir.number])
        return r;
    r = dir.flags & LFS_INODE_IMPLICIT ? fill_implicit_dir(a, target, entry, &node)
                                       : fill_described_dir(a, target, entry, &dir, &node);
    return r < 0 ? r : push(a, &dir, node);
}

/* The name goes now, as it would when the tar is unpacked, and comes back when the link is found.
 */
static int defer_link(struct apply *a, uint32_t target, const struct lfs_dirent *entry)
{
    struct late_link late = {
        .dir = target,
        .inode = entry->inode,
        .name = entry->name,
        .name_size = entry->name_size,
    };
    uint32_t name = name_find(a->b, target, entry->name, entry->name_size);

    if (name != NO_NAME)
        name_remove(a->b, name);
    return buf_append(&a->late, &late, sizeof(late));
}

static int fill_other(struct apply *a, uint32_t target, const struct lfs_dirent *entry)
{
    uint32_t *node = &a->nodes[entry->inode];
    struct lfs_inode inode;
    int r;

    if (*node == NO_NODE) {
        r = lfs_tree_inode(a->layer, entry->inode, &inode);
        if (r < 0 || S_ISDIR(inode.mode))
            return r < 0 ? r : -EIO;
        if (inode.flags & LFS_INODE_LINK)
            return defer_link(a, target, entry);
        r = copy_node(a, &inode, node);
        if (r < 0)
            return r;
    }
    return name_put(a->b, target, entry->name, entry->name_size, *node);
}

static int fill_entry(struct apply *a, uint32_t target, const struct lfs_dirent *entry)
{
    int r;

    if (!entry->inode)
        return 0;
    r = entry->type == DT_DIR ? fill_subdir(a, target, entry) : fill_other(a, target, entry);
    if (r < 0 && r != -EIO && r != -ESTALE && r != -ENOMEM && !report_is_set(a->r))
        return fail_at(a, r, target, entry, strerror(-r));
    return r;
}

/* Visits the entries of the layer's directories that were pushed, depth first. */
static int walk(
    struct apply *a, int (*visit)(struct apply *a, uint32_t target, const struct lfs_dirent *entry))
{
    int r = 0;

    while (r == 0 && a->levels.size) {
        struct level *top = (struct level *)(void *)(a->levels.data + a->levels.size) - 1;
        struct lfs_dirent entry;

        r = next_entry(a, &top->dir, top->next++, &entry);
        if (r == 0)
            r = visit(a, top->target, &entry);
        else if (r == -ENOENT) {
            a->levels.size -= sizeof(*top);
            r = 0;
        }
    }
    return r;
}

static int hide(struct apply *a)
{
    struct lfs_inode root;
    int r = read_dir(a, LFS_TREE_ROOT, &root);

    if (r == 0)
        r = hide_dir(a, &root, ROOT_NODE);
    return r < 0 ? r : walk(a, hide_entry);
}

static int fill(struct apply *a)
{
    struct lfs_inode root;
    int r = read_dir(a, LFS_TREE_ROOT, &root);

    if (r == 0 && !(root.flags & LFS_INODE_IMPLICIT))
        r = describe_dir(a, &root, ROOT_NODE);
    if (r == 0)
        r = push(a, &root, ROOT_NODE);
    return r < 0 ? r : walk(a, fill_entry);
}

static int place_late_link(struct apply *a, const struct late_link *late)
{
    _cleanup_(buf_deinit) struct buf path = {0};
    struct lfs_inode inode;
    const char *target;
    uint32_t node;
    int r = lfs_tree_inode(a->layer, late->inode, &inode);

    if (r == 0)
        r = lfs_tree_bytes(a->layer, &inode, &target);
    if (r == 0)
        r = find_linked(a, target, inode.size, &node);
    if (r < 0)
        return r;
    if (node == NO_NODE)
        return report_fail(a->r, -EBADMSG, "%s: hard link to %.*s, which is in no layer",
            full_path(a, late->dir, late->name, late->name_size, &path), (int)inode.size, target);
    return name_put(a->b, late->dir, late->name, late->name_size, node);
}

static int place_late_links(struct apply *a)
{
    const struct late_link *late = (const struct late_link *)(void *)a->late.data;
    int r = 0;

    for (size_t i = 0; r == 0 && i < a->late.size / sizeof(*late); i++)
        r = place_late_link(a, &late[i]);
    return r;
}

static int apply(struct apply *a)
{
    int r = survey(a);

    if (r == 0)
        r = hide(a);
    if (r == 0)
        r = fill(a);
    if (r == 0)
        r = place_late_links(a);
    return r == -ESTALE ? -EIO : r;
}

int lfs_builder_apply(
    struct lfs_builder *b, const struct lfs_tree *layer, const char *layer_name, struct report *r)
{
    uint32_t inodes = lfs_tree_inode_count(layer);
    struct report text = REPORT_INIT;
    struct apply a = {.b = b, .layer = layer, .r = &text};
    int err;

    if (b->kind != LFS_TREE_IMAGE || lfs_tree_kind(layer) != LFS_TREE_LAYER)
        return report_fail(r, -EINVAL, "layer %s: not a layer's tree", layer_name);
    /* Three walks over each directory, its end and each entry once, and some to spare. */
    a.steps_left = 8 * ((uint64_t)inodes + layer->entry_count);
    a.nodes = calloc(inodes, sizeof(*a.nodes));
    a.real = calloc(inodes, sizeof(*a.real));
    err = a.nodes && a.real ? apply(&a) : -ENOMEM;
    free(a.nodes);
    free(a.real);
    buf_deinit(&a.levels);
    buf_deinit(&a.late);
    if (err < 0 && err == -EIO && !report_is_set(&text))
        (void)report_fail(&text, err, "its tree is damaged");
    if (err < 0 && r) {
        *r = text;
        (void)report_context(r, err, "layer %s", layer_name);
    }
    return err;
}
