/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of images: index.json, indexes, manifests, configs. */
#include <stdio.h>
#include <string.h>

#include "layerfs/store/validate_private.h"
#include "oci/check.h"
#include "oci/util/io.h"

enum { NAME_MAX_TEXT = 24 + OCI_DIGEST_STR_MAX };

/* A document being walked. */
struct document {
    struct lfs_validating *g;
    char name[NAME_MAX_TEXT]; /* "manifest sha256:…" */
    struct lfs_item *item;
    struct buf bytes;
};

static void document_deinit(struct document *d)
{
    buf_deinit(&d->bytes);
}

static struct lfs_item *find_blob(struct lfs_validating *g, const struct oci_digest *digest)
{
    return g->inventory ? lfs_inventory_find(g->inventory, LFS_ITEM_BLOB, digest) : NULL;
}

static void add(struct document *d, enum lfs_finding_kind kind, bool is_error, const char *text)
{
    lfs_validate_add(d->g, kind, is_error, d->name, LFS_ITEM_BLOB, d->item, "%s", text);
}

static void on_rule(void *userdata, bool must, const char *text)
{
    add(userdata, LFS_FINDING_DOCUMENT, must, text);
}

/* ------------------------------------------------------------------------------------------------
 * Reading
 */

static int read_source(struct lfs_validating *g, const struct oci_descriptor *descriptor,
    const char *name, struct buf *b, struct report *r)
{
    _cleanup_(oci_source_closep) struct oci_source *s = NULL;
    struct oci_source *raw;
    const uint8_t *data;
    ssize_t n;
    int err;

    if (oci_digest_equal(&descriptor->digest, &g->source->descriptor.digest))
        return buf_append(b, g->source->manifest.data, g->source->manifest.size);
    err = oci_image_source_open_blob(g->source, descriptor, &raw, r);
    if (err == 0)
        err = oci_source_verify(raw, name, descriptor->size, &descriptor->digest, NULL, &s);
    if (err < 0)
        return err;
    while ((n = oci_source_next(s, &data, r)) > 0) {
        if (b->size + (size_t)n > OCI_DOCUMENT_MAX)
            return report_fail(r, -EFBIG, "larger than %d bytes", OCI_DOCUMENT_MAX);
        err = buf_append(b, data, (size_t)n);
        if (err < 0)
            return err;
    }
    return (int)n;
}

/* 1 when the document cannot be used and that was said; *d is to be deinitialised always. */
static int open_document(struct lfs_validating *g, const char *kind,
    const struct oci_descriptor *descriptor, struct document *d)
{
    char text[OCI_DIGEST_STR_MAX];
    struct report r = REPORT_INIT;
    int err;

    *d = (struct document){.g = g, .item = find_blob(g, &descriptor->digest)};
    (void)snprintf(
        d->name, sizeof(d->name), "%s %s", kind, oci_digest_format(&descriptor->digest, text));
    if (d->item)
        d->item->stamp = 1;
    err = g->source ? read_source(g, descriptor, d->name, &d->bytes, &r)
                    : oci_layout_read_blob(g->layout, descriptor, &d->bytes, &r);
    if (err == -ENOMEM || err == 0)
        return err;
    g->v->things++;
    add(d, LFS_FINDING_BLOB, true, report_is_set(&r) ? r.text : strerror(-err));
    return 1;
}

/* What the parser refuses is one finding; the rules beyond it are more. */
static json_t *check_rules(struct document *d, int parsed, const struct report *r,
    void (*rules)(const json_t *json, oci_complain_fn complain, void *userdata))
{
    json_t *json = NULL;

    if (parsed < 0)
        add(d, LFS_FINDING_DOCUMENT, true, r->text);
    if (oci_json_load(d->bytes.data, d->bytes.size, d->name, &json, NULL) == 0 &&
        json_is_object(json))
        rules(json, on_rule, d);
    d->g->v->things++;
    d->g->v->bytes += d->bytes.size;
    return json;
}

/* ------------------------------------------------------------------------------------------------
 * One image
 */

static int queue_input(struct lfs_validating *g, struct lfs_check *check)
{
    int err = lfs_validate_has(g, check) ? 1 : lfs_validate_queue(g, check);

    if (err != 0)
        check->input = lfs_check_input_free(check->input);
    return MIN(err, 0);
}

static int queue_blob(
    struct lfs_validating *g, const struct oci_descriptor *blob, const struct oci_digest *diff_id)
{
    struct lfs_check check = {
        .what = diff_id ? CHECK_LAYER : CHECK_BLOB,
        .kind = LFS_ITEM_BLOB,
        .item = find_blob(g, &blob->digest),
        .input = calloc(1, sizeof(*check.input)),
    };
    int err = check.input ? oci_descriptor_copy(blob, &check.input->blob) : -ENOMEM;

    if (err < 0) {
        free(check.input);
        return err;
    }
    if (diff_id)
        check.input->diff_id = *diff_id;
    if (check.item)
        check.item->stamp = 1;
    return queue_input(g, &check);
}

