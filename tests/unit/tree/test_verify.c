/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged trees: found by open or verify, and harmless to read where they are not. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define must(condition) cr_assert(condition)
#include "tests/unit/tree/exercise.h"
#include "tests/unit/tree/trees.h"

#include "oci/util/io.h"

TestSuite(verify);

/* A bit of everything. */
static const char everything[] = "d / 755\nd a 700\nf a/b one\nf a/c two\nf a/d one\nh a/e a/b\n"
                                 "l s a/b\np fifo\nc null 1:3\nd a/sub/dir\nf empty\n";
static const char layer_only[] = "o a\nf a/y x\nw b/x\nh l lower/file\nd c\nw c\n";

/* A tree in memory, its file, and what it is changed to. */
struct sample {
    struct buf bytes;
    int fd;
    char path[40];
};

static void sample_deinit(struct sample *s)
{
    buf_deinit(&s->bytes);
    s->fd = fd_close(s->fd);
}

static void add_with_xattrs(struct lfs_builder *b, const char *path, const char *value)
{
    const struct oci_xattr xattrs[] = {
        {.name = "system.posix_acl_access", .value = value, .size = strlen(value)},
        {.name = "user.a", .value = "12", .size = 2},
    };
    struct oci_layer_entry e = {
        .kind = OCI_ENTRY_NODE,
        .path = path,
        .mode = S_IFREG | 0644,
        .size = 70000,
        .xattrs = xattrs,
        .xattr_count = 2,
    };
    uint8_t sha256[32] = {(uint8_t)value[0]};
    struct report r = REPORT_INIT;
    uint32_t node;

    cr_assert_eq(lfs_builder_add(b, &e, &node, &r), 0);
    cr_assert_eq(value[0] == 'o' ? lfs_builder_set_object(b, node, sha256)
                                 : lfs_builder_set_pack(b, node, 512, sha256),
        0);
}

static struct lfs_builder *sample_layer(const char *lines)
{
    struct lfs_builder *b = NULL;
    struct report r = REPORT_INIT;
    char line[64];

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    for (; *lines; lines += strcspn(lines, "\n") + 1) {
        (void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(lines, "\n"), lines);
        cr_assert_eq(add_line(b, line, &r), 0, "%s", r.text);
    }
    add_with_xattrs(b, "x1", "object");
    add_with_xattrs(b, "x2", "pack");
    add_with_xattrs(b, "x3", "pack");
    return b;
}

static void write_sample(struct lfs_builder *b, struct sample *ret_sample)
{
    struct oci_digest id = test_id(9);
    struct report r = REPORT_INIT;
    struct sample s = {.fd = memory_file()};

    cr_assert_eq(lfs_builder_write(b, &id, s.fd, &r), 0, "%s", r.text);
    (void)snprintf(s.path, sizeof(s.path), "/proc/self/fd/%d", s.fd);
    cr_assert_eq(io_read_file(AT_FDCWD, s.path, 1 << 20, &s.bytes), 0);
    *ret_sample = s;
}

static void layer_sample(struct sample *ret_sample)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = sample_layer(layer_only);

    write_sample(b, ret_sample);
}

static void image_sample(struct sample *ret_sample)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *layer = sample_layer(everything);
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = write_and_open(layer);
    struct report r = REPORT_INIT;

    cr_assert_eq(lfs_builder_new(LFS_TREE_IMAGE, &b), 0);
    cr_assert_eq(lfs_builder_apply(b, tree, "x", &r), 0, "%s", r.text);
    write_sample(b, ret_sample);
}

/* Writes the sample's bytes and opens them; what open and then verify says. */
static int try_bytes(const struct sample *s, const uint8_t *bytes, bool exercise, struct report *r)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    int err;

    cr_assert_eq(io_pwrite_full(s->fd, bytes, s->bytes.size, 0), 0);
    err = lfs_tree_open(AT_FDCWD, s->path, &tree, r);
    if (err < 0)
        return err;
    return exercise ? exercise_tree(tree) : lfs_tree_verify(tree, r);
}

static void flip_every_byte(const struct sample *s, uint8_t mask)
{
    for (size_t i = 0; i < s->bytes.size; i++) {
        struct report r = REPORT_INIT;

        s->bytes.data[i] ^= mask;
        cr_expect_lt(try_bytes(s, s->bytes.data, false, &r), 0, "byte %zu by %#x", i, mask);
        cr_expect(report_is_set(&r));
        s->bytes.data[i] ^= mask;
    }
    cr_expect_eq(try_bytes(s, s->bytes.data, true, NULL), 0);
}

