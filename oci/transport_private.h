/* SPDX-License-Identifier: Apache-2.0 */
/* The transports behind oci_image_source_open(). Internal to oci. */
#ifndef OCI_TRANSPORT_PRIVATE_H
#define OCI_TRANSPORT_PRIVATE_H

#include "oci/transport.h"

typedef int (*oci_transport_open_fn)(const struct oci_location *location,
    const struct oci_platform *platform, struct oci_image_source **ret_source, struct report *r);

/* Each allocates an implementation with its first member filled: ops, descriptor, manifest. */
int oci_transport_open_layout(const struct oci_location *location,
    const struct oci_platform *platform, struct oci_image_source **ret_source, struct report *r);
int oci_transport_open_oci_archive(const struct oci_location *location,
    const struct oci_platform *platform, struct oci_image_source **ret_source, struct report *r);
int oci_transport_open_docker(const struct oci_location *location,
    const struct oci_platform *platform, struct oci_image_source **ret_source, struct report *r);
int oci_transport_open_docker_archive(const struct oci_location *location,
    const struct oci_platform *platform, struct oci_image_source **ret_source, struct report *r);

#endif
