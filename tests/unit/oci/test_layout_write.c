/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "oci/layout.h"
#include "tests/unit/oci/documents.h"
#include "tests/unit/tmpdir.h"

TestSuite(layout_write);

static struct oci_digest digest_of(const char *s)
{
    struct oci_digest d;

    cr_assert_eq(oci_digest_parse(s, &d), 0, "%s", s);
    return d;
}

static struct oci_layout *make_layout(const struct tmpdir *dir)
{
    struct report report = REPORT_INIT;
    struct oci_layout *layout = NULL;

    cr_assert_eq(oci_layout_init_at(dir->fd, &report), 0, "%s", report.text);
    cr_assert_eq(oci_layout_open_at(dir->fd, &layout, &report), 0, "%s", report.text);
    return layout;
}

static void expect_content(const struct tmpdir *dir, const char *name, const char *content)
{
    _cleanup_(buf_deinit) struct buf b = {0};

    cr_assert_eq(io_read_file(dir->fd, name, 1 << 20, &b), 0, "%s", name);
    cr_expect_str_eq((char *)b.data, content);
}

Test(layout_write, init)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;

    cr_expect_eq(tmpdir_count(&dir, "."), 3, "oci-layout, index.json, blobs");
    cr_assert_eq(oci_layout_read_index(layout, &index, NULL, NULL), 0);
    cr_expect_eq(index->count, 0);
}

Test(layout_write, init_keeps_what_is_there)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();

    tmpdir_write_str(&dir, "index.json", "old");
    tmpdir_write_str(&dir, "oci-layout", "old too");
    cr_assert_eq(oci_layout_init_at(dir.fd, NULL), 0);
    expect_content(&dir, "index.json", "old");
    expect_content(&dir, "oci-layout", "old too");
}

Test(layout_write, put_blob)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    struct oci_digest digest, expected = digest_of(DIGEST_A);
    struct stat first, second;

    cr_assert_eq(oci_layout_put_blob(layout, "abc", 3, &digest, NULL), 0);
    cr_expect(oci_digest_equal(&digest, &expected));
    expect_content(&dir, "blobs/sha256/" HEX_A, "abc");
    cr_assert_eq(fstatat(dir.fd, "blobs/sha256/" HEX_A, &first, 0), 0);
    cr_expect_eq(first.st_mode & 07777 & ~0133, 0644 & ~0133);
    cr_assert_eq(oci_layout_put_blob(layout, "abc", 3, &digest, NULL), 0);
    cr_assert_eq(fstatat(dir.fd, "blobs/sha256/" HEX_A, &second, 0), 0);
    cr_expect_eq(first.st_ino, second.st_ino, "what is there is kept");
    cr_expect_eq(tmpdir_count(&dir, "blobs"), 1);
    cr_expect_eq(tmpdir_count(&dir, "blobs/sha256"), 1);
}

Test(layout_write, put_blob_of_nothing)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    struct oci_digest digest, expected = digest_of(DIGEST_B);

    cr_assert_eq(oci_layout_put_blob(layout, NULL, 0, &digest, NULL), 0);
    cr_expect(oci_digest_equal(&digest, &expected));
    cr_expect(oci_layout_has_blob(layout, &digest, 0));
}

static void write_abc(struct oci_layout *layout, const char *digest, bool sync)
{
    _cleanup_(oci_blob_writer_freep) struct oci_blob_writer *w = NULL;
    struct oci_digest d = digest_of(digest);

    cr_assert_eq(oci_blob_writer_new(layout, &w), 0);
    cr_assert_eq(oci_blob_writer_write(w, "ab", 2), 0);
    cr_assert_eq(oci_blob_writer_write(w, "c", 1), 0);
    cr_assert_eq(oci_blob_writer_commit(w, &d, sync), 0);
}

Test(layout_write, blob_writer_makes_directories)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    char sha512[7 + 128 + 1] = "sha512:";

    memset(sha512 + 7, 'a', 128);
    sha512[sizeof(sha512) - 1] = '\0';
    cr_assert_eq(unlinkat(dir.fd, "blobs/sha256", AT_REMOVEDIR), 0);
    cr_assert_eq(unlinkat(dir.fd, "blobs", AT_REMOVEDIR), 0);
    write_abc(layout, DIGEST_A, true);
    write_abc(layout, sha512, false);
    expect_content(&dir, "blobs/sha256/" HEX_A, "abc");
    cr_expect_eq(tmpdir_count(&dir, "blobs/sha512"), 1);
}

