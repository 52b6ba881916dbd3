/* SPDX-License-Identifier: Apache-2.0 */
/* Layer trees from tar entries. Where a test says so, the result is what umoci 0.4.7 unpacks. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "layerfs/tree/nodes.h"
#include "tests/unit/tree/trees.h"

TestSuite(builder_add);

Test(builder_add, no_entry_is_an_implicit_root)
{
    expect_layer("", "/ 755 implicit");
}

Test(builder_add, root_entry_describes_the_root)
{
    expect_layer("d / 700\nf f x", "/ 700\nf=x");
}

Test(builder_add, missing_parents_are_implicit)
{
    expect_layer("f a/b/f x", "/ 755 implicit\na/ 755 implicit\na/b/ 755 implicit\na/b/f=x");
}

Test(builder_add, described_later_a_parent_is_no_longer_implicit)
{
    expect_layer("f a/f x\nd a 711", "/ 755 implicit\na/ 711\na/f=x");
}

Test(builder_add, directory_over_directory_keeps_its_children)
{
    expect_layer("d a 711\nf a/x x\nd a 700", "/ 755 implicit\na/ 700\na/x=x");
}

/* Not only the file goes: whatever lower layers had at its name went when the file came. */
Test(builder_add, directory_over_file_is_opaque)
{
    expect_layer("f a x\nd a\nf a/x y", "/ 755 implicit\na/ 711 opaque\na/x=y");
}

Test(builder_add, directory_over_symlink_replaces_it)
{
    expect_layer("d b\nl a b\nd a 700\nf a/x y", "/ 755 implicit\na/ 700 opaque\na/x=y\nb/ 711");
}

Test(builder_add, file_over_directory_removes_the_subtree)
{
    expect_layer("d a\nd a/b\nf a/b/c x\nf a/d x\nf a y", "/ 755 implicit\na=y");
}

Test(builder_add, symlink_over_directory_removes_the_subtree)
{
    expect_layer("f a/x x\nl a zz", "/ 755 implicit\na->zz");
}

Test(builder_add, later_file_replaces_earlier)
{
    expect_layer("f a one\nf a two", "/ 755 implicit\na=two");
}

Test(builder_add, leaf_symlink_is_replaced_not_followed)
{
    expect_layer("f f orig\nl a f\nf a new", "/ 755 implicit\na=new\nf=orig");
}

Test(builder_add, all_types)
{
    expect_layer(
        "p fifo\nc null 1:3\nf empty\nl s t", "/ 755 implicit\nempty=\nfifo|\nnull 1:3\ns->t");
}

Test(builder_add, parent_symlink_is_followed)
{
    expect_layer("d usr/lib\nl lib usr/lib\nf lib/x x",
        "/ 755 implicit\nlib->usr/lib\nusr/ 755 implicit\nusr/lib/ 711\nusr/lib/x=x");
}

Test(builder_add, absolute_parent_symlink_stays_inside)
{
    expect_layer(
        "d u\nl d/l /u\nf d/l/x x", "/ 755 implicit\nd/ 755 implicit\nd/l->/u\nu/ 711\nu/x=x");
}

Test(builder_add, dangling_parent_symlink_makes_its_target)
{
    expect_layer("l lib usr/lib\nf lib/x x",
        "/ 755 implicit\nlib->usr/lib\nusr/ 755 implicit\nusr/lib/ 755 implicit\nusr/lib/x=x");
}

Test(builder_add, dotdot_stops_at_the_root)
{
    expect_layer("l d/l ../../../u\nf d/l/x x",
        "/ 755 implicit\nd/ 755 implicit\nd/l->../../../u\nu/ 755 implicit\nu/x=x");
}

/* As umoci: a name that is not there and `..` cancel out, nothing is made for it. */
Test(builder_add, dotdot_behind_a_missing_name)
{
    expect_layer("l s no/../u\nf s/x x", "/ 755 implicit\ns->no/../u\nu/ 755 implicit\nu/x=x");
}

Test(builder_add, symlink_chain_is_followed)
{
    expect_layer("d a/b\nl s1 a\nl s2 s1/b\nl s3 ./s2/\nf s3/x x",
        "/ 755 implicit\na/ 755 implicit\na/b/ 711\na/b/x=x\ns1->a\ns2->s1/b\ns3->./s2/");
}

