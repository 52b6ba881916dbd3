/* SPDX-License-Identifier: Apache-2.0 */
/* What a written tree looks like as bytes: order, sharing, reproducibility. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "layerfs/tree/mapped.h"
#include "tests/unit/tree/trees.h"

TestSuite(builder_write);

static void expect_same_bytes(const char *left, const char *right)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *l = layer_tree(left);
    _cleanup_(lfs_tree_closep) struct lfs_tree *r = layer_tree(right);

    cr_assert_eq(l->size, r->size);
    cr_expect_eq(memcmp(l->base, r->base, l->size), 0);
}

Test(builder_write, same_tree_same_bytes)
{
    expect_same_bytes(
        "d a\nf a/x 1\nf a/y 22\nl s a\nh z a/x", "d a\nf a/x 1\nf a/y 22\nl s a\nh z a/x");
}

/* However it came about: the order of entries, what was replaced, which name was the link. */
Test(builder_write, history_leaves_no_trace)
{
    expect_same_bytes("d a\nf a/x 1\nf a/y 22\nl s a\nh z a/x\nd b/c",
        "d b/c\nf s/r/t junk\nf z 1\nl s wrong\nl s a\nf a/y old\nf a/y 22\nh a/x z\nd a 700\nd a");
}

/* Preorder of directories; in each, the children one after the other. */
Test(builder_write, numbers_follow_the_walk)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree =
        layer_tree("f b/y/1 x\nf a/2 x\nf b/x/3 x\nf c x\nf a/1 x\nf b/z x\nd b/y/0/e");
    static const char *const expected[] = {
        "", "a", "b", "c", "a/1", "a/2", "b/x", "b/y", "b/z", "b/x/3", "b/y/0", "b/y/1", "b/y/0/e"};
    uint64_t next_entry = 0;

    cr_assert_eq(lfs_tree_inode_count(tree), ARRAY_SIZE(expected) + 1);
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        struct lfs_inode inode;

        cr_assert_eq(lfs_tree_resolve(tree, expected[i], &inode), 0, "%s", expected[i]);
        cr_expect_eq(inode.number, i + 1, "%s is %u", expected[i], inode.number);
        if (!S_ISDIR(inode.mode))
            continue;
        cr_expect_eq(inode.first_entry, next_entry, "%s", expected[i]);
        next_entry += inode.entry_count;
    }
}

Test(builder_write, hard_links_have_the_number_of_their_first_name)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = layer_tree("f z/f x\nh a z/f\nf b y");
    struct lfs_inode inode;

    cr_assert_eq(lfs_tree_resolve(tree, "z/f", &inode), 0);
    cr_expect_eq(inode.number, 2);
    cr_expect_eq(inode.nlink, 2);
}

Test(builder_write, equal_contents_lie_once)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = layer_tree("f a same\nf b other\nf c same");
    struct lfs_inode a, b, c;

    cr_assert_eq(lfs_tree_resolve(tree, "a", &a), 0);
    cr_assert_eq(lfs_tree_resolve(tree, "b", &b), 0);
    cr_assert_eq(lfs_tree_resolve(tree, "c", &c), 0);
    cr_expect_eq(a.data_offset, c.data_offset);
    cr_expect_eq(a.digest, c.digest);
    cr_expect_neq(a.digest, b.digest);
    cr_expect_eq(tree->data_size, strlen("sameother"));
    cr_expect_eq(tree->digest_count, 2);
    cr_expect_eq(lfs_tree_file_bytes(tree), strlen("sameothersame"));
}

Test(builder_write, what_was_replaced_is_left_out)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree =
        layer_tree("f dir/long-name gone\nl s gone-too\nf dir x\nl s t");

    cr_expect_eq(tree->names_size, strlen("dirs"));
    cr_expect_eq(tree->data_size, strlen("xt"));
    cr_expect_eq(tree->digest_count, 1);
    cr_expect_eq(tree->inode_count, 4);
}