Test(layout_write, blob_writer_replaces_what_cannot_be_the_blob)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);

    tmpdir_write_str(&dir, "blobs/sha256/" HEX_A, "ab");
    write_abc(layout, DIGEST_A, true);
    expect_content(&dir, "blobs/sha256/" HEX_A, "abc");
    cr_assert_eq(unlinkat(dir.fd, "blobs/sha256/" HEX_A, 0), 0);
    cr_assert_eq(symlinkat("/etc/passwd", dir.fd, "blobs/sha256/" HEX_A), 0);
    write_abc(layout, DIGEST_A, false);
    expect_content(&dir, "blobs/sha256/" HEX_A, "abc");
    cr_expect_eq(tmpdir_count(&dir, "blobs/sha256"), 1);
}

Test(layout_write, blob_writer_that_is_dropped_leaves_nothing)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    struct oci_blob_writer *w = NULL;
    struct oci_digest none = {0};

    cr_assert_eq(oci_blob_writer_new(layout, &w), 0);
    cr_assert_eq(oci_blob_writer_write(w, "ab", 2), 0);
    cr_expect_eq(oci_blob_writer_commit(w, &none, true), -EINVAL);
    cr_expect_null(oci_blob_writer_free(w));
    cr_expect_null(oci_blob_writer_free(NULL));
    cr_expect_eq(tmpdir_count(&dir, "blobs"), 1);
    cr_expect_eq(tmpdir_count(&dir, "blobs/sha256"), 0);
}

Test(layout_write, blob_writer_uses_the_given_directory)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    _cleanup_(fd_closep) int tmp = -1;

    cr_assert_eq(mkdirat(dir.fd, "tmp", 0700), 0);
    tmp = openat(dir.fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    oci_layout_set_tmp(layout, tmp);
    write_abc(layout, DIGEST_A, true);
    expect_content(&dir, "blobs/sha256/" HEX_A, "abc");
    cr_expect_eq(tmpdir_count(&dir, "tmp"), 0);
}

/* ---- index.json ---- */

struct edit {
    int result;
    unsigned calls;
    const struct tmpdir *dir; /* to play another program that writes meanwhile */
    unsigned meddle;          /* so many times */
};

static int add_entry(json_t *index, void *userdata, _unused_ struct report *r)
{
    struct edit *edit = userdata;
    json_t *entry =
        json_pack("{s:s, s:s, s:i}", "mediaType", OCI_TYPE_MANIFEST, "digest", DIGEST_A, "size", 7);

    edit->calls++;
    cr_assert_eq(json_array_append_new(json_object_get(index, "manifests"), entry), 0);
    if (edit->meddle > 0) {
        edit->meddle--;
        tmpdir_write_str(
            edit->dir, "index.json", INDEX(DESCRIPTOR(OCI_TYPE_MANIFEST, DIGEST_B, TAG("theirs"))));
    }
    return edit->result;
}

static size_t count_entries(struct oci_layout *layout)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;

    cr_assert_eq(oci_layout_read_index(layout, &index, NULL, NULL), 0);
    return index->count;
}

Test(layout_write, edit_keeps_unknown_fields)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    struct edit edit = {0};

    tmpdir_write_str(&dir, "index.json",
        "{\"schemaVersion\":2,\"zzz\":[1.5,{\"k\":null}],\"manifests\":[],"
        "\"annotations\":{\"a\":\"b\"}}");
    cr_assert_eq(oci_layout_edit_index(layout, add_entry, &edit, NULL), 0);
    expect_content(&dir, "index.json",
        "{\"annotations\":{\"a\":\"b\"},\"manifests\":[{\"digest\":\"" DIGEST_A
        "\",\"mediaType\":\"" OCI_TYPE_MANIFEST
        "\",\"size\":7}],\"schemaVersion\":2,\"zzz\":[1.5,{\"k\":null}]}");
    cr_expect_eq(tmpdir_count(&dir, "."), 3, "no lock or temporary file stays");
}

Test(layout_write, edit_of_an_index_without_entries)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    struct edit edit = {0};

    tmpdir_write_str(&dir, "index.json", "{\"schemaVersion\":2,\"manifests\":null}");
    cr_assert_eq(oci_layout_edit_index(layout, add_entry, &edit, NULL), 0);
    cr_expect_eq(count_entries(layout), 1);
}

Test(layout_write, edit_that_writes_nothing)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    struct edit edit = {.result = 1};

    cr_expect_eq(oci_layout_edit_index(layout, add_entry, &edit, NULL), 1);
    edit.result = -EXDEV;
    cr_expect_eq(oci_layout_edit_index(layout, add_entry, &edit, NULL), -EXDEV);
    cr_expect_eq(edit.calls, 2);
    cr_expect_eq(count_entries(layout), 0);
}

