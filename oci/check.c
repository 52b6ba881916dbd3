/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of the image-spec: one function a field, tables where several fields share one. */
#include "oci/check.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct check {
    oci_complain_fn complain;
    void *userdata;
    char where[128]; /* the field's path, "manifests[2].platform" */
};

static void complain(struct check *c, bool must, const char *fmt, ...) _printf_(3, 4);
static void complain(struct check *c, bool must, const char *fmt, ...)
{
    struct report line = REPORT_INIT; /* which escapes what a stranger wrote */
    char text[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    (void)report_fail(&line, 0, "%s%s%s", c->where, c->where[0] ? ": " : "", text);
    c->complain(c->userdata, must, line.text);
}

static const char *string_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ------------------------------------------------------------------------------------------------
 * Descriptors (descriptor.md)
 */

/* RFC 3986: a scheme, a colon, and no character that a URI cannot hold. */
static bool is_uri(const char *s)
{
    const char *colon = strchr(s, ':');

    if (!isalpha((unsigned char)s[0]) || !colon)
        return false;
    for (const char *p = s; p < colon; p++)
        if (!isalnum((unsigned char)*p) && !strchr("+-.", *p))
            return false;
    for (const char *p = colon; *p; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || strchr("<>\"{}|\\^`", *p))
            return false;
    return true;
}

static void check_urls(struct check *c, const json_t *d)
{
    const json_t *url;
    size_t i;

    json_array_foreach(json_object_get(d, "urls"), i, url)
    {
        if (json_is_string(url) && !is_uri(json_string_value(url)))
            complain(c, true, "urls[%zu] is no URI", i);
    }
}

static int base64_value(char ch)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = ch ? strchr(digits, ch) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* False when it is none. */
static bool decode_base64(const char *s, struct buf *b)
{
    size_t size = strlen(s);

    if (size % 4 != 0)
        return false;
    for (size_t i = 0; i < size; i += 4) {
        int v[4], padding = 0;
        uint8_t bytes[3];

        for (int j = 0; j < 4; j++) {
            v[j] = base64_value(s[i + j]);
            if (v[j] < 0 && s[i + j] == '=' && j >= 2 && i + 4 == size)
                padding++;
            else if (v[j] < 0 || padding)
                return false;
        }
        for (int j = 4 - padding; j < 4; j++)
            v[j] = 0;
        bytes[0] = (uint8_t)(v[0] << 2 | v[1] >> 4);
        bytes[1] = (uint8_t)(v[1] << 4 | v[2] >> 2);
        bytes[2] = (uint8_t)(v[2] << 6 | v[3]);
        if (buf_append(b, bytes, (size_t)(3 - padding)) < 0)
            return false;
    }
    return true;
}

/* Embedded content is what the descriptor says. */
static void check_data(struct check *c, const json_t *d)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    const char *data = string_at(d, "data"), *text = string_at(d, "digest");
    struct oci_digest want, is;

    if (!data)
        return;
    if (!decode_base64(data, &b))
        complain(c, true, "data is not base64");
    else if ((json_int_t)b.size != json_integer_value(json_object_get(d, "size")))
        complain(c, true, "data has %zu bytes, which is not the size", b.size);
    else if (text && oci_digest_parse(text, &want) == 0 &&
             oci_digest_of(want.alg, b.data, b.size, &is) == 0 && !oci_digest_equal(&want, &is))
        complain(c, true, "data do not have the digest");
}

static void check_annotations(struct check *c, const json_t *object)
{
    json_t *annotations = json_object_get(object, "annotations"), *value;
    const char *key;

    json_object_foreach(annotations, key, value)
    {
        if (!key[0])
            complain(c, true, "annotations: a key is empty");
        if (!json_is_string(value))
            complain(c, true, "annotations: \"%s\" is not a string", key);
    }
}

static void check_artifact_type(struct check *c, const json_t *object)
{
    const char *type = string_at(object, "artifactType");

    if (type && !oci_media_is_well_formed(type))
        complain(c, true, "artifactType \"%s\" is no media type", type);
}

