/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "oci/util/io.h"
#include "tests/unit/oci/stream_util.h"

TestSuite(source);

enum { SIZE = 700001 }; /* no multiple of any chunk */

static uint8_t *bytes(void)
{
    uint8_t *data = malloc(SIZE);

    cr_assert(data);
    test_fill(data, SIZE, 7);
    return data;
}

static void check_bytes(const struct buf *b, const uint8_t *data, size_t size)
{
    cr_assert_eq(b->size, size);
    cr_assert(size == 0 || memcmp(b->data, data, size) == 0);
}

static int temp_file(const uint8_t *data, size_t size)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    cr_assert(fd >= 0);
    cr_assert_eq(io_write_full(fd, data, size), 0);
    return fd;
}

Test(source, file_from_an_offset)
{
    static const struct {
        uint64_t offset, size;
        size_t expect;
    } cases[] = {
        {0, UINT64_MAX, SIZE},
        {0, SIZE, SIZE},
        {5, 10, 10},
        {SIZE - 1, UINT64_MAX, 1},
        {SIZE, UINT64_MAX, 0},
        {100, 0, 0},
        {1, 512 << 10, 512 << 10},
    };
    _cleanup_(freep) uint8_t *data = bytes();

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_(buf_deinit) struct buf b = {0};
        struct report report = REPORT_INIT;
        struct oci_source *s;

        cr_assert_eq(oci_source_file(temp_file(data, SIZE), cases[i].offset, cases[i].size, &s), 0);
        cr_assert_eq(test_drain(s, &b, &report), 0, "%s", report.text);
        check_bytes(&b, data + cases[i].offset, cases[i].expect);
    }
}

Test(source, file_that_ends_early)
{
    _cleanup_(freep) uint8_t *data = bytes();
    _cleanup_(buf_deinit) struct buf b = {0};
    struct report report = REPORT_INIT;
    struct oci_source *s;

    cr_assert_eq(oci_source_file(temp_file(data, SIZE), 10, SIZE, &s), 0);
    cr_assert_eq(test_drain(s, &b, &report), -EBADMSG);
    cr_assert(strstr(report.text, "truncated: 10 bytes are missing"), "%s", report.text);
    check_bytes(&b, data + 10, SIZE - 10);
}

Test(source, file_that_is_a_pipe)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    struct report report = REPORT_INIT;
    struct oci_source *s;
    int fds[2];

    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    cr_assert_eq(io_write_full(fds[1], "hello", 5), 0);
    (void)close(fds[1]);
    cr_assert_eq(oci_source_file(fds[0], 0, UINT64_MAX, &s), 0);
    cr_assert_eq(test_drain(s, &b, &report), 0, "%s", report.text);
    check_bytes(&b, (const uint8_t *)"hello", 5);
}

Test(source, file_that_cannot_be_read)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    struct report report = REPORT_INIT;
    struct oci_source *s;

    cr_assert_eq(oci_source_file(open("/", O_RDONLY | O_CLOEXEC), 0, UINT64_MAX, &s), 0);
    cr_assert_eq(test_drain(s, &b, &report), -EISDIR);
    cr_assert(strstr(report.text, "cannot read at offset 0"), "%s", report.text);
    cr_assert_eq(oci_source_file(open("/", O_RDONLY | O_CLOEXEC), UINT64_MAX, 1, &s), -EINVAL);
}

Test(source, memory)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    struct oci_source *s;

    cr_assert_eq(oci_source_memory("abc", 3, &s), 0);
    cr_assert_eq(test_drain(s, &b, NULL), 0);
    check_bytes(&b, (const uint8_t *)"abc", 3);
    cr_assert_eq(oci_source_memory(NULL, 0, &s), 0);
    cr_assert_eq(test_drain(s, &b, NULL), 0);
    cr_assert_eq(b.size, 3);
}

struct sink {
    struct buf seen;
    size_t fail_at;
};

static int sink_fn(void *userdata, const uint8_t *data, size_t size, struct report *r)
{
    struct sink *sink = userdata;

    if (sink->fail_at && sink->seen.size + size > sink->fail_at)
        return report_fail(r, -ENOSPC, "the sink is full");
    return buf_append(&sink->seen, data, size);
}

