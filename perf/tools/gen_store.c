/* SPDX-License-Identifier: Apache-2.0 */
/* gen_store DIR OBJECTS [GARBAGE]: a store with an image of so many objects, fast: the objects are
 * empty files with the right names, for measuring gc and df, which do not read them. Layers of
 * 50000 files each; GARBAGE more objects belong to nothing. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "layerfs/store/image.h"
#include "layerfs/tree/builder.h"
#include "oci/util/io.h"

enum { LAYER_FILES = 50000 };

static void die(const char *what, int err, const struct report *r)
{
    (void)fprintf(
        stderr, "gen_store: %s: %s\n", what, r && report_is_set(r) ? r->text : strerror(-err));
    exit(1);
}

static void make_object(struct lfs_store *store, uint64_t n, uint8_t ret_sha256[static 32])
{
    int objects = lfs_store_dirfd(store, LFS_DIR_OBJECTS), fd;
    char name[LFS_OBJECT_NAME_MAX];
    struct oci_digest digest;

    if (oci_digest_of(OCI_DIGEST_SHA256, &n, sizeof(n), &digest) < 0)
        die("hash", -EIO, NULL);
    memcpy(ret_sha256, digest.bytes, 32);
    lfs_store_object_name(digest.bytes, name);
    fd = openat(objects, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
    if (fd < 0 && errno == ENOENT) {
        char prefix[3] = {name[0], name[1], '\0'};

        (void)io_mkdir(objects, prefix, 0755);
        fd = openat(objects, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
    }
    if (fd < 0)
        die(name, neg_errno(), NULL);
    (void)close(fd);
}

static void write_tree(struct lfs_store *store, struct lfs_builder *b, enum lfs_tree_kind kind,
    const struct oci_digest *id)
{
    struct io_tmp tmp = IO_TMP_INIT;
    struct report r = REPORT_INIT;
    char name[LFS_TREE_NAME_MAX];
    struct oci_digest key;
    int err = lfs_store_tree_name(kind, id, name);

    if (err == 0)
        err = lfs_store_key_digest(id, &key);
    if (err == 0)
        err = io_tmp_open(lfs_store_dirfd(store, LFS_DIR_TMP), 0644, &tmp);
    if (err == 0)
        err = lfs_builder_write(b, &key, tmp.fd, &r);
    if (err == 0)
        err = io_tmp_publish(&tmp, lfs_store_dirfd(store, LFS_DIR_TREES), name, IO_PUBLISH_REPLACE);
    if (err < 0)
        die(name, err, &r);
}

/* A layer's tree of files with objects; its diffID is made up. */
static void make_layer(
    struct lfs_store *store, uint64_t first, uint64_t count, const struct oci_digest *diff_id)
{
    struct lfs_builder *b = NULL;
    struct report r = REPORT_INIT;
    int err = lfs_builder_new(LFS_TREE_LAYER, &b);

    for (uint64_t i = 0; err == 0 && i < count; i++) {
        char path[64];
        struct oci_layer_entry entry = {
            .kind = OCI_ENTRY_NODE, .path = path, .mode = S_IFREG | 0644, .size = 100000};
        uint8_t sha256[32];
        uint32_t node;

        (void)snprintf(path, sizeof(path), "d%llu/f%llu", (unsigned long long)((first + i) / 1000),
            (unsigned long long)(first + i));
        make_object(store, first + i, sha256);
        err = lfs_builder_add(b, &entry, &node, &r);
        if (err == 0)
            err = lfs_builder_set_object(b, node, sha256);
    }
    if (err < 0)
        die("layer", err, &r);
    write_tree(store, b, LFS_TREE_LAYER, diff_id);
    (void)lfs_builder_free(b);
}

