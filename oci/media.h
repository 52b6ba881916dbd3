/* SPDX-License-Identifier: Apache-2.0 */
/* Media types of images (image-spec, media-types.md, and docker's of schema 2). */
#ifndef OCI_MEDIA_H
#define OCI_MEDIA_H

#include "oci/util/macros.h"

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

/* True for docker's manifests before schema 2, which are refused with a text of their own. */
bool oci_media_is_docker_schema1(const char *media_type);

/* The grammar of RFC 6838, section 4.2: type "/" subtype. */
bool oci_media_is_well_formed(const char *media_type);

#endif
