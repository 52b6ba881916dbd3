/* SPDX-License-Identifier: Apache-2.0 */
/* Image manifests (image-spec, manifest.md) and docker's of schema 2. */
#include "oci/document.h"

static const char what[] = "manifest";

struct oci_manifest *oci_manifest_free(struct oci_manifest *manifest)
{
    if (!manifest)
        return NULL;
    oci_descriptor_deinit(&manifest->config);
    for (size_t i = 0; i < manifest->layer_count; i++)
        oci_descriptor_deinit(&manifest->layers[i]);
    free(manifest->layers);
    free(manifest);
    return NULL;
}

static int parse_config(struct oci_manifest *manifest, const json_t *json, struct report *r)
{
    json_t *config = NULL;
    int err = oci_json_get(json, "config", JSON_OBJECT, OCI_JSON_REQUIRED, what, &config, r);

    if (err < 0)
        return err;
    err = oci_descriptor_parse(config, &manifest->config, r);
    if (err < 0)
        return report_context(r, err, "%s: config", what);
    if (oci_media_classify(manifest->config.media_type) != OCI_MEDIA_CONFIG)
        return report_fail(r, -EOPNOTSUPP, "%s: not of an image: its config is \"%s\"", what,
            manifest->config.media_type);
    return 0;
}

static int parse_layer(json_t *json, struct oci_descriptor *layer, struct report *r)
{
    enum oci_media media;
    int err = oci_descriptor_parse(json, layer, r);

    if (err < 0)
        return err;
    media = oci_media_classify(layer->media_type);
    if (media == OCI_MEDIA_LAYER || media == OCI_MEDIA_LAYER_FOREIGN)
        return 0;
    err = report_fail(r, -EOPNOTSUPP, "media type \"%s\" is not supported", layer->media_type);
    oci_descriptor_deinit(layer);
    return err;
}

static int parse_layers(struct oci_manifest *manifest, const json_t *json, struct report *r)
{
    json_t *array = NULL, *layer;
    size_t i;
    int err = oci_document_get_list(json, "layers", OCI_LAYERS_MAX, what, &array, r);

    if (err < 0)
        return err;
    manifest->layers = calloc(MAX(json_array_size(array), (size_t)1), sizeof(*manifest->layers));
    if (!manifest->layers)
        return report_errno(r, -ENOMEM, "%s", what);
    json_array_foreach(array, i, layer)
    {
        err = parse_layer(layer, &manifest->layers[i], r);
        if (err < 0)
            return report_context(r, err, "%s: layers[%zu]", what, i);
        manifest->layer_count++;
    }
    return 0;
}

int oci_manifest_parse(
    const void *data, size_t size, struct oci_manifest **ret_manifest, struct report *r)
{
    static const char *const foreign[] = {"manifests", "fsLayers", NULL};
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    _cleanup_(oci_manifest_freep) struct oci_manifest *manifest = calloc(1, sizeof(*manifest));
    int err = oci_json_load(data, size, what, &json, r);

    if (!manifest)
        return report_errno(r, -ENOMEM, "%s", what);
    if (err == 0)
        err = oci_document_check_head(json, what, OCI_MEDIA_MANIFEST, foreign, r);
    if (err == 0)
        err = parse_config(manifest, json, r);
    if (err == 0)
        err = parse_layers(manifest, json, r);
    if (err == 0)
        err = oci_json_check_string_map(json, "annotations", what, r);
    if (err < 0)
        return err;
    *ret_manifest = TAKE_PTR(manifest);
    return 0;
}

int oci_image_check(
    const struct oci_manifest *manifest, const struct oci_config *config, struct report *r)
{
    if (manifest->layer_count == config->diff_id_count)
        return 0;
    return report_fail(r, -EBADMSG, "%s: %zu layers, but its config has %zu diff_ids", what,
        manifest->layer_count, config->diff_id_count);
}
