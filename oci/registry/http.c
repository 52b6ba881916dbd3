/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP exchanges over libcurl.
 *
 * A channel is an easy handle in a multi handle of its own, whose connections outlive the exchange.
 * Exchanges take a channel, if possible one that was used for the same origin, and give it back.
 *
 *     oci_http_read() ─▶ pump(): curl_multi_perform ─▶ on_body() fills response->body
 *                                                      (above BODY_HIGH: paused until it is read)
 *
 * Time is counted only while curl waits for the network: a reader may be as slow as it likes. */
#include "oci/registry/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "oci/registry/header.h"
#include "oci/util/log.h"

enum {
    BODY_HIGH = 256 << 10,   /* bytes that wait for the reader before curl is paused */
    CURL_BUFFER = 128 << 10, /* bytes of one read from a socket */
    POLL_MS = 500,
    SPEED_MIN = 1024,     /* bytes a second below which a body counts as stalled */
    DRAIN_MAX = 64 << 10, /* bytes read in vain to keep a connection */
    IDLE_MAX = 16,        /* channels that wait */
    REDIRECTS_MAX = 10,
    FIELD_MAX = 16 << 10, /* bytes of a header field that is kept */
};

struct channel {
    CURLM *multi;
    CURL *easy;
    char *origin; /* of the last exchange; NULL: none yet */
    struct channel *next;
};

struct oci_http {
    unsigned timeout_ms;
    uint64_t limit_rate;
    pthread_mutex_t lock; /* protects all below */
    struct channel *idle;
    unsigned idle_count;
    uint64_t budget_ns; /* when the bytes so far are paid for, CLOCK_MONOTONIC */
};

struct oci_http_response {
    struct oci_http *http;
    struct channel *channel;
    struct curl_slist *fields;
    struct oci_http_head head;
    char *redirect; /* where to go on; NULL: this is the answer */
    char *place;    /* the URL for texts */
    struct buf body;
    bool head_done, done, paused, handed_out;
    int err;               /* sticky, once the exchange failed */
    unsigned waited_ms;    /* for the network, in this window */
    uint64_t window_bytes; /* that came in it */
    char error[CURL_ERROR_SIZE];
};

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- URLs ---- */

static char *url_part(const char *url, CURLUPart part, unsigned flags)
{
    CURLU *u = curl_url();
    char *text = NULL, *copy = NULL;

    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, part, &text, flags) == CURLUE_OK)
        copy = strdup(text);
    curl_free(text);
    curl_url_cleanup(u);
    return copy;
}

char *oci_http_origin(const char *url)
{
    _cleanup_(freep) char *scheme = url_part(url, CURLUPART_SCHEME, 0);
    _cleanup_(freep) char *host = url_part(url, CURLUPART_HOST, 0);
    _cleanup_(freep) char *port = url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    struct buf b = {0};

    if (!scheme || !host || !port || buf_printf(&b, "%s://%s:%s", scheme, host, port) < 0) {
        buf_deinit(&b);
        return NULL;
    }
    return buf_steal_str(&b);
}

char *oci_http_public_url(const char *url)
{
    CURLU *u = curl_url();
    char *text = NULL, *copy = NULL;

    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK) {
        (void)curl_url_set(u, CURLUPART_USER, NULL, 0);
        (void)curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
        (void)curl_url_set(u, CURLUPART_QUERY, NULL, 0);
        (void)curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
        if (curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
            copy = strdup(text);
    }
    curl_free(text);
    curl_url_cleanup(u);
    return copy ? copy : strdup("(malformed URL)");
}

/* ---- channels ---- */

static struct channel *channel_free(struct channel *c)
{
    if (c) {
        curl_easy_cleanup(c->easy);
        (void)curl_multi_cleanup(c->multi);
        free(c->origin);
        free(c);
    }
    return NULL;
}

static struct channel *channel_new(void)
{
    struct channel *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->multi = curl_multi_init();
    c->easy = curl_easy_init();
    return c->multi && c->easy ? c : channel_free(c);
}

/* The channel that was last used for this origin, else any, else a new one. */
static struct channel *take_channel(struct oci_http *http, const char *origin)
{
    struct channel **at, **found, *c;

