/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to one repository.
 *
 *     oci_client_get()      repeats after 408, 429, 5xx, resets and stalls
 *       └ authorized()      repeats with credentials after a 401
 *           └ over_scheme() https, or http where the registry may be insecure and has no https
 *               └ oci_http_open()  follows redirects */
#include "oci/registry/client.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "oci/json.h"
#include "oci/registry/auth.h"
#include "oci/registry/certs.h"
#include "oci/registry/retry.h"
#include "oci/util/log.h"

enum { AUTH_ROUNDS = 3, ERROR_BODY_MAX = 64 << 10, MESSAGE_MAX = 200 };

struct oci_client {
    struct oci_http *http;
    struct oci_auth *auth;
    struct oci_tls tls;
    char *host;     /* as users name it */
    char *api_host; /* that answers */
    char *repository;
    char *scope; /* of tokens */
    unsigned retries;
    atomic_bool contacted; /* it has answered once: from now on a refused connection may pass */
    atomic_bool plain;     /* http, since there is no https */
};

static const char manifest_types[] =
    OCI_TYPE_MANIFEST ", " OCI_TYPE_INDEX ", " OCI_TYPE_DOCKER_MANIFEST ", " OCI_TYPE_DOCKER_LIST;

/* ---- making one ---- */

static int set_names(struct oci_client *c, const struct oci_endpoint *endpoint)
{
    bool docker = strcmp(endpoint->host, "docker.io") == 0;

    c->host = strdup(endpoint->host);
    c->api_host = strdup(docker ? "registry-1.docker.io" : endpoint->host);
    c->repository = strdup(endpoint->repository);
    if (asprintf(&c->scope, "repository:%s:pull", endpoint->repository) < 0)
        c->scope = NULL;
    return c->host && c->api_host && c->repository && c->scope ? 0 : -ENOMEM;
}

static int set_auth(
    struct oci_client *c, const struct oci_registry_options *options, struct report *r)
{
    _cleanup_(oci_credentials_deinit) struct oci_credentials credentials = {0};
    int err = oci_credentials_find(options->authfile, c->host, c->repository, &credentials, r);

    if (err < 0)
        return err;
    log_debug(LOG_REGISTRY, "%s/%s: %s", c->host, c->repository,
        err > 0 ? "credentials are known" : "no credentials");
    err = oci_auth_new(c->http, &c->tls, &credentials, &c->auth);
    return err < 0 ? report_errno(r, err, "registry") : 0;
}

int oci_client_new(struct oci_http *http, const struct oci_registry_options *options,
    const struct oci_endpoint *endpoint, struct oci_client **ret_client, struct report *r)
{
    _cleanup_(oci_client_freep) struct oci_client *c = calloc(1, sizeof(*c));
    int err = c ? set_names(c, endpoint) : -ENOMEM;

    if (err < 0)
        return report_errno(r, err, "registry");
    c->http = http;
    c->retries = options->no_retries    ? 0
                 : options->retries > 0 ? options->retries
                                        : OCI_RETRIES_DEFAULT;
    err = oci_certs_load(options->cert_dir, c->api_host, &c->tls, r);
    if (err < 0)
        return err;
    c->tls.insecure = options->tls_verify == OCI_TLS_VERIFY_NO ||
                      (options->tls_verify == OCI_TLS_VERIFY_DEFAULT && endpoint->insecure);
    err = set_auth(c, options, r);
    if (err < 0)
        return err;
    *ret_client = TAKE_PTR(c);
    return 0;
}

struct oci_client *oci_client_free(struct oci_client *c)
{
    if (c) {
        (void)oci_auth_free(c->auth);
        oci_tls_deinit(&c->tls);
        free(c->host);
        free(c->api_host);
        free(c->repository);
        free(c->scope);
        free(c);
    }
    return NULL;
}

struct oci_http *oci_client_get_http(const struct oci_client *client)
{
    return client->http;
}

const struct oci_tls *oci_client_get_tls(const struct oci_client *client)
{
    return &client->tls;
}

unsigned oci_client_get_retries(const struct oci_client *client)
{
    return client->retries;
}

/* ---- one request ---- */

static int send_to(struct oci_client *c, const char *scheme, const char *path,
    struct oci_http_request *request, struct oci_http_response **ret_response, struct report *r)
{
    _cleanup_(freep) char *url = NULL;
    int err;

