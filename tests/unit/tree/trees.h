/* SPDX-License-Identifier: Apache-2.0 */
/* Small trees for tests, written and shown as text.
 *
 * A layer is lines of "KIND PATH [ARGUMENT]":
 *
 *     d a 711        a directory (mode)          w a/x      a whiteout
 *     f a/x hello    a file (its content)        o a        an opaque mark
 *     l s usr/lib    a symlink (its target)      p fifo     a FIFO
 *     h g a/x        a hard link (its target)    c null 1:3 a character device
 *
 * Files are 0640, all belong to 5:6 and are of second 1000000. A tree is shown as one line a name,
 * without newline at the end: "/ 755 implicit", "a/ 711 opaque", "a/x=hello" with "(2)" for two
 * links, "s->usr/lib", "g=>lower/path" for a link to a lower layer, "x whiteout", "fifo|",
 * "null 1:3". */
#ifndef TESTS_TREES_H
#define TESTS_TREES_H

#include "layerfs/tree/builder.h"
#include "oci/util/buf.h"

/* An empty file that has no name, and the path to open it by. */
int memory_file(void);
struct lfs_tree *open_fd(int fd);

/* Adds one line; what lfs_builder_add() returns. */
int add_line(struct lfs_builder *b, const char *line, struct report *r);

/* A layer's tree from lines; the test fails where one is refused. */
struct lfs_tree *layer_tree(const char *lines);

/* What adding the last of these lines returns, with its text in r. */
int layer_error(const char *lines, struct report *r);

/* An image's tree from layers, bottom first, NULL at the end. */
struct lfs_tree *image_tree(const char *const *layers);

/* What applying the last layer returns. */
int image_error(const char *const *layers, struct report *r);

struct lfs_tree *write_and_open(struct lfs_builder *b);
struct oci_digest test_id(uint8_t fill);

/* The tree as text; free() it. */
char *show(const struct lfs_tree *tree);
/* Fails the test with both texts when they differ. */
void expect_tree(const struct lfs_tree *tree, const char *expected);
void expect_layer(const char *lines, const char *expected);
void expect_image(const char *const *layers, const char *expected);

#define LAYERS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
