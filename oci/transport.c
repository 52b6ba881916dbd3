/* SPDX-License-Identifier: Apache-2.0 */
/* Where images are pulled from: the table of transports. */
#include "oci/document.h"
#include "oci/transport_private.h"

static const struct {
    const char *name;
    oci_transport_open_fn open;
} transports[] = {
    [OCI_TRANSPORT_DOCKER] = {"docker", oci_transport_open_docker},
    [OCI_TRANSPORT_OCI] = {"oci", oci_transport_open_layout},
    [OCI_TRANSPORT_OCI_ARCHIVE] = {"oci-archive", oci_transport_open_oci_archive},
    [OCI_TRANSPORT_DOCKER_ARCHIVE] = {"docker-archive", oci_transport_open_docker_archive},
};

/* Reads a small blob as a whole and checks it. */
static int read_document(struct oci_image_source *s, const struct oci_descriptor *descriptor,
    struct buf *b, struct report *r)
{
    _cleanup_(oci_source_closep) struct oci_source *source = NULL;
    const uint8_t *data = NULL;
    ssize_t n;
    int err = oci_image_source_open_blob(s, descriptor, &source, r);

    if (err < 0)
        return err;
    while ((n = oci_source_next(source, &data, r)) > 0) {
        if ((size_t)n > OCI_DOCUMENT_MAX - b->size)
            return report_fail(r, -EFBIG, "more than %d bytes", OCI_DOCUMENT_MAX);
        err = buf_append(b, data, (size_t)n);
        if (err < 0)
            return report_errno(r, err, "reading");
    }
    return n < 0 ? (int)n : oci_document_verify(&descriptor->digest, b, r);
}

/* An index says what its manifests are for, a lone manifest does not: its config does. Only who
 * asks for a platform wants to know. */
static int check_platform(
    struct oci_image_source *s, const struct oci_platform *platform, struct report *r)
{
    _cleanup_(oci_manifest_freep) struct oci_manifest *manifest = NULL;
    _cleanup_(oci_config_freep) struct oci_config *config = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};
    char want[100], have[100];
    int err = oci_manifest_parse(s->manifest.data, s->manifest.size, &manifest, r);

    if (err < 0)
        return err;
    err = read_document(s, &manifest->config, &b, r);
    if (err == 0)
        err = oci_config_parse(b.data, b.size, &config, r);
    if (err < 0)
        return report_context(r, err, "config");
    if (oci_platform_match(platform, &config->platform) > 0)
        return 0;
    return report_fail(r, -ENOENT, "no image for %s (there is: %s)",
        oci_platform_format(platform, want), oci_platform_format(&config->platform, have));
}

int oci_image_source_open(const struct oci_location *location, const struct oci_platform *platform,
    struct oci_image_source **ret_source, struct report *r)
{
    _cleanup_(oci_image_source_closep) struct oci_image_source *source = NULL;
    int err;

    if ((size_t)location->transport >= ARRAY_SIZE(transports))
        return report_fail(r, -EOPNOTSUPP, "unknown transport");
    err = transports[location->transport].open(location, platform, &source, r);
    if (err < 0)
        return err;
    err = platform ? check_platform(source, platform, r) : 0;
    if (err < 0)
        return report_context(r, err, "%s:%s", transports[location->transport].name,
            location->path ? location->path : location->name);
    *ret_source = TAKE_PTR(source);
    return 0;
}

int oci_image_source_open_blob(struct oci_image_source *s, const struct oci_descriptor *descriptor,
    struct oci_source **ret_source, struct report *r)
{
    return s->ops->open_blob(s, descriptor, ret_source, r);
}

bool oci_image_source_can_resume(const struct oci_image_source *s)
{
    return s->ops->open_blob_at != NULL;
}

int oci_image_source_open_blob_at(struct oci_image_source *s,
    const struct oci_descriptor *descriptor, uint64_t offset, struct oci_source **ret_source,
    struct report *r)
{
    if (!s->ops->open_blob_at)
        return report_fail(r, -EOPNOTSUPP, "this transport has only whole blobs");
    return s->ops->open_blob_at(s, descriptor, offset, ret_source, r);
}

struct oci_image_source *oci_image_source_close(struct oci_image_source *s)
{
    if (s) {
        oci_descriptor_deinit(&s->descriptor);
        buf_deinit(&s->manifest);
        free(s->name);
        s->ops->close(s);
    }
    return NULL;
}
