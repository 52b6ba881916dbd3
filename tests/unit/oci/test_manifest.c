/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "oci/image.h"
#include "tests/unit/oci/documents.h"

#define CONFIG_A DESCRIPTOR(OCI_TYPE_CONFIG, DIGEST_A, "")
#define FOREIGN "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"

TestSuite(manifest);

static int parse(const char *s, struct oci_manifest **ret, struct report *report)
{
    return oci_manifest_parse(s, strlen(s), ret, report);
}

Test(manifest, parse)
{
    _cleanup_(oci_manifest_freep) struct oci_manifest *m = NULL;

    cr_assert_eq(parse(MANIFEST(DESCRIPTOR(OCI_TYPE_LAYER_GZIP, DIGEST_A, "") "," DESCRIPTOR(
                           FOREIGN, DIGEST_B, "")),
                     &m, NULL),
        0);
    cr_expect_str_eq(m->config.media_type, OCI_TYPE_CONFIG);
    cr_expect_eq(m->layer_count, 2);
    cr_expect_eq(oci_media_classify(m->layers[0].media_type), OCI_MEDIA_LAYER);
    cr_expect_eq(oci_media_classify(m->layers[1].media_type), OCI_MEDIA_LAYER_FOREIGN);
}

Test(manifest, parse_of_dockers)
{
    _cleanup_(oci_manifest_freep) struct oci_manifest *m = NULL;

    cr_assert_eq(parse("{\"schemaVersion\":2,\"mediaType\":\"" OCI_TYPE_DOCKER_MANIFEST
                       "\",\"config\":" DESCRIPTOR(OCI_TYPE_DOCKER_CONFIG, DIGEST_A,
                           "") ",\"layers\":[" DESCRIPTOR(OCI_TYPE_DOCKER_LAYER, DIGEST_B, "") "]}",
                     &m, NULL),
        0);
    cr_expect_eq(m->layer_count, 1);
}

Test(manifest, parse_without_layers)
{
    static const char *const good[] = {
        MANIFEST(""), "{\"schemaVersion\":2,\"config\":" CONFIG_A ",\"layers\":null}"};

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        _cleanup_(oci_manifest_freep) struct oci_manifest *m = NULL;

        cr_assert_eq(parse(good[i], &m, NULL), 0, "%s", good[i]);
        cr_expect_eq(m->layer_count, 0);
    }
}

Test(manifest, malformed)
{
    static const char *const bad[] = {"", "[]", "{}", "{\"schemaVersion\":2}",
        "{\"schemaVersion\":2,\"config\":" CONFIG_A "}", "{\"schemaVersion\":2,\"layers\":[]}",
        "{\"config\":" CONFIG_A ",\"layers\":[]}",
        "{\"schemaVersion\":0,\"config\":" CONFIG_A ",\"layers\":[]}",
        "{\"schemaVersion\":2.0,\"config\":" CONFIG_A ",\"layers\":[]}",
        "{\"schemaVersion\":2,\"config\":" CONFIG_A ",\"layers\":{}}",
        "{\"schemaVersion\":2,\"config\":[],\"layers\":[]}",
        "{\"schemaVersion\":2,\"config\":{},\"layers\":[]}",
        "{\"schemaVersion\":2,\"mediaType\":\"" OCI_TYPE_INDEX "\",\"config\":" CONFIG_A
        ",\"layers\":[]}",
        "{\"schemaVersion\":2,\"config\":" CONFIG_A ",\"layers\":[],\"manifests\":[]}",
        "{\"schemaVersion\":2,\"config\":" CONFIG_A ",\"layers\":[],\"annotations\":[]}",
        MANIFEST("1"), MANIFEST("{}"), MANIFEST(DESCRIPTOR(OCI_TYPE_LAYER, "sha256:0", ""))};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct report report = REPORT_INIT;
        struct oci_manifest *m = NULL;

        cr_expect_eq(parse(bad[i], &m, &report), -EBADMSG, "%s", bad[i]);
        cr_expect(strncmp(report.text, "manifest: ", 10) == 0, "%s", report.text);
        cr_expect_null(m);
    }
}

Test(manifest, unsupported)
{
    static const struct {
        const char *document, *text;
    } rows[] = {
        {"{\"schemaVersion\":1,\"name\":\"x\",\"fsLayers\":[]}",
            "manifest: docker schema 1 is not supported"},
        {"{\"schemaVersion\":2,\"config\":" DESCRIPTOR(
             "application/vnd.oci.empty.v1+json", DIGEST_A, "") ",\"layers\":[]}",
            "manifest: not of an image: its config is \"application/vnd.oci.empty.v1+json\""},
        {MANIFEST(DESCRIPTOR("x/y", DIGEST_A, "")),
            "manifest: layers[0]: media type \"x/y\" is not supported"},
        {MANIFEST(DESCRIPTOR(OCI_TYPE_LAYER, "md5:00", "")),
            "manifest: layers[0]: descriptor: the algorithm of digest \"md5:00\" is not supported"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct report report = REPORT_INIT;
        struct oci_manifest *m = NULL;

        cr_expect_eq(parse(rows[i].document, &m, &report), -EOPNOTSUPP, "%s", rows[i].document);
        cr_expect_str_eq(report.text, rows[i].text);
    }
}

static int parse_many(size_t count)
{
    static const char layer[] = DESCRIPTOR(OCI_TYPE_LAYER, DIGEST_A, "");
    _cleanup_(oci_manifest_freep) struct oci_manifest *m = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};

    cr_assert_eq(
        buf_append_str(&b, "{\"schemaVersion\":2,\"config\":" CONFIG_A ",\"layers\":["), 0);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(buf_printf(&b, "%s%s", i ? "," : "", layer), 0);
    cr_assert_eq(buf_append_str(&b, "]}"), 0);
    return oci_manifest_parse(b.data, b.size, &m, NULL);
}

Test(manifest, limit_of_layers)
{
    cr_expect_eq(parse_many(OCI_LAYERS_MAX), 0);
    cr_expect_eq(parse_many(OCI_LAYERS_MAX + 1), -EFBIG);
}

static int check(const char *manifest, const char *config, struct report *report)
{
    _cleanup_(oci_manifest_freep) struct oci_manifest *m = NULL;
    _cleanup_(oci_config_freep) struct oci_config *c = NULL;

    cr_assert_eq(parse(manifest, &m, report), 0);
    cr_assert_eq(oci_config_parse(config, strlen(config), &c, report), 0, "%s", report->text);
    return oci_image_check(m, c, report);
}

Test(manifest, image_check_counts_layers)
{
    static const char none[] = MANIFEST(""),
                      one[] = MANIFEST(DESCRIPTOR(OCI_TYPE_LAYER, DIGEST_A, ""));
    struct report report = REPORT_INIT;

    cr_expect_eq(check(none, CONFIG("", ""), &report), 0);
    cr_expect_eq(check(one, CONFIG("\"" DIGEST_A "\"", ""), &report), 0);
    cr_expect_eq(check(one,
                     CONFIG("\"" DIGEST_A "\"",
                         ",\"history\":[{\"empty_layer\":true},{},{\"empty_layer\":true}]"),
                     &report),
        0, "history does not count");
    cr_expect_eq(check(one, CONFIG("", ""), &report), -EBADMSG);
    cr_expect_str_eq(report.text, "manifest: 1 layers, but its config has 0 diff_ids");
    cr_expect_eq(check(none, CONFIG("\"" DIGEST_A "\"", ""), &report), -EBADMSG);
}
