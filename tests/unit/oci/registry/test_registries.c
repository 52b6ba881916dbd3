/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/registry/registries.h"

#include <criterion/criterion.h>
#include <string.h>

static struct oci_registries *parse(const char *toml)
{
    struct oci_registries *registries = NULL;
    struct report r = REPORT_INIT;

    cr_assert_eq(oci_registries_new(&registries), 0);
    cr_assert_eq(oci_registries_add(registries, toml, strlen(toml), "conf", &r), 0, "%s", r.text);
    return registries;
}

/* "host/repository[!] …" of all endpoints, "!" where insecure. */
static void check_endpoints(
    const struct oci_registries *registries, const char *name, const char *want)
{
    struct oci_reference ref = {0};
    struct oci_endpoint *endpoints = NULL;
    struct report r = REPORT_INIT;
    size_t count = 0;
    char text[1024] = "";

    cr_assert_eq(oci_reference_parse(name, &ref, NULL), 0);
    if (oci_registries_endpoints(registries, &ref, &endpoints, &count, &r) < 0)
        strcpy(text, "failed");
    for (size_t i = 0; i < count; i++) {
        strcat(text, i ? " " : "");
        strcat(text, endpoints[i].host);
        strcat(text, "/");
        strcat(text, endpoints[i].repository);
        strcat(text, endpoints[i].insecure ? "!" : "");
    }
    cr_assert_str_eq(text, want, "%s: %s", name, r.text);
    oci_endpoints_free(endpoints, count);
    oci_reference_deinit(&ref);
}

static void check_candidates(
    const struct oci_registries *registries, const char *name, const char *want)
{
    struct oci_reference *references = NULL;
    struct report r = REPORT_INIT;
    size_t count = 0;
    char text[1024] = "";

    cr_assert_eq(
        oci_registries_candidates(registries, name, &references, &count, &r), 0, "%s", r.text);
    for (size_t i = 0; i < count; i++) {
        char *full = oci_reference_format(&references[i]);

        strcat(text, i ? " " : "");
        strcat(text, full);
        free(full);
    }
    cr_assert_str_eq(text, want);
    oci_references_free(references, count);
}

Test(registries, nothing_is_configured)
{
    struct oci_registries *c = parse("");

    check_endpoints(c, "h.example/a/b", "h.example/a/b");
    check_endpoints(c, "debian", "docker.io/library/debian");
    check_candidates(c, "debian", "docker.io/library/debian:latest");
    check_candidates(c, "me/x:1", "docker.io/me/x:1");
    (void)oci_registries_free(c);
}

Test(registries, longest_prefix_at_a_boundary)
{
    struct oci_registries *c =
        parse("[[registry]]\nlocation='h.example'\ninsecure=true\n"
              "[[registry]]\nprefix='h.example/a'\nlocation='o.example/z'\n"
              "[[registry]]\nprefix='h.example/a/b'\nlocation='p.example'\n");

    check_endpoints(c, "h.example/x", "h.example/x!");
    check_endpoints(c, "h.example/a/x", "o.example/z/x");
    check_endpoints(c, "h.example/a/b/c", "p.example/c");
    check_endpoints(c, "h.example/ab", "h.example/ab!");
    check_endpoints(c, "h.example:5000/a/b/c", "h.example:5000/a/b/c!");
    check_endpoints(c, "other.example/a", "other.example/a");
    check_endpoints(c, "h.example/a/b", "failed"); /* no repository is left */
    (void)oci_registries_free(c);
}

Test(registries, wildcards)
{
    struct oci_registries *c = parse("[[registry]]\nprefix='*.example'\ninsecure=true\n"
                                     "[[registry]]\nprefix='*.b.example'\nlocation='o.test/m'\n");

    check_endpoints(c, "a.example/x", "a.example/x!");
    check_endpoints(c, "a.b.example/x", "o.test/m/x");
    check_endpoints(c, "example/x.y/z", "docker.io/example/x.y/z");
    (void)oci_registries_free(c);
}

