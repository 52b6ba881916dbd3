/* SPDX-License-Identifier: Apache-2.0 */
/* Images in a tar as docker save, podman save and skopeo make it (docker-archive:FILE[:REF]).
 *
 *     manifest.json   [{"Config": NAME, "RepoTags": [REF, …], "Layers": [NAME, …]}, …]
 *
 * There is no manifest, so one is made, from the config and the members that are its layers:
 *
 *     a plain tar   its digest is the diffID that the config has for it: nothing is read here, and
 *                   whoever reads the layer verifies it
 *     compressed    the digest of the bytes as they are: from the member's name where that is
 *                   blobs/sha256/<hex> (as newer dockers write it), else by reading them once */
#include <stdio.h>
#include <string.h>

#include "oci/image_archive.h"
#include "oci/document.h"
#include "oci/transport_private.h"

enum { HASH_CHUNK = 256 << 10 };

/* What a digest of the made manifest stands for. */
struct docker_blob {
    struct oci_descriptor descriptor;
    const struct oci_archive_member *member; /* borrowed from the archive */
};

struct docker_source {
    struct oci_image_source base;
    struct oci_archive *archive; /* owned */
    struct docker_blob *blobs;   /* owned; the config, then the layers, lowest first */
    size_t blob_count;
};

static int docker_open_blob(struct oci_image_source *s, const struct oci_descriptor *descriptor,
    struct oci_source **ret_source, struct report *r)
{
    const struct docker_source *self = (const struct docker_source *)s;
    char text[OCI_DIGEST_STR_MAX];

    for (size_t i = 0; i < self->blob_count; i++)
        if (oci_digest_equal(&self->blobs[i].descriptor.digest, &descriptor->digest))
            return oci_archive_stream(self->archive, self->blobs[i].member, ret_source, r);
    return report_fail(
        r, -ENOENT, "blob %s is missing", oci_digest_format(&descriptor->digest, text));
}

static void docker_close(struct oci_image_source *s)
{
    struct docker_source *self = (struct docker_source *)s;

    for (size_t i = 0; i < self->blob_count; i++)
        oci_descriptor_deinit(&self->blobs[i].descriptor);
    free(self->blobs);
    (void)oci_archive_close(self->archive);
    free(self);
}

static const struct oci_image_source_ops docker_ops = {
    .open_blob = docker_open_blob,
    .close = docker_close,
};

/* ---- which image ---- */

static int read_json(
    const struct oci_archive *archive, const char *name, json_t **ret_json, struct report *r)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    const struct oci_archive_member *member = NULL;
    int err = oci_archive_find(archive, name, &member, r);

    if (err == 0)
        err = oci_archive_read(archive, member, OCI_DOCUMENT_MAX, &b, r);
    return err < 0 ? err : oci_json_load(b.data, b.size, name, ret_json, r);
}

/* The same image under its full name: "debian" is "docker.io/library/debian:latest". */
static char *full_name(const char *name)
{
    struct oci_reference ref;
    char *full;

    if (oci_reference_parse(name, &ref, NULL) < 0)
        return NULL;
    full = oci_reference_format(&ref);
    oci_reference_deinit(&ref);
    return full;
}

static bool has_name(const json_t *image, const char *name)
{
    _cleanup_(freep) char *wanted = full_name(name);
    json_t *tags = json_object_get(image, "RepoTags"), *tag;
    size_t i;

    json_array_foreach(tags, i, tag)
    {
        _cleanup_(freep) char *have = full_name(json_string_value(tag));

        if (wanted && have && strcmp(wanted, have) == 0)
            return true;
    }
    return false;
}

/* "a:1, b:2, @2": what may follow the file's name. */
static char *list_images(const json_t *images)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    json_t *image;
    size_t i;

    json_array_foreach(images, i, image)
    {
        const char *tag = json_string_value(json_array_get(json_object_get(image, "RepoTags"), 0));

        if (tag)
            (void)buf_printf(&b, "%s%s", i ? ", " : "", tag);
        else
            (void)buf_printf(&b, "%s@%zu", i ? ", " : "", i);
    }
    return buf_steal_str(&b);
}

static int fail_choice(const json_t *images, const char *name, struct report *r)
{
    _cleanup_(freep) char *list = list_images(images);

    if (!name)
        return report_fail(r, -EEXIST, "%zu images, a name is needed: %s", json_array_size(images),
            list ? list : "");
    return report_fail(
        r, -ENOENT, "no image \"%s\" (there is: %s)", name, list && list[0] ? list : "none");
}

