/* SPDX-License-Identifier: Apache-2.0 */
/* Where images are pulled from: the table of transports. */
#include "oci/transport_private.h"

static int open_registry(_unused_ const struct oci_location *location,
    _unused_ const struct oci_platform *platform, _unused_ struct oci_image_source **ret_source,
    struct report *r)
{
    return report_fail(r, -EOPNOTSUPP, "this build cannot pull from a registry (docker://)");
}

static const struct {
    const char *name;
    oci_transport_open_fn open;
} transports[] = {
    [OCI_TRANSPORT_DOCKER] = {"docker", open_registry},
    [OCI_TRANSPORT_OCI] = {"oci", oci_transport_open_layout},
    [OCI_TRANSPORT_OCI_ARCHIVE] = {"oci-archive", oci_transport_open_oci_archive},
    [OCI_TRANSPORT_DOCKER_ARCHIVE] = {"docker-archive", oci_transport_open_docker_archive},
};

int oci_image_source_open(const struct oci_location *location, const struct oci_platform *platform,
    struct oci_image_source **ret_source, struct report *r)
{
    if ((size_t)location->transport >= ARRAY_SIZE(transports))
        return report_fail(r, -EOPNOTSUPP, "unknown transport");
    return transports[location->transport].open(location, platform, ret_source, r);
}

int oci_image_source_open_blob(struct oci_image_source *s, const struct oci_descriptor *descriptor,
    struct oci_source **ret_source, struct report *r)
{
    return s->ops->open_blob(s, descriptor, ret_source, r);
}

struct oci_image_source *oci_image_source_close(struct oci_image_source *s)
{
    if (s) {
        oci_descriptor_deinit(&s->descriptor);
        buf_deinit(&s->manifest);
        s->ops->close(s);
    }
    return NULL;
}
