/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "tools/runtime_spec.h"

static struct process_user user;
static struct oci_config image;
static struct spec_request request;
static json_t *spec;
static struct report r;

static void set_up(void)
{
    user = (struct process_user){.uid = 0, .gid = 0};
    image = (struct oci_config){.platform = {.os = "linux", .architecture = "amd64"}};
    request = (struct spec_request){.image = &image, .user = &user, .readonly = true};
    r = REPORT_INIT;
}

static void tear_down(void)
{
    json_decref(spec);
    json_decref(image.json);
}

TestSuite(runtime_spec, .init = set_up, .fini = tear_down);

static int build(const char *config)
{
    json_decref(image.json);
    json_decref(spec);
    spec = NULL;
    image.json = json_loads(config, 0, NULL);
    cr_assert_not_null(image.json);
    return runtime_spec_build(&request, &spec, &r);
}

/* The value at a path of keys and positions, "process/args/0", as compact JSON. */
static const char *at(const char *path)
{
    static char text[4096];
    char copy[256], *save;
    json_t *value = spec;

    strcpy(copy, path);
    for (char *key = strtok_r(copy, "/", &save); key; key = strtok_r(NULL, "/", &save))
        value = json_is_array(value) ? json_array_get(value, (size_t)atoi(key))
                                     : json_object_get(value, key);
    if (!value)
        return "(none)";
    text[json_dumpb(value, text, sizeof(text) - 1, JSON_COMPACT | JSON_ENCODE_ANY)] = '\0';
    return text;
}

Test(runtime_spec, the_image_s_process)
{
    cr_assert_eq(build("{\"config\":{\"Entrypoint\":[\"/run\"],\"Cmd\":[\"a\",\"b\"],"
                       "\"Env\":[\"A=1\",\"PATH=/x\"],\"WorkingDir\":\"/w\"}}"),
        0, "%s", r.text);
    cr_expect_str_eq(at("process/args"), "[\"/run\",\"a\",\"b\"]");
    cr_expect_str_eq(at("process/env"), "[\"A=1\",\"PATH=/x\",\"HOME=/\"]");
    cr_expect_str_eq(at("process/cwd"), "\"/w\"");
    cr_expect_str_eq(at("process/terminal"), "false");
    cr_expect_str_eq(at("process/rlimits"), "(none)");
    cr_expect_str_eq(at("root"), "{\"path\":\"rootfs\",\"readonly\":true}");
    cr_expect_str_eq(at("ociVersion"), "\"1.0.2\"");
}

Test(runtime_spec, arguments_replace_the_command_only)
{
    char one[] = "one", *args[] = {one};

    request.args = args;
    request.arg_count = 1;
    cr_assert_eq(build("{\"config\":{\"Entrypoint\":[\"/run\"],\"Cmd\":[\"a\"]}}"), 0);
    cr_expect_str_eq(at("process/args"), "[\"/run\",\"one\"]");
    cr_assert_eq(build("{}"), 0);
    cr_expect_str_eq(at("process/args"), "[\"one\"]");
    cr_expect_str_eq(at("process/cwd"), "\"/\"");
    cr_expect(strstr(at("process/env"), "PATH=/usr/local/sbin"));
}

Test(runtime_spec, a_user_has_groups_home_and_no_capabilities)
{
    uint32_t groups[] = {5, 4000000000};
    char home[] = "/home/u";

    user =
        (struct process_user){.uid = 7, .gid = 8, .groups = groups, .group_count = 2, .home = home};
    cr_assert_eq(build("{\"config\":{\"Cmd\":[\"a\"],\"Env\":null}}"), 0);
    cr_expect_str_eq(at("process/user"), "{\"uid\":7,\"gid\":8,\"additionalGids\":[5,4000000000]}");
    cr_expect_str_eq(at("process/env/1"), "\"HOME=/home/u\"");
    cr_expect_str_eq(at("process/capabilities/effective"), "[]");
    cr_expect_str_neq(at("process/capabilities/bounding"), "[]");
}

Test(runtime_spec, networks)
{
    cr_assert_eq(build("{\"config\":{\"Cmd\":[\"a\"]}}"), 0);
    cr_expect(strstr(at("linux/namespaces"), "network"));
    request.host_network = true;
    cr_assert_eq(build("{\"config\":{\"Cmd\":[\"a\"]}}"), 0);
    cr_expect_null(strstr(at("linux/namespaces"), "network"));
}

Test(runtime_spec, without_root_there_is_a_user_namespace)
{
    request.rootless = true;
    cr_assert_eq(build("{\"config\":{\"Cmd\":[\"a\"]}}"), 0);
    cr_expect(strstr(at("linux/namespaces"), "\"user\""));
    cr_expect_str_neq(at("linux/uidMappings/0"), "(none)");
    cr_expect_str_eq(at("linux/resources"), "(none)");
    cr_expect_null(strstr(at("mounts"), "cgroup"));
}

Test(runtime_spec, labels_become_annotations)
{
    cr_assert_eq(build("{\"config\":{\"Cmd\":[\"a\"],\"Labels\":{\"k\":\"v\",\"bad\":1},"
                       "\"StopSignal\":\"SIGINT\"}}"),
        0);
    cr_expect_str_eq(at("annotations/k"), "\"v\"");
    cr_expect_str_eq(at("annotations/bad"), "(none)");
    cr_expect_str_eq(at("annotations/org.opencontainers.image.stopSignal"), "\"SIGINT\"");
    cr_expect_str_eq(at("annotations/org.opencontainers.image.os"), "\"linux\"");
}

Test(runtime_spec, bad_configs_are_refused)
{
    cr_expect_eq(build("{}"), -EINVAL);
    cr_expect(strstr(r.text, "no command"));
    cr_expect_eq(build("{\"config\":{\"Cmd\":\"sh\"}}"), -EBADMSG);
    cr_expect_eq(build("{\"config\":{\"Cmd\":[1]}}"), -EBADMSG);
    cr_expect_eq(build("{\"config\":{\"Cmd\":[\"a\"],\"Env\":{}}}"), -EBADMSG);
    cr_expect_eq(build("{\"config\":{\"Cmd\":[\"a\"],\"WorkingDir\":\"w\"}}"), -EBADMSG);
    cr_expect_null(spec);
}
