/* SPDX-License-Identifier: Apache-2.0 */
/* Whole reads and writes, and files that appear complete or not at all. */
#include "oci/util/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

static ssize_t read_full(int fd, uint8_t *data, size_t size, off_t offset, bool positioned)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = positioned ? pread(fd, data + done, size - done, offset + (off_t)done)
                               : read(fd, data + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return neg_errno();
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static int write_full(int fd, const uint8_t *data, size_t size, off_t offset, bool positioned)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = positioned ? pwrite(fd, data + done, size - done, offset + (off_t)done)
                               : write(fd, data + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? neg_errno() : -EIO;
        done += (size_t)n;
    }
    return 0;
}

ssize_t io_read_full(int fd, void *data, size_t size)
{
    return read_full(fd, data, size, 0, false);
}

ssize_t io_pread_full(int fd, void *data, size_t size, off_t offset)
{
    return read_full(fd, data, size, offset, true);
}

int io_write_full(int fd, const void *data, size_t size)
{
    return write_full(fd, data, size, 0, false);
}

int io_pwrite_full(int fd, const void *data, size_t size, off_t offset)
{
    return write_full(fd, data, size, offset, true);
}

int io_read_fd(int fd, size_t limit, struct buf *b)
{
    struct stat st;
    ssize_t n;
    int r;

    if (fstat(fd, &st) < 0)
        return neg_errno();
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if ((uint64_t)st.st_size > limit)
        return -EFBIG;
    r = buf_reserve(b, (size_t)st.st_size + 1);
    if (r < 0)
        return r;
    n = io_pread_full(fd, b->data, (size_t)st.st_size, 0);
    if (n < 0)
        return (int)n;
    if (n < st.st_size)
        return -EIO;
    b->size = (size_t)n;
    b->data[b->size] = '\0'; /* not counted: lets text be used as a string */
    return 0;
}

int io_read_file(int dirfd, const char *name, size_t limit, struct buf *b)
{
    _cleanup_(fd_closep) int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    return fd < 0 ? neg_errno() : io_read_fd(fd, limit, b);
}

int io_mkdir(int dirfd, const char *name, mode_t mode)
{
    struct stat st;

    if (mkdirat(dirfd, name, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return neg_errno();
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return neg_errno();
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int io_mkdir_parents(const char *path, mode_t mode)
{
    _cleanup_(freep) char *copy = strdup(path);
    struct stat st;

    if (!copy)
        return -ENOMEM;
    for (char *p = copy + 1; copy[0]; p++) {
        char c = *p;

        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return neg_errno();
        if (c == '\0')
            break;
        *p = c;
    }
    if (stat(path, &st) < 0)
        return neg_errno();
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static void random_name(char *name, size_t size)
{
    uint64_t value[2] = {0};

    if (getrandom(value, sizeof(value), 0) != sizeof(value))
        value[0] = (uint64_t)getpid() << 32 | (uint64_t)(uintptr_t)name;
    (void)snprintf(name, size, ".tmp-%016llx%016llx", (unsigned long long)value[0],
        (unsigned long long)value[1]);
}

static int open_tmp(int dirfd, mode_t mode, struct io_tmp *tmp)
{
    *tmp = (struct io_tmp){.dirfd = dirfd};
    tmp->fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    if (tmp->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        random_name(tmp->name, sizeof(tmp->name));
        tmp->fd = openat(dirfd, tmp->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    }
    return tmp->fd < 0 ? neg_errno() : 0;
}

/* The lock says that somebody uses the file to who cleans up what others left; between its making
 * and the lock that one may have taken it for a leftover. */
int io_tmp_open(int dirfd, mode_t mode, struct io_tmp *ret_tmp)
{
    for (;;) {
        struct io_tmp tmp;
        struct stat st;
        int r = open_tmp(dirfd, mode, &tmp);

        if (r < 0)
            return r;
        (void)flock(tmp.fd, LOCK_SH);
        if (!tmp.name[0] || fstat(tmp.fd, &st) < 0 || st.st_nlink > 0) {
            *ret_tmp = tmp;
            return 0;
        }
        (void)fd_close(tmp.fd);
    }
}

/* Gives an O_TMPFILE file a name. */
static int link_fd(int fd, int to_dirfd, const char *name)
{
    char proc[40];

    (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, proc, to_dirfd, name, AT_SYMLINK_FOLLOW) < 0 ? neg_errno() : 0;
}

/* A link never replaces, so a replacing publish links a temporary name first and renames that. */
static int publish_replace(struct io_tmp *tmp, int to_dirfd, const char *name)
{
    int r;

    if (!tmp->name[0]) {
        random_name(tmp->name, sizeof(tmp->name));
        r = link_fd(tmp->fd, tmp->dirfd, tmp->name);
        if (r < 0) {
            tmp->name[0] = '\0';
            return r;
        }
    }
    return renameat(tmp->dirfd, tmp->name, to_dirfd, name) < 0 ? neg_errno() : 0;
}

static int publish_new(struct io_tmp *tmp, int to_dirfd, const char *name)
{
    if (!tmp->name[0])
        return link_fd(tmp->fd, to_dirfd, name);
    if (linkat(tmp->dirfd, tmp->name, to_dirfd, name, 0) < 0)
        return neg_errno();
    (void)unlinkat(tmp->dirfd, tmp->name, 0);
    return 0;
}

int io_tmp_publish(struct io_tmp *tmp, int to_dirfd, const char *name, unsigned flags)
{
    int r;

    if ((flags & IO_PUBLISH_SYNC) && fsync(tmp->fd) < 0)
        return neg_errno();
    r = flags & IO_PUBLISH_REPLACE ? publish_replace(tmp, to_dirfd, name)
                                   : publish_new(tmp, to_dirfd, name);
    if (r < 0)
        return r;
    tmp->name[0] = '\0';
    tmp->fd = fd_close(tmp->fd);
    if ((flags & IO_PUBLISH_SYNC) && fsync(to_dirfd) < 0)
        return neg_errno();
    return 0;
}

void io_tmp_deinit(struct io_tmp *tmp)
{
    int saved = errno;

    if (tmp->fd >= 0 && tmp->name[0])
        (void)unlinkat(tmp->dirfd, tmp->name, 0);
    tmp->fd = fd_close(tmp->fd);
    tmp->name[0] = '\0';
    errno = saved;
}

int io_write_file(int dirfd, const char *name, const void *data, size_t size, mode_t mode)
{
    _cleanup_(io_tmp_deinit) struct io_tmp tmp = IO_TMP_INIT;
    int r = io_tmp_open(dirfd, mode, &tmp);

    if (r == 0)
        r = io_write_full(tmp.fd, data, size);
    if (r == 0)
        r = io_tmp_publish(&tmp, dirfd, name, IO_PUBLISH_REPLACE | IO_PUBLISH_SYNC);
    return r;
}
