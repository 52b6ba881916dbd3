/* SPDX-License-Identifier: Apache-2.0 */
/* Image indexes (image-spec, image-index.md) and docker's manifest lists. */
#include <stdio.h>
#include <string.h>

#include "oci/document.h"

static const char what[] = "index";

struct oci_index *oci_index_free(struct oci_index *index)
{
    if (!index)
        return NULL;
    for (size_t i = 0; i < index->count; i++)
        oci_descriptor_deinit(&index->manifests[i]);
    free(index->manifests);
    free(index);
    return NULL;
}

static int parse_entries(struct oci_index *index, json_t *array, struct report *r)
{
    json_t *entry;
    size_t i;

    index->manifests = calloc(MAX(json_array_size(array), (size_t)1), sizeof(*index->manifests));
    if (!index->manifests)
        return report_errno(r, -ENOMEM, "%s", what);
    json_array_foreach(array, i, entry)
    {
        int err = oci_descriptor_parse_entry(entry, &index->manifests[i], r);

        if (err < 0)
            return report_context(r, err, "%s: manifests[%zu]", what, i);
        index->count++;
    }
    return 0;
}

int oci_index_from_json(json_t *json, struct oci_index **ret_index, struct report *r)
{
    static const char *const foreign[] = {"layers", "config", "fsLayers", NULL};
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    json_t *array = NULL;
    int err = oci_document_check_head(json, what, OCI_MEDIA_INDEX, foreign, r);

    if (err == 0)
        err = oci_document_get_list(json, "manifests", OCI_INDEX_MANIFESTS_MAX, what, &array, r);
    if (err == 0)
        err = oci_json_check_string_map(json, "annotations", what, r);
    if (err < 0)
        return err;
    index = calloc(1, sizeof(*index));
    if (!index)
        return report_errno(r, -ENOMEM, "%s", what);
    err = parse_entries(index, array, r);
    if (err < 0)
        return err;
    *ret_index = TAKE_PTR(index);
    return 0;
}

int oci_index_parse(const void *data, size_t size, struct oci_index **ret_index, struct report *r)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    int err = oci_json_load(data, size, what, &json, r);

    return err < 0 ? err : oci_index_from_json(json, ret_index, r);
}

static bool is_attestation(const struct oci_descriptor *d)
{
    return oci_descriptor_annotation(d, "vnd.docker.reference.type") != NULL ||
           (strcmp(d->platform.os, "unknown") == 0 &&
               strcmp(d->platform.architecture, "unknown") == 0);
}

bool oci_index_entry_is_image(const struct oci_descriptor *d)
{
    enum oci_media media = oci_media_classify(d->media_type);

    return (media == OCI_MEDIA_MANIFEST || media == OCI_MEDIA_INDEX) &&
           d->digest.alg != OCI_DIGEST_NONE && !is_attestation(d) &&
           !json_object_get(d->json, "artifactType");
}

/* "linux/amd64, linux/arm64"; "" when there is nothing or no memory. */
static char *list_platforms(const struct oci_index *index)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    char text[100];

    for (size_t i = 0; i < index->count; i++) {
        const struct oci_descriptor *d = &index->manifests[i];

        if (oci_index_entry_is_image(d))
            (void)buf_printf(&b, "%s%s", b.size ? ", " : "",
                d->has_platform ? oci_platform_format(&d->platform, text) : "unspecified");
    }
    return buf_steal_str(&b);
}

static ssize_t fail_select(
    const struct oci_index *index, const struct oci_platform *want, struct report *r)
{
    _cleanup_(freep) char *list = list_platforms(index);
    char text[100];

    return report_fail(r, -ENOENT, "%s: no image for %s (there is: %s)", what,
        oci_platform_format(want, text), list && list[0] ? list : "none");
}

ssize_t oci_index_select(
    const struct oci_index *index, const struct oci_platform *want, struct report *r)
{
    ssize_t best = -1, without_platform = -1;
    size_t images = 0;
    int best_score = 0;

    for (size_t i = 0; i < index->count; i++) {
        const struct oci_descriptor *d = &index->manifests[i];
        int score;

        if (!oci_index_entry_is_image(d))
            continue;
        images++;
        if (!d->has_platform)
            without_platform = (ssize_t)i;
        score = d->has_platform ? oci_platform_match(want, &d->platform) : 0;
        if (score > best_score) {
            best_score = score;
            best = (ssize_t)i;
        }
    }
    if (best < 0 && images == 1)
        best = without_platform;
    return best >= 0 ? best : fail_select(index, want, r);
}
