/* SPDX-License-Identifier: Apache-2.0 */
/* What index and manifest parsing share. Internal to oci. */
#ifndef OCI_DOCUMENT_H
#define OCI_DOCUMENT_H

#include "oci/image.h"

/* Checks that a document is an object of schema version 2 whose mediaType, when it has one, is of
 * this kind, and which has no field of the other kind: a document that could be read as both an
 * index and a manifest would mean different images to different readers. `foreign_fields` ends with
 * NULL. 0, -EBADMSG, -EOPNOTSUPP (docker schema 1). */
int oci_document_check_head(const json_t *json, const char *what, enum oci_media kind,
    const char *const *foreign_fields, struct report *r);

/* A required array of at most limit elements (-EFBIG); null is an empty one. Borrowed, may be NULL
 * (which jansson takes for empty). */
int oci_document_get_list(const json_t *object, const char *key, size_t limit, const char *what,
    json_t **ret_array, struct report *r);

/* -EBADMSG when a document's bytes do not have this digest. */
int oci_document_verify(const struct oci_digest *expected, const struct buf *b, struct report *r);

#endif