    pthread_mutex_lock(&http->lock);
    found = &http->idle;
    for (at = &http->idle; *at; at = &(*at)->next)
        if ((*at)->origin && strcmp((*at)->origin, origin) == 0) {
            found = at;
            break;
        }
    c = *found;
    if (c) {
        *found = c->next;
        http->idle_count--;
    }
    pthread_mutex_unlock(&http->lock);
    return c ? c : channel_new();
}

static void give_channel(struct oci_http *http, struct channel *c)
{
    (void)curl_multi_remove_handle(c->multi, c->easy);
    curl_easy_reset(c->easy);
    pthread_mutex_lock(&http->lock);
    if (http->idle_count < IDLE_MAX) {
        c->next = http->idle;
        http->idle = c;
        http->idle_count++;
        c = NULL;
    }
    pthread_mutex_unlock(&http->lock);
    (void)channel_free(c);
}

/* ---- the client ---- */

static int curl_ready = -EIO;

static void init_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;
}

int oci_http_new(unsigned timeout_s, uint64_t limit_rate, struct oci_http **ret_http)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct oci_http *http;

    (void)pthread_once(&once, init_curl);
    if (curl_ready < 0)
        return curl_ready;
    http = calloc(1, sizeof(*http));
    if (!http)
        return -ENOMEM;
    http->timeout_ms = MIN(timeout_s, 86400u) * 1000;
    http->limit_rate = limit_rate;
    (void)pthread_mutex_init(&http->lock, NULL);
    *ret_http = http;
    return 0;
}

struct oci_http *oci_http_free(struct oci_http *http)
{
    if (!http)
        return NULL;
    while (http->idle) {
        struct channel *next = http->idle->next;

        (void)channel_free(http->idle);
        http->idle = next;
    }
    (void)pthread_mutex_destroy(&http->lock);
    free(http);
    return NULL;
}

void oci_tls_deinit(struct oci_tls *tls)
{
    buf_deinit(&tls->ca);
    free(tls->cert);
    free(tls->key);
    *tls = (struct oci_tls){0};
}

