/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials in files and from helper programs. */
#include "oci/registry/auth_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "oci/json.h"
#include "oci/registry/auth_helper.h"
#include "oci/registry/base64.h"
#include "oci/util/io.h"

enum { AUTH_FILE_MAX = 1 << 20 };

void oci_credentials_deinit(struct oci_credentials *c)
{
    char **secrets[] = {&c->password, &c->identity_token};

    for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
        if (*secrets[i])
            explicit_bzero(*secrets[i], strlen(*secrets[i]));
        free(*secrets[i]);
    }
    free(c->user);
    *c = (struct oci_credentials){0};
}

/* ---- names ---- */

/* docker.io goes by several names. */
static const char *canonical_host(const char *host, size_t len)
{
    static const char *const names[] = {"docker.io", "index.docker.io", "registry-1.docker.io"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strlen(names[i]) == len && memcmp(names[i], host, len) == 0)
            return names[0];
    return NULL;
}

/* Entries of docker's config.json may be URLs: "https://host/v1/" means the host. free() it. */
static char *normalise_key(const char *key)
{
    const char *host = key;
    size_t len;
    char *name;

    if (strncmp(key, "https://", 8) == 0)
        host = key + 8;
    else if (strncmp(key, "http://", 7) == 0)
        host = key + 7;
    len = strcspn(host, "/");
    if (canonical_host(host, len) && (host != key || !host[len]))
        return strdup("docker.io");
    if (host != key)
        return strndup(host, len);
    name = strdup(key);
    for (len = name ? strlen(name) : 0; len > 0 && name[len - 1] == '/'; len--)
        name[len - 1] = '\0';
    return name;
}

/* Bytes of the key when it is `name` or a namespace around it, else 0. */
static size_t match_length(const char *key, const char *name)
{
    size_t len = strlen(key);

    if (len == 0 || strncmp(key, name, len) != 0 || (name[len] && name[len] != '/'))
        return 0;
    return len;
}

/* ---- entries ---- */

static int copy_field(const json_t *entry, const char *key, char **ret_value)
{
    const char *text = json_string_value(json_object_get(entry, key));

    if (!text || !text[0])
        return 0;
    *ret_value = strdup(text);
    return *ret_value ? 1 : -ENOMEM;
}

/* "auth": base64 of user:password. */
static int decode_auth(const char *auth, struct oci_credentials *c)
{
    struct buf b = {0};
    _cleanup_(freep) char *text = NULL;
    char *colon;
    int err = base64_decode(auth, &b);

    if (err == 0)
        text = buf_steal_str(&b);
    buf_deinit(&b);
    if (err < 0 || !text)
        return err < 0 ? err : -ENOMEM;
    colon = strchr(text, ':');
    if (!colon)
        return -EBADMSG;
    *colon = '\0';
    c->user = strdup(text);
    c->password = strdup(colon + 1);
    explicit_bzero(colon + 1, strlen(colon + 1));
    return c->user && c->password ? 0 : -ENOMEM;
}

static int read_entry(const json_t *entry, struct oci_credentials *c)
{
    const char *auth = json_string_value(json_object_get(entry, "auth"));
    int err = copy_field(entry, "identitytoken", &c->identity_token);

    if (err >= 0 && auth && auth[0])
        err = decode_auth(auth, c);
    else if (err >= 0)
        err = copy_field(entry, "username", &c->user);
    if (err >= 0 && !c->password)
        err = copy_field(entry, "password", &c->password);
    if (err < 0)
        return err;
    return c->identity_token || (c->user && c->password) ? 1 : 0;
}

static int find_entry(const json_t *auths, const char *name, const json_t **ret_entry)
{
    size_t best = 0;
    const char *key;
    json_t *entry;

    json_object_foreach((json_t *)(uintptr_t)auths, key, entry)
    {
        _cleanup_(freep) char *normal = normalise_key(key);
        size_t len;

        if (!normal)
            return -ENOMEM;
        len = match_length(normal, name);
        if (len > best) {
            best = len;
            *ret_entry = entry;
        }
    }
    return best > 0;
}

static int find_auth(const json_t *file, const char *name, const char *what,
    struct oci_credentials *c, struct report *r)
{
    const json_t *entry = NULL;
    int found = find_entry(json_object_get(file, "auths"), name, &entry);

