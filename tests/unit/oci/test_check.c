/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "oci/check.h"

TestSuite(check);

struct complaints {
    int must, should;
    char text[512];
};

static void note(void *userdata, bool must, const char *text)
{
    struct complaints *c = userdata;

    *(must ? &c->must : &c->should) += 1;
    (void)strncpy(c->text, text, sizeof(c->text) - 1);
}

typedef void (*rules_fn)(const json_t *json, oci_complain_fn complain, void *userdata);

static struct complaints run(rules_fn rules, const char *text)
{
    struct complaints c = {0};
    json_t *json = json_loads(text, 0, NULL);

    cr_assert(json, "%s", text);
    rules(json, note, &c);
    json_decref(json);
    return c;
}

static void refuses(rules_fn rules, const char *text, const char *part)
{
    struct complaints c = run(rules, text);

    cr_expect_eq(c.must, 1, "%s: %d complaints", text, c.must);
    cr_expect(strstr(c.text, part), "%s: %s", text, c.text);
}

static void accepts(rules_fn rules, const char *text)
{
    struct complaints c = run(rules, text);

    cr_expect_eq(c.must, 0, "%s: %s", text, c.text);
}

Test(check, layout)
{
    accepts(oci_check_layout_file, "{\"imageLayoutVersion\": \"1.0.0\"}");
    refuses(oci_check_layout_file, "{\"imageLayoutVersion\": \"1.0.1\"}", "1.0.1");
    refuses(oci_check_layout_file, "{}", "missing");
    refuses(oci_check_layout_file, "[]", "missing");
}

Test(check, times)
{
    static const char *const good[] = {"2024-02-29T23:59:60Z", "2024-02-29t00:00:00z",
        "2024-02-29T00:00:00.123456789Z", "1970-01-01T00:00:00+02:00"};
    static const char *const bad[] = {"", "2024", "2024-02-29 00:00:00Z", "2024-02-29T00:00:00",
        "2024-02-29T00:00:00.Z", "2024-02-29T00:00:00+0200", "2024-02-29T00:00:00Zx"};
    char text[128];

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        (void)snprintf(text, sizeof(text), "{\"created\": \"%s\"}", good[i]);
        accepts(oci_check_config, text);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        (void)snprintf(text, sizeof(text), "{\"created\": \"%s\"}", bad[i]);
        refuses(oci_check_config, text, "RFC 3339");
    }
}

Test(check, descriptors)
{
    accepts(oci_check_manifest, "{\"layers\": [{\"urls\": [\"https://x/y?z=%20\", \"a+b:c\"]}]}");
    refuses(oci_check_manifest, "{\"layers\": [{\"urls\": [\"https://x/ y\"]}]}", "urls[0]");
    refuses(oci_check_manifest, "{\"layers\": [{\"urls\": [\"x\"]}]}", "layers[0]");
    refuses(oci_check_manifest, "{\"layers\": [{\"urls\": [\":x\"]}]}", "urls");
    accepts(oci_check_manifest,
        "{\"config\": {\"size\": 2, \"data\": \"e30=\", \"digest\": \"sha256:"
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\"}}");
    refuses(oci_check_manifest, "{\"config\": {\"size\": 3, \"data\": \"e30=\"}}", "2 bytes");
    refuses(oci_check_manifest, "{\"config\": {\"size\": 2, \"data\": \"e30\"}}", "base64");
    refuses(oci_check_manifest, "{\"config\": {\"size\": 2, \"data\": \"e3=0\"}}", "base64");
    refuses(oci_check_manifest, "{\"config\": {\"size\": 2, \"data\": \"=30=\"}}", "base64");
    refuses(oci_check_manifest,
        "{\"config\": {\"size\": 2, \"data\": \"e3w=\", \"digest\": \"sha256:"
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\"}}",
        "digest");
    refuses(oci_check_manifest, "{\"config\": {\"annotations\": {\"a\": 1}}}", "\"a\"");
    refuses(oci_check_manifest, "{\"config\": {\"annotations\": {\"\": \"x\"}}}", "empty");
}

Test(check, execution)
{
    accepts(oci_check_config,
        "{\"config\": {\"Env\": [\"A=\", \"B=c=d\"], \"ExposedPorts\": {\"80\": {}, \"53/udp\": "
        "{}}, \"StopSignal\": \"SIGRTMIN+3\", \"Volumes\": {\"/x\": {}}}}");
    refuses(oci_check_config, "{\"config\": {\"Env\": [\"=x\"]}}", "Env[0]");
    refuses(oci_check_config, "{\"config\": {\"ExposedPorts\": {\"70000/tcp\": {}}}}", "70000");
    refuses(oci_check_config, "{\"config\": {\"ExposedPorts\": {\"80/x\": {}}}}", "80/x");
    refuses(oci_check_config, "{\"config\": {\"StopSignal\": \"sigterm\"}}", "sigterm");
    accepts(oci_check_config, "{\"config\": {\"StopSignal\": \"15\"}}");
}

Test(check, texts_hold_no_control_bytes)
{
    struct complaints c =
        run(oci_check_config, "{\"config\": {\"StopSignal\": \"a\\u001b[31m\\nb\"}}");

    cr_assert_eq(c.must, 1);
    for (const char *p = c.text; *p; p++)
        cr_assert((unsigned char)*p >= 0x20, "%s", c.text);
}

Test(check, history)
{
    struct complaints c = run(oci_check_config,
        "{\"rootfs\": {\"diff_ids\": [\"a\"]}, \"history\": [{\"empty_layer\": true}, {}]}");

    cr_assert_eq(c.must + c.should, 0);
    c = run(oci_check_config, "{\"rootfs\": {\"diff_ids\": [\"a\"]}, \"history\": [{}, {}]}");
    cr_assert_eq(c.must, 0);
    cr_assert_eq(c.should, 1);
}
