/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "oci/compression.h"
#include "oci/util/io.h"
#include "tests/unit/oci/stream_util.h"

TestSuite(compression);

enum { SIZE = 1500007 };

static void fill(struct buf *b, size_t size)
{
    void *data = buf_extend(b, size);

    cr_assert(data || size == 0);
    test_fill(data, size, 3);
}

static void compress_with(enum oci_compression c, int level, unsigned threads, size_t chunk,
    const struct buf *in, struct buf *out)
{
    struct report report = REPORT_INIT;
    struct oci_source *s;

    cr_assert_eq(
        oci_source_compress(test_chunks(in->data, in->size, chunk, 0, NULL), c, level, threads, &s),
        0);
    cr_assert_eq(test_drain(s, out, &report), 0, "%s", report.text);
}

static int decompress(const void *data, size_t size, size_t chunk, enum oci_compression *ret_c,
    struct buf *out, struct report *r)
{
    struct oci_source *s;

    cr_assert_eq(oci_source_decompress(test_chunks(data, size, chunk, 0, NULL), ret_c, &s), 0);
    return test_drain(s, out, r);
}

static void check_same(const struct buf *a, const struct buf *b)
{
    cr_assert_eq(a->size, b->size);
    cr_assert(a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

Test(compression, names)
{
    enum oci_compression c;

    for (int i = OCI_COMPRESSION_NONE; i <= OCI_COMPRESSION_ZSTD; i++) {
        cr_assert_eq(oci_compression_parse(oci_compression_name(i), &c), 0);
        cr_assert_eq((int)c, i);
    }
    cr_assert_eq(oci_compression_parse("xz", &c), -EINVAL);
    cr_assert(strcmp(oci_inflate_name(), "isa-l") == 0 || strcmp(oci_inflate_name(), "zlib") == 0);
}

/* Every size around the block boundaries, every chunking, comes back. */
Test(compression, round_trips)
{
    static const size_t sizes[] = {
        0, 1, 511, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 512 << 10, SIZE};
    static const size_t chunks[] = {100, 4096, 1 << 20};

    for (int c = OCI_COMPRESSION_NONE; c <= OCI_COMPRESSION_ZSTD; c++)
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
            for (size_t k = 0; k < ARRAY_SIZE(chunks); k++) {
                _cleanup_(buf_deinit) struct buf in = {0};
                _cleanup_(buf_deinit) struct buf packed = {0};
                _cleanup_(buf_deinit) struct buf out = {0};
                struct report report = REPORT_INIT;
                enum oci_compression found = OCI_COMPRESSION_NONE;

                fill(&in, sizes[i]);
                compress_with(c, -1, 2, chunks[k], &in, &packed);
                cr_assert_eq(decompress(packed.data, packed.size, chunks[k], &found, &out, &report),
                    0, "%s", report.text);
                cr_assert_eq((int)found, c);
                check_same(&in, &out);
            }
}

Test(compression, same_bytes_for_any_number_of_threads)
{
    _cleanup_(buf_deinit) struct buf in = {0};

    fill(&in, 5 << 20); /* several jobs of zstd */
    for (int c = OCI_COMPRESSION_GZIP; c <= OCI_COMPRESSION_ZSTD; c++) {
        _cleanup_(buf_deinit) struct buf first = {0};

        compress_with(c, 1, 1, 1 << 20, &in, &first);
        for (unsigned threads = 0; threads <= 8; threads++) {
            _cleanup_(buf_deinit) struct buf again = {0};

            compress_with(c, 1, threads, 1000 + 77777 * threads, &in, &again);
            check_same(&first, &again);
        }
    }
}

Test(compression, all_levels)
{
    _cleanup_(buf_deinit) struct buf in = {0};
    size_t before = SIZE_MAX;

    fill(&in, 300 << 10);
    for (int level = 0; level <= 9; level++) {
        _cleanup_(buf_deinit) struct buf packed = {0};
        _cleanup_(buf_deinit) struct buf out = {0};

        compress_with(OCI_COMPRESSION_GZIP, level, 2, 4096, &in, &packed);
        cr_assert_eq(decompress(packed.data, packed.size, 4096, NULL, &out, NULL), 0);
        check_same(&in, &out);
        cr_assert(level != 1 || packed.size < before); /* 0 stores */
        before = packed.size;
    }
}

Test(compression, levels_out_of_range)
{
    struct oci_source *s;
    unsigned closed = 0;

    cr_assert_eq(
        oci_source_compress(test_chunks("", 0, 1, 0, &closed), OCI_COMPRESSION_GZIP, 10, 1, &s),
        -EINVAL);
    cr_assert_eq(
        oci_source_compress(test_chunks("", 0, 1, 0, &closed), OCI_COMPRESSION_ZSTD, 100, 1, &s),
        -EINVAL);
    cr_assert_eq(closed, 2);
}

/* Data that do not shrink need the most room. */
Test(compression, incompressible)
{
    _cleanup_(fd_closep) int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    _cleanup_(buf_deinit) struct buf in = {0};

    cr_assert(buf_extend(&in, 600 << 10));
    cr_assert_eq(io_read_full(fd, in.data, in.size), (ssize_t)in.size);
    for (int level = 0; level <= 9; level += 3)
        for (int c = OCI_COMPRESSION_GZIP; c <= OCI_COMPRESSION_ZSTD; c++) {
            _cleanup_(buf_deinit) struct buf packed = {0};
            _cleanup_(buf_deinit) struct buf out = {0};

            compress_with(c, level, 3, 65536, &in, &packed);
            cr_assert_eq(decompress(packed.data, packed.size, 65536, NULL, &out, NULL), 0);
            check_same(&in, &out);
        }
}

Test(compression, other_tools_accept_it)
{
    _cleanup_(test_rmdir) char *dir = test_mkdir();
    _cleanup_(buf_deinit) struct buf in = {0};

    fill(&in, SIZE);
    for (int c = OCI_COMPRESSION_GZIP; c <= OCI_COMPRESSION_ZSTD; c++) {
        _cleanup_(fd_closep) int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(buf_deinit) struct buf packed = {0};
        _cleanup_(buf_deinit) struct buf out = {0};

        compress_with(c, -1, 3, 10000, &in, &packed);
        cr_assert_eq(io_write_file(dirfd, "packed", packed.data, packed.size, 0600), 0);
        test_run(dir, "%s -t <\"$T/packed\" 2>/dev/null && %s -dc <\"$T/packed\" >\"$T/out\"",
            oci_compression_name(c), oci_compression_name(c));
        test_read(dir, "out", &out);
        check_same(&in, &out);
    }
}

Test(compression, input_failures_pass_through)
{
    for (int c = OCI_COMPRESSION_NONE; c <= OCI_COMPRESSION_ZSTD; c++) {
        _cleanup_(buf_deinit) struct buf in = {0};
        _cleanup_(buf_deinit) struct buf out = {0};
        struct report report = REPORT_INIT;
        unsigned closed = 0;
        struct oci_source *s;

        fill(&in, SIZE);
        cr_assert_eq(oci_source_compress(
                         test_chunks(in.data, in.size, 9999, -EPROTO, &closed), c, -1, 2, &s),
            0);
        cr_assert_eq(oci_source_decompress(s, NULL, &s), 0);
        cr_assert_eq(test_drain(s, &out, &report), -EPROTO);
        cr_assert_str_eq(report.text, "test failure");
        cr_assert_eq(closed, 1);
    }
}

Test(compression, closed_early)
{
    for (int c = OCI_COMPRESSION_NONE; c <= OCI_COMPRESSION_ZSTD; c++)
        for (unsigned reads = 0; reads < 3; reads++) {
            _cleanup_(buf_deinit) struct buf in = {0};
            unsigned closed = 0;
            const uint8_t *data;
            struct oci_source *s;

            fill(&in, SIZE);
            cr_assert_eq(
                oci_source_compress(test_chunks(in.data, in.size, 9999, 0, &closed), c, 1, 4, &s),
                0);
            for (unsigned i = 0; i < reads; i++)
                cr_assert(oci_source_next(s, &data, NULL) > 0);
            (void)oci_source_close(s);
            cr_assert_eq(closed, 1);
        }
}

/* ---- decompression ---- */

static void two_members(enum oci_compression c, struct buf *in, struct buf *packed)
{
    _cleanup_(buf_deinit) struct buf half = {0};

    fill(&half, 3000);
    compress_with(c, -1, 1, 1000, &half, packed);
    compress_with(c, -1, 1, 1000, &half, packed);
    cr_assert_eq(buf_append(in, half.data, half.size), 0);
    cr_assert_eq(buf_append(in, half.data, half.size), 0);
}

Test(compression, several_members_and_padding)
{
    for (int c = OCI_COMPRESSION_GZIP; c <= OCI_COMPRESSION_ZSTD; c++)
        for (size_t chunk = 1; chunk < 600; chunk += 1 + chunk / 16) {
            _cleanup_(buf_deinit) struct buf in = {0};
            _cleanup_(buf_deinit) struct buf packed = {0};
            _cleanup_(buf_deinit) struct buf out = {0};
            struct report report = REPORT_INIT;

            two_members(c, &in, &packed);
            cr_assert_eq(decompress(packed.data, packed.size, chunk, NULL, &out, &report), 0, "%s",
                report.text);
            check_same(&in, &out);
            out.size = 0;
            cr_assert(buf_extend(&packed, 700)); /* zeros */
            cr_assert_eq(decompress(packed.data, packed.size, chunk, NULL, &out, &report), 0, "%s",
                report.text);
            check_same(&in, &out);
            out.size = 0;
            cr_assert_eq(buf_append(&packed, "x", 1), 0);
            cr_assert_eq(
                decompress(packed.data, packed.size, chunk, NULL, &out, &report), -EBADMSG);
            cr_assert(strstr(report.text, "garbage after the"), "%s", report.text);
        }
}

Test(compression, garbage_right_after)
{
    for (int c = OCI_COMPRESSION_GZIP; c <= OCI_COMPRESSION_ZSTD; c++) {
        _cleanup_(buf_deinit) struct buf in = {0};
        _cleanup_(buf_deinit) struct buf packed = {0};
        _cleanup_(buf_deinit) struct buf out = {0};

        two_members(c, &in, &packed);
        cr_assert_eq(buf_append_str(&packed, "garbage, more of it than a header"), 0);
        cr_assert_eq(decompress(packed.data, packed.size, 4096, NULL, &out, NULL), -EBADMSG);
    }
}

Test(compression, zstd_skippable_frames)
{
    static const uint8_t skippable[] = {0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'};
    _cleanup_(buf_deinit) struct buf in = {0};
    _cleanup_(buf_deinit) struct buf packed = {0};
    _cleanup_(buf_deinit) struct buf out = {0};
    enum oci_compression c = OCI_COMPRESSION_NONE;

    cr_assert_eq(buf_append(&packed, skippable, sizeof(skippable)), 0);
    two_members(OCI_COMPRESSION_ZSTD, &in, &packed);
    cr_assert_eq(buf_append(&packed, skippable, sizeof(skippable)), 0);
    cr_assert_eq(decompress(packed.data, packed.size, 5, &c, &out, NULL), 0);
    cr_assert_eq(c, OCI_COMPRESSION_ZSTD);
    check_same(&in, &out);
}

Test(compression, truncated_at_every_byte)
{
    for (int c = OCI_COMPRESSION_GZIP; c <= OCI_COMPRESSION_ZSTD; c++) {
        _cleanup_(buf_deinit) struct buf in = {0};
        _cleanup_(buf_deinit) struct buf packed = {0};
        size_t whole;

        fill(&in, 2000);
        compress_with(c, -1, 1, 1000, &in, &packed);
        whole = packed.size;
        /* Below four bytes (two of gzip) nothing says that it is compressed. */
        for (size_t size = 4; size < whole; size++)
            for (size_t chunk = 1; chunk <= 4096; chunk *= 64) {
                _cleanup_(buf_deinit) struct buf out = {0};
                struct report report = REPORT_INIT;

                cr_assert_eq(decompress(packed.data, size, chunk, NULL, &out, &report), -EBADMSG);
                cr_assert(strstr(report.text, "truncated"), "%zu: %s", size, report.text);
            }
    }
}

/* A flipped bit is an error, or (in a header's free fields, and padding) changes nothing. */
Test(compression, bit_flips)
{
    for (int c = OCI_COMPRESSION_GZIP; c <= OCI_COMPRESSION_ZSTD; c++) {
        _cleanup_(buf_deinit) struct buf in = {0};
        _cleanup_(buf_deinit) struct buf packed = {0};
        size_t errors = 0;

        fill(&in, 2000);
        compress_with(c, -1, 1, 1000, &in, &packed);
        for (size_t bit = 32; bit < packed.size * 8; bit++) {
            _cleanup_(buf_deinit) struct buf out = {0};
            struct report report = REPORT_INIT;
            int r;

            packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            r = decompress(packed.data, packed.size, 500, NULL, &out, &report);
            packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (r == 0)
                check_same(&in, &out);
            else
                cr_assert(report_is_set(&report));
            errors += r < 0;
        }
        cr_assert(errors > packed.size * 7);
    }
}

Test(compression, plain_of_any_size)
{
    for (size_t size = 0; size < 10; size++)
        for (size_t chunk = 1; chunk < 10; chunk++) {
            _cleanup_(buf_deinit) struct buf out = {0};
            enum oci_compression c = OCI_COMPRESSION_ZSTD;

            cr_assert_eq(decompress("0123456789", size, chunk, &c, &out, NULL), 0);
            cr_assert_eq(c, OCI_COMPRESSION_NONE);
            cr_assert_eq(out.size, size);
            cr_assert(size == 0 || memcmp(out.data, "0123456789", size) == 0);
        }
}

Test(compression, zstd_window_too_large)
{
    /* A frame header that asks for a window of 2^28 bytes. */
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, (28 - 10) << 3, 1, 0, 0};
    _cleanup_(buf_deinit) struct buf out = {0};
    struct report report = REPORT_INIT;

    cr_assert_eq(decompress(frame, sizeof(frame), 100, NULL, &out, &report), -EFBIG);
    cr_assert(strstr(report.text, "128 MiB"), "%s", report.text);
}

Test(compression, gzip_header_with_all_fields)
{
    /* Text, header CRC, extra field, name and comment; the CRC follows. */
    static const uint8_t header[] = {0x1f, 0x8b, 8, 0x1f, 1, 2, 3, 4, 2, 3, 4, 0, 'e', 'x', 't',
        'r', 'n', 'a', 'm', 'e', 0, 'n', 'o', 't', 'e', 0};
    _cleanup_(buf_deinit) struct buf in = {0};
    _cleanup_(buf_deinit) struct buf packed = {0};
    _cleanup_(buf_deinit) struct buf whole = {0};
    unsigned long crc = crc32(crc32(0, NULL, 0), header, sizeof(header));
    uint8_t crc16[2] = {(uint8_t)crc, (uint8_t)(crc >> 8)};

    fill(&in, 3000);
    compress_with(OCI_COMPRESSION_GZIP, -1, 1, 1000, &in, &packed);
    for (unsigned member = 0; member < 2; member++) {
        cr_assert_eq(buf_append(&whole, header, sizeof(header)), 0);
        cr_assert_eq(buf_append(&whole, crc16, sizeof(crc16)), 0);
        cr_assert_eq(buf_append(&whole, packed.data + 10, packed.size - 10), 0);
    }
    for (size_t chunk = 1; chunk < 40; chunk++) {
        _cleanup_(buf_deinit) struct buf out = {0};

        cr_assert_eq(decompress(whole.data, whole.size, chunk, NULL, &out, NULL), 0);
        cr_assert_eq(out.size, 2 * in.size);
        cr_assert_eq(memcmp(out.data, in.data, in.size), 0);
        cr_assert_eq(memcmp(out.data + in.size, in.data, in.size), 0);
    }
}