    if (found > 0)
        found = read_entry(entry, c);
    if (found == -EBADMSG)
        return report_fail(r, found, "%s: the entry for %s is malformed", what, name);
    return found < 0 ? report_errno(r, found, "%s", what) : found;
}

/* ---- one file ---- */

static const char *helper_of(const json_t *file, const char *host)
{
    const json_t *helpers = json_object_get(file, "credHelpers");
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)helpers, key, value)
    {
        _cleanup_(freep) char *normal = normalise_key(key);

        if (normal && strcmp(normal, host) == 0 && json_string_length(value) > 0)
            return json_string_value(value);
    }
    return NULL;
}

static int find_in_json(const json_t *file, const char *what, const char *host, const char *name,
    struct oci_credentials *c, struct report *r)
{
    const char *server = strcmp(host, "docker.io") == 0 ? "https://index.docker.io/v1/" : host;
    const char *helper = helper_of(file, host);
    int found = helper ? auth_helper_get(helper, server, c, r) : 0;

    if (found == 0)
        found = find_auth(file, name, what, c, r);
    helper = json_string_value(json_object_get(file, "credsStore"));
    if (found == 0 && helper && helper[0])
        found = auth_helper_get(helper, server, c, r);
    return found;
}

int oci_credentials_find_in(const void *data, size_t size, const char *what, const char *host,
    const char *repository, struct oci_credentials *ret_credentials, struct report *r)
{
    const char *docker = canonical_host(host, strlen(host));
    _cleanup_(oci_credentials_deinit) struct oci_credentials c = {0};
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    char name[512];
    int found;

    if (size == 0)
        return 0;
    found = oci_json_load(data, size, what, &json, NULL); /* its text would quote the file */
    if (found < 0)
        return report_fail(r, found, "%s: no valid JSON", what);
    host = docker ? docker : host;
    (void)snprintf(name, sizeof(name), "%s/%s", host, repository);
    found = find_in_json(json, what, host, name, &c, r);
    if (found > 0) {
        *ret_credentials = c;
        c = (struct oci_credentials){0};
    }
    return found;
}

/* ---- all files ---- */

static int find_in_file(const char *path, bool must_exist, const char *host, const char *repository,
    struct oci_credentials *ret_credentials, struct report *r)
{
    struct buf b = {0};
    int found = io_read_file(AT_FDCWD, path, AUTH_FILE_MAX, &b);

    if ((found == -ENOENT || found == -ENOTDIR || found == -EACCES) && !must_exist)
        found = 0;
    else if (found < 0)
        found = report_errno(r, found, "%s", path);
    else
        found = oci_credentials_find_in(b.data, b.size, path, host, repository, ret_credentials, r);
    if (b.size > 0)
        explicit_bzero(b.data, b.size);
    buf_deinit(&b);
    return found;
}

/* Places below a directory that a variable names, or below another where it does not. */
static const struct {
    const char *variable, *below; /* $variable/below */
} places[] = {
    {"XDG_RUNTIME_DIR", "containers/auth.json"},
    {"XDG_CONFIG_HOME", "containers/auth.json"},
    {"HOME", ".config/containers/auth.json"},
    {"DOCKER_CONFIG", "config.json"},
    {"HOME", ".docker/config.json"},
};

int oci_credentials_find(const char *authfile, const char *host, const char *repository,
    struct oci_credentials *ret_credentials, struct report *r)
{
    const char *from_env = getenv("REGISTRY_AUTH_FILE");
    int found = 0;

    if (authfile)
        return find_in_file(authfile, true, host, repository, ret_credentials, r);
    if (from_env && from_env[0])
        return find_in_file(from_env, false, host, repository, ret_credentials, r);
    for (size_t i = 0; i < ARRAY_SIZE(places) && found == 0; i++) {
        const char *directory = getenv(places[i].variable);
        char path[4096];

        if (directory && directory[0] == '/')
            (void)snprintf(path, sizeof(path), "%s/%s", directory, places[i].below);
        else if (i == 0)
            (void)snprintf(path, sizeof(path), "/run/containers/%u/auth.json", geteuid());
        else
            continue;
        found = find_in_file(path, false, host, repository, ret_credentials, r);
    }
    return found;
}
