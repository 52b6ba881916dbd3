/* SPDX-License-Identifier: Apache-2.0 */
/* A layer's tree from the entries of its tar, in their order.
 *
 * The tree describes the layer alone, without the layers below it, so what depends on them is kept
 * as a mark for lfs_builder_apply():
 *
 *   IMPLICIT   a directory that is only known as a parent. Below, it may be a directory, whose
 *              metadata then stay, or a symlink, which is then followed.
 *   OPAQUE     a directory in which nothing of lower layers shows: it has an opaque mark, or a
 *              whiteout of its name, or it replaced something else in this same layer.
 *   whiteout   a name of node 0.
 *   LINK       a hard link to a path that this layer does not have.
 *
 * Whiteouts and opaque marks act on lower layers only, wherever in the tar they stand, as
 * image-spec says; so a directory that is also whited out is OPAQUE and no longer IMPLICIT, and a
 * whiteout of any other name that the layer has is void. (umoci, which unpacks in the order of the
 * tar, differs in one case: a whiteout that comes after the first entry below its directory leaves
 * it the lower directory's metadata.) They make no directories where lower layers have none: the
 * parents that they need are GHOSTs until a real entry comes to lie below. */
#include <string.h>

#include "layerfs/tree/place.h"
#include "layerfs/tree/xattr_set.h"

/* The reader promises all of this; a tree that was built on a broken promise would break others. */
static int check_path(const char *path, struct report *r)
{
    size_t size = strlen(path);

    if (size >= OCI_PATH_MAX)
        return report_fail(r, -ENAMETOOLONG, "%.60s…: path of %zu bytes", path, size);
    for (const char *at = path; *at;) {
        size_t part = strcspn(at, "/");

        if (part > OCI_NAME_MAX)
            return report_fail(r, -ENAMETOOLONG, "%s: name of %zu bytes", path, part);
        if (part == 0 || (part == 1 && at[0] == '.') || (part == 2 && memcmp(at, "..", 2) == 0) ||
            (at[part] == '/' && !at[part + 1]))
            return report_fail(r, -EBADMSG, "%s: not a plain path", path);
        at += part + (at[part] == '/');
    }
    return 0;
}

static int fail_path(int err, const char *path, struct report *r)
{
    switch (err) {
    case -ENOTDIR:
        return report_fail(r, -EBADMSG, "%s: a parent is not a directory", path);
    case -ELOOP:
        return report_fail(r, err, "%s: more than %d symlinks on the way", path, PLACE_LINKS_MAX);
    case -ENAMETOOLONG:
        return report_fail(r, err, "%s: too long with its symlinks followed", path);
    case -EFBIG:
        return report_fail(r, err, "%s: the layer has more entries than a tree can hold", path);
    default:
        return report_errno(r, err, "%s", path);
    }
}

/* Something real lies in dir, so it and all above it exist in any case. */
static void mark_real(struct lfs_builder *b, uint32_t dir)
{
    for (; node_at(b, dir)->flags & NODE_GHOST; dir = dir_parent(b, dir))
        node_at(b, dir)->flags &= (uint16_t)~NODE_GHOST;
}

/* Where a new entry goes. */
struct target {
    uint32_t dir;
    uint32_t name; /* what is there: NO_NAME, or a name */
    const char *leaf;
    size_t leaf_size;
};

static int open_target(
    struct lfs_builder *b, const char *path, struct target *ret_target, struct report *r)
{
    struct lfs_split split = path_split(path, strlen(path));
    struct target t = {.leaf = split.leaf, .leaf_size = split.leaf_size};
    struct lfs_place place;
    int err = place_resolve(b, ROOT_NODE, split.parent, split.parent_size, &place);

    if (err == 0)
        err = place_create(b, &place, LFS_INODE_IMPLICIT, &t.dir);
    if (err < 0)
        return fail_path(err, path, r);
    mark_real(b, place.dir);
    t.name = name_find(b, t.dir, t.leaf, t.leaf_size);
    *ret_target = t;
    return 0;
}

static uint32_t target_node(const struct lfs_builder *b, const struct target *t)
{
    return t->name == NO_NAME ? NO_NODE : name_at(b, t->name)->node;
}

static int put(struct lfs_builder *b, const struct target *t, uint32_t node, const char *path,
    struct report *r)
{
    int err = name_put(b, t->dir, t->leaf, t->leaf_size, node);

    return err < 0 ? fail_path(err, path, r) : 0;
}

