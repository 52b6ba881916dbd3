/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "tools/image_config.h"

static const struct option_def def = {.name = "opt"};
static struct config_changes changes;
static struct new_layer layer;
static struct report r;
static json_t *result;

static void set_up(void)
{
    changes = (struct config_changes){
        .created = "1970-01-01T00:00:00Z", .platform = {.os = "linux", .architecture = "amd64"}};
    layer = (struct new_layer){.size = 5, .compression = OCI_COMPRESSION_ZSTD};
    (void)oci_digest_of(OCI_DIGEST_SHA256, "tar", 3, &layer.diff_id);
    (void)oci_digest_of(OCI_DIGEST_SHA256, "blob", 4, &layer.digest);
    r = REPORT_INIT;
}

static void tear_down(void)
{
    json_decref(result);
}

TestSuite(image_config, .init = set_up, .fini = tear_down);

static struct option_item items[8];

/* A list of the words of a line. */
static struct option_list list(const char *a, const char *b)
{
    struct option_item *at = items + (items[0].def != NULL) * 2;

    at[0] = (struct option_item){.value = a, .def = &def};
    at[1] = (struct option_item){.value = b, .def = &def};
    return (struct option_list){.items = at, .count = b ? 2 : 1};
}

static const char *text(json_t *json)
{
    static char buffer[4096];

    buffer[json_dumpb(json, buffer, sizeof(buffer) - 1, JSON_COMPACT | JSON_ENCODE_ANY)] = '\0';
    return buffer;
}

static json_t *config_field(const char *key)
{
    return json_object_get(json_object_get(result, "config"), key);
}

static int build(const char *base_json)
{
    struct oci_config base = {.json = base_json ? json_loads(base_json, 0, NULL) : NULL};
    int err = image_config_build(base_json ? &base : NULL, &changes, &layer, 1, &result, &r);

    json_decref(base.json);
    return err;
}

Test(image_config, from_nothing)
{
    char digest[OCI_DIGEST_STR_MAX];

    cr_assert_eq(build(NULL), 0, "%s", r.text);
    cr_expect_str_eq(text(json_object_get(result, "architecture")), "\"amd64\"");
    cr_expect_str_eq(json_string_value(json_array_get(
                         json_object_get(json_object_get(result, "rootfs"), "diff_ids"), 0)),
        oci_digest_format(&layer.diff_id, digest));
    cr_expect_str_eq(text(json_object_get(result, "history")),
        "[{\"created\":\"1970-01-01T00:00:00Z\",\"created_by\":\"layerfs create\"}]");
}

Test(image_config, words_and_arrays)
{
    changes.entrypoint = list("/bin/sh", "-c");
    cr_assert_eq(build(NULL), 0);
    cr_expect_str_eq(text(config_field("Entrypoint")), "[\"/bin/sh\",\"-c\"]");
    json_decref(result);
    changes.entrypoint = list("[\"a b\",\"c\"]", NULL);
    cr_assert_eq(build(NULL), 0);
    cr_expect_str_eq(text(config_field("Entrypoint")), "[\"a b\",\"c\"]");
    json_decref(result);
    result = NULL;
    changes.entrypoint = list("[\"a\",1]", NULL);
    cr_expect_eq(build(NULL), -EINVAL);
    cr_expect(strstr(r.text, "--opt"));
    changes.entrypoint = list("[oops", NULL);
    cr_expect_eq(build(NULL), -EINVAL);
}

Test(image_config, a_new_entrypoint_drops_the_base_s_command)
{
    static const char base[] = "{\"os\":\"linux\",\"architecture\":\"arm64\",\"config\":"
                               "{\"Entrypoint\":[\"old\"],\"Cmd\":[\"x\"],\"Foo\":1}}";

    changes.platform = (struct oci_platform){0};
    changes.entrypoint = list("new", NULL);
    cr_assert_eq(build(base), 0);
    cr_expect_null(config_field("Cmd"));
    cr_expect_str_eq(text(config_field("Foo")), "1");
    cr_expect_str_eq(text(json_object_get(result, "architecture")), "\"arm64\"");
    json_decref(result);
    changes.entrypoint.count = 0;
    changes.cmd = list("y", NULL);
    cr_assert_eq(build(base), 0);
    cr_expect_str_eq(text(config_field("Entrypoint")), "[\"old\"]");
    cr_expect_str_eq(text(config_field("Cmd")), "[\"y\"]");
}

