/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/oci/tars.h"

#include "oci/image_archive_private.h"
#include "tests/unit/tmpdir.h"

TestSuite(image_archive);

static struct oci_archive *must_open(const struct tmpdir *dir)
{
    struct report report = REPORT_INIT;
    struct oci_archive *a = NULL;

    cr_assert_eq(oci_archive_open(tmpdir_path(dir, "t.tar"), &a, &report), 0, "%s", report.text);
    return a;
}

static int open_fails(const struct tmpdir *dir, struct report *report)
{
    struct oci_archive *a = NULL;
    int r;

    *report = REPORT_INIT;
    r = oci_archive_open(tmpdir_path(dir, "t.tar"), &a, report);
    cr_expect_null(a);
    cr_expect(r < 0 && report_is_set(report));
    return r;
}

static void expect_member(const struct oci_archive *a, const char *name, const char *content)
{
    const struct oci_archive_member *member = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};
    struct report report = REPORT_INIT;

    cr_assert_eq(oci_archive_find(a, name, &member, &report), 0, "%s", report.text);
    cr_assert_eq(oci_archive_read(a, member, 100, &b, &report), 0, "%s", report.text);
    cr_expect_eq(b.size, strlen(content), "%s", name);
    cr_expect(b.size == 0 || memcmp(b.data, content, b.size) == 0, "%s", name);
}

static int find_fails(const struct oci_archive *a, const char *name)
{
    const struct oci_archive_member *member = NULL;
    struct report report = REPORT_INIT;
    int r = oci_archive_find(a, name, &member, &report);

    cr_expect(r < 0 && report_is_set(&report), "%s", name);
    cr_expect_null(member);
    return r;
}

static char *long_name(size_t len)
{
    char *name = malloc(len + 1);

    memset(name, 'n', len);
    for (size_t i = 99; i < len; i += 100)
        name[i] = '/';
    name[len] = '\0';
    return name;
}

static void write_mixed(const char *path, int filter)
{
    _cleanup_(freep) char *name = long_name(301);
    struct tar tar = tar_create(path, filter);

    tar_link(&tar, "d/", NULL, false);
    tar_file(&tar, "d/plain", "one");
    tar_file_of(&tar, "./pax", "two", 3, true);
    tar_file(&tar, name, "three");
    tar_file_of(&tar, "empty", "", 0, true);
    tar_file_of(&tar, "/abs//x/./y", "four", 4, true);
    tar_file(&tar, "last", "five");
    tar_close(&tar);
}

static void expect_mixed(const struct oci_archive *a)
{
    _cleanup_(freep) char *name = long_name(301);

    expect_member(a, "d/plain", "one");
    expect_member(a, "pax", "two");
    expect_member(a, name, "three");
    expect_member(a, "empty", "");
    expect_member(a, "abs/x/y", "four");
    expect_member(a, "last", "five");
    cr_expect_eq(find_fails(a, "d"), -ENOENT);
    cr_expect_eq(find_fails(a, ""), -ENOENT);
    cr_expect_eq(find_fails(a, "las"), -ENOENT);
    cr_expect_eq(find_fails(a, "lastt"), -ENOENT);
}

Test(image_archive, offsets_are_right_behind_any_header)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_archive_closep) struct oci_archive *a = NULL;

    write_mixed(tmpdir_path(&dir, "t.tar"), ARCHIVE_FILTER_NONE);
    a = must_open(&dir);
    expect_mixed(a);
}

Test(image_archive, compressed_ones_are_unpacked)
{
    static const int filters[] = {ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD};
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();

    cr_assert_eq(setenv("TMPDIR", dir.path, 1), 0);
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
        _cleanup_(oci_archive_closep) struct oci_archive *a = NULL;

        write_mixed(tmpdir_path(&dir, "t.tar"), filters[i]);
        a = must_open(&dir);
        expect_mixed(a);
        cr_expect_eq(tmpdir_count(&dir, "."), 1, "the unpacked file has no name");
    }
}