static int keep_xattrs(
    struct lfs_builder *b, const struct oci_layer_entry *e, uint32_t *ret_xattrs, struct report *r)
{
    _cleanup_(freep) struct lfs_xattr *xattrs = calloc(e->xattr_count + 1, sizeof(*xattrs));
    int err;

    if (!xattrs)
        return -ENOMEM;
    for (size_t i = 0; i < e->xattr_count; i++)
        xattrs[i] = (struct lfs_xattr){
            .name = e->xattrs[i].name,
            .name_size = strlen(e->xattrs[i].name),
            .value = e->xattrs[i].value,
            .value_size = e->xattrs[i].size,
        };
    err = xattr_set_add(b, xattrs, e->xattr_count, ret_xattrs);
    return err < 0 ? report_errno(r, err, "%s: extended attributes", e->path) : 0;
}

/* Metadata that every type has. A symlink's permissions mean nothing and always show as 0777. */
static int set_metadata(
    struct lfs_builder *b, const struct oci_layer_entry *e, struct lfs_node *node, struct report *r)
{
    uint32_t xattrs = 0;
    int err = e->xattr_count ? keep_xattrs(b, e, &xattrs, r) : 0;

    if (err < 0)
        return err;
    if (e->mtime_nsec >= 1000000000)
        return report_fail(r, -EBADMSG, "%s: %u nanoseconds", e->path, e->mtime_nsec);
    node->mode = S_ISLNK(e->mode) ? S_IFLNK | 0777u : (e->mode & (S_IFMT | 07777));
    node->uid = e->uid;
    node->gid = e->gid;
    node->mtime_sec = e->mtime_sec;
    node->mtime_nsec = e->mtime_nsec;
    node->xattrs = xattrs;
    return 0;
}

/* A directory of which a tar entry tells the metadata. */
static int describe_dir(
    struct lfs_builder *b, const struct oci_layer_entry *e, uint32_t dir, struct report *r)
{
    struct lfs_node node = *node_at(b, dir);
    int err = set_metadata(b, e, &node, r);

    if (err < 0)
        return err;
    node.flags &= (uint16_t) ~(LFS_INODE_IMPLICIT | NODE_GHOST);
    *node_at(b, dir) = node;
    return 0;
}

static int add_dir(struct lfs_builder *b, const struct oci_layer_entry *e, struct report *r)
{
    struct lfs_node proto = {0};
    struct target t;
    uint32_t node;
    int err = open_target(b, e->path, &t, r);

    if (err < 0)
        return err;
    if (node_is_dir(b, target_node(b, &t)))
        return describe_dir(b, e, target_node(b, &t), r);
    proto.flags = t.name == NO_NAME ? 0 : LFS_INODE_OPAQUE;
    err = set_metadata(b, e, &proto, r);
    if (err < 0)
        return err;
    err = node_new(b, &proto, &node);
    return err < 0 ? fail_path(err, e->path, r) : put(b, &t, node, e->path, r);
}

static int fill_symlink(
    struct lfs_builder *b, const struct oci_layer_entry *e, struct lfs_node *node, struct report *r)
{
    size_t size = strlen(e->link);
    int err;

    if (size == 0 || size >= OCI_PATH_MAX)
        return report_fail(r, -EBADMSG, "%s: symlink to a path of %zu bytes", e->path, size);
    node->size = size;
    err = node_data_add(b, e->link, size, &node->ref);
    return err < 0 ? fail_path(err, e->path, r) : 0;
}

static int fill_node(
    struct lfs_builder *b, const struct oci_layer_entry *e, struct lfs_node *node, struct report *r)
{
    switch (e->mode & S_IFMT) {
    case S_IFREG:
        if (e->size > INT64_MAX)
            return report_fail(
                r, -EFBIG, "%s: file of %llu bytes", e->path, (unsigned long long)e->size);
        node->size = e->size;
        return 0;
    case S_IFLNK:
        return fill_symlink(b, e, node, r);
    case S_IFCHR:
    case S_IFBLK:
        node->ref = (uint64_t)e->rdev_major << 32 | e->rdev_minor;
        return 0;
    case S_IFIFO:
    case S_IFSOCK:
        return 0;
    default:
        return report_fail(r, -EBADMSG, "%s: unknown file type %#o", e->path, e->mode & S_IFMT);
    }
}

static int add_other(
    struct lfs_builder *b, const struct oci_layer_entry *e, uint32_t *ret_node, struct report *r)
{
    struct lfs_node proto = {0};
    struct target t;
    uint32_t node;
    int err = open_target(b, e->path, &t, r);