/* Makes the caller sleep until these bytes were allowed to come. A pause earns at most a second. */
static void pay(struct oci_http *http, size_t bytes)
{
    uint64_t now = now_ns(), due;
    struct timespec at;

    if (http->limit_rate == 0)
        return;
    pthread_mutex_lock(&http->lock);
    if (http->budget_ns + 1000000000 < now)
        http->budget_ns = now - 1000000000;
    http->budget_ns += (uint64_t)((double)bytes * 1e9 / (double)http->limit_rate);
    due = http->budget_ns;
    pthread_mutex_unlock(&http->lock);
    if (due <= now)
        return;
    at = (struct timespec){
        .tv_sec = (time_t)(due / 1000000000), .tv_nsec = (long)(due % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

/* ---- what curl calls ---- */

static void head_deinit(struct oci_http_head *head)
{
    free(head->content_type);
    free(head->content_range);
    free(head->digest);
    free(head->challenges);
    *head = (struct oci_http_head){.length = UINT64_MAX};
}

/* When the line is the field of this name: its value without space around; free() it. */
static char *field_value(const char *line, size_t size, const char *name)
{
    size_t len = strlen(name);

    if (size <= len || size > FIELD_MAX || line[len] != ':' || strncasecmp(line, name, len) != 0)
        return NULL;
    line += len + 1;
    size -= len + 1;
    while (size > 0 && strchr(" \t", line[0])) {
        line++;
        size--;
    }
    while (size > 0 && strchr(" \t\r\n", line[size - 1]))
        size--;
    return strndup(line, size);
}

static void keep_field(char **field, char *value)
{
    if (value) {
        free(*field);
        *field = value;
    }
}

static int add_challenge(struct oci_http_head *head, const char *value)
{
    _cleanup_(buf_deinit) struct buf b = {0};

    if (head->challenges && strlen(head->challenges) > FIELD_MAX)
        return 0;
    if (buf_printf(&b, "%s%s%s", head->challenges ? head->challenges : "",
            head->challenges ? "\n" : "", value) < 0)
        return -ENOMEM;
    keep_field(&head->challenges, buf_steal_str(&b));
    return 0;
}

static size_t on_header(char *line, size_t size, size_t count, void *userdata)
{
    struct oci_http_response *p = userdata;
    _cleanup_(freep) char *challenge = NULL;
    _cleanup_(freep) char *after = NULL;

    size *= count;
    p->window_bytes += size;
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0)
        head_deinit(&p->head);
    keep_field(&p->head.content_type, field_value(line, size, "Content-Type"));
    keep_field(&p->head.content_range, field_value(line, size, "Content-Range"));
    keep_field(&p->head.digest, field_value(line, size, "Docker-Content-Digest"));
    after = field_value(line, size, "Retry-After");
    if (after)
        p->head.retry_after_s = oci_retry_after_parse(after, (int64_t)time(NULL));
    challenge = field_value(line, size, "WWW-Authenticate");
    if (challenge && add_challenge(&p->head, challenge) < 0)
        return 0;
    if (size <= 2 && strspn(line, "\r\n") >= size) {
        (void)curl_easy_getinfo(p->channel->easy, CURLINFO_RESPONSE_CODE, &p->head.status);
        p->head_done = p->head.status >= 200;
    }
    return size;
}

static size_t on_body(char *data, size_t size, size_t count, void *userdata)
{
    struct oci_http_response *p = userdata;

    size *= count;
    if (p->body.size >= BODY_HIGH) {
        p->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    p->head_done = true;
    p->window_bytes += size;
    if (buf_append(&p->body, data, size) < 0) {
        p->err = -ENOMEM;
        return 0;
    }
    return size;
}

/* ---- running ---- */

static int errno_of(CURLcode code)
{
    if (code == CURLE_COULDNT_CONNECT)
        return -ECONNREFUSED;
    if (code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY)
        return -EHOSTUNREACH;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return -ETIMEDOUT;
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return -EKEYREJECTED;
    if (code == CURLE_SSL_CONNECT_ERROR)
        return -EPROTONOSUPPORT;
    if (code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE)
        return -EINVAL;
    if (code == CURLE_OUT_OF_MEMORY)
        return -ENOMEM;
    if (code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_PARTIAL_FILE ||
        code == CURLE_GOT_NOTHING || code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM)
        return -ECONNRESET;
    return -EPROTO;
}

static int fail(struct oci_http_response *p, int err, const char *text, struct report *r)
{
    p->err = err;
    return report_fail(r, err, "%s: %s", p->place, text);
}

/* Looks whether curl has finished. */
static int collect(struct oci_http_response *p, struct report *r)
{
    int left;
    const CURLMsg *message;

    while ((message = curl_multi_info_read(p->channel->multi, &left))) {
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        p->done = true;
        if (code == CURLE_PARTIAL_FILE)
            return fail(p, -ECONNRESET, "the answer ended early", r);
        if (p->err < 0)
            return report_errno(r, p->err, "%s", p->place);
        if (code != CURLE_OK)
            return fail(p, errno_of(code), p->error[0] ? p->error : curl_easy_strerror(code), r);
    }
    return 0;
}

/* A window of waiting is over: has enough come in it? */
static int check_speed(struct oci_http_response *p, struct report *r)
{
    const struct oci_http *http = p->http;
    uint64_t least = (uint64_t)SPEED_MIN * http->timeout_ms / 1000;
    char text[64];

    if (http->limit_rate > 0)
        least = MIN(least, http->limit_rate / 2 * http->timeout_ms / 1000);
    if (p->head_done && p->window_bytes >= least) {
        p->waited_ms = 0;
        p->window_bytes = 0;
        return 0;
    }
    (void)snprintf(text, sizeof(text), p->head_done ? "stalled for %u s" : "no answer for %u s",
        http->timeout_ms / 1000);
    return fail(p, -ETIMEDOUT, text, r);
}

/* Lets curl work once, and waits for the network where it has nothing to do. */
static int pump(struct oci_http_response *p, bool wait, struct report *r)
{
    uint64_t start = now_ns();
    int running;

    if (wait) {
        (void)curl_multi_poll(p->channel->multi, NULL, 0,
            (int)MIN(
                p->http->timeout_ms - MIN(p->waited_ms, p->http->timeout_ms), (unsigned)POLL_MS),
            NULL);
        p->waited_ms += (unsigned)((now_ns() - start) / 1000000);
    }
    if (curl_multi_perform(p->channel->multi, &running) != CURLM_OK)
        return fail(p, -EPROTO, "transfer failed", r);
    if (p->waited_ms >= p->http->timeout_ms)
        return check_speed(p, r);
    return 0;
}

static int run_until_head(struct oci_http_response *p, struct report *r)
{
    bool wait = false;

    while (!p->done && !p->head_done) {
        int err = pump(p, wait, r);

        if (err == 0)
            err = collect(p, r);
        if (err < 0)
            return err;
        wait = true;
    }
    return 0;
}

ssize_t oci_http_read(struct oci_http_response *p, const uint8_t **ret_data, struct report *r)
{
    bool wait = false;

    if (p->handed_out)
        p->body.size = 0;
    p->handed_out = false;
    for (;;) {
        int err = 0;

        if (p->err < 0)
            return report_errno(r, p->err, "%s", p->place);
        if (p->paused) {
            p->paused = false; /* before the call: it may deliver and pause again */
            (void)curl_easy_pause(p->channel->easy, CURLPAUSE_CONT);
        }
        if (p->body.size == 0 && !p->done)
            err = pump(p, wait, r);
        if (err == 0)
            err = collect(p, r);
        if (p->body.size > 0 && (err == 0 || p->done)) {
            pay(p->http, p->body.size);
            p->handed_out = true;
            *ret_data = p->body.data;
            return (ssize_t)p->body.size;
        }
        if (err < 0)
            return err;
        if (p->done)
            return 0;
        wait = true;
    }
}

int oci_http_read_all(struct oci_http_response *p, size_t limit, struct buf *b, struct report *r)
{
    const uint8_t *data;
    ssize_t n;

    while ((n = oci_http_read(p, &data, r)) > 0) {
        if ((size_t)n > limit - MIN(limit, b->size))
            return report_fail(r, -EFBIG, "%s: larger than %zu bytes", p->place, limit);
        if (buf_append(b, data, (size_t)n) < 0)
            return report_errno(r, -ENOMEM, "%s", p->place);
    }
    return (int)n;
}

/* ---- one exchange ---- */

static int add_field(struct oci_http_response *p, const char *name, const char *value)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    _cleanup_(freep) char *line = NULL;
    struct curl_slist *list;

    if (!value)
        return 0;
    if (buf_printf(&b, "%s: %s", name, value) < 0)
        return -ENOMEM;
    line = buf_steal_str(&b);
    list = line ? curl_slist_append(p->fields, line) : NULL;
    if (!list)
        return -ENOMEM;
    p->fields = list;
    return 0;
}

static void set_tls(CURL *easy, const struct oci_tls *tls, bool own_origin)
{
    struct curl_blob ca;

    if (!tls)
        return;
    if (tls->insecure) {
        (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (tls->ca.size > 0) {
        ca = (struct curl_blob){.data = tls->ca.data, .len = tls->ca.size, .flags = CURL_BLOB_COPY};
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
    }
    if (own_origin && tls->cert) {
        (void)curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->cert);
        (void)curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key);
    }
}

static void set_method(CURL *easy, const struct oci_http_request *request)
{
    if (request->form) {
        (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(request->form));
        (void)curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->form);
    } else if (request->method && strcmp(request->method, "HEAD") == 0) {
        (void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (request->method) {
        (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    }
}

static int set_request(struct oci_http_response *p, const struct oci_http_request *request,
    const char *url, bool own_origin)
{
    CURL *easy = p->channel->easy;
    char range[32];
    int err = add_field(p, "Accept", request->accept);

    if (err == 0 && own_origin)
        err = add_field(p, "Authorization", request->authorization);
    if (err == 0 && request->offset > 0) {
        (void)snprintf(range, sizeof(range), "%llu-", (unsigned long long)request->offset);
        (void)curl_easy_setopt(easy, CURLOPT_RANGE, range);
    }
    if (err < 0 || curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK)
        return -ENOMEM;
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, p->fields);
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "layerfs/" LAYERFS_VERSION);
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)CURL_BUFFER);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)p->http->timeout_ms);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, p->error);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, p);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, p);
    set_method(easy, request);
    set_tls(easy, request->tls, own_origin);
    return 0;
}

