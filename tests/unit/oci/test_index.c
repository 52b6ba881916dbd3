/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "oci/image.h"
#include "tests/unit/oci/documents.h"

#define M OCI_TYPE_MANIFEST
#define ATTESTATION                                                                                \
    DESCRIPTOR(M, DIGEST_C,                                                                        \
        PLATFORM("unknown", "unknown") ",\"annotations\":{\"vnd.docker.reference.type\":"          \
                                       "\"attestation-manifest\"}")

TestSuite(index);

static int parse(const char *s, struct oci_index **ret, struct report *report)
{
    return oci_index_parse(s, strlen(s), ret, report);
}

/* The position that is selected, or the error, whose text is then in *report. */
static ssize_t select_from(const char *s, const char *platform, struct report *report)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    struct oci_platform want;

    cr_assert_eq(parse(s, &index, report), 0, "%s: %s", s, report->text);
    cr_assert_eq(oci_platform_parse(platform, &want), 0);
    return oci_index_select(index, &want, report);
}

Test(index, parse)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;

    cr_assert_eq(
        parse(INDEX(DESCRIPTOR(M, DIGEST_A, "") "," DESCRIPTOR("x/y", DIGEST_B, "")), &index, NULL),
        0);
    cr_expect_eq(index->count, 2);
    cr_expect_str_eq(index->manifests[1].media_type, "x/y");
}

Test(index, parse_of_empty_ones)
{
    static const char *const good[] = {INDEX(""), "{\"schemaVersion\":2,\"manifests\":null}",
        "{\"schemaVersion\":2,\"mediaType\":\"" OCI_TYPE_INDEX "\",\"manifests\":[]}",
        "{\"schemaVersion\":2,\"mediaType\":\"" OCI_TYPE_DOCKER_LIST "\",\"manifests\":[]}"};

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        _cleanup_(oci_index_freep) struct oci_index *index = NULL;

        cr_assert_eq(parse(good[i], &index, NULL), 0, "%s", good[i]);
        cr_expect_eq(index->count, 0);
    }
}

Test(index, malformed)
{
    static const char *const bad[] = {"", "[]", "{}", "null", "{\"manifests\":[]}",
        "{\"schemaVersion\":2}", "{\"schemaVersion\":3,\"manifests\":[]}",
        "{\"schemaVersion\":\"2\",\"manifests\":[]}", "{\"schemaVersion\":2,\"manifests\":{}}",
        "{\"schemaVersion\":2,\"mediaType\":\"" M "\",\"manifests\":[]}",
        "{\"schemaVersion\":2,\"mediaType\":1,\"manifests\":[]}",
        "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}",
        "{\"schemaVersion\":2,\"manifests\":[],\"config\":{}}",
        "{\"schemaVersion\":2,\"manifests\":[],\"annotations\":{\"a\":1}}", INDEX("1"), INDEX("{}"),
        INDEX(DESCRIPTOR(M, DIGEST_A, "") ",{}")};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct report report = REPORT_INIT;
        struct oci_index *index = NULL;

        cr_expect_eq(parse(bad[i], &index, &report), -EBADMSG, "%s", bad[i]);
        cr_expect(strncmp(report.text, "index: ", 7) == 0, "%s", report.text);
        cr_expect_null(index);
    }
}

Test(index, docker_schema1_is_named)
{
    static const char *const old[] = {"{\"schemaVersion\":1,\"fsLayers\":[]}",
        "{\"schemaVersion\":2,\"mediaType\":\"application/"
        "vnd.docker.distribution.manifest.v1+json\"}"};

    for (size_t i = 0; i < ARRAY_SIZE(old); i++) {
        struct report report = REPORT_INIT;
        struct oci_index *index = NULL;

        cr_expect_eq(parse(old[i], &index, &report), -EOPNOTSUPP);
        cr_expect(strstr(report.text, "schema 1"), "%s", report.text);
    }
}

static int parse_many(size_t count)
{
    static const char entry[] = DESCRIPTOR(M, DIGEST_A, "");
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};

    cr_assert_eq(buf_append_str(&b, "{\"schemaVersion\":2,\"manifests\":["), 0);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(buf_printf(&b, "%s%s", i ? "," : "", entry), 0);
    cr_assert_eq(buf_append_str(&b, "]}"), 0);
    return oci_index_parse(b.data, b.size, &index, NULL);
}

