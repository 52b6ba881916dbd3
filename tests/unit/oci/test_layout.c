/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/layout.h"
#include "tests/unit/oci/documents.h"
#include "tests/unit/tmpdir.h"

#define LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}"
#define ABC_512                                                                                    \
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                             \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

TestSuite(layout);

static struct oci_digest digest_of(const char *s)
{
    struct oci_digest d;

    cr_assert_eq(oci_digest_parse(s, &d), 0, "%s", s);
    return d;
}

/* A layout with the blob "abc", which HEX_A names. */
static struct oci_layout *open_with_abc(const struct tmpdir *dir)
{
    struct oci_layout *layout = NULL;

    tmpdir_write_str(dir, "oci-layout", LAYOUT);
    tmpdir_write_str(dir, "index.json", INDEX(DESCRIPTOR(OCI_TYPE_MANIFEST, DIGEST_A, TAG("t"))));
    tmpdir_write_str(dir, "blobs/sha256/" HEX_A, "abc");
    cr_assert_eq(oci_layout_open(dir->path, &layout, NULL), 0);
    return layout;
}

Test(layout, open_refuses_what_is_none)
{
    static const char *const bad[] = {NULL, "", "{}", "[]", "{\"imageLayoutVersion\":1}",
        "{\"imageLayoutVersion\":\"2.0.0\"}", "{\"imageLayoutVersion\":\"\"}", "x"};
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    struct report report = REPORT_INIT;
    struct oci_layout *layout = NULL;

    cr_expect_eq(oci_layout_open("/nonexistent-layout", &layout, &report), -ENOENT);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (bad[i])
            tmpdir_write_str(&dir, "oci-layout", bad[i]);
        report = REPORT_INIT;
        cr_expect_eq(oci_layout_open(dir.path, &layout, &report), -EBADMSG, "%s", bad[i]);
        cr_expect(strstr(report.text, "oci-layout"), "%s", report.text);
        cr_expect_null(layout);
    }
}

Test(layout, open_of_any_minor_version)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = NULL;

    tmpdir_write_str(&dir, "oci-layout", "{\"imageLayoutVersion\":\"1.9.3\"}");
    cr_expect_eq(oci_layout_open_at(dir.fd, &layout, NULL), 0);
}

Test(layout, open_does_not_follow_links)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    struct oci_layout *layout = NULL;

    tmpdir_write_str(&dir, "elsewhere", LAYOUT);
    cr_assert_eq(symlinkat("elsewhere", dir.fd, "oci-layout"), 0);
    cr_expect_eq(oci_layout_open(dir.path, &layout, NULL), -EBADMSG);
    cr_assert_eq(unlinkat(dir.fd, "oci-layout", 0), 0);
    cr_assert_eq(mkfifoat(dir.fd, "oci-layout", 0600), 0);
    cr_expect_eq(oci_layout_open(dir.path, &layout, NULL), -EBADMSG, "and does not hang");
}

Test(layout, blob)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = open_with_abc(&dir);
    struct oci_digest abc = digest_of(DIGEST_A);
    _cleanup_(fd_closep) int fd = -1;
    _cleanup_(fd_closep) int any = -1;
    char text[4] = "";

    cr_assert_eq(oci_layout_open_blob(layout, &abc, 3, &fd, NULL), 0);
    cr_assert_eq(io_read_full(fd, text, 4), 3);
    cr_expect_str_eq(text, "abc");
    cr_expect_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    cr_expect_eq(oci_layout_open_blob(layout, &abc, UINT64_MAX, &any, NULL), 0);
    cr_expect(oci_layout_has_blob(layout, &abc, 3));
    cr_expect(oci_layout_has_blob(layout, &abc, UINT64_MAX));
    cr_expect_not(oci_layout_has_blob(layout, &abc, 4));
}

Test(layout, blob_failures)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = open_with_abc(&dir);
    struct oci_digest abc = digest_of(DIGEST_A), other = digest_of(DIGEST_B), none = {0};
    struct report report = REPORT_INIT;
    int fd = -1;

    cr_expect_eq(oci_layout_open_blob(layout, &abc, 4, &fd, &report), -EBADMSG);
    cr_expect_str_eq(report.text, "blob " DIGEST_A ": size is 3, expected 4");
    cr_expect_eq(oci_layout_open_blob(layout, &other, 4, &fd, &report), -ENOENT);
    cr_expect_str_eq(report.text, "blob " DIGEST_B " is missing");
    cr_expect_not(oci_layout_has_blob(layout, &other, UINT64_MAX));
    cr_expect_eq(oci_layout_open_blob(layout, &none, 4, &fd, &report), -EOPNOTSUPP);
    cr_assert_eq(symlinkat(HEX_A, dir.fd, "blobs/sha256/" HEX_B), 0);
    cr_expect_eq(oci_layout_open_blob(layout, &other, UINT64_MAX, &fd, &report), -EBADMSG);
    cr_expect_str_eq(report.text, "blob " DIGEST_B " is not a regular file");
    cr_expect_not(oci_layout_has_blob(layout, &other, UINT64_MAX));
    cr_assert_eq(unlinkat(dir.fd, "blobs/sha256/" HEX_B, 0), 0);
    cr_assert_eq(mkdirat(dir.fd, "blobs/sha256/" HEX_B, 0755), 0);
    cr_expect_eq(oci_layout_open_blob(layout, &other, UINT64_MAX, &fd, &report), -EBADMSG);
    cr_expect_eq(fd, -1);
}

