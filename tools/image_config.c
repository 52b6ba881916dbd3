/* SPDX-License-Identifier: Apache-2.0 */
/* An image's documents.
 *
 * A new config starts as a copy of the base's, so that fields this program does not know are kept.
 * Command and entrypoint follow docker's rule: who sets an entrypoint without a command drops the
 * base's command, which was meant for another program. */
#include "tools/image_config.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int format_time(int64_t seconds, char ret_text[static TIME_TEXT_MAX])
{
    time_t t = (time_t)seconds;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || !strftime(ret_text, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm))
        return -EINVAL;
    return 0;
}

/* What follows the seconds: ".digits" if any, then Z or +hh:mm. */
static bool is_time_tail(const char *s)
{
    size_t digits = s[0] == '.' ? strspn(s + 1, "0123456789") : 0;
    unsigned hours, minutes;
    int end = 0;

    if (s[0] == '.' && (digits == 0 || digits > 9))
        return false;
    s += digits ? digits + 1 : 0;
    if (strcmp(s, "Z") == 0)
        return true;
    return (s[0] == '+' || s[0] == '-') &&
           sscanf(s + 1, "%2u:%2u%n", &hours, &minutes, &end) == 2 && end == 5 && s[6] == '\0' &&
           hours < 24 && minutes < 60;
}

int parse_time(const char *s, char ret_text[static TIME_TEXT_MAX])
{
    struct tm tm = {0};
    const char *tail;
    uint64_t seconds;

    if (strcmp(s, "now") == 0)
        return format_time(time(NULL), ret_text);
    if (s[0] == '@')
        return parse_number(s + 1, INT32_MAX * (uint64_t)100, &seconds) < 0
                   ? -EINVAL
                   : format_time((int64_t)seconds, ret_text);
    tail = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!tail || tail != s + 19 || !is_time_tail(tail))
        return -EINVAL;
    (void)snprintf(ret_text, TIME_TEXT_MAX, "%s", s);
    return 0;
}

/* The object of a key, made when it is missing; borrowed. NULL when out of memory. */
static json_t *object_in(json_t *parent, const char *key)
{
    json_t *object = json_object_get(parent, key);

    if (json_is_object(object))
        return object;
    object = json_object();
    return json_object_set_new(parent, key, object) < 0 ? NULL : object;
}

static int set_string(json_t *object, const char *key, const char *value)
{
    if (!value)
        return 0;
    return json_object_set_new(object, key, json_string(value)) < 0 ? -ENOMEM : 0;
}

static int fail_text(const struct option_item *item, struct report *r)
{
    return report_fail(r, -EINVAL, "--%s: '%s' is not UTF-8", item->def->name, item->value);
}

/* Words: each use of the option is one, a JSON array stands for all of them. */
static int words(const struct option_list *list, json_t **ret_words, struct report *r)
{
    json_t *all = json_array();

    for (size_t i = 0; i < list->count; i++) {
        const struct option_item *item = &list->items[i];
        json_t *word = NULL;
        size_t j;
        json_t *element;

        if (item->value[0] != '[') {
            if (json_array_append_new(all, json_string(item->value)) == 0)
                continue;
            json_decref(all);
            return fail_text(item, r);
        }
        word = json_loads(item->value, 0, NULL);
        json_array_foreach(word, j, element)
        {
            if (!json_is_string(element))
                break;
        }
        if (!json_is_array(word) || j < json_array_size(word)) {
            json_decref(word);
            json_decref(all);
            return report_fail(r, -EINVAL, "--%s: '%s' is not a JSON array of strings",
                item->def->name, item->value);
        }
        json_decref(all);
        all = word;
    }
    *ret_words = all;
    return all ? 0 : -ENOMEM;
}

static int set_words(
    json_t *config, const char *key, const struct option_list *list, struct report *r)
{
    json_t *value;
    int err;

    if (!list->count)
        return 0;
    err = words(list, &value, r);
    if (err < 0)
        return err;
    return json_object_set_new(config, key, value) < 0 ? -ENOMEM : 0;
}

static int set_command(json_t *config, const struct config_changes *c, struct report *r)
{
    int err = set_words(config, "Entrypoint", &c->entrypoint, r);

    if (c->entrypoint.count && !c->cmd.count)
        (void)json_object_del(config, "Cmd");
    return err < 0 ? err : set_words(config, "Cmd", &c->cmd, r);
}