    if (asprintf(&url, "%s://%s/v2/%s/%s", scheme, c->api_host, c->repository, path) < 0) {
        url = NULL;
        return report_errno(r, -ENOMEM, "request");
    }
    request->url = url;
    err = oci_http_open(c->http, request, ret_response, r);
    request->url = NULL;
    if (err == 0)
        atomic_store(&c->contacted, true);
    return err;
}

static bool may_be_plain(const struct oci_client *c, int err)
{
    return c->tls.insecure && !atomic_load(&c->contacted) &&
           (err == -EPROTONOSUPPORT || err == -ECONNREFUSED || err == -ECONNRESET);
}

static int over_scheme(struct oci_client *c, const char *path, struct oci_http_request *request,
    struct oci_http_response **ret_response, struct report *r)
{
    int err;

    if (atomic_load(&c->plain))
        return send_to(c, "http", path, request, ret_response, r);
    err = send_to(c, "https", path, request, ret_response, r);
    if (!may_be_plain(c, err))
        return err;
    err = send_to(c, "http", path, request, ret_response, r);
    if (err == 0)
        atomic_store(&c->plain, true);
    return err;
}

/* A 401 is answered with what the registry asks for, also in the middle of a pull. */
static int authorized(struct oci_client *c, const char *path, struct oci_http_request *request,
    struct oci_http_response **ret_response, struct report *r)
{
    for (unsigned round = 0;; round++) {
        _cleanup_(oci_http_closep) struct oci_http_response *response = NULL;
        char *value = NULL;
        int err = oci_auth_get(c->auth, &value);

        request->authorization = value;
        if (err == 0)
            err = over_scheme(c, path, request, &response, r);
        request->authorization = NULL;
        if (err == 0 && oci_http_get_head(response)->status == 401)
            err = round + 1 < AUTH_ROUNDS
                      ? oci_auth_answer(
                            c->auth, oci_http_get_head(response)->challenges, c->scope, value, r)
                      : report_fail(r, -EACCES, "credentials are refused");
        else if (err == 0)
            *ret_response = TAKE_PTR(response);
        if (value)
            explicit_bzero(value, strlen(value));
        free(value);
        if (err < 0 || *ret_response)
            return err;
    }
}

/* ---- answers ---- */

/* What the registry says to people about its refusal, if it does; free() it. */
static char *error_message(struct oci_http_response *response)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};
    const json_t *first;
    const char *message;

    if (oci_http_read_all(response, ERROR_BODY_MAX, &b, NULL) < 0 ||
        oci_json_load(b.data, b.size, "", &json, NULL) < 0)
        return NULL;
    first = json_array_get(json_object_get(json, "errors"), 0);
    message = json_string_value(json_object_get(first, "message"));
    return message && message[0] ? strndup(message, MESSAGE_MAX) : NULL;
}

static int errno_of_status(long status)
{
    if (status == 404)
        return -ENOENT;
    if (status == 401 || status == 403)
        return -EACCES;
    return -EPROTO;
}

static int fail_status(const struct oci_client *c, const char *path,
    struct oci_http_response *response, struct report *r)
{
    long status = oci_http_get_head(response)->status;
    _cleanup_(freep) char *message = error_message(response);

    return report_fail(r, errno_of_status(status), "%s/%s: %s: HTTP status %ld%s%s%s", c->host,
        c->repository, path, status, message ? " (" : "", message ? message : "",
        message ? ")" : "");
}

static bool may_retry(const struct oci_client *c, int err)
{
    if ((err == -ECONNREFUSED || err == -EHOSTUNREACH) && !atomic_load(&c->contacted))
        return false; /* nothing is there; a mirror may be the next to try */
    return oci_retry_is_error(err);
}

int oci_client_get(struct oci_client *c, const char *path, const char *accept, uint64_t offset,
    unsigned *failures, struct oci_http_response **ret_response, struct report *r)
{
    struct oci_http_request request = {.accept = accept, .offset = offset, .tls = &c->tls};

    for (;;) {
        _cleanup_(oci_http_closep) struct oci_http_response *response = NULL;
        int err = authorized(c, path, &request, &response, r);
        long status = response ? oci_http_get_head(response)->status : 0;
        unsigned after_s = response ? oci_http_get_head(response)->retry_after_s : 0;

        if (status == 200 || status == 206) {
            *ret_response = TAKE_PTR(response);
            return 0;
        }
        if (response && !oci_retry_is_status(status))
            return fail_status(c, path, response, r);
        if (!response && !may_retry(c, err))
            return err;
        if (*failures >= c->retries)
            return response ? fail_status(c, path, response, r) : err;
        response = oci_http_close(response);
        log_debug(
            LOG_REGISTRY, "%s: %s: status %ld, %s: again", c->host, path, status, strerror(-err));
        oci_retry_wait((*failures)++, after_s);
    }
}

