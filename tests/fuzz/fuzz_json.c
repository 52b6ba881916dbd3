/* SPDX-License-Identifier: Apache-2.0 */
/* Documents: every input is tried as index, manifest, config and descriptor. */
#include "tests/fuzz/fuzz.h"

#include "oci/image.h"

static void try_index(const uint8_t *data, size_t size)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    struct oci_platform want = {.os = "linux", .architecture = "arm", .variant = "v7"};
    struct report report = REPORT_INIT;
    ssize_t at;

    if (oci_index_parse(data, size, &index, &report) < 0) {
        fuzz_check(report_is_set(&report) && !index);
        return;
    }
    fuzz_check(index->count <= OCI_INDEX_MANIFESTS_MAX);
    at = oci_index_select(index, &want, &report);
    fuzz_check(at < (ssize_t)index->count);
    fuzz_check(at >= 0 || report_is_set(&report));
    if (at >= 0)
        fuzz_check(oci_index_entry_is_image(&index->manifests[at]));
}

static void try_image(const uint8_t *data, size_t size)
{
    _cleanup_(oci_manifest_freep) struct oci_manifest *manifest = NULL;
    _cleanup_(oci_config_freep) struct oci_config *config = NULL;
    struct report report = REPORT_INIT;

    if (oci_manifest_parse(data, size, &manifest, &report) < 0)
        fuzz_check(report_is_set(&report) && !manifest);
    else
        fuzz_check(manifest->layer_count <= OCI_LAYERS_MAX);
    report = REPORT_INIT;
    if (oci_config_parse(data, size, &config, &report) < 0)
        fuzz_check(report_is_set(&report) && !config);
    else
        fuzz_check(config->diff_id_count <= OCI_LAYERS_MAX);
    if (manifest && config)
        (void)oci_image_check(manifest, config, &report);
}

/* What we write is what we read. */
static void try_dump(const uint8_t *data, size_t size)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    _cleanup_(oci_json_unrefp) json_t *again = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};
    struct oci_descriptor d;

    if (oci_json_load(data, size, "input", &json, NULL) < 0)
        return;
    fuzz_check(oci_json_dump(json, &b) == 0);
    /* Escapes may make it longer than the limit, nothing else may fail. */
    fuzz_check(
        b.size > OCI_DOCUMENT_MAX || oci_json_load(b.data, b.size, "output", &again, NULL) == 0);
    if (oci_descriptor_parse(json, &d, NULL) == 0)
        oci_descriptor_deinit(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_index(data, size);
    try_image(data, size);
    try_dump(data, size);
    return 0;
}