static int check_pair(const struct option_item *item, struct report *r)
{
    const char *equals = strchr(item->value, '=');

    if (!equals || equals == item->value)
        return report_fail(r, -EINVAL, "--%s: '%s' is not KEY=VALUE", item->def->name, item->value);
    return 0;
}

/* Replaces the variable of the same name, else appends. */
static int set_variable(json_t *env, const char *pair)
{
    size_t name = strcspn(pair, "=") + 1, i;
    json_t *value = json_string(pair), *old;

    json_array_foreach(env, i, old)
    {
        const char *text = json_string_value(old);

        if (text && strncmp(text, pair, name) == 0)
            return json_array_set_new(env, i, value);
    }
    return json_array_append_new(env, value);
}

static int set_env(json_t *config, const struct option_list *list, struct report *r)
{
    json_t *env = json_object_get(config, "Env");
    int err = 0;

    if (!list->count)
        return 0;
    if (!json_is_array(env)) {
        env = json_array();
        if (json_object_set_new(config, "Env", env) < 0)
            return -ENOMEM;
    }
    for (size_t i = 0; err == 0 && i < list->count; i++) {
        err = check_pair(&list->items[i], r);
        if (err == 0 && set_variable(env, list->items[i].value) < 0)
            err = fail_text(&list->items[i], r);
    }
    return err;
}

/* KEY=VALUE options as an object. */
static int set_pairs(
    json_t *parent, const char *key, const struct option_list *list, struct report *r)
{
    json_t *object = list->count ? object_in(parent, key) : NULL;
    int err = 0;

    for (size_t i = 0; err == 0 && i < list->count; i++) {
        const struct option_item *item = &list->items[i];
        size_t size = strcspn(item->value, "=");

        err = check_pair(item, r);
        if (err == 0 && json_object_setn_new(
                            object, item->value, size, json_string(item->value + size + 1)) < 0)
            err = fail_text(item, r);
    }
    return err;
}

/* Names as keys of empty objects: how the config keeps ports and volumes. */
static int set_names(
    json_t *config, const char *key, const struct option_list *list, struct report *r)
{
    json_t *object = list->count ? object_in(config, key) : NULL;

    for (size_t i = 0; i < list->count; i++)
        if (json_object_set_new(object, list->items[i].value, json_object()) < 0)
            return fail_text(&list->items[i], r);
    return 0;
}

static int set_runtime(json_t *image, const struct config_changes *c, struct report *r)
{
    json_t *config = object_in(image, "config");
    int err;

    if (!config)
        return -ENOMEM;
    err = set_command(config, c, r);
    if (err == 0)
        err = set_env(config, &c->env, r);
    if (err == 0)
        err = set_pairs(config, "Labels", &c->labels, r);
    if (err == 0)
        err = set_names(config, "ExposedPorts", &c->expose, r);
    if (err == 0)
        err = set_names(config, "Volumes", &c->volumes, r);
    if (err == 0)
        err = set_string(config, "WorkingDir", c->workdir);
    if (err == 0)
        err = set_string(config, "User", c->user);
    if (err == 0)
        err = set_string(config, "StopSignal", c->stop_signal);
    return err;
}

static int set_platform(json_t *image, const struct config_changes *c, bool has_base)
{
    struct oci_platform p = c->platform.os[0] ? c->platform : oci_platform_host();
    int err;

    if (has_base && !c->platform.os[0])
        return 0;
    err = set_string(image, "os", p.os);
    if (err == 0)
        err = set_string(image, "architecture", p.architecture);
    if (err == 0 && p.variant[0])
        err = set_string(image, "variant", p.variant);
    return err;
}

/* The array of a key, made when it is missing; borrowed. */
static json_t *array_in(json_t *parent, const char *key)
{
    json_t *array = json_object_get(parent, key);

    if (json_is_array(array))
        return array;
    array = json_array();
    return json_object_set_new(parent, key, array) < 0 ? NULL : array;
}

static int add_diff_ids(json_t *image, const struct new_layer *layers, size_t count)
{
    json_t *rootfs = object_in(image, "rootfs");
    json_t *ids = rootfs ? array_in(rootfs, "diff_ids") : NULL;

    if (!ids || json_object_set_new(rootfs, "type", json_string("layers")) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        char text[OCI_DIGEST_STR_MAX];

        if (json_array_append_new(ids, json_string(oci_digest_format(&layers[i].diff_id, text))) <
            0)
            return -ENOMEM;
    }
    return 0;
}