/* Borrowed. name is "@N", a reference, or NULL for the only image. */
static int choose_image(
    const json_t *images, const char *name, json_t **ret_image, struct report *r)
{
    json_t *image, *found = NULL;
    size_t i;

    if (!name && json_array_size(images) == 1)
        found = json_array_get(images, 0);
    else if (!name && json_array_size(images) == 0)
        return report_fail(r, -ENOENT, "there is no image");
    else if (name && name[0] == '@')
        found = json_array_get(images, strtoul(name + 1, NULL, 10));
    else if (name)
        json_array_foreach(images, i, image) if (!found && has_name(image, name)) found = image;
    if (!found)
        return fail_choice(images, name, r);
    *ret_image = found;
    return 0;
}

static int check_images(const json_t *images, struct report *r)
{
    json_t *image;
    size_t i;

    if (!json_is_array(images))
        return report_fail(r, -EBADMSG, "manifest.json: not an array");
    json_array_foreach(images, i, image)
    {
        int err;

        if (!json_is_object(image))
            return report_fail(r, -EBADMSG, "manifest.json: [%zu] is not an object", i);
        err = oci_json_check_strings(image, "RepoTags", "manifest.json", r);
        if (err == 0)
            err = oci_json_check_strings(image, "Layers", "manifest.json", r);
        if (err < 0)
            return err;
    }
    return 0;
}

/* ---- its parts ---- */

/* The sha256 that a name claims: "[DIR/]<64 hex>" and then `suffix`. */
static bool digest_of_name(const char *name, const char *suffix, struct oci_digest *ret_digest)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    char text[OCI_DIGEST_STR_MAX];

    if (strlen(base) != 64 + strlen(suffix) || strcmp(base + 64, suffix) != 0)
        return false;
    (void)snprintf(text, sizeof(text), "sha256:%.64s", base);
    return oci_digest_parse(text, ret_digest) == 0;
}

/* True for blobs/sha256/<hex>, which docker writes as it does in a layout. */
static bool digest_of_blob(const char *name, struct oci_digest *ret_digest)
{
    return strncmp(name, "blobs/sha256/", 13) == 0 && digest_of_name(name, "", ret_digest);
}

static int hash_member(const struct oci_archive *archive, const struct oci_archive_member *member,
    struct oci_digest *ret_digest)
{
    _cleanup_(oci_hash_freep) struct oci_hash *hash = NULL;
    _cleanup_(freep) uint8_t *chunk = malloc(HASH_CHUNK);
    uint64_t offset = 0;
    int err = chunk ? oci_hash_new(OCI_DIGEST_SHA256, &hash) : -ENOMEM;

    while (err == 0 && offset < member->size) {
        ssize_t n = oci_archive_pread(archive, member, chunk, HASH_CHUNK, offset);

        if (n <= 0)
            return n < 0 ? (int)n : -EBADMSG;
        err = oci_hash_update(hash, chunk, (size_t)n);
        offset += (uint64_t)n;
    }
    return err < 0 ? err : oci_hash_final(hash, ret_digest);
}

/* The media type of a layer by its first bytes; what is not compressed counts as a plain tar. */
static int sniff_layer(const struct oci_archive *archive, const struct oci_archive_member *member,
    const char **ret_type, struct report *r)
{
    static const uint8_t gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    uint8_t head[4] = {0};
    ssize_t n = oci_archive_pread(archive, member, head, sizeof(head), 0);

    if (n < 0)
        return report_errno(r, (int)n, "%s", member->name);
    if (memcmp(head, gzip, sizeof(gzip)) == 0)
        *ret_type = OCI_TYPE_LAYER_GZIP;
    else if (memcmp(head, zstd, sizeof(zstd)) == 0)
        *ret_type = OCI_TYPE_LAYER_ZSTD;
    else
        *ret_type = OCI_TYPE_LAYER;
    return 0;
}

static int add_blob(struct docker_source *self, const char *media_type,
    const struct oci_digest *digest, const struct oci_archive_member *member, struct report *r)
{
    struct docker_blob *blob = &self->blobs[self->blob_count];
    int err = oci_descriptor_make(media_type, digest, member->size, &blob->descriptor);

    if (err < 0)
        return report_errno(r, err, "%s", member->name);
    blob->member = member;
    self->blob_count++;
    return 0;
}

static int add_layer(struct docker_source *self, const char *name, const struct oci_digest *diff_id,
    struct report *r)
{
    const struct oci_archive_member *member = NULL;
    struct oci_digest digest = *diff_id;
    const char *type = NULL;
    int err = oci_archive_find(self->archive, name, &member, r);

    if (err == 0)
        err = sniff_layer(self->archive, member, &type, r);
    if (err < 0)
        return report_context(r, err, "layer");
    if (strcmp(type, OCI_TYPE_LAYER) != 0 && !digest_of_blob(member->name, &digest))
        err = hash_member(self->archive, member, &digest);
    return err < 0 ? report_errno(r, err, "layer %s", name)
                   : add_blob(self, type, &digest, member, r);
}

