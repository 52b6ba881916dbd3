/* SPDX-License-Identifier: Apache-2.0 */
/* Images in an OCI layout: in a directory (oci:) and in a tar of one (oci-archive:). */
#include "oci/image_archive.h"
#include "oci/document.h"
#include "oci/find.h"
#include "oci/layout_private.h"
#include "oci/transport_private.h"

/* ---- oci:DIR[:TAG] ---- */

struct layout_source {
    struct oci_image_source base;
    struct oci_layout *layout; /* owned */
};

static int layout_open_blob(struct oci_image_source *s, const struct oci_descriptor *descriptor,
    struct oci_source **ret_source, struct report *r)
{
    struct layout_source *self = (struct layout_source *)s;
    int fd = -1;
    int err = oci_layout_open_blob(self->layout, &descriptor->digest, descriptor->size, &fd, r);

    if (err < 0)
        return err;
    err = oci_source_file(fd, 0, descriptor->size, ret_source);
    return err < 0 ? report_errno(r, err, "blob") : 0;
}

static void layout_close(struct oci_image_source *s)
{
    struct layout_source *self = (struct layout_source *)s;

    (void)oci_layout_close(self->layout);
    free(self);
}

static const struct oci_image_source_ops layout_ops = {
    .open_blob = layout_open_blob,
    .close = layout_close,
};

static int layout_load(struct layout_source *self, const struct oci_location *location,
    const struct oci_platform *platform, struct report *r)
{
    int err = oci_layout_find(self->layout, location->name, platform, &self->base.descriptor, r);

    if (err == 0)
        err = oci_layout_read_blob(self->layout, &self->base.descriptor, &self->base.manifest, r);
    return err < 0 ? report_context(r, err, "layout %s", location->path) : 0;
}

int oci_transport_open_layout(const struct oci_location *location,
    const struct oci_platform *platform, struct oci_image_source **ret_source, struct report *r)
{
    _cleanup_(oci_image_source_closep) struct oci_image_source *source = NULL;
    struct layout_source *self = calloc(1, sizeof(*self));
    int err;

    if (!self)
        return report_errno(r, -ENOMEM, "layout %s", location->path);
    self->base.ops = &layout_ops;
    source = &self->base;
    err = oci_layout_open(location->path, &self->layout, r);
    if (err == 0)
        err = layout_load(self, location, platform, r);
    if (err < 0)
        return err;
    *ret_source = TAKE_PTR(source);
    return 0;
}

/* ---- oci-archive:FILE[:TAG] ---- */

struct archive_source {
    struct oci_image_source base;
    struct oci_archive *archive; /* owned */
};

static int archive_find_blob(const struct oci_archive *archive,
    const struct oci_descriptor *descriptor, const struct oci_archive_member **ret_member,
    struct report *r)
{
    char path[OCI_BLOB_PATH_MAX], text[OCI_DIGEST_STR_MAX];
    int err = oci_archive_find(archive, oci_blob_path(&descriptor->digest, path), ret_member, r);

    if (err == -ENOENT)
        return report_fail(
            r, err, "blob %s is missing", oci_digest_format(&descriptor->digest, text));
    if (err == 0 && descriptor->size != UINT64_MAX && (*ret_member)->size != descriptor->size)
        return report_fail(r, -EBADMSG, "blob %s: size is %llu, expected %llu",
            oci_digest_format(&descriptor->digest, text), (unsigned long long)(*ret_member)->size,
            (unsigned long long)descriptor->size);
    return err;
}

static int archive_open_blob(struct oci_image_source *s, const struct oci_descriptor *descriptor,
    struct oci_source **ret_source, struct report *r)
{
    const struct archive_source *self = (const struct archive_source *)s;
    const struct oci_archive_member *member = NULL;
    int err = archive_find_blob(self->archive, descriptor, &member, r);

    return err < 0 ? err : oci_archive_stream(self->archive, member, ret_source, r);
}

static void archive_close(struct oci_image_source *s)
{
    struct archive_source *self = (struct archive_source *)s;

    (void)oci_archive_close(self->archive);
    free(self);
}

static const struct oci_image_source_ops archive_ops = {
    .open_blob = archive_open_blob,
    .close = archive_close,
};

static int archive_read_document(
    void *userdata, const struct oci_descriptor *descriptor, struct buf *b, struct report *r)
{
    const struct oci_archive *archive = userdata;
    const struct oci_archive_member *member = NULL;
    int err = archive_find_blob(archive, descriptor, &member, r);

    if (err == 0)
        err = oci_archive_read(archive, member, OCI_DOCUMENT_MAX, b, r);
    return err < 0 ? err : oci_document_verify(&descriptor->digest, b, r);
}

/* Reads index.json, after a look at the file that says that this is a layout. */
static int archive_read_index(
    const struct oci_archive *archive, struct oci_index **ret_index, struct report *r)
{
    _cleanup_(buf_deinit) struct buf version = {0};
    _cleanup_(buf_deinit) struct buf index = {0};
    const struct oci_archive_member *member = NULL;
    int err = oci_archive_find(archive, OCI_LAYOUT_FILE, &member, r);

    if (err == -ENOENT)
        return report_fail(r, -EBADMSG, "not an OCI archive: no member " OCI_LAYOUT_FILE);
    if (err == 0)
        err = oci_archive_read(archive, member, OCI_DOCUMENT_MAX, &version, r);
    if (err == 0)
        err = oci_layout_check_version(&version, r);
    if (err == 0)
        err = oci_archive_find(archive, OCI_INDEX_FILE, &member, r);
    if (err == 0)
        err = oci_archive_read(archive, member, OCI_DOCUMENT_MAX, &index, r);
    return err < 0 ? err : oci_index_parse(index.data, index.size, ret_index, r);
}

static int archive_load(struct archive_source *self, const struct oci_location *location,
    const struct oci_platform *platform, struct report *r)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    struct oci_document_reader reader = {.read = archive_read_document, .userdata = self->archive};
    int err = archive_read_index(self->archive, &index, r);

    if (err == 0)
        err = oci_index_find(index, location->name, platform, &reader, &self->base.descriptor, r);
    if (err == 0)
        err = archive_read_document(self->archive, &self->base.descriptor, &self->base.manifest, r);
    return err < 0 ? report_context(r, err, "archive %s", location->path) : 0;
}

int oci_transport_open_oci_archive(const struct oci_location *location,
    const struct oci_platform *platform, struct oci_image_source **ret_source, struct report *r)
{
    _cleanup_(oci_image_source_closep) struct oci_image_source *source = NULL;
    struct archive_source *self = calloc(1, sizeof(*self));
    int err;

    if (!self)
        return report_errno(r, -ENOMEM, "archive %s", location->path);
    self->base.ops = &archive_ops;
    source = &self->base;
    err = oci_archive_open(location->path, &self->archive, r);
    if (err == 0)
        err = archive_load(self, location, platform, r);
    if (err < 0)
        return err;
    *ret_source = TAKE_PTR(source);
    return 0;
}
