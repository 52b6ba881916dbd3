/* SPDX-License-Identifier: Apache-2.0 */
/* Finding one image in an index, wherever its documents are kept. */
#ifndef OCI_FIND_H
#define OCI_FIND_H

#include "oci/image.h"

/* Where the documents that an index points to are read. */
struct oci_document_reader {
    /* A whole document, its digest checked, and its size unless that is UINT64_MAX. */
    int (*read)(
        void *userdata, const struct oci_descriptor *descriptor, struct buf *b, struct report *r);
    void *userdata;
};

/* Follows indexes from `start` to the manifest of a platform (NULL: the host's). -ENOENT (no such
 * platform), -EBADMSG (an index that contains itself), -EFBIG (deeper than OCI_INDEX_DEPTH_MAX),
 * -EOPNOTSUPP (not an image), and the reader's errors. */
int oci_index_resolve(const struct oci_descriptor *start, const struct oci_platform *platform,
    const struct oci_document_reader *reader, struct oci_descriptor *ret_manifest,
    struct report *r);

/* Finds the manifest of one image: by tag (org.opencontainers.image.ref.name), by the full digest
 * of a manifest or index (also one that only other indexes name), by a unique prefix (>= 4 hex
 * digits, "sha256:" optional) of a digest in `index`, or, name NULL, the only image there. A tag
 * wins over a digest. Several entries of one tag are told apart by platform.
 *
 * Then as oci_index_resolve(). A single entry of another platform is taken all the same, unless
 * `platform` was asked for. Entries that are no images, or whose blobs are missing, disturb only
 * who names them. -ENOENT, -EEXIST when a prefix, a tag or a missing name fits several. */
int oci_index_find(const struct oci_index *index, const char *name,
    const struct oci_platform *platform, const struct oci_document_reader *reader,
    struct oci_descriptor *ret_manifest, struct report *r);

#endif
