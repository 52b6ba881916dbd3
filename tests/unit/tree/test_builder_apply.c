/* SPDX-License-Identifier: Apache-2.0 */
/* Layers over layers. The results are those of umoci 0.4.7 for the same entries, but where a test
 * says otherwise. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/tree/trees.h"

TestSuite(builder_apply);

Test(builder_apply, no_layers)
{
    expect_image(LAYERS(""), "/ 755");
}

Test(builder_apply, implicit_directories_become_plain)
{
    expect_image(LAYERS("f a/b x"), "/ 755\na/ 755\na/b=x");
}

Test(builder_apply, root_metadata)
{
    expect_image(LAYERS("d / 700", "f a x"), "/ 700\na=x");
    expect_image(LAYERS("d / 700", "d / 711"), "/ 711");
}

Test(builder_apply, implicit_over_directory_keeps_its_metadata)
{
    expect_image(LAYERS("d a 701\nf a/x x", "f a/y y"), "/ 755\na/ 701\na/x=x\na/y=y");
}

Test(builder_apply, described_over_directory_merges)
{
    expect_image(LAYERS("d a 701\nf a/x x", "d a 700\nf a/y y"), "/ 755\na/ 700\na/x=x\na/y=y");
}

Test(builder_apply, implicit_over_symlink_is_followed)
{
    expect_image(LAYERS("d usr/lib\nl lib usr/lib", "f lib/x x"),
        "/ 755\nlib->usr/lib\nusr/ 755\nusr/lib/ 711\nusr/lib/x=x");
    expect_image(LAYERS("d a/b\nl a/s ../a/./b/../b", "f a/s/c/x x"),
        "/ 755\na/ 755\na/b/ 711\na/b/c/ 755\na/b/c/x=x\na/s->../a/./b/../b");
}

Test(builder_apply, described_over_symlink_replaces_it)
{
    expect_image(LAYERS("d usr/lib\nl lib usr/lib", "d lib 700\nf lib/x x"),
        "/ 755\nlib/ 700\nlib/x=x\nusr/ 755\nusr/lib/ 711");
}

Test(builder_apply, implicit_over_dangling_symlink)
{
    expect_image(LAYERS("l a q/r", "f a/x x"), "/ 755\na->q/r\nq/ 755\nq/r/ 755\nq/r/x=x");
}

Test(builder_apply, chain_of_symlinks_over_two_layers)
{
    expect_image(LAYERS("f u/l/x x\nl l1 u", "l s l1/l\nf s/n n"),
        "/ 755\nl1->u\ns->l1/l\nu/ 755\nu/l/ 755\nu/l/n=n\nu/l/x=x");
}

Test(builder_apply, symlink_into_a_lower_directory)
{
    expect_image(LAYERS("f d/f x", "l s d\nf s/n n"), "/ 755\nd/ 755\nd/f=x\nd/n=n\ns->d");
}

Test(builder_apply, replaced_directories)
{
    expect_image(LAYERS("f a/x x", "f a y"), "/ 755\na=y");
    expect_image(LAYERS("f a/x x", "d b\nl a b\nf a/n n"), "/ 755\na->b\nb/ 711\nb/n=n");
    expect_image(LAYERS("f a/x x\nd b", "f a/n n\nl a b"), "/ 755\na->b\nb/ 711");
    expect_image(LAYERS("f a x", "d a\nf a/x y"), "/ 755\na/ 711\na/x=y");
}

/* umoci unpacks the file, and with it goes the lower directory, before the directory comes. */
Test(builder_apply, file_then_directory_in_one_layer)
{
    expect_image(LAYERS("f a/x x", "f a f\nd a\nf a/y y"), "/ 755\na/ 711\na/y=y");
}

