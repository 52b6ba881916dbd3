/* SPDX-License-Identifier: Apache-2.0 */
/* Content descriptors (image-spec, descriptor.md). */
#include <string.h>

#include "oci/image.h"

static const char what[] = "descriptor";

void oci_descriptor_deinit(struct oci_descriptor *d)
{
    free(d->media_type);
    json_decref(d->json);
    *d = (struct oci_descriptor){0};
}

static int parse_media_type(json_t *json, struct oci_descriptor *d, struct report *r)
{
    const char *type = NULL;
    int err = oci_json_get_string(json, "mediaType", OCI_JSON_REQUIRED, what, &type, r);

    if (err < 0)
        return err;
    if (!oci_media_is_well_formed(type))
        return report_fail(r, -EBADMSG, "%s: malformed mediaType \"%s\"", what, type);
    d->media_type = strdup(type);
    return d->media_type ? 0 : report_errno(r, -ENOMEM, "%s", what);
}

static int parse_size(json_t *json, struct oci_descriptor *d, struct report *r)
{
    json_t *size = NULL;
    int err = oci_json_get(json, "size", JSON_INTEGER, OCI_JSON_REQUIRED, what, &size, r);

    if (err < 0)
        return err;
    if (json_integer_value(size) < 0)
        return report_fail(r, -EBADMSG, "%s: size is negative", what);
    d->size = (uint64_t)json_integer_value(size);
    return 0;
}

static int parse_platform_field(
    const json_t *platform, const char *key, char field[static 32], struct report *r)
{
    const char *value = NULL;
    int err = oci_json_get_string(platform, key, OCI_JSON_OPTIONAL, "platform", &value, r);

    if (err != 0)
        return err < 0 ? err : 0;
    if (strlen(value) > 31)
        return report_fail(r, -EBADMSG, "platform: %s is longer than 31 bytes", key);
    (void)strcpy(field, value);
    return 0;
}

/* os and architecture are required by the specification, but a stranger's entry without them must
 * not make the rest of an index unusable: it fits no platform. */
static int parse_platform(json_t *json, struct oci_descriptor *d, struct report *r)
{
    json_t *platform = NULL;
    int err = oci_json_get(json, "platform", JSON_OBJECT, OCI_JSON_OPTIONAL, what, &platform, r);

    if (err != 0)
        return err < 0 ? err : 0;
    err = parse_platform_field(platform, "os", d->platform.os, r);
    if (err == 0)
        err = parse_platform_field(platform, "architecture", d->platform.architecture, r);
    if (err == 0)
        err = parse_platform_field(platform, "variant", d->platform.variant, r);
    d->has_platform = err == 0;
    return err;
}

static int parse_rest(json_t *json, struct oci_descriptor *d, struct report *r)
{
    const char *unused;
    int err = parse_size(json, d, r);

    if (err == 0)
        err = parse_platform(json, d, r);
    if (err == 0)
        err = oci_json_check_strings(json, "urls", what, r);
    if (err == 0)
        err = oci_json_check_string_map(json, "annotations", what, r);
    if (err == 0)
        err = oci_json_get_string(json, "artifactType", OCI_JSON_OPTIONAL, what, &unused, r);
    if (err >= 0)
        err = oci_json_get_string(json, "data", OCI_JSON_OPTIONAL, what, &unused, r);
    return err < 0 ? err : 0;
}

static int parse(
    json_t *json, bool any_algorithm, struct oci_descriptor *ret_descriptor, struct report *r)
{
    struct oci_descriptor d = {0};
    int err;

    if (!json_is_object(json))
        return report_fail(r, -EBADMSG, "%s: not an object", what);
    err = parse_media_type(json, &d, r);
    if (err == 0)
        err = oci_json_get_digest(json, "digest", OCI_JSON_REQUIRED, what, &d.digest, r);
    if (err == -EOPNOTSUPP && any_algorithm) {
        err = 0;
        if (r)
            *r = REPORT_INIT;
    }
    if (err == 0)
        err = parse_rest(json, &d, r);
    if (err < 0) {
        oci_descriptor_deinit(&d);
        return err;
    }
    d.json = json_incref(json);
    *ret_descriptor = d;
    return 0;
}

int oci_descriptor_parse(json_t *json, struct oci_descriptor *ret_descriptor, struct report *r)
{
    return parse(json, false, ret_descriptor, r);
}

int oci_descriptor_parse_entry(
    json_t *json, struct oci_descriptor *ret_descriptor, struct report *r)
{
    return parse(json, true, ret_descriptor, r);
}

int oci_descriptor_make(const char *media_type, const struct oci_digest *digest, uint64_t size,
    struct oci_descriptor *ret_descriptor)
{
    char text[OCI_DIGEST_STR_MAX];
    struct oci_descriptor d = {.digest = *digest, .size = size};

    if (size > INT64_MAX)
        return -EINVAL;
    d.media_type = strdup(media_type);
    d.json = json_pack("{s:s, s:s, s:I}", "mediaType", media_type, "digest",
        oci_digest_format(digest, text), "size", (json_int_t)size);
    if (!d.media_type || !d.json) {
        oci_descriptor_deinit(&d);
        return -ENOMEM;
    }
    *ret_descriptor = d;
    return 0;
}

int oci_descriptor_copy(const struct oci_descriptor *d, struct oci_descriptor *ret_descriptor)
{
    struct oci_descriptor copy = *d;

    if (d->media_type) {
        copy.media_type = strdup(d->media_type);
        if (!copy.media_type)
            return -ENOMEM;
    }
    copy.json = json_incref(d->json);
    *ret_descriptor = copy;
    return 0;
}

const char *oci_descriptor_annotation(const struct oci_descriptor *d, const char *key)
{
    return json_string_value(json_object_get(json_object_get(d->json, "annotations"), key));
}
