/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes and directory listings as the kernel gets them. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "layerfs/fuse/attr.h"
#include "tests/unit/tree/trees.h"

TestSuite(attr);

static struct lfs_inode resolve(const struct lfs_tree *tree, const char *path)
{
    struct lfs_inode inode;

    cr_assert_eq(lfs_tree_resolve(tree, path, &inode), 0, "%s", path);
    return inode;
}

static struct fuse_attr attr_of(const struct lfs_tree *tree, const char *path)
{
    struct lfs_inode inode = resolve(tree, path);
    struct fuse_attr attr;

    lfs_attr_fill(&inode, &attr);
    return attr;
}

Test(attr, a_file)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree =
        image_tree(LAYERS("f f hello\nh g f\nf empty"));
    struct fuse_attr attr = attr_of(tree, "f");

    cr_assert_eq(attr.ino, attr_of(tree, "g").ino, "hard links are one inode");
    cr_assert_eq(attr.size, 5);
    cr_assert_eq(attr.blocks, 1);
    cr_assert_eq(attr.mode, S_IFREG | 0640);
    cr_assert_eq(attr.nlink, 2);
    cr_assert_eq(attr.uid, 5);
    cr_assert_eq(attr.gid, 6);
    cr_assert_eq(attr.mtime, 1000000);
    cr_assert_eq(attr.ctime, attr.mtime);
    cr_assert_eq(attr.atime, attr.mtime);
    cr_assert_eq(attr.blksize, LFS_BLOCK_SIZE);
    cr_assert_eq(attr_of(tree, "empty").blocks, 0);
}

Test(attr, times_before_1970)
{
    struct lfs_inode inode = {.mode = S_IFREG, .mtime_sec = -5, .mtime_nsec = 999999999};
    struct fuse_attr attr;

    lfs_attr_fill(&inode, &attr);
    cr_assert_eq((int64_t)attr.mtime, -5);
    cr_assert_eq(attr.mtimensec, 999999999);
}

/* The kernel's encoding is what stat(2) shows through the C library's. */
Test(attr, devices)
{
    const unsigned numbers[][2] = {{1, 3}, {0, 0}, {8, 256}, {4095, 1048575}, {259, 65535}};

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        struct lfs_inode inode = {
            .mode = S_IFCHR, .rdev_major = numbers[i][0], .rdev_minor = numbers[i][1]};
        struct fuse_attr attr;

        lfs_attr_fill(&inode, &attr);
        cr_assert_eq((attr.rdev & 0xfff00) >> 8, numbers[i][0]);
        cr_assert_eq((attr.rdev & 0xff) | ((attr.rdev >> 12) & 0xfff00), numbers[i][1]);
    }
}

Test(attr, no_such_name_is_an_answer_to_keep)
{
    struct fuse_entry_out entry;

    lfs_entry_fill(NULL, &entry);
    cr_assert_eq(entry.nodeid, 0);
    cr_assert_eq(entry.entry_valid, LFS_ATTR_VALID);
}

/* Lists with replies of at most `size` bytes into "name:type:inode " a name; counts the replies. */
static char *list(
    const struct lfs_tree *tree, const char *path, bool plus, size_t size, unsigned *ret_replies)
{
    struct lfs_inode dir = resolve(tree, path);
    _cleanup_(buf_deinit) struct buf text = {.data = NULL};
    uint64_t position = 0;
    uint8_t *buffer = malloc(size); /* exactly, so that a sanitizer sees a byte too much */
    ssize_t n;

    *ret_replies = 0;
    while ((n = lfs_readdir_fill(tree, &dir, position, plus, buffer, size)) > 0) {
        ++*ret_replies;
        for (size_t at = 0; at < (size_t)n;) {
            const size_t head = plus ? sizeof(struct fuse_entry_out) : 0;
            const struct fuse_entry_out *entry = (const void *)(buffer + at);
            const struct fuse_dirent *d = (const void *)(buffer + at + head);

            cr_assert_eq(buf_printf(&text, "%.*s:%u:%u ", (int)d->namelen, d->name, d->type,
                             (unsigned)d->ino),
                0);
            if (plus && position >= 2) {
                cr_assert_eq(entry->nodeid, d->ino);
                cr_assert_eq(entry->attr.ino, d->ino);
                cr_assert_eq(entry->attr.mode >> 12, d->type);
                cr_assert_eq(entry->attr_valid, LFS_ATTR_VALID);
            } else if (plus) {
                cr_assert_eq(entry->nodeid, 0, "no inode for . and ..");
            }
            cr_assert_eq(d->off, ++position);
            at += FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + d->namelen);
        }
    }
    cr_assert_eq(n, 0);
    free(buffer);
    return buf_steal_str(&text);
}

static struct lfs_tree *sample(void)
{
    return image_tree(LAYERS("d d\nf d/a x\nd d/b\nl d/c t\nc d/null 1:3\nf d/zz y"));
}

Test(attr, a_listing_is_complete_and_sorted)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = sample();
    _cleanup_(freep) char *plain = NULL, *plus = NULL, *wanted = NULL;
    unsigned replies;

    cr_assert_gt(asprintf(&wanted, ".:4:%u ..:4:1 a:8:%u b:4:%u c:10:%u null:2:%u zz:8:%u ",
                     resolve(tree, "d").number, resolve(tree, "d/a").number,
                     resolve(tree, "d/b").number, resolve(tree, "d/c").number,
                     resolve(tree, "d/null").number, resolve(tree, "d/zz").number),
        0);
    plain = list(tree, "d", false, 4096, &replies);
    cr_assert_str_eq(plain, wanted);
    cr_assert_eq(replies, 1);
    plus = list(tree, "d", true, 4096, &replies);
    cr_assert_str_eq(plus, wanted);
    cr_assert_eq(replies, 1);
}

Test(attr, small_replies_give_the_same_listing)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = sample();
    unsigned replies;

    for (int plus = 0; plus < 2; plus++) {
        _cleanup_(freep) char *whole = list(tree, "d", plus, 4096, &replies);

        for (size_t size = 160; size < 500; size += 20) {
            _cleanup_(freep) char *pieces = list(tree, "d", plus, size, &replies);

            cr_assert_str_eq(pieces, whole, "replies of %zu bytes", size);
        }
    }
}

Test(attr, nothing_is_written_where_nothing_fits)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = sample();
    struct lfs_inode dir = resolve(tree, "d");
    uint8_t buffer[24] = {0};

    cr_assert_eq(lfs_readdir_fill(tree, &dir, 0, true, buffer, sizeof(buffer)), 0);
    cr_assert_eq(lfs_readdir_fill(tree, &dir, 0, false, buffer, sizeof(buffer)), 0);
}

Test(attr, past_the_end_is_the_end)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = sample();
    struct lfs_inode dir = resolve(tree, "d");
    uint8_t buffer[512];

    cr_assert_eq(lfs_readdir_fill(tree, &dir, 7, false, buffer, sizeof(buffer)), 0);
    cr_assert_eq(lfs_readdir_fill(tree, &dir, UINT64_MAX, true, buffer, sizeof(buffer)), 0);
    cr_assert_gt(lfs_readdir_fill(tree, &dir, 6, false, buffer, sizeof(buffer)), 0);
}