static int add_layers(struct docker_source *self, const json_t *image,
    const struct oci_config *config, struct report *r)
{
    json_t *names = json_object_get(image, "Layers"), *name;
    size_t i;

    if (json_array_size(names) != config->diff_id_count)
        return report_fail(r, -EBADMSG, "%zu layers, but the config has %zu diff_ids",
            json_array_size(names), config->diff_id_count);
    json_array_foreach(names, i, name)
    {
        int err = add_layer(self, json_string_value(name), &config->diff_ids[i], r);

        if (err < 0)
            return err;
    }
    return 0;
}

/* Reads the config and makes room for it and its layers in self->blobs. */
static int add_config(struct docker_source *self, const json_t *image,
    struct oci_config **ret_config, struct report *r)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    const struct oci_archive_member *member = NULL;
    struct oci_digest digest, named;
    const char *name = NULL;
    int err = oci_json_get_string(image, "Config", OCI_JSON_REQUIRED, "manifest.json", &name, r);

    if (err == 0)
        err = oci_archive_find(self->archive, name, &member, r);
    if (err == 0)
        err = oci_archive_read(self->archive, member, OCI_DOCUMENT_MAX, &b, r);
    if (err == 0 && (digest_of_name(name, ".json", &named) || digest_of_blob(name, &named)))
        err = oci_document_verify(&named, &b, r);
    if (err == 0)
        err = oci_config_parse(b.data, b.size, ret_config, r);
    if (err < 0)
        return err;
    self->blobs = calloc(1 + (*ret_config)->diff_id_count, sizeof(*self->blobs));
    err = self->blobs ? oci_digest_of(OCI_DIGEST_SHA256, b.data, b.size, &digest) : -ENOMEM;
    return err < 0 ? report_errno(r, err, "%s", name)
                   : add_blob(self, OCI_TYPE_CONFIG, &digest, member, r);
}

/* ---- the manifest that is made ---- */

static json_t *manifest_json(const struct docker_source *self)
{
    _cleanup_(oci_json_unrefp) json_t *layers = json_array();

    if (!layers)
        return NULL;
    for (size_t i = 1; i < self->blob_count; i++)
        if (json_array_append(layers, self->blobs[i].descriptor.json) < 0)
            return NULL;
    return json_pack("{s:i, s:s, s:O, s:O}", "schemaVersion", 2, "mediaType", OCI_TYPE_MANIFEST,
        "config", self->blobs[0].descriptor.json, "layers", layers);
}

static int make_manifest(struct docker_source *self)
{
    _cleanup_(oci_json_unrefp) json_t *json = manifest_json(self);
    struct buf *bytes = &self->base.manifest;
    struct oci_digest digest;
    int err = json ? oci_json_dump(json, bytes) : -ENOMEM;

    if (err == 0)
        err = oci_digest_of(OCI_DIGEST_SHA256, bytes->data, bytes->size, &digest);
    if (err == 0)
        err = oci_descriptor_make(OCI_TYPE_MANIFEST, &digest, bytes->size, &self->base.descriptor);
    return err;
}

static int load(struct docker_source *self, const struct oci_location *location, struct report *r)
{
    _cleanup_(oci_json_unrefp) json_t *images = NULL;
    _cleanup_(oci_config_freep) struct oci_config *config = NULL;
    json_t *image = NULL;
    int err = read_json(self->archive, "manifest.json", &images, r);

    if (err == -ENOENT)
        return report_fail(r, -EBADMSG, "not a docker archive: no member manifest.json");
    if (err == 0)
        err = check_images(images, r);
    if (err == 0)
        err = choose_image(images, location->name, &image, r);
    if (err == 0)
        err = add_config(self, image, &config, r);
    if (err == 0)
        err = add_layers(self, image, config, r);
    if (err < 0)
        return err;
    err = make_manifest(self);
    return err < 0 ? report_errno(r, err, "manifest") : 0;
}

/* An image of a docker archive has one platform, which the caller checks. */
int oci_transport_open_docker_archive(const struct oci_location *location,
    _unused_ const struct oci_platform *platform, struct oci_image_source **ret_source,
    struct report *r)
{
    _cleanup_(oci_image_source_closep) struct oci_image_source *source = NULL;
    struct docker_source *self = calloc(1, sizeof(*self));
    int err;

    if (!self)
        return report_errno(r, -ENOMEM, "archive %s", location->path);
    self->base.ops = &docker_ops;
    source = &self->base;
    err = oci_archive_open(location->path, &self->archive, r);
    if (err < 0)
        return err;
    err = load(self, location, r);
    if (err < 0)
        return report_context(r, err, "archive %s", location->path);
    *ret_source = TAKE_PTR(source);
    return 0;
}
