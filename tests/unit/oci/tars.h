/* SPDX-License-Identifier: Apache-2.0 */
/* Tar files for tests, member by member. */
#ifndef TESTS_UNIT_OCI_TARS_H
#define TESTS_UNIT_OCI_TARS_H

#include <archive.h>
#include <archive_entry.h>
#include <criterion/criterion.h>
#include <string.h>

struct tar {
    struct archive *a;
};

/* filter: ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, … */
static inline struct tar tar_create(const char *path, int filter)
{
    struct tar tar = {.a = archive_write_new()};

    cr_assert_eq(archive_write_set_format_pax(tar.a), ARCHIVE_OK);
    cr_assert_eq(archive_write_add_filter(tar.a, filter), ARCHIVE_OK);
    cr_assert_eq(archive_write_open_filename(tar.a, path), ARCHIVE_OK);
    return tar;
}

static inline void tar_close(struct tar *tar)
{
    cr_assert_eq(archive_write_free(tar->a), ARCHIVE_OK);
}

/* A file; `pax` adds a PAX header in front of it. */
static inline void tar_file_of(
    struct tar *tar, const char *name, const void *data, size_t size, bool pax)
{
    struct archive_entry *e = archive_entry_new();

    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, (int64_t)size);
    archive_entry_set_mtime(e, 1, pax ? 5 : 0);
    if (pax)
        archive_entry_xattr_add_entry(e, "user.x", "value", 5);
    cr_assert_eq(archive_write_header(tar->a, e), ARCHIVE_OK);
    cr_assert_eq(archive_write_data(tar->a, data, size), (ssize_t)size);
    archive_entry_free(e);
}

static inline void tar_file(struct tar *tar, const char *name, const char *text)
{
    tar_file_of(tar, name, text, strlen(text), false);
}

/* A symlink, or with `hard` a hard link, or for target NULL a directory. */
static inline void tar_link(struct tar *tar, const char *name, const char *target, bool hard)
{
    struct archive_entry *e = archive_entry_new();

    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, target ? (hard ? AE_IFREG : AE_IFLNK) : AE_IFDIR);
    archive_entry_set_perm(e, 0755);
    if (target && hard)
        archive_entry_set_hardlink(e, target);
    else if (target)
        archive_entry_set_symlink(e, target);
    cr_assert_eq(archive_write_header(tar->a, e), ARCHIVE_OK);
    archive_entry_free(e);
}

#endif
