/* SPDX-License-Identifier: Apache-2.0 */
/* Trees: whatever bytes a file holds, open and verify refuse it or every accessor is safe on it.
 *
 * Each input is tried as it is, with right checksums, which mutations cannot reach, and with its
 * sections in their places besides, so that inserted and removed bytes get behind the header too. A
 * layer's tree is laid over an empty image and over itself; where it verified, so must the result.
 */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <sys/mman.h>

#define must(condition) fuzz_check(condition)
#include "tests/unit/tree/exercise.h"

#include "oci/util/io.h"

static int new_file(char path[static 40])
{
    int fd = memfd_create("tree", MFD_CLOEXEC);

    fuzz_check(fd >= 0);
    (void)snprintf(path, 40, "/proc/self/fd/%d", fd);
    return fd;
}

static void verify_written(struct lfs_builder *b)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    _cleanup_(fd_closep) int fd = -1;
    struct oci_digest id = {.alg = OCI_DIGEST_SHA256};
    struct report r = REPORT_INIT;
    char path[40];

    fd = new_file(path);
    fuzz_check(lfs_builder_write(b, &id, fd, &r) == 0);
    fuzz_check(lfs_tree_open(AT_FDCWD, path, &tree, &r) == 0);
    fuzz_check(exercise_tree(tree) == 0);
}

static void apply(const struct lfs_tree *layer, bool verified)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    struct report r = REPORT_INIT;
    int err;

    fuzz_check(lfs_builder_new(LFS_TREE_IMAGE, &b) == 0);
    err = lfs_builder_apply(b, layer, "fuzz", &r);
    if (err == 0)
        err = lfs_builder_apply(b, layer, "fuzz", &r);
    fuzz_check((err < 0) == report_is_set(&r));
    if (err == 0 && verified)
        verify_written(b);
}

static void try_tree(const uint8_t *data, size_t size)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    _cleanup_(fd_closep) int fd = -1;
    struct report r = REPORT_INIT;
    char path[40];
    int verified;

    fd = new_file(path);
    fuzz_check(io_write_full(fd, data, size) == 0);
    if (lfs_tree_open(AT_FDCWD, path, &tree, &r) < 0) {
        fuzz_check(report_is_set(&r));
        return;
    }
    verified = exercise_tree(tree);
    if (lfs_tree_kind(tree) == LFS_TREE_LAYER)
        apply(tree, verified == 0);
}

/* Moves the sections together, keeping what sizes fit; the last takes the rest. */
static void lay_sections(uint8_t *data, size_t size)
{
    static const uint32_t units[LFS_SECTIONS] = {64, 12, 32, 32, 1, 1, 1};
    struct lfs_disk_header h;
    uint64_t at = sizeof(h);

    if (size < sizeof(h))
        return;
    memcpy(&h, data, sizeof(h));
    for (unsigned i = 0; i < LFS_SECTIONS; i++) {
        uint64_t offset = (at + 7) & ~UINT64_C(7);
        uint64_t room = offset < size ? size - offset : 0;
        uint64_t want = i + 1 < LFS_SECTIONS ? le64toh(h.sections[i].size) : room;

        want = want < room ? want : room;
        want -= want % units[i];
        h.sections[i] = (struct lfs_disk_section){htole64(offset), htole64(want)};
        at = offset + want;
    }
    memcpy(data, &h, sizeof(h));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *sealed = malloc(size + 1);

    fuzz_check(sealed);
    if (size)
        memcpy(sealed, data, size);
    seal_tree(sealed, size);
    try_tree(data, size);
    try_tree(sealed, size);
    lay_sections(sealed, size);
    seal_tree(sealed, size);
    try_tree(sealed, size);
    free(sealed);
    return 0;
}
