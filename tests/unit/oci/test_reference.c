/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "oci/reference.h"

#define HEX "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define DIGEST "sha256:" HEX

TestSuite(reference);

static void expect_full(const char *s, const char *full)
{
    struct report report = REPORT_INIT;
    struct oci_reference ref = {0};
    char *text;

    cr_assert_eq(oci_reference_parse(s, &ref, &report), 0, "%s: %s", s, report.text);
    text = oci_reference_format(&ref);
    cr_assert_str_eq(text, full, "%s: %s", s, text);
    free(text);
    oci_reference_deinit(&ref);
}

static void expect_malformed(const char *s)
{
    struct report report = REPORT_INIT;
    struct oci_reference ref = {.tag = (char *)1};

    cr_expect_eq(oci_reference_parse(s, &ref, &report), -EINVAL, "\"%s\"", s);
    cr_expect(report_is_set(&report), "\"%s\"", s);
    cr_expect_eq(ref.tag, (char *)1, "the out-parameter is untouched");
}

Test(reference, defaults_are_dockers)
{
    expect_full("debian", "docker.io/library/debian:latest");
    expect_full("debian:12", "docker.io/library/debian:12");
    expect_full("user/app", "docker.io/user/app:latest");
    expect_full("docker.io/debian", "docker.io/library/debian:latest");
    expect_full("index.docker.io/debian", "docker.io/library/debian:latest");
    expect_full("docker://debian", "docker.io/library/debian:latest");
    expect_full("debian@" DIGEST, "docker.io/library/debian@" DIGEST);
    expect_full("debian:12@" DIGEST, "docker.io/library/debian:12@" DIGEST);
}

Test(reference, hosts)
{
    expect_full("localhost/x", "localhost/x:latest");
    expect_full("localhost:5000/x:y", "localhost:5000/x:y");
    expect_full("host:1/x", "host:1/x:latest");
    expect_full("Host/x", "Host/x:latest");
    expect_full("a.b-c.d/x/y/z", "a.b-c.d/x/y/z:latest");
    expect_full("[2001:db8::1]:443/x", "[2001:db8::1]:443/x:latest");
    expect_full("127.0.0.1/x", "127.0.0.1/x:latest");
}

Test(reference, path_components)
{
    expect_full("h.x/a_b/a__b/a.b/a-b/a---b/0", "h.x/a_b/a__b/a.b/a-b/a---b/0:latest");
}

Test(reference, fields)
{
    struct oci_reference ref = {0};

    cr_assert_eq(oci_reference_parse("r.x:1/p/q:t@" DIGEST, &ref, NULL), 0);
    cr_assert_str_eq(ref.registry, "r.x:1");
    cr_assert_str_eq(ref.repository, "p/q");
    cr_assert_str_eq(ref.tag, "t");
    cr_assert_eq(ref.digest.alg, OCI_DIGEST_SHA256);
    oci_reference_deinit(&ref);
    cr_assert_null(ref.registry);
    cr_assert_eq(oci_reference_parse("p@" DIGEST, &ref, NULL), 0);
    cr_assert_null(ref.tag);
    oci_reference_deinit(&ref);
}