static void add_with_xattr(struct lfs_builder *b, const char *path, const char *name)
{
    const struct oci_xattr xattr = {.name = name, .value = "1", .size = 1};
    struct oci_layer_entry e = {
        .kind = OCI_ENTRY_NODE, .path = path, .mode = S_IFREG, .xattrs = &xattr, .xattr_count = 1};
    struct report r = REPORT_INIT;
    uint32_t node;

    cr_assert_eq(lfs_builder_add(b, &e, &node, &r), 0);
}

Test(builder_write, xattr_sets_are_shared_and_features_are_of_the_living)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *later = NULL;
    struct report r = REPORT_INIT;
    struct lfs_inode i, j;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    add_with_xattr(b, "a", "user.x");
    add_with_xattr(b, "b", "system.posix_acl_default");
    add_with_xattr(b, "c", "user.x");
    tree = write_and_open(b);
    cr_assert_eq(lfs_tree_resolve(tree, "a", &i), 0);
    cr_assert_eq(lfs_tree_resolve(tree, "c", &j), 0);
    cr_expect_eq(i.xattrs, j.xattrs);
    cr_expect_eq(lfs_tree_features(tree), LFS_TREE_HAS_XATTRS | LFS_TREE_HAS_ACLS);
    cr_assert_eq(add_line(b, "p b", &r), 0);
    later = write_and_open(b);
    cr_expect_eq(lfs_tree_features(later), LFS_TREE_HAS_XATTRS);
    cr_expect_lt(later->xattrs_size, tree->xattrs_size);
}

Test(builder_write, a_layer_names_its_pack_by_its_id)
{
    static const uint8_t sha256[32] = {4};
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct oci_layer_entry e = {.kind = OCI_ENTRY_NODE, .path = "f", .mode = S_IFREG, .size = 9};
    struct report r = REPORT_INIT;
    struct lfs_inode i;
    const uint8_t *pack;
    uint32_t node;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    cr_assert_eq(lfs_builder_add(b, &e, &node, &r), 0);
    cr_assert_eq(lfs_builder_set_pack(b, node, 12345, sha256), 0);
    tree = write_and_open(b);
    cr_assert_eq(lfs_tree_resolve(tree, "f", &i), 0);
    cr_expect_eq(i.data_kind, LFS_DATA_PACK);
    cr_expect_eq(i.data_offset, 12345);
    cr_assert_eq(lfs_tree_pack_count(tree), 1);
    cr_assert_eq(lfs_tree_pack(tree, i.pack, &pack), 0);
    cr_expect_eq(memcmp(pack, tree->id, 32), 0);
}

Test(builder_write, refused)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(fd_closep) int fd = memory_file();
    _cleanup_(fd_closep) int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    struct oci_digest id = test_id(1), sha512 = {.alg = OCI_DIGEST_SHA512};
    struct oci_layer_entry e = {.kind = OCI_ENTRY_NODE, .path = "f", .mode = S_IFREG, .size = 9};
    struct report r = REPORT_INIT;
    uint32_t node;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    cr_expect_eq(lfs_builder_write(b, &sha512, fd, &r), -EINVAL);
    cr_expect_eq(lfs_builder_write(b, &id, full, &r), -ENOSPC);
    cr_expect(report_is_set(&r));
    cr_assert_eq(lfs_builder_add(b, &e, &node, &r), 0);
    cr_expect_eq(lfs_builder_write(b, &id, fd, &r), -EINVAL, "a file without content");
}

/* Deeper than any recursion should go. */
Test(builder_write, deepest_path)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    char path[OCI_PATH_MAX];
    struct oci_layer_entry e = {.kind = OCI_ENTRY_NODE, .path = path, .mode = S_IFIFO};
    struct report r = REPORT_INIT;
    struct lfs_inode i;
    uint32_t node;

    for (size_t at = 0; at < sizeof(path) - 1; at++)
        path[at] = at % 2 ? '/' : 'a';
    path[sizeof(path) - 1] = '\0';
    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    cr_assert_eq(lfs_builder_add(b, &e, &node, &r), 0, "%s", r.text);
    tree = write_and_open(b);
    cr_expect_eq(lfs_tree_inode_count(tree), 2 + OCI_PATH_MAX / 2);
    cr_expect_eq(lfs_tree_resolve(tree, path, &i), 0);
}
