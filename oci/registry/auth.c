/* SPDX-License-Identifier: Apache-2.0 */
/* Basic and Bearer authorization.
 *
 *     request ── 401, WWW-Authenticate: Bearer realm=…,service=…,scope=… ──▶ GET realm (Basic)
 *        ▲                                                                        │ token
 *        └──────────────────── Authorization: Bearer token ◀──────────────────────┘
 *
 * A token is used until the registry answers 401 again, which is what tells best that it is over;
 * so clocks do not matter. */
#include "oci/registry/auth.h"

#include <ctype.h>
#include <pthread.h>
#include <string.h>

#include "oci/json.h"
#include "oci/registry/base64.h"

enum { TOKEN_ANSWER_MAX = 1 << 20 };

struct oci_auth {
    struct oci_http *http;
    const struct oci_tls *tls;
    struct oci_credentials credentials;
    pthread_mutex_t lock; /* protects value; held while a token is asked for, so that one asks */
    char *value;          /* of the Authorization field; NULL: none yet */
};

int oci_auth_new(struct oci_http *http, const struct oci_tls *tls,
    struct oci_credentials *credentials, struct oci_auth **ret_auth)
{
    struct oci_auth *auth = calloc(1, sizeof(*auth));

    if (!auth)
        return -ENOMEM;
    auth->http = http;
    auth->tls = tls;
    auth->credentials = *credentials;
    *credentials = (struct oci_credentials){0};
    (void)pthread_mutex_init(&auth->lock, NULL);
    *ret_auth = auth;
    return 0;
}

