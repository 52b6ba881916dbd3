/* SPDX-License-Identifier: Apache-2.0 */
/* What index and manifest parsing share. */
#include "oci/document.h"

static int check_schema_version(const json_t *json, const char *what, struct report *r)
{
    json_t *version = NULL;
    int err =
        oci_json_get(json, "schemaVersion", JSON_INTEGER, OCI_JSON_REQUIRED, what, &version, r);

    if (err < 0)
        return err;
    if (json_integer_value(version) == 1)
        return report_fail(r, -EOPNOTSUPP, "%s: docker schema 1 is not supported", what);
    if (json_integer_value(version) != 2)
        return report_fail(r, -EBADMSG, "%s: schemaVersion is %lld, not 2", what,
            (long long)json_integer_value(version));
    return 0;
}

static int check_media_type(
    const json_t *json, const char *what, enum oci_media kind, struct report *r)
{
    const char *type = NULL;
    int err = oci_json_get_string(json, "mediaType", OCI_JSON_OPTIONAL, what, &type, r);

    if (err != 0)
        return err < 0 ? err : 0;
    if (oci_media_is_docker_schema1(type))
        return report_fail(r, -EOPNOTSUPP, "%s: docker schema 1 is not supported", what);
    if (oci_media_classify(type) != kind)
        return report_fail(r, -EBADMSG, "%s: mediaType is \"%s\"", what, type);
    return 0;
}

int oci_document_check_head(const json_t *json, const char *what, enum oci_media kind,
    const char *const *foreign_fields, struct report *r)
{
    int err;

    if (!json_is_object(json))
        return report_fail(r, -EBADMSG, "%s: not an object", what);
    err = check_schema_version(json, what, r);
    if (err == 0)
        err = check_media_type(json, what, kind, r);
    for (; err == 0 && *foreign_fields; foreign_fields++)
        if (json_object_get(json, *foreign_fields))
            err =
                report_fail(r, -EBADMSG, "%s: has the foreign field \"%s\"", what, *foreign_fields);
    return err;
}

int oci_document_get_list(const json_t *object, const char *key, size_t limit, const char *what,
    json_t **ret_array, struct report *r)
{
    json_t *value = json_object_get(object, key);

    if (!value)
        return report_fail(r, -EBADMSG, "%s: %s is missing", what, key);
    if (json_is_null(value)) {
        *ret_array = NULL;
        return 0;
    }
    if (!json_is_array(value))
        return report_fail(r, -EBADMSG, "%s: %s is not an array", what, key);
    if (json_array_size(value) > limit)
        return report_fail(
            r, -EFBIG, "%s: %zu %s, more than %zu", what, json_array_size(value), key, limit);
    *ret_array = value;
    return 0;
}

int oci_document_verify(const struct oci_digest *expected, const struct buf *b, struct report *r)
{
    char text[OCI_DIGEST_STR_MAX], other[OCI_DIGEST_STR_MAX];
    struct oci_digest digest;
    int err = oci_digest_of(expected->alg, b->data, b->size, &digest);

    if (err < 0)
        return report_errno(r, err, "blob %s", oci_digest_format(expected, text));
    if (oci_digest_equal(&digest, expected))
        return 0;
    return report_fail(r, -EBADMSG, "blob %s: digest mismatch (its bytes have %s)",
        oci_digest_format(expected, text), oci_digest_format(&digest, other));
}
