/* SPDX-License-Identifier: Apache-2.0 */
/* Following paths.
 *
 * What is still to be followed lies at the end of a fixed buffer. Taking a component moves the
 * start of the rest forwards; a symlink's target is put in front of it, into the room that became
 * free. A path whose links need more than the buffer is refused. */
#include "layerfs/tree/place.h"

#include <string.h>

struct walk {
    const struct lfs_builder *b;
    struct lfs_place *place;
    unsigned links; /* followed so far */
    char *rest;     /* in text, up to its end */
    char text[2 * OCI_PATH_MAX];
};

static int push_front(struct walk *w, const char *text, size_t size)
{
    if ((size_t)(w->rest - w->text) < size + 1)
        return -ENAMETOOLONG;
    *--w->rest = '/';
    w->rest -= size;
    memcpy(w->rest, text, size);
    return 0;
}

/* The next component; its size is 0 at the end. */
static size_t next_component(struct walk *w, const char **ret_text)
{
    const char *end = w->text + sizeof(w->text);
    const char *stop;

    while (w->rest < end && *w->rest == '/')
        w->rest++;
    *ret_text = w->rest;
    stop = memchr(w->rest, '/', (size_t)(end - w->rest));
    w->rest += (stop ? stop : end) - w->rest;
    return (size_t)(w->rest - *ret_text);
}

static int missing_push(struct lfs_place *place, const char *text, size_t size)
{
    if (place->missing_size + 1 + size >= sizeof(place->missing))
        return -ENAMETOOLONG;
    if (place->missing_size)
        place->missing[place->missing_size++] = '/';
    memcpy(place->missing + place->missing_size, text, size);
    place->missing_size += size;
    return 0;
}

static void go_up(struct walk *w)
{
    struct lfs_place *place = w->place;
    const char *slash = memrchr(place->missing, '/', place->missing_size);

    if (place->missing_size)
        place->missing_size = slash ? (size_t)(slash - place->missing) : 0;
    else
        place->dir = dir_parent(w->b, place->dir);
}

static int follow(struct walk *w, const struct lfs_node *link)
{
    const char *target = (const char *)w->b->data.data + link->ref;

    if (++w->links > PLACE_LINKS_MAX)
        return -ELOOP;
    if (target[0] == '/')
        w->place->dir = ROOT_NODE;
    return push_front(w, target, link->size);
}

static int go_down(struct walk *w, const char *text, size_t size)
{
    const struct lfs_node *node;
    uint32_t name;

    if (size > OCI_NAME_MAX)
        return -ENAMETOOLONG;
    if (w->place->missing_size)
        return missing_push(w->place, text, size);
    name = name_find(w->b, w->place->dir, text, size);
    if (name == NO_NAME || name_at(w->b, name)->node == NO_NODE)
        return missing_push(w->place, text, size);
    node = node_at(w->b, name_at(w->b, name)->node);
    if (S_ISLNK(node->mode))
        return follow(w, node);
    if (!S_ISDIR(node->mode))
        return -ENOTDIR;
    w->place->dir = name_at(w->b, name)->node;
    return 0;
}

int place_resolve(const struct lfs_builder *b, uint32_t from, const char *path, size_t size,
    struct lfs_place *ret_place)
{
    struct walk w;
    const char *text;
    int r;

    w.b = b;
    w.place = ret_place;
    w.links = 0;
    w.rest = w.text + sizeof(w.text);
    ret_place->dir = from;
    ret_place->missing_size = 0;
    r = push_front(&w, path, size);
    while (r == 0 && (size = next_component(&w, &text)) > 0) {
        if (size == 2 && memcmp(text, "..", 2) == 0)
            go_up(&w);
        else if (size != 1 || text[0] != '.')
            r = go_down(&w, text, size);
    }
    return r;
}

static int make_dir(struct lfs_builder *b, uint32_t dir, const char *text, size_t size,
    uint16_t flags, uint32_t *ret_dir)
{
    bool hidden = name_find(b, dir, text, size) != NO_NAME;
    struct lfs_node proto = node_default_dir(hidden ? LFS_INODE_OPAQUE : flags);
    uint32_t node;
    int r = node_new(b, &proto, &node);

    if (r == 0)
        r = name_put(b, dir, text, size, node);
    if (r == 0)
        *ret_dir = node;
    return r;
}

int place_create(
    struct lfs_builder *b, const struct lfs_place *place, uint16_t flags, uint32_t *ret_dir)
{
    uint32_t dir = place->dir;
    int r = 0;

    for (size_t at = 0; r == 0 && at < place->missing_size;) {
        const char *text = place->missing + at;
        const char *slash = memchr(text, '/', place->missing_size - at);
        size_t size = slash ? (size_t)(slash - text) : place->missing_size - at;

        r = make_dir(b, dir, text, size, flags, &dir);
        at += size + 1;
    }
    if (r == 0)
        *ret_dir = dir;
    return r;
}

bool place_is_hidden(const struct lfs_builder *b, const struct lfs_place *place)
{
    const char *slash = memchr(place->missing, '/', place->missing_size);
    size_t size = slash ? (size_t)(slash - place->missing) : place->missing_size;

    return size && name_find(b, place->dir, place->missing, size) != NO_NAME;
}

struct lfs_split path_split(const char *path, size_t size)
{
    const char *slash = memrchr(path, '/', size);
    size_t parent_size = slash ? (size_t)(slash - path) : 0;
    size_t leaf_at = slash ? parent_size + 1 : 0;

    return (struct lfs_split){
        .parent = path,
        .parent_size = parent_size,
        .leaf = path + leaf_at,
        .leaf_size = size - leaf_at,
    };
}