static void make_image_tree(struct lfs_store *store, const struct oci_digest *diff_ids,
    size_t count, const struct oci_digest *chain)
{
    struct lfs_builder *b = NULL;
    struct report r = REPORT_INIT;
    int err = lfs_builder_new(LFS_TREE_IMAGE, &b);

    for (size_t i = 0; err == 0 && i < count; i++) {
        struct lfs_tree *layer = NULL;

        err = lfs_store_open_layer(store, &diff_ids[i], &layer, &r);
        if (err == 0)
            err = lfs_builder_apply(b, layer, "layer", &r);
        (void)lfs_tree_close(layer);
    }
    if (err < 0)
        die("image", err, &r);
    write_tree(store, b, LFS_TREE_IMAGE, chain);
    (void)lfs_builder_free(b);
}

static void put(struct lfs_store *store, json_t *json, const char *type, json_t **ret_descriptor)
{
    char text[OCI_DIGEST_STR_MAX];
    struct oci_digest digest;
    struct buf b = {0};

    if (oci_json_dump(json, &b) < 0 ||
        oci_layout_put_blob(lfs_store_layout(store), b.data, b.size, &digest, NULL) < 0)
        die("document", -EIO, NULL);
    *ret_descriptor = json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest",
        oci_digest_format(&digest, text), "size", (json_int_t)b.size);
    json_decref(json);
    buf_deinit(&b);
}

static void make_documents(struct lfs_store *store, const struct oci_digest *diff_ids, size_t count)
{
    json_t *ids = json_array(), *layers = json_array(), *config, *manifest;
    struct oci_descriptor descriptor = {0};
    struct report r = REPORT_INIT;
    char text[OCI_DIGEST_STR_MAX];

    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(ids, json_string(oci_digest_format(&diff_ids[i], text)));
        (void)json_array_append_new(layers,
            json_pack("{s:s, s:s, s:i}", "mediaType", OCI_TYPE_LAYER, "digest", text, "size", 1));
    }
    put(store,
        json_pack("{s:s, s:s, s:{s:s, s:o}}", "os", "linux", "architecture", "amd64", "rootfs",
            "type", "layers", "diff_ids", ids),
        OCI_TYPE_CONFIG, &config);
    put(store,
        json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType", OCI_TYPE_MANIFEST,
            "config", config, "layers", layers),
        OCI_TYPE_MANIFEST, &manifest);
    if (oci_descriptor_parse(manifest, &descriptor, &r) < 0 ||
        lfs_image_tag(store, &descriptor, "big", &r) < 0)
        die("tag", -EIO, &r);
    oci_descriptor_deinit(&descriptor);
    json_decref(manifest);
}

int main(int argc, char **argv)
{
    uint64_t objects = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint64_t garbage = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    size_t count = (size_t)((objects + LAYER_FILES - 1) / LAYER_FILES);
    struct oci_digest *diff_ids = calloc(count + 1, sizeof(*diff_ids)), chain = {0};
    struct lfs_store *store = NULL;
    struct report r = REPORT_INIT;
    uint8_t sha256[32];

    if (argc < 3 || !diff_ids) {
        (void)fprintf(stderr, "usage: gen_store DIR OBJECTS [GARBAGE]\n");
        return 2;
    }
    if (lfs_store_open(argv[1], LFS_STORE_CREATE, &store, &r) < 0)
        die(argv[1], -EIO, &r);
    for (size_t i = 0; i < count; i++) {
        uint64_t first = (uint64_t)i * LAYER_FILES;

        (void)oci_digest_of(OCI_DIGEST_SHA256, &i, sizeof(i), &diff_ids[i]);
        make_layer(store, first, MIN((uint64_t)LAYER_FILES, objects - first), &diff_ids[i]);
        (void)oci_chain_id_extend(&chain, &diff_ids[i]);
    }
    make_image_tree(store, diff_ids, count, &chain);
    make_documents(store, diff_ids, count);
    for (uint64_t i = 0; i < garbage; i++)
        make_object(store, UINT64_MAX / 2 + i, sha256);
    (void)lfs_store_close(store);
    free(diff_ids);
    return 0;
}
