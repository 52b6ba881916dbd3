/* SPDX-License-Identifier: Apache-2.0 */
/* Whole reads and writes, and files that appear complete or not at all. */
#ifndef OCI_UTIL_IO_H
#define OCI_UTIL_IO_H

#include <sys/types.h>

#include "oci/util/buf.h"

/* Reads until size bytes are there or the file ends; returns the bytes read or -errno. */
ssize_t io_read_full(int fd, void *data, size_t size);
ssize_t io_pread_full(int fd, void *data, size_t size, off_t offset);

/* Writes everything. 0 or -errno (-EIO for a write of nothing). */
int io_write_full(int fd, const void *data, size_t size);
int io_pwrite_full(int fd, const void *data, size_t size, off_t offset);

/* Reads dirfd/name as a whole into b, which must be empty. -EFBIG when it is larger than limit
 * bytes, else 0 or -errno. Only regular files are read: -EINVAL for others. */
int io_read_file(int dirfd, const char *name, size_t limit, struct buf *b);

/* The same of an open file, from its start; fd stays open. -EIO when it shrinks meanwhile. */
int io_read_fd(int fd, size_t limit, struct buf *b);

/* mkdir that is content with a directory that is there (not with a link to one). */
int io_mkdir(int dirfd, const char *name, mode_t mode);

/* mkdir -p, each component as io_mkdir but for links, which are followed. */
int io_mkdir_parents(const char *path, mode_t mode);

/* A file being written that only io_tmp_publish() makes visible.
 *
 * O_TMPFILE where the file system has it, else a name in the same directory that starts with
 * ".tmp-" and that io_tmp_deinit() removes. */
struct io_tmp {
    int fd;        /* for writing; -1 when unused */
    int dirfd;     /* borrowed from the caller */
    char name[48]; /* the temporary name, "" with O_TMPFILE */
};

#define IO_TMP_INIT ((struct io_tmp){.fd = -1, .dirfd = -1})

/* Opens a temporary file in dirfd, which must stay open until io_tmp_deinit(). */
int io_tmp_open(int dirfd, mode_t mode, struct io_tmp *ret_tmp);

enum io_publish_flags {
    IO_PUBLISH_REPLACE = 1 << 0, /* rename over what is there; else a name in use is -EEXIST */
    IO_PUBLISH_SYNC = 1 << 1,    /* fsync the file before and the directory after */
};

/* Gives the file its name in to_dirfd (same file system), then closes it. On failure the file is
 * still temporary. 0 or -errno. */
int io_tmp_publish(struct io_tmp *tmp, int to_dirfd, const char *name, unsigned flags);

/* Removes what was not published. Keeps errno. */
void io_tmp_deinit(struct io_tmp *tmp);

/* Replaces dirfd/name by these bytes, synced, complete or not at all. */
int io_write_file(int dirfd, const char *name, const void *data, size_t size, mode_t mode);

#endif
