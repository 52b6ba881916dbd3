/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/registry/header.h"

#include <criterion/criterion.h>
#include <string.h>

static struct oci_challenge parse(const char *value)
{
    struct oci_challenge c = {0};

    cr_assert_eq(oci_challenge_parse(value, &c), 0, "%s", value);
    return c;
}

Test(challenge, bearer)
{
    struct oci_challenge c =
        parse("Bearer "
              "realm=\"https://auth.example/token\",service=\"reg\",scope=\"repository:a/b:pull\"");

    cr_assert(c.bearer && !c.basic);
    cr_assert_str_eq(c.realm, "https://auth.example/token");
    cr_assert_str_eq(c.service, "reg");
    cr_assert_str_eq(c.scope, "repository:a/b:pull");
    oci_challenge_deinit(&c);
}

Test(challenge, case_and_spaces_do_not_matter)
{
    struct oci_challenge c = parse("bEARER  REALM = \"r\" ,  Service=s");

    cr_assert_str_eq(c.realm, "r");
    cr_assert_str_eq(c.service, "s");
    cr_assert_null(c.scope);
    oci_challenge_deinit(&c);
}

Test(challenge, escapes_and_commas_in_quotes)
{
    struct oci_challenge c = parse("Bearer realm=\"a\\\"b,c\",service=\"\"");

    cr_assert_str_eq(c.realm, "a\"b,c");
    cr_assert_str_eq(c.service, "");
    oci_challenge_deinit(&c);
}

Test(challenge, several_in_one_field)
{
    struct oci_challenge c =
        parse("Negotiate YII=, Basic realm=\"b\", Digest x=y, Bearer realm=\"t\"");

    cr_assert(c.basic && c.bearer);
    cr_assert_str_eq(c.realm, "t");
    oci_challenge_deinit(&c);
}

Test(challenge, fields_add_up)
{
    struct oci_challenge c = parse("Basic realm=\"b\"");

    cr_assert_eq(oci_challenge_parse("Bearer realm=\"t\"", &c), 0);
    cr_assert(c.basic && c.bearer);
    cr_assert_str_eq(c.realm, "t");
    oci_challenge_deinit(&c);
}

Test(challenge, malformed)
{
    static const char *const bad[] = {"Bearer realm=\"open", "=x", "Basic, \"x\"", "a\x01"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct oci_challenge c = {0};

        cr_assert_eq(oci_challenge_parse(bad[i], &c), -EBADMSG, "%s", bad[i]);
        oci_challenge_deinit(&c);
    }
}

Test(content_range, good)
{
    struct oci_content_range r;

    cr_assert_eq(oci_content_range_parse("bytes 5-9/10", &r), 0);
    cr_assert(r.first == 5 && r.last == 9 && r.total == 10);
    cr_assert_eq(oci_content_range_parse(" Bytes 0-0/*", &r), 0);
    cr_assert(r.first == 0 && r.last == 0 && r.total == UINT64_MAX);
}

Test(content_range, malformed)
{
    static const char *const bad[] = {"", "bytes", "bytes 1-2", "bytes 3-2/9", "bytes 1-9/9",
        "bytes */9", "bytes 1-2/9x", "items 1-2/9", "bytes 1-9999999999999999999/*",
        "bytes -1-2/9"};
    struct oci_content_range r;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        cr_assert_eq(oci_content_range_parse(bad[i], &r), -EBADMSG, "%s", bad[i]);
}

Test(link, next)
{
    char *target = NULL;

    cr_assert_eq(oci_link_next_parse("</v2/x?last=a>; rel=\"next\"", &target), 0);
    cr_assert_str_eq(target, "/v2/x?last=a");
    free(target);
    cr_assert_eq(oci_link_next_parse("<a>; rel=prev, <b,c>; title=\"x;y\"; rel=next", &target), 0);
    cr_assert_str_eq(target, "b,c");
    free(target);
}

Test(link, none_or_malformed)
{
    char *target = NULL;

    cr_assert_eq(oci_link_next_parse("", &target), -ENOENT);
    cr_assert_eq(oci_link_next_parse("<a>; rel=\"prev\"", &target), -ENOENT);
    cr_assert_eq(oci_link_next_parse("a; rel=next", &target), -EBADMSG);
    cr_assert_eq(oci_link_next_parse("<a; rel=next", &target), -EBADMSG);
    cr_assert_eq(oci_link_next_parse("<a>; rel=\"next", &target), -EBADMSG);
}

Test(retry_after, seconds_and_dates)
{
    cr_assert_eq(oci_retry_after_parse("17", 0), 17);
    cr_assert_eq(oci_retry_after_parse(" 0 ", 0), 0);
    cr_assert_eq(oci_retry_after_parse("soon", 0), 0);
    cr_assert_eq(oci_retry_after_parse("17 s", 0), 0);
    cr_assert_eq(oci_retry_after_parse("Thu, 01 Jan 1970 00:02:00 GMT", 60), 60);
    cr_assert_eq(oci_retry_after_parse("Thu, 01 Jan 1970 00:02:00 GMT", 500), 0);
    cr_assert_eq(oci_retry_after_parse("999999999999999999", 0), 1u << 30);
}