static void free_secret(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

struct oci_auth *oci_auth_free(struct oci_auth *auth)
{
    if (auth) {
        oci_credentials_deinit(&auth->credentials);
        free_secret(&auth->value);
        (void)pthread_mutex_destroy(&auth->lock);
        free(auth);
    }
    return NULL;
}

int oci_auth_get(struct oci_auth *auth, char **ret_value)
{
    int err = 0;

    *ret_value = NULL;
    pthread_mutex_lock(&auth->lock);
    if (auth->value) {
        *ret_value = strdup(auth->value);
        err = *ret_value ? 0 : -ENOMEM;
    }
    pthread_mutex_unlock(&auth->lock);
    return err;
}

/* ---- building requests ---- */

static int append_escaped(struct buf *b, const char *text)
{
    int err = 0;

    for (; *text && err == 0; text++) {
        unsigned char c = (unsigned char)*text;

        if (isalnum(c) || strchr("-._~", c))
            err = buf_append(b, &c, 1);
        else
            err = buf_printf(b, "%%%02X", c);
    }
    return err;
}

static int append_param(struct buf *b, const char *separator, const char *name, const char *value)
{
    int err;

    if (!value)
        return 0;
    err = buf_printf(b, "%s%s=", separator, name);
    return err < 0 ? err : append_escaped(b, value);
}

/* "Basic …"; free() it. NULL: out of memory. */
static char *basic_value(const struct oci_credentials *c)
{
    struct buf plain = {0}, b = {0};
    char *value = NULL;

    if (buf_printf(&plain, "%s:%s", c->user, c->password) == 0 &&
        buf_append_str(&b, "Basic ") == 0 && base64_encode(plain.data, plain.size, &b) == 0)
        value = buf_steal_str(&b);
    if (plain.size > 0)
        explicit_bzero(plain.data, plain.size);
    buf_deinit(&plain);
    buf_deinit(&b);
    return value;
}

/* The refresh token goes into a POST's body. */
static int make_form(const struct oci_auth *auth, const struct oci_challenge *challenge,
    const char *scope, struct buf *b)
{
    int err = buf_append_str(b, "grant_type=refresh_token&client_id=layerfs");

    if (err == 0)
        err = append_param(b, "&", "service", challenge->service);
    if (err == 0)
        err = append_param(b, "&", "scope", scope);
    if (err == 0)
        err = append_param(b, "&", "refresh_token", auth->credentials.identity_token);
    return err;
}

static int make_url(const struct oci_auth *auth, const struct oci_challenge *challenge,
    const char *scope, struct buf *b)
{
    const char *separator = strchr(challenge->realm, '?') ? "&" : "?";
    int err = buf_append_str(b, challenge->realm);

    if (err == 0 && challenge->service) {
        err = append_param(b, separator, "service", challenge->service);
        separator = "&";
    }
    if (err == 0 && scope) {
        err = append_param(b, separator, "scope", scope);
        separator = "&";
    }
    if (err == 0)
        err = append_param(b, separator, "account", auth->credentials.user);
    return err;
}

/* ---- the token server ---- */

/* Only what can stand in a header field. */
static bool is_token(const char *token)
{
    for (const char *c = token; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
            return false;
    return token[0] != '\0';
}

static int parse_token(const struct buf *b, const char *realm, char **ret_value, struct report *r)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    const char *token;
    struct buf value = {0};

    if (oci_json_load(b->data, b->size, realm, &json, NULL) < 0)
        return report_fail(r, -EPROTO, "token server %s: its answer is not JSON", realm);
    token = json_string_value(json_object_get(json, "token"));
    if (!token)
        token = json_string_value(json_object_get(json, "access_token"));
    if (!token || !is_token(token))
        return report_fail(r, -EPROTO, "token server %s: its answer holds no token", realm);
    if (buf_printf(&value, "Bearer %s", token) < 0)
        return report_errno(r, -ENOMEM, "token");
    *ret_value = buf_steal_str(&value);
    return *ret_value ? 0 : report_errno(r, -ENOMEM, "token");
}

static int fail_status(long status, const char *realm, struct report *r)
{
    if (status == 401 || status == 403)
        return report_fail(r, -EACCES, "token server %s: credentials are refused", realm);
    return report_fail(r, status == 429 || status >= 500 ? -EAGAIN : -EPROTO,
        "token server %s: HTTP status %ld", realm, status);
}

static int exchange_token(struct oci_auth *auth, const struct oci_http_request *request,
    const char *realm, char **ret_value, struct report *r)
{
    _cleanup_(oci_http_closep) struct oci_http_response *response = NULL;
    struct buf b = {0};
    int err = oci_http_open(auth->http, request, &response, r);
    long status = err < 0 ? 0 : oci_http_get_head(response)->status;

    if (err == 0 && status != 200)
        err = fail_status(status, realm, r);
    if (err == 0)
        err = oci_http_read_all(response, TOKEN_ANSWER_MAX, &b, r);
    if (err == 0)
        err = parse_token(&b, realm, ret_value, r);
    if (b.size > 0)
        explicit_bzero(b.data, b.size);
    buf_deinit(&b);
    return err;
}

/* Secrets go to a token server in the clear only where the user allowed it for the registry. */
static bool may_send_secrets(const struct oci_auth *auth, const char *realm)
{
    return strncmp(realm, "https://", 8) == 0 || auth->tls->insecure;
}

static int fetch_token(struct oci_auth *auth, const struct oci_challenge *challenge,
    const char *scope, char **ret_value, struct report *r)
{
    _cleanup_(freep) char *realm = oci_http_public_url(challenge->realm);
    const struct oci_credentials *c = &auth->credentials;
    struct buf url = {0}, form = {0};
    char *url_text = NULL, *form_text = NULL, *basic = NULL;
    bool known = c->identity_token || c->user;
    int err = realm ? 0 : -ENOMEM;

    if (err == 0 && known && !may_send_secrets(auth, challenge->realm))
        return report_fail(r, -EACCES, "token server %s: no credentials over http", realm);
    if (err == 0 && c->identity_token) {
        err = make_form(auth, challenge, scope, &form);
        form_text = err == 0 ? buf_steal_str(&form) : NULL;
        url_text = strdup(challenge->realm);
    } else if (err == 0) {
        err = make_url(auth, challenge, scope, &url);
        url_text = err == 0 ? buf_steal_str(&url) : NULL;
        basic = c->user ? basic_value(c) : NULL;
    }
    if (err < 0 || !url_text || (known && !basic && !form_text)) {
        err = report_errno(r, -ENOMEM, "token");
    } else {
        struct oci_http_request request = {
            .method = form_text ? "POST" : NULL,
            .url = url_text,
            .authorization = basic,
            .accept = "application/json",
            .form = form_text,
            .tls = auth->tls,
        };

        err = exchange_token(auth, &request, realm, ret_value, r);
    }
    free_secret(&form_text);
    free_secret(&basic);
    free(url_text);
    buf_deinit(&url);
    buf_deinit(&form);
    return err;
}

/* ---- answering ---- */

static int parse_challenges(const char *lines, struct oci_challenge *challenge)
{
    _cleanup_(freep) char *copy = strdup(lines ? lines : "");
    char *state = NULL;

    if (!copy)
        return -ENOMEM;
    for (char *line = strtok_r(copy, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
        if (oci_challenge_parse(line, challenge) == -ENOMEM)
            return -ENOMEM;
    return 0;
}

static int learn(struct oci_auth *auth, const struct oci_challenge *challenge, const char *scope,
    char **ret_value, struct report *r)
{
    bool known = auth->credentials.user != NULL;

    if (challenge->bearer && challenge->realm)
        return fetch_token(
            auth, challenge, challenge->scope ? challenge->scope : scope, ret_value, r);
    if (challenge->basic && known && !auth->value) {
        *ret_value = basic_value(&auth->credentials);
        return *ret_value ? 0 : report_errno(r, -ENOMEM, "credentials");
    }
    if (challenge->basic)
        return report_fail(r, -EACCES,
            known ? "credentials are refused" : "credentials are needed, and none are known");
    return report_fail(r, -EACCES, "authentication is needed, of a kind that is not known");
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

int oci_auth_answer(struct oci_auth *auth, const char *challenges, const char *scope,
    const char *used, struct report *r)
{
    struct oci_challenge challenge = {0};
    char *value = NULL;
    int err;

    pthread_mutex_lock(&auth->lock);
    if (!is_same(used, auth->value)) { /* another thread has learned meanwhile */
        pthread_mutex_unlock(&auth->lock);
        return 0;
    }
    err = parse_challenges(challenges, &challenge);
    if (err == 0)
        err = learn(auth, &challenge, scope, &value, r);
    if (err == 0) {
        free_secret(&auth->value);
        auth->value = value;
    }
    pthread_mutex_unlock(&auth->lock);
    oci_challenge_deinit(&challenge);
    return err < 0 && !report_is_set(r) ? report_errno(r, err, "authentication") : err;
}
