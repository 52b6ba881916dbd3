/* SPDX-License-Identifier: Apache-2.0 */
/* Random access to the members of a tar file. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/image_archive_private.h"
#include "oci/compression.h"
#include "oci/util/io.h"

enum { LINKS_MAX = 8 };

static const uint64_t UNPACKED_MAX = UINT64_C(64) << 30;

/* ---- compressed archives ---- */

struct magic {
    const char *name;
    uint8_t bytes[6];
    size_t size;
    bool supported;
};

static const struct magic magics[] = {
    {"gzip", {0x1f, 0x8b}, 2, true},
    {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, true},
    {"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6, false},
    {"bzip2", {'B', 'Z', 'h'}, 3, false},
};

/* NULL for what is not compressed, or not known to be. */
static const struct magic *sniff(int fd)
{
    uint8_t head[6] = {0};
    ssize_t n = io_pread_full(fd, head, sizeof(head), 0);

    for (size_t i = 0; n > 0 && i < ARRAY_SIZE(magics); i++)
        if ((size_t)n >= magics[i].size && memcmp(head, magics[i].bytes, magics[i].size) == 0)
            return &magics[i];
    return NULL;
}

/* A temporary file without a name. */
static int open_unnamed(struct report *r)
{
    const char *dir = secure_getenv("TMPDIR");
    _cleanup_(fd_closep) int dirfd = -1;
    struct io_tmp tmp = IO_TMP_INIT;
    int err;

    if (!dir || dir[0] != '/')
        dir = "/var/tmp";
    dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    err = dirfd < 0 ? neg_errno() : io_tmp_open(dirfd, 0600, &tmp);
    if (err < 0)
        return report_errno(r, err, "temporary file in %s", dir);
    if (tmp.name[0])
        (void)unlinkat(dirfd, tmp.name, 0);
    return tmp.fd;
}

static int write_all(int fd, struct oci_source *source, struct report *r)
{
    const uint8_t *data = NULL;
    ssize_t n;

    while ((n = oci_source_next(source, &data, r)) > 0) {
        int err = io_write_full(fd, data, (size_t)n);

        if (err < 0)
            return report_errno(r, err, "writing the unpacked archive to a temporary file");
    }
    return (int)n;
}

/* Replaces *fd by a plain copy. */
static int unpack(int *fd, struct report *r)
{
    _cleanup_(oci_source_closep) struct oci_source *source = NULL;
    _cleanup_(fd_closep) int plain = open_unnamed(r);
    int err;

    if (plain < 0)
        return plain;
    err = oci_source_file(TAKE_FD(*fd), 0, UINT64_MAX, &source);
    if (err == 0)
        err = oci_source_decompress(TAKE_PTR(source), NULL, &source);
    if (err == 0)
        err = oci_source_limit(TAKE_PTR(source), "unpacked archive", UNPACKED_MAX, &source);
    if (err < 0)
        return report_errno(r, err, "unpacking");
    err = write_all(plain, source, r);
    if (err == 0)
        *fd = TAKE_FD(plain);
    return err;
}

/* ---- opening ---- */

static int open_plain(const char *path, int *ret_fd, uint64_t *ret_size, struct report *r)
{
    _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const struct magic *magic;
    struct stat st;
    int err = 0;

    if (fd < 0 || fstat(fd, &st) < 0)
        return report_errno(r, neg_errno(), "open");
    if (!S_ISREG(st.st_mode))
        return report_fail(r, -EINVAL, "not a regular file");
    magic = sniff(fd);
    if (magic && !magic->supported)
        return report_fail(
            r, -EOPNOTSUPP, "compressed with %s: please unpack it first", magic->name);
    if (magic)
        err = unpack(&fd, r);
    if (err < 0)
        return err;
    if (fstat(fd, &st) < 0)
        return report_errno(r, neg_errno(), "stat");
    *ret_size = (uint64_t)st.st_size;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int oci_archive_open(const char *path, struct oci_archive **ret_archive, struct report *r)
{
    _cleanup_(oci_archive_closep) struct oci_archive *a = calloc(1, sizeof(*a));
    int err;

    if (!a)
        return report_errno(r, -ENOMEM, "archive %s", path);
    a->fd = -1;
    err = open_plain(path, &a->fd, &a->size, r);
    if (err == 0)
        err = oci_archive_scan(a, r);
    if (err < 0)
        return report_context(r, err, "archive %s", path);
    *ret_archive = TAKE_PTR(a);
    return 0;
}

struct oci_archive *oci_archive_close(struct oci_archive *a)
{
    if (!a)
        return NULL;
    for (size_t i = 0; i < a->count; i++) {
        free(a->members[i].name);
        free(a->members[i].link);
    }
    free(a->members);
    (void)fd_close(a->fd);
    free(a);
    return NULL;
}

/* ---- members ---- */

/* The last one of a name, or NULL. */
static const struct oci_archive_member *lookup(const struct oci_archive *a, const char *name)
{
    size_t low = 0, high = a->count;

    while (low < high) { /* the first member whose name is greater */
        size_t mid = low + (high - low) / 2;

        if (strcmp(a->members[mid].name, name) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 && strcmp(a->members[low - 1].name, name) == 0 ? &a->members[low - 1] : NULL;
}

int oci_archive_find(const struct oci_archive *a, const char *name,
    const struct oci_archive_member **ret_member, struct report *r)
{
    const char *at = name;

    for (unsigned links = 0; links <= LINKS_MAX; links++) {
        const struct oci_archive_member *member = at[0] ? lookup(a, at) : NULL;

        if (!member && links > 0)
            return report_fail(r, -ENOENT, "%s: a link to nothing", name);
        if (!member)
            return report_fail(r, -ENOENT, "%s is missing", name);
        if (!member->link) {
            *ret_member = member;
            return 0;
        }
        at = member->link;
    }
    return report_fail(r, -ELOOP, "%s: too many links", name);
}

ssize_t oci_archive_pread(const struct oci_archive *a, const struct oci_archive_member *member,
    void *data, size_t size, uint64_t offset)
{
    if (offset >= member->size)
        return 0;
    size = (size_t)MIN((uint64_t)size, member->size - offset);
    return io_pread_full(a->fd, data, size, (off_t)(member->offset + offset));
}

int oci_archive_read(const struct oci_archive *a, const struct oci_archive_member *member,
    size_t limit, struct buf *b, struct report *r)
{
    ssize_t n;
    int err;

    if (member->size > limit)
        return report_fail(r, -EFBIG, "%s: %llu bytes, more than %zu", member->name,
            (unsigned long long)member->size, limit);
    err = buf_reserve(b, (size_t)member->size);
    if (err < 0)
        return report_errno(r, err, "%s", member->name);
    n = oci_archive_pread(a, member, b->data + b->size, (size_t)member->size, 0);
    if (n < 0)
        return report_errno(r, (int)n, "%s", member->name);
    if ((uint64_t)n < member->size)
        return report_fail(r, -EBADMSG, "%s: truncated", member->name);
    b->size += (size_t)n;
    return 0;
}

int oci_archive_stream(const struct oci_archive *a, const struct oci_archive_member *member,
    struct oci_source **ret_source, struct report *r)
{
    int fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 3);
    int err = fd < 0 ? neg_errno() : oci_source_file(fd, member->offset, member->size, ret_source);

    return err < 0 ? report_errno(r, err, "%s", member->name) : 0;
}