Test(source, tee_shows_all)
{
    _cleanup_(freep) uint8_t *data = bytes();
    _cleanup_(buf_deinit) struct buf b = {0};
    struct sink sink = {0};
    unsigned closed = 0;
    struct oci_source *s;

    cr_assert_eq(oci_source_tee(test_chunks(data, SIZE, 999, 0, &closed), sink_fn, &sink, &s), 0);
    cr_assert_eq(test_drain(s, &b, NULL), 0);
    check_bytes(&b, data, SIZE);
    check_bytes(&sink.seen, data, SIZE);
    cr_assert_eq(closed, 1);
    buf_deinit(&sink.seen);
}

Test(source, tee_passes_failures_of_both_on)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    struct sink sink = {.fail_at = 15};
    struct report report = REPORT_INIT;
    struct oci_source *s;
    uint8_t data[40] = {1};

    cr_assert_eq(oci_source_tee(test_chunks(data, 40, 10, 0, NULL), sink_fn, &sink, &s), 0);
    cr_assert_eq(test_drain(s, &b, &report), -ENOSPC);
    cr_assert_str_eq(report.text, "the sink is full");
    cr_assert_eq(b.size, 10);
    sink.fail_at = 0;
    cr_assert_eq(oci_source_tee(test_chunks(data, 40, 10, -EPROTO, NULL), sink_fn, &sink, &s), 0);
    cr_assert_eq(test_drain(s, &b, &report), -EPROTO);
    cr_assert_str_eq(report.text, "test failure");
    buf_deinit(&sink.seen);
}

static int verify(const char *text, uint64_t size, enum oci_digest_alg alg, const char *digest_of,
    struct oci_digest *ret_digest, struct report *r)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    struct oci_digest expect = {0};
    struct oci_source *s;

    if (alg != OCI_DIGEST_NONE)
        cr_assert_eq(oci_digest_of(alg, digest_of, strlen(digest_of), &expect), 0);
    cr_assert_eq(oci_source_verify(test_chunks(text, strlen(text), 2, 0, NULL), "layer x", size,
                     &expect, ret_digest, &s),
        0);
    return test_drain(s, &b, r);
}

Test(source, verify)
{
    struct report report = REPORT_INIT;
    struct oci_digest got = {0}, sha256, sha512;

    cr_assert_eq(oci_digest_of(OCI_DIGEST_SHA256, "abcdef", 6, &sha256), 0);
    cr_assert_eq(oci_digest_of(OCI_DIGEST_SHA512, "abcdef", 6, &sha512), 0);
    cr_assert_eq(verify("abcdef", 6, OCI_DIGEST_SHA256, "abcdef", &got, &report), 0);
    cr_assert(oci_digest_equal(&got, &sha256));
    cr_assert_eq(verify("abcdef", UINT64_MAX, OCI_DIGEST_SHA512, "abcdef", &got, &report), 0);
    cr_assert(oci_digest_equal(&got, &sha512));
    cr_assert_eq(verify("abcdef", 6, OCI_DIGEST_NONE, NULL, &got, &report), 0);
    cr_assert(oci_digest_equal(&got, &sha256));
    cr_assert_eq(verify("", 0, OCI_DIGEST_SHA256, "", NULL, &report), 0);
    cr_assert(!report_is_set(&report));
}

Test(source, verify_says_what_differs)
{
    struct report report = REPORT_INIT;
    struct oci_digest got = {0};

    cr_assert_eq(verify("abcdef", 7, OCI_DIGEST_SHA256, "abcdef", &got, &report), -EBADMSG);
    cr_assert_str_eq(report.text, "layer x: size differs (expected 7, got 6)");
    cr_assert_eq(verify("abcdef", 3, OCI_DIGEST_SHA256, "abcdef", &got, &report), -EBADMSG);
    cr_assert_str_eq(report.text, "layer x: size differs (expected 3, got at least 4)");
    cr_assert_eq(verify("abcdef", 6, OCI_DIGEST_SHA256, "abcdeg", &got, &report), -EBADMSG);
    cr_assert(strstr(report.text, "layer x: digest mismatch (expected sha256:"), "%s", report.text);
    cr_assert(strstr(report.text, ", got sha256:"), "%s", report.text);
    cr_assert_eq(got.alg, OCI_DIGEST_NONE);
}

