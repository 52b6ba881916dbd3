/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a tree.
 *
 * Only the header is read here. Its checksum guards it against accidents; the layout of the
 * sections is checked all the same, because whoever can write a file can also write its checksum,
 * and everything that reads a tree builds on sections that lie inside the mapping. */
#include "layerfs/tree/tree.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "layerfs/tree/mapped.h"
#include "oci/util/io.h"

_Static_assert(LFS_SECTION_INODES == 0 && LFS_SECTIONS == 7, "the tables below know every section");

static const uint32_t record_sizes[LFS_SECTIONS] = {
    [LFS_SECTION_INODES] = sizeof(struct lfs_disk_inode),
    [LFS_SECTION_ENTRIES] = sizeof(struct lfs_disk_entry),
    [LFS_SECTION_DIGESTS] = 32,
    [LFS_SECTION_PACKS] = 32,
    [LFS_SECTION_NAMES] = 1,
    [LFS_SECTION_XATTRS] = 1,
    [LFS_SECTION_DATA] = 1,
};

static int check_magic(const struct lfs_disk_header *h, const char *name, struct report *r)
{
    uint32_t known = LFS_TREE_HAS_XATTRS | LFS_TREE_HAS_ACLS;
    uint32_t version = le32toh(h->version), features = le32toh(h->features);

    if (memcmp(h->magic, LFS_TREE_MAGIC, sizeof(h->magic)) != 0)
        return report_fail(r, -EBADMSG, "tree %s: not a tree (wrong magic)", name);
    if (version != LFS_TREE_VERSION)
        return report_fail(r, version > LFS_TREE_VERSION ? -EOPNOTSUPP : -EBADMSG,
            "tree %s: format version %u, known is %u", name, version, LFS_TREE_VERSION);
    if (features & ~known)
        return report_fail(
            r, -EOPNOTSUPP, "tree %s: unknown features %#x", name, features & ~known);
    return 0;
}

static int check_header_sum(const struct lfs_disk_header *h, const char *name, struct report *r)
{
    struct oci_digest sum;
    int err = oci_digest_of(
        OCI_DIGEST_SHA256, h, offsetof(struct lfs_disk_header, header_checksum), &sum);

    if (err < 0)
        return report_errno(r, err, "tree %s: hashing the header", name);
    if (memcmp(sum.bytes, h->header_checksum, sizeof(h->header_checksum)) != 0)
        return report_fail(r, -EBADMSG, "tree %s: damaged header (checksum differs)", name);
    return 0;
}

static bool all_zero(const void *data, size_t size)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < size; i++)
        if (p[i])
            return false;
    return true;
}

static int check_fields(
    const struct lfs_disk_header *h, uint64_t file_size, const char *name, struct report *r)
{
    uint32_t kind = le32toh(h->kind);

    if (le32toh(h->header_size) != sizeof(*h))
        return report_fail(r, -EBADMSG, "tree %s: header of %u bytes, expected %zu", name,
            le32toh(h->header_size), sizeof(*h));
    if (kind != LFS_TREE_LAYER && kind != LFS_TREE_IMAGE)
        return report_fail(r, -EBADMSG, "tree %s: unknown kind %u", name, kind);
    if (le64toh(h->file_size) != file_size)
        return report_fail(r, -EBADMSG, "tree %s: %llu bytes, the header says %llu", name,
            (unsigned long long)file_size, (unsigned long long)le64toh(h->file_size));
    if (!all_zero(h->reserved, sizeof(h->reserved)))
        return report_fail(r, -EBADMSG, "tree %s: reserved bytes of the header are not zero", name);
    return 0;
}

/* Each section must start where the one before ends, rounded up to 8, and the last end the file. */
static int check_sections(
    const struct lfs_disk_header *h, uint64_t file_size, const char *name, struct report *r)
{
    uint64_t at = sizeof(*h);

    for (unsigned i = 0; i < LFS_SECTIONS; i++) {
        uint64_t offset = le64toh(h->sections[i].offset), size = le64toh(h->sections[i].size);

        at = (at + 7) & ~UINT64_C(7);
        if (offset != at || !lfs_range_ok(offset, size, file_size) || size % record_sizes[i] ||
            size / record_sizes[i] > UINT32_MAX)
            return report_fail(r, -EBADMSG, "tree %s: section %u is out of place", name, i);
        at = offset + size;
    }
    if (at != file_size)
        return report_fail(r, -EBADMSG, "tree %s: bytes behind the last section", name);
    if (le64toh(h->sections[LFS_SECTION_INODES].size) < 2 * sizeof(struct lfs_disk_inode))
        return report_fail(r, -EBADMSG, "tree %s: no root directory", name);
    return 0;
}

/* Header checks from a private copy, so that what was checked is what is used. */
static int check_header(
    const struct lfs_disk_header *h, uint64_t file_size, const char *name, struct report *r)
{
    int err = check_magic(h, name, r);

    if (err == 0)
        err = check_header_sum(h, name, r);
    if (err == 0)
        err = check_fields(h, file_size, name, r);
    if (err == 0)
        err = check_sections(h, file_size, name, r);
    return err;
}

static const void *section(
    const struct lfs_tree *tree, const struct lfs_disk_header *h, enum lfs_tree_section which)
{
    return tree->base + le64toh(h->sections[which].offset);
}

static uint32_t record_count(const struct lfs_disk_header *h, enum lfs_tree_section which)
{
    return (uint32_t)(le64toh(h->sections[which].size) / record_sizes[which]);
}

