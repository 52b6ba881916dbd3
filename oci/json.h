/* SPDX-License-Identifier: Apache-2.0 */
/* JSON documents from strangers, and typed access to their fields.
 *
 * Limits besides the document's size: a value costs some hundred bytes of memory where the text
 * may spend two on it, so the number of values and the nesting are bounded before anything is
 * parsed. */
#ifndef OCI_JSON_H
#define OCI_JSON_H

#include <jansson.h>

#include "oci/digest.h"
#include "oci/util/buf.h"
#include "oci/util/report.h"

enum {
    OCI_DOCUMENT_MAX = 4 << 20,    /* bytes */
    OCI_JSON_VALUES_MAX = 1 << 17, /* values in a document, about */
    OCI_JSON_DEPTH_MAX = 64,       /* objects and arrays inside each other */
};

/* A reference that goes with its scope: _cleanup_(oci_json_unrefp) json_t *json = NULL. */
static inline void oci_json_unrefp(json_t **json)
{
    json_decref(*json);
}

/* json_loadb with the limits above (-EFBIG), duplicate keys refused and a one-line text (-EBADMSG)
 * that begins with `what`. */
int oci_json_load(
    const void *data, size_t size, const char *what, json_t **ret_json, struct report *r);

/* Canonical bytes of a JSON value we make: compact, keys sorted. */
int oci_json_dump(const json_t *json, struct buf *b);

enum oci_json_need {
    OCI_JSON_OPTIONAL, /* absent or null is 1 */
    OCI_JSON_REQUIRED, /* absent or null is -EBADMSG */
};

/* Fields of an object, borrowed. 0: it is there and of the type; 1: it is not there and need not
 * be; -EBADMSG with a text that begins with `what`. null counts as absent, because Go programs
 * write it for empty values. */
int oci_json_get(const json_t *object, const char *key, json_type type, enum oci_json_need need,
    const char *what, json_t **ret_value, struct report *r);
int oci_json_get_string(const json_t *object, const char *key, enum oci_json_need need,
    const char *what, const char **ret_string, struct report *r);
int oci_json_get_digest(const json_t *object, const char *key, enum oci_json_need need,
    const char *what, struct oci_digest *ret_digest, struct report *r);

/* The same checks for a field whose value is not wanted now: an array of strings, an object of
 * strings. 0 or -EBADMSG. */
int oci_json_check_strings(
    const json_t *object, const char *key, const char *what, struct report *r);
int oci_json_check_string_map(
    const json_t *object, const char *key, const char *what, struct report *r);

/* A digest in a string value: -EBADMSG (no string, malformed), -EOPNOTSUPP (another algorithm). */
int oci_json_digest(
    const json_t *value, const char *what, struct oci_digest *ret_digest, struct report *r);

#endif