static void check_descriptor(struct check *c, const json_t *d)
{
    if (!json_is_object(d))
        return;
    check_urls(c, d);
    check_data(c, d);
    check_annotations(c, d);
    check_artifact_type(c, d);
}

/* An optional descriptor of another document. */
static void check_subject(struct check *c, json_t *document)
{
    struct oci_descriptor d = {0};
    json_t *subject = json_object_get(document, "subject");
    struct report r = REPORT_INIT;

    if (!subject)
        return;
    (void)snprintf(c->where, sizeof(c->where), "subject");
    if (oci_descriptor_parse_entry(subject, &d, &r) < 0)
        complain(c, true, "%s", r.text);
    check_descriptor(c, subject);
    oci_descriptor_deinit(&d);
    c->where[0] = '\0';
}

/* ------------------------------------------------------------------------------------------------
 * Index and manifest
 */

void oci_check_layout_file(const json_t *json, oci_complain_fn fn, void *userdata)
{
    struct check c = {.complain = fn, .userdata = userdata};
    const char *version = string_at(json, "imageLayoutVersion");

    if (!version)
        complain(&c, true, "imageLayoutVersion is missing");
    else if (strcmp(version, "1.0.0") != 0)
        complain(&c, true, "imageLayoutVersion is \"%s\", not \"1.0.0\"", version);
}

static void check_platform(struct check *c, const json_t *entry)
{
    const json_t *platform = json_object_get(entry, "platform");

    if (!json_is_object(platform))
        return;
    if (!string_at(platform, "architecture"))
        complain(c, true, "platform has no architecture");
    if (!string_at(platform, "os"))
        complain(c, true, "platform has no os");
}

static void check_media_type_there(struct check *c, const json_t *json)
{
    if (!string_at(json, "mediaType"))
        complain(c, false, "mediaType is missing");
}

void oci_check_index(const json_t *json, oci_complain_fn fn, void *userdata)
{
    struct check c = {.complain = fn, .userdata = userdata};
    json_t *entry;
    size_t i;

    check_media_type_there(&c, json);
    check_annotations(&c, json);
    check_artifact_type(&c, json);
    if (json_is_null(json_object_get(json, "manifests")))
        complain(&c, true, "manifests is null and not an array");
    json_array_foreach(json_object_get(json, "manifests"), i, entry)
    {
        (void)snprintf(c.where, sizeof(c.where), "manifests[%zu]", i);
        check_descriptor(&c, entry);
        check_platform(&c, entry);
    }
    c.where[0] = '\0';
    check_subject(&c, (json_t *)(uintptr_t)json);
}

void oci_check_manifest(const json_t *json, oci_complain_fn fn, void *userdata)
{
    static const char empty[] = "application/vnd.oci.empty.v1+json";
    struct check c = {.complain = fn, .userdata = userdata};
    const json_t *config = json_object_get(json, "config");
    const char *type = string_at(config, "mediaType");
    json_t *layer;
    size_t i;

    check_media_type_there(&c, json);
    check_annotations(&c, json);
    check_artifact_type(&c, json);
    if (type && strcmp(type, empty) == 0 && !string_at(json, "artifactType"))
        complain(&c, true, "artifactType is missing, which an empty config needs");
    if (json_is_null(json_object_get(json, "layers")))
        complain(&c, true, "layers is null and not an array");
    (void)snprintf(c.where, sizeof(c.where), "config");
    check_descriptor(&c, config);
    json_array_foreach(json_object_get(json, "layers"), i, layer)
    {
        (void)snprintf(c.where, sizeof(c.where), "layers[%zu]", i);
        check_descriptor(&c, layer);
    }
    c.where[0] = '\0';
    check_subject(&c, (json_t *)(uintptr_t)json);
}

/* ------------------------------------------------------------------------------------------------
 * Config (config.md)
 */