Test(verify, every_flipped_bit_is_found)
{
    struct sample image, layer;

    image_sample(&image);
    layer_sample(&layer);
    for (unsigned bit = 0; bit < 8; bit++)
        flip_every_byte(&image, (uint8_t)(1u << bit));
    flip_every_byte(&image, 0xff);
    flip_every_byte(&layer, 0xff);
    sample_deinit(&image);
    sample_deinit(&layer);
}

/* With checksums made right, a change may give another valid tree, but never a harmful one. */
static void flip_and_seal(const struct sample *s, uint8_t mask)
{
    uint8_t *bytes = malloc(s->bytes.size);

    cr_assert_not_null(bytes);
    for (size_t i = 0; i < s->bytes.size; i++) {
        memcpy(bytes, s->bytes.data, s->bytes.size);
        bytes[i] ^= mask;
        seal_tree(bytes, s->bytes.size);
        (void)try_bytes(s, bytes, true, NULL);
    }
    free(bytes);
}

Test(verify, sealed_damage_is_harmless)
{
    static const uint8_t masks[] = {0x01, 0x04, 0x80, 0xff};
    struct sample image, layer;

    image_sample(&image);
    layer_sample(&layer);
    for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
        flip_and_seal(&image, masks[i]);
        flip_and_seal(&layer, masks[i]);
    }
    sample_deinit(&image);
    sample_deinit(&layer);
}

/* Pointers into a copy of a tree, to break it in ways that matter. */
struct parts {
    uint8_t *bytes;
    struct lfs_disk_header *header;
    struct lfs_disk_inode *inodes;
    struct lfs_disk_entry *entries;
    char *names;
    uint8_t *xattrs;
    char *data;
};

static uint32_t inode_of(const struct sample *s, const char *path)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = open_fd(s->fd);
    struct lfs_inode inode;

    cr_assert_eq(lfs_tree_resolve(tree, path, &inode), 0, "%s", path);
    return inode.number;
}

static uint64_t entry_of(const struct sample *s, const char *dir_path, const char *name)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = open_fd(s->fd);
    struct lfs_dirent found, entry;
    struct lfs_inode dir;
    uint32_t i = 0;

    cr_assert_eq(lfs_tree_resolve(tree, dir_path, &dir), 0);
    cr_assert_eq(lfs_tree_lookup(tree, &dir, name, strlen(name), &found), 0);
    while (lfs_tree_entry(tree, &dir, i, &entry) == 0 && entry.name != found.name)
        i++;
    return dir.first_entry + i;
}

static void open_parts(const struct sample *s, struct parts *ret_parts)
{
    uint8_t *bytes = malloc(s->bytes.size);
    struct lfs_disk_header *h = (struct lfs_disk_header *)bytes;

    cr_assert_not_null(bytes);
    memcpy(bytes, s->bytes.data, s->bytes.size);
    *ret_parts = (struct parts){
        .bytes = bytes,
        .header = h,
        .inodes = (struct lfs_disk_inode *)(bytes + h->sections[LFS_SECTION_INODES].offset),
        .entries = (struct lfs_disk_entry *)(bytes + h->sections[LFS_SECTION_ENTRIES].offset),
        .names = (char *)bytes + h->sections[LFS_SECTION_NAMES].offset,
        .xattrs = bytes + h->sections[LFS_SECTION_XATTRS].offset,
        .data = (char *)bytes + h->sections[LFS_SECTION_DATA].offset,
    };
}

/* Seals the broken tree: it must be refused with this text, and read without harm. */
static void expect_refused(const struct sample *s, struct parts *p, const char *text)
{
    struct report r = REPORT_INIT;

    seal_tree(p->bytes, s->bytes.size);
    cr_expect_eq(try_bytes(s, p->bytes, false, &r), -EBADMSG, "%s", text);
    cr_expect_not_null(strstr(r.text, text), "got \"%s\", expected \"%s\"", r.text, text);
    (void)try_bytes(s, p->bytes, true, NULL);
    cr_assert_eq(io_pwrite_full(s->fd, s->bytes.data, s->bytes.size, 0), 0);
    free(p->bytes);
    open_parts(s, p);
}

