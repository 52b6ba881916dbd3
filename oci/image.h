/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors, manifests, indexes and configs (image-spec; docker schema 2 is read alike).
 *
 * Parsing is strict about what is used and keeps what is not: every document can be had back as the
 * bytes it came in. Limits: 4 MiB a document, 4 levels of indexes, 4096 manifests an index, 1024
 * layers a manifest. Errors: -EBADMSG (malformed), -EFBIG (a limit), -EOPNOTSUPP (media type or
 * schema 1), each with a text. */
#ifndef OCI_IMAGE_H
#define OCI_IMAGE_H

#include <jansson.h>

#include "oci/digest.h"
#include "oci/util/buf.h"
#include "oci/util/report.h"

enum {
    OCI_DOCUMENT_MAX = 4 << 20,
    OCI_LAYERS_MAX = 1024,
    OCI_INDEX_DEPTH_MAX = 4,
    OCI_INDEX_MANIFESTS_MAX = 4096
};

enum oci_media {
    OCI_MEDIA_UNKNOWN,
    OCI_MEDIA_INDEX,    /* OCI index or docker manifest list */
    OCI_MEDIA_MANIFEST, /* OCI manifest or docker schema 2 */
    OCI_MEDIA_CONFIG,
    OCI_MEDIA_LAYER,         /* any compression: the content says which */
    OCI_MEDIA_LAYER_FOREIGN, /* non-distributable */
};

#define OCI_TYPE_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_TYPE_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_TYPE_LAYER "application/vnd.oci.image.layer.v1.tar"
#define OCI_TYPE_LAYER_GZIP OCI_TYPE_LAYER "+gzip"
#define OCI_TYPE_LAYER_ZSTD OCI_TYPE_LAYER "+zstd"
#define OCI_TYPE_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define OCI_TYPE_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define OCI_TYPE_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define OCI_TYPE_DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar.gzip"

enum oci_media oci_media_classify(const char *media_type);

/* "os/arch[/variant]". Fields are empty when unknown. */
struct oci_platform {
    char os[32], architecture[32], variant[32];
};

/* The platform of this machine, in Go's names (amd64, arm64, arm with v7, …). */
struct oci_platform oci_platform_host(void);
int oci_platform_parse(const char *s, struct oci_platform *ret_platform);
const char *oci_platform_format(const struct oci_platform *p, char buf[static 100]);

/* How well an image of platform `have` serves on `want`: 0 not at all, more is better (an exact
 * variant over a compatible lower one: arm v7 takes v6 and v5; amd64 v1 is amd64). */
int oci_platform_match(const struct oci_platform *want, const struct oci_platform *have);

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
/* NULL when there is none; borrowed. */
const char *oci_descriptor_annotation(const struct oci_descriptor *d, const char *key);

struct oci_index {
    struct oci_descriptor *manifests; /* owned */
    size_t count;
};

struct oci_index *oci_index_free(struct oci_index *index);
DEFINE_CLEANUP(struct oci_index *, oci_index_free)
int oci_index_parse(const void *data, size_t size, struct oci_index **ret_index, struct report *r);

/* The best entry for a platform: its position, or -ENOENT with a text that lists what there is. */
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

/* Canonical bytes of a JSON value we make: compact, keys sorted. */
int oci_json_dump(const json_t *json, struct buf *b);

/* json_loadb with the document limit, duplicate keys refused and a one-line text; nesting is
 * bounded by jansson. */
int oci_json_load(
    const void *data, size_t size, const char *what, json_t **ret_json, struct report *r);

#endif
