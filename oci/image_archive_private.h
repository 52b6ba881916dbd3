/* SPDX-License-Identifier: Apache-2.0 */
/* The index of an archive's members. Internal to oci. */
#ifndef OCI_IMAGE_ARCHIVE_PRIVATE_H
#define OCI_IMAGE_ARCHIVE_PRIVATE_H

#include "oci/image_archive.h"

struct oci_archive {
    int fd;                             /* of the plain tar file */
    uint64_t size;                      /* of that */
    struct oci_archive_member *members; /* sorted by name, then order, once scanned */
    size_t count, capacity;
    size_t name_bytes; /* of all names and links */
};

/* Fills members from the headers in archive->fd. */
int oci_archive_scan(struct oci_archive *archive, struct report *r);

/* path without ".", "..", empty components and a leading slash, seen from directory `base` (""
 * is the root): a new string, or NULL. *ret_outside when ".." leads out of the root. */
char *oci_archive_normalize(const char *base, size_t base_len, const char *path, bool *ret_outside);

#endif
