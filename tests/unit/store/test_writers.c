/* SPDX-License-Identifier: Apache-2.0 */
/* Packs and objects. */
#include "fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "layerfs/store/object_writer.h"
#include "layerfs/store/pack_writer.h"

static struct lfs_store *store;

static void enter(void)
{
    (void)fixture_enter();
    store = fixture_store();
}

static void leave(void)
{
    cr_assert(count_names(store, LFS_DIR_TMP) == 0);
    store = lfs_store_close(store);
    fixture_leave();
}

TestSuite(object_writer, .init = enter, .fini = leave);
TestSuite(pack_writer, .init = enter, .fini = leave);

/* Writes a content in pieces; every hole_every-th is left out when that is not 0. */
static void put(struct lfs_object_writer *w, size_t size, unsigned seed, unsigned hole_every,
    struct oci_digest *ret_digest)
{
    _cleanup_(freep) uint8_t *data = malloc(size + 1);
    uint8_t sha256[32];
    unsigned piece = 0;

    fill(data, size, seed);
    cr_assert(lfs_object_writer_begin(w, size) == 0);
    for (size_t at = 0; at < size; at += 10000, piece++) {
        size_t n = MIN(size - at, (size_t)10000);

        if (hole_every && piece % hole_every == hole_every - 1)
            memset(data + at, 0, n);
        else
            cr_assert(lfs_object_writer_write(w, data + at, n, at) == 0);
    }
    cr_assert(lfs_object_writer_end(w, sha256) == 0);
    cr_assert(oci_digest_of(OCI_DIGEST_SHA256, data, size, ret_digest) == 0);
    cr_assert(memcmp(sha256, ret_digest->bytes, 32) == 0);
}

static void check_object(const struct oci_digest *digest, size_t size)
{
    _cleanup_(fd_closep) int fd = lfs_store_open_object(store, digest->bytes);
    _cleanup_(freep) uint8_t *data = malloc(size + 1);
    struct oci_digest is;
    struct stat st;

    cr_assert(fd >= 0 && fstat(fd, &st) == 0);
    cr_assert((size_t)st.st_size == size);
    cr_assert((st.st_mode & 07777) == 0444);
    cr_assert(io_pread_full(fd, data, size, 0) == (ssize_t)size);
    cr_assert(oci_digest_of(OCI_DIGEST_SHA256, data, size, &is) == 0);
    cr_assert(oci_digest_equal(&is, digest));
}

Test(object_writer, sizes_around_the_buffer)
{
    static const size_t sizes[] = {
        1, LFS_PACK_LIMIT + 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5000001};
    _cleanup_(lfs_object_writer_freep) struct lfs_object_writer *w = NULL;
    struct oci_digest digests[ARRAY_SIZE(sizes)];

    (void)umask(077);
    cr_assert(lfs_object_writer_new(store, &w) == 0);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        put(w, sizes[i], (unsigned)i, 0, &digests[i]);
    cr_assert(lfs_object_writer_flush(w) == 0);
    cr_assert(count_objects(store) == 0); /* nothing has its name before it may be durable */
    cr_assert(lfs_object_writer_publish(w) == 0);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        check_object(&digests[i], sizes[i]);
    cr_assert(count_objects(store) == ARRAY_SIZE(sizes));
}

Test(object_writer, holes_are_zeros)
{
    _cleanup_(lfs_object_writer_freep) struct lfs_object_writer *w = NULL;
    struct oci_digest a, b;

    cr_assert(lfs_object_writer_new(store, &w) == 0);
    put(w, 500000, 1, 2, &a); /* the last piece is one */
    put(w, 3000000, 2, 3, &b);
    cr_assert(lfs_object_writer_flush(w) == 0);
    cr_assert(lfs_object_writer_publish(w) == 0);
    check_object(&a, 500000);
    check_object(&b, 3000000);
}

Test(object_writer, many_and_the_same_again)
{
    struct oci_digest digest;

    for (int round = 0; round < 2; round++) {
        _cleanup_(lfs_object_writer_freep) struct lfs_object_writer *w = NULL;

        cr_assert(lfs_object_writer_new(store, &w) == 0);
        for (unsigned i = 0; i < 200; i++)
            put(w, 70000 + i % 50, i % 50, 0, &digest);
        put(w, 2000000, 99, 0, &digest);
        put(w, 2000000, 99, 0, &digest);
        cr_assert(lfs_object_writer_flush(w) == 0);
        if (round == 1) /* all were there: nothing waits for its name */
            cr_assert(count_names(store, LFS_DIR_TMP) == 1);
        cr_assert(lfs_object_writer_publish(w) == 0);
    }
    cr_assert(count_objects(store) == 51);
}

