/* SPDX-License-Identifier: Apache-2.0 */
/* Where images are pulled from, one interface for layouts, archives and registries. */
#ifndef OCI_TRANSPORT_H
#define OCI_TRANSPORT_H

#include "oci/image.h"
#include "oci/reference.h"
#include "oci/source.h"

struct oci_image_source;

/* What a transport fills in. */
struct oci_image_source_ops {
    int (*open_blob)(struct oci_image_source *s, const struct oci_descriptor *descriptor,
        struct oci_source **ret_source, struct report *r);
    /* The same from a byte of it on. NULL: the transport has only whole blobs. */
    int (*open_blob_at)(struct oci_image_source *s, const struct oci_descriptor *descriptor,
        uint64_t offset, struct oci_source **ret_source, struct report *r);
    void (*close)(struct oci_image_source *s);
};

/* First member of each implementation. */
struct oci_image_source {
    const struct oci_image_source_ops *ops;
    struct oci_descriptor descriptor; /* of the manifest for the wanted platform */
    struct buf manifest;              /* its bytes, checked against the descriptor */
    char *name;                       /* the full reference in a registry; NULL elsewhere */
};

/* Opens a location and finds the manifest of `platform` (NULL: the host's in an index, any where
 * there is one only; a platform that was asked for must be that of the image's config too). A
 * docker-archive gets a manifest of its own making: plain tar layers, their digests the diffIDs of
 * its config; compressed layers, as newer dockers write them, the digests of their bytes.
 * -EOPNOTSUPP for a transport that this build lacks. */
int oci_image_source_open(const struct oci_location *location, const struct oci_platform *platform,
    struct oci_image_source **ret_source, struct report *r);

/* A stream of a blob's bytes, not yet verified. Thread-safe. */
int oci_image_source_open_blob(struct oci_image_source *s, const struct oci_descriptor *descriptor,
    struct oci_source **ret_source, struct report *r);

/* True when blobs can be read from any byte on: what was read before need not be read again. */
bool oci_image_source_can_resume(const struct oci_image_source *s);
int oci_image_source_open_blob_at(struct oci_image_source *s,
    const struct oci_descriptor *descriptor, uint64_t offset, struct oci_source **ret_source,
    struct report *r);

struct oci_image_source *oci_image_source_close(struct oci_image_source *s);
DEFINE_CLEANUP(struct oci_image_source *, oci_image_source_close)

#endif
