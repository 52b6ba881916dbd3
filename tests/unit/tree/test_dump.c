/* SPDX-License-Identifier: Apache-2.0 */
/* The dump is an interface: these lines must not change. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/tree/trees.h"

TestSuite(dump);

static int add_to(void *userdata, const char *text)
{
    struct buf *out = userdata;
    int r = buf_append_str(out, text);

    return r < 0 ? r : buf_append_str(out, "\n");
}

static void expect_dump(
    const struct lfs_tree *tree, const struct lfs_dump_options *options, const char *expected)
{
    struct buf out = {0};
    char *text;

    cr_assert_eq(lfs_tree_dump(tree, options, add_to, &out), 0);
    text = buf_steal_str(&out);
    cr_expect_str_eq(text, expected, "got:\n%s\nexpected:\n%s", text, expected);
    free(text);
}

static void add_special(struct lfs_builder *b, const char *path, mode_t mode, const char *link)
{
    static const struct oci_xattr xattrs[] = {{"user.a b", "\x00\xff", 2}, {"user.c", "", 0}};
    struct oci_layer_entry e = {.kind = OCI_ENTRY_NODE,
        .path = path,
        .mode = mode,
        .link = link,
        .mtime_sec = -3,
        .mtime_nsec = 5,
        .uid = 4294967295,
        .xattrs = xattrs,
        .xattr_count = link ? 0 : 2};
    struct report r = REPORT_INIT;
    uint32_t node;

    cr_assert_eq(lfs_builder_add(b, &e, &node, &r), 0, "%s", r.text);
}

Test(dump, every_column)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    static const char *const lines[] = {"d / 755", "f a/f hello", "h g a/f", "c null 1:3", "w a/x",
        "h low some/file", "o o", "d z", "o z"};
    struct report r = REPORT_INIT;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        cr_assert_eq(add_line(b, lines[i], &r), 0);
    add_special(b, "tab\t\\ \xc3\xa4", S_IFREG | 04755, NULL);
    add_special(b, "-", S_IFLNK, "-");
    tree = write_and_open(b);
    expect_dump(tree, &(struct lfs_dump_options){0},
        "/ 040755 5:6 0 1000000.000000000 5 - -\n"
        "/\\x2d 120777 4294967295:0 1 -3.000000005 1 - \\x2d\n"
        "/a 040755 0:0 0 0.000000000 2 - - implicit\n"
        "/a/f 100640 5:6 5 1000000.000000000 2 - -\n"
        "/a/x whiteout\n"
        "/g 100640 5:6 5 1000000.000000000 2 - -\n"
        "/low 100000 0:0 9 0.000000000 1 - some/file lower-link\n"
        "/null 020640 5:6 0 1000000.000000000 1 1:3 -\n"
        "/o 040755 0:0 0 0.000000000 2 - - implicit opaque\n"
        "/tab\\x09\\x5c\\x20\\xc3\\xa4 104755 4294967295:0 0 -3.000000005 1 - -"
        " user.a\\x20b=00ff user.c=\n"
        "/z 040711 5:6 0 1000000.000000000 2 - - opaque\n");
}

Test(dump, digests_and_numbers)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = image_tree(LAYERS("f a x\nf b\nf c xyz"));

    expect_dump(tree, &(struct lfs_dump_options){.digests = true, .numbers = true},
        "/ 040755 0:0 0 0.000000000 2 - - #1\n"
        "/a 100640 5:6 1 1000000.000000000 1 - - #2 inline:0 "
        "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\n"
        "/b 100640 5:6 0 1000000.000000000 1 - - #3\n"
        "/c 100640 5:6 3 1000000.000000000 1 - - #4 inline:1 "
        "sha256:3608bca1e44ea6c4d268eb6db02260269892c0b42b86bbf1e77a6fa16c3c9282\n");
}

static int stop(void *userdata, const char *text)
{
    unsigned *lines = userdata;

    (void)text;
    return ++*lines == 2 ? 77 : 0;
}

Test(dump, the_callback_can_end_it)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = image_tree(LAYERS("f a x\nf b x\nf c x"));
    struct lfs_dump_options options = {0};
    unsigned lines = 0;

    cr_expect_eq(lfs_tree_dump(tree, &options, stop, &lines), 77);
    cr_expect_eq(lines, 2);
}
