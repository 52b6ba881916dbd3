/* SPDX-License-Identifier: Apache-2.0 */
/* Reading records. What the accessors do on broken trees is in test_verify.c. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/tree/trees.h"

TestSuite(access);

Test(access, numbers_out_of_range)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = layer_tree("f a x");
    struct lfs_inode inode = {.number = 99};

    cr_expect_eq(lfs_tree_inode(tree, 0, &inode), -ESTALE);
    cr_expect_eq(lfs_tree_inode(tree, 3, &inode), -ESTALE);
    cr_expect_eq(lfs_tree_inode(tree, UINT64_MAX, &inode), -ESTALE);
    cr_expect_eq(lfs_tree_inode(tree, (UINT64_C(1) << 32) | 1, &inode), -ESTALE);
    cr_expect_eq(inode.number, 99, "untouched on failure");
    cr_expect_eq(lfs_tree_inode(tree, 2, &inode), 0);
    cr_expect_eq(inode.number, 2);
}

static struct lfs_inode root_of(const struct lfs_tree *tree)
{
    struct lfs_inode root;

    cr_assert_eq(lfs_tree_inode(tree, LFS_TREE_ROOT, &root), 0);
    return root;
}

static int look_up(const struct lfs_tree *tree, const char *name, struct lfs_dirent *ret_entry)
{
    struct lfs_inode root = root_of(tree);

    return lfs_tree_lookup(tree, &root, name, strlen(name), ret_entry);
}

/* Directories of 0 to 20 names "A", "C", "E", …: each is found, and none between them. */
Test(access, bisection)
{
    struct buf lines = {0};

    for (int last = 'A'; last < 'A' + 40; last += 2) {
        _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
        struct lfs_dirent entry;

        cr_assert_eq(buf_append(&lines, "", 1), 0);
        tree = layer_tree((const char *)lines.data);
        lines.size--;
        for (int c = 'A' - 1; c < last + 2; c++) {
            char name[] = {(char)c, '\0'};
            int r = look_up(tree, name, &entry);

            cr_expect_eq(
                r, c < last && c >= 'A' && (c - 'A') % 2 == 0 ? 0 : -ENOENT, "%c of %c", c, last);
            cr_expect(r < 0 || entry.name[0] == c);
        }
        cr_assert_eq(buf_printf(&lines, "f %c x\n", last), 0);
    }
    buf_deinit(&lines);
}

Test(access, order_is_by_bytes_and_then_length)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree =
        layer_tree("f \xff x\nf ab x\nf a x\nf B x\nf abc x\nf a.b x\nf a-b x");
    static const char *const expected[] = {"B", "a", "a-b", "a.b", "ab", "abc", "\xff"};
    struct lfs_inode root = root_of(tree);
    struct lfs_dirent entry;

    for (uint32_t i = 0; i < ARRAY_SIZE(expected); i++) {
        cr_assert_eq(lfs_tree_entry(tree, &root, i, &entry), 0);
        cr_expect_eq(entry.name_size, strlen(expected[i]));
        cr_expect_eq(memcmp(entry.name, expected[i], entry.name_size), 0, "%u", i);
        cr_expect_eq(entry.type, DT_REG);
        cr_expect_eq(look_up(tree, expected[i], &entry), 0);
    }
    cr_expect_eq(lfs_tree_entry(tree, &root, ARRAY_SIZE(expected), &entry), -ENOENT);
    cr_expect_eq(look_up(tree, "", &entry), -ENOENT);
    cr_expect_eq(look_up(tree, "abcd", &entry), -ENOENT);
}

Test(access, lookup_in_what_is_no_directory)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = layer_tree("f a x");
    struct lfs_dirent entry;
    struct lfs_inode file;

    cr_assert_eq(lfs_tree_resolve(tree, "a", &file), 0);
    cr_expect_eq(lfs_tree_lookup(tree, &file, "a", 1, &entry), -ENOTDIR);
    cr_expect_eq(lfs_tree_entry(tree, &file, 0, &entry), -ENOENT);
}