static void take_header(struct lfs_tree *tree, const struct lfs_disk_header *h)
{
    tree->inodes = section(tree, h, LFS_SECTION_INODES);
    tree->entries = section(tree, h, LFS_SECTION_ENTRIES);
    tree->digests = section(tree, h, LFS_SECTION_DIGESTS);
    tree->packs = section(tree, h, LFS_SECTION_PACKS);
    tree->names = section(tree, h, LFS_SECTION_NAMES);
    tree->xattrs = section(tree, h, LFS_SECTION_XATTRS);
    tree->data = section(tree, h, LFS_SECTION_DATA);
    tree->inode_count = record_count(h, LFS_SECTION_INODES);
    tree->entry_count = record_count(h, LFS_SECTION_ENTRIES);
    tree->digest_count = record_count(h, LFS_SECTION_DIGESTS);
    tree->pack_count = record_count(h, LFS_SECTION_PACKS);
    tree->names_size = le64toh(h->sections[LFS_SECTION_NAMES].size);
    tree->xattrs_size = le64toh(h->sections[LFS_SECTION_XATTRS].size);
    tree->data_size = le64toh(h->sections[LFS_SECTION_DATA].size);
    tree->kind = le32toh(h->kind);
    tree->features = le32toh(h->features);
    tree->file_bytes = le64toh(h->file_bytes);
    memcpy(tree->id, h->id, sizeof(tree->id));
}

/* Opens without waiting on a FIFO that someone put there. */
static int open_regular(
    int dirfd, const char *name, int *ret_fd, uint64_t *ret_size, struct report *r)
{
    _cleanup_(fd_closep) int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return report_errno(r, neg_errno(), "tree %s", name);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < sizeof(struct lfs_disk_header))
        return report_fail(r, -EBADMSG, "tree %s: not a tree (too short)", name);
    if ((uint64_t)st.st_size > SIZE_MAX / 2)
        return report_fail(r, -EFBIG, "tree %s: too large to map", name);
    *ret_size = (uint64_t)st.st_size;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int map_file(int fd, struct lfs_tree *tree)
{
    void *base = mmap(NULL, tree->size, PROT_READ, MAP_SHARED, fd, 0);
    int r;

    if (base == MAP_FAILED)
        return neg_errno();
    tree->base = base;
    r = lfs_guard_add(base, tree->size, &tree->guard);
    return r;
}

int lfs_tree_open(int dirfd, const char *name, struct lfs_tree **ret_tree, struct report *r)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = calloc(1, sizeof(*tree));
    _cleanup_(fd_closep) int fd = -1;
    struct lfs_disk_header header;
    uint64_t size = 0;
    ssize_t n;
    int err;

    if (!tree)
        return -ENOMEM;
    err = open_regular(dirfd, name, &fd, &size, r);
    if (err < 0)
        return err;
    n = io_pread_full(fd, &header, sizeof(header), 0);
    if (n < 0)
        return report_errno(r, (int)n, "tree %s", name);
    if ((size_t)n < sizeof(header))
        return report_fail(r, -EBADMSG, "tree %s: not a tree (too short)", name);
    err = check_header(&header, size, name, r);
    if (err < 0)
        return err;
    tree->size = (size_t)size;
    err = map_file(fd, tree);
    if (err < 0)
        return report_errno(r, err, "tree %s: mapping it", name);
    take_header(tree, &header);
    *ret_tree = TAKE_PTR(tree);
    return 0;
}

struct lfs_tree *lfs_tree_close(struct lfs_tree *tree)
{
    int saved = errno;

    if (!tree)
        return NULL;
    lfs_guard_remove(tree->guard);
    if (tree->base)
        (void)munmap((void *)(uintptr_t)tree->base, tree->size);
    free(tree);
    errno = saved;
    return NULL;
}

/* The beginning of a section: what the first requests touch, and all of an ordinary image. More
 * would keep the disk busy while those requests wait for it. */
enum { PREFETCH_MAX = 2 << 20 };

static void prefetch(const void *start, uint64_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)start;

    size = MIN(size, (uint64_t)PREFETCH_MAX);
    if (size)
        (void)madvise((void *)(at - at % page), size + at % page, MADV_WILLNEED);
}

void lfs_tree_prefetch(const struct lfs_tree *tree)
{
    prefetch(tree->inodes, (uint64_t)tree->inode_count * sizeof(*tree->inodes));
    prefetch(tree->entries, (uint64_t)tree->entry_count * sizeof(*tree->entries));
    prefetch(tree->names, tree->names_size);
}

/* Bytes of a tree that may stay mapped: what is mapped the kernel does not drop with the caches. */
enum { MAPPED_MAX = 4 << 20 };

void lfs_tree_trim(const struct lfs_tree *tree)
{
    if (tree->size <= MAPPED_MAX)
        return;
    (void)madvise((void *)(uintptr_t)tree->base, tree->size, MADV_DONTNEED);
}

bool lfs_tree_is_damaged(const struct lfs_tree *tree)
{
    return lfs_guard_is_damaged(tree->guard);
}

enum lfs_tree_kind lfs_tree_kind(const struct lfs_tree *tree)
{
    return tree->kind;
}

uint32_t lfs_tree_features(const struct lfs_tree *tree)
{
    return tree->features;
}

struct oci_digest lfs_tree_id(const struct lfs_tree *tree)
{
    return oci_digest_sha256(tree->id);
}

uint32_t lfs_tree_inode_count(const struct lfs_tree *tree)
{
    return tree->inode_count;
}

uint32_t lfs_tree_pack_count(const struct lfs_tree *tree)
{
    return tree->pack_count;
}

uint64_t lfs_tree_file_bytes(const struct lfs_tree *tree)
{
    return tree->file_bytes;
}

uint64_t lfs_tree_size(const struct lfs_tree *tree)
{
    return tree->size;
}