    if (err == 0)
        err = fill_node(b, e, &proto, r);
    if (err == 0)
        err = set_metadata(b, e, &proto, r);
    if (err < 0)
        return err;
    err = node_new(b, &proto, &node);
    if (err < 0)
        return fail_path(err, e->path, r);
    err = put(b, &t, node, e->path, r);
    if (err == 0)
        *ret_node = S_ISREG(e->mode) && e->size ? node : NO_NODE;
    return err;
}

static int add_node(
    struct lfs_builder *b, const struct oci_layer_entry *e, uint32_t *ret_node, struct report *r)
{
    if (!S_ISDIR(e->mode)) {
        if (!e->path[0])
            return report_fail(r, -EBADMSG, "the root is not a directory");
        return add_other(b, e, ret_node, r);
    }
    *ret_node = NO_NODE;
    return e->path[0] ? add_dir(b, e, r) : describe_dir(b, e, ROOT_NODE, r);
}

/* What a hard link leads to: as much of its path as the layer knows. */
struct link {
    struct lfs_place place;
    struct lfs_split split;
    uint32_t name; /* NO_NAME: not in this layer */
};

static int find_link(
    const struct lfs_builder *b, const struct oci_layer_entry *e, struct link *l, struct report *r)
{
    int err;

    l->name = NO_NAME;
    l->split = path_split(e->link, strlen(e->link));
    err = place_resolve(b, ROOT_NODE, l->split.parent, l->split.parent_size, &l->place);
    if (err < 0)
        return report_context(r, fail_path(err, e->link, r), "%s: hard link to", e->path);
    if (l->place.missing_size == 0)
        l->name = name_find(b, l->place.dir, l->split.leaf, l->split.leaf_size);
    if (place_is_hidden(b, &l->place) ||
        (l->name != NO_NAME && name_at(b, l->name)->node == NO_NODE))
        return report_fail(
            r, -EBADMSG, "%s: hard link to %s, which a whiteout removed", e->path, e->link);
    return 0;
}

static int append_part(struct buf *path, const char *text, size_t size)
{
    int r = path->size && size ? buf_append(path, "/", 1) : 0;

    return r < 0 ? r : buf_append(path, text, size);
}

/* The target's path with this layer's symlinks followed. */
static int link_path(const struct lfs_builder *b, const struct link *l, struct buf *path)
{
    int r = dir_path(b, l->place.dir, path);

    if (r == 0)
        r = append_part(path, l->place.missing, l->place.missing_size);
    if (r == 0)
        r = append_part(path, l->split.leaf, l->split.leaf_size);
    return r == 0 && path->size >= OCI_PATH_MAX ? -ENAMETOOLONG : r;
}

/* Replacing the name would remove what the link leads to: itself, or something below it. */
static bool link_is_inside(
    const struct lfs_builder *b, const struct link *l, const struct target *t)
{
    uint32_t node = target_node(b, t);

    if (l->place.missing_size == 0 && l->place.dir == t->dir &&
        l->split.leaf_size == t->leaf_size && memcmp(l->split.leaf, t->leaf, t->leaf_size) == 0)
        return true;
    if (node_is_dir(b, node))
        return dir_is_below(b, l->place.dir, node);
    return l->place.missing_size >= t->leaf_size && l->place.dir == t->dir &&
           memcmp(l->place.missing, t->leaf, t->leaf_size) == 0 &&
           (l->place.missing_size == t->leaf_size || l->place.missing[t->leaf_size] == '/');
}

/* A node that stands for the lower file until the layer is applied. */
static int new_lower_link(struct lfs_builder *b, const struct link *l, uint32_t *ret_node)
{
    _cleanup_(buf_deinit) struct buf path = {0};
    struct lfs_node proto = {.mode = S_IFREG, .flags = LFS_INODE_LINK};
    int r = link_path(b, l, &path);

    if (r == 0)
        r = node_data_add(b, path.data, path.size, &proto.ref);
    if (r < 0)
        return r;
    proto.size = path.size;
    return node_new(b, &proto, ret_node);
}

static int link_node(struct lfs_builder *b, const struct oci_layer_entry *e, const struct link *l,
    uint32_t *ret_node, struct report *r)
{
    uint32_t node = l->name == NO_NAME ? NO_NODE : name_at(b, l->name)->node;
    int err;

    if (node_is_dir(b, node) && !(node_at(b, node)->flags & LFS_INODE_IMPLICIT))
        return report_fail(r, -EBADMSG, "%s: hard link to %s, a directory", e->path, e->link);
    if (node != NO_NODE && !node_is_dir(b, node)) {
        *ret_node = node;
        return 0;
    }
    err = new_lower_link(b, l, ret_node);
    return err < 0 ? fail_path(err, e->path, r) : 0;
}