Test(image_archive, compressed_ones_that_cannot_be_read)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    struct report report;
    struct stat st;

    write_mixed(tmpdir_path(&dir, "t.tar"), ARCHIVE_FILTER_XZ);
    cr_expect_eq(open_fails(&dir, &report), -EOPNOTSUPP);
    cr_expect(strstr(report.text, "xz"), "%s", report.text);
    write_mixed(tmpdir_path(&dir, "t.tar"), ARCHIVE_FILTER_BZIP2);
    cr_expect_eq(open_fails(&dir, &report), -EOPNOTSUPP);
    write_mixed(tmpdir_path(&dir, "t.tar"), ARCHIVE_FILTER_GZIP);
    cr_assert_eq(stat(tmpdir_path(&dir, "t.tar"), &st), 0);
    cr_assert_eq(truncate(tmpdir_path(&dir, "t.tar"), st.st_size - 9), 0);
    cr_expect_eq(open_fails(&dir, &report), -EBADMSG);
    cr_assert_eq(setenv("TMPDIR", "/nonexistent-tmpdir", 1), 0);
    write_mixed(tmpdir_path(&dir, "t.tar"), ARCHIVE_FILTER_GZIP);
    cr_expect_eq(open_fails(&dir, &report), -ENOENT);
    cr_expect(strstr(report.text, "/nonexistent-tmpdir"), "%s", report.text);
}

Test(image_archive, of_two_members_the_last_counts)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_archive_closep) struct oci_archive *a = NULL;
    struct tar tar = tar_create(tmpdir_path(&dir, "t.tar"), ARCHIVE_FILTER_NONE);

    tar_file(&tar, "x", "old");
    tar_file(&tar, "y", "y");
    tar_file(&tar, "./x", "new");
    tar_close(&tar);
    a = must_open(&dir);
    expect_member(a, "x", "new");
}

Test(image_archive, links)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_archive_closep) struct oci_archive *a = NULL;
    struct tar tar = tar_create(tmpdir_path(&dir, "t.tar"), ARCHIVE_FILTER_NONE);

    tar_link(&tar, "b/layer.tar", "../a/layer.tar", false);
    tar_file(&tar, "a/layer.tar", "x");
    tar_link(&tar, "c/layer.tar", "../b/./layer.tar", false);
    tar_link(&tar, "abs", "/a/layer.tar", false);
    tar_link(&tar, "hard", "a/layer.tar", true);
    tar_link(&tar, "loop", "loop", false);
    tar_link(&tar, "gone", "nothing", false);
    tar_link(&tar, "out", "../../etc/passwd", false);
    tar_link(&tar, "b/out", "../../a/layer.tar", false);
    tar_close(&tar);
    a = must_open(&dir);
    expect_member(a, "b/layer.tar", "x");
    expect_member(a, "c/layer.tar", "x");
    expect_member(a, "abs", "x");
    expect_member(a, "hard", "x");
    cr_expect_eq(find_fails(a, "loop"), -ELOOP);
    cr_expect_eq(find_fails(a, "gone"), -ENOENT);
    cr_expect_eq(find_fails(a, "out"), -ENOENT);
    cr_expect_eq(find_fails(a, "b/out"), -ENOENT);
}

Test(image_archive, link_chains)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_archive_closep) struct oci_archive *a = NULL;
    struct tar tar = tar_create(tmpdir_path(&dir, "t.tar"), ARCHIVE_FILTER_NONE);
    char from[8], to[8];

    tar_file(&tar, "l0", "x");
    for (int i = 1; i <= 9; i++) {
        (void)snprintf(from, sizeof(from), "l%d", i);
        (void)snprintf(to, sizeof(to), "l%d", i - 1);
        tar_link(&tar, from, to, false);
    }
    tar_close(&tar);
    a = must_open(&dir);
    expect_member(a, "l8", "x");
    cr_expect_eq(find_fails(a, "l9"), -ELOOP);
}

