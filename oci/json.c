/* SPDX-License-Identifier: Apache-2.0 */
/* JSON documents and typed access to their fields. */
#include "oci/json.h"

#include <string.h>

/* Walks over a string that starts behind its quote at p; returns the place behind its end. */
static const uint8_t *skip_string(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p != '"')
        p += *p == '\\' ? 2 : 1;
    return p < end ? p + 1 : end;
}

/* Bounds what parsing would cost. Text that is no JSON passes here and fails in the parser. */
static int check_cost(const uint8_t *p, const uint8_t *end, const char *what, struct report *r)
{
    size_t values = 0, depth = 0;

    while (p < end) {
        uint8_t c = *p++;

        if (c == '"') {
            p = skip_string(p, end);
        } else if (c == '{' || c == '[') {
            values++;
            if (++depth > OCI_JSON_DEPTH_MAX)
                return report_fail(
                    r, -EFBIG, "%s: nested deeper than %d levels", what, OCI_JSON_DEPTH_MAX);
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        } else if (c == ',') {
            values++;
        }
        if (values > OCI_JSON_VALUES_MAX)
            return report_fail(r, -EFBIG, "%s: more than %d values", what, OCI_JSON_VALUES_MAX);
    }
    return 0;
}

int oci_json_load(
    const void *data, size_t size, const char *what, json_t **ret_json, struct report *r)
{
    json_error_t error;
    json_t *json;
    int err;

    if (size > OCI_DOCUMENT_MAX)
        return report_fail(r, -EFBIG, "%s: %zu bytes, more than %d", what, size, OCI_DOCUMENT_MAX);
    if (size == 0)
        return report_fail(r, -EBADMSG, "%s: empty", what);
    err = check_cost(data, (const uint8_t *)data + size, what, r);
    if (err < 0)
        return err;
    json = json_loadb(data, size, JSON_REJECT_DUPLICATES, &error);
    if (!json && json_error_code(&error) == json_error_out_of_memory)
        return report_errno(r, -ENOMEM, "%s", what);
    if (!json)
        return report_fail(
            r, -EBADMSG, "%s: line %d, column %d: %s", what, error.line, error.column, error.text);
    *ret_json = json;
    return 0;
}

static int append_bytes(const char *data, size_t size, void *userdata)
{
    return buf_append(userdata, data, size) < 0 ? -1 : 0;
}

int oci_json_dump(const json_t *json, struct buf *b)
{
    size_t before = b->size;

    if (json_dump_callback(json, append_bytes, b, JSON_COMPACT | JSON_SORT_KEYS) == 0)
        return 0;
    b->size = before;
    return -ENOMEM;
}

static const char *type_name(json_type type)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",
        [JSON_ARRAY] = "an array",
        [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer",
        [JSON_REAL] = "a number",
        [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",
        [JSON_NULL] = "null",
    };

    return names[type];
}

int oci_json_get(const json_t *object, const char *key, json_type type, enum oci_json_need need,
    const char *what, json_t **ret_value, struct report *r)
{
    json_t *value = json_object_get(object, key);

    if (!value || json_is_null(value)) {
        if (need == OCI_JSON_OPTIONAL)
            return 1;
        return report_fail(r, -EBADMSG, "%s: %s is missing", what, key);
    }
    if (json_typeof(value) != type)
        return report_fail(r, -EBADMSG, "%s: %s is not %s", what, key, type_name(type));
    *ret_value = value;
    return 0;
}

int oci_json_get_string(const json_t *object, const char *key, enum oci_json_need need,
    const char *what, const char **ret_string, struct report *r)
{
    json_t *value = NULL;
    int err = oci_json_get(object, key, JSON_STRING, need, what, &value, r);

    if (err == 0)
        *ret_string = json_string_value(value);
    return err;
}

int oci_json_digest(
    const json_t *value, const char *what, struct oci_digest *ret_digest, struct report *r)
{
    const char *s = json_string_value(value);
    int err;

    if (!s)
        return report_fail(r, -EBADMSG, "%s: digest is not a string", what);
    err = oci_digest_parse(s, ret_digest);
    if (err == -EOPNOTSUPP)
        return report_fail(r, err, "%s: the algorithm of digest \"%s\" is not supported", what, s);
    if (err < 0)
        return report_fail(r, -EBADMSG, "%s: malformed digest \"%s\"", what, s);
    return 0;
}

int oci_json_get_digest(const json_t *object, const char *key, enum oci_json_need need,
    const char *what, struct oci_digest *ret_digest, struct report *r)
{
    json_t *value = NULL;
    int err = oci_json_get(object, key, JSON_STRING, need, what, &value, r);

    return err == 0 ? oci_json_digest(value, what, ret_digest, r) : err;
}

int oci_json_check_strings(
    const json_t *object, const char *key, const char *what, struct report *r)
{
    json_t *array = NULL, *value;
    size_t i;
    int err = oci_json_get(object, key, JSON_ARRAY, OCI_JSON_OPTIONAL, what, &array, r);

    if (err != 0)
        return err < 0 ? err : 0;
    json_array_foreach(array, i, value) if (!json_is_string(value)) return report_fail(
        r, -EBADMSG, "%s: %s[%zu] is not a string", what, key, i);
    return 0;
}

int oci_json_check_string_map(
    const json_t *object, const char *key, const char *what, struct report *r)
{
    json_t *map = NULL, *value;
    const char *name;
    int err = oci_json_get(object, key, JSON_OBJECT, OCI_JSON_OPTIONAL, what, &map, r);

    if (err != 0)
        return err < 0 ? err : 0;
    json_object_foreach(map, name, value) if (!json_is_string(value)) return report_fail(
        r, -EBADMSG, "%s: %s \"%s\" is not a string", what, key, name);
    return 0;
}
