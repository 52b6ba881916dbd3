/* SPDX-License-Identifier: Apache-2.0 */
/* Images for all platforms of an index.
 *
 * Below an index come images, further indexes, and manifests of other things, attestations mostly.
 * Blobs appear before what names them, so that the index is complete when the tag points at it. */
#include <stdio.h>

#include "layerfs/store/image.h"
#include "oci/registry/docker.h"

/* One blob as it is, its size and digest checked. */
static int copy_blob(struct lfs_store *store, struct oci_image_source *source,
    const struct oci_descriptor *blob, struct lfs_lease *lease, struct report *r)
{
    _cleanup_(oci_blob_writer_freep) struct oci_blob_writer *w = NULL;
    _cleanup_(oci_source_closep) struct oci_source *s = NULL;
    struct oci_source *raw;
    char what[OCI_DIGEST_STR_MAX + 8], text[OCI_DIGEST_STR_MAX];
    const uint8_t *data;
    ssize_t n;
    int err = lfs_lease_add_blob(lease, &blob->digest, r);

    if (err < 0 || oci_layout_has_blob(lfs_store_layout(store), &blob->digest, blob->size))
        return err;
    (void)snprintf(what, sizeof(what), "blob %s", oci_digest_format(&blob->digest, text));
    err = oci_image_source_open_blob(source, blob, &raw, r);
    if (err == 0)
        err = oci_source_verify(raw, what, blob->size, &blob->digest, NULL, &s);
    if (err == 0)
        err = oci_blob_writer_new(lfs_store_layout(store), &w);
    while (err == 0 && (n = oci_source_next(s, &data, r)) != 0)
        err = n < 0 ? (int)n : oci_blob_writer_write(w, data, (size_t)n);
    if (err == 0)
        err = oci_blob_writer_commit(w, &blob->digest, true);
    return err < 0 && !report_is_set(r) ? report_errno(r, err, "%s", what) : err;
}

/* What is no image: all blobs that its manifest names. */
static int copy_other(struct lfs_store *store, struct oci_image_source *child,
    struct lfs_lease *lease, struct report *r)
{
    _cleanup_(oci_manifest_freep) struct oci_manifest *manifest = NULL;
    int err = oci_manifest_parse(child->manifest.data, child->manifest.size, &manifest, r);

    if (err == 0)
        err = copy_blob(store, child, &manifest->config, lease, r);
    for (size_t i = 0; err == 0 && i < manifest->layer_count; i++)
        err = copy_blob(store, child, &manifest->layers[i], lease, r);
    if (err == 0)
        err = lfs_lease_add_blob(lease, &child->descriptor.digest, r);
    return err < 0 ? err
                   : lfs_image_put_document(
                         store, "manifest", &child->manifest, &child->descriptor.digest, r);
}

static int import_entry(struct lfs_store *store, struct oci_image_source *source,
    const struct oci_descriptor *entry, const struct lfs_ingest_options *options, struct report *r)
{
    _cleanup_(oci_image_source_closep) struct oci_image_source *child = NULL;
    int err;

    if (oci_media_classify(entry->media_type) != OCI_MEDIA_MANIFEST ||
        entry->digest.alg == OCI_DIGEST_NONE)
        return 0;
    err = oci_docker_open_manifest(source, entry, &child, r);
    if (err < 0)
        return err;
    if (!oci_index_entry_is_image(entry))
        return copy_other(store, child, options->lease, r);
    return lfs_image_import(store, child, NULL, options, NULL, r);
}

static int import_index(struct lfs_store *store, struct oci_image_source *source,
    const struct oci_index_document *document, const struct lfs_ingest_options *options,
    struct report *r)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    int err = oci_index_parse(document->bytes.data, document->bytes.size, &index, r);

    for (size_t i = 0; err == 0 && i < index->count; i++) {
        char text[OCI_DIGEST_STR_MAX];

        err = import_entry(store, source, &index->manifests[i], options, r);
        if (err < 0)
            return report_context(
                r, err, "manifest %s", oci_digest_format(&index->manifests[i].digest, text));
    }
    return err;
}

/* The indexes, innermost first. */
static int put_indexes(
    struct lfs_store *store, const struct oci_index_documents *documents, struct report *r)
{
    int err = 0;

    for (size_t i = documents->count; err == 0 && i-- > 0;)
        err = lfs_image_put_document(
            store, "index", &documents->items[i].bytes, &documents->items[i].descriptor.digest, r);
    return err;
}

int lfs_index_import(struct lfs_store *store, struct oci_image_source *source, const char *tag,
    const struct lfs_ingest_options *options, struct oci_descriptor *ret_descriptor,
    struct report *r)
{
    _cleanup_(oci_index_documents_deinit) struct oci_index_documents documents = {0};
    _cleanup_(lfs_lease_freep) struct lfs_lease *lease = NULL;
    struct lfs_ingest_options each = *options;
    int err = oci_docker_read_indexes(source, &documents, r);

    if (err == 0 && documents.count == 0)
        return lfs_image_import(store, source, tag, options, ret_descriptor, r);
    /* One lease until the tag is there: no image of it has an entry before. */
    if (err == 0)
        err = lfs_lease_new(store, &lease, r);
    each.no_entry = true;
    each.lease = lease;
    for (size_t i = 0; err == 0 && i < documents.count; i++)
        err = lfs_lease_add_blob(lease, &documents.items[i].descriptor.digest, r);
    for (size_t i = 0; err == 0 && i < documents.count; i++)
        err = import_index(store, source, &documents.items[i], &each, r);
    if (err == 0)
        err = put_indexes(store, &documents, r);
    if (err == 0)
        err = lfs_image_tag(store, &documents.items[0].descriptor, tag, r);
    if (err == 0 && ret_descriptor)
        err = oci_descriptor_copy(&documents.items[0].descriptor, ret_descriptor);
    return err;
}
