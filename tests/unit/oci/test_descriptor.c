/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "oci/image.h"
#include "tests/unit/oci/documents.h"

TestSuite(descriptor);

static int parse(const char *s, bool entry, struct oci_descriptor *ret, struct report *report)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;

    cr_assert_eq(oci_json_load(s, strlen(s), "in", &json, report), 0, "%s", s);
    return entry ? oci_descriptor_parse_entry(json, ret, report)
                 : oci_descriptor_parse(json, ret, report);
}

Test(descriptor, fields)
{
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor d = {0};
    char text[OCI_DIGEST_STR_MAX];

    cr_assert_eq(
        parse(DESCRIPTOR(OCI_TYPE_MANIFEST, DIGEST_A,
                  VARIANT("linux", "arm", "v7") ",\"urls\":[\"x\"],\"data\":\"eA==\","
                                                "\"annotations\":{\"k\":\"v\"},\"other\":1"),
            false, &d, NULL),
        0);
    cr_expect_str_eq(d.media_type, OCI_TYPE_MANIFEST);
    cr_expect_str_eq(oci_digest_format(&d.digest, text), DIGEST_A);
    cr_expect_eq(d.size, 7);
    cr_expect(d.has_platform);
    cr_expect_str_eq(d.platform.variant, "v7");
    cr_expect_str_eq(oci_descriptor_annotation(&d, "k"), "v");
    cr_expect_null(oci_descriptor_annotation(&d, "x"));
    cr_expect_eq(json_integer_value(json_object_get(d.json, "other")), 1, "all is kept");
}

Test(descriptor, sizes)
{
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor d = {0};
    static const char head[] = "{\"mediaType\":\"a/b\",\"digest\":\"" DIGEST_A "\",\"size\":";
    static const char *const bad[] = {"-1", "1.0", "\"1\"", "null", "true", "[]"};
    char s[300];

    (void)snprintf(s, sizeof(s), "%s%s}", head, "0");
    cr_expect_eq(parse(s, false, &d, NULL), 0);
    cr_expect_eq(d.size, 0);
    oci_descriptor_deinit(&d);
    (void)snprintf(s, sizeof(s), "%s%s}", head, "9223372036854775807");
    cr_expect_eq(parse(s, false, &d, NULL), 0);
    cr_expect_eq(d.size, INT64_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct oci_descriptor none = {0};

        (void)snprintf(s, sizeof(s), "%s%s}", head, bad[i]);
        cr_expect_eq(parse(s, false, &none, NULL), -EBADMSG, "%s", s);
    }
}

Test(descriptor, malformed)
{
    static const char *const bad[] = {"[]", "{}", "{\"digest\":\"" DIGEST_A "\",\"size\":7}",
        "{\"mediaType\":\"a/b\",\"size\":7}", "{\"mediaType\":\"a/b\",\"digest\":\"" DIGEST_A "\"}",
        DESCRIPTOR("a", DIGEST_A, ""), DESCRIPTOR("a/b/c", DIGEST_A, ""),
        DESCRIPTOR("", DIGEST_A, ""), DESCRIPTOR("a/b", "sha256:00", ""),
        DESCRIPTOR("a/b", "sha256:../../x", ""), DESCRIPTOR("a/b", "", ""),
        "{\"mediaType\":1,\"digest\":\"" DIGEST_A "\",\"size\":7}",
        "{\"mediaType\":\"a/b\",\"digest\":1,\"size\":7}",
        DESCRIPTOR("a/b", DIGEST_A, ",\"urls\":\"x\""),
        DESCRIPTOR("a/b", DIGEST_A, ",\"urls\":[1]"),
        DESCRIPTOR("a/b", DIGEST_A, ",\"annotations\":[]"),
        DESCRIPTOR("a/b", DIGEST_A, ",\"annotations\":{\"a\":1}"),
        DESCRIPTOR("a/b", DIGEST_A, ",\"artifactType\":1"),
        DESCRIPTOR("a/b", DIGEST_A, ",\"data\":1"),
        DESCRIPTOR("a/b", DIGEST_A, ",\"platform\":\"linux/amd64\""),
        DESCRIPTOR("a/b", DIGEST_A, ",\"platform\":{\"os\":1}"),
        DESCRIPTOR("a/b", DIGEST_A, PLATFORM("12345678901234567890123456789012", "x"))};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct report report = REPORT_INIT;
        struct oci_descriptor d = {0};

        cr_expect_eq(parse(bad[i], false, &d, &report), -EBADMSG, "%s", bad[i]);
        cr_expect(report_is_set(&report), "%s", bad[i]);
        cr_expect_null(d.json);
    }
}

Test(descriptor, other_algorithms_are_for_entries_only)
{
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor d = {0};
    struct report report = REPORT_INIT;

    cr_expect_eq(parse(DESCRIPTOR("a/b", "md5:00", ""), false, &d, &report), -EOPNOTSUPP);
    cr_expect(strstr(report.text, "md5:00"), "%s", report.text);
    cr_expect_eq(parse(DESCRIPTOR("a/b", "md5:00", ""), true, &d, NULL), 0);
    cr_expect_eq(d.digest.alg, OCI_DIGEST_NONE);
    oci_descriptor_deinit(&d);
    cr_expect_eq(parse(DESCRIPTOR("a/b", "md5:", ""), true, &d, NULL), -EBADMSG);
}

Test(descriptor, nulls_are_absent_and_incomplete_platforms_fit_nothing)
{
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor d = {0};

    cr_expect_eq(parse(DESCRIPTOR("a/b", DIGEST_A,
                           ",\"annotations\":null,\"urls\":null,\"platform\":{\"os\":null}"),
                     false, &d, NULL),
        0);
    cr_expect(d.has_platform);
    cr_expect_str_eq(d.platform.os, "");
}

Test(descriptor, make_and_copy)
{
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor d = {0};
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor copy = {0};
    _cleanup_(buf_deinit) struct buf b = {0};
    struct oci_digest digest;

    cr_assert_eq(oci_digest_parse(DIGEST_A, &digest), 0);
    cr_assert_eq(oci_descriptor_make("a/b", &digest, (uint64_t)INT64_MAX + 1, &d), -EINVAL);
    cr_assert_eq(oci_descriptor_make("a/b", &digest, 5, &d), 0);
    cr_assert_eq(oci_descriptor_copy(&d, &copy), 0);
    oci_descriptor_deinit(&d);
    cr_expect_str_eq(copy.media_type, "a/b");
    cr_expect_eq(copy.size, 5);
    cr_assert_eq(oci_json_dump(copy.json, &b), 0);
    cr_assert_eq(buf_append(&b, "", 1), 0);
    cr_expect_str_eq(
        (char *)b.data, "{\"digest\":\"" DIGEST_A "\",\"mediaType\":\"a/b\",\"size\":5}");
}