Test(registries, mirrors)
{
    static const char digest[] = "h.example/x@sha256:"
                                 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct oci_registries *c =
        parse("[[registry]]\nlocation='h.example'\n"
              "[[registry.mirror]]\nlocation='m1.test/h'\ninsecure=true\n"
              "[[registry.mirror]]\nlocation='m2.test'\npull-from-mirror='digest-only'\n"
              "[[registry.mirror]]\nlocation='m3.test'\npull-from-mirror='tag-only'\n"
              "[[registry]]\nlocation='d.example'\nmirror-by-digest-only=true\n"
              "[[registry.mirror]]\nlocation='m4.test'\n");

    check_endpoints(c, "h.example/x", "m1.test/h/x! m3.test/x h.example/x");
    check_endpoints(c, digest, "m1.test/h/x! m2.test/x h.example/x");
    check_endpoints(c, "d.example/x", "d.example/x");
    (void)oci_registries_free(c);
}

Test(registries, blocked)
{
    struct oci_registries *c = parse("[[registry]]\nlocation='h.example/a'\nblocked=true\n");

    check_endpoints(c, "h.example/a/b", "failed");
    check_endpoints(c, "h.example/b", "h.example/b");
    (void)oci_registries_free(c);
}

Test(registries, short_names)
{
    struct oci_registries *c =
        parse("unqualified-search-registries=['a.example','docker.io']\n"
              "[aliases]\n'fedora'='r.example/fedora'\n'me/x'='r.example/y'\n");

    check_candidates(c, "debian:12", "a.example/debian:12 docker.io/library/debian:12");
    check_candidates(c, "fedora", "r.example/fedora:latest");
    check_candidates(c, "fedora:40", "r.example/fedora:40");
    check_candidates(c, "me/x:v", "r.example/y:v");
    check_candidates(c, "me/z", "a.example/me/z:latest docker.io/me/z:latest");
    (void)oci_registries_free(c);
}

Test(registries, later_files_win)
{
    static const char more[] = "unqualified-search-registries=['b.example']\n"
                               "[aliases]\n'x'='new.example/x'\n"
                               "[[registry]]\nlocation='h.example'\n";
    struct oci_registries *c = parse("unqualified-search-registries=['a.example']\n"
                                     "[aliases]\n'x'='old.example/x'\n'y'='old.example/y'\n"
                                     "[[registry]]\nlocation='h.example'\ninsecure=true\n");

    cr_assert_eq(oci_registries_add(c, more, strlen(more), "more", NULL), 0);
    check_candidates(c, "z", "b.example/z:latest");
    check_candidates(c, "x", "new.example/x:latest");
    check_candidates(c, "y", "old.example/y:latest");
    check_endpoints(c, "h.example/a", "h.example/a");
    (void)oci_registries_free(c);
}

Test(registries, broken)
{
    static const char *const bad[] = {"x = [", "[[registry]]\ninsecure=true\n",
        "[[registry]]\nprefix='h.example'\n",
        "[[registry]]\nlocation='h'\n[[registry.mirror]]\ninsecure=true\n",
        "[registries.search]\nregistries=['a']\n"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct oci_registries *c = NULL;
        struct report r = REPORT_INIT;

        cr_assert_eq(oci_registries_new(&c), 0);
        cr_assert_eq(
            oci_registries_add(c, bad[i], strlen(bad[i]), "conf", &r), -EBADMSG, "%s", bad[i]);
        cr_assert_eq(strncmp(r.text, "conf: ", 6), 0, "%s", r.text);
        (void)oci_registries_free(c);
    }
}

Test(registries, a_file_that_was_asked_for_must_be_there)
{
    struct oci_registries *c = NULL;
    struct report r = REPORT_INIT;

    cr_assert_eq(oci_registries_load("/nowhere/registries.conf", &c, &r), -ENOENT);
    cr_assert(strstr(r.text, "/nowhere/registries.conf"));
}