Test(builder_add, symlink_loop)
{
    struct report r = REPORT_INIT;

    cr_expect_eq(layer_error("l a b\nl b a\nf a/x x", &r), -ELOOP);
    cr_expect_not_null(strstr(r.text, "a/x"), "%s", r.text);
}

static void link_chain(struct lfs_builder *b, unsigned links, struct report *r)
{
    char line[64];

    cr_assert_eq(add_line(b, "d s0", r), 0);
    for (unsigned i = 1; i <= links; i++) {
        (void)snprintf(line, sizeof(line), "l s%u s%u", i, i - 1);
        cr_assert_eq(add_line(b, line, r), 0);
    }
}

Test(builder_add, forty_symlinks_are_followed_and_not_one_more)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    struct report r = REPORT_INIT;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    link_chain(b, 41, &r);
    cr_expect_eq(add_line(b, "f s40/x x", &r), 0, "%s", r.text);
    cr_expect_eq(add_line(b, "f s41/x x", &r), -ELOOP);
}

Test(builder_add, parent_that_is_no_directory)
{
    struct report r = REPORT_INIT;

    cr_expect_eq(layer_error("f a x\nf a/x x", &r), -EBADMSG);
    cr_expect_str_eq(r.text, "a/x: a parent is not a directory");
    cr_expect_eq(layer_error("p a\nd a/x", &r), -EBADMSG);
    cr_expect_eq(layer_error("f f x\nl a f\nf a/x x", &r), -EBADMSG);
    cr_expect_eq(layer_error("f /  x", &r), -EBADMSG);
}

Test(builder_add, hard_link_is_a_second_name)
{
    expect_layer(
        "f f x\nh g f\nh d/h g", "/ 755 implicit\nd/ 755 implicit\nd/h=x(3)\nf=x(3)\ng=x(3)");
}

Test(builder_add, hard_link_to_symlink_and_fifo)
{
    expect_layer("l s nowhere\nh t s\np p\nh q p",
        "/ 755 implicit\np|(2)\nq|(2)\ns->nowhere(2)\nt->nowhere(2)");
}

Test(builder_add, hard_link_through_a_parent_symlink)
{
    expect_layer(
        "f d/f x\nl s d\nh g s/f", "/ 755 implicit\nd/ 755 implicit\nd/f=x(2)\ng=x(2)\ns->d");
}

Test(builder_add, replaced_name_leaves_the_other)
{
    expect_layer("f f one\nh g f\nf f two", "/ 755 implicit\nf=two\ng=one");
}

Test(builder_add, hard_link_over_a_directory)
{
    expect_layer("f f x\nf d/x y\nh d f", "/ 755 implicit\nd=x(2)\nf=x(2)");
}

Test(builder_add, hard_link_to_what_the_layer_does_not_have)
{
    expect_layer(
        "h g d/f\nh h g\nl s d\nh i s/e", "/ 755 implicit\ng=>d/f(2)\nh=>d/f(2)\ni=>d/e\ns->d");
}

Test(builder_add, bad_hard_links)
{
    struct report r = REPORT_INIT;

    cr_expect_eq(layer_error("d d\nh g d", &r), -EBADMSG);
    cr_expect_str_eq(r.text, "g: hard link to d, a directory");
    cr_expect_eq(layer_error("f f x\nh f f", &r), -EBADMSG, "itself");
    cr_expect_eq(layer_error("h d/f d/f", &r), -EBADMSG, "itself, in a lower layer");
    cr_expect_eq(layer_error("f d/f x\nh d d/f", &r), -EBADMSG, "what it replaces");
    cr_expect_eq(layer_error("h d d/f", &r), -EBADMSG, "what it replaces in a lower layer");
    cr_expect_eq(layer_error("w f\nh g f", &r), -EBADMSG, "removed before");
    cr_expect_eq(layer_error("w d\nh g d/f", &r), -EBADMSG, "in what was removed before");
    cr_expect_eq(layer_error("f f x\nh g f/x", &r), -EBADMSG, "through a file");
    cr_expect_eq(layer_error("f f x\nh g ../f", &r), -EBADMSG, "a path that is not plain");
}

/* A parent may be a symlink below, to which a hard link is fine. */
Test(builder_add, hard_link_to_an_implicit_directory_is_decided_later)
{
    expect_layer("f s/n x\nh g s", "/ 755 implicit\ng=>s\ns/ 755 implicit\ns/n=x");
}

