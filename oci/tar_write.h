/* SPDX-License-Identifier: Apache-2.0 */
/* One entry's headers: ustar, and PAX for what ustar cannot say. Internal to oci. */
#ifndef OCI_TAR_WRITE_H
#define OCI_TAR_WRITE_H

#include "oci/layer.h"
#include "oci/tar_guard.h"
#include "oci/util/buf.h"

struct tar_entry {
    char type;        /* as in the header: '0' to '6' */
    const char *path; /* directories end with "/" */
    const char *link; /* of '1' and '2' */
    mode_t mode;
    uint32_t uid, gid, dev_major, dev_minor;
    uint64_t size; /* holes counted */
    int64_t mtime_sec;
    uint32_t mtime_nsec;
    const struct oci_xattr *xattrs;
    size_t xattr_count;
    bool sparse; /* then content is what the extents hold */
    const struct tar_extent *extents;
    size_t extent_count;
};

/* Appends all that stands before the content (of a sparse file also its map). 0, -ENOMEM, -EINVAL
 * when an xattr's name holds a '=', which PAX cannot express. */
int tar_write_headers(struct buf *out, const struct tar_entry *e);

#endif
