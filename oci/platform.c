/* SPDX-License-Identifier: Apache-2.0 */
/* Platforms: what this machine is and which images run on it.
 *
 * Variants of arm, arm64 and amd64 are levels: a machine of one level runs what was made for it and
 * for the lower ones. No variant means the level that images without one are made for: arm v7,
 * arm64 v8, amd64 v1. */
#include "oci/platform.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* The kernel's and others' names beside Go's. */
static const struct {
    const char *name, *architecture, *variant;
} aliases[] = {
    {"x86_64", "amd64", ""},
    {"x86-64", "amd64", ""},
    {"i386", "386", ""},
    {"i486", "386", ""},
    {"i586", "386", ""},
    {"i686", "386", ""},
    {"aarch64", "arm64", ""},
    {"armhf", "arm", "v7"},
    {"armel", "arm", "v6"},
    {"armv5tel", "arm", "v5"},
    {"armv5tejl", "arm", "v5"},
    {"armv6l", "arm", "v6"},
    {"armv7l", "arm", "v7"},
    {"armv8l", "arm", "v8"},
    {"loongarch64", "loong64", ""},
};

static void normalize_architecture(struct oci_platform *p)
{
    for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
        if (strcmp(p->architecture, aliases[i].name) != 0)
            continue;
        (void)snprintf(p->architecture, sizeof(p->architecture), "%s", aliases[i].architecture);
        if (!p->variant[0])
            (void)snprintf(p->variant, sizeof(p->variant), "%s", aliases[i].variant);
        return;
    }
}

struct oci_platform oci_platform_host(void)
{
    struct oci_platform p = {.os = "linux"};
    struct utsname name;

    if (uname(&name) == 0)
        (void)snprintf(p.architecture, sizeof(p.architecture), "%.31s", name.machine);
    normalize_architecture(&p);
    return p;
}

static bool is_field_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

/* Copies the characters up to '/' or the end; NULL when there are none or too many. */
static const char *take_field(const char *s, char field[static 32])
{
    size_t len = 0;

    while (is_field_char(s[len]))
        len++;
    if (len == 0 || len > 31 || (s[len] != '/' && s[len] != '\0'))
        return NULL;
    memcpy(field, s, len);
    field[len] = '\0';
    return s + len;
}

int oci_platform_parse(const char *s, struct oci_platform *ret_platform)
{
    struct oci_platform p = {0};
    const char *at = take_field(s, p.os);

    if (!at || *at != '/')
        return -EINVAL;
    at = take_field(at + 1, p.architecture);
    if (at && *at == '/')
        at = take_field(at + 1, p.variant);
    if (!at || *at != '\0')
        return -EINVAL;
    normalize_architecture(&p);
    *ret_platform = p;
    return 0;
}

const char *oci_platform_format(const struct oci_platform *p, char buf[static 100])
{
    (void)snprintf(
        buf, 100, "%s/%s%s%s", p->os, p->architecture, p->variant[0] ? "/" : "", p->variant);
    return buf;
}

/* "v8" is 800, "v8.1" is 801; -1 when it is no level. */
static int parse_level(const char *variant)
{
    int major = 0, minor = 0;
    const char *s = variant;

    if (*s++ != 'v' || *s < '0' || *s > '9')
        return -1;
    for (; *s >= '0' && *s <= '9' && major < 100; s++)
        major = major * 10 + (*s - '0');
    if (*s == '.')
        for (s++; *s >= '0' && *s <= '9' && minor < 10; s++)
            minor = minor * 10 + (*s - '0');
    return *s == '\0' ? major * 100 + minor : -1;
}

/* The level of a platform, or -1 when its architecture has none or its variant is no level. */
static int platform_level(const struct oci_platform *p)
{
    static const struct {
        const char *architecture, *variant;
    } defaults[] = {{"arm", "v7"}, {"arm64", "v8"}, {"amd64", "v1"}};

    for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
        if (strcmp(p->architecture, defaults[i].architecture) == 0)
            return parse_level(p->variant[0] ? p->variant : defaults[i].variant);
    return -1;
}

int oci_platform_match(const struct oci_platform *want, const struct oci_platform *have)
{
    struct oci_platform a = *want, b = *have;
    int want_level, have_level;

    normalize_architecture(&a);
    normalize_architecture(&b);
    if (!a.os[0] || strcmp(a.os, b.os) != 0 || strcmp(a.architecture, b.architecture) != 0)
        return 0;
    want_level = platform_level(&a);
    have_level = platform_level(&b);
    if (want_level >= 0 && have_level >= 0)
        return have_level <= want_level ? 1 + have_level : 0;
    if (strcmp(a.variant, b.variant) == 0)
        return 3;
    if (want_level >= 0 || have_level >= 0) /* "arm/v7" and "arm/odd" */
        return 0;
    return b.variant[0] == '\0' ? 2 : a.variant[0] == '\0';
}