/* RFC 3339, section 5.6: a pattern, 'd' for a digit. */
static bool is_time(const char *s)
{
    static const char pattern[] = "dddd-dd-ddTdd:dd:dd";
    size_t i;

    for (i = 0; pattern[i]; i++) {
        char ch = s[i];

        if (pattern[i] == 'd' ? !isdigit((unsigned char)ch)
                              : toupper((unsigned char)ch) != pattern[i])
            return false;
    }
    s += i;
    if (*s == '.') {
        size_t digits = strspn(s + 1, "0123456789");

        if (digits == 0)
            return false;
        s += 1 + digits;
    }
    if ((*s == 'Z' || *s == 'z') && !s[1])
        return true;
    return (*s == '+' || *s == '-') && isdigit((unsigned char)s[1]) &&
           isdigit((unsigned char)s[2]) && s[3] == ':' && isdigit((unsigned char)s[4]) &&
           isdigit((unsigned char)s[5]) && !s[6];
}

static void check_time(struct check *c, const json_t *object)
{
    const char *created = string_at(object, "created");

    if (created && !is_time(created))
        complain(c, true, "created \"%s\" is no time of RFC 3339", created);
}

/* "port", "port/tcp", "port/udp". */
static bool is_port(const char *s)
{
    size_t digits = strspn(s, "0123456789");

    return digits > 0 && digits <= 5 && atoi(s) <= 65535 &&
           (!s[digits] || strcmp(s + digits, "/tcp") == 0 || strcmp(s + digits, "/udp") == 0 ||
               strcmp(s + digits, "/sctp") == 0);
}

static bool is_signal(const char *s)
{
    if (s[strspn(s, "0123456789")] == '\0')
        return s[0] != '\0';
    return strncmp(s, "SIG", 3) == 0 && s[3] &&
           s[3 + strspn(s + 3, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-")] == '\0';
}

static void check_execution(struct check *c, const json_t *config)
{
    const char *signal = string_at(config, "StopSignal"), *key;
    json_t *value;
    size_t i;

    json_array_foreach(json_object_get(config, "Env"), i, value)
    {
        const char *env = json_string_value(value);

        if (env && (!strchr(env, '=') || env[0] == '='))
            complain(c, true, "config.Env[%zu] is not VARNAME=VARVALUE", i);
    }
    json_object_foreach(json_object_get(config, "ExposedPorts"), key, value)
    {
        if (!is_port(key))
            complain(c, true, "config.ExposedPorts: \"%s\" is no port", key);
        if (!json_is_object(value))
            complain(c, true, "config.ExposedPorts: the value of \"%s\" is not an object", key);
    }
    json_object_foreach(json_object_get(config, "Volumes"), key, value)
    {
        if (!json_is_object(value))
            complain(c, true, "config.Volumes: the value of \"%s\" is not an object", key);
    }
    if (signal && !is_signal(signal))
        complain(c, true, "config.StopSignal \"%s\" is no signal", signal);
}

/* History that tells which layers are empty tells how many are not. */
static void check_history(struct check *c, const json_t *json)
{
    const json_t *history = json_object_get(json, "history");
    size_t full = 0, i;
    json_t *entry;

    if (!json_is_array(history))
        return;
    json_array_foreach(history, i, entry)
    {
        json_t *empty = json_object_get(entry, "empty_layer");

        (void)snprintf(c->where, sizeof(c->where), "history[%zu]", i);
        check_time(c, entry);
        if (empty && !json_is_boolean(empty))
            complain(c, true, "empty_layer is not a boolean");
        full += !json_is_true(empty);
    }
    c->where[0] = '\0';
    if (full &&
        full != json_array_size(json_object_get(json_object_get(json, "rootfs"), "diff_ids")))
        complain(
            c, false, "history tells of %zu layers, which is not the number of diff_ids", full);
}

void oci_check_config(const json_t *json, oci_complain_fn fn, void *userdata)
{
    struct check c = {.complain = fn, .userdata = userdata};
    json_t *diff_ids = json_object_get(json_object_get(json, "rootfs"), "diff_ids");

    if (json_is_null(diff_ids))
        complain(&c, true, "rootfs.diff_ids is null and not an array");
    check_time(&c, json);
    check_execution(&c, json_object_get(json, "config"));
    check_history(&c, json);
}