/* The metadata of the entry are those of its target and not looked at, as umoci does. */
static int add_hardlink(struct lfs_builder *b, const struct oci_layer_entry *e, struct report *r)
{
    struct link l;
    struct target t;
    uint32_t node;
    int err = check_path(e->link, r);

    if (err < 0)
        return report_context(r, err, "%s: hard link to", e->path);
    if (!e->path[0] || !e->link[0])
        return report_fail(r, -EBADMSG, "hard link to or of the root directory");
    err = find_link(b, e, &l, r);
    if (err == 0)
        err = open_target(b, e->path, &t, r);
    if (err == 0)
        err = find_link(b, e, &l, r); /* again, as its parents may exist now */
    if (err < 0)
        return err;
    if (link_is_inside(b, &l, &t))
        return report_fail(r, -EBADMSG, "%s: hard link to %s, which it replaces", e->path, e->link);
    err = link_node(b, e, &l, &node, r);
    return err < 0 ? err : put(b, &t, node, e->path, r);
}

/* Finds the directory that a whiteout or opaque mark is about: 1, or 0 when there can be nothing of
 * lower layers in it. */
static int open_ghost(struct lfs_builder *b, const struct oci_layer_entry *e, const char *path,
    size_t size, uint32_t *ret_dir, struct report *r)
{
    struct lfs_place place;
    int err = place_resolve(b, ROOT_NODE, path, size, &place);

    if (err == -ENOTDIR || (err == 0 && place_is_hidden(b, &place)))
        return 0;
    if (err == 0)
        err = place_create(b, &place, LFS_INODE_IMPLICIT | NODE_GHOST, ret_dir);
    return err < 0 ? fail_path(err, e->path, r) : 1;
}

/* A whiteout of something that the layer has itself. */
static int hide_below(struct lfs_builder *b, uint32_t name)
{
    uint32_t node = name_at(b, name)->node;

    if (!node_is_dir(b, node))
        return 0;
    if (node_at(b, node)->flags & NODE_GHOST) {
        dir_clear(b, node);
        name_at(b, name)->node = NO_NODE;
    } else {
        node_at(b, node)->flags |= LFS_INODE_OPAQUE;
        node_at(b, node)->flags &= (uint16_t)~LFS_INODE_IMPLICIT;
    }
    return 0;
}

static int add_whiteout(struct lfs_builder *b, const struct oci_layer_entry *e, struct report *r)
{
    struct lfs_split split = path_split(e->path, strlen(e->path));
    uint32_t dir, name;
    int err;

    if (!e->path[0])
        return report_fail(r, -EBADMSG, "whiteout of the root directory");
    err = open_ghost(b, e, split.parent, split.parent_size, &dir, r);
    if (err <= 0)
        return err;
    name = name_find(b, dir, split.leaf, split.leaf_size);
    if (name != NO_NAME)
        return hide_below(b, name);
    err = name_add(b, dir, split.leaf, split.leaf_size, NO_NODE, NULL);
    return err < 0 ? fail_path(err, e->path, r) : 0;
}

static int add_opaque(struct lfs_builder *b, const struct oci_layer_entry *e, struct report *r)
{
    uint32_t dir;
    int err = open_ghost(b, e, e->path, strlen(e->path), &dir, r);

    if (err <= 0)
        return err;
    node_at(b, dir)->flags |= LFS_INODE_OPAQUE;
    return 0;
}

int lfs_builder_add(struct lfs_builder *b, const struct oci_layer_entry *entry, uint32_t *ret_node,
    struct report *r)
{
    uint32_t node = NO_NODE;
    int err;

    if (b->kind != LFS_TREE_LAYER)
        return -EINVAL;
    err = check_path(entry->path, r);
    if (err < 0)
        return err;
    switch (entry->kind) {
    case OCI_ENTRY_NODE:
        err = add_node(b, entry, &node, r);
        break;
    case OCI_ENTRY_HARDLINK:
        err = add_hardlink(b, entry, r);
        break;
    case OCI_ENTRY_WHITEOUT:
        err = add_whiteout(b, entry, r);
        break;
    case OCI_ENTRY_OPAQUE:
        err = add_opaque(b, entry, r);
        break;
    default:
        return -EINVAL;
    }
    if (err == 0)
        *ret_node = node;
    return err;
}