Test(source, limit_at_and_one_past)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    struct report report = REPORT_INIT;
    struct oci_source *s;

    cr_assert_eq(oci_source_limit(test_chunks("abcdef", 6, 4, 0, NULL), "layer x", 6, &s), 0);
    cr_assert_eq(test_drain(s, &b, &report), 0);
    cr_assert_eq(b.size, 6);
    cr_assert_eq(oci_source_limit(test_chunks("abcdef", 6, 4, 0, NULL), "layer x", 5, &s), 0);
    cr_assert_eq(test_drain(s, &b, &report), -EFBIG);
    cr_assert_str_eq(report.text, "layer x: larger than the limit of 5 bytes");
}

Test(source, readahead_passes_all_on)
{
    static const size_t chunk_sizes[] = {1 << 20, 256 << 10, 4096, 777};
    _cleanup_(freep) uint8_t *data = bytes();

    for (size_t i = 0; i < ARRAY_SIZE(chunk_sizes); i++)
        for (unsigned chunks = 0; chunks < 6; chunks++) {
            _cleanup_(buf_deinit) struct buf b = {0};
            struct report report = REPORT_INIT;
            unsigned closed = 0;
            struct oci_source *s;

            cr_assert_eq(oci_source_readahead(
                             test_chunks(data, SIZE, chunk_sizes[i], 0, &closed), chunks, &s),
                0);
            cr_assert_eq(test_drain(s, &b, &report), 0, "%s", report.text);
            check_bytes(&b, data, SIZE);
            cr_assert_eq(closed, 1);
        }
}

Test(source, readahead_passes_failures_on_after_the_data)
{
    _cleanup_(freep) uint8_t *data = bytes();
    _cleanup_(buf_deinit) struct buf b = {0};
    struct report report = REPORT_INIT;
    struct oci_source *s;

    cr_assert_eq(oci_source_readahead(test_chunks(data, SIZE, 5000, -EPROTO, NULL), 4, &s), 0);
    cr_assert_eq(test_drain(s, &b, &report), -EPROTO);
    cr_assert_str_eq(report.text, "test failure");
    check_bytes(&b, data, SIZE);
}

Test(source, readahead_closed_early)
{
    _cleanup_(freep) uint8_t *data = bytes();

    for (unsigned reads = 0; reads < 4; reads++) {
        unsigned closed = 0;
        const uint8_t *chunk;
        struct oci_source *s;

        cr_assert_eq(oci_source_readahead(test_chunks(data, SIZE, 100, 0, &closed), 2, &s), 0);
        for (unsigned i = 0; i < reads; i++)
            cr_assert_eq(oci_source_next(s, &chunk, NULL), 100);
        (void)oci_source_close(s);
        cr_assert_eq(closed, 1);
    }
}

Test(source, close_of_null)
{
    cr_assert_null(oci_source_close(NULL));
}

/* ---- concat ---- */

Test(source, concat)
{
    _cleanup_(oci_source_closep) struct oci_source *s = NULL;
    struct oci_source *a, *b;
    struct report r = REPORT_INIT;
    char all[16] = "";
    const uint8_t *data;
    ssize_t n;

    cr_assert_eq(oci_source_memory("one", 3, &a), 0);
    cr_assert_eq(oci_source_memory("two", 3, &b), 0);
    cr_assert_eq(oci_source_concat(a, b, &s), 0);
    while ((n = oci_source_next(s, &data, &r)) > 0)
        strncat(all, (const char *)data, (size_t)n);
    cr_expect_eq(n, 0);
    cr_expect_str_eq(all, "onetwo");
    cr_expect_eq(oci_source_next(s, &data, &r), 0);
}