static void read_info(struct oci_http_response *p)
{
    CURL *easy = p->channel->easy;
    curl_off_t length = -1;
    const char *redirect = NULL;

    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &p->head.status);
    (void)curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    (void)curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &redirect);
    p->head.length = length >= 0 ? (uint64_t)length : UINT64_MAX;
    if (redirect && p->head.status >= 301 && p->head.status <= 308)
        p->redirect = strdup(redirect);
}

static int exchange(struct oci_http *http, const struct oci_http_request *request, const char *url,
    const char *origin, bool own_origin, struct oci_http_response **ret_response, struct report *r)
{
    _cleanup_(oci_http_closep) struct oci_http_response *p = calloc(1, sizeof(*p));
    int err;

    if (!p)
        return report_errno(r, -ENOMEM, "request");
    p->http = http;
    p->head.length = UINT64_MAX;
    p->place = oci_http_public_url(url);
    p->channel = take_channel(http, origin);
    if (!p->place || !p->channel)
        return report_errno(r, -ENOMEM, "request");
    err = set_request(p, request, url, own_origin);
    free(p->channel->origin);
    p->channel->origin = strdup(origin);
    if (err < 0 || curl_multi_add_handle(p->channel->multi, p->channel->easy) != CURLM_OK)
        return report_errno(r, -ENOMEM, "%s", p->place);
    err = run_until_head(p, r);
    if (err < 0) {
        log_debug(LOG_REGISTRY, "%s: %s", p->place, strerror(-err));
        return err;
    }
    read_info(p);
    log_debug(LOG_REGISTRY, "%s %s from %llu: %ld", request->method ? request->method : "GET",
        p->place, (unsigned long long)request->offset, p->head.status);
    *ret_response = TAKE_PTR(p);
    return 0;
}

