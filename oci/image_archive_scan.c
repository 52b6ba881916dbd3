/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over a tar file's headers. libarchive reads them, so that PAX and GNU headers are
 * understood; contents are skipped by seeking. What it has consumed when it hands out an entry is
 * where that entry's content starts. */
#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/image_archive_private.h"

enum { READ_BLOCK = 64 << 10, NAME_LEN_MAX = 4095 };

static void free_reader(struct archive **reader)
{
    if (*reader)
        (void)archive_read_free(*reader);
}

char *oci_archive_normalize(const char *base, size_t base_len, const char *path, bool *ret_outside)
{
    size_t len = path[0] == '/' ? 0 : base_len;
    char *out = malloc(len + 1 + strlen(path) + 1);

    if (!out)
        return NULL;
    memcpy(out, base, len);
    *ret_outside = false;
    for (const char *p = path; *p;) {
        size_t part = strcspn(p, "/");

        if (part == 2 && p[0] == '.' && p[1] == '.') {
            *ret_outside |= len == 0;
            while (len > 0 && out[--len] != '/')
                ;
        } else if (part > 0 && !(part == 1 && p[0] == '.')) {
            if (len > 0)
                out[len++] = '/';
            memcpy(out + len, p, part);
            len += part;
        }
        p += part;
        p += *p == '/';
    }
    out[len] = '\0';
    return out;
}

static int reserve(struct oci_archive *a, size_t bytes, struct report *r)
{
    struct oci_archive_member *members;
    size_t capacity;

    a->name_bytes += bytes;
    if (a->count == OCI_ARCHIVE_MEMBERS_MAX)
        return report_fail(r, -EFBIG, "more than %d members", OCI_ARCHIVE_MEMBERS_MAX);
    if (a->name_bytes > OCI_ARCHIVE_NAMES_MAX)
        return report_fail(r, -EFBIG, "more than %d bytes of names", OCI_ARCHIVE_NAMES_MAX);
    if (a->count < a->capacity)
        return 0;
    capacity = a->capacity ? a->capacity * 2 : 64;
    members = reallocarray(a->members, capacity, sizeof(*members));
    if (!members)
        return report_errno(r, -ENOMEM, "members");
    a->members = members;
    a->capacity = capacity;
    return 0;
}

/* The target of a hard link is a name in the archive, that of a symlink starts at its directory. */
static int set_link(struct oci_archive_member *m, const char *hardlink, const char *symlink)
{
    const char *slash = strrchr(m->name, '/');
    size_t base = symlink && slash ? (size_t)(slash - m->name) : 0;
    bool outside;

    m->link = oci_archive_normalize(m->name, base, symlink ? symlink : hardlink, &outside);
    if (!m->link)
        return -ENOMEM;
    if (outside) /* an empty name is no member's */
        m->link[0] = '\0';
    return 0;
}

static int fill_member(struct oci_archive_member *m, struct archive_entry *entry, const char *name)
{
    const char *hardlink = archive_entry_hardlink(entry);
    const char *symlink =
        archive_entry_filetype(entry) == AE_IFLNK ? archive_entry_symlink(entry) : NULL;
    bool outside;

    m->name = oci_archive_normalize("", 0, name, &outside);
    if (!m->name)
        return -ENOMEM;
    m->size = hardlink || symlink ? 0 : (uint64_t)archive_entry_size(entry);
    if (outside)
        m->name[0] = '\0';
    return hardlink || symlink ? set_link(m, hardlink, symlink) : 0;
}

/* Only what can be a member of an image: files and links with names of sane length. */
static bool is_wanted(struct archive_entry *entry, const char **ret_name)
{
    const char *name = archive_entry_pathname(entry);
    const char *hardlink = archive_entry_hardlink(entry);
    const char *symlink = archive_entry_symlink(entry);
    bool is_file = archive_entry_filetype(entry) == AE_IFREG;

    if (!name || strlen(name) > NAME_LEN_MAX)
        return false;
    if ((hardlink && strlen(hardlink) > NAME_LEN_MAX) ||
        (symlink && strlen(symlink) > NAME_LEN_MAX))
        return false;
    *ret_name = name;
    return (is_file || hardlink || symlink) && archive_entry_sparse_count(entry) == 0;
}

static int add_member(
    struct oci_archive *a, struct archive_entry *entry, uint64_t offset, struct report *r)
{
    struct oci_archive_member m = {.offset = offset, .order = a->count};
    const char *name = NULL;
    int err;

    if (!is_wanted(entry, &name))
        return 0;
    err = fill_member(&m, entry, name);
    if (err < 0)
        err = report_errno(r, err, "%s", name);
    else if (offset > a->size || m.size > a->size - offset)
        err = report_fail(r, -EBADMSG, "truncated: %s goes beyond the end", m.name);
    else
        err = reserve(a, strlen(m.name) + (m.link ? strlen(m.link) : 0), r);
    if (err < 0) {
        free(m.name);
        free(m.link);
        return err;
    }
    a->members[a->count++] = m;
    return 0;
}

static int compare_members(const void *a, const void *b)
{
    const struct oci_archive_member *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static int scan(struct oci_archive *a, struct archive *reader, struct report *r)
{
    struct archive_entry *entry = NULL;

    for (;;) {
        int status = archive_read_next_header(reader, &entry), err;

        if (status == ARCHIVE_EOF)
            return 0;
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
            return report_fail(r, -EBADMSG, "not a valid tar archive: %s",
                archive_error_string(reader) ? archive_error_string(reader) : "unknown format");
        err = add_member(a, entry, (uint64_t)archive_filter_bytes(reader, 0), r);
        if (err < 0)
            return err;
    }
}

int oci_archive_scan(struct oci_archive *a, struct report *r)
{
    _cleanup_(free_reader) struct archive *reader = archive_read_new();
    int err;

    if (!reader || archive_read_support_format_tar(reader) != ARCHIVE_OK)
        return report_errno(r, -ENOMEM, "libarchive");
    if (lseek(a->fd, 0, SEEK_SET) < 0)
        return report_errno(r, neg_errno(), "seek");
    if (archive_read_open_fd(reader, a->fd, READ_BLOCK) != ARCHIVE_OK)
        return report_fail(r, -EBADMSG, "not a tar archive: %s", archive_error_string(reader));
    err = scan(a, reader, r);
    if (err < 0)
        return err;
    if (a->count > 0)
        qsort(a->members, a->count, sizeof(*a->members), compare_members);
    return 0;
}