Test(verify, broken_inodes)
{
    struct sample s;
    struct parts p;
    uint32_t n;

    image_sample(&s);
    open_parts(&s, &p);
    p.inodes[0].uid = 1;
    expect_refused(&s, &p, "inode 0 is not empty");
    p.inodes[inode_of(&s, "a/b")].mode = 0644;
    expect_refused(&s, &p, "out of range");
    n = inode_of(&s, "a/b");
    p.inodes[n].nlink = 3;
    expect_refused(&s, &p, "3 links, but 2 names");
    p.inodes[n].digest = 0;
    expect_refused(&s, &p, "content without a digest");
    p.inodes[n].ref = 1000000;
    expect_refused(&s, &p, "out of range");
    p.inodes[n].size = 0;
    expect_refused(&s, &p, "content and size disagree");
    p.inodes[n].size = 4; /* one more than was summed up */
    expect_refused(&s, &p, "bytes in files");
    p.inodes[n].parent = 1;
    expect_refused(&s, &p, "an unused field");
    p.inodes[n].flags = LFS_INODE_LINK;
    expect_refused(&s, &p, "flags");
    p.inodes[n].mtime_nsec = 1000000000;
    expect_refused(&s, &p, "out of range");
    p.inodes[inode_of(&s, "s")].size = 0;
    expect_refused(&s, &p, "not a path");
    p.inodes[inode_of(&s, "x2")].aux = 1;
    expect_refused(&s, &p, "out of range");
    p.inodes[inode_of(&s, "x1")].ref = 1;
    expect_refused(&s, &p, "an object has no offset");
    p.inodes[inode_of(&s, "x1")].xattrs += 1;
    expect_refused(&s, &p, "amidst others");
    p.inodes[inode_of(&s, "fifo")].size = 1;
    expect_refused(&s, &p, "an unused field");
    p.inodes[inode_of(&s, "a")].flags = LFS_INODE_OPAQUE;
    expect_refused(&s, &p, "flags");
    free(p.bytes);
    sample_deinit(&s);
}

Test(verify, broken_directories)
{
    struct sample s;
    struct parts p;
    uint32_t a, sub, dir;

    image_sample(&s);
    open_parts(&s, &p);
    a = inode_of(&s, "a");
    sub = inode_of(&s, "a/sub");
    dir = inode_of(&s, "a/sub/dir");
    p.inodes[a].nlink = 4;
    expect_refused(&s, &p, "4 links, but 1 subdirectories");
    p.inodes[a].parent = a;
    expect_refused(&s, &p, "its parent is");
    p.inodes[LFS_TREE_ROOT].parent = a;
    expect_refused(&s, &p, "not a root directory");
    p.inodes[a].aux -= 1;
    expect_refused(&s, &p, "entries in directories");
    p.inodes[dir].ref = p.inodes[a].ref; /* two directories share an entry */
    p.inodes[dir].aux = 1;
    p.inodes[a].aux -= 1;
    p.inodes[a].nlink = 2;
    expect_refused(&s, &p, "in two directories");
    /* a/sub and a/sub/dir in a circle that the root does not reach; a gets a file in exchange. */
    p.entries[entry_of(&s, "a", "sub")].inode = inode_of(&s, "a/b");
    p.entries[entry_of(&s, "a", "sub")].type = 8;
    p.inodes[inode_of(&s, "a/b")].nlink = 3;
    p.inodes[a].nlink = 2;
    expect_refused(&s, &p, "a directory of 0 names");
    p.entries[entry_of(&s, "a/sub", "dir")].inode = sub;
    p.inodes[sub].parent = sub;
    expect_refused(&s, &p, "its parent is");
    free(p.bytes);
    sample_deinit(&s);
}

/* Two directories that hold one another satisfy every local rule. */
Test(verify, circle_of_directories)
{
    struct sample s;
    struct parts p;
    uint32_t sub, dir, a;

    image_sample(&s);
    open_parts(&s, &p);
    a = inode_of(&s, "a");
    sub = inode_of(&s, "a/sub");
    dir = inode_of(&s, "a/sub/dir");
    /* The entry of a/sub goes from a, which it ends, to a/sub/dir, where it leads back to sub. */
    cr_assert_eq(entry_of(&s, "a", "sub"), p.inodes[a].ref + p.inodes[a].aux - 1);
    p.inodes[dir].ref = p.inodes[a].ref + p.inodes[a].aux - 1;
    p.inodes[dir].aux = 1;
    p.inodes[dir].nlink = 3;
    p.inodes[a].aux -= 1;
    p.inodes[a].nlink = 2;
    p.inodes[sub].parent = dir;
    expect_refused(&s, &p, "2 directories are not below the root");
    free(p.bytes);
    sample_deinit(&s);
}