static bool is_https(const char *origin)
{
    return strncmp(origin, "https:", 6) == 0;
}

int oci_http_open(struct oci_http *http, const struct oci_http_request *request,
    struct oci_http_response **ret_response, struct report *r)
{
    _cleanup_(freep) char *first = oci_http_origin(request->url);
    _cleanup_(freep) char *origin = oci_http_origin(request->url);
    _cleanup_(freep) char *url = strdup(request->url);

    if (!first || !origin || !url)
        return report_fail(r, -EINVAL, "malformed URL");
    for (unsigned i = 0; i <= REDIRECTS_MAX; i++) {
        _cleanup_(oci_http_closep) struct oci_http_response *p = NULL;
        bool was_https = is_https(origin);
        int err = exchange(http, request, url, origin, strcmp(origin, first) == 0, &p, r);

        if (err < 0 || !p)
            return err;
        if (!p->redirect) {
            *ret_response = TAKE_PTR(p);
            return 0;
        }
        free(url);
        url = TAKE_PTR(p->redirect);
        free(origin);
        origin = oci_http_origin(url);
        if (!origin)
            return report_fail(r, -EPROTO, "%s: redirects to a malformed URL", p->place);
        if (was_https && !is_https(origin) && !(request->tls && request->tls->insecure))
            return report_fail(r, -EPROTO, "%s: redirects from https to %s", p->place, origin);
    }
    return report_fail(r, -ELOOP, "%s: more than %d redirects", first, REDIRECTS_MAX);
}

const struct oci_http_head *oci_http_get_head(const struct oci_http_response *response)
{
    return &response->head;
}

/* A short rest is read, so that the connection can be used again. */
static void drain(struct oci_http_response *p)
{
    struct report r = REPORT_INIT;
    const uint8_t *data;

    if (p->head.length > DRAIN_MAX || p->head.length == 0)
        return;
    while (!p->done && oci_http_read(p, &data, &r) > 0)
        ;
}

struct oci_http_response *oci_http_close(struct oci_http_response *p)
{
    if (!p)
        return NULL;
    if (p->channel && p->err == 0 && p->head_done)
        drain(p);
    if (p->channel)
        give_channel(p->http, p->channel);
    curl_slist_free_all(p->fields);
    head_deinit(&p->head);
    buf_deinit(&p->body);
    free(p->redirect);
    free(p->place);
    free(p);
    return NULL;
}
