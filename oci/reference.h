/* SPDX-License-Identifier: Apache-2.0 */
/* Names of images: "[docker://][HOST[:PORT]/]PATH[:TAG][@DIGEST]" and the other transports. */
#ifndef OCI_REFERENCE_H
#define OCI_REFERENCE_H

#include "oci/digest.h"
#include "oci/util/report.h"

/* A registry reference by the grammar of distribution/reference, with docker's defaults. */
struct oci_reference {
    char *registry;           /* "docker.io" */
    char *repository;         /* "library/debian" */
    char *tag;                /* "latest"; NULL when only a digest was given */
    struct oci_digest digest; /* OCI_DIGEST_NONE when none was given */
};

void oci_reference_deinit(struct oci_reference *ref);

/* -EINVAL with a text when malformed. */
int oci_reference_parse(const char *s, struct oci_reference *ret_ref, struct report *r);

/* The full name, for people and annotations; free() it. NULL when out of memory. */
char *oci_reference_format(const struct oci_reference *ref);

enum oci_transport {
    OCI_TRANSPORT_DOCKER,         /* docker://REF, the default */
    OCI_TRANSPORT_OCI,            /* oci:DIR[:TAG] */
    OCI_TRANSPORT_OCI_ARCHIVE,    /* oci-archive:FILE[:TAG] */
    OCI_TRANSPORT_DOCKER_ARCHIVE, /* docker-archive:FILE[:REF] */
};

struct oci_registry_options;

struct oci_location {
    enum oci_transport transport;
    char *path;       /* DIR or FILE; NULL for a registry */
    char *name;       /* tag or reference behind it; NULL when there is none */
    char *short_name; /* what was given when it names no registry ("debian:12"), which name takes to
                         be docker.io's; else NULL */
    const struct oci_registry_options *registry; /* borrowed; NULL: the defaults */
};

void oci_location_deinit(struct oci_location *location);
int oci_location_parse(const char *s, struct oci_location *ret_location, struct report *r);

/* True for a name that image-spec allows in org.opencontainers.image.ref.name and the store takes
 * as a tag: 1..255 bytes of [A-Za-z0-9._:@/+-], starting with a letter or digit. */
bool oci_tag_is_valid(const char *tag);

#endif
