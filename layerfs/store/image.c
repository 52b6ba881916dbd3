/* SPDX-License-Identifier: Apache-2.0 */
/* Images in the store: finding, preparing, importing. */
#include "layerfs/store/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "layerfs/store/layers.h"
#include "layerfs/tree/builder.h"
#include "oci/util/io.h"
#include "oci/util/log.h"

struct lfs_image *lfs_image_free(struct lfs_image *image)
{
    if (!image)
        return NULL;
    (void)oci_manifest_free(image->manifest);
    (void)oci_config_free(image->config);
    (void)lfs_lease_free(image->lease);
    oci_descriptor_deinit(&image->descriptor);
    free(image);
    return NULL;
}

/* The chainID of all layers, and that there is one diffID a layer. */
static int complete(struct lfs_image *image, struct report *r)
{
    int err = oci_image_check(image->manifest, image->config, r);

    for (size_t i = 0; i < image->config->diff_id_count && err == 0; i++)
        err = oci_chain_id_extend(&image->chain_id, &image->config->diff_ids[i]);
    return err;
}

/* ------------------------------------------------------------------------------------------------
 * Loading
 */

static int load_documents(struct lfs_store *store, struct lfs_image *image, struct report *r)
{
    struct oci_layout *layout = lfs_store_layout(store);
    _cleanup_(buf_deinit) struct buf manifest = {0}, config = {0};
    int err = oci_layout_read_blob(layout, &image->descriptor, &manifest, r);

    if (err == 0)
        err = oci_manifest_parse(manifest.data, manifest.size, &image->manifest, r);
    if (err == 0)
        err = oci_layout_read_blob(layout, &image->manifest->config, &config, r);
    if (err == 0)
        err = oci_config_parse(config.data, config.size, &image->config, r);
    return err == 0 ? complete(image, r) : err;
}

/* A name that is no tag may be short for one. The text of the failure stays the first one's. */
static int find_by_reference(struct lfs_store *store, const char *name,
    const struct oci_platform *platform, struct oci_descriptor *ret_descriptor, struct report *r)
{
    _cleanup_(freep) char *tag = lfs_image_find_tag(store, name);

    if (!tag)
        return -ENOMEM;
    if (strcmp(tag, name) == 0)
        return -ENOENT;
    return oci_layout_find(lfs_store_layout(store), tag, platform, ret_descriptor, r);
}

int lfs_image_load(struct lfs_store *store, const char *name, const struct oci_platform *platform,
    struct lfs_image **ret_image, struct report *r)
{
    _cleanup_(lfs_image_freep) struct lfs_image *image = calloc(1, sizeof(*image));
    _cleanup_(fd_closep) int hold = -1;
    int err = image ? lfs_gc_hold(store, &hold, r) : -ENOMEM;

    if (err == 0)
        err = oci_layout_find(lfs_store_layout(store), name, platform, &image->descriptor, r);
    if (err == -ENOENT && name)
        err = find_by_reference(store, name, platform, &image->descriptor, r);
    if (err < 0)
        return err;
    if (r)
        *r = REPORT_INIT; /* of the name as it was given */
    err = load_documents(store, image, r);
    if (err == 0)
        err = lfs_lease_image(store, image, true, &image->lease, r);
    if (err < 0)
        return name ? report_context(r, err, "image %s", name) : err;
    *ret_image = TAKE_PTR(image);
    return 0;
}

/* ------------------------------------------------------------------------------------------------
 * The image's tree
 */

static int apply_layer(struct lfs_store *store, struct lfs_builder *b,
    const struct oci_digest *diff_id, struct report *r)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *layer = NULL;
    char name[OCI_DIGEST_STR_MAX];
    int err = lfs_store_open_layer(store, diff_id, &layer, r);

    if (err < 0)
        return err;
    return lfs_builder_apply(b, layer, oci_digest_format(diff_id, name), r);
}

static int write_image_tree(struct lfs_store *store, struct lfs_builder *b,
    const struct oci_digest *chain_id, struct report *r)
{
    _cleanup_(io_tmp_deinit) struct io_tmp tmp = IO_TMP_INIT;
    char name[LFS_TREE_NAME_MAX];
    struct oci_digest key;
    int err = lfs_store_tree_name(LFS_TREE_IMAGE, chain_id, name);

    if (err == 0)
        err = lfs_store_key_digest(chain_id, &key);
    if (err == 0)
        err = io_tmp_open(lfs_store_dirfd(store, LFS_DIR_TMP), 0644, &tmp);
    if (err == 0)
        err = lfs_builder_write(b, &key, tmp.fd, r);
    if (err == 0)
        err = io_tmp_publish(&tmp, lfs_store_dirfd(store, LFS_DIR_TREES), name,
            IO_PUBLISH_REPLACE | IO_PUBLISH_SYNC);
    return err < 0 && !report_is_set(r) ? report_errno(r, err, "write tree %s", name) : err;
}

