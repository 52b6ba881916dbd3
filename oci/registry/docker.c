/* SPDX-License-Identifier: Apache-2.0 */
/* Images in registries (docker://).
 *
 *     name ─ short names, aliases ─▶ references ─ registries.conf ─▶ mirrors, registry
 *
 * The first place that has the manifest serves the blobs too. */
#include "oci/registry/docker.h"

#include <string.h>

#include "oci/find.h"
#include "oci/registry/client.h"
#include "oci/transport_private.h"
#include "oci/util/log.h"

struct docker_source {
    struct oci_image_source base;
    struct oci_http *http;     /* NULL when client is borrowed */
    struct oci_client *client; /* that has the manifest */
    struct oci_descriptor top; /* what the reference names: an index or a manifest */
    struct buf top_bytes;
    bool borrowed;
};

static const struct oci_registry_options default_options;

/* ---- the interface ---- */

static int docker_open_blob_at(struct oci_image_source *s, const struct oci_descriptor *descriptor,
    uint64_t offset, struct oci_source **ret_source, struct report *r)
{
    struct docker_source *self = (struct docker_source *)s;

    return oci_client_open_blob(self->client, descriptor, offset, ret_source, r);
}

static int docker_open_blob(struct oci_image_source *s, const struct oci_descriptor *descriptor,
    struct oci_source **ret_source, struct report *r)
{
    return docker_open_blob_at(s, descriptor, 0, ret_source, r);
}

static void docker_close(struct oci_image_source *s)
{
    struct docker_source *self = (struct docker_source *)s;

    if (!self->borrowed) {
        (void)oci_client_free(self->client);
        (void)oci_http_free(self->http);
    }
    oci_descriptor_deinit(&self->top);
    buf_deinit(&self->top_bytes);
    free(self);
}

static const struct oci_image_source_ops docker_ops = {
    .open_blob = docker_open_blob,
    .open_blob_at = docker_open_blob_at,
    .close = docker_close,
};

/* ---- from a reference to a manifest ---- */

static int read_document(
    void *userdata, const struct oci_descriptor *descriptor, struct buf *b, struct report *r)
{
    struct oci_client *client = userdata;
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor is = {0};
    int err;

    if (descriptor->size != UINT64_MAX && descriptor->size > OCI_DOCUMENT_MAX)
        return report_fail(r, -EFBIG, "larger than %d bytes", OCI_DOCUMENT_MAX);
    err = oci_client_read_manifest(client, NULL, &descriptor->digest, b, &is, r);
    if (err == 0 && descriptor->size != UINT64_MAX && b->size != descriptor->size)
        return report_fail(r, -EBADMSG, "size is %zu, expected %llu", b->size,
            (unsigned long long)descriptor->size);
    return err;
}

/* The manifest of a platform below what was read first. */
static int resolve(struct docker_source *self, const struct oci_registry_options *options,
    const struct oci_platform *platform, struct report *r)
{
    struct oci_document_reader reader = {.read = read_document, .userdata = self->client};
    int err;

    if (options->all_platforms && oci_media_classify(self->top.media_type) == OCI_MEDIA_INDEX)
        return 0;
    err = oci_index_resolve(&self->top, platform, &reader, &self->base.descriptor, r);

    if (err < 0)
        return err;
    if (oci_digest_equal(&self->base.descriptor.digest, &self->top.digest))
        err = buf_append(&self->base.manifest, self->top_bytes.data, self->top_bytes.size);
    else
        err = read_document(self->client, &self->base.descriptor, &self->base.manifest, r);
    return err < 0 && !report_is_set(r) ? report_errno(r, err, "manifest") : err;
}

