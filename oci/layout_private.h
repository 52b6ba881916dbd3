/* SPDX-License-Identifier: Apache-2.0 */
/* What reading and writing a layout share. Internal to oci. */
#ifndef OCI_LAYOUT_PRIVATE_H
#define OCI_LAYOUT_PRIVATE_H

#include "oci/layout.h"

struct oci_layout {
    int dirfd;
    int tmp_dirfd; /* borrowed; -1: none given */
    bool owns_dirfd;
};

#define OCI_LAYOUT_FILE "oci-layout"
#define OCI_INDEX_FILE "index.json"

enum { OCI_BLOB_PATH_MAX = 6 + 7 + OCI_DIGEST_STR_MAX };

/* "blobs/<alg>/<hex>"; returns path. */
const char *oci_blob_path(const struct oci_digest *digest, char path[static OCI_BLOB_PATH_MAX]);

/* Reads a regular file, which must not be a link, as a whole. -ENOENT and others; texts name it. */
int oci_layout_read_file(
    const struct oci_layout *layout, const char *name, struct buf *b, struct report *r);

/* Checks the contents of the file oci-layout. */
int oci_layout_check_version(const struct buf *b, struct report *r);

#endif