/* The tree of an image is what its layers' trees give. */
static int queue_merge(struct lfs_validating *g, const struct oci_config *config)
{
    struct lfs_check check = {.what = CHECK_MERGE, .kind = LFS_ITEM_IMAGE_TREE};
    struct oci_digest chain = {0};
    size_t bytes = config->diff_id_count * sizeof(struct oci_digest);
    int err = 0;

    for (size_t i = 0; err == 0 && i < config->diff_id_count; i++)
        err = oci_chain_id_extend(&chain, &config->diff_ids[i]);
    if (err < 0 || !g->options->deep || !g->inventory ||
        !(check.item = lfs_inventory_find(g->inventory, LFS_ITEM_IMAGE_TREE, &chain)))
        return err;
    check.input = calloc(1, sizeof(*check.input));
    if (!check.input || !(check.input->diff_ids = malloc(MAX(bytes, (size_t)1)))) {
        free(check.input);
        return -ENOMEM;
    }
    check.input->diff_id_count = config->diff_id_count;
    if (bytes)
        memcpy(check.input->diff_ids, config->diff_ids, bytes);
    check.input->diff_id = chain; /* tells it from other merges */
    return queue_input(g, &check);
}

/* A layer whose blob was dropped after its tree was made is no loss. */
static bool was_dropped(
    struct lfs_validating *g, const struct oci_descriptor *blob, const struct oci_digest *diff_id)
{
    return g->inventory && !find_blob(g, &blob->digest) &&
           lfs_inventory_find(g->inventory, LFS_ITEM_LAYER_TREE, diff_id);
}

static int queue_layers(
    struct document *d, const struct oci_manifest *manifest, const struct oci_config *config)
{
    bool known = config && config->diff_id_count == manifest->layer_count;
    int err = 0;

    for (size_t i = 0; err == 0 && i < manifest->layer_count; i++) {
        const struct oci_descriptor *layer = &manifest->layers[i];
        const struct oci_digest *diff_id = known ? &config->diff_ids[i] : NULL;

        if (oci_media_classify(layer->media_type) == OCI_MEDIA_LAYER_FOREIGN && d->g->layout &&
            !oci_layout_has_blob(d->g->layout, &layer->digest, UINT64_MAX))
            continue; /* need not be distributed */
        if (diff_id && was_dropped(d->g, layer, diff_id)) {
            char text[OCI_DIGEST_STR_MAX + 128], digest[OCI_DIGEST_STR_MAX];

            (void)snprintf(text, sizeof(text),
                "layer %s has a tree and no blob: it was dropped, or is lost",
                oci_digest_format(&layer->digest, digest));
            add(d, LFS_FINDING_BLOB, false, text);
            continue;
        }
        err = queue_blob(d->g, layer, diff_id);
    }
    return err;
}

static void check_platform(
    struct document *d, const struct oci_descriptor *entry, const struct oci_config *config)
{
    char a[100], b[100];

    if (entry->has_platform && entry->platform.os[0] &&
        !oci_platform_match(&entry->platform, &config->platform)) {
        char text[256];

        (void)snprintf(text, sizeof(text), "is for %s, and its entry in an index says %s",
            oci_platform_format(&config->platform, a), oci_platform_format(&entry->platform, b));
        add(d, LFS_FINDING_DOCUMENT, false, text);
    }
}

/* *ret_config stays NULL when there is none that can be used. */
static int walk_config(struct lfs_validating *g, const struct oci_manifest *manifest,
    const struct oci_descriptor *entry, struct oci_config **ret_config)
{
    _cleanup_(document_deinit) struct document d = {0};
    struct report r = REPORT_INIT;
    int err = open_document(g, "config", &manifest->config, &d);

    if (err != 0)
        return MIN(err, 0);
    err = oci_config_parse(d.bytes.data, d.bytes.size, ret_config, &r);
    if (err == -ENOMEM)
        return err;
    json_decref(check_rules(&d, err, &r, oci_check_config));
    if (err == 0)
        check_platform(&d, entry, *ret_config);
    return 0;
}

/* Artifacts: what they name is there and has its digest. */
static int queue_descriptors(struct lfs_validating *g, const json_t *json, const char *key)
{
    json_t *value = json_object_get(json, key), *each;
    size_t i, count = json_is_array(value) ? json_array_size(value) : 1;
    int err = 0;

    for (i = 0; err == 0 && i < count; i++) {
        struct oci_descriptor descriptor = {0};

        each = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_object(each) || oci_descriptor_parse_entry(each, &descriptor, NULL) < 0)
            continue;
        if (descriptor.digest.alg != OCI_DIGEST_NONE)
            err = queue_blob(g, &descriptor, NULL);
        oci_descriptor_deinit(&descriptor);
    }
    return err;
}

static int walk_artifact(struct lfs_validating *g, const json_t *json)
{
    int err = queue_descriptors(g, json, "config");

    return err == 0 ? queue_descriptors(g, json, "layers") : err;
}