static int try_endpoint(struct docker_source *self, const struct oci_registry_options *options,
    const struct oci_endpoint *endpoint, const struct oci_reference *reference,
    const struct oci_platform *platform, struct report *r)
{
    const struct oci_digest *digest =
        reference->digest.alg != OCI_DIGEST_NONE ? &reference->digest : NULL;
    int err;

    oci_descriptor_deinit(&self->top);
    oci_descriptor_deinit(&self->base.descriptor);
    self->top_bytes.size = self->base.manifest.size = 0;
    self->client = oci_client_free(self->client);
    err = oci_client_new(self->http, options, endpoint, &self->client, r);
    if (err == 0)
        err = oci_client_read_manifest(
            self->client, reference->tag, digest, &self->top_bytes, &self->top, r);
    if (err == 0)
        err = resolve(self, options, platform, r);
    if (err < 0)
        log_debug(LOG_REGISTRY, "%s/%s: %s", endpoint->host, endpoint->repository,
            report_is_set(r) ? r->text : strerror(-err));
    return err;
}

/* Mirrors first; what the registry itself says counts when all fail. */
static int try_reference(struct docker_source *self, const struct oci_registry_options *options,
    const struct oci_registries *registries, const struct oci_reference *reference,
    const struct oci_platform *platform, struct report *r)
{
    struct oci_endpoint *endpoints = NULL;
    size_t count = 0;
    int err = oci_registries_endpoints(registries, reference, &endpoints, &count, r);

    for (size_t i = 0; i < count; i++) {
        err = try_endpoint(self, options, &endpoints[i], reference, platform, r);
        if (err == 0 || err == -ENOMEM)
            break;
    }
    oci_endpoints_free(endpoints, count);
    if (err == 0) {
        self->base.name = oci_reference_format(reference);
        err = self->base.name ? 0 : -ENOMEM;
    }
    return err;
}

static int find_candidates(const struct oci_location *location,
    const struct oci_registries *registries, struct oci_reference **ret_references,
    size_t *ret_count, struct report *r)
{
    int err;

    if (location->short_name)
        return oci_registries_candidates(
            registries, location->short_name, ret_references, ret_count, r);
    *ret_references = calloc(1, sizeof(**ret_references));
    if (!*ret_references)
        return report_errno(r, -ENOMEM, "image name");
    err = oci_reference_parse(location->name, *ret_references, r);
    *ret_count = err == 0 ? 1 : 0;
    return err;
}

static int open_source(struct docker_source *self, const struct oci_location *location,
    const struct oci_platform *platform, struct report *r)
{
    const struct oci_registry_options *options =
        location->registry ? location->registry : &default_options;
    _cleanup_(oci_registries_freep) struct oci_registries *registries = NULL;
    struct oci_reference *references = NULL;
    size_t count = 0;
    int err = oci_http_new(options->timeout ? options->timeout : OCI_TIMEOUT_DEFAULT,
        options->limit_rate, &self->http);

    if (err < 0)
        return report_errno(r, err, "registry");
    err = oci_registries_load(options->registries_conf, &registries, r);
    if (err == 0)
        err = find_candidates(location, registries, &references, &count, r);
    for (size_t i = 0; i < count; i++) {
        err = try_reference(self, options, registries, &references[i], platform, r);
        if (err == 0 || err == -ENOMEM)
            break;
    }
    oci_references_free(references, count);
    return err;
}

static struct docker_source *source_new(void)
{
    struct docker_source *self = calloc(1, sizeof(*self));

    if (self)
        self->base.ops = &docker_ops;
    return self;
}

int oci_transport_open_docker(const struct oci_location *location,
    const struct oci_platform *platform, struct oci_image_source **ret_source, struct report *r)
{
    _cleanup_(oci_image_source_closep) struct oci_image_source *source = NULL;
    struct docker_source *self = source_new();
    int err;

    if (!self)
        return report_errno(r, -ENOMEM, "registry");
    source = &self->base;
    err = open_source(self, location, platform, r);
    if (err < 0)
        return err;
    if (r)
        *r = REPORT_INIT; /* of mirrors that failed */
    *ret_source = TAKE_PTR(source);
    return 0;
}

/* ---- all platforms ---- */

