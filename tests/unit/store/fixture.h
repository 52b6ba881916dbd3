/* SPDX-License-Identifier: Apache-2.0 */
/* What the store's tests need: a temporary directory, small tars, and images in memory. */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include <criterion/criterion.h>
#include <sys/types.h>

#include "layerfs/store/image.h"
#include "oci/util/buf.h"
#include "oci/util/io.h"

/* Makes a directory and returns its path (static). */
const char *fixture_enter(void);
/* Removes it. */
void fixture_leave(void);
/* A path below it; static, the last few stay valid. */
const char *fixture_path(const char *name);

/* Opens the store "store" of the fixture, making it. */
struct lfs_store *fixture_store(void);

/* Appends one entry to a tar. size counts for files; the content is made from seed. */
void tar_file(struct buf *tar, const char *path, size_t size, unsigned seed);
void tar_dir(struct buf *tar, const char *path);
void tar_symlink(struct buf *tar, const char *path, const char *target);
void tar_end(struct buf *tar);
/* The content that tar_file() gives a file. */
void fill(uint8_t *data, size_t size, unsigned seed);

enum { TEST_LAYERS_MAX = 8 };

/* An image in memory that is an image source as well. Change what you like before or after
 * test_image_seal(), which makes config and manifest of the layers as they are then. */
struct test_image {
    struct oci_image_source source; /* first */
    struct buf layers[TEST_LAYERS_MAX];
    struct oci_digest blobs[TEST_LAYERS_MAX], diff_ids[TEST_LAYERS_MAX];
    size_t layer_count, diff_id_count;
    struct buf config;
    struct oci_digest config_digest;
    bool missing[TEST_LAYERS_MAX]; /* the blob cannot be had */
    _Atomic unsigned opened;       /* layer blobs that were opened */
    uint64_t die_at;               /* the process kills itself when it has handed out so many */
};

void test_image_init(struct test_image *image);
void test_image_seal(struct test_image *image);
void test_image_deinit(struct test_image *image);

/* Two layers with inline, pack and object contents. */
void test_image_make(struct test_image *image);

/* Imports and expects success. */
void must_import(struct lfs_store *store, struct test_image *image, const char *tag);

/* Names in a directory of the store but "." and "..", those with .verified excluded. */
size_t count_names(struct lfs_store *store, enum lfs_store_dir dir);
size_t count_objects(struct lfs_store *store);

/* The content of a file of a tree, as a reader of the store gets it; compared with fill(). */
void check_file(struct lfs_store *store, const struct lfs_tree *tree, const char *path, size_t size,
    unsigned seed);
/* All files of test_image_make(). */
void check_made(struct lfs_store *store, const struct lfs_tree *tree);

/* Loads tag and prepares it; expects success. */
struct lfs_tree *must_prepare(struct lfs_store *store, const char *tag);

#endif
