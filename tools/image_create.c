/* SPDX-License-Identifier: Apache-2.0 */
/* Making an image.
 *
 *     directory or tar ── sha256 (diffID) ── readahead ── compress ── sha256 (digest) ── blob file
 *
 * Each layer streams once. Its blob stays unnamed until all layers are written, so that a layer
 * that fails leaves nothing; what was named before a later step failed is removed again, but for
 * blobs that the store had before. */
#include "tools/image_create.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include "layerfs/store/image.h"
#include "oci/layer_writer.h"

struct creation {
    struct tool *tool;
    struct lfs_store *store;
    const struct create_request *request;
    struct lfs_image *base;
    struct lfs_lease *lease;          /* on all that is named before the tag is */
    struct stat index;                /* index.json before */
    struct new_layer *layers;         /* input_count of each */
    struct oci_blob_writer **writers; /* unnamed blobs; NULL once named */
    struct oci_digest *named;         /* blobs that were not there before */
    size_t named_count;
    struct oci_digest config_digest, manifest_digest;
    struct buf config, manifest; /* their bytes */
};

static const struct oci_digest no_digest;

static int open_input(const struct creation *c, size_t i, struct oci_source **ret_source)
{
    const struct create_request *q = c->request;
    const struct layer_input *input = &q->inputs[i];
    struct oci_layer_options options = {
        .has_clamp_mtime = q->has_clamp_mtime, .clamp_mtime = q->clamp_mtime};

    if (input->is_tar)
        return oci_layer_from_tar(input->path, ret_source, &c->tool->report);
    return oci_layer_from_dir(input->path, &options, ret_source, &c->tool->report);
}

/* Sources take over what they read from in any case, so an error needs no clean-up here. */
static int open_chain(struct creation *c, size_t i, struct oci_source **ret_source)
{
    const struct create_request *q = c->request;
    unsigned threads = q->threads ? q->threads : (unsigned)MAX(get_nprocs(), 1);
    struct new_layer *layer = &c->layers[i];
    struct oci_source *s = NULL;
    int r = open_input(c, i, &s);

    if (r == 0)
        r = oci_source_verify(s, "layer", UINT64_MAX, &no_digest, &layer->diff_id, &s);
    if (r == 0)
        r = oci_source_readahead(s, 16, &s);
    if (r == 0)
        r = oci_source_compress(s, q->compression, q->level, threads, &s);
    if (r == 0)
        r = oci_source_verify(s, "blob", UINT64_MAX, &no_digest, &layer->digest, &s);
    if (r == 0)
        *ret_source = s;
    return r;
}

static void show(struct creation *c, size_t i, enum lfs_progress_kind kind)
{
    char name[PROGRESS_NAME_MAX];

    (void)snprintf(name, sizeof(name), "layer %zu/%zu", i + 1, c->request->input_count);
    progress_show(c->request->progress, kind, name, c->layers[i].size, UINT64_MAX);
}

static int write_blob(struct creation *c, size_t i, struct oci_source *source)
{
    const uint8_t *data;
    ssize_t n;
    int r = oci_blob_writer_new(lfs_store_layout(c->store), &c->writers[i]);

    if (r < 0)
        return r;
    while ((n = oci_source_next(source, &data, &c->tool->report)) > 0) {
        r = oci_blob_writer_write(c->writers[i], data, (size_t)n);
        if (r < 0)
            return report_errno(&c->tool->report, r, "write a blob");
        c->layers[i].size += (uint64_t)n;
        show(c, i, LFS_PROGRESS_BYTES);
    }
    return (int)n;
}

static int make_layer(struct creation *c, size_t i)
{
    _cleanup_(oci_source_closep) struct oci_source *source = NULL;
    int r;

    c->layers[i].compression = c->request->compression;
    show(c, i, LFS_PROGRESS_BEGIN);
    r = open_chain(c, i, &source);
    if (r == 0)
        r = write_blob(c, i, source);
    if (r < 0)
        return report_context(&c->tool->report, r, "%s", c->request->inputs[i].path);
    show(c, i, LFS_PROGRESS_DONE);
    return 0;
}

static bool has_blob(struct creation *c, const struct oci_digest *digest, uint64_t size)
{
    return oci_layout_has_blob(lfs_store_layout(c->store), digest, size);
}

