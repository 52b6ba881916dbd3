/* SPDX-License-Identifier: Apache-2.0 */
/* Opening trees. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define must(condition) cr_assert(condition)
#include "tests/unit/tree/exercise.h"
#include "tests/unit/tree/trees.h"

#include "oci/util/io.h"

TestSuite(tree);

static struct buf tree_bytes(const char *lines)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = layer_tree(lines);
    struct buf bytes = {0};

    cr_assert_eq(buf_append(&bytes, tree->base, tree->size), 0);
    return bytes;
}

/* What opening these bytes says. */
static int open_bytes(const struct buf *bytes, struct lfs_tree **ret_tree, struct report *r)
{
    _cleanup_(fd_closep) int fd = memory_file();
    char path[40];

    cr_assert_eq(io_write_full(fd, bytes->data, bytes->size), 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return lfs_tree_open(AT_FDCWD, path, ret_tree, r);
}

static void expect_open(struct buf *bytes, int expected, const char *text)
{
    struct lfs_tree *tree = NULL;
    struct report r = REPORT_INIT;
    int err;

    seal_tree(bytes->data, bytes->size);
    err = open_bytes(bytes, &tree, &r);
    cr_expect_eq(err, expected, "%s: %d", text, err);
    if (err < 0)
        cr_expect_not_null(strstr(r.text, text), "got \"%s\", expected \"%s\"", r.text, text);
    lfs_tree_close(tree);
}

Test(tree, header_is_read_back)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = layer_tree("f a hello\nd b");
    struct oci_digest id = test_id(7), got = lfs_tree_id(tree);

    cr_expect_eq(lfs_tree_kind(tree), LFS_TREE_LAYER);
    cr_expect_eq(lfs_tree_features(tree), 0);
    cr_expect(oci_digest_equal(&id, &got));
    cr_expect_eq(lfs_tree_inode_count(tree), 4, "unused, root, a, b");
    cr_expect_eq(lfs_tree_pack_count(tree), 0);
    cr_expect_eq(lfs_tree_file_bytes(tree), 5);
    cr_expect_gt(lfs_tree_size(tree), sizeof(struct lfs_disk_header));
    lfs_tree_prefetch(tree);
}

Test(tree, missing_file)
{
    struct lfs_tree *tree = NULL;
    struct report r = REPORT_INIT;

    cr_expect_eq(lfs_tree_open(AT_FDCWD, "/nonexistent/tree", &tree, &r), -ENOENT);
    cr_expect(report_is_set(&r));
    cr_expect_null(tree);
}

/* Opening must not wait for a writer. */
Test(tree, things_that_are_no_files)
{
    char dir[] = "/tmp/layerfs-tree-XXXXXX", path[64];
    struct lfs_tree *tree = NULL;
    struct report r = REPORT_INIT;

    cr_assert_not_null(mkdtemp(dir));
    cr_expect_eq(lfs_tree_open(AT_FDCWD, dir, &tree, &r), -EBADMSG);
    (void)snprintf(path, sizeof(path), "%s/fifo", dir);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_eq(lfs_tree_open(AT_FDCWD, path, &tree, &r), -EBADMSG);
    cr_expect_eq(unlink(path), 0);
    cr_expect_eq(rmdir(dir), 0);
}

Test(tree, header_fields)
{
    struct buf bytes = tree_bytes("f a x");
    struct lfs_disk_header *h = (struct lfs_disk_header *)bytes.data, saved = *h;

    expect_open(&bytes, 0, "as it was");
    h->magic[7] = 2;
    expect_open(&bytes, -EBADMSG, "wrong magic");
    *h = saved;
    h->version = htole32(LFS_TREE_VERSION + 1);
    expect_open(&bytes, -EOPNOTSUPP, "format version 2, known is 1");
    h->version = 0;
    expect_open(&bytes, -EBADMSG, "format version 0");
    *h = saved;
    h->features = htole32(1u << 31);
    expect_open(&bytes, -EOPNOTSUPP, "unknown features 0x80000000");
    *h = saved;
    h->kind = htole32(3);
    expect_open(&bytes, -EBADMSG, "unknown kind 3");
    *h = saved;
    h->header_size = htole32(sizeof(*h) + 8);
    expect_open(&bytes, -EBADMSG, "header of");
    *h = saved;
    h->reserved[3] = 1;
    expect_open(&bytes, -EBADMSG, "reserved");
    buf_deinit(&bytes);
}

Test(tree, checksum_of_the_header)
{
    struct buf bytes = tree_bytes("f a x");
    struct lfs_disk_header *h = (struct lfs_disk_header *)bytes.data;
    struct lfs_tree *tree = NULL;
    struct report r = REPORT_INIT;

    h->id[5] ^= 1;
    cr_expect_eq(open_bytes(&bytes, &tree, &r), -EBADMSG);
    cr_expect_not_null(strstr(r.text, "checksum differs"), "%s", r.text);
    buf_deinit(&bytes);
}

Test(tree, sections_out_of_place)
{
    struct buf bytes = tree_bytes("f a x\nl s t");
    struct lfs_disk_header *h = (struct lfs_disk_header *)bytes.data, saved = *h;

    for (unsigned i = 0; i < LFS_SECTIONS; i++) {
        h->sections[i].offset = htole64(le64toh(saved.sections[i].offset) + 8);
        expect_open(&bytes, -EBADMSG, "out of place");
        *h = saved;
        h->sections[i].offset = htole64(le64toh(saved.sections[i].offset) - 8);
        expect_open(&bytes, -EBADMSG, "out of place");
        *h = saved;
        h->sections[i].size = htole64(UINT64_MAX);
        expect_open(&bytes, -EBADMSG, "out of place");
        *h = saved;
        h->sections[i].size = htole64(le64toh(saved.sections[i].size) + 8);
        expect_open(&bytes, -EBADMSG, "out of place");
        *h = saved;
    }
    h->sections[LFS_SECTION_DATA].size =
        htole64(le64toh(saved.sections[LFS_SECTION_DATA].size) - 1);
    expect_open(&bytes, -EBADMSG, "behind the last section");
    buf_deinit(&bytes);
}

Test(tree, no_root)
{
    struct buf bytes = {0};
    struct lfs_disk_header *h = buf_extend(&bytes, sizeof(*h));

    cr_assert_not_null(h);
    memcpy(h->magic, LFS_TREE_MAGIC, sizeof(h->magic));
    h->version = htole32(LFS_TREE_VERSION);
    h->kind = htole32(LFS_TREE_IMAGE);
    h->header_size = htole32(sizeof(*h));
    for (unsigned i = 0; i < LFS_SECTIONS; i++)
        h->sections[i].offset = htole64(sizeof(*h));
    expect_open(&bytes, -EBADMSG, "no root directory");
    buf_deinit(&bytes);
}

Test(tree, close_takes_null_and_keeps_errno)
{
    struct lfs_tree *tree = layer_tree("");

    errno = 5;
    cr_expect_null(lfs_tree_close(tree));
    cr_expect_null(lfs_tree_close(NULL));
    cr_expect_eq(errno, 5);
}