/* One line a layer, or one that says that there is none. */
static int add_history(json_t *image, const struct config_changes *c, size_t layer_count)
{
    json_t *history = array_in(image, "history");

    for (size_t i = 0; i < MAX(layer_count, (size_t)1); i++) {
        const char *by = i < c->history.count ? c->history.items[i].value : "layerfs create";
        json_t *line = json_pack("{s:s, s:s}", "created", c->created, "created_by", by);

        if (line && !layer_count)
            (void)json_object_set_new(line, "empty_layer", json_true());
        if (json_array_append_new(history, line) < 0)
            return -ENOMEM;
    }
    return 0;
}

int image_config_build(const struct oci_config *base, const struct config_changes *changes,
    const struct new_layer *layers, size_t layer_count, json_t **ret_config, struct report *r)
{
    json_t *image = base ? json_deep_copy(base->json) : json_object();
    int err = image ? set_string(image, "created", changes->created) : -ENOMEM;

    if (err == 0)
        err = set_string(image, "author", changes->author);
    if (err == 0)
        err = set_platform(image, changes, base != NULL);
    if (err == 0)
        err = set_runtime(image, changes, r);
    if (err == 0)
        err = add_diff_ids(image, layers, layer_count);
    if (err == 0)
        err = add_history(image, changes, layer_count);
    if (err < 0) {
        json_decref(image);
        return report_is_set(r) ? err : report_errno(r, err, "config");
    }
    *ret_config = image;
    return 0;
}

static const char *layer_type(enum oci_compression c)
{
    switch (c) {
    case OCI_COMPRESSION_GZIP:
        return OCI_TYPE_LAYER_GZIP;
    case OCI_COMPRESSION_ZSTD:
        return OCI_TYPE_LAYER_ZSTD;
    case OCI_COMPRESSION_NONE:
        return OCI_TYPE_LAYER;
    }
    return OCI_TYPE_LAYER;
}

static const char *oci_layer_type(const char *media_type)
{
    if (strcmp(media_type, OCI_TYPE_DOCKER_LAYER) == 0)
        return OCI_TYPE_LAYER_GZIP;
    if (strcmp(media_type, "application/vnd.docker.image.rootfs.diff.tar") == 0)
        return OCI_TYPE_LAYER;
    return media_type;
}

static json_t *descriptor(const char *type, const struct oci_digest *digest, uint64_t size)
{
    char text[OCI_DIGEST_STR_MAX];

    return json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest",
        oci_digest_format(digest, text), "size", (json_int_t)size);
}

static int add_base_layers(json_t *list, const struct oci_manifest *base)
{
    for (size_t i = 0; base && i < base->layer_count; i++) {
        const struct oci_descriptor *layer = &base->layers[i];
        json_t *copy = json_deep_copy(layer->json);

        if (json_array_append_new(list, copy) < 0 ||
            set_string(copy, "mediaType", oci_layer_type(layer->media_type)) < 0)
            return -ENOMEM;
    }
    return 0;
}

int image_manifest_build(const struct oci_manifest *base, const struct config_changes *changes,
    const struct oci_digest *config, uint64_t config_size, const struct new_layer *layers,
    size_t layer_count, json_t **ret_manifest, struct report *r)
{
    json_t *list = json_array();
    json_t *manifest =
        json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType", OCI_TYPE_MANIFEST,
            "config", descriptor(OCI_TYPE_CONFIG, config, config_size), "layers", list);
    int err = manifest ? add_base_layers(list, base) : -ENOMEM;

    for (size_t i = 0; err == 0 && i < layer_count; i++)
        if (json_array_append_new(list, descriptor(layer_type(layers[i].compression),
                                            &layers[i].digest, layers[i].size)) < 0)
            err = -ENOMEM;
    if (err == 0)
        err = set_pairs(manifest, "annotations", &changes->annotations, r);
    if (err < 0) {
        json_decref(manifest);
        return report_is_set(r) ? err : report_errno(r, err, "manifest");
    }
    *ret_manifest = manifest;
    return 0;
}
