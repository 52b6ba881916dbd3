/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors, manifests, indexes and configs (image-spec; docker schema 2 is read alike).
 *
 * Parsing is strict about what is used and keeps what is not: every document can be had back as the
 * bytes it came in. Limits: 4 MiB a document, 4 levels of indexes, 4096 manifests an index, 1024
 * layers a manifest. Errors: -EBADMSG (malformed), -EFBIG (a limit), -EOPNOTSUPP (media type or
 * schema 1), each with a text. */
#ifndef OCI_IMAGE_H
#define OCI_IMAGE_H

#include "oci/json.h"
#include "oci/media.h"
#include "oci/platform.h"

enum {
    OCI_LAYERS_MAX = 1024,
    OCI_INDEX_DEPTH_MAX = 4,
    OCI_INDEX_MANIFESTS_MAX = 4096,
};

struct oci_descriptor {
    char *media_type; /* owned */
    struct oci_digest digest;
    uint64_t size;
    struct oci_platform platform;
    bool has_platform;
    json_t *json; /* owned reference: the whole descriptor, annotations and urls included */
};

void oci_descriptor_deinit(struct oci_descriptor *d);
int oci_descriptor_parse(json_t *json, struct oci_descriptor *ret_descriptor, struct report *r);
/* The same for an entry of an index, where a digest of an unknown algorithm may be somebody else's
 * business: it becomes OCI_DIGEST_NONE. */
int oci_descriptor_parse_entry(
    json_t *json, struct oci_descriptor *ret_descriptor, struct report *r);
/* A descriptor of these three fields. */
int oci_descriptor_make(const char *media_type, const struct oci_digest *digest, uint64_t size,
    struct oci_descriptor *ret_descriptor);
/* The copy shares the JSON value. */
int oci_descriptor_copy(const struct oci_descriptor *d, struct oci_descriptor *ret_descriptor);
/* NULL when there is none; borrowed. */
const char *oci_descriptor_annotation(const struct oci_descriptor *d, const char *key);

struct oci_index {
    struct oci_descriptor *manifests; /* owned */
    size_t count;
};

struct oci_index *oci_index_free(struct oci_index *index);
DEFINE_CLEANUP(struct oci_index *, oci_index_free)
int oci_index_parse(const void *data, size_t size, struct oci_index **ret_index, struct report *r);
/* From a document that is parsed already. */
int oci_index_from_json(json_t *json, struct oci_index **ret_index, struct report *r);

/* True for an entry that can be an image: an index or manifest with a digest we can check, and
 * neither an artifact nor an attestation. */
bool oci_index_entry_is_image(const struct oci_descriptor *d);

/* The best entry for a platform: its position, or -ENOENT with a text that lists what there is. A
 * single image without a platform is taken for any. */
ssize_t oci_index_select(
    const struct oci_index *index, const struct oci_platform *want, struct report *r);

struct oci_manifest {
    struct oci_descriptor config;
    struct oci_descriptor *layers; /* owned, lowest first */
    size_t layer_count;
};

struct oci_manifest *oci_manifest_free(struct oci_manifest *manifest);
DEFINE_CLEANUP(struct oci_manifest *, oci_manifest_free)
int oci_manifest_parse(
    const void *data, size_t size, struct oci_manifest **ret_manifest, struct report *r);

struct oci_config {
    struct oci_platform platform;
    struct oci_digest *diff_ids; /* owned, lowest first */
    size_t diff_id_count;
    json_t *json; /* owned reference: everything */
};

struct oci_config *oci_config_free(struct oci_config *config);
DEFINE_CLEANUP(struct oci_config *, oci_config_free)
int oci_config_parse(
    const void *data, size_t size, struct oci_config **ret_config, struct report *r);

/* -EBADMSG when manifest and config do not have the same number of layers. */
int oci_image_check(
    const struct oci_manifest *manifest, const struct oci_config *config, struct report *r);

#endif
