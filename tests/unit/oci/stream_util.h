/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of streams and layers share. */
#ifndef TESTS_UNIT_OCI_STREAM_UTIL_H
#define TESTS_UNIT_OCI_STREAM_UTIL_H

#include "oci/layer.h"
#include "oci/source.h"
#include "oci/util/buf.h"

/* A source over borrowed bytes that hands out `chunk` bytes at a time, each in memory of exactly
 * that size, and counts in *closed (may be NULL) when it is closed. After the bytes it fails with
 * err when that is not 0. */
struct oci_source *test_chunks(
    const void *data, size_t size, size_t chunk, int err, unsigned *closed);

/* Reads all of s into b and closes it. 0 or what it failed with. */
int test_drain(struct oci_source *s, struct buf *b, struct report *r);

/* Bytes that are neither random nor all alike, the same for each seed. */
void test_fill(void *data, size_t size, uint32_t seed);

/* A new directory below $TMPDIR; test_rmdir() removes it and all below, and frees the name. */
char *test_mkdir(void);
void test_rmdir(char **dir);

/* Runs a shell command with $T set to dir; asserts success. */
void test_run(const char *dir, const char *fmt, ...) _printf_(2, 3);
bool test_have(const char *program);

/* Reads dir/name. */
void test_read(const char *dir, const char *name, struct buf *b);

/* Describes all entries of the tar, a line each, contents by their digest with holes as zeros.
 * ret_holes (may be NULL) gets the bytes of all holes. 0 or what the reader failed with. */
int test_list(struct oci_source *tar, const struct oci_layer_limits *limits, struct buf *text,
    uint64_t *ret_holes, struct report *r);

enum test_tree_flags {
    TEST_NO_NSEC = 1 << 0,
    TEST_NO_XATTRS = 1 << 1,
};

/* Describes a directory tree as test_list() describes its tar, sorted by path; a file's names after
 * the first are hard links. */
void test_list_tree(const char *dir, unsigned flags, struct buf *text);

/* Sorts the lines of a text. */
void test_sort(struct buf *text);

#endif
