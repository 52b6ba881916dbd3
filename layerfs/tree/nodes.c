/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes and names in arrays, the hash table over names, and removal of subtrees. */
#include "layerfs/tree/nodes.h"

#include <assert.h>
#include <string.h>

/* Makes room for one more record in an array that is counted in 32 bits. */
static int grow(void **array, uint32_t count, uint32_t *capacity, size_t record_size)
{
    uint64_t want = (uint64_t)*capacity + *capacity / 2;
    void *p;

    if (count < *capacity)
        return 0;
    if (count == UINT32_MAX)
        return -EFBIG;
    want = MIN(MAX(want, UINT64_C(64)), (uint64_t)UINT32_MAX);
    p = reallocarray(*array, want, record_size);
    if (!p)
        return -ENOMEM;
    *array = p;
    *capacity = (uint32_t)want;
    return 0;
}

int node_new(struct lfs_builder *b, const struct lfs_node *proto, uint32_t *ret_node)
{
    int r = grow((void **)&b->nodes, b->node_count, &b->node_capacity, sizeof(*b->nodes));

    if (r < 0)
        return r;
    b->nodes[b->node_count] = *proto;
    *ret_node = b->node_count++;
    return 0;
}

struct lfs_node node_default_dir(uint16_t flags)
{
    return (struct lfs_node){.mode = S_IFDIR | 0755, .flags = flags};
}

int node_data_add(struct lfs_builder *b, const void *data, size_t size, uint64_t *ret_offset)
{
    uint64_t offset = b->data.size;
    int r;

    if (offset + size > UINT32_MAX)
        return -EFBIG;
    r = buf_append(&b->data, data, size);
    if (r < 0)
        return r;
    *ret_offset = offset;
    return 0;
}

static uint32_t hash_of(const struct lfs_builder *b, uint32_t dir, const char *text, size_t size)
{
    return (uint32_t)lfs_hash(b->hash_key, dir, text, size);
}

static uint32_t *bucket_of(const struct lfs_builder *b, uint32_t hash)
{
    return &b->buckets[hash & (b->bucket_count - 1)];
}

uint32_t name_find(const struct lfs_builder *b, uint32_t dir, const char *text, size_t size)
{
    uint32_t hash = hash_of(b, dir, text, size), at = *bucket_of(b, hash);

    for (; at != NO_NAME; at = name_at(b, at)->hash_next) {
        const struct lfs_name *name = name_at(b, at);

        if (name->hash == hash && name->dir == dir && name_size(b, name) == size &&
            memcmp(name_text(b, name), text, size) == 0)
            break;
    }
    return at;
}

static int grow_buckets(struct lfs_builder *b)
{
    uint32_t count = b->bucket_count * 2;
    uint32_t *buckets;

    if (b->name_count < b->bucket_count || count == 0)
        return 0;
    buckets = calloc(count, sizeof(*buckets));
    if (!buckets)
        return -ENOMEM;
    for (uint32_t i = 0; i < b->bucket_count; i++)
        for (uint32_t at = b->buckets[i], next; at != NO_NAME; at = next) {
            uint32_t *head = &buckets[name_at(b, at)->hash & (count - 1)];

            next = name_at(b, at)->hash_next;
            name_at(b, at)->hash_next = *head;
            *head = at;
        }
    free(b->buckets);
    b->buckets = buckets;
    b->bucket_count = count;
    return 0;
}

static int add_text(struct lfs_builder *b, const char *text, size_t size, uint32_t *ret_text)
{
    uint8_t length = (uint8_t)size;
    uint64_t at = b->arena.size;
    int r;

    if (at + 1 + size > UINT32_MAX)
        return -EFBIG;
    r = buf_reserve(&b->arena, 1 + size);
    if (r < 0)
        return r;
    (void)buf_append(&b->arena, &length, 1); /* there is room */
    (void)buf_append(&b->arena, text, size);
    *ret_text = (uint32_t)at;
    return 0;
}

static void link_in(struct lfs_builder *b, uint32_t number)
{
    struct lfs_name *name = name_at(b, number);
    struct lfs_node *dir = node_at(b, name->dir);
    uint32_t *bucket = bucket_of(b, name->hash);

    name->hash_next = *bucket;
    *bucket = number;
    name->next = dir->first_name;
    if (name->next != NO_NAME)
        name_at(b, name->next)->prev = number;
    dir->first_name = number;
}