Test(builder_apply, bad_parents)
{
    struct report r = REPORT_INIT;

    cr_expect_eq(image_error(LAYERS("f a x", "f a/x x"), &r), -EBADMSG);
    cr_expect_str_eq(r.text, "layer 1: a: a parent that is no directory in a lower layer");
    cr_expect_eq(image_error(LAYERS("p a", "f a/x x"), &r), -EBADMSG);
    cr_expect_eq(image_error(LAYERS("f f x\nl a f", "f a/x x"), &r), -EBADMSG);
    cr_expect_eq(image_error(LAYERS("l a b\nl b a", "f a/x x"), &r), -ELOOP);
    cr_expect_str_eq(r.text, "layer 1: a: a parent of too many symlinks");
}

Test(builder_apply, whiteouts)
{
    expect_image(LAYERS("f a/x x\nf a/y y", "w a/x"), "/ 755\na/ 755\na/y=y");
    expect_image(LAYERS("f a/x x\nd a/b/c\nf a/b/c/d x\nf z z", "w a"), "/ 755\nz=z");
    expect_image(LAYERS("f a x", "w a", "f a y"), "/ 755\na=y");
    expect_image(LAYERS("f a/x x", "w a", "f a/y y"), "/ 755\na/ 755\na/y=y");
}

Test(builder_apply, whiteouts_of_nothing)
{
    expect_image(LAYERS("f a/x x", "w a/z"), "/ 755\na/ 755\na/x=x");
    expect_image(LAYERS("f b x", "w a/z\no c\nw d/e/f"), "/ 755\nb=x");
    expect_image(LAYERS("f a x", "w a/x"), "/ 755\na=x");
    expect_image(LAYERS("f a x", "o a"), "/ 755\na=x");
    expect_image(LAYERS("", "w a/z\nf b/c x\no b/d/e"), "/ 755\nb/ 755\nb/c=x");
    expect_image(LAYERS("l a b\nl b a", "w a/x"), "/ 755\na->b\nb->a");
}

Test(builder_apply, whiteout_and_entry_in_either_order)
{
    expect_image(LAYERS("f a/x x", "w a\nf a new"), "/ 755\na=new");
    expect_image(LAYERS("f a/x x", "f a new\nw a"), "/ 755\na=new");
    expect_image(LAYERS("f a/x x", "w a\nd a 700\nf a/y y"), "/ 755\na/ 700\na/y=y");
    expect_image(LAYERS("f a/x x", "d a 700\nf a/y y\nw a"), "/ 755\na/ 700\na/y=y");
}

/* In the second order umoci keeps 0701; image-spec has whiteouts act before all entries. */
Test(builder_apply, whiteout_and_implicit_directory)
{
    expect_image(LAYERS("d a 701\nf a/x x", "w a\nf a/y y"), "/ 755\na/ 755\na/y=y");
    expect_image(LAYERS("d a 701\nf a/x x", "f a/y y\nw a"), "/ 755\na/ 755\na/y=y");
}

Test(builder_apply, opaque_directories)
{
    expect_image(LAYERS("f a/x x\nf a/s/z z", "o a\nf a/y y"), "/ 755\na/ 755\na/y=y");
    expect_image(LAYERS("f a/x x\nf a/s/z z", "f a/y y\no a"), "/ 755\na/ 755\na/y=y");
    expect_image(LAYERS("f a/x x\nf a/s/z z", "d a 700\nf a/s/y y\no a"),
        "/ 755\na/ 700\na/s/ 755\na/s/y=y");
    expect_image(LAYERS("d a 701\nf a/x x", "o a"), "/ 755\na/ 701");
    expect_image(LAYERS("f f x\nf g/h x", "o /\nf n n"), "/ 755\nn=n");
}

Test(builder_apply, marks_through_a_lower_symlink)
{
    expect_image(LAYERS("f b/x x\nf b/z z\nl a b", "w a/x"), "/ 755\na->b\nb/ 755\nb/z=z");
    expect_image(LAYERS("f b/x x\nl a b", "o a\nf a/y y"), "/ 755\na->b\nb/ 755\nb/y=y");
}