/* ---- manifests ---- */

/* What a document is: as it says itself, else as the registry says. */
static const char *media_type_of(const json_t *json, char *content_type)
{
    const char *type = json_string_value(json_object_get(json, "mediaType"));

    if (type)
        return type;
    if (content_type)
        content_type[strcspn(content_type, "; \t")] = '\0';
    if (content_type && oci_media_classify(content_type) != OCI_MEDIA_UNKNOWN)
        return content_type;
    return json_object_get(json, "manifests") ? OCI_TYPE_INDEX : OCI_TYPE_MANIFEST;
}

static int check_digest(const struct buf *b, const struct oci_digest *expect,
    const char *from_header, struct oci_digest *ret_digest, struct report *r)
{
    struct oci_digest promised = {.alg = OCI_DIGEST_NONE};
    char want[OCI_DIGEST_STR_MAX], is[OCI_DIGEST_STR_MAX];
    int err;

    if (expect)
        promised = *expect;
    else if (from_header)
        (void)oci_digest_parse(from_header, &promised);
    err = oci_digest_of(promised.alg == OCI_DIGEST_NONE ? OCI_DIGEST_SHA256 : promised.alg, b->data,
        b->size, ret_digest);
    if (err < 0)
        return report_errno(r, err, "manifest");
    if (promised.alg != OCI_DIGEST_NONE && !oci_digest_equal(&promised, ret_digest))
        return report_fail(r, -EBADMSG, "manifest: digest mismatch (expected %s, got %s)",
            oci_digest_format(&promised, want), oci_digest_format(ret_digest, is));
    return 0;
}

static int describe(const struct buf *b, const struct oci_digest *expect,
    const struct oci_http_head *head, struct oci_descriptor *ret_descriptor, struct report *r)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    _cleanup_(freep) char *content_type = head->content_type ? strdup(head->content_type) : NULL;
    struct oci_digest digest;
    int err = check_digest(b, expect, head->digest, &digest, r);

    if (err == 0)
        err = oci_json_load(b->data, b->size, "manifest", &json, r);
    if (err < 0)
        return err;
    err = oci_descriptor_make(media_type_of(json, content_type), &digest, b->size, ret_descriptor);
    return err < 0 ? report_errno(r, err, "manifest") : 0;
}

/* The bytes of a manifest; a body that breaks off is asked for again. */
static int fetch_manifest(struct oci_client *c, const char *path, struct buf *b,
    struct oci_http_response **ret_response, struct report *r)
{
    unsigned failures = 0;

    for (;;) {
        _cleanup_(oci_http_closep) struct oci_http_response *response = NULL;
        int err = oci_client_get(c, path, manifest_types, 0, &failures, &response, r);

        if (err < 0)
            return err;
        err = oci_http_read_all(response, OCI_DOCUMENT_MAX, b, r);
        if (err == 0) {
            *ret_response = TAKE_PTR(response);
            return 0;
        }
        if (!oci_retry_is_error(err) || failures >= c->retries)
            return err;
        b->size = 0;
        oci_retry_wait(failures++, 0);
    }
}

int oci_client_read_manifest(struct oci_client *c, const char *tag, const struct oci_digest *digest,
    struct buf *b, struct oci_descriptor *ret_descriptor, struct report *r)
{
    _cleanup_(oci_http_closep) struct oci_http_response *response = NULL;
    char path[300], text[OCI_DIGEST_STR_MAX];
    int err;

    (void)snprintf(
        path, sizeof(path), "manifests/%s", digest ? oci_digest_format(digest, text) : tag);
    err = fetch_manifest(c, path, b, &response, r);
    if (err < 0)
        return err;
    err = describe(b, digest, oci_http_get_head(response), ret_descriptor, r);
    return err < 0 ? report_context(r, err, "%s/%s", c->host, c->repository) : 0;
}
