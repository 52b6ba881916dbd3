/* SPDX-License-Identifier: Apache-2.0 */
/* registries.conf: looking things up. The configuration is kept as the JSON that its files become:
 *
 *     {"unqualified-search-registries": [host…], "aliases": {name: reference…},
 *      "registry": [{"prefix", "location", "insecure", "blocked", "mirror-by-digest-only",
 *                    "mirror": [{"location", "insecure", "pull-from-mirror"}…]}…]}
 */
#include "oci/registry/registries.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "oci/json.h"
#include "oci/registry/toml.h"
#include "oci/util/io.h"

enum { CONF_FILE_MAX = 1 << 20, CONF_PATH_MAX = 4096 };

struct oci_registries {
    json_t *conf;
};

static const char search_key[] = "unqualified-search-registries";

/* ---- merging files ---- */

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Without a prefix an entry is for its location. */
static const char *prefix_of(const json_t *entry)
{
    const char *prefix = text_of(entry, "prefix");

    return prefix && prefix[0] ? prefix : text_of(entry, "location");
}

static int check_entry(const json_t *entry, const char *what, struct report *r)
{
    const char *prefix = prefix_of(entry);
    const json_t *mirrors = json_object_get(entry, "mirror");

    if (!json_is_object(entry) || !prefix || !prefix[0])
        return report_fail(r, -EBADMSG, "%s: a [[registry]] without prefix and location", what);
    if (!text_of(entry, "location") && strncmp(prefix, "*.", 2) != 0)
        return report_fail(r, -EBADMSG, "%s: registry %s has no location", what, prefix);
    for (size_t i = 0; i < json_array_size(mirrors); i++)
        if (!text_of(json_array_get(mirrors, i), "location"))
            return report_fail(r, -EBADMSG, "%s: a mirror of %s has no location", what, prefix);
    return 0;
}

static int merge_entry(json_t *entries, json_t *entry)
{
    for (size_t i = json_array_size(entries); i-- > 0;)
        if (strcmp(prefix_of(json_array_get(entries, i)), prefix_of(entry)) == 0)
            (void)json_array_remove(entries, i);
    return json_array_append(entries, entry) < 0 ? -ENOMEM : 0;
}

static int merge_entries(
    struct oci_registries *registries, const json_t *file, const char *what, struct report *r)
{
    json_t *entries = json_object_get(registries->conf, "registry");
    const json_t *list = json_object_get(file, "registry");

    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *entry = json_array_get(list, i);
        int err = check_entry(entry, what, r);

        if (err == 0)
            err = merge_entry(entries, entry);
        if (err < 0)
            return err;
    }
    return 0;
}

int oci_registries_add(struct oci_registries *registries, const char *text, size_t size,
    const char *what, struct report *r)
{
    _cleanup_(oci_json_unrefp) json_t *file = NULL;
    char error[TOML_ERROR_MAX] = "";
    json_t *search, *aliases;
    int err = toml_to_json(text, size, &file, error);

    if (err < 0)
        return err == -EBADMSG ? report_fail(r, err, "%s: %s", what, error)
                               : report_errno(r, err, "%s", what);
    if (json_is_object(json_object_get(file, "registries")))
        return report_fail(r, -EBADMSG, "%s: version 1 of registries.conf is not supported", what);
    search = json_object_get(file, search_key);
    aliases = json_object_get(file, "aliases");
    if (json_is_array(search) && json_object_set(registries->conf, search_key, search) < 0)
        err = -ENOMEM;
    if (json_is_object(aliases) &&
        json_object_update(json_object_get(registries->conf, "aliases"), aliases) < 0)
        err = -ENOMEM;
    if (err < 0)
        return report_errno(r, err, "%s", what);
    return merge_entries(registries, file, what, r);
}

/* ---- reading files ---- */

int oci_registries_new(struct oci_registries **ret_registries)
{
    struct oci_registries *registries = calloc(1, sizeof(*registries));

    if (registries)
        registries->conf = json_pack("{s:[], s:{}, s:[]}", search_key, "aliases", "registry");
    if (!registries || !registries->conf) {
        free(registries);
        return -ENOMEM;
    }
    *ret_registries = registries;
    return 0;
}

struct oci_registries *oci_registries_free(struct oci_registries *registries)
{
    if (registries) {
        json_decref(registries->conf);
        free(registries);
    }
    return NULL;
}

