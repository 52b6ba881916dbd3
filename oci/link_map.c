/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of several names were seen. */
#include "oci/link_map.h"

#include <string.h>

void link_map_deinit(struct link_map *m)
{
    for (size_t i = 0; i < m->capacity; i++)
        free(m->entries[i].path);
    free(m->entries);
    *m = (struct link_map){0};
}

/* The place of the file, or the free one where it belongs. */
static struct link_entry *find(struct link_entry *entries, size_t capacity, dev_t dev, ino_t ino)
{
    uint64_t hash = ((uint64_t)ino ^ (uint64_t)dev << 32) * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = (size_t)(hash >> 20);; i++) {
        struct link_entry *e = &entries[i & (capacity - 1)];

        if (!e->path || (e->dev == dev && e->ino == ino))
            return e;
    }
}

static int grow(struct link_map *m)
{
    size_t capacity = MAX(m->capacity * 2, (size_t)64);
    struct link_entry *entries = calloc(capacity, sizeof(*entries));

    if (!entries)
        return -ENOMEM;
    for (size_t i = 0; i < m->capacity; i++) {
        const struct link_entry *e = &m->entries[i];

        if (e->path)
            *find(entries, capacity, e->dev, e->ino) = *e;
    }
    free(m->entries);
    m->entries = entries;
    m->capacity = capacity;
    return 0;
}

int link_map_get(struct link_map *m, dev_t dev, ino_t ino, const char *path, const char **ret_first)
{
    struct link_entry *e;

    if (m->count * 2 >= m->capacity && grow(m) < 0)
        return -ENOMEM;
    e = find(m->entries, m->capacity, dev, ino);
    if (e->path) {
        *ret_first = e->path;
        return 1;
    }
    *e = (struct link_entry){.dev = dev, .ino = ino, .path = strdup(path)};
    if (!e->path)
        return -ENOMEM;
    m->count++;
    return 0;
}