Test(builder_add, whiteouts_are_names_without_inodes)
{
    expect_layer("w a/x\nw a/x\nw y", "/ 755 implicit\na/ 755 implicit\na/x whiteout\ny whiteout");
}

Test(builder_add, entry_and_whiteout_in_either_order)
{
    expect_layer("w a\nf a new", "/ 755 implicit\na=new");
    expect_layer("f a new\nw a", "/ 755 implicit\na=new");
    expect_layer("w a\nd a", "/ 755 implicit\na/ 711 opaque");
    expect_layer("d a\nw a", "/ 755 implicit\na/ 711 opaque");
}

/* The parent is new, so the metadata of a lower directory of that name are void. */
Test(builder_add, whited_out_parent_is_no_longer_implicit)
{
    expect_layer("w a\nf a/y x", "/ 755 implicit\na/ 755 opaque\na/y=x");
    expect_layer("f a/y x\nw a", "/ 755 implicit\na/ 755 opaque\na/y=x");
}

Test(builder_add, whiteout_hides_whiteouts_below)
{
    expect_layer("w a\nw a/b/x\no a", "/ 755 implicit\na whiteout");
    expect_layer("w a/b/x\no a/b\nw a", "/ 755 implicit\na whiteout");
}

Test(builder_add, whiteout_below_something_else_is_void)
{
    expect_layer("f a x\nw a/x\no a", "/ 755 implicit\na=x");
}

Test(builder_add, whiteout_through_a_symlink_of_the_layer)
{
    expect_layer("l a b\nw a/x", "/ 755 implicit\na->b\nb/ 755 implicit\nb/x whiteout");
}

Test(builder_add, opaque_marks)
{
    expect_layer("o a\nf a/y x", "/ 755 implicit\na/ 755 implicit opaque\na/y=x");
    expect_layer("f a/y x\no a", "/ 755 implicit\na/ 755 implicit opaque\na/y=x");
    expect_layer("o a\nd a", "/ 755 implicit\na/ 711 opaque");
    expect_layer("o /\nf a x", "/ 755 implicit opaque\na=x");
}

/* A real entry makes all directories above it real, so that a whiteout of one makes it opaque. */
Test(builder_add, ghosts_become_real)
{
    expect_layer("w a/b/x\nf a/b/y x\nw a",
        "/ 755 implicit\na/ 755 opaque\na/b/ 755 implicit\na/b/x whiteout\na/b/y=x");
    expect_layer("w a/b/x\nd a/b\nw a", "/ 755 implicit\na/ 755 opaque\na/b/ 711\na/b/x whiteout");
}

static int add_path(const char *path, struct report *r)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    struct oci_layer_entry e = {.kind = OCI_ENTRY_NODE, .path = path, .mode = S_IFIFO | 0600};
    uint32_t node;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    return lfs_builder_add(b, &e, &node, r);
}

Test(builder_add, broken_promises_of_the_reader)
{
    static const char *const bad[] = {
        "..", "../x", "a/..", "a/../b", ".", "./a", "/a", "a//b", "a/"};
    struct report r = REPORT_INIT;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        cr_expect_eq(add_path(bad[i], &r), -EBADMSG, "%s", bad[i]);
    cr_expect_eq(add_path("...", &r), 0);
    cr_expect_eq(add_path("..a", &r), 0);
}

static char *long_path(size_t size)
{
    char *path = malloc(size + 1);

    cr_assert_not_null(path);
    for (size_t i = 0; i < size; i++)
        path[i] = i % 2 ? '/' : 'a';
    path[size] = '\0';
    path[size - 1] = 'b';
    return path;
}

Test(builder_add, limits_of_paths_and_names)
{
    struct report r = REPORT_INIT;
    char name[OCI_NAME_MAX + 2] = "";
    char *path = long_path(OCI_PATH_MAX - 1);

    cr_expect_eq(add_path(path, &r), 0, "%s", r.text);
    free(path);
    path = long_path(OCI_PATH_MAX);
    cr_expect_eq(add_path(path, &r), -ENAMETOOLONG);
    free(path);
    memset(name, 'n', OCI_NAME_MAX);
    cr_expect_eq(add_path(name, &r), 0, "%s", r.text);
    name[OCI_NAME_MAX] = 'n';
    cr_expect_eq(add_path(name, &r), -ENAMETOOLONG);
}