static int build_image_tree(
    struct lfs_store *store, const struct lfs_image *image, struct report *r)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    int err = lfs_builder_new(LFS_TREE_IMAGE, &b);

    for (size_t i = 0; i < image->config->diff_id_count && err == 0; i++)
        err = apply_layer(store, b, &image->config->diff_ids[i], r);
    return err == 0 ? write_image_tree(store, b, &image->chain_id, r) : err;
}

/* The layers are there. repair: a damaged tree is made anew. */
static int ensure_image_tree(struct lfs_store *store, const struct lfs_image *image, bool repair,
    struct lfs_tree **ret_tree, struct report *r)
{
    _cleanup_(fd_closep) int lock = -1;
    char name[LFS_TREE_NAME_MAX + 8];
    int err = lfs_store_tree_name(LFS_TREE_IMAGE, &image->chain_id, name);

    if (err < 0)
        return err;
    memcpy(name + LFS_KEY_MAX - 1, ".image", sizeof(".image"));
    err = lfs_store_lock(store, name, &lock, r);
    if (err < 0)
        return err;
    err = lfs_store_open_tree(store, &image->chain_id, ret_tree, r);
    if (err != -ENOENT && !(repair && err == -EBADMSG))
        return err;
    if (r)
        *r = REPORT_INIT;
    err = build_image_tree(store, image, r);
    return err < 0 ? err : lfs_store_open_tree(store, &image->chain_id, ret_tree, r);
}

/* ------------------------------------------------------------------------------------------------
 * Preparing
 */

static int open_stored_blob(void *userdata, const struct oci_descriptor *blob,
    struct oci_source **ret_source, struct report *r)
{
    struct lfs_store *store = userdata;
    char text[OCI_DIGEST_STR_MAX];
    int fd = -1;
    int err = oci_layout_open_blob(lfs_store_layout(store), &blob->digest, blob->size, &fd, r);

    if (err == -ENOENT)
        return report_fail(
            r, err, "layer %s is not in the store", oci_digest_format(&blob->digest, text));
    return err < 0 ? err : oci_source_file(fd, 0, blob->size, ret_source);
}

int lfs_image_prepare(struct lfs_store *store, const struct lfs_image *image,
    const struct lfs_ingest_options *options, struct lfs_tree **ret_tree, struct report *r)
{
    struct lfs_layers_input input = {
        .manifest = image->manifest,
        .config = image->config,
        .open = open_stored_blob,
        .userdata = store,
    };
    int err = lfs_store_open_tree(store, &image->chain_id, ret_tree, r);

    if (err != -ENOENT)
        return err;
    if (r)
        *r = REPORT_INIT;
    err = lfs_layers_ensure(store, &input, options, r);
    return err < 0 ? err : ensure_image_tree(store, image, false, ret_tree, r);
}

/* ------------------------------------------------------------------------------------------------
 * Importing
 */

static int open_remote_blob(void *userdata, const struct oci_descriptor *blob,
    struct oci_source **ret_source, struct report *r)
{
    return oci_image_source_open_blob(userdata, blob, ret_source, r);
}

static int open_remote_blob_at(void *userdata, const struct oci_descriptor *blob, uint64_t offset,
    struct oci_source **ret_source, struct report *r)
{
    return oci_image_source_open_blob_at(userdata, blob, offset, ret_source, r);
}

/* Reads a document from the source, its size and digest checked. */
static int read_document(struct oci_image_source *source, const struct oci_descriptor *descriptor,
    struct buf *b, struct report *r)
{
    _cleanup_(oci_source_closep) struct oci_source *s = NULL;
    struct oci_source *raw;
    char what[16 + OCI_DIGEST_STR_MAX], text[OCI_DIGEST_STR_MAX];
    const uint8_t *data;
    ssize_t n;
    int err;

    (void)snprintf(what, sizeof(what), "config %s", oci_digest_format(&descriptor->digest, text));
    if (descriptor->size > OCI_DOCUMENT_MAX)
        return report_fail(r, -EFBIG, "%s: larger than %d bytes", what, OCI_DOCUMENT_MAX);
    err = oci_image_source_open_blob(source, descriptor, &raw, r);
    if (err == 0)
        err = oci_source_verify(raw, what, descriptor->size, &descriptor->digest, NULL, &s);
    if (err < 0)
        return report_is_set(r) ? err : report_errno(r, err, "%s", what);
    for (n = oci_source_next(s, &data, r); n > 0; n = oci_source_next(s, &data, r)) {
        err = buf_append(b, data, (size_t)n);
        if (err < 0)
            return err;
    }
    return (int)n;
}