Test(index, limit_of_entries)
{
    cr_expect_eq(parse_many(OCI_INDEX_MANIFESTS_MAX), 0);
    cr_expect_eq(parse_many(OCI_INDEX_MANIFESTS_MAX + 1), -EFBIG);
}

Test(index, select_by_platform)
{
    static const char s[] =
        INDEX(DESCRIPTOR(M, DIGEST_A, PLATFORM("linux", "amd64")) "," DESCRIPTOR(
            M, DIGEST_A, VARIANT("linux", "arm", "v6")) "," DESCRIPTOR(M, DIGEST_A,
            VARIANT("linux", "arm", "v7")) "," DESCRIPTOR(M, DIGEST_A,
            VARIANT("linux", "arm64", "v8")));
    struct report report = REPORT_INIT;

    cr_expect_eq(select_from(s, "linux/amd64", &report), 0);
    cr_expect_eq(select_from(s, "linux/arm/v6", &report), 1);
    cr_expect_eq(select_from(s, "linux/arm/v7", &report), 2);
    cr_expect_eq(select_from(s, "linux/arm/v8", &report), 2, "the best that runs");
    cr_expect_eq(select_from(s, "linux/arm64", &report), 3);
    cr_expect_eq(select_from(s, "linux/arm/v5", &report), -ENOENT);
    cr_expect_str_eq(report.text,
        "index: no image for linux/arm/v5 (there is: linux/amd64, linux/arm/v6, linux/arm/v7, "
        "linux/arm64/v8)");
}

Test(index, select_takes_the_first_of_equals)
{
    struct report report = REPORT_INIT;

    cr_expect_eq(
        select_from(INDEX(DESCRIPTOR(M, DIGEST_A, PLATFORM("linux", "amd64")) "," DESCRIPTOR(
                        M, DIGEST_B, PLATFORM("linux", "amd64"))),
            "linux/amd64", &report),
        0);
}

Test(index, select_without_platforms)
{
    struct report report = REPORT_INIT;

    cr_expect_eq(select_from(INDEX(DESCRIPTOR(M, DIGEST_A, "")), "linux/s390x", &report), 0);
    cr_expect_eq(
        select_from(INDEX(ATTESTATION "," DESCRIPTOR(M, DIGEST_A, "")), "linux/s390x", &report), 1,
        "an attestation does not count");
    cr_expect_eq(select_from(INDEX(DESCRIPTOR(M, DIGEST_A, "") "," DESCRIPTOR(M, DIGEST_B, "")),
                     "linux/s390x", &report),
        -ENOENT, "which of two?");
    cr_expect_eq(select_from(INDEX(DESCRIPTOR(M, DIGEST_A, PLATFORM("linux", "arm"))),
                     "linux/s390x", &report),
        -ENOENT, "a platform that does not fit is no missing platform");
}

Test(index, select_never_takes_what_is_no_image)
{
    static const char *const others[] = {ATTESTATION,
        DESCRIPTOR(M, DIGEST_A, PLATFORM("unknown", "unknown")),
        DESCRIPTOR(M, DIGEST_A,
            PLATFORM("linux", "amd64") ",\"annotations\":{\"vnd.docker.reference.type\":\"x\"}"),
        DESCRIPTOR(M, DIGEST_A, PLATFORM("linux", "amd64") ",\"artifactType\":\"x/y\""),
        DESCRIPTOR("x/y", DIGEST_A, PLATFORM("linux", "amd64")),
        DESCRIPTOR(M, "md5:00", PLATFORM("linux", "amd64")), ""};
    char s[1000];

    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        struct report report = REPORT_INIT;

        (void)snprintf(s, sizeof(s), "{\"schemaVersion\":2,\"manifests\":[%s]}", others[i]);
        cr_expect_eq(select_from(s, "linux/amd64", &report), -ENOENT, "%s", s);
        cr_expect_str_eq(report.text, "index: no image for linux/amd64 (there is: none)");
    }
}