/* Symlinks lead deeper than any path of the tar; the path that results is what counts. */
Test(builder_add, limit_of_paths_through_symlinks)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    struct report r = REPORT_INIT;
    char *path = long_path(2501);
    struct oci_layer_entry dir = {.kind = OCI_ENTRY_NODE, .path = path, .mode = S_IFDIR | 0755};
    struct oci_layer_entry link = {
        .kind = OCI_ENTRY_NODE, .path = "s", .mode = S_IFLNK, .link = path};
    char *below = long_path(1598);
    uint32_t node;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    cr_assert_eq(lfs_builder_add(b, &dir, &node, &r), 0);
    cr_assert_eq(lfs_builder_add(b, &link, &node, &r), 0);
    below[0] = 's';
    dir.path = below; /* 2501 and 1597 behind the s: one too many */
    cr_expect_eq(lfs_builder_add(b, &dir, &node, &r), -ENAMETOOLONG);
    below[strlen(below) - 3] = '\0';
    cr_expect_eq(lfs_builder_add(b, &dir, &node, &r), 0, "%s", r.text);
    free(path);
    free(below);
}

Test(builder_add, symlink_targets)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    struct report r = REPORT_INIT;
    char *target = long_path(OCI_PATH_MAX);
    struct oci_layer_entry e = {
        .kind = OCI_ENTRY_NODE, .path = "s", .mode = S_IFLNK, .link = target};
    uint32_t node;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    cr_expect_eq(lfs_builder_add(b, &e, &node, &r), -EBADMSG);
    target[OCI_PATH_MAX - 1] = '\0';
    cr_expect_eq(lfs_builder_add(b, &e, &node, &r), 0, "%s", r.text);
    target[0] = '\0';
    cr_expect_eq(lfs_builder_add(b, &e, &node, &r), -EBADMSG);
    free(target);
}

Test(builder_add, metadata_are_kept)
{
    static const uint8_t capability[] = {1, 0, 0, 2, 0, 4, 0, 0};
    static const struct oci_xattr xattrs[] = {
        {.name = "security.capability", .value = capability, .size = sizeof(capability)},
        {.name = "user.empty", .value = "", .size = 0},
    };
    struct oci_layer_entry e = {
        .kind = OCI_ENTRY_NODE,
        .path = "ping",
        .mode = S_IFREG | 06755,
        .uid = 4000000000,
        .gid = 3000000000,
        .mtime_sec = -5,
        .mtime_nsec = 999999999,
        .xattrs = xattrs,
        .xattr_count = 2,
    };
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct report r = REPORT_INIT;
    struct lfs_xattr xattr;
    struct lfs_inode i;
    uint32_t node;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    cr_assert_eq(lfs_builder_add(b, &e, &node, &r), 0, "%s", r.text);
    cr_expect_eq(node, 0, "an empty file wants no content");
    tree = write_and_open(b);
    cr_assert_eq(lfs_tree_resolve(tree, "ping", &i), 0);
    cr_expect_eq(i.mode, S_IFREG | 06755);
    cr_expect_eq(i.uid, 4000000000);
    cr_expect_eq(i.gid, 3000000000);
    cr_expect_eq(i.mtime_sec, -5);
    cr_expect_eq(i.mtime_nsec, 999999999);
    cr_expect_eq(lfs_tree_features(tree), LFS_TREE_HAS_XATTRS);
    cr_assert_eq(lfs_tree_xattr_get(tree, &i, "security.capability", &xattr), 0);
    cr_assert_eq(xattr.value_size, sizeof(capability));
    cr_expect_arr_eq(xattr.value, capability, sizeof(capability));
    cr_assert_eq(lfs_tree_xattr_get(tree, &i, "user.empty", &xattr), 0);
    cr_expect_eq(xattr.value_size, 0);
    cr_expect_eq(lfs_tree_xattr_get(tree, &i, "user.emp", &xattr), -ENODATA);
}

static int add_xattrs(const struct oci_xattr *xattrs, size_t count)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    struct report r = REPORT_INIT;
    struct oci_layer_entry e = {
        .kind = OCI_ENTRY_NODE,
        .path = "f",
        .mode = S_IFREG,
        .xattrs = xattrs,
        .xattr_count = count,
    };
    uint32_t node;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    return lfs_builder_add(b, &e, &node, &r);
}