Test(verify, broken_names)
{
    struct sample s;
    struct parts p;
    uint64_t b;

    image_sample(&s);
    open_parts(&s, &p);
    b = entry_of(&s, "a", "b");
    p.names[p.entries[b].name] = '/';
    expect_refused(&s, &p, "not a valid name");
    p.names[p.entries[b].name] = '.';
    expect_refused(&s, &p, "not a valid name");
    p.names[p.entries[b].name] = '\0';
    expect_refused(&s, &p, "not a valid name");
    p.names[p.entries[b].name] = 'c'; /* as the next one is called */
    expect_refused(&s, &p, "not sorted");
    p.names[p.entries[b].name] = 'z';
    expect_refused(&s, &p, "not sorted");
    p.entries[b].name_size = 0;
    expect_refused(&s, &p, "out of range");
    p.entries[b].name_size = 256;
    expect_refused(&s, &p, "out of range");
    p.entries[b].name = UINT32_MAX;
    expect_refused(&s, &p, "out of range");
    p.entries[b].type = 4;
    expect_refused(&s, &p, "another type");
    p.entries[b].reserved = 1;
    expect_refused(&s, &p, "not a valid name");
    p.entries[b].inode = 0;
    p.entries[b].type = 0;
    expect_refused(&s, &p, "leads to no inode");
    free(p.bytes);
    sample_deinit(&s);
}

Test(verify, broken_xattrs)
{
    struct sample s;
    struct parts p;

    image_sample(&s);
    open_parts(&s, &p);
    p.xattrs[0] = 3; /* more attributes than there are */
    expect_refused(&s, &p, "extended attribute");
    p.xattrs[0] = 0;
    expect_refused(&s, &p, "empty set");
    p.xattrs[4] = 0; /* name size */
    expect_refused(&s, &p, "extended attributes at 0");
    p.xattrs[6] = 1; /* reserved */
    expect_refused(&s, &p, "reserved");
    p.xattrs[12] = 'z'; /* first letter of system.posix_acl_access */
    expect_refused(&s, &p, "not sorted");
    p.xattrs[13] = '\0';
    expect_refused(&s, &p, "zero byte");
    p.header->features = LFS_TREE_HAS_XATTRS;
    expect_refused(&s, &p, "features");
    p.header->file_bytes = htole64(1);
    expect_refused(&s, &p, "bytes in files");
    free(p.bytes);
    sample_deinit(&s);
}

Test(verify, layer_only_things_have_no_place_in_an_image)
{
    struct sample s;
    struct parts p;

    layer_sample(&s);
    open_parts(&s, &p);
    p.header->kind = LFS_TREE_IMAGE;
    expect_refused(&s, &p, "flags");
    p.header->id[0] ^= 1; /* the pack is no longer the layer's own */
    expect_refused(&s, &p, "packs that are not its own");
    free(p.bytes);
    sample_deinit(&s);
}

Test(verify, a_file_cut_off_or_grown)
{
    struct sample s;

    image_sample(&s);
    for (size_t size = 0; size < s.bytes.size; size += 7) {
        struct lfs_tree *tree = NULL;
        struct report r = REPORT_INIT;

        cr_assert_eq(ftruncate(s.fd, (off_t)size), 0);
        cr_expect_eq(lfs_tree_open(AT_FDCWD, s.path, &tree, &r), -EBADMSG, "%zu bytes", size);
    }
    cr_assert_eq(io_pwrite_full(s.fd, s.bytes.data, s.bytes.size, 0), 0);
    cr_expect_eq(try_bytes(&s, s.bytes.data, false, NULL), 0);
    cr_assert_eq(ftruncate(s.fd, (off_t)s.bytes.size + 1), 0);
    cr_expect_eq(try_bytes(&s, s.bytes.data, false, NULL), -EBADMSG);
    sample_deinit(&s);
}

/* Changes under an open tree: no check at open can help, the accessors' own must. */
Test(verify, changes_under_an_open_tree_are_harmless)
{
    struct sample s;
    struct lfs_tree *tree;
    uint32_t random = 12345;

    image_sample(&s);
    tree = open_fd(s.fd);
    for (unsigned round = 0; round < 3000; round++) {
        uint8_t byte;
        off_t at;

        random = random * 1664525 + 1013904223;
        at = (off_t)(random >> 8) % (off_t)s.bytes.size;
        byte = (uint8_t)(random >> 3);
        cr_assert_eq(io_pwrite_full(s.fd, &byte, 1, at), 0);
        (void)read_whole_tree(tree, false);
    }
    lfs_tree_close(tree);
    sample_deinit(&s);
}