/* One file by two paths: the order is that of names, as in a sorted tar. */
Test(builder_apply, the_last_path_stays)
{
    expect_image(LAYERS("d a\nl s a", "f a/x one\nf s/x two"), "/ 755\na/ 711\na/x=two\ns->a");
    expect_image(
        LAYERS("d a\nl a/s .", "f a/s/x one\nf a/x two"), "/ 755\na/ 711\na/s->.\na/x=two");
}

/* What the layer itself puts there, on whichever path, is not hit. */
Test(builder_apply, marks_hit_lower_layers_only)
{
    expect_image(LAYERS("f b/x x\nl a b", "f b/x new\nw a/x\nf a/y y\no b"),
        "/ 755\na->b\nb/ 755\nb/x=new\nb/y=y");
}

Test(builder_apply, hard_links_to_lower_layers)
{
    expect_image(LAYERS("f f x", "h g f"), "/ 755\nf=x(2)\ng=x(2)");
    expect_image(LAYERS("f d/f x\nl s d", "h g s/f"), "/ 755\nd/ 755\nd/f=x(2)\ng=x(2)\ns->d");
    expect_image(LAYERS("l s t", "h g s"), "/ 755\ng->t(2)\ns->t(2)");
    expect_image(LAYERS("f f x", "h g f\nh h g", "h i h"), "/ 755\nf=x(4)\ng=x(4)\nh=x(4)\ni=x(4)");
    expect_image(LAYERS("f d/f x", "h d/f2 d/f\nh e/f d/f2"),
        "/ 755\nd/ 755\nd/f=x(3)\nd/f2=x(3)\ne/ 755\ne/f=x(3)");
}

Test(builder_apply, hard_link_and_its_target_in_the_order_of_the_tar)
{
    expect_image(LAYERS("f f old", "h g f\nf f new"), "/ 755\nf=new\ng=old");
    expect_image(LAYERS("f f old", "f f new\nh g f"), "/ 755\nf=new(2)\ng=new(2)");
    expect_image(LAYERS("f f x", "h g f\nw f"), "/ 755\ng=x");
    expect_image(LAYERS("f d/f x", "h g d/f\nw d"), "/ 755\ng=x");
}

/* The path leads through a lower symlink to what the layer brings: found when all is in place. */
Test(builder_apply, late_hard_links)
{
    expect_image(LAYERS("d d\nl s d", "f d/f x\nh g s/f"), "/ 755\nd/ 711\nd/f=x(2)\ng=x(2)\ns->d");
    expect_image(LAYERS("d d\nl s d\nf g/old x", "f d/f x\nh g s/f"),
        "/ 755\nd/ 711\nd/f=x(2)\ng=x(2)\ns->d");
}

Test(builder_apply, replaced_under_one_of_two_names)
{
    expect_image(LAYERS("f f one\nh g f", "f f two"), "/ 755\nf=two\ng=one");
    expect_image(LAYERS("f f one\nh g f\nh h f", "w h\nf f two"), "/ 755\nf=two\ng=one");
}

Test(builder_apply, hard_links_inside_an_upper_layer)
{
    expect_image(LAYERS("f f old\nh g f", "f f new\nh g f"), "/ 755\nf=new(2)\ng=new(2)");
}

Test(builder_apply, hard_links_to_nothing)
{
    struct report r = REPORT_INIT;

    cr_expect_eq(image_error(LAYERS("h d/g f"), &r), -EBADMSG);
    cr_expect_str_eq(r.text, "layer 0: d/g: hard link to f, which is in no layer");
    cr_expect_eq(image_error(LAYERS("f f x", "h g f/x"), &r), -EBADMSG);
    cr_expect_eq(image_error(LAYERS("f f x", "h g f", "w f\nw g", "h g f"), &r), -EBADMSG);
    cr_expect_eq(image_error(LAYERS("f d/f x", "h g d"), &r), -EBADMSG);
    cr_expect_str_eq(r.text, "layer 1: hard link to d, a directory");
}

