/* SPDX-License-Identifier: Apache-2.0 */
/* Names of images.
 *
 *     reference   ::= name [":" tag] ["@" digest]           name ::= [host "/"] path
 *     host        ::= (label ("." label)* | "[" IPv6 "]") [":" port]
 *     path        ::= component ("/" component)*
 *     component   ::= [a-z0-9]+ (("." | "_" | "__" | "-"+) [a-z0-9]+)*
 *     tag         ::= [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127}
 *
 * The first part is a host when it could not be a path component of docker.io: it holds "." or ":"
 * or an upper-case letter, or is "localhost". */
#include "oci/reference.h"

#include <ctype.h>
#include <string.h>

#include "oci/util/buf.h"

enum { NAME_MAX_BYTES = 255, TAG_MAX_BYTES = 128 };

static const char docker_prefix[] = "docker://";

/* The C locale's classes, whatever the program's locale is. */
static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_alnum(char c)
{
    return is_lower_or_digit(c) || is_upper(c);
}

static bool is_digits(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return len > 0;
}

static bool is_lower_hex(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!(s[i] >= '0' && s[i] <= '9') && !(s[i] >= 'a' && s[i] <= 'f'))
            return false;
    return true;
}

/* Bytes of the separator at s that may stand inside a path component, 0 when it is none. */
static size_t separator_length(const char *s, size_t len)
{
    size_t n = 0;

    if (s[0] == '.')
        return 1;
    if (s[0] == '_')
        return len > 1 && s[1] == '_' ? 2 : 1;
    while (n < len && s[n] == '-')
        n++;
    return n;
}

static bool is_component(const char *s, size_t len)
{
    size_t i = 0;

    for (;;) {
        size_t start = i, separator;

        while (i < len && is_lower_or_digit(s[i]))
            i++;
        if (i == start)
            return false;
        if (i == len)
            return true;
        separator = separator_length(s + i, len - i);
        if (separator == 0)
            return false;
        i += separator;
    }
}

static bool is_path(const char *s, size_t len)
{
    for (;;) {
        const char *slash = memchr(s, '/', len);
        size_t part = slash ? (size_t)(slash - s) : len;

        if (!is_component(s, part))
            return false;
        if (!slash)
            return true;
        s += part + 1;
        len -= part + 1;
    }
}

