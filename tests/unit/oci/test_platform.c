/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/utsname.h>

#include "oci/platform.h"

TestSuite(platform);

static struct oci_platform parse(const char *s)
{
    struct oci_platform p = {0};

    cr_assert_eq(oci_platform_parse(s, &p), 0, "%s", s);
    return p;
}

static int match(const char *want, const char *have)
{
    struct oci_platform a = parse(want), b = parse(have);

    return oci_platform_match(&a, &b);
}

Test(platform, parse_and_format)
{
    static const char *const same[] = {
        "linux/amd64", "linux/arm/v7", "windows/amd64/v3", "linux/riscv64", "linux/ppc64le/power9"};
    char text[100];

    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        struct oci_platform p = parse(same[i]);

        cr_expect_str_eq(oci_platform_format(&p, text), same[i]);
    }
}

Test(platform, parse_knows_the_kernels_names)
{
    static const char *const pairs[][2] = {{"linux/x86_64", "linux/amd64"},
        {"linux/aarch64", "linux/arm64"}, {"linux/armhf", "linux/arm/v7"},
        {"linux/armv6l", "linux/arm/v6"}, {"linux/i686", "linux/386"}};
    char text[100];

    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        struct oci_platform p = parse(pairs[i][0]);

        cr_expect_str_eq(oci_platform_format(&p, text), pairs[i][1]);
    }
}

Test(platform, parse_refuses_malformed)
{
    static const char *const bad[] = {"", "linux", "linux/", "/amd64", "linux//v7", "linux/arm/",
        "linux/arm/v7/", "linux/arm/v7/x", "linux amd64", "linux/am d64", "linux/a\n",
        "linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    struct oci_platform p = {.os = "x"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        cr_expect_eq(oci_platform_parse(bad[i], &p), -EINVAL, "\"%s\"", bad[i]);
    cr_expect_str_eq(p.os, "x", "the out-parameter is untouched");
    cr_expect_eq(
        oci_platform_parse("linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &p), 0, "31 bytes fit");
}

Test(platform, longest_formats)
{
    struct oci_platform p;
    char text[100];

    memset(&p, 'x', sizeof(p));
    p.os[31] = p.architecture[31] = p.variant[31] = '\0';
    cr_assert_eq(strlen(oci_platform_format(&p, text)), 3 * 31 + 2);
}

Test(platform, host_runs_its_own)
{
    struct oci_platform host = oci_platform_host();
    struct utsname name;

    cr_assert_str_eq(host.os, "linux");
    cr_assert_gt(oci_platform_match(&host, &host), 0);
    cr_assert_eq(uname(&name), 0);
    if (strcmp(name.machine, "x86_64") == 0)
        cr_assert_str_eq(host.architecture, "amd64");
    if (strcmp(name.machine, "aarch64") == 0)
        cr_assert_str_eq(host.architecture, "arm64");
}

Test(platform, match_needs_os_and_architecture)
{
    struct oci_platform none = {0};

    cr_expect_gt(match("linux/amd64", "linux/amd64"), 0);
    cr_expect_eq(match("linux/amd64", "windows/amd64"), 0);
    cr_expect_eq(match("linux/amd64", "linux/arm64"), 0);
    cr_expect_eq(match("linux/arm64", "linux/arm/v7"), 0);
    cr_expect_eq(oci_platform_match(&none, &none), 0);
}

Test(platform, match_prefers_the_highest_variant_that_runs)
{
    cr_expect_gt(match("linux/arm/v7", "linux/arm/v7"), match("linux/arm/v7", "linux/arm/v6"));
    cr_expect_gt(match("linux/arm/v7", "linux/arm/v6"), match("linux/arm/v7", "linux/arm/v5"));
    cr_expect_gt(match("linux/arm/v7", "linux/arm/v5"), 0);
    cr_expect_eq(match("linux/arm/v6", "linux/arm/v7"), 0);
    cr_expect_eq(match("linux/arm/v7", "linux/arm/v8"), 0);
    cr_expect_gt(match("linux/amd64/v3", "linux/amd64/v3"), match("linux/amd64/v3", "linux/amd64"));
    cr_expect_gt(match("linux/amd64/v3", "linux/amd64"), 0);
    cr_expect_eq(match("linux/amd64", "linux/amd64/v2"), 0);
    cr_expect_gt(match("linux/arm64/v8.1", "linux/arm64/v8"), 0);
    cr_expect_eq(match("linux/arm64/v8", "linux/arm64/v8.1"), 0);
}

Test(platform, match_knows_default_variants)
{
    cr_expect_gt(match("linux/arm64", "linux/arm64/v8"), 0);
    cr_expect_gt(match("linux/arm64/v8", "linux/arm64"), 0);
    cr_expect_gt(match("linux/amd64", "linux/amd64/v1"), 0);
    cr_expect_gt(match("linux/arm", "linux/arm/v7"), 0);
    cr_expect_eq(match("linux/arm/v6", "linux/arm"), 0);
}

Test(platform, match_of_variants_without_levels)
{
    cr_expect_gt(match("linux/ppc64le/power9", "linux/ppc64le/power9"),
        match("linux/ppc64le/power9", "linux/ppc64le"));
    cr_expect_gt(match("linux/ppc64le/power9", "linux/ppc64le"), 0);
    cr_expect_eq(match("linux/ppc64le/power9", "linux/ppc64le/power8"), 0);
    cr_expect_gt(match("linux/s390x", "linux/s390x"), match("linux/s390x", "linux/s390x/z13"));
    cr_expect_gt(match("linux/arm/odd", "linux/arm/odd"), 0);
    cr_expect_eq(match("linux/arm/odd", "linux/arm/v7"), 0);
    cr_expect_eq(match("linux/arm/v7", "linux/arm/v7x"), 0);
}