/* A layer of one file in its pack, one that is an object, and one that is replaced later. */
static struct lfs_tree *packed_layer(uint8_t id, const char *path)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(fd_closep) int fd = memory_file();
    const char *const paths[] = {path, "object", "replaced"};
    struct oci_digest digest = test_id(id);
    struct report r = REPORT_INIT;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct oci_layer_entry e = {
            .kind = OCI_ENTRY_NODE, .path = paths[i], .mode = S_IFREG, .size = 1000};
        uint8_t sha256[32] = {(uint8_t)(i + 1)};
        uint32_t node;

        cr_assert_eq(lfs_builder_add(b, &e, &node, &r), 0);
        if (i == 1)
            cr_assert_eq(lfs_builder_set_object(b, node, sha256), 0);
        else
            cr_assert_eq(lfs_builder_set_pack(b, node, id * 100 + i, sha256), 0);
    }
    cr_assert_eq(lfs_builder_write(b, &digest, fd, &r), 0, "%s", r.text);
    return open_fd(fd);
}

static int add_whiteout(struct lfs_builder *b, const char *path, struct report *r)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *layer = NULL;
    char line[64];

    (void)snprintf(line, sizeof(line), "w %s", path);
    layer = layer_tree(line);
    return lfs_builder_apply(b, layer, "whiteout", r);
}

static void expect_packed(const struct lfs_tree *tree, const char *path, uint8_t id)
{
    const uint8_t *sha256;
    struct lfs_inode i;

    cr_assert_eq(lfs_tree_resolve(tree, path, &i), 0);
    cr_assert_eq(i.data_kind, LFS_DATA_PACK);
    cr_assert_eq(lfs_tree_pack(tree, i.pack, &sha256), 0);
    cr_expect_eq(sha256[0], id, "%s", path);
    cr_expect_eq(sha256[31], id, "%s", path);
    cr_assert_eq(lfs_tree_digest(tree, i.digest, &sha256), 0);
}

Test(builder_apply, contents_and_packs_come_along)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *image = NULL;
    const char *const paths[] = {"z", "gone", "a"};
    struct report r = REPORT_INIT;
    struct lfs_inode i;

    cr_assert_eq(lfs_builder_new(LFS_TREE_IMAGE, &b), 0);
    for (uint8_t n = 0; n < 3; n++) {
        _cleanup_(lfs_tree_closep) struct lfs_tree *layer = packed_layer(n + 1, paths[n]);

        cr_assert_eq(lfs_builder_apply(b, layer, "x", &r), 0, "%s", r.text);
    }
    cr_assert_eq(add_whiteout(b, "gone", &r), 0, "%s", r.text);
    image = write_and_open(b);
    cr_expect_eq(lfs_tree_pack_count(image), 2, "the second layer's pack is not used");
    expect_packed(image, "a", 3);
    expect_packed(image, "replaced", 3);
    expect_packed(image, "z", 1);
    cr_assert_eq(lfs_tree_resolve(image, "a", &i), 0);
    cr_expect_eq(i.pack, 0, "packs are numbered as they are met");
    cr_expect_eq(i.data_offset, 300);
    cr_assert_eq(lfs_tree_resolve(image, "object", &i), 0);
    cr_expect_eq(i.data_kind, LFS_DATA_OBJECT);
    cr_expect_eq(lfs_tree_file_bytes(image), 4000);
}

/* An image's tree is no layer, and a layer's builder merges nothing. */
Test(builder_apply, kinds)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *image = image_tree(LAYERS("f a x"));
    _cleanup_(lfs_tree_closep) struct lfs_tree *layer = layer_tree("f a x");
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(lfs_builder_freep) struct lfs_builder *of_layer = NULL;
    struct report r = REPORT_INIT;

    cr_assert_eq(lfs_builder_new(LFS_TREE_IMAGE, &b), 0);
    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &of_layer), 0);
    cr_expect_eq(lfs_builder_apply(b, image, "x", &r), -EINVAL);
    cr_expect_eq(lfs_builder_apply(of_layer, layer, "x", &r), -EINVAL);
}