Test(image_config, variables_are_replaced_by_name)
{
    changes.env = list("A=2", "AB=3");
    cr_assert_eq(build("{\"config\":{\"Env\":[\"A=1\",\"B=1\"]}}"), 0);
    cr_expect_str_eq(text(config_field("Env")), "[\"A=2\",\"B=1\",\"AB=3\"]");
    json_decref(result);
    result = NULL;
    changes.env = list("A", NULL);
    cr_expect_eq(build(NULL), -EINVAL);
    changes.env = list("=x", NULL);
    cr_expect_eq(build(NULL), -EINVAL);
    changes.env = list("A=\xff", NULL);
    cr_expect_eq(build(NULL), -EINVAL);
    cr_expect(strstr(r.text, "UTF-8"));
}

Test(image_config, history_grows_with_the_layers)
{
    changes.history = list("made", NULL);
    cr_assert_eq(build("{\"rootfs\":{\"diff_ids\":[\"x\"]},\"history\":[{\"comment\":\"c\"}]}"), 0);
    cr_expect_eq(json_array_size(json_object_get(result, "history")), 2);
    cr_expect_eq(
        json_array_size(json_object_get(json_object_get(result, "rootfs"), "diff_ids")), 2);
    cr_expect_str_eq(json_string_value(json_object_get(
                         json_array_get(json_object_get(result, "history"), 1), "created_by")),
        "made");
}

Test(image_config, the_manifest_names_config_and_layers)
{
    struct oci_descriptor below = {.media_type = strdup(OCI_TYPE_DOCKER_LAYER),
        .json = json_pack("{s:s, s:i}", "mediaType", OCI_TYPE_DOCKER_LAYER, "size", 9)};
    struct oci_manifest base = {.layers = &below, .layer_count = 1};
    json_t *layers;

    changes.annotations = list("k=v=w", NULL);
    cr_assert_eq(
        image_manifest_build(&base, &changes, &layer.digest, 77, &layer, 1, &result, &r), 0);
    layers = json_object_get(result, "layers");
    cr_assert_eq(json_array_size(layers), 2);
    cr_expect_str_eq(
        text(json_array_get(layers, 0)), "{\"mediaType\":\"" OCI_TYPE_LAYER_GZIP "\",\"size\":9}");
    cr_expect(strstr(text(json_array_get(layers, 1)), OCI_TYPE_LAYER_ZSTD));
    cr_expect_str_eq(text(json_object_get(result, "annotations")), "{\"k\":\"v=w\"}");
    free(below.media_type);
    json_decref(below.json);
}

Test(image_config, times)
{
    char out[TIME_TEXT_MAX];

    cr_expect_eq(format_time(1600000000, out), 0);
    cr_expect_str_eq(out, "2020-09-13T12:26:40Z");
    cr_expect_eq(parse_time("@0", out), 0);
    cr_expect_str_eq(out, "1970-01-01T00:00:00Z");
    cr_expect_eq(parse_time("2021-02-03T04:05:06Z", out), 0);
    cr_expect_str_eq(out, "2021-02-03T04:05:06Z");
    cr_expect_eq(parse_time("2021-02-03T04:05:06.123456789+01:30", out), 0);
    cr_expect_eq(parse_time("now", out), 0);
    cr_expect_eq(parse_time("yesterday", out), -EINVAL);
    cr_expect_eq(parse_time("2021-02-03", out), -EINVAL);
    cr_expect_eq(parse_time("2021-02-03T04:05:06", out), -EINVAL);
    cr_expect_eq(parse_time("2021-02-03T04:05:06.Z", out), -EINVAL);
    cr_expect_eq(parse_time("2021-02-03T04:05:06+1:30", out), -EINVAL);
    cr_expect_eq(parse_time("2021-02-03T04:05:06Zx", out), -EINVAL);
    cr_expect_eq(parse_time("@", out), -EINVAL);
    cr_expect_eq(parse_time("@-1", out), -EINVAL);
}
