/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "oci/json.h"

TestSuite(json);

static int load_bytes(const void *data, size_t size, char *ret_text)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    struct report report = REPORT_INIT;
    int r = oci_json_load(data, size, "doc", &json, &report);

    cr_expect_eq(r == 0, json != NULL);
    cr_expect_eq(r < 0, report_is_set(&report));
    cr_expect_null(strchr(report.text, '\n'));
    if (ret_text)
        strcpy(ret_text, report.text);
    return r;
}

static int load(const char *s)
{
    return load_bytes(s, strlen(s), NULL);
}

Test(json, load_accepts)
{
    static const char *const good[] = {"{}", "[]",
        " {\"a\" : [1, -2.5, true, null, \"\\u00e9\"]} \n", "{\"a\":1,\"A\":2}", "{\"\":1}"};

    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        cr_expect_eq(load(good[i]), 0, "%s", good[i]);
}

Test(json, load_refuses_malformed)
{
    static const char *const bad[] = {"", " ", "{", "}", "{}}", "{} {}", "{\"a\":1,}", "{'a':1}",
        "{\"a\":1,\"a\":1}", "{\"x\":{\"a\":1,\"b\":2,\"a\":3}}", "{\"a\":\"\\u0000\"}",
        "{\"\\u0000\":1}", "{\"a\":\"\xff\"}", "{\"a\":\"\xc3\"}", "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"\\ud800\"}", "{\"a\":99999999999999999999}", "{\"a\":01}", "nul", "\"", "\"\\",
        "{\"a\":\"\n\"}", "1e999"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        cr_expect_eq(load(bad[i]), -EBADMSG, "%s", bad[i]);
    cr_expect_eq(load_bytes("{\"a\0\":1}", 8, NULL), -EBADMSG, "a NUL byte");
    cr_expect_eq(load_bytes("{}\0", 3, NULL), -EBADMSG, "a NUL byte behind");
}

Test(json, load_names_the_document_and_place)
{
    char text[REPORT_TEXT_MAX];

    cr_assert_eq(load_bytes("{\n \"a\": x}", 10, text), -EBADMSG);
    cr_assert_eq(strncmp(text, "doc: line 2, column ", 20), 0, "%s", text);
}

Test(json, load_limits_size)
{
    char *s = malloc(OCI_DOCUMENT_MAX + 1);

    memset(s, ' ', OCI_DOCUMENT_MAX + 1);
    memcpy(s, "{}", 2);
    cr_expect_eq(load_bytes(s, OCI_DOCUMENT_MAX, NULL), 0);
    cr_expect_eq(load_bytes(s, OCI_DOCUMENT_MAX + 1, NULL), -EFBIG);
    free(s);
}

static int load_nested(size_t depth)
{
    char s[2 * OCI_JSON_DEPTH_MAX + 2];

    memset(s, '[', depth);
    memset(s + depth, ']', depth);
    return load_bytes(s, 2 * depth, NULL);
}

Test(json, load_limits_nesting)
{
    cr_expect_eq(load_nested(OCI_JSON_DEPTH_MAX), 0);
    cr_expect_eq(load_nested(OCI_JSON_DEPTH_MAX + 1), -EFBIG);
    cr_expect_eq(
        load("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]"), 0,
        "brackets in strings are text");
    cr_expect_eq(
        load("[\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]"), 0,
        "an escaped quote does not end a string");
}

/* "[0,0,…]": one for the array and one for each comma. */
static int load_values(size_t values)
{
    char *s = malloc(2 * values + 2);
    size_t at = 0;
    int r;

    s[at++] = '[';
    for (size_t i = 0; i < values; i++) {
        s[at++] = i ? ',' : ' ';
        s[at++] = '0';
    }
    s[at++] = ']';
    r = load_bytes(s, at, NULL);
    free(s);
    return r;
}

Test(json, load_limits_values)
{
    cr_expect_eq(load_values(OCI_JSON_VALUES_MAX), 0);
    cr_expect_eq(load_values(OCI_JSON_VALUES_MAX + 1), -EFBIG);
}

Test(json, dump_is_canonical)
{
    static const char in[] = "{ \"b\" : 1, \"a\" : [ \"x\\u002fy\", { } ] }";
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};
    static const char out[] = "{\"a\":[\"x/y\",{}],\"b\":1}";

    cr_assert_eq(oci_json_load(in, strlen(in), "in", &json, NULL), 0);
    cr_assert_eq(oci_json_dump(json, &b), 0);
    cr_assert_eq(b.size, strlen(out));
    cr_assert_eq(memcmp(b.data, out, b.size), 0);
}

