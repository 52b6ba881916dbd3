/* SPDX-License-Identifier: Apache-2.0 */
/* What stat() does not tell of a file. */
#include "oci/file_meta.h"

#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

enum {
    HOLE_MIN = 64 << 10, /* linkers leave smaller ones by the way; they are written as zeros */
    EXTENTS_MAX = 8192,  /* keeps the map far below what readers accept in one header */
};

void file_meta_deinit(struct file_meta *m)
{
    free(m->xattrs);
    free(m->extents);
    buf_deinit(&m->names);
    buf_deinit(&m->values);
    *m = (struct file_meta){0};
}

/* ---- xattrs ---- */

/* Left out is what is not of the file but of the machine it lies on: the marks of union file
 * systems, the SELinux label (the policy's, set anew where the image is used), NFSv4 ACLs (of the
 * server). Capabilities, POSIX ACLs and the rest are part of the file. */
bool file_meta_keeps_xattr(const char *name)
{
    static const char *const left_out[] = {
        "trusted.overlay.",
        "user.overlay.",
        "user.fuseoverlayfs.",
        "trusted.layerfs.",
        "user.layerfs.",
        "security.selinux",
        "system.nfs4",
    };

    for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
        if (strncmp(name, left_out[i], strlen(left_out[i])) == 0)
            return false;
    return true;
}

/* Reads by fn what has a size that may change between the calls. */
static ssize_t read_names(const char *path, struct buf *b)
{
    for (;;) {
        ssize_t n = listxattr(path, NULL, 0);

        if (n <= 0)
            return n < 0 ? neg_errno() : 0;
        if (buf_reserve(b, (size_t)n) < 0)
            return -ENOMEM;
        n = listxattr(path, (char *)b->data, b->capacity);
        if (n >= 0)
            return n;
        if (errno != ERANGE)
            return neg_errno();
    }
}

static ssize_t read_value(const char *path, const char *name, struct buf *b)
{
    for (;;) {
        ssize_t n = getxattr(path, name, NULL, 0);

        if (n < 0)
            return neg_errno();
        if (buf_reserve(b, (size_t)n + 1) < 0)
            return -ENOMEM;
        n = getxattr(path, name, b->data + b->size, b->capacity - b->size);
        if (n >= 0)
            return n;
        if (errno != ERANGE)
            return neg_errno();
    }
}

static int compare_xattrs(const void *a, const void *b)
{
    return strcmp(((const struct oci_xattr *)a)->name, ((const struct oci_xattr *)b)->name);
}

static int add_xattr(struct file_meta *m, const char *path, const char *name)
{
    ssize_t n;

    if (m->xattr_count == m->xattr_capacity) {
        size_t capacity = MAX(m->xattr_capacity * 2, (size_t)8);
        struct oci_xattr *xattrs = reallocarray(m->xattrs, capacity, sizeof(*xattrs));

        if (!xattrs)
            return -ENOMEM;
        m->xattrs = xattrs;
        m->xattr_capacity = capacity;
    }
    n = read_value(path, name, &m->values);
    if (n == -ENODATA)
        return 0; /* removed meanwhile */
    if (n < 0)
        return (int)n;
    /* The buffer may move: an offset for now. */
    m->xattrs[m->xattr_count++] = (struct oci_xattr){
        .name = name, .value = (const void *)(uintptr_t)m->values.size, .size = (size_t)n};
    m->values.size += (size_t)n;
    return 0;
}

int file_meta_read_xattrs(struct file_meta *m, int fd)
{
    char path[40];
    ssize_t size;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    m->xattr_count = 0;
    m->names.size = 0;
    m->values.size = 0;
    size = read_names(path, &m->names);
    if (size <= 0)
        return size == -EOPNOTSUPP ? 0 : (int)size;
    for (const char *name = (const char *)m->names.data, *end = name + size; name < end;
         name += strlen(name) + 1) {
        int err = file_meta_keeps_xattr(name) ? add_xattr(m, path, name) : 0;

        if (err < 0)
            return err;
    }
    for (size_t i = 0; i < m->xattr_count; i++)
        m->xattrs[i].value = m->values.data + (uintptr_t)m->xattrs[i].value;
    if (m->xattr_count > 1)
        qsort(m->xattrs, m->xattr_count, sizeof(m->xattrs[0]), compare_xattrs);
    return 0;
}

/* ---- holes ---- */

/* Adds data at [offset, end), joined with the extent before over a hole that is too small. */
static int add_extent(struct file_meta *m, uint64_t offset, uint64_t end)
{
    struct tar_extent *last = m->extent_count ? &m->extents[m->extent_count - 1] : NULL;

    if (last &&
        (offset - (last->offset + last->size) < HOLE_MIN || m->extent_count == EXTENTS_MAX)) {
        last->size = end - last->offset;
        return 0;
    }
    if (!last && offset < HOLE_MIN)
        offset = 0;
    if (m->extent_count == m->extent_capacity) {
        size_t capacity = MAX(m->extent_capacity * 2, (size_t)16);
        struct tar_extent *extents = reallocarray(m->extents, capacity, sizeof(*extents));

        if (!extents)
            return -ENOMEM;
        m->extents = extents;
        m->extent_capacity = capacity;
    }
    m->extents[m->extent_count++] = (struct tar_extent){.offset = offset, .size = end - offset};
    return 0;
}

/* 1 with the next data at or after offset, 0 when there is only a hole, -errno. */
static int next_data(int fd, uint64_t offset, uint64_t size, uint64_t *ret_start, uint64_t *ret_end)
{
    off_t start = lseek(fd, (off_t)offset, SEEK_DATA), end;

    if (start < 0)
        return errno == ENXIO ? 0 : neg_errno();
    end = lseek(fd, start, SEEK_HOLE);
    if (end < 0)
        return neg_errno();
    *ret_start = (uint64_t)start;
    *ret_end = MIN((uint64_t)end, size);
    return (uint64_t)start<size && * ret_end> * ret_start;
}

int file_meta_read_extents(struct file_meta *m, int fd, uint64_t size)
{
    uint64_t start, end = 0;
    int n;

    m->extent_count = 0;
    while ((n = next_data(fd, end, size, &start, &end)) > 0) {
        int err = add_extent(m, start, end);

        if (err < 0)
            return err;
    }
    if (n < 0 && n != -EINVAL)
        return n;
    if (n == 0 && end < size && size - end < HOLE_MIN) {
        int err = add_extent(m, end, size);

        if (err < 0)
            return err;
    }
    m->sparse = n == 0 && !(m->extent_count == 1 && m->extents[0].size == size);
    return 0;
}