void oci_index_documents_deinit(struct oci_index_documents *documents)
{
    for (size_t i = 0; i < documents->count; i++) {
        oci_descriptor_deinit(&documents->items[i].descriptor);
        buf_deinit(&documents->items[i].bytes);
    }
    free(documents->items);
    *documents = (struct oci_index_documents){0};
}

/* Reads an index and adds it; a top that was read already is copied. */
static int add_index(struct docker_source *self, const struct oci_descriptor *descriptor,
    struct oci_index_documents *documents, struct report *r)
{
    struct oci_index_document *items =
        reallocarray(documents->items, documents->count + 1, sizeof(*items));
    struct oci_index_document *item;
    int err;

    if (!items)
        return report_errno(r, -ENOMEM, "index");
    documents->items = items;
    item = &items[documents->count];
    *item = (struct oci_index_document){0};
    err = oci_descriptor_copy(descriptor, &item->descriptor);
    if (err < 0)
        return report_errno(r, err, "index");
    documents->count++;
    if (oci_digest_equal(&descriptor->digest, &self->top.digest)) {
        err = buf_append(&item->bytes, self->top_bytes.data, self->top_bytes.size);
        return err < 0 ? report_errno(r, err, "index") : 0;
    }
    return read_document(self->client, descriptor, &item->bytes, r);
}

static bool has_index(const struct oci_index_documents *documents, const struct oci_digest *digest)
{
    for (size_t i = 0; i < documents->count; i++)
        if (oci_digest_equal(&documents->items[i].descriptor.digest, digest))
            return true;
    return false;
}

static int add_nested(
    struct docker_source *self, size_t at, struct oci_index_documents *documents, struct report *r)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    const struct buf *b = &documents->items[at].bytes;
    int err = oci_index_parse(b->data, b->size, &index, r);

    for (size_t i = 0; err == 0 && i < index->count; i++) {
        const struct oci_descriptor *d = &index->manifests[i];

        if (oci_media_classify(d->media_type) != OCI_MEDIA_INDEX ||
            has_index(documents, &d->digest))
            continue;
        if (documents->count >= OCI_INDEX_DOCUMENTS_MAX)
            return report_fail(
                r, -EFBIG, "more than %d indexes inside each other", OCI_INDEX_DOCUMENTS_MAX);
        err = add_index(self, d, documents, r);
    }
    return err;
}

int oci_docker_read_indexes(
    struct oci_image_source *source, struct oci_index_documents *ret_documents, struct report *r)
{
    struct docker_source *self = (struct docker_source *)source;
    struct oci_index_documents documents = {0};
    int err = 0;

    if (source->ops != &docker_ops)
        return report_fail(r, -EOPNOTSUPP, "only registries have images for all platforms");
    if (oci_media_classify(self->top.media_type) == OCI_MEDIA_INDEX)
        err = add_index(self, &self->top, &documents, r);
    for (size_t i = 0; err == 0 && i < documents.count; i++)
        err = add_nested(self, i, &documents, r);
    if (err < 0)
        oci_index_documents_deinit(&documents);
    else
        *ret_documents = documents;
    return err;
}

int oci_docker_open_manifest(struct oci_image_source *source, const struct oci_descriptor *manifest,
    struct oci_image_source **ret_source, struct report *r)
{
    struct docker_source *parent = (struct docker_source *)source;
    _cleanup_(oci_image_source_closep) struct oci_image_source *child = NULL;
    struct docker_source *self = source_new();
    int err = self ? 0 : -ENOMEM;

    if (err < 0)
        return report_errno(r, err, "manifest");
    child = &self->base;
    self->client = parent->client;
    self->borrowed = true;
    err = oci_descriptor_copy(manifest, &child->descriptor);
    if (err < 0)
        return report_errno(r, err, "manifest");
    err = read_document(self->client, manifest, &child->manifest, r);
    if (err < 0)
        return err;
    *ret_source = TAKE_PTR(child);
    return 0;
}
