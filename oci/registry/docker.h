/* SPDX-License-Identifier: Apache-2.0 */
/* Images in registries (docker://): what only this transport has to tell. */
#ifndef OCI_REGISTRY_DOCKER_H
#define OCI_REGISTRY_DOCKER_H

#include "oci/transport.h"

enum { OCI_INDEX_DOCUMENTS_MAX = 64 };

/* Every index that leads to the images of a reference, the one that was asked for first; what they
 * list below it comes later. count 0: the reference is a single image. */
struct oci_index_documents {
    struct oci_index_document {
        struct oci_descriptor descriptor;
        struct buf bytes;
    } * items; /* owned */
    size_t count;
};

void oci_index_documents_deinit(struct oci_index_documents *documents);

/* Reads them, -EOPNOTSUPP for a source of another transport. */
int oci_docker_read_indexes(
    struct oci_image_source *source, struct oci_index_documents *ret_documents, struct report *r);

/* The source of another manifest of the same repository; it borrows from `source`, which must
 * outlive it. */
int oci_docker_open_manifest(struct oci_image_source *source, const struct oci_descriptor *manifest,
    struct oci_image_source **ret_source, struct report *r);

#endif
