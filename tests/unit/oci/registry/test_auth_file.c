/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/registry/auth_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* The user that is found, "-" for none, "!" for an error; free() it. */
static char *find(const char *json, const char *host, const char *repository)
{
    struct oci_credentials c = {0};
    struct report r = REPORT_INIT;
    int found = oci_credentials_find_in(json, strlen(json), "auth.json", host, repository, &c, &r);
    char *user = strdup(found < 0 ? "!" : found == 0 ? "-" : c.user ? c.user : c.identity_token);

    cr_assert_eq(found < 0, report_is_set(&r));
    cr_assert_null(strstr(r.text, "secret"), "%s", r.text);
    oci_credentials_deinit(&c);
    return user;
}

static void check(const char *json, const char *host, const char *repository, const char *want)
{
    char *user = find(json, host, repository);

    cr_assert_str_eq(user, want, "%s/%s in %s: %s", host, repository, json, user);
    free(user);
}

/* base64: a:secret b:secret c:secret d:secret */
#define A "{\"auth\":\"YTpzZWNyZXQ=\"}"
#define B "{\"auth\":\"YjpzZWNyZXQ=\"}"
#define C "{\"auth\":\"YzpzZWNyZXQ=\"}"
#define D "{\"auth\":\"ZDpzZWNyZXQ=\"}"

Test(auth_file, longest_namespace_wins)
{
    static const char json[] = "{\"auths\":{\"h.example\":" A ",\"h.example/x\":" B
                               ",\"h.example/x/y\":" C ",\"h.example:5000\":" D "}}";

    check(json, "h.example", "other/image", "a");
    check(json, "h.example", "x/image", "b");
    check(json, "h.example", "x/y", "c");
    check(json, "h.example", "x/y/z", "c");
    check(json, "h.example", "x/yy", "b");
    check(json, "h.example", "xx/y", "a");
    check(json, "h.example:5000", "x/y", "d");
    check(json, "h.example:6000", "x/y", "-");
    check(json, "sub.h.example", "x/y", "-");
}

Test(auth_file, docker_io_has_several_names)
{
    check("{\"auths\":{\"https://index.docker.io/v1/\":" A "}}", "docker.io", "library/x", "a");
    check("{\"auths\":{\"docker.io\":" A "}}", "docker.io", "library/x", "a");
    check("{\"auths\":{\"docker.io/me\":" B ",\"docker.io\":" A "}}", "docker.io", "me/x", "b");
    check("{\"auths\":{\"https://h.example/v2/\":" A "}}", "h.example", "x", "a");
}

Test(auth_file, kinds_of_entries)
{
    check("{\"auths\":{\"h\":{\"username\":\"u\",\"password\":\"secret\"}}}", "h", "x", "u");
    check("{\"auths\":{\"h\":{\"identitytoken\":\"t\",\"auth\":\"\"}}}", "h", "x", "t");
    check("{\"auths\":{\"h\":{}}}", "h", "x", "-");
    check("{\"auths\":null}", "h", "x", "-");
    check("{}", "h", "x", "-");
    check("", "h", "x", "-");
}

Test(auth_file, broken)
{
    check("{\"auths\":{\"h\":{\"auth\":\"no base64: secret\"}}}", "h", "x", "!");
    check("{\"auths\":{\"h\":{\"auth\":\"bm9jb2xvbg==\"}}}", "h", "x", "!");
    check("{secret", "h", "x", "!");
    check("{\"credHelpers\":{\"h\":\"../bin/sh\"}}", "h", "x", "!");
    check("{\"credHelpers\":{\"h\":\"there-is-no-such-program\"}}", "h", "x", "!");
    check("{\"credHelpers\":{\"other\":\"there-is-no-such-program\"}}", "h", "x", "-");
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

Test(auth_file, an_authfile_that_was_asked_for_must_be_there)
{
    struct oci_credentials c = {0};
    struct report r = REPORT_INIT;

    cr_assert_eq(oci_credentials_find("/nowhere/auth.json", "h", "x", &c, &r), -ENOENT);
    cr_assert(strstr(r.text, "/nowhere/auth.json"));
    (void)setenv("REGISTRY_AUTH_FILE", "/nowhere/auth.json", 1);
    cr_assert_eq(oci_credentials_find(NULL, "h", "x", &c, &r), 0);
}

Test(auth_file, order_of_places)
{
    char dir[] = "/tmp/layerfs-auth-XXXXXX", path[128];
    struct oci_credentials c = {0};

    cr_assert(mkdtemp(dir));
    (void)unsetenv("REGISTRY_AUTH_FILE");
    (void)setenv("HOME", dir, 1);
    (void)setenv("XDG_RUNTIME_DIR", dir, 1);
    (void)setenv("XDG_CONFIG_HOME", "/nowhere", 1);
    (void)setenv("DOCKER_CONFIG", dir, 1);
    (void)snprintf(path, sizeof(path), "%s/config.json", dir);
    write_file(path, "{\"auths\":{\"h\":" B "}}");
    cr_assert_eq(oci_credentials_find(NULL, "h", "x", &c, NULL), 1);
    cr_assert_str_eq(c.user, "b");
    cr_assert_str_eq(c.password, "secret");
    oci_credentials_deinit(&c);
    (void)unlink(path);
    (void)rmdir(dir);
    cr_assert_eq(oci_credentials_find(NULL, "h", "x", &c, NULL), 0);
}