static void link_out(struct lfs_builder *b, uint32_t number)
{
    struct lfs_name *name = name_at(b, number);
    uint32_t *at = bucket_of(b, name->hash);

    while (*at != number)
        at = &name_at(b, *at)->hash_next;
    *at = name->hash_next;
    if (name->prev != NO_NAME)
        name_at(b, name->prev)->next = name->next;
    else
        node_at(b, name->dir)->first_name = name->next;
    if (name->next != NO_NAME)
        name_at(b, name->next)->prev = name->prev;
}

/* Bytes of the path that a name in a directory has. */
static uint64_t child_path_size(const struct lfs_builder *b, uint32_t dir, size_t size)
{
    uint64_t above = node_at(b, dir)->path_size;

    return above + (above > 0) + size;
}

static void adopt(struct lfs_builder *b, uint32_t name, uint32_t node)
{
    name_at(b, name)->node = node;
    if (node_is_dir(b, node)) {
        const struct lfs_name *n = name_at(b, name);

        node_at(b, node)->own_name = name;
        node_at(b, node)->path_size = child_path_size(b, n->dir, name_size(b, n));
    }
}

int name_add(struct lfs_builder *b, uint32_t dir, const char *text, size_t size, uint32_t node,
    uint32_t *ret_name)
{
    struct lfs_name name = {.dir = dir, .hash = hash_of(b, dir, text, size)};
    uint32_t number = b->name_count;
    int r;

    assert(node_is_dir(b, dir) && size > 0 && size <= OCI_NAME_MAX);
    if (child_path_size(b, dir, size) >= OCI_PATH_MAX)
        return -ENAMETOOLONG;
    r = grow((void **)&b->names, b->name_count, &b->name_capacity, sizeof(*b->names));
    if (r == 0)
        r = grow_buckets(b);
    if (r == 0)
        r = add_text(b, text, size, &name.text);
    if (r < 0)
        return r;
    b->names[number] = name;
    b->name_count++;
    link_in(b, number);
    adopt(b, number, node);
    if (ret_name)
        *ret_name = number;
    return 0;
}

int name_put(struct lfs_builder *b, uint32_t dir, const char *text, size_t size, uint32_t node)
{
    uint32_t name = name_find(b, dir, text, size);

    if (name == NO_NAME)
        return name_add(b, dir, text, size, node, NULL);
    if (node_is_dir(b, name_at(b, name)->node))
        dir_clear(b, name_at(b, name)->node);
    adopt(b, name, node);
    return 0;
}

/* Goes down to a directory without children and removes upwards, with the names themselves as the
 * stack: however deep a tree is, this needs no memory. */
void dir_clear(struct lfs_builder *b, uint32_t top)
{
    uint32_t dir = top;

    for (;;) {
        uint32_t name = node_at(b, dir)->first_name;

        if (name == NO_NAME) {
            if (dir == top)
                return;
            name = node_at(b, dir)->own_name;
            dir = name_at(b, name)->dir;
            link_out(b, name);
        } else if (node_is_dir(b, name_at(b, name)->node)) {
            dir = name_at(b, name)->node;
        } else {
            link_out(b, name);
        }
    }
}

void name_remove(struct lfs_builder *b, uint32_t name)
{
    uint32_t node = name_at(b, name)->node;

    if (node_is_dir(b, node))
        dir_clear(b, node);
    link_out(b, name);
}

bool dir_is_below(const struct lfs_builder *b, uint32_t dir, uint32_t top)
{
    while (dir != top && dir != ROOT_NODE)
        dir = dir_parent(b, dir);
    return dir == top;
}

/* Names are met from the leaf up, so they are put from the end of the path forwards. */
int dir_path(const struct lfs_builder *b, uint32_t dir, struct buf *path)
{
    char *start, *at;

    if (dir == ROOT_NODE)
        return 0;
    start = buf_extend(path, node_at(b, dir)->path_size);
    if (!start)
        return -ENOMEM;
    at = start + node_at(b, dir)->path_size;
    while (dir != ROOT_NODE) {
        const struct lfs_name *name = name_at(b, node_at(b, dir)->own_name);

        at -= name_size(b, name);
        memcpy(at, name_text(b, name), name_size(b, name));
        if (at > start)
            *--at = '/';
        dir = name->dir;
    }
    return 0;
}

int pack_intern(struct lfs_builder *b, const uint8_t sha256[static 32], uint32_t *ret_pack)
{
    uint32_t count = (uint32_t)(b->packs.size / 32);
    int r;

    for (uint32_t i = 0; i < count; i++)
        if (memcmp(b->packs.data + (size_t)i * 32, sha256, 32) == 0) {
            *ret_pack = i;
            return 0;
        }
    r = buf_append(&b->packs, sha256, 32);
    if (r == 0)
        *ret_pack = count;
    return r;
}