static int break_index(json_t *index, _unused_ void *userdata, _unused_ struct report *r)
{
    return json_object_del(index, "schemaVersion");
}

Test(layout_write, edit_never_writes_what_is_no_index)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    struct report report = REPORT_INIT;

    cr_expect_eq(oci_layout_edit_index(layout, break_index, NULL, &report), -EBADMSG);
    cr_expect_eq(count_entries(layout), 0);
}

Test(layout_write, edit_starts_again_when_another_program_wrote)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    struct edit edit = {.dir = &dir, .meddle = 2};
    struct report report = REPORT_INIT;

    cr_assert_eq(oci_layout_edit_index(layout, add_entry, &edit, NULL), 0);
    cr_expect_eq(edit.calls, 3);
    cr_expect_eq(count_entries(layout), 2, "theirs and ours");
    edit.meddle = 1000;
    cr_expect_eq(oci_layout_edit_index(layout, add_entry, &edit, &report), -EAGAIN);
}

/* Without the lock some of the entries would be lost. */
Test(layout_write, edits_of_processes_do_not_get_lost)
{
    enum { PROCESSES = 4, EDITS = 8 };
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);

    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();

        cr_assert_geq(pid, 0);
        if (pid == 0) {
            struct edit edit = {0};
            int r = 0;

            for (int k = 0; k < EDITS && r == 0; k++)
                r = oci_layout_edit_index(layout, add_entry, &edit, NULL);
            _exit(r == 0 ? 0 : 1);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status = -1;

        cr_assert_gt(wait(&status), 0);
        cr_expect_eq(status, 0);
    }
    cr_expect_eq(count_entries(layout), PROCESSES * EDITS);
}

/* ---- blobs that are written on ---- */

static struct oci_blob_writer *must_resume(
    struct oci_layout *layout, int dirfd, const struct oci_digest *digest, uint64_t want_size)
{
    struct oci_blob_writer *w = NULL;
    uint64_t size = 0;

    cr_assert_eq(oci_blob_writer_resume(layout, dirfd, digest, &w, &size), 0);
    cr_expect_eq(size, want_size);
    return w;
}

Test(layout_write, partial_blob_is_written_on)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    _cleanup_(fd_closep) int partial = -1;
    struct oci_blob_writer *w;
    struct oci_digest digest;

    cr_assert_eq(mkdirat(dir.fd, "partial", 0755), 0);
    partial = openat(dir.fd, "partial", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_eq(oci_digest_of(OCI_DIGEST_SHA256, "first second", 12, &digest), 0);
    w = must_resume(layout, partial, &digest, 0);
    cr_assert_eq(oci_blob_writer_write(w, "first ", 6), 0);
    (void)oci_blob_writer_free(w);
    cr_expect_eq(tmpdir_count(&dir, "partial"), 1);
    cr_expect_not(oci_layout_has_blob(layout, &digest, 6));

    w = must_resume(layout, partial, &digest, 6);
    cr_assert_eq(oci_blob_writer_write(w, "second", 6), 0);
    cr_assert_eq(oci_blob_writer_commit(w, &digest, true), 0);
    (void)oci_blob_writer_free(w);
    cr_expect_eq(tmpdir_count(&dir, "partial"), 0);
    cr_expect(oci_layout_has_blob(layout, &digest, 12));
}

Test(layout_write, partial_blob_has_one_writer)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    struct oci_digest digest =
        digest_of("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    struct oci_blob_writer *w = must_resume(layout, dir.fd, &digest, 0), *second = NULL;
    uint64_t size;

    cr_expect_eq(oci_blob_writer_resume(layout, dir.fd, &digest, &second, &size), -EWOULDBLOCK);
    (void)oci_blob_writer_free(w);
    w = must_resume(layout, dir.fd, &digest, 0);
    (void)oci_blob_writer_free(w);
}

Test(layout_write, partial_blob_that_is_wrong_goes)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_layout_closep) struct oci_layout *layout = make_layout(&dir);
    struct oci_digest digest =
        digest_of("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    struct oci_blob_writer *w = must_resume(layout, dir.fd, &digest, 0);
    unsigned before = tmpdir_count(&dir, ".");

    cr_assert_eq(oci_blob_writer_write(w, "wrong", 5), 0);
    oci_blob_writer_discard(w);
    cr_expect_eq(oci_blob_writer_commit(w, &digest, false), -EINVAL);
    (void)oci_blob_writer_free(w);
    cr_expect_eq(tmpdir_count(&dir, "."), before - 1);
    w = must_resume(layout, dir.fd, &digest, 0);
    (void)oci_blob_writer_free(w); /* nothing was written, so nothing stays */
    cr_expect_eq(tmpdir_count(&dir, "."), before - 1);
}