static bool is_label(const char *s, size_t len)
{
    if (len == 0 || s[0] == '-' || s[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(s[i]) && s[i] != '-')
            return false;
    return true;
}

static bool is_host_name(const char *s, size_t len)
{
    for (;;) {
        const char *dot = memchr(s, '.', len);
        size_t part = dot ? (size_t)(dot - s) : len;

        if (!is_label(s, part))
            return false;
        if (!dot)
            return true;
        s += part + 1;
        len -= part + 1;
    }
}

static bool is_ipv6(const char *s, size_t len)
{
    if (len < 3 || s[0] != '[' || s[len - 1] != ']')
        return false;
    for (size_t i = 1; i < len - 1; i++)
        if (!isxdigit((unsigned char)s[i]) && s[i] != ':')
            return false;
    return true;
}

static bool is_host(const char *s, size_t len)
{
    const char *bracket = memrchr(s, ']', len);
    const char *after = bracket ? bracket + 1 : s;
    const char *colon = memchr(after, ':', len - (size_t)(after - s));
    size_t host_len = colon ? (size_t)(colon - s) : len;

    if (colon && !is_digits(colon + 1, len - host_len - 1))
        return false;
    return bracket ? is_ipv6(s, host_len) : is_host_name(s, host_len);
}

static bool is_tag(const char *s, size_t len)
{
    if (len == 0 || len > TAG_MAX_BYTES || s[0] == '.' || s[0] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(s[i]) && !strchr("_.-", s[i]))
            return false;
    return true;
}

/* True when the part before the first slash names a host. */
static bool looks_like_host(const char *s, size_t len)
{
    if (len == 9 && memcmp(s, "localhost", 9) == 0)
        return true;
    for (size_t i = 0; i < len; i++)
        if (s[i] == '.' || s[i] == ':' || is_upper(s[i]))
            return true;
    return false;
}

static int set_string(char **field, const char *s, size_t len)
{
    char *copy = strndup(s, len);

    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

void oci_reference_deinit(struct oci_reference *ref)
{
    free(ref->registry);
    free(ref->repository);
    free(ref->tag);
    *ref = (struct oci_reference){0};
}

/* "docker.io" has a second name and puts official images below library/. */
static int set_docker_io(struct oci_reference *ref, const char *path, size_t len)
{
    _cleanup_(buf_deinit) struct buf full = {0};
    int r = set_string(&ref->registry, "docker.io", 9);

    if (r == 0 && !memchr(path, '/', len))
        r = buf_append_str(&full, "library/");
    if (r == 0)
        r = buf_append(&full, path, len);
    return r < 0 ? r : set_string(&ref->repository, (const char *)full.data, full.size);
}

static bool is_docker_io(const char *host, size_t len)
{
    return (len == 9 && memcmp(host, "docker.io", 9) == 0) ||
           (len == 15 && memcmp(host, "index.docker.io", 15) == 0);
}

/* Splits [host/]path. */
static int parse_name(struct oci_reference *ref, const char *s, size_t len)
{
    const char *slash = memchr(s, '/', len);
    size_t host_len = slash ? (size_t)(slash - s) : 0;
    const char *path = s;
    int r;

    if (slash && looks_like_host(s, host_len)) {
        if (!is_host(s, host_len))
            return -EINVAL;
        path = slash + 1;
    } else {
        host_len = 0;
    }
    if (!is_path(path, len - (size_t)(path - s)))
        return -EINVAL;
    if (host_len == 0 || is_docker_io(s, host_len))
        return set_docker_io(ref, path, len - (size_t)(path - s));
    r = set_string(&ref->registry, s, host_len);
    return r < 0 ? r : set_string(&ref->repository, path, len - (size_t)(path - s));
}

static size_t name_length(const struct oci_reference *ref)
{
    return strlen(ref->registry) + 1 + strlen(ref->repository);
}

static int fail_at(struct report *r, int err, const char *whole, const char *why)
{
    if (err == -ENOMEM)
        return report_errno(r, err, "image name");
    return report_fail(r, err, "image name \"%s\": %s", whole, why);
}

/* Takes "@digest" off the end of s[0..*len). */
static int parse_digest_part(struct oci_reference *ref, const char *s, size_t *len)
{
    const char *at = memchr(s, '@', *len);
    int r;

    if (!at)
        return 0;
    r = oci_digest_parse(at + 1, &ref->digest);
    *len = (size_t)(at - s);
    return r;
}

/* Takes ":tag" off the end of s[0..*len): a colon after the last slash. */
static int parse_tag_part(struct oci_reference *ref, const char *s, size_t *len)
{
    const char *slash = memrchr(s, '/', *len);
    const char *from = slash ? slash + 1 : s;
    const char *colon = memchr(from, ':', *len - (size_t)(from - s));
    size_t tag_len;

    if (!colon)
        return ref->digest.alg == OCI_DIGEST_NONE ? set_string(&ref->tag, "latest", 6) : 0;
    tag_len = *len - (size_t)(colon - s) - 1;
    if (!is_tag(colon + 1, tag_len))
        return -EINVAL;
    *len = (size_t)(colon - s);
    return set_string(&ref->tag, colon + 1, tag_len);
}

static int parse_parts(struct oci_reference *ref, const char *s, struct report *report)
{
    size_t len = strlen(s);
    int r;

    r = parse_digest_part(ref, s, &len);
    if (r == -EOPNOTSUPP)
        return fail_at(report, -EINVAL, s, "the digest's algorithm is not supported");
    if (r < 0)
        return fail_at(report, r, s, "malformed digest");
    r = parse_tag_part(ref, s, &len);
    if (r < 0)
        return fail_at(report, r, s, "malformed tag");
    if (len == 64 && is_lower_hex(s, len))
        return fail_at(report, -EINVAL, s, "64 hex digits are an id, not a name");
    r = parse_name(ref, s, len);
    if (r < 0)
        return fail_at(report, r, s, "malformed (want [HOST[:PORT]/]PATH[:TAG][@DIGEST])");
    if (name_length(ref) > NAME_MAX_BYTES)
        return fail_at(report, -EINVAL, s, "longer than 255 bytes");
    return 0;
}

int oci_reference_parse(const char *s, struct oci_reference *ret_ref, struct report *r)
{
    struct oci_reference ref = {0};
    int err;

    if (strncmp(s, docker_prefix, strlen(docker_prefix)) == 0)
        s += strlen(docker_prefix);
    err = parse_parts(&ref, s, r);
    if (err < 0) {
        oci_reference_deinit(&ref);
        return err;
    }
    *ret_ref = ref;
    return 0;
}

char *oci_reference_format(const struct oci_reference *ref)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    char digest[OCI_DIGEST_STR_MAX];

    if (buf_printf(&b, "%s/%s", ref->registry, ref->repository) < 0)
        return NULL;
    if (ref->tag && buf_printf(&b, ":%s", ref->tag) < 0)
        return NULL;
    if (ref->digest.alg != OCI_DIGEST_NONE &&
        buf_printf(&b, "@%s", oci_digest_format(&ref->digest, digest)) < 0)
        return NULL;
    return buf_steal_str(&b);
}

bool oci_tag_is_valid(const char *tag)
{
    size_t len = strnlen(tag, 256);

    if (len == 0 || len > 255 || !is_alnum(tag[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(tag[i]) && !strchr("._:@/+-", tag[i]))
            return false;
    return true;
}

/* What may follow the path of a transport. */
static bool tag_is_name(const char *name)
{
    return oci_tag_is_valid(name);
}

/* A reference, or "@N": the archive's image number N, from 0. */
static bool docker_archive_is_name(const char *name)
{
    struct oci_reference ref;

    if (name[0] == '@')
        return is_digits(name + 1, strlen(name + 1));
    if (oci_reference_parse(name, &ref, NULL) < 0)
        return false;
    oci_reference_deinit(&ref);
    return true;
}

static const struct {
    const char *prefix;
    enum oci_transport transport;
    bool (*is_name)(const char *name);
} file_transports[] = {
    {"oci:", OCI_TRANSPORT_OCI, tag_is_name},
    {"oci-archive:", OCI_TRANSPORT_OCI_ARCHIVE, tag_is_name},
    {"docker-archive:", OCI_TRANSPORT_DOCKER_ARCHIVE, docker_archive_is_name},
};

void oci_location_deinit(struct oci_location *location)
{
    free(location->path);
    free(location->name);
    free(location->short_name);
    *location = (struct oci_location){0};
}

/* PATH[:NAME]; the first colon ends the path, as in the other tools. */
static int split_path(const char *s, struct oci_location *location)
{
    size_t len = strcspn(s, ":");
    int r = set_string(&location->path, s, len);

    if (r == 0 && s[len] == ':')
        r = set_string(&location->name, s + len + 1, strlen(s + len + 1));
    return r;
}

static int parse_file_location(
    const char *s, size_t row, struct oci_location *ret_location, struct report *report)
{
    struct oci_location location = {.transport = file_transports[row].transport};
    int r = split_path(s + strlen(file_transports[row].prefix), &location);

    if (r < 0)
        r = report_errno(report, r, "image location");
    else if (!location.path[0])
        r = report_fail(report, -EINVAL, "image location \"%s\": the path is missing", s);
    else if (location.name && !file_transports[row].is_name(location.name))
        r = report_fail(
            report, -EINVAL, "image location \"%s\": malformed name behind the path", s);
    if (r < 0)
        oci_location_deinit(&location);
    else
        *ret_location = location;
    return r;
}

/* True when a reference begins with a registry's name. */
static bool names_registry(const char *s)
{
    const char *slash = strchr(s, '/');

    return slash && looks_like_host(s, (size_t)(slash - s));
}

static int parse_registry_location(
    const char *s, struct oci_location *ret_location, struct report *report)
{
    struct oci_location location = {.transport = OCI_TRANSPORT_DOCKER};
    struct oci_reference ref;
    int r = oci_reference_parse(s, &ref, report);

    if (r < 0)
        return r;
    location.name = oci_reference_format(&ref);
    oci_reference_deinit(&ref);
    if (strncmp(s, docker_prefix, strlen(docker_prefix)) == 0)
        s += strlen(docker_prefix);
    if (!names_registry(s))
        location.short_name = strdup(s);
    if (!location.name || (!names_registry(s) && !location.short_name)) {
        oci_location_deinit(&location);
        return report_errno(report, -ENOMEM, "image location");
    }
    *ret_location = location;
    return 0;
}

int oci_location_parse(const char *s, struct oci_location *ret_location, struct report *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(file_transports); i++)
        if (strncmp(s, file_transports[i].prefix, strlen(file_transports[i].prefix)) == 0)
            return parse_file_location(s, i, ret_location, r);
    return parse_registry_location(s, ret_location, r);
}