Test(object_writer, two_writers_of_the_same)
{
    _cleanup_(lfs_object_writer_freep) struct lfs_object_writer *v = NULL, *w = NULL;
    struct oci_digest digest;

    cr_assert(lfs_object_writer_new(store, &v) == 0 && lfs_object_writer_new(store, &w) == 0);
    put(v, 100000, 1, 0, &digest);
    put(w, 100000, 1, 0, &digest);
    cr_assert(lfs_object_writer_flush(v) == 0 && lfs_object_writer_flush(w) == 0);
    cr_assert(lfs_object_writer_publish(v) == 0 && lfs_object_writer_publish(w) == 0);
    cr_assert(count_objects(store) == 1);
}

Test(object_writer, unpublished_leaves_nothing)
{
    struct lfs_object_writer *w = NULL;
    struct oci_digest digest;

    cr_assert(lfs_object_writer_new(store, &w) == 0);
    put(w, 100000, 1, 0, &digest);
    put(w, 3000000, 1, 0, &digest);
    cr_assert(lfs_object_writer_begin(w, 3000000) == 0);
    cr_assert(lfs_object_writer_write(w, "x", 1, 0) == 0);
    (void)lfs_object_writer_free(w);
    cr_assert(count_objects(store) == 0);
}

Test(object_writer, wrong_offsets_are_refused)
{
    struct {
        size_t size;
        uint64_t offset;
    } bad[] = {{11, 0}, {1, 10}, {1, UINT64_MAX}, {1, 11}};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_(lfs_object_writer_freep) struct lfs_object_writer *w = NULL;

        cr_assert(lfs_object_writer_new(store, &w) == 0);
        cr_assert(lfs_object_writer_begin(w, 10) == 0);
        cr_assert(lfs_object_writer_write(w, "01234567890", bad[i].size, bad[i].offset) == -EINVAL);
        cr_assert(lfs_object_writer_flush(w) == -EINVAL);
        cr_assert(lfs_object_writer_publish(w) == -EINVAL);
    }
}

static uint64_t append(struct lfs_pack_writer *w, size_t size, unsigned seed)
{
    _cleanup_(freep) uint8_t *data = malloc(size + 1);
    struct oci_digest digest;
    uint64_t offset;

    fill(data, size, seed);
    cr_assert(oci_digest_of(OCI_DIGEST_SHA256, data, size, &digest) == 0);
    cr_assert(lfs_pack_writer_append(w, data, size, digest.bytes, &offset) == 0);
    return offset;
}

static const char key[] = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

Test(pack_writer, contents_follow_one_another)
{
    _cleanup_(lfs_pack_writer_freep) struct lfs_pack_writer *w = NULL;
    _cleanup_(fd_closep) int fd = -1;
    uint64_t at = 0;

    cr_assert(lfs_pack_writer_new(store, &w) == 0);
    for (unsigned i = 0; i < 100; i++) {
        cr_assert(append(w, LFS_PACK_LIMIT - i, i) == at);
        at += LFS_PACK_LIMIT - i;
    }
    cr_assert(append(w, LFS_PACK_LIMIT - 50, 50) < at); /* the same again */
    cr_assert(append(w, 7, 1000) == at);
    cr_assert(lfs_pack_writer_flush(w) == 0);
    cr_assert(count_names(store, LFS_DIR_PACKS) == 0);
    cr_assert(lfs_pack_writer_publish(w, key) == 0);
    fd = openat(lfs_store_dirfd(store, LFS_DIR_PACKS), key, O_RDONLY | O_CLOEXEC);
    cr_assert(fd >= 0 && lseek(fd, 0, SEEK_END) == (off_t)at + 7);
    at = 0;
    for (unsigned i = 0; i < 100; i++) {
        uint8_t want[LFS_PACK_LIMIT], is[LFS_PACK_LIMIT];

        fill(want, LFS_PACK_LIMIT - i, i);
        cr_assert(io_pread_full(fd, is, LFS_PACK_LIMIT - i, (off_t)at) == LFS_PACK_LIMIT - i);
        cr_assert(memcmp(want, is, LFS_PACK_LIMIT - i) == 0);
        at += LFS_PACK_LIMIT - i;
    }
}

Test(pack_writer, an_empty_pack_is_no_file)
{
    _cleanup_(lfs_pack_writer_freep) struct lfs_pack_writer *w = NULL;

    cr_assert(lfs_pack_writer_new(store, &w) == 0);
    cr_assert(lfs_pack_writer_flush(w) == 0);
    cr_assert(lfs_pack_writer_publish(w, key) == 0);
    cr_assert(count_names(store, LFS_DIR_PACKS) == 0);
}