static int name_layer(struct creation *c, size_t i)
{
    const struct new_layer *layer = &c->layers[i];
    struct report *report = &c->tool->report;
    int r = lfs_lease_add_blob(c->lease, &layer->digest, report);
    bool there;

    if (r == 0)
        r = lfs_lease_add_layer(c->lease, &layer->diff_id, report);
    if (r < 0)
        return r;
    there = has_blob(c, &layer->digest, layer->size);
    r = oci_blob_writer_commit(c->writers[i], &layer->digest, true);
    if (r < 0)
        return report_errno(&c->tool->report, r, "write a blob");
    if (!there)
        c->named[c->named_count++] = layer->digest;
    return 0;
}

/* Writes a document and keeps its bytes. The reference to json is dropped. */
static int put_document(
    struct creation *c, json_t *json, struct buf *bytes, struct oci_digest *ret_digest)
{
    int r = oci_json_dump(json, bytes);
    bool there;

    json_decref(json);
    if (r == 0)
        r = oci_digest_of(OCI_DIGEST_SHA256, bytes->data, bytes->size, ret_digest);
    if (r == 0)
        r = lfs_lease_add_blob(c->lease, ret_digest, &c->tool->report);
    if (r < 0)
        return r;
    there = has_blob(c, ret_digest, bytes->size);
    r = oci_layout_put_blob(
        lfs_store_layout(c->store), bytes->data, bytes->size, ret_digest, &c->tool->report);
    if (r == 0 && !there)
        c->named[c->named_count++] = *ret_digest;
    return r;
}

/* What makes them impossible (-EINVAL) is an option: EXIT_CODE_USAGE. */
static int put_documents(struct creation *c)
{
    const struct create_request *q = c->request;
    struct report *report = &c->tool->report;
    json_t *json;
    int r = image_config_build(
        c->base ? c->base->config : NULL, q->config, c->layers, q->input_count, &json, report);

    if (r == 0)
        r = put_document(c, json, &c->config, &c->config_digest);
    if (r == 0)
        r = image_manifest_build(c->base ? c->base->manifest : NULL, q->config, &c->config_digest,
            c->config.size, c->layers, q->input_count, &json, report);
    if (r == 0)
        r = put_document(c, json, &c->manifest, &c->manifest_digest);
    return r == -EINVAL ? EXIT_CODE_USAGE : r;
}

static int describe(const struct creation *c, struct oci_descriptor *ret_manifest)
{
    char text[OCI_DIGEST_STR_MAX];
    json_t *json = json_pack("{s:s, s:s, s:I}", "mediaType", OCI_TYPE_MANIFEST, "digest",
        oci_digest_format(&c->manifest_digest, text), "size", (json_int_t)c->manifest.size);
    int r = json ? oci_descriptor_parse(json, ret_manifest, &c->tool->report) : -ENOMEM;

    json_decref(json);
    return r;
}

static int chain_of(const struct oci_config *config, struct oci_digest *ret_chain)
{
    struct oci_digest chain = {0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < config->diff_id_count; i++)
        r = oci_chain_id_extend(&chain, &config->diff_ids[i]);
    *ret_chain = chain;
    return r;
}

/* Puts the input's path before a text about its layer. */
static int name_input(struct creation *c, int err)
{
    for (size_t i = 0; i < c->request->input_count; i++) {
        char digests[2][OCI_DIGEST_STR_MAX];

        if (strstr(c->tool->report.text, oci_digest_format(&c->layers[i].digest, digests[0])) ||
            strstr(c->tool->report.text, oci_digest_format(&c->layers[i].diff_id, digests[1])))
            return report_context(&c->tool->report, err, "%s", c->request->inputs[i].path);
    }
    return err;
}

/* The image has no tag yet, so it is put together from its documents. */
static int prepare(struct creation *c)
{
    _cleanup_(lfs_image_freep) struct lfs_image *image = calloc(1, sizeof(*image));
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct lfs_ingest_options options = {0};
    struct report *report = &c->tool->report;
    int r = image ? describe(c, &image->descriptor) : -ENOMEM;

    if (r == 0)
        r = oci_manifest_parse(c->manifest.data, c->manifest.size, &image->manifest, report);
    if (r == 0)
        r = oci_config_parse(c->config.data, c->config.size, &image->config, report);
    if (r == 0)
        r = oci_image_check(image->manifest, image->config, report);
    if (r == 0)
        r = chain_of(image->config, &image->chain_id);
    if (r == 0)
        r = lfs_lease_image(c->store, image, false, &image->lease, report);
    if (r == 0)
        r = lfs_image_prepare(c->store, image, &options, &tree, report);
    return r < 0 ? name_input(c, r) : 0;
}