/* Tells what is no image from what is no manifest of this age. */
static bool is_version_2(const struct buf *bytes)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;

    return oci_json_load(bytes->data, bytes->size, "manifest", &json, NULL) == 0 &&
           json_integer_value(json_object_get(json, "schemaVersion")) == 2;
}

static int walk_manifest(struct lfs_validating *g, const struct oci_descriptor *descriptor)
{
    _cleanup_(oci_manifest_freep) struct oci_manifest *manifest = NULL;
    _cleanup_(oci_config_freep) struct oci_config *config = NULL;
    _cleanup_(document_deinit) struct document d = {0};
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    struct report r = REPORT_INIT;
    int parsed, err = open_document(g, "manifest", descriptor, &d);
    bool artifact;

    if (err != 0)
        return MIN(err, 0);
    parsed = oci_manifest_parse(d.bytes.data, d.bytes.size, &manifest, &r);
    if (parsed == -ENOMEM)
        return parsed;
    artifact = parsed == -EOPNOTSUPP && is_version_2(&d.bytes);
    json = check_rules(&d, artifact ? 0 : parsed, &r, oci_check_manifest);
    if (parsed < 0)
        return json && artifact ? walk_artifact(g, json) : 0;
    g->v->images++;
    err = walk_config(g, manifest, descriptor, &config);
    if (err == 0 && config && oci_image_check(manifest, config, &r) < 0)
        add(&d, LFS_FINDING_DOCUMENT, true, r.text);
    if (err == 0)
        err = queue_layers(&d, manifest, config);
    return err == 0 && config ? queue_merge(g, config) : err;
}

static int walk(struct lfs_validating *g, const struct oci_descriptor *descriptor, unsigned depth);

static int walk_index(
    struct lfs_validating *g, const struct oci_descriptor *descriptor, unsigned depth)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    _cleanup_(document_deinit) struct document d = {0};
    struct report r = REPORT_INIT;
    int err = open_document(g, "index", descriptor, &d);

    if (err != 0)
        return MIN(err, 0);
    err = oci_index_parse(d.bytes.data, d.bytes.size, &index, &r);
    if (err == -ENOMEM)
        return err;
    json_decref(check_rules(&d, err, &r, oci_check_index));
    if (err < 0)
        return 0;
    if (depth >= OCI_INDEX_DEPTH_MAX) {
        add(&d, LFS_FINDING_DOCUMENT, true, "indexes lie too deep in each other, or in a circle");
        return 0;
    }
    for (size_t i = 0; err == 0 && i < index->count; i++) {
        const struct oci_descriptor *entry = &index->manifests[i];

        /* Images for other platforms are often left out on purpose. */
        if (entry->digest.alg == OCI_DIGEST_NONE ||
            (g->layout && !oci_layout_has_blob(g->layout, &entry->digest, UINT64_MAX)))
            continue;
        err = walk(g, entry, depth + 1);
    }
    return err;
}

static int walk(struct lfs_validating *g, const struct oci_descriptor *descriptor, unsigned depth)
{
    switch (oci_media_classify(descriptor->media_type)) {
    case OCI_MEDIA_INDEX:
        return walk_index(g, descriptor, depth);
    case OCI_MEDIA_MANIFEST:
        return walk_manifest(g, descriptor);
    case OCI_MEDIA_CONFIG:
    case OCI_MEDIA_LAYER:
    case OCI_MEDIA_LAYER_FOREIGN:
    case OCI_MEDIA_UNKNOWN:
        break;
    }
    return queue_blob(g, descriptor, NULL);
}

int lfs_validate_image(struct lfs_validating *g, const struct oci_descriptor *descriptor)
{
    return walk(g, descriptor, 0);
}

/* ------------------------------------------------------------------------------------------------
 * The layout's own files
 */

struct file {
    struct lfs_validating *g;
    const char *name;
};

static void on_file_rule(void *userdata, bool must, const char *text)
{
    struct file *f = userdata;

    /* Who makes an index.json need not say its mediaType. */
    lfs_validate_add(f->g, LFS_FINDING_STORE, must, f->name, 0, NULL, "%s", text);
}

int lfs_validate_layout_files(struct lfs_validating *g, struct oci_index **ret_index)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL, *version = NULL;
    struct file index = {g, "index.json"}, layout = {g, "oci-layout"};
    _cleanup_(buf_deinit) struct buf b = {0};
    struct report r = REPORT_INIT;
    int err = oci_layout_read_index(g->layout, ret_index, &json, &r);

    if (err == -ENOMEM)
        return err;
    if (err < 0)
        lfs_validate_add(g, LFS_FINDING_STORE, true, index.name, 0, NULL, "%s", r.text);
    else
        oci_check_index(json, on_file_rule, &index);
    if (oci_layout_read_layout_file(g->layout, &b, NULL) == 0 &&
        oci_json_load(b.data, b.size, layout.name, &version, NULL) == 0)
        oci_check_layout_file(version, on_file_rule, &layout);
    else
        lfs_validate_add(g, LFS_FINDING_STORE, true, layout.name, 0, NULL, "cannot be read");
    g->v->things += 2;
    return 0;
}
