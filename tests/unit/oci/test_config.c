/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "oci/image.h"
#include "tests/unit/oci/documents.h"

#define ROOTFS ",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}"

TestSuite(config);

static int parse(const char *s, struct oci_config **ret, struct report *report)
{
    return oci_config_parse(s, strlen(s), ret, report);
}

Test(config, parse)
{
    _cleanup_(oci_config_freep) struct oci_config *c = NULL;
    char text[OCI_DIGEST_STR_MAX], platform[100];

    cr_assert_eq(parse(CONFIG("\"" DIGEST_A "\",\"" DIGEST_B "\"",
                           ",\"variant\":\"v3\",\"config\":{\"User\":\"1:1\",\"Env\":[\"A=b\"],"
                           "\"Cmd\":null,\"Entrypoint\":[\"/x\"],\"Labels\":{\"a\":\"b\"},"
                           "\"Volumes\":{\"/v\":{}},\"ExposedPorts\":{\"80/tcp\":{}}},"
                           "\"docker_version\":\"1\""),
                     &c, NULL),
        0);
    cr_expect_eq(c->diff_id_count, 2);
    cr_expect_str_eq(oci_digest_format(&c->diff_ids[1], text), DIGEST_B);
    cr_expect_str_eq(oci_platform_format(&c->platform, platform), "linux/amd64/v3");
    cr_expect_str_eq(json_string_value(json_object_get(c->json, "docker_version")), "1");
}

Test(config, parse_without_layers)
{
    static const char *const good[] = {CONFIG("", ""),
        "{\"os\":\"linux\",\"architecture\":\"arm\",\"config\":null,\"history\":null,"
        "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":null}}"};

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        _cleanup_(oci_config_freep) struct oci_config *c = NULL;

        cr_assert_eq(parse(good[i], &c, NULL), 0, "%s", good[i]);
        cr_expect_eq(c->diff_id_count, 0);
    }
}

Test(config, malformed)
{
    static const char *const bad[] = {"", "[]", "{}", "{\"os\":\"linux\"" ROOTFS "}",
        "{\"architecture\":\"arm\"" ROOTFS "}", "{\"os\":\"linux\",\"architecture\":\"arm\"}",
        "{\"os\":1,\"architecture\":\"arm\"" ROOTFS "}",
        "{\"os\":\"12345678901234567890123456789012\",\"architecture\":\"arm\"" ROOTFS "}",
        "{\"os\":\"linux\",\"architecture\":\"arm\",\"rootfs\":[]}",
        "{\"os\":\"linux\",\"architecture\":\"arm\",\"rootfs\":{\"diff_ids\":[]}}",
        "{\"os\":\"linux\",\"architecture\":\"arm\",\"rootfs\":{\"type\":\"layers\"}}",
        "{\"os\":\"linux\",\"architecture\":\"arm\",\"rootfs\":{\"type\":\"x\",\"diff_ids\":[]}}",
        CONFIG("1", ""), CONFIG("\"sha256:0\"", ""), CONFIG("null", ""),
        CONFIG("", ",\"config\":[]"), CONFIG("", ",\"config\":{\"Env\":\"A=b\"}"),
        CONFIG("", ",\"config\":{\"Env\":[1]}"), CONFIG("", ",\"config\":{\"Cmd\":\"x\"}"),
        CONFIG("", ",\"config\":{\"Entrypoint\":{}}"), CONFIG("", ",\"config\":{\"User\":0}"),
        CONFIG("", ",\"config\":{\"WorkingDir\":[]}"), CONFIG("", ",\"config\":{\"StopSignal\":9}"),
        CONFIG("", ",\"config\":{\"Labels\":{\"a\":1}}"), CONFIG("", ",\"config\":{\"Labels\":[]}"),
        CONFIG("", ",\"config\":{\"Volumes\":[]}"), CONFIG("", ",\"config\":{\"ExposedPorts\":[]}"),
        CONFIG("", ",\"history\":{}"), CONFIG("", ",\"history\":[1]"),
        CONFIG("", ",\"variant\":1")};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct report report = REPORT_INIT;
        struct oci_config *c = NULL;

        cr_expect_eq(parse(bad[i], &c, &report), -EBADMSG, "%s", bad[i]);
        cr_expect(strncmp(report.text, "config: ", 8) == 0, "%s", report.text);
        cr_expect_null(c);
    }
}

Test(config, unsupported_digest)
{
    struct report report = REPORT_INIT;
    struct oci_config *c = NULL;

    cr_expect_eq(parse(CONFIG("\"md5:00\"", ""), &c, &report), -EOPNOTSUPP);
    cr_expect(strstr(report.text, "diff_ids[0]"), "%s", report.text);
}

static int parse_many(size_t count)
{
    _cleanup_(oci_config_freep) struct oci_config *c = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};

    cr_assert_eq(
        buf_append_str(&b, "{\"os\":\"linux\",\"architecture\":\"arm\",\"rootfs\":{\"type\":"
                           "\"layers\",\"diff_ids\":["),
        0);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(buf_printf(&b, "%s\"%s\"", i ? "," : "", DIGEST_A), 0);
    cr_assert_eq(buf_append_str(&b, "]}}"), 0);
    return oci_config_parse(b.data, b.size, &c, NULL);
}

Test(config, limit_of_layers)
{
    cr_expect_eq(parse_many(OCI_LAYERS_MAX), 0);
    cr_expect_eq(parse_many(OCI_LAYERS_MAX + 1), -EFBIG);
}
