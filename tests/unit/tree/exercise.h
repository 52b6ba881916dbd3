/* SPDX-License-Identifier: Apache-2.0 */
/* For tests and fuzzers of damaged trees: sealing one with right checksums, and reading all of it.
 *
 * `must(condition)` is what the includer checks invariants with. */
#ifndef TESTS_EXERCISE_H
#define TESTS_EXERCISE_H

#include <endian.h>
#include <string.h>

#include "layerfs/tree/builder.h"
#include "layerfs/tree/mapped.h"

/* Makes the sizes and checksums of a header right, so that only the structure can be wrong. */
static inline void seal_tree(uint8_t *data, size_t size)
{
    struct lfs_disk_header h;
    struct oci_digest sum;

    if (size < sizeof(h))
        return;
    memcpy(&h, data, sizeof(h));
    h.file_size = htole64(size);
    must(oci_digest_of(OCI_DIGEST_SHA256, data + sizeof(h), size - sizeof(h), &sum) == 0);
    memcpy(h.checksum, sum.bytes, sizeof(h.checksum));
    must(oci_digest_of(
             OCI_DIGEST_SHA256, &h, offsetof(struct lfs_disk_header, header_checksum), &sum) == 0);
    memcpy(h.header_checksum, sum.bytes, sizeof(h.header_checksum));
    memcpy(data, &h, sizeof(h));
}

/* Reads bytes so that a sanitizer or the MMU sees a bad pointer; they must be the tree's own. */
static inline unsigned read_bytes(const struct lfs_tree *tree, const void *data, size_t size)
{
    const uint8_t *p = data;
    unsigned sum = 0;

    must(size == 0 || (p >= tree->base && size <= (size_t)(tree->base + tree->size - p)));
    for (size_t i = 0; i < size; i++)
        sum += p[i];
    return sum;
}

static inline unsigned read_xattrs(const struct lfs_tree *tree, const struct lfs_inode *inode)
{
    struct lfs_xattr xattr;
    uint64_t cursor = 0;
    unsigned sum = 0;

    while (lfs_tree_xattr_next(tree, inode, &cursor, &xattr) > 0) {
        sum += read_bytes(tree, xattr.name, xattr.name_size);
        sum += read_bytes(tree, xattr.value, xattr.value_size);
    }
    (void)lfs_tree_xattr_get(tree, inode, "user.a", &xattr);
    return sum;
}

static inline unsigned read_content(const struct lfs_tree *tree, const struct lfs_inode *inode)
{
    const uint8_t *sha256;
    const char *data;
    unsigned sum = 0;

    if (lfs_tree_bytes(tree, inode, &data) == 0)
        sum += read_bytes(tree, data, inode->size);
    if (lfs_tree_digest(tree, inode->digest, &sha256) == 0)
        sum += read_bytes(tree, sha256, 32);
    if (lfs_tree_pack(tree, inode->pack, &sha256) == 0)
        sum += read_bytes(tree, sha256, 32);
    return sum;
}

/* Every entry of a directory, looked up by its name too; `sound`: it must be found. */
static inline unsigned read_entries(
    const struct lfs_tree *tree, const struct lfs_inode *dir, bool sound)
{
    struct lfs_dirent entry, found;
    unsigned sum = 0;

    for (uint32_t i = 0; lfs_tree_entry(tree, dir, i, &entry) == 0; i++) {
        int r;

        sum += read_bytes(tree, entry.name, entry.name_size);
        r = lfs_tree_lookup(tree, dir, entry.name, entry.name_size, &found);
        must(!sound || (r == 0 && found.name == entry.name && found.inode == entry.inode));
    }
    return sum;
}

/* Calls every accessor on every inode. Entries of broken directories may overlap, so no more than
 * `limit` of them are read. */
static inline unsigned read_whole_tree(const struct lfs_tree *tree, bool sound)
{
    uint64_t left = sound ? UINT64_MAX : 100000;
    struct lfs_dirent found;
    unsigned sum = 0;

    lfs_tree_prefetch(tree);
    for (uint64_t i = 0; i <= lfs_tree_inode_count(tree); i++) {
        struct lfs_inode inode;

        if (lfs_tree_inode(tree, i, &inode) < 0)
            continue;
        sum += read_xattrs(tree, &inode) + read_content(tree, &inode);
        (void)lfs_tree_lookup(tree, &inode, "a", 1, &found);
        if (inode.entry_count > left)
            continue;
        left -= inode.entry_count;
        sum += read_entries(tree, &inode, sound);
    }
    return sum;
}

static inline int ignore_line(void *userdata, const char *text)
{
    size_t *bytes = userdata;

    *bytes += strlen(text);
    return 0;
}

/* Everything that takes a tree, on one that was opened. Returns what verify says. */
static inline int exercise_tree(const struct lfs_tree *tree)
{
    static const struct lfs_dump_options options = {.digests = true, .numbers = true};
    struct report r = REPORT_INIT;
    struct lfs_inode inode;
    size_t bytes = 0;
    int verified = lfs_tree_verify(tree, &r), dumped;

    must((verified < 0) == report_is_set(&r));
    (void)read_whole_tree(tree, verified == 0);
    (void)lfs_tree_resolve(tree, "a/b", &inode);
    dumped = lfs_tree_dump(tree, &options, ignore_line, &bytes);
    must(dumped == 0 || verified < 0);
    return verified;
}

#endif