Test(access, paths)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = layer_tree("f a/b/c x\nl s a\nw a/gone");
    struct lfs_inode inode;

    cr_assert_eq(lfs_tree_resolve(tree, "", &inode), 0);
    cr_expect_eq(inode.number, LFS_TREE_ROOT);
    cr_assert_eq(lfs_tree_resolve(tree, "a/b/c", &inode), 0);
    cr_expect_eq(inode.size, 1);
    cr_expect_eq(lfs_tree_resolve(tree, "a/x", &inode), -ENOENT);
    cr_expect_eq(lfs_tree_resolve(tree, "a/gone", &inode), -ENOENT, "a whiteout");
    cr_expect_eq(lfs_tree_resolve(tree, "a/b/c/d", &inode), -ENOTDIR);
    cr_expect_eq(lfs_tree_resolve(tree, "s/b", &inode), -ENOTDIR, "links are not followed");
}

Test(access, parents)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = layer_tree("d a/b");
    struct lfs_inode root = root_of(tree), a, b;

    cr_assert_eq(lfs_tree_resolve(tree, "a", &a), 0);
    cr_assert_eq(lfs_tree_resolve(tree, "a/b", &b), 0);
    cr_expect_eq(root.parent, LFS_TREE_ROOT);
    cr_expect_eq(a.parent, LFS_TREE_ROOT);
    cr_expect_eq(b.parent, a.number);
    cr_expect_eq(root.nlink, 3);
    cr_expect_eq(a.nlink, 3);
    cr_expect_eq(b.nlink, 2);
}

Test(access, devices)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = layer_tree("c big 4294967295:4294967294");
    struct lfs_inode inode;

    cr_assert_eq(lfs_tree_resolve(tree, "big", &inode), 0);
    cr_expect_eq(inode.rdev_major, UINT32_MAX);
    cr_expect_eq(inode.rdev_minor, UINT32_MAX - 1);
}

Test(access, bytes_and_digests_of_what_has_none)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = layer_tree("d a\nf empty");
    struct lfs_inode inode = root_of(tree);
    const uint8_t *sha256;
    struct lfs_xattr xattr;
    const char *data;
    uint64_t cursor = 0;

    cr_expect_eq(lfs_tree_bytes(tree, &inode, &data), -EIO);
    cr_expect_eq(lfs_tree_digest(tree, 0, &sha256), -EIO);
    cr_expect_eq(lfs_tree_digest(tree, 1, &sha256), -EIO);
    cr_expect_eq(lfs_tree_pack(tree, 0, &sha256), -EIO);
    cr_expect_eq(lfs_tree_xattr_next(tree, &inode, &cursor, &xattr), 0);
    cr_expect_eq(lfs_tree_xattr_get(tree, &inode, "user.a", &xattr), -ENODATA);
    cr_assert_eq(lfs_tree_resolve(tree, "empty", &inode), 0);
    cr_expect_eq(inode.data_kind, LFS_DATA_NONE);
    cr_expect_eq(inode.digest, 0);
}

Test(access, xattrs_in_order)
{
    static const struct oci_xattr xattrs[] = {
        {"security.capability", "\1\0\0", 3}, {"trusted.x", "", 0}, {"user.a", "1", 1}};
    struct oci_layer_entry e = {.kind = OCI_ENTRY_NODE,
        .path = "f",
        .mode = S_IFREG,
        .xattrs = xattrs,
        .xattr_count = ARRAY_SIZE(xattrs)};
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct report r = REPORT_INIT;
    struct lfs_xattr xattr;
    struct lfs_inode inode;
    uint64_t cursor = 0;
    uint32_t node;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    cr_assert_eq(lfs_builder_add(b, &e, &node, &r), 0);
    tree = write_and_open(b);
    cr_assert_eq(lfs_tree_resolve(tree, "f", &inode), 0);
    for (size_t i = 0; i < ARRAY_SIZE(xattrs); i++) {
        cr_assert_eq(lfs_tree_xattr_next(tree, &inode, &cursor, &xattr), 1);
        cr_expect_eq(xattr.name_size, strlen(xattrs[i].name));
        cr_expect_eq(memcmp(xattr.name, xattrs[i].name, xattr.name_size), 0);
        cr_expect_eq(xattr.value_size, xattrs[i].size);
        cr_expect_eq(memcmp(xattr.value, xattrs[i].value, xattr.value_size), 0);
    }
    cr_expect_eq(lfs_tree_xattr_next(tree, &inode, &cursor, &xattr), 0);
    cr_expect_eq(lfs_tree_xattr_next(tree, &inode, &cursor, &xattr), 0, "the end stays the end");
}