/* 1 when the file was read, 0 when there is none. */
static int add_file(struct oci_registries *registries, const char *path, struct report *r)
{
    struct buf b = {0};
    int err = io_read_file(AT_FDCWD, path, CONF_FILE_MAX, &b);

    if (err == -ENOENT || err == -ENOTDIR)
        return 0;
    if (err < 0)
        return report_errno(r, err, "%s", path);
    err = oci_registries_add(registries, (const char *)b.data, b.size, path, r);
    buf_deinit(&b);
    return err < 0 ? err : 1;
}

static int is_conf(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

static int add_directory(struct oci_registries *registries, const char *path, struct report *r)
{
    struct dirent **names;
    int count = scandir(path, &names, is_conf, alphasort);
    int err = 0;

    if (count < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : report_errno(r, neg_errno(), "%s", path);
    for (int i = 0; i < count; i++) {
        char file[CONF_PATH_MAX];

        (void)snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
        if (err >= 0)
            err = add_file(registries, file, r);
        free(names[i]);
    }
    free(names);
    return err < 0 ? err : 0;
}

static int add_usual(struct oci_registries *registries, struct report *r)
{
    const char *home = getenv("HOME");
    char file[CONF_PATH_MAX] = "", directory[CONF_PATH_MAX] = "";
    int err = 0;

    if (home && home[0] == '/') {
        (void)snprintf(file, sizeof(file), "%s/.config/containers/registries.conf", home);
        (void)snprintf(
            directory, sizeof(directory), "%s/.config/containers/registries.conf.d", home);
        err = add_file(registries, file, r);
    }
    if (err == 0)
        err = add_file(registries, "/etc/containers/registries.conf", r);
    if (err >= 0)
        err = add_directory(registries, "/etc/containers/registries.conf.d", r);
    if (err >= 0 && directory[0])
        err = add_directory(registries, directory, r);
    return err;
}

int oci_registries_load(const char *path, struct oci_registries **ret_registries, struct report *r)
{
    _cleanup_(oci_registries_freep) struct oci_registries *registries = NULL;
    int err = oci_registries_new(&registries);

    if (err < 0)
        return report_errno(r, err, "registries.conf");
    if (!path)
        path = getenv("CONTAINERS_REGISTRIES_CONF");
    if (path && path[0]) {
        err = add_file(registries, path, r);
        if (err == 0)
            return report_errno(r, -ENOENT, "%s", path);
    } else {
        err = add_usual(registries, r);
    }
    if (err < 0)
        return err;
    *ret_registries = TAKE_PTR(registries);
    return 0;
}

/* ---- short names ---- */

void oci_references_free(struct oci_reference *references, size_t count)
{
    for (size_t i = 0; i < count; i++)
        oci_reference_deinit(&references[i]);
    free(references);
}

/* Bytes of the name before tag and digest. */
static size_t name_length(const char *reference)
{
    size_t len = strcspn(reference, "@");
    const char *colon = memrchr(reference, ':', len);

    return colon && !memchr(colon, '/', len - (size_t)(colon - reference))
               ? (size_t)(colon - reference)
               : len;
}

static const char *alias_of(const json_t *conf, const char *short_name)
{
    _cleanup_(freep) char *name = strndup(short_name, name_length(short_name));

    return name ? text_of(json_object_get(conf, "aliases"), name) : NULL;
}

static int parse_candidate(
    const char *front, const char *rest, struct oci_reference *ret_reference, struct report *r)
{
    char text[1024];

    if (snprintf(text, sizeof(text), "%s%s", front, rest) >= (int)sizeof(text))
        return report_fail(r, -EINVAL, "image name \"%s\": too long", rest);
    return oci_reference_parse(text, ret_reference, r);
}

int oci_registries_candidates(const struct oci_registries *registries, const char *short_name,
    struct oci_reference **ret_references, size_t *ret_count, struct report *r)
{
    const char *alias = alias_of(registries->conf, short_name);
    const json_t *search = json_object_get(registries->conf, search_key);
    size_t count = alias ? 0 : json_array_size(search), done = 0;
    struct oci_reference *list = calloc(count + 1, sizeof(*list));
    int err = 0;

    if (!list)
        return report_errno(r, -ENOMEM, "image name");
    if (count == 0) {
        err = parse_candidate(
            alias ? alias : "", short_name + (alias ? name_length(short_name) : 0), &list[0], r);
        done = 1;
    }
    for (; done < count && err == 0; done++) {
        const char *host = json_string_value(json_array_get(search, done));
        char front[300];

        if (!host || snprintf(front, sizeof(front), "%s/", host) >= (int)sizeof(front))
            err = report_fail(r, -EBADMSG, "registries.conf: malformed %s", search_key);
        else
            err = parse_candidate(front, short_name, &list[done], r);
    }
    if (err < 0) {
        oci_references_free(list, done);
        return err;
    }
    *ret_references = list;
    *ret_count = done;
    return 0;
}

/* ---- endpoints ---- */

void oci_endpoints_free(struct oci_endpoint *endpoints, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(endpoints[i].host);
        free(endpoints[i].repository);
    }
    free(endpoints);
}

/* Bytes of name that a prefix covers; 0: none. "*.example.com" covers hosts below example.com. */
static size_t covered(const char *prefix, const char *name)
{
    size_t len = strlen(prefix), host = strcspn(name, "/");

    if (strncmp(prefix, "*.", 2) == 0) {
        size_t tail = len - 1;

        return host > tail && memcmp(name + host - tail, prefix + 1, tail) == 0 ? host : 0;
    }
    if (strncmp(name, prefix, len) != 0 || (name[len] && !strchr("/:@", name[len])))
        return 0;
    return len;
}

/* The entry with the longest prefix; borrowed, NULL: none. */
static const json_t *find_entry(const json_t *conf, const char *name, size_t *ret_covered)
{
    const json_t *entries = json_object_get(conf, "registry"), *best = NULL;
    size_t longest = 0;

    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        size_t len = strlen(prefix_of(entry)), part = covered(prefix_of(entry), name);

        if (part > 0 && len > longest) {
            best = entry;
            longest = len;
            *ret_covered = part;
        }
    }
    return best;
}