Test(builder_add, bad_xattrs)
{
    static const uint8_t value[OCI_XATTR_SIZE_MAX + 1];
    static const struct oci_xattr unsorted[] = {{"user.b", "", 0}, {"user.a", "", 0}};
    static const struct oci_xattr twice[] = {{"user.b", "", 0}, {"user.b", "1", 1}};
    static const struct oci_xattr prefix[] = {{"user.b", "", 0}, {"user.bb", "", 0}};
    static const struct oci_xattr most[] = {{"user.b", value, OCI_XATTR_SIZE_MAX}};
    static const struct oci_xattr more[] = {{"user.b", value, OCI_XATTR_SIZE_MAX + 1}};
    static const struct oci_xattr empty[] = {{"", "", 0}};

    cr_expect_eq(add_xattrs(unsorted, 2), -EBADMSG);
    cr_expect_eq(add_xattrs(twice, 2), -EBADMSG);
    cr_expect_eq(add_xattrs(prefix, 2), 0);
    cr_expect_eq(add_xattrs(most, 1), 0);
    cr_expect_eq(add_xattrs(more, 1), -E2BIG);
    cr_expect_eq(add_xattrs(empty, 1), -EBADMSG);
}

Test(builder_add, bad_nodes)
{
    struct oci_layer_entry e = {.kind = OCI_ENTRY_NODE, .path = "f", .mode = S_IFREG};
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    struct report r = REPORT_INIT;
    uint32_t node;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    e.size = INT64_MAX;
    cr_expect_eq(lfs_builder_add(b, &e, &node, &r), 0);
    e.size++;
    cr_expect_eq(lfs_builder_add(b, &e, &node, &r), -EFBIG);
    e.size = 0;
    e.mtime_nsec = 1000000000;
    cr_expect_eq(lfs_builder_add(b, &e, &node, &r), -EBADMSG);
    e.mtime_nsec = 0;
    e.mode = 0644;
    cr_expect_eq(lfs_builder_add(b, &e, &node, &r), -EBADMSG);
}

Test(builder_add, contents_are_set_once_and_for_files_only)
{
    static const uint8_t sha256[32] = {1};
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    struct oci_layer_entry e = {.kind = OCI_ENTRY_NODE, .path = "f", .mode = S_IFREG, .size = 100};
    struct report r = REPORT_INIT;
    uint32_t node, other;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    cr_assert_eq(lfs_builder_add(b, &e, &node, &r), 0);
    cr_expect_eq(lfs_builder_set_pack(b, node, INT64_MAX, sha256), -EFBIG);
    cr_expect_eq(lfs_builder_set_pack(b, node, 77, sha256), 0);
    cr_expect_eq(lfs_builder_set_object(b, node, sha256), -EINVAL, "twice");
    cr_expect_eq(lfs_builder_set_object(b, 0, sha256), -EINVAL);
    cr_expect_eq(lfs_builder_set_object(b, 1, sha256), -EINVAL, "the root");
    cr_expect_eq(lfs_builder_set_object(b, 1000, sha256), -EINVAL);
    /* A file that was replaced may still get its content, and no other file is hit. */
    cr_assert_eq(lfs_builder_add(b, &e, &node, &r), 0);
    cr_assert_eq(lfs_builder_add(b, &e, &other, &r), 0);
    cr_expect_neq(node, other);
    cr_expect_eq(lfs_builder_set_object(b, node, sha256), 0);
    cr_expect_eq(lfs_builder_set_object(b, other, sha256), 0);
}

Test(builder_add, image_builders_take_no_entries)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    struct report r = REPORT_INIT;

    cr_assert_eq(lfs_builder_new(LFS_TREE_IMAGE, &b), 0);
    cr_expect_eq(add_line(b, "d a", &r), -EINVAL);
}

Test(builder_add, many_names_in_one_directory)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct report r = REPORT_INIT;
    char line[64];
    struct lfs_inode i;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    for (unsigned n = 0; n < 3000; n++) {
        (void)snprintf(line, sizeof(line), "f d/%u %u", n * 7919 % 3000, n);
        cr_assert_eq(add_line(b, line, &r), 0);
    }
    cr_assert_eq(add_line(b, "p d/17", &r), 0);
    tree = write_and_open(b);
    cr_assert_eq(lfs_tree_resolve(tree, "d", &i), 0);
    cr_expect_eq(i.entry_count, 3000);
    cr_assert_eq(lfs_tree_resolve(tree, "d/2999", &i), 0);
    cr_expect(S_ISREG(i.mode));
    cr_assert_eq(lfs_tree_resolve(tree, "d/17", &i), 0);
    cr_expect(S_ISFIFO(i.mode));
}
