/* SPDX-License-Identifier: Apache-2.0 */
/* A mapped tree, for the files that read its sections. Private to layerfs/tree. */
#ifndef LAYERFS_TREE_MAPPED_H
#define LAYERFS_TREE_MAPPED_H

#include <endian.h>
#include <string.h>

#include "layerfs/tree/guard.h"
#include "layerfs/tree/tree.h"

/* Everything here is fixed at open: what a broken file says later changes no bound. */
struct lfs_tree {
    const uint8_t *base;
    size_t size; /* bytes */
    struct lfs_guard_slot *guard;

    const struct lfs_disk_inode *inodes;
    const struct lfs_disk_entry *entries;
    const uint8_t (*digests)[32];
    const uint8_t (*packs)[32];
    const char *names;
    const uint8_t *xattrs;
    const char *data;
    uint32_t inode_count, entry_count, digest_count, pack_count; /* records */
    uint64_t names_size, xattrs_size, data_size;                 /* bytes */

    enum lfs_tree_kind kind;
    uint32_t features;
    uint64_t file_bytes;
    uint8_t id[32];
};

/* True when size bytes from offset on lie inside a section of section_size bytes. */
static inline bool lfs_range_ok(uint64_t offset, uint64_t size, uint64_t section_size)
{
    return offset <= section_size && size <= section_size - offset;
}

static inline uint16_t lfs_read_u16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return le16toh(v);
}

static inline uint32_t lfs_read_u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

#endif