/* location + rest, split at its first slash. */
static int set_endpoint(struct oci_endpoint *endpoint, const char *location, const char *rest,
    const json_t *insecure, struct report *r)
{
    char whole[1024];
    const char *slash;

    if (snprintf(whole, sizeof(whole), "%s%s", location, rest) >= (int)sizeof(whole))
        return report_fail(r, -EINVAL, "registries.conf: location %s: too long", location);
    slash = strchr(whole, '/');
    if (!slash || slash == whole || !slash[1])
        return report_fail(
            r, -EBADMSG, "registries.conf: location %s: no repository in %s", location, whole);
    endpoint->host = strndup(whole, (size_t)(slash - whole));
    endpoint->repository = strdup(slash + 1);
    endpoint->insecure = json_is_true(insecure);
    return endpoint->host && endpoint->repository ? 0 : report_errno(r, -ENOMEM, "endpoint");
}

/* Mirrors may be for digests only, or for tags only. */
static bool mirror_serves(const json_t *entry, const json_t *mirror, bool by_digest)
{
    const char *pull = text_of(mirror, "pull-from-mirror");

    if (json_is_true(json_object_get(entry, "mirror-by-digest-only")))
        return by_digest;
    if (!pull || strcmp(pull, "all") == 0)
        return true;
    return strcmp(pull, by_digest ? "digest-only" : "tag-only") == 0;
}

static int add_mirrors(const json_t *entry, const char *rest, bool by_digest,
    struct oci_endpoint *endpoints, size_t *count, struct report *r)
{
    const json_t *mirrors = json_object_get(entry, "mirror");
    int err = 0;

    for (size_t i = 0; i < json_array_size(mirrors) && err == 0; i++) {
        const json_t *mirror = json_array_get(mirrors, i);

        if (mirror_serves(entry, mirror, by_digest))
            err = set_endpoint(&endpoints[(*count)++], text_of(mirror, "location"), rest,
                json_object_get(mirror, "insecure"), r);
    }
    return err;
}

int oci_registries_endpoints(const struct oci_registries *registries,
    const struct oci_reference *reference, struct oci_endpoint **ret_endpoints, size_t *ret_count,
    struct report *r)
{
    char name[512];
    size_t part = 0, count = 0;
    const json_t *entry;
    const char *location;
    struct oci_endpoint *list;
    int err;

    (void)snprintf(name, sizeof(name), "%s/%s", reference->registry, reference->repository);
    entry = find_entry(registries->conf, name, &part);
    if (json_is_true(json_object_get(entry, "blocked")))
        return report_fail(
            r, -EPERM, "registry %s is blocked in registries.conf", prefix_of(entry));
    list = calloc(json_array_size(json_object_get(entry, "mirror")) + 1, sizeof(*list));
    if (!list)
        return report_errno(r, -ENOMEM, "endpoints");
    err =
        add_mirrors(entry, name + part, reference->digest.alg != OCI_DIGEST_NONE, list, &count, r);
    location = text_of(entry, "location");
    if (err == 0)
        err = set_endpoint(&list[count++], location ? location : "", location ? name + part : name,
            json_object_get(entry, "insecure"), r);
    if (err < 0) {
        oci_endpoints_free(list, count);
        return err;
    }
    *ret_endpoints = list;
    *ret_count = count;
    return 0;
}
