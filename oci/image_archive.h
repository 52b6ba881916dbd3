/* SPDX-License-Identifier: Apache-2.0 */
/* Random access to the members of a tar file that holds an image (oci-archive, docker-archive).
 *
 *     archive ── one pass over the headers ──▶ name → offset, size
 *
 * A compressed archive (docker save | gzip) has no offsets: it is unpacked into an unnamed file in
 * $TMPDIR, else /var/tmp, first, at most 64 GiB. */
#ifndef OCI_IMAGE_ARCHIVE_H
#define OCI_IMAGE_ARCHIVE_H

#include "oci/source.h"
#include "oci/util/buf.h"

enum {
    OCI_ARCHIVE_MEMBERS_MAX = 1 << 18,
    OCI_ARCHIVE_NAMES_MAX = 32 << 20, /* bytes of all names and link targets */
};

struct oci_archive_member {
    char *name;      /* relative, without "./" in front */
    char *link;      /* where a link points to, from the root of the archive; NULL for a file */
    uint64_t offset; /* of the content */
    uint64_t size;
    size_t order; /* position in the archive: of two of one name the later counts, as in tar */
};

struct oci_archive;

/* -ENOENT and others of open, -EBADMSG (no tar, truncated), -EFBIG, -EOPNOTSUPP (compressed with
 * something else than gzip or zstd). Read-only afterwards, so thread-safe. */
int oci_archive_open(const char *path, struct oci_archive **ret_archive, struct report *r);
struct oci_archive *oci_archive_close(struct oci_archive *archive);
DEFINE_CLEANUP(struct oci_archive *, oci_archive_close)

/* The file of this name, links followed; borrowed. -ENOENT, -ELOOP. */
int oci_archive_find(const struct oci_archive *archive, const char *name,
    const struct oci_archive_member **ret_member, struct report *r);

/* A file's bytes: some, all of a small one (-EFBIG above limit), or as a stream. */
ssize_t oci_archive_pread(const struct oci_archive *archive,
    const struct oci_archive_member *member, void *data, size_t size, uint64_t offset);
int oci_archive_read(const struct oci_archive *archive, const struct oci_archive_member *member,
    size_t limit, struct buf *b, struct report *r);
int oci_archive_stream(const struct oci_archive *archive, const struct oci_archive_member *member,
    struct oci_source **ret_source, struct report *r);

#endif
