/* SPDX-License-Identifier: Apache-2.0 */
/* A blob as a source that survives what networks do.
 *
 * The body of one answer after the other is handed out; when one breaks off or stalls, the next
 * request continues at the byte that is missing (Range). A server that ignores Range sends all
 * again, and what is known is skipped; one that answers with another range than the one asked for
 * is asked for all. Failures count until there is progress, so that a connection which breaks every
 * 64 KiB ends well and one that brings nothing ends soon. Whether the bytes are right is for the
 * reader to verify. */
#include <stdio.h>
#include <string.h>

#include "oci/registry/client.h"
#include "oci/registry/header.h"
#include "oci/registry/retry.h"
#include "oci/util/log.h"

enum { PROGRESS_MIN = 16 << 10 /* bytes that make a failure the first one again */ };

struct blob_source {
    struct oci_source base;
    struct oci_client *client;
    struct oci_http_response *response; /* NULL: to be asked for */
    json_t *urls;                       /* where else it is, for foreign layers; NULL: nowhere */
    size_t next_url;
    char path[16 + OCI_DIGEST_STR_MAX];
    uint64_t at, size; /* next byte to hand out; all */
    uint64_t skip;     /* bytes that come again and are known */
    uint64_t mark;     /* `at` when failures were counted last */
    unsigned failures;
    bool no_range; /* the server does not understand it */
};

/* ---- asking ---- */

/* One of a foreign layer's URLs, without credentials and without trying twice. */
static int open_url(struct blob_source *s, struct report *r)
{
    struct oci_http_request request = {
        .url = json_string_value(json_array_get(s->urls, s->next_url++)),
        .offset = s->no_range ? 0 : s->at,
        .tls = oci_client_get_tls(s->client),
    };
    struct oci_http_response *response = NULL;
    long status;
    int err;

    if (!request.url || (strncmp(request.url, "https://", 8) && strncmp(request.url, "http://", 7)))
        return report_fail(r, -EPROTO, "layer's URL is not of http");
    err = oci_http_open(oci_client_get_http(s->client), &request, &response, r);
    status = err == 0 ? oci_http_get_head(response)->status : 0;
    if (err == 0 && status != 200 && status != 206) {
        response = oci_http_close(response);
        return report_fail(r, -EPROTO, "layer's URL: HTTP status %ld", status);
    }
    s->response = response;
    return err;
}

static int ask(struct blob_source *s, struct report *r)
{
    while (s->next_url < json_array_size(s->urls))
        if (open_url(s, r) == 0) {
            s->next_url--; /* it works: also to go on */
            return 0;
        }
    return oci_client_get(
        s->client, s->path, NULL, s->no_range ? 0 : s->at, &s->failures, &s->response, r);
}

/* Is the answer the part that was asked for? */
static int check_head(struct blob_source *s, struct report *r)
{
    const struct oci_http_head *head = oci_http_get_head(s->response);
    uint64_t asked = s->no_range ? 0 : s->at;
    struct oci_content_range range;

    if (head->status == 200) {
        s->skip = s->at;
        if (head->length != UINT64_MAX && head->length != s->size)
            return report_fail(r, -EBADMSG, "size is %llu, expected %llu",
                (unsigned long long)head->length, (unsigned long long)s->size);
        return 0;
    }
    if (asked == 0 || !head->content_range ||
        oci_content_range_parse(head->content_range, &range) < 0 || range.first != asked ||
        (range.total != UINT64_MAX && range.total != s->size)) {
        s->no_range = true;
        return report_fail(r, -EAGAIN, "the registry answers with a range (%s) that is not wanted",
            head->content_range ? head->content_range : "none");
    }
    s->skip = 0;
    return 0;
}

static int reopen(struct blob_source *s, struct report *r)
{
    int err = ask(s, r);

    return err < 0 ? err : check_head(s, r);
}

/* ---- reading ---- */

/* The part of a chunk that is new. */
static size_t skip_known(struct blob_source *s, const uint8_t **data, size_t size)
{
    size_t known = (size_t)MIN(s->skip, (uint64_t)size);

    s->skip -= known;
    *data += known;
    return size - known;
}

static ssize_t read_some(struct blob_source *s, const uint8_t **ret_data, struct report *r)
{
    ssize_t n;
    size_t fresh;

    do {
        n = oci_http_read(s->response, ret_data, r);
        if (n == 0)
            return report_fail(r, -ECONNRESET, "the answer ended %llu bytes early",
                (unsigned long long)(s->size - s->at));
        if (n < 0)
            return n;
        fresh = skip_known(s, ret_data, (size_t)n);
    } while (fresh == 0);
    s->at += fresh;
    return (ssize_t)fresh;
}

/* True when it is worth another try; after a pause unless there was progress. */
static bool try_again(struct blob_source *s, int err)
{
    if (!oci_retry_is_error(err) || oci_client_get_retries(s->client) == 0)
        return false;
    log_debug(
        LOG_REGISTRY, "%s: %s at byte %llu", s->path, strerror(-err), (unsigned long long)s->at);
    if (s->at - s->mark >= PROGRESS_MIN) {
        s->mark = s->at;
        s->failures = 0;
        return true;
    }
    if (s->failures >= oci_client_get_retries(s->client))
        return false;
    oci_retry_wait(s->failures++, 0);
    return true;
}

static ssize_t blob_next(struct oci_source *source, const uint8_t **ret_data, struct report *r)
{
    struct blob_source *s = (struct blob_source *)source;

    while (s->at < s->size) {
        ssize_t n = s->response ? 0 : reopen(s, r);

        if (n == 0)
            n = read_some(s, ret_data, r);
        if (n > 0)
            return n;
        s->response = oci_http_close(s->response);
        if (!try_again(s, (int)n))
            return n;
    }
    return 0;
}

static void blob_close(struct oci_source *source)
{
    struct blob_source *s = (struct blob_source *)source;

    (void)oci_http_close(s->response);
    json_decref(s->urls);
    free(s);
}

static const struct oci_source_ops blob_ops = {.next = blob_next, .close = blob_close};

int oci_client_open_blob(struct oci_client *client, const struct oci_descriptor *blob,
    uint64_t offset, struct oci_source **ret_source, struct report *r)
{
    struct blob_source *s = calloc(1, sizeof(*s));
    char text[OCI_DIGEST_STR_MAX];

    if (!s)
        return report_errno(r, -ENOMEM, "blob");
    s->base.ops = &blob_ops;
    s->client = client;
    s->at = s->mark = offset;
    s->size = blob->size;
    (void)snprintf(s->path, sizeof(s->path), "blobs/%s", oci_digest_format(&blob->digest, text));
    if (oci_media_classify(blob->media_type) == OCI_MEDIA_LAYER_FOREIGN)
        s->urls = json_incref(json_object_get(blob->json, "urls"));
    *ret_source = &s->base;
    return 0;
}