Test(image_archive, streams_and_pieces)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_archive_closep) struct oci_archive *a = NULL;
    _cleanup_(oci_source_closep) struct oci_source *first = NULL;
    _cleanup_(oci_source_closep) struct oci_source *second = NULL;
    const struct oci_archive_member *member = NULL;
    const uint8_t *data = NULL;
    char piece[8] = "";

    write_mixed(tmpdir_path(&dir, "t.tar"), ARCHIVE_FILTER_NONE);
    a = must_open(&dir);
    cr_assert_eq(oci_archive_find(a, "pax", &member, NULL), 0);
    cr_assert_eq(oci_archive_stream(a, member, &first, NULL), 0);
    cr_assert_eq(oci_archive_find(a, "last", &member, NULL), 0);
    cr_assert_eq(oci_archive_stream(a, member, &second, NULL), 0);
    cr_expect_eq(oci_archive_pread(a, member, piece, sizeof(piece), 1), 3);
    cr_expect_str_eq(piece, "ive");
    cr_expect_eq(oci_archive_pread(a, member, piece, sizeof(piece), 4), 0);
    cr_assert_eq(oci_source_next(second, &data, NULL), 4);
    cr_expect_eq(memcmp(data, "five", 4), 0);
    cr_assert_eq(oci_source_next(first, &data, NULL), 3);
    cr_expect_eq(memcmp(data, "two", 3), 0);
    cr_expect_eq(oci_source_next(first, &data, NULL), 0);
}

Test(image_archive, read_limits_size)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_archive_closep) struct oci_archive *a = NULL;
    const struct oci_archive_member *member = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};

    write_mixed(tmpdir_path(&dir, "t.tar"), ARCHIVE_FILTER_NONE);
    a = must_open(&dir);
    cr_assert_eq(oci_archive_find(a, "last", &member, NULL), 0);
    cr_expect_eq(oci_archive_read(a, member, 3, &b, NULL), -EFBIG);
    cr_expect_eq(oci_archive_read(a, member, 4, &b, NULL), 0);
}

Test(image_archive, refuses_what_is_no_archive)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    struct report report;
    char junk[4096];

    cr_expect_eq(open_fails(&dir, &report), -ENOENT);
    memset(junk, 'j', sizeof(junk));
    tmpdir_write(&dir, "t.tar", junk, sizeof(junk));
    cr_expect_eq(open_fails(&dir, &report), -EBADMSG);
    tmpdir_write(&dir, "t.tar", "", 0);
    cr_expect_eq(open_fails(&dir, &report), -EBADMSG);
    cr_assert_eq(unlinkat(dir.fd, "t.tar", 0), 0);
    cr_assert_eq(mkfifoat(dir.fd, "t.tar", 0600), 0);
    cr_expect_eq(open_fails(&dir, &report), -EINVAL, "and does not hang");
    cr_expect(strstr(report.text, "not a regular file"), "%s", report.text);
}

Test(image_archive, truncated)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    struct tar tar = tar_create(tmpdir_path(&dir, "t.tar"), ARCHIVE_FILTER_NONE);
    char data[2000] = "";
    struct report report;

    tar_file_of(&tar, "x", data, sizeof(data), false);
    tar_close(&tar);
    cr_assert_eq(truncate(tmpdir_path(&dir, "t.tar"), 512 + 1999), 0);
    cr_expect_eq(open_fails(&dir, &report), -EBADMSG);
    cr_expect(strstr(report.text, "truncated"), "%s", report.text);
}

static void expect_normal(const char *base, const char *path, const char *expected, bool outside)
{
    bool out = !outside;
    _cleanup_(freep) char *s = oci_archive_normalize(base, strlen(base), path, &out);

    cr_expect_str_eq(s, expected, "%s + %s: %s", base, path, s);
    cr_expect_eq(out, outside, "%s + %s", base, path);
}

Test(image_archive, normalize)
{
    expect_normal("", "a/b", "a/b", false);
    expect_normal("", "./a//b/.", "a/b", false);
    expect_normal("", "/a/../b", "b", false);
    expect_normal("", "", "", false);
    expect_normal("", "..", "", true);
    expect_normal("", "a/../../b", "b", true);
    expect_normal("x/y", "../z", "x/z", false);
    expect_normal("x", "..", "", false);
    expect_normal("x", "../..", "", true);
    expect_normal("x", "/z", "z", false);
    expect_normal("x", "..a/...", "x/..a/...", false);
}
