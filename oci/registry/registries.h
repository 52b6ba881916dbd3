/* SPDX-License-Identifier: Apache-2.0 */
/* registries.conf, version 2 (containers-registries.conf): which registries a name means.
 *
 * Read is the file that was asked for, or $CONTAINERS_REGISTRIES_CONF, and nothing else; else
 * ~/.config/containers/registries.conf where it is there, or /etc/containers/registries.conf, with
 * the *.conf of registries.conf.d beside it and of /etc/containers/registries.conf.d. Later
 * files replace lists, entries of the same prefix and aliases. */
#ifndef OCI_REGISTRY_REGISTRIES_H
#define OCI_REGISTRY_REGISTRIES_H

#include "oci/reference.h"

struct oci_registries;

/* path NULL: as above. -ENOENT for a file that was asked for, -EBADMSG, with a text. */
int oci_registries_load(const char *path, struct oci_registries **ret_registries, struct report *r);
struct oci_registries *oci_registries_free(struct oci_registries *registries);
DEFINE_CLEANUP(struct oci_registries *, oci_registries_free)

/* From the text of one file, for who has it; `what` names it. Adds to what is there. */
int oci_registries_new(struct oci_registries **ret_registries);
int oci_registries_add(struct oci_registries *registries, const char *text, size_t size,
    const char *what, struct report *r);

/* The images that a short name ("debian:12") may mean, in the order to try: what its alias says,
 * else one for each unqualified-search registry, else docker.io's. Free with
 * oci_references_free(). */
int oci_registries_candidates(const struct oci_registries *registries, const char *short_name,
    struct oci_reference **ret_references, size_t *ret_count, struct report *r);
void oci_references_free(struct oci_reference *references, size_t count);

/* Where an image may be fetched from: its mirrors in their order, then its own place. */
struct oci_endpoint {
    char *host;       /* host[:port] */
    char *repository; /* below it */
    bool insecure;
};

/* -EPERM with a text when the registry is blocked. Free with oci_endpoints_free(). */
int oci_registries_endpoints(const struct oci_registries *registries,
    const struct oci_reference *reference, struct oci_endpoint **ret_endpoints, size_t *ret_count,
    struct report *r);
void oci_endpoints_free(struct oci_endpoint *endpoints, size_t count);

#endif
