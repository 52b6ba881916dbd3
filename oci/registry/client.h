/* SPDX-License-Identifier: Apache-2.0 */
/* One repository of one registry, by the OCI distribution spec. */
#ifndef OCI_REGISTRY_CLIENT_H
#define OCI_REGISTRY_CLIENT_H

#include "oci/image.h"
#include "oci/registry/http.h"
#include "oci/registry/options.h"
#include "oci/registry/registries.h"
#include "oci/source.h"

/* Thread-safe. */
struct oci_client;

/* http and options are borrowed. Reads certificates and credentials; talks to nobody yet. */
int oci_client_new(struct oci_http *http, const struct oci_registry_options *options,
    const struct oci_endpoint *endpoint, struct oci_client **ret_client, struct report *r);
struct oci_client *oci_client_free(struct oci_client *client);
DEFINE_CLEANUP(struct oci_client *, oci_client_free)

struct oci_http *oci_client_get_http(const struct oci_client *client);     /* borrowed */
const struct oci_tls *oci_client_get_tls(const struct oci_client *client); /* borrowed */
unsigned oci_client_get_retries(const struct oci_client *client);

/* GET /v2/REPOSITORY/path: authenticates, repeats what may be repeated after a pause, each time
 * adding one to *failures, up to the number of retries. Then 200 and 206 are success; else -ENOENT,
 * -EACCES, -EPROTO, and the errors of oci_http_open(), with a text. */
int oci_client_get(struct oci_client *client, const char *path, const char *accept, uint64_t offset,
    unsigned *failures, struct oci_http_response **ret_response, struct report *r);

/* A manifest or index by tag or digest: its bytes, and what it is; the digest is checked where one
 * is asked for. */
int oci_client_read_manifest(struct oci_client *client, const char *tag,
    const struct oci_digest *digest, struct buf *b, struct oci_descriptor *ret_descriptor,
    struct report *r);

/* A blob's bytes from offset on as a source, see blob.c. The client must outlive it. */
int oci_client_open_blob(struct oci_client *client, const struct oci_descriptor *blob,
    uint64_t offset, struct oci_source **ret_source, struct report *r);

#endif
