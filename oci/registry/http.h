/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP exchanges over libcurl, whose bodies are pulled.
 *
 * An exchange runs in the thread that reads its body: oci_http_read() lets curl work until there
 * are bytes, hands them out, and curl reads no further meanwhile, so that a slow reader slows the
 * sender down and memory stays bounded. Connections stay open in a pool and are used again, by any
 * thread. */
#ifndef OCI_REGISTRY_HTTP_H
#define OCI_REGISTRY_HTTP_H

#include "oci/util/buf.h"
#include "oci/util/report.h"

/* The client: connections, time limits, the rate limit. Thread-safe. SIGPIPE must be ignored or
 * blocked by the program. */
struct oci_http;

int oci_http_new(unsigned timeout_s, uint64_t limit_rate, struct oci_http **ret_http);
struct oci_http *oci_http_free(struct oci_http *http); /* all responses are closed */
DEFINE_CLEANUP(struct oci_http *, oci_http_free)

/* What secures connections to one host. */
struct oci_tls {
    bool insecure;    /* any certificate will do; redirects to http too */
    struct buf ca;    /* PEM, trusted beside the system's; empty: none */
    char *cert, *key; /* paths; NULL: none */
};

void oci_tls_deinit(struct oci_tls *tls);

struct oci_http_request {
    const char *method;        /* NULL: GET */
    const char *url;           /* http or https */
    const char *authorization; /* NULL: none; never sent to another origin */
    const char *accept;        /* NULL: anything */
    const char *form;          /* a POST's application/x-www-form-urlencoded body, or NULL */
    uint64_t offset;           /* > 0: a Range from here to the end is asked for */
    const struct oci_tls *tls; /* borrowed until the response is closed */
};

/* Strings are owned by the response and NULL when the server sent none. */
struct oci_http_head {
    long status;
    uint64_t length; /* of the body; UINT64_MAX when unknown */
    char *content_type, *content_range, *digest;
    char *challenges; /* WWW-Authenticate fields, one a line */
    unsigned retry_after_s;
};

struct oci_http_response;

/* Sends a request and waits for the head of the answer, whatever its status is. Redirects are
 * followed, up to ten, without credentials and client certificate to another origin, and never
 * from https to http. -ETIMEDOUT, -ECONNRESET, -ECONNREFUSED, -EHOSTUNREACH (name), -EKEYREJECTED
 * (certificate), -EPROTONOSUPPORT (no TLS there), -EPROTO, -ELOOP, with a text. */
int oci_http_open(struct oci_http *http, const struct oci_http_request *request,
    struct oci_http_response **ret_response, struct report *r);

const struct oci_http_head *oci_http_get_head(const struct oci_http_response *response);

/* As oci_source_next(). -ETIMEDOUT also for a body that comes too slowly, -ECONNRESET also for one
 * that ends early. */
ssize_t oci_http_read(
    struct oci_http_response *response, const uint8_t **ret_data, struct report *r);

/* The whole body, -EFBIG above limit bytes. */
int oci_http_read_all(
    struct oci_http_response *response, size_t limit, struct buf *b, struct report *r);

struct oci_http_response *oci_http_close(struct oci_http_response *response);
DEFINE_CLEANUP(struct oci_http_response *, oci_http_close)

/* scheme://host[:port] of a URL, for comparing and for texts; free() it. NULL: malformed. */
char *oci_http_origin(const char *url);

/* A URL without user, query and fragment, which may hold secrets; free() it. */
char *oci_http_public_url(const char *url);

#endif
