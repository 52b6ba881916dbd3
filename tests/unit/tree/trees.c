/* SPDX-License-Identifier: Apache-2.0 */
/* Small trees for tests. */
#include "tests/unit/tree/trees.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int memory_file(void)
{
    int fd = memfd_create("tree", MFD_CLOEXEC);

    cr_assert_geq(fd, 0);
    return fd;
}

struct lfs_tree *open_fd(int fd)
{
    struct report r = REPORT_INIT;
    struct lfs_tree *tree = NULL;
    char path[40];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    cr_assert_eq(lfs_tree_open(AT_FDCWD, path, &tree, &r), 0, "%s", r.text);
    return tree;
}

struct oci_digest test_id(uint8_t fill)
{
    uint8_t bytes[32];

    memset(bytes, fill, sizeof(bytes));
    return oci_digest_sha256(bytes);
}

static void fill_entry(struct oci_layer_entry *e, char kind, const char *argument)
{
    *e = (struct oci_layer_entry){
        .kind = kind == 'h'   ? OCI_ENTRY_HARDLINK
                : kind == 'w' ? OCI_ENTRY_WHITEOUT
                : kind == 'o' ? OCI_ENTRY_OPAQUE
                              : OCI_ENTRY_NODE,
        .mode = kind == 'd'   ? S_IFDIR | 0711
                : kind == 'l' ? S_IFLNK | 0777
                : kind == 'p' ? S_IFIFO | 0640
                : kind == 'c' ? S_IFCHR | 0640
                              : S_IFREG | 0640,
        .uid = 5,
        .gid = 6,
        .mtime_sec = 1000000,
    };
    if (kind == 'd' && argument[0])
        e->mode = S_IFDIR | (mode_t)strtoul(argument, NULL, 8);
    if (kind == 'l' || kind == 'h')
        e->link = argument;
    if (kind == 'f')
        e->size = strlen(argument);
    if (kind == 'c')
        (void)sscanf(argument, "%u:%u", &e->rdev_major, &e->rdev_minor);
}

int add_line(struct lfs_builder *b, const char *line, struct report *r)
{
    char kind = line[0], path[8192] = "", argument[8192] = "";
    struct oci_layer_entry e;
    struct oci_digest sum;
    uint32_t node = 0;
    int err;

    (void)sscanf(line + 1, " %8191s %8191s", path, argument);
    fill_entry(&e, kind, argument);
    e.path = strcmp(path, "/") == 0 ? "" : path;
    err = lfs_builder_add(b, &e, &node, r);
    if (err < 0)
        return err;
    cr_assert_eq(node != 0, kind == 'f' && argument[0], "%s", line);
    if (node) {
        cr_assert_eq(oci_digest_of(OCI_DIGEST_SHA256, argument, e.size, &sum), 0);
        cr_assert_eq(lfs_builder_set_inline(b, node, argument, sum.bytes), 0);
    }
    return 0;
}

/* Adds all lines; stops at the first that is refused. */
static int add_lines(struct lfs_builder *b, const char *lines, struct report *r, bool *ret_last)
{
    int err = 0;

    while (err == 0 && *lines) {
        size_t size = strcspn(lines, "\n");
        char *line = strndup(lines, size);

        cr_assert_not_null(line);
        lines += size + (lines[size] == '\n');
        err = add_line(b, line, r);
        free(line);
    }
    *ret_last = *lines == '\0';
    return err;
}

struct lfs_tree *write_and_open(struct lfs_builder *b)
{
    struct report r = REPORT_INIT;
    struct oci_digest id = test_id(7);
    int fd = memory_file();
    struct lfs_tree *tree;

    cr_assert_eq(lfs_builder_write(b, &id, fd, &r), 0, "%s", r.text);
    tree = open_fd(fd);
    (void)close(fd);
    cr_assert_eq(lfs_tree_verify(tree, &r), 0, "%s", r.text);
    return tree;
}

struct lfs_tree *layer_tree(const char *lines)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    struct report r = REPORT_INIT;
    bool last;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    cr_assert_eq(add_lines(b, lines, &r, &last), 0, "%s", r.text);
    return write_and_open(b);
}

int layer_error(const char *lines, struct report *r)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    bool last;
    int err;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    err = add_lines(b, lines, r, &last);
    cr_assert(last, "an earlier line was refused: %s", r->text);
    return err;
}

