/* SPDX-License-Identifier: Apache-2.0 */
/* What stat() does not tell of a file: its xattrs and its holes. Internal to oci. */
#ifndef OCI_FILE_META_H
#define OCI_FILE_META_H

#include "oci/layer.h"
#include "oci/tar_guard.h"
#include "oci/util/buf.h"

/* Zero-initialise to start; each call replaces what the one before it read. */
struct file_meta {
    struct oci_xattr *xattrs; /* sorted by name */
    size_t xattr_count, xattr_capacity;
    struct tar_extent *extents; /* when sparse */
    size_t extent_count, extent_capacity;
    bool sparse;
    struct buf names, values; /* of the xattrs */
};

void file_meta_deinit(struct file_meta *m);

/* fd may be an O_PATH descriptor, also of a link. Needs /proc. 0 or -errno. */
int file_meta_read_xattrs(struct file_meta *m, int fd);

/* True for an xattr that belongs into a layer. */
bool file_meta_keeps_xattr(const char *name);

/* Finds the holes of a regular file of size bytes; moves its file offset. */
int file_meta_read_extents(struct file_meta *m, int fd, uint64_t size);

#endif