Test(reference, malformed)
{
    static const char *const bad[] = {"", "/", "a/", "/a", "a//b", "a:", "a@", ":a", "@" DIGEST,
        "UPPER", "user/UPPER", "h.x/UPPER", "-a", "a-", "a.", ".a", "a..b", "a___b", "a_-b", "a b",
        "a\nb", "é", "a:-t", "a:.t", "a:t/x", "a:t:u", "a:b c", "a@sha256:00", "a@" DIGEST "0",
        "a@md5:d41d8cd98f00b204e9800998ecf8427e", "a@" DIGEST "@" DIGEST, "h.x:/a", "h.x:1a/b",
        "-h.x/a", "h-.x/a", "h..x/a", "[::1/a", "[::1]x/a", "[]/a", "[g::]/a", "docker://",
        "docker:///a", HEX, "http://a/b"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect_malformed(bad[i]);
}

/* Limits: a tag of 128 bytes, a name (host and path) of 255. */
Test(reference, limits)
{
    char s[400] = "a:";

    memset(s + 2, 't', 129);
    expect_malformed(s);
    s[2 + 128] = '\0';
    cr_assert_eq(strlen(s), 130);
    {
        struct oci_reference ref = {0};

        cr_assert_eq(oci_reference_parse(s, &ref, NULL), 0);
        oci_reference_deinit(&ref);
    }
    memset(s, 0, sizeof(s));
    strcpy(s, "h.x/");
    memset(s + 4, 'a', 252);
    expect_malformed(s);
    s[255] = '\0';
    {
        struct oci_reference ref = {0};

        cr_assert_eq(oci_reference_parse(s, &ref, NULL), 0);
        cr_assert_eq(strlen(ref.registry) + 1 + strlen(ref.repository), 255);
        oci_reference_deinit(&ref);
    }
}

static void expect_location(
    const char *s, enum oci_transport transport, const char *path, const char *name)
{
    struct report report = REPORT_INIT;
    struct oci_location location = {0};

    cr_assert_eq(oci_location_parse(s, &location, &report), 0, "%s: %s", s, report.text);
    cr_expect_eq(location.transport, transport, "%s", s);
    cr_expect(path ? location.path && strcmp(location.path, path) == 0 : !location.path, "%s", s);
    cr_expect(name ? location.name && strcmp(location.name, name) == 0 : !location.name, "%s", s);
    oci_location_deinit(&location);
}

Test(location, transports)
{
    expect_location("debian", OCI_TRANSPORT_DOCKER, NULL, "docker.io/library/debian:latest");
    expect_location("docker://h.x/a:b", OCI_TRANSPORT_DOCKER, NULL, "h.x/a:b");
    expect_location("oci:/a/b", OCI_TRANSPORT_OCI, "/a/b", NULL);
    expect_location("oci:dir:tag", OCI_TRANSPORT_OCI, "dir", "tag");
    expect_location("oci:dir:debian:latest", OCI_TRANSPORT_OCI, "dir", "debian:latest");
    expect_location("oci:dir:" DIGEST, OCI_TRANSPORT_OCI, "dir", DIGEST);
    expect_location("oci-archive:f.tar:t", OCI_TRANSPORT_OCI_ARCHIVE, "f.tar", "t");
    expect_location("docker-archive:f.tar", OCI_TRANSPORT_DOCKER_ARCHIVE, "f.tar", NULL);
    expect_location(
        "docker-archive:f.tar:debian:1", OCI_TRANSPORT_DOCKER_ARCHIVE, "f.tar", "debian:1");
    expect_location("docker-archive:f.tar:@12", OCI_TRANSPORT_DOCKER_ARCHIVE, "f.tar", "@12");
}

Test(location, malformed)
{
    static const char *const bad[] = {"", "oci:", "oci::x", "oci:d:", "oci:d:a b", "oci:d:-x",
        "oci-archive:", "oci-archive:f:", "docker-archive:", "docker-archive:f:", "docker://",
        "docker-archive:f:@", "docker-archive:f:@x", "docker-archive:f:UPPER", "dir:/x", "./f.tar",
        "docker-daemon:x:y"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct report report = REPORT_INIT;
        struct oci_location location = {0};

        cr_expect_eq(oci_location_parse(bad[i], &location, &report), -EINVAL, "\"%s\"", bad[i]);
        cr_expect(report_is_set(&report), "\"%s\"", bad[i]);
        cr_expect_null(location.path);
    }
}

Test(tag, validity)
{
    static const char *const good[] = {
        "a", "0", "v1.2_3-x+y", "debian:latest", "h.x:1/a/b@" DIGEST};
    static const char *const bad[] = {
        "", ".a", "-a", "/a", ":a", "@a", "+a", "_a", "a b", "a\n", "a\\b", "é", "a*", "a\"b"};
    char s[257];

    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        cr_expect(oci_tag_is_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        cr_expect_not(oci_tag_is_valid(bad[i]), "%s", bad[i]);
    memset(s, 'a', 256);
    s[256] = '\0';
    cr_expect_not(oci_tag_is_valid(s));
    s[255] = '\0';
    cr_expect(oci_tag_is_valid(s));
}
