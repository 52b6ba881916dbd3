/* SPDX-License-Identifier: Apache-2.0 */
/* Image configs (image-spec, config.md). What a runtime bundle takes from `config` is checked for
 * its types here, once. */
#include <string.h>

#include "oci/document.h"

static const char what[] = "config";

struct oci_config *oci_config_free(struct oci_config *config)
{
    if (!config)
        return NULL;
    free(config->diff_ids);
    json_decref(config->json);
    free(config);
    return NULL;
}

static int parse_platform_field(const json_t *json, const char *key, enum oci_json_need need,
    char field[static 32], struct report *r)
{
    const char *value = NULL;
    int err = oci_json_get_string(json, key, need, what, &value, r);

    if (err != 0)
        return err < 0 ? err : 0;
    if (strlen(value) > 31)
        return report_fail(r, -EBADMSG, "%s: %s is longer than 31 bytes", what, key);
    (void)strcpy(field, value);
    return 0;
}

static int parse_platform(struct oci_config *config, struct report *r)
{
    struct oci_platform *p = &config->platform;
    int err = parse_platform_field(config->json, "os", OCI_JSON_REQUIRED, p->os, r);

    if (err == 0)
        err = parse_platform_field(
            config->json, "architecture", OCI_JSON_REQUIRED, p->architecture, r);
    if (err == 0)
        err = parse_platform_field(config->json, "variant", OCI_JSON_OPTIONAL, p->variant, r);
    return err;
}

static int parse_diff_ids(struct oci_config *config, const json_t *rootfs, struct report *r)
{
    json_t *array = NULL, *id;
    size_t i;
    int err =
        oci_document_get_list(rootfs, "diff_ids", OCI_LAYERS_MAX, "config: rootfs", &array, r);

    if (err < 0)
        return err;
    config->diff_ids = calloc(MAX(json_array_size(array), (size_t)1), sizeof(*config->diff_ids));
    if (!config->diff_ids)
        return report_errno(r, -ENOMEM, "%s", what);
    json_array_foreach(array, i, id)
    {
        err = oci_json_digest(id, "rootfs", &config->diff_ids[i], r);
        if (err < 0)
            return report_context(r, err, "%s: diff_ids[%zu]", what, i);
        config->diff_id_count++;
    }
    return 0;
}

static int parse_rootfs(struct oci_config *config, struct report *r)
{
    json_t *rootfs = NULL;
    const char *type = NULL;
    int err =
        oci_json_get(config->json, "rootfs", JSON_OBJECT, OCI_JSON_REQUIRED, what, &rootfs, r);

    if (err == 0)
        err = oci_json_get_string(rootfs, "type", OCI_JSON_REQUIRED, "config: rootfs", &type, r);
    if (err < 0)
        return err;
    if (strcmp(type, "layers") != 0)
        return report_fail(r, -EBADMSG, "%s: rootfs: type is \"%s\", not \"layers\"", what, type);
    return parse_diff_ids(config, rootfs, r);
}

static int check_execution(const json_t *json, struct report *r)
{
    static const char *const strings[] = {"Cmd", "Entrypoint", "Env", "Shell"};
    static const char *const singles[] = {"StopSignal", "User", "WorkingDir"};
    static const char in_config[] = "config: config";
    json_t *object = NULL, *ignored;
    const char *single;
    int err = oci_json_get(json, "config", JSON_OBJECT, OCI_JSON_OPTIONAL, what, &object, r);

    if (err != 0)
        return err < 0 ? err : 0;
    for (size_t i = 0; err >= 0 && i < ARRAY_SIZE(strings); i++)
        err = oci_json_check_strings(object, strings[i], in_config, r);
    for (size_t i = 0; err >= 0 && i < ARRAY_SIZE(singles); i++)
        err = oci_json_get_string(object, singles[i], OCI_JSON_OPTIONAL, in_config, &single, r);
    if (err >= 0)
        err = oci_json_check_string_map(object, "Labels", in_config, r);
    if (err >= 0)
        err =
            oci_json_get(object, "Volumes", JSON_OBJECT, OCI_JSON_OPTIONAL, in_config, &ignored, r);
    if (err >= 0)
        err = oci_json_get(
            object, "ExposedPorts", JSON_OBJECT, OCI_JSON_OPTIONAL, in_config, &ignored, r);
    return err < 0 ? err : 0;
}

/* Entries with and without empty_layer need not agree with the layers: only their shape counts. */
static int check_history(const json_t *json, struct report *r)
{
    json_t *history = NULL, *entry;
    size_t i;
    int err = oci_json_get(json, "history", JSON_ARRAY, OCI_JSON_OPTIONAL, what, &history, r);

    if (err != 0)
        return err < 0 ? err : 0;
    json_array_foreach(history, i, entry) if (!json_is_object(entry)) return report_fail(
        r, -EBADMSG, "%s: history[%zu] is not an object", what, i);
    return 0;
}

int oci_config_parse(
    const void *data, size_t size, struct oci_config **ret_config, struct report *r)
{
    _cleanup_(oci_config_freep) struct oci_config *config = calloc(1, sizeof(*config));
    int err;

    if (!config)
        return report_errno(r, -ENOMEM, "%s", what);
    err = oci_json_load(data, size, what, &config->json, r);
    if (err == 0 && !json_is_object(config->json))
        err = report_fail(r, -EBADMSG, "%s: not an object", what);
    if (err == 0)
        err = parse_platform(config, r);
    if (err == 0)
        err = parse_rootfs(config, r);
    if (err == 0)
        err = check_execution(config->json, r);
    if (err == 0)
        err = check_history(config->json, r);
    if (err < 0)
        return err;
    *ret_config = TAKE_PTR(config);
    return 0;
}