static int copy_descriptor(const struct oci_descriptor *from, struct oci_descriptor *to)
{
    *to = *from;
    to->json = json_incref(from->json);
    to->media_type = from->media_type ? strdup(from->media_type) : NULL;
    if (from->media_type && !to->media_type) {
        oci_descriptor_deinit(to);
        *to = (struct oci_descriptor){0};
        return -ENOMEM;
    }
    return 0;
}

/* What a source offers, as an image; *config gets the bytes of its config. */
int lfs_image_load_source(struct oci_image_source *source, struct buf *config,
    struct lfs_image **ret_image, struct report *r)
{
    _cleanup_(lfs_image_freep) struct lfs_image *image = calloc(1, sizeof(*image));
    int err = image ? copy_descriptor(&source->descriptor, &image->descriptor) : -ENOMEM;

    if (err == 0)
        err = oci_manifest_parse(source->manifest.data, source->manifest.size, &image->manifest, r);
    if (err == 0)
        err = read_document(source, &image->manifest->config, config, r);
    if (err == 0)
        err = oci_config_parse(config->data, config->size, &image->config, r);
    if (err == 0)
        err = complete(image, r);
    if (err < 0)
        return err;
    *ret_image = TAKE_PTR(image);
    return 0;
}

int lfs_image_put_document(struct lfs_store *store, const char *kind, const struct buf *b,
    const struct oci_digest *digest, struct report *r)
{
    _cleanup_(oci_blob_writer_freep) struct oci_blob_writer *w = NULL;
    char text[OCI_DIGEST_STR_MAX];
    struct oci_digest is;
    int err = oci_digest_of(digest->alg, b->data, b->size, &is);

    (void)oci_digest_format(digest, text);
    if (err == 0 && !oci_digest_equal(&is, digest))
        return report_fail(r, -EBADMSG, "%s %s: digest mismatch", kind, text);
    if (oci_layout_has_blob(lfs_store_layout(store), digest, b->size))
        return err;
    if (err == 0)
        err = oci_blob_writer_new(lfs_store_layout(store), &w);
    if (err == 0)
        err = oci_blob_writer_write(w, b->data, b->size);
    if (err == 0)
        err = oci_blob_writer_commit(w, digest, true);
    return err < 0 ? report_errno(r, err, "%s %s: write blob", kind, text) : 0;
}

static int import_layers(struct lfs_store *store, struct oci_image_source *source,
    const struct lfs_image *image, const struct lfs_ingest_options *options, struct report *r)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct lfs_layers_input input = {
        .manifest = image->manifest,
        .config = image->config,
        .store_blobs = !(options && options->drop_blobs),
        .open = open_remote_blob,
        .open_at = oci_image_source_can_resume(source) ? open_remote_blob_at : NULL,
        .userdata = source,
    };
    int err = lfs_layers_ensure(store, &input, options, r);

    return err < 0 ? err : ensure_image_tree(store, image, true, &tree, r);
}

int lfs_image_import(struct lfs_store *store, struct oci_image_source *source, const char *tag,
    const struct lfs_ingest_options *options, struct oci_descriptor *ret_descriptor,
    struct report *r)
{
    _cleanup_(lfs_image_freep) struct lfs_image *image = NULL;
    _cleanup_(buf_deinit) struct buf config = {0};
    int err;

    if (tag && !oci_tag_is_valid(tag))
        return report_fail(r, -EINVAL, "%s is not a valid tag", tag);
    err = lfs_image_load_source(source, &config, &image, r);
    if (err == 0)
        err = options && options->lease ? lfs_lease_add_image(options->lease, image, r)
                                        : lfs_lease_image(store, image, false, &image->lease, r);
    if (err == 0)
        err = import_layers(store, source, image, options, r);
    if (err == 0)
        err = lfs_image_put_document(store, "config", &config, &image->manifest->config.digest, r);
    if (err == 0)
        err = lfs_image_put_document(
            store, "manifest", &source->manifest, &image->descriptor.digest, r);
    if (err == 0 && (tag || !options || !options->no_entry))
        err = lfs_image_tag(store, &image->descriptor, tag, r);
    if (err == 0 && ret_descriptor)
        err = copy_descriptor(&image->descriptor, ret_descriptor);
    return err;
}

void lfs_image_mark_used(struct lfs_store *store, const struct oci_digest *manifest)
{
    _cleanup_(fd_closep) int fd = -1;
    char key[LFS_KEY_MAX];
    int used = lfs_store_dirfd(store, LFS_DIR_USED);

    if (lfs_store_is_read_only(store) || lfs_store_key(manifest, key) < 0)
        return;
    fd = openat(used, key, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 || futimens(fd, NULL) < 0)
        log_debug(LOG_STORE, "used/%s: %s", key, strerror(errno));
}