static int apply_all(struct lfs_builder *b, const char *const *layers, struct report *r)
{
    int err = 0;

    for (size_t i = 0; err == 0 && layers[i]; i++) {
        _cleanup_(lfs_tree_closep) struct lfs_tree *layer = layer_tree(layers[i]);
        char name[24];

        (void)snprintf(name, sizeof(name), "%zu", i);
        err = lfs_builder_apply(b, layer, name, r);
        cr_assert(err == 0 || !layers[i + 1], "layer %zu was refused: %s", i, r->text);
    }
    return err;
}

struct lfs_tree *image_tree(const char *const *layers)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    struct report r = REPORT_INIT;

    cr_assert_eq(lfs_builder_new(LFS_TREE_IMAGE, &b), 0);
    cr_assert_eq(apply_all(b, layers, &r), 0, "%s", r.text);
    return write_and_open(b);
}

int image_error(const char *const *layers, struct report *r)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;

    cr_assert_eq(lfs_builder_new(LFS_TREE_IMAGE, &b), 0);
    return apply_all(b, layers, r);
}

static void show_bytes(
    struct buf *out, const struct lfs_tree *tree, const struct lfs_inode *inode, const char *sign)
{
    const char *data = "";

    cr_assert_eq(buf_append_str(out, sign), 0);
    if (inode->size)
        cr_assert_eq(lfs_tree_bytes(tree, inode, &data), 0);
    cr_assert_eq(buf_append(out, data, inode->size), 0);
}

static void show_inode(struct buf *out, const struct lfs_tree *tree, const struct lfs_inode *inode)
{
    if (S_ISDIR(inode->mode))
        (void)buf_printf(out, "/ %o%s%s", inode->mode & 07777,
            inode->flags & LFS_INODE_IMPLICIT ? " implicit" : "",
            inode->flags & LFS_INODE_OPAQUE ? " opaque" : "");
    else if (S_ISLNK(inode->mode))
        show_bytes(out, tree, inode, "->");
    else if (S_ISREG(inode->mode))
        show_bytes(out, tree, inode, inode->flags & LFS_INODE_LINK ? "=>" : "=");
    else if (S_ISFIFO(inode->mode))
        (void)buf_append_str(out, "|");
    else
        (void)buf_printf(out, " %u:%u", inode->rdev_major, inode->rdev_minor);
    if (!S_ISDIR(inode->mode) && inode->nlink > 1)
        (void)buf_printf(out, "(%u)", inode->nlink);
}

static void show_dir(
    struct buf *out, const struct lfs_tree *tree, const struct lfs_inode *dir, const char *path)
{
    for (uint32_t i = 0; i < dir->entry_count; i++) {
        struct lfs_dirent entry;
        struct lfs_inode inode;
        char child[4096];

        cr_assert_eq(lfs_tree_entry(tree, dir, i, &entry), 0);
        (void)snprintf(child, sizeof(child), "%s%s%.*s", path, *path ? "/" : "",
            (int)entry.name_size, entry.name);
        (void)buf_printf(out, "\n%s", child);
        if (!entry.inode) {
            (void)buf_append_str(out, " whiteout");
            continue;
        }
        cr_assert_eq(lfs_tree_inode(tree, entry.inode, &inode), 0);
        show_inode(out, tree, &inode);
        if (S_ISDIR(inode.mode))
            show_dir(out, tree, &inode, child);
    }
}

char *show(const struct lfs_tree *tree)
{
    struct buf out = {0};
    struct lfs_inode root;
    char *text;

    cr_assert_eq(lfs_tree_inode(tree, LFS_TREE_ROOT, &root), 0);
    show_inode(&out, tree, &root);
    show_dir(&out, tree, &root, "");
    text = buf_steal_str(&out);
    cr_assert_not_null(text);
    return text;
}

void expect_tree(const struct lfs_tree *tree, const char *expected)
{
    char *text = show(tree);

    cr_expect_str_eq(text, expected, "got:\n%s\nexpected:\n%s", text, expected);
    free(text);
}

void expect_layer(const char *lines, const char *expected)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = layer_tree(lines);

    expect_tree(tree, expected);
}

void expect_image(const char *const *layers, const char *expected)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = image_tree(layers);

    expect_tree(tree, expected);
}