/* Reads a document and tells its bytes or the failure. */
static int read_blob(
    struct oci_layout *layout, const char *digest, uint64_t size, struct report *report)
{
    struct oci_descriptor d = {.digest = digest_of(digest), .size = size};
    _cleanup_(buf_deinit) struct buf b = {0};
    int r = oci_layout_read_blob(layout, &d, &b, report);

    if (r == 0)
        cr_expect(b.size == 3 && memcmp(b.data, "abc", 3) == 0);
    else
        cr_expect_eq(b.size, 0);
    return r;
}

Test(layout, read_blob_checks_size_and_digest)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = open_with_abc(&dir);
    struct report report = REPORT_INIT;

    tmpdir_write_str(&dir, "blobs/sha512/" ABC_512, "abc");
    tmpdir_write_str(&dir, "blobs/sha256/" HEX_C, "abc");
    cr_expect_eq(read_blob(layout, DIGEST_A, 3, &report), 0);
    cr_expect_eq(read_blob(layout, DIGEST_A, UINT64_MAX, &report), 0);
    cr_expect_eq(read_blob(layout, "sha512:" ABC_512, 3, &report), 0);
    cr_expect_eq(read_blob(layout, DIGEST_A, 2, &report), -EBADMSG);
    cr_expect_eq(read_blob(layout, DIGEST_C, 3, &report), -EBADMSG);
    cr_expect_str_eq(
        report.text, "blob " DIGEST_C ": digest mismatch (its bytes have " DIGEST_A ")");
}

Test(layout, read_blob_limits_size)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = open_with_abc(&dir);
    struct report report = REPORT_INIT;
    _cleanup_(fd_closep) int fd =
        openat(dir.fd, "blobs/sha256/" HEX_B, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    cr_assert_eq(ftruncate(fd, OCI_DOCUMENT_MAX), 0);
    cr_expect_eq(read_blob(layout, DIGEST_B, UINT64_MAX, &report), -EBADMSG, "read, then unequal");
    cr_assert_eq(ftruncate(fd, OCI_DOCUMENT_MAX + 1), 0);
    cr_expect_eq(read_blob(layout, DIGEST_B, UINT64_MAX, &report), -EFBIG);
}

Test(layout, read_index)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = open_with_abc(&dir);
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    struct report report = REPORT_INIT;
    struct oci_index *none = NULL;

    cr_assert_eq(oci_layout_read_index(layout, &index, &json, NULL), 0);
    cr_expect_eq(index->count, 1);
    cr_expect_eq(json_integer_value(json_object_get(json, "schemaVersion")), 2);
    tmpdir_write_str(&dir, "index.json", "{\"schemaVersion\":2,\"manifests\":[{}]}");
    cr_expect_eq(oci_layout_read_index(layout, &none, NULL, &report), -EBADMSG);
    cr_expect(strncmp(report.text, "index.json: ", 12) == 0, "%s", report.text);
    cr_assert_eq(unlinkat(dir.fd, "index.json", 0), 0);
    cr_expect_eq(oci_layout_read_index(layout, &none, NULL, &report), -EBADMSG);
    cr_expect_null(none);
}

Test(layout, find_reads_nested_indexes_from_blobs)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = open_with_abc(&dir);
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor found = {0};
    static const char nested[] =
        INDEX(DESCRIPTOR(OCI_TYPE_MANIFEST, DIGEST_C, PLATFORM("linux", "s390x")));
    struct oci_platform s390x = {.os = "linux", .architecture = "s390x"};
    struct oci_digest digest;
    char text[OCI_DIGEST_STR_MAX];

    cr_assert_eq(oci_layout_put_blob(layout, nested, strlen(nested), &digest, NULL), 0);
    cr_assert_eq(
        oci_layout_find(layout, oci_digest_format(&digest, text), &s390x, &found, NULL), 0);
    cr_expect_str_eq(oci_digest_format(&found.digest, text), DIGEST_C);
    oci_descriptor_deinit(&found);
    cr_assert_eq(oci_layout_find(layout, "t", NULL, &found, NULL), 0);
    cr_expect_str_eq(oci_digest_format(&found.digest, text), DIGEST_A);
}