/* A base whose blobs were dropped can be mounted but not built upon: the result would name blobs
 * that nobody has. */
static int load_base(struct creation *c)
{
    const struct create_request *q = c->request;
    const struct oci_platform *platform = q->config->platform.os[0] ? &q->config->platform : NULL;
    int r = q->from ? lfs_image_load(c->store, q->from, platform, &c->base, &c->tool->report) : 0;

    for (size_t i = 0; r == 0 && c->base && i < c->base->manifest->layer_count; i++) {
        const struct oci_descriptor *layer = &c->base->manifest->layers[i];
        char text[OCI_DIGEST_STR_MAX];

        if (!has_blob(c, &layer->digest, layer->size))
            r = report_fail(&c->tool->report, -ENOENT,
                "base image %s: its layer %s is not in the store (pulled with --drop-blobs?)",
                q->from, oci_digest_format(&layer->digest, text));
    }
    return r;
}

static void stat_index(const struct creation *c, struct stat *ret_st)
{
    if (fstatat(lfs_store_dirfd(c->store, LFS_DIR_ROOT), "index.json", ret_st, 0) < 0)
        *ret_st = (struct stat){0};
}

static int make_all(struct creation *c, struct oci_descriptor *ret_manifest)
{
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor manifest = {0};
    size_t count = c->request->input_count;
    int r = lfs_lease_new(c->store, &c->lease, &c->tool->report);

    stat_index(c, &c->index);
    if (r == 0)
        r = load_base(c);

    for (size_t i = 0; r == 0 && i < count; i++)
        r = make_layer(c, i);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = name_layer(c, i);
    if (r == 0)
        r = put_documents(c);
    if (r == 0 && c->request->prepare)
        r = prepare(c);
    if (r == 0)
        r = describe(c, &manifest);
    if (r == 0)
        r = lfs_image_tag(c->store, &manifest, c->request->tag, &c->tool->report);
    if (r != 0)
        return r;
    *ret_manifest = manifest;
    manifest = (struct oci_descriptor){0};
    return 0;
}

static int count_lease(void *userdata, enum lfs_lease_kind kind, const struct oci_digest *digest)
{
    (void)userdata;
    (void)kind;
    (void)digest;
    return -EBUSY;
}

/* False when somebody may have found the new blobs and rely on them: gc takes them then. */
static bool is_alone(struct creation *c)
{
    struct stat now;

    stat_index(c, &now);
    return now.st_ino == c->index.st_ino && now.st_mtim.tv_sec == c->index.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == c->index.st_mtim.tv_nsec &&
           lfs_lease_each(c->store, count_lease, NULL, NULL) == 0;
}

static void remove_named(struct creation *c)
{
    _cleanup_(fd_closep) int exclusive = -1;
    int root = lfs_store_dirfd(c->store, LFS_DIR_ROOT);

    c->base = lfs_image_free(c->base);
    c->lease = lfs_lease_free(c->lease);
    if (c->named_count == 0 || lfs_gc_exclude(c->store, &exclusive, NULL) < 0 || !is_alone(c))
        return;
    for (size_t i = 0; i < c->named_count; i++) {
        char hex[OCI_DIGEST_STR_MAX], name[OCI_DIGEST_STR_MAX + 16];

        (void)snprintf(name, sizeof(name), "blobs/sha256/%s", oci_digest_hex(&c->named[i], hex));
        (void)unlinkat(root, name, 0);
    }
}

static void creation_deinit(struct creation *c)
{
    for (size_t i = 0; c->writers && i < c->request->input_count; i++)
        (void)oci_blob_writer_free(c->writers[i]);
    free(c->writers);
    free(c->layers);
    free(c->named);
    buf_deinit(&c->config);
    buf_deinit(&c->manifest);
    (void)lfs_image_free(c->base);
    (void)lfs_lease_free(c->lease);
}

int image_create(struct tool *tool, struct lfs_store *store, const struct create_request *request,
    struct oci_descriptor *ret_manifest)
{
    size_t count = request->input_count + 2; /* and the two documents */
    _cleanup_(creation_deinit) struct creation c = {
        .tool = tool,
        .store = store,
        .request = request,
        .layers = calloc(count, sizeof(*c.layers)),
        .writers = calloc(count, sizeof(struct oci_blob_writer *)),
        .named = calloc(count, sizeof(*c.named)),
    };
    int r = c.layers && c.writers && c.named ? make_all(&c, ret_manifest) : -ENOMEM;

    if (r != 0)
        remove_named(&c);
    return r;
}