static json_t *object_of(const char *s)
{
    json_t *json = NULL;

    cr_assert_eq(oci_json_load(s, strlen(s), "in", &json, NULL), 0, "%s", s);
    return json;
}

Test(json, get)
{
    _cleanup_(oci_json_unrefp) json_t *o =
        object_of("{\"s\":\"x\",\"i\":1,\"n\":null,\"d\":\"sha256:00\"}");
    struct report report = REPORT_INIT;
    json_t *value = NULL;
    const char *s = "old";
    struct oci_digest digest;

    cr_expect_eq(oci_json_get(o, "i", JSON_INTEGER, OCI_JSON_REQUIRED, "o", &value, NULL), 0);
    cr_expect_eq(json_integer_value(value), 1);
    cr_expect_eq(oci_json_get_string(o, "n", OCI_JSON_OPTIONAL, "o", &s, NULL), 1);
    cr_expect_eq(oci_json_get_string(o, "x", OCI_JSON_OPTIONAL, "o", &s, NULL), 1);
    cr_expect_eq(oci_json_get_string(o, "n", OCI_JSON_REQUIRED, "o", &s, &report), -EBADMSG);
    cr_expect_str_eq(report.text, "o: n is missing");
    cr_expect_eq(oci_json_get_string(o, "i", OCI_JSON_OPTIONAL, "o", &s, &report), -EBADMSG);
    cr_expect_str_eq(report.text, "o: i is not a string");
    cr_expect_str_eq(s, "old");
    cr_expect_eq(oci_json_get_string(o, "s", OCI_JSON_OPTIONAL, "o", &s, NULL), 0);
    cr_expect_str_eq(s, "x");
    cr_expect_eq(oci_json_get_digest(o, "d", OCI_JSON_REQUIRED, "o", &digest, &report), -EBADMSG);
    cr_expect_eq(oci_json_get_digest(o, "x", OCI_JSON_OPTIONAL, "o", &digest, &report), 1);
}

Test(json, check_lists)
{
    _cleanup_(oci_json_unrefp) json_t *o = object_of(
        "{\"a\":[\"x\",\"y\"],\"b\":[\"x\",1],\"m\":{\"k\":\"v\"},\"n\":{\"k\":1},\"s\":\"x\"}");
    struct report report = REPORT_INIT;

    cr_expect_eq(oci_json_check_strings(o, "a", "o", NULL), 0);
    cr_expect_eq(oci_json_check_strings(o, "x", "o", NULL), 0);
    cr_expect_eq(oci_json_check_strings(o, "b", "o", &report), -EBADMSG);
    cr_expect_str_eq(report.text, "o: b[1] is not a string");
    cr_expect_eq(oci_json_check_strings(o, "s", "o", NULL), -EBADMSG);
    cr_expect_eq(oci_json_check_string_map(o, "m", "o", NULL), 0);
    cr_expect_eq(oci_json_check_string_map(o, "n", "o", &report), -EBADMSG);
    cr_expect_str_eq(report.text, "o: n \"k\" is not a string");
    cr_expect_eq(oci_json_check_string_map(o, "a", "o", NULL), -EBADMSG);
}
