/* SPDX-License-Identifier: Apache-2.0 */
/* Following documents.
 *
 * Not only images lie in a layout: signatures, charts, attestations are manifests too. So what a
 * document refers to is found without knowing its kind: every object in it with a digest is a
 * descriptor. Only what is an image has trees. */
#include "layerfs/store/roots.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "layerfs/store/image.h"
#include "layerfs/store/mounts.h"
#include "layerfs/store/uppers.h"
#include "oci/util/io.h"

enum { DEPTH_MAX = 8 };

static const char ref_name[] = "org.opencontainers.image.ref.name";

void lfs_root_deinit(struct lfs_root *root)
{
    free(root->names);
    free(root->refs);
    *root = (struct lfs_root){0};
}

void lfs_roots_deinit(struct lfs_roots *roots)
{
    for (size_t i = 0; i < roots->count; i++)
        lfs_root_deinit(&roots->roots[i]);
    free(roots->roots);
    *roots = (struct lfs_roots){0};
}

/* ------------------------------------------------------------------------------------------------
 * Collecting
 */

static int add_ref(struct lfs_root *root, enum lfs_item_kind kind, struct lfs_item *item)
{
    if (!item)
        return 0;
    if (root->count == root->capacity) {
        size_t capacity = MAX(root->capacity * 2, (size_t)16);
        void *refs = reallocarray(root->refs, capacity, sizeof(*root->refs));

        if (!refs)
            return -ENOMEM;
        root->refs = refs;
        root->capacity = capacity;
    }
    root->refs[root->count++] = (struct lfs_root_ref){.kind = kind, .item = item};
    return 0;
}

static void note_damage(struct lfs_inventory *inv, const struct report *r)
{
    if (inv->has_damage)
        return;
    inv->has_damage = true;
    inv->damage = *r;
}

static bool has_ref(const struct lfs_root *root, const struct lfs_item *item)
{
    for (size_t i = 0; i < root->count; i++)
        if (root->refs[i].item == item && root->refs[i].is_document)
            return true;
    return false;
}

/* The trees of an image: one for each layer and its own. */
static int add_trees(
    struct lfs_inventory *inv, struct lfs_root *root, const struct oci_config *config)
{
    struct oci_digest chain = {0};
    int err = 0;

    for (size_t i = 0; err == 0 && i < config->diff_id_count; i++) {
        const struct oci_digest *diff_id = &config->diff_ids[i];

        err = oci_chain_id_extend(&chain, diff_id);
        if (err == 0)
            err = add_ref(
                root, LFS_ITEM_LAYER_TREE, lfs_inventory_find(inv, LFS_ITEM_LAYER_TREE, diff_id));
    }
    if (err < 0)
        return err;
    return add_ref(root, LFS_ITEM_IMAGE_TREE, lfs_inventory_find(inv, LFS_ITEM_IMAGE_TREE, &chain));
}

/* A manifest's config, when it is that of an image. One that is missing or no image's config means
 * that there are no trees; one that is damaged means that nobody knows. */
static int add_image(struct lfs_inventory *inv, struct lfs_root *root, const struct buf *bytes)
{
    _cleanup_(oci_manifest_freep) struct oci_manifest *manifest = NULL;
    _cleanup_(oci_config_freep) struct oci_config *config = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};
    struct report r = REPORT_INIT;
    int err;

    if (oci_manifest_parse(bytes->data, bytes->size, &manifest, NULL) < 0)
        return 0;
    err = oci_layout_read_blob(lfs_store_layout(inv->store), &manifest->config, &b, &r);
    if (err == 0 && oci_config_parse(b.data, b.size, &config, NULL) < 0)
        return 0;
    if (err == 0)
        return add_trees(inv, root, config);
    if (err == -ENOMEM)
        return err;
    if (err != -ENOENT)
        note_damage(inv, &r);
    return 0;
}

static int collect(struct lfs_inventory *inv, struct lfs_root *root,
    const struct oci_digest *digest, bool follow, unsigned depth);

/* All descriptors below a value. Indexes and manifests are followed. */
static int collect_below(
    struct lfs_inventory *inv, struct lfs_root *root, json_t *value, unsigned depth)
{
    const char *text = json_string_value(json_object_get(value, "digest"));
    const char *type = json_string_value(json_object_get(value, "mediaType"));
    struct oci_digest digest;
    const char *key;
    json_t *child;
    size_t i;
    int err = 0;

    if (text && oci_digest_parse(text, &digest) == 0) {
        enum oci_media media = type ? oci_media_classify(type) : OCI_MEDIA_UNKNOWN;

        err = collect(
            inv, root, &digest, media == OCI_MEDIA_INDEX || media == OCI_MEDIA_MANIFEST, depth + 1);
    }
    json_object_foreach(value, key, child)
    {
        if (err == 0 && (json_is_object(child) || json_is_array(child)))
            err = collect_below(inv, root, child, depth);
    }
    json_array_foreach(value, i, child)
    {
        if (err == 0)
            err = collect_below(inv, root, child, depth);
    }
    return err;
}

static int follow_document(struct lfs_inventory *inv, struct lfs_root *root,
    const struct oci_digest *digest, unsigned depth)
{
    struct oci_descriptor descriptor = {.digest = *digest, .size = UINT64_MAX};
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};
    struct report r = REPORT_INIT;
    int err = oci_layout_read_blob(lfs_store_layout(inv->store), &descriptor, &b, &r);

    if (err == 0)
        err = oci_json_load(b.data, b.size, "document", &json, &r);
    if (err == -ENOMEM)
        return err;
    if (err < 0) {
        if (err != -ENOENT)
            note_damage(inv, &r);
        return 0;
    }
    err = collect_below(inv, root, json, depth);
    return err == 0 ? add_image(inv, root, &b) : err;
}

static int collect(struct lfs_inventory *inv, struct lfs_root *root,
    const struct oci_digest *digest, bool follow, unsigned depth)
{
    struct lfs_item *item = lfs_inventory_find(inv, LFS_ITEM_BLOB, digest);
    int err;

    if (!item || has_ref(root, item))
        return 0; /* not there, or a document that was met before: it may be part of a circle */
    err = add_ref(root, LFS_ITEM_BLOB, item);
    if (err < 0 || !follow)
        return err;
    root->refs[root->count - 1].is_document = true;
    return depth < DEPTH_MAX ? follow_document(inv, root, digest, depth) : 0;
}

int lfs_root_collect(
    struct lfs_inventory *inventory, const struct oci_digest *digest, struct lfs_root *ret_root)
{
    ret_root->digest = *digest;
    return collect(inventory, ret_root, digest, true, 0);
}

int lfs_root_retain(struct lfs_inventory *inventory, const struct lfs_root *root)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < root->count; i++)
        err = lfs_inventory_retain(inventory, root->refs[i].kind, root->refs[i].item);
    return err;
}

int lfs_root_release(struct lfs_inventory *inventory, const struct lfs_root *root)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < root->count; i++)
        err = lfs_inventory_release(inventory, root->refs[i].kind, root->refs[i].item);
    return err;
}

bool lfs_root_is_pinned(const struct lfs_root *root)
{
    for (size_t i = 0; i < root->count; i++)
        if (root->refs[i].is_document && (root->refs[i].item->flags & LFS_ITEM_PINNED))
            return true;
    return false;
}

/* ------------------------------------------------------------------------------------------------
 * The index
 */

/* The latest mount of any manifest that it reaches, else when these were written. */
static void find_last_used(struct lfs_inventory *inv, struct lfs_root *root)
{
    int used = lfs_store_dirfd(inv->store, LFS_DIR_USED);
    int64_t mounted = 0, written = 0;

    for (size_t i = 0; i < root->count; i++) {
        const struct lfs_item *item = root->refs[i].item;
        struct oci_digest digest = oci_digest_sha256(item->key);
        char hex[OCI_DIGEST_STR_MAX];
        struct stat st;

        if (!root->refs[i].is_document)
            continue;
        written = MAX(written, item->mtime);
        if (used >= 0 && fstatat(used, oci_digest_hex(&digest, hex), &st, 0) == 0)
            mounted = MAX(mounted, (int64_t)st.st_mtim.tv_sec);
    }
    root->last_used = MAX(mounted, written);
}

static struct lfs_root *find_root(const struct lfs_roots *roots, const struct oci_digest *digest)
{
    for (size_t i = 0; i < roots->count; i++)
        if (oci_digest_equal(&roots->roots[i].digest, digest))
            return &roots->roots[i];
    return NULL;
}

static int add_name(struct lfs_root *root, const struct oci_descriptor *entry)
{
    const char *tag = oci_descriptor_annotation(entry, ref_name);
    char *names;

    if (!tag)
        return 0;
    if (asprintf(&names, "%s%s%s", root->names ? root->names : "", root->names ? "," : "", tag) < 0)
        return -ENOMEM;
    free(root->names);
    root->names = names;
    return 0;
}

static int add_entry(
    struct lfs_inventory *inv, struct lfs_roots *roots, const struct oci_descriptor *entry)
{
    struct lfs_root *root = find_root(roots, &entry->digest);
    int err = 0;

    if (!root) {
        root = &roots->roots[roots->count++];
        *root = (struct lfs_root){0};
        err = lfs_root_collect(inv, &entry->digest, root);
        find_last_used(inv, root);
    }
    return err == 0 ? add_name(root, entry) : err;
}

static bool is_known(
    const struct lfs_roots *known, bool skip_evicted, const struct oci_digest *digest)
{
    const struct lfs_root *root = known ? find_root(known, digest) : NULL;

    return root && (skip_evicted || !root->evicted);
}

int lfs_roots_load(struct lfs_inventory *inventory, const struct lfs_roots *known,
    bool skip_evicted, struct lfs_roots *ret_roots, struct report *r)
{
    _cleanup_(lfs_roots_deinit) struct lfs_roots roots = {0};
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    int err = oci_layout_read_index(lfs_store_layout(inventory->store), &index, NULL, r);

    if (err < 0)
        return err;
    roots.roots = calloc(index->count + 1, sizeof(*roots.roots));
    if (!roots.roots)
        return -ENOMEM;
    for (size_t i = 0; err == 0 && i < index->count; i++)
        if (index->manifests[i].digest.alg != OCI_DIGEST_NONE &&
            !is_known(known, skip_evicted, &index->manifests[i].digest))
            err = add_entry(inventory, &roots, &index->manifests[i]);
    if (err < 0)
        return err;
    *ret_roots = roots;
    roots = (struct lfs_roots){0};
    return 0;
}

/* ------------------------------------------------------------------------------------------------
 * Documents
 */

enum lfs_document lfs_document_classify(const json_t *json)
{
    if (json_is_array(json_object_get(json, "manifests")))
        return LFS_DOCUMENT_INDEX;
    if (json_is_object(json_object_get(json, "config")) && json_object_get(json, "schemaVersion"))
        return LFS_DOCUMENT_MANIFEST;
    return json_object_get(json, "artifactType") ? LFS_DOCUMENT_MANIFEST : LFS_DOCUMENT_NONE;
}

/* Most blobs are layers, which one byte tells. */
static int read_json_file(struct lfs_inventory *inv, const char *name, struct buf *b)
{
    _cleanup_(fd_closep) int fd = openat(lfs_store_dirfd(inv->store, LFS_DIR_ROOT), name,
        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char first = '\0';

    if (fd < 0)
        return neg_errno();
    if (pread(fd, &first, 1, 0) != 1 || first != '{')
        return -EBADMSG;
    return io_read_fd(fd, OCI_DOCUMENT_MAX, b);
}

enum lfs_document lfs_document_of(
    struct lfs_inventory *inventory, const struct lfs_item *item, json_t **ret_json)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};
    char name[LFS_ITEM_NAME_MAX];
    enum lfs_document kind;

    lfs_item_name(LFS_ITEM_BLOB, item, name);
    if (item->size > OCI_DOCUMENT_MAX || read_json_file(inventory, name, &b) < 0 ||
        oci_json_load(b.data, b.size, name, &json, NULL) < 0)
        return LFS_DOCUMENT_NONE;
    kind = lfs_document_classify(json);
    if (ret_json)
        *ret_json = TAKE_PTR(json);
    return kind;
}

/* ------------------------------------------------------------------------------------------------
 * Mounts, uppers, leases
 */

/* All that a manifest reaches, and the tree by its chainID: the manifest may be gone. */
static int pin(
    struct lfs_inventory *inv, const struct oci_digest *manifest, const struct oci_digest *chain_id)
{
    _cleanup_(lfs_root_deinit) struct lfs_root root = {0};
    struct lfs_item *item = lfs_inventory_find(inv, LFS_ITEM_BLOB, manifest);
    int err = lfs_root_collect(inv, manifest, &root);

    if (err == 0)
        err = lfs_root_retain(inv, &root);
    if (item)
        item->flags |= LFS_ITEM_PINNED;
    if (err < 0)
        return err;
    return lfs_inventory_retain(
        inv, LFS_ITEM_IMAGE_TREE, lfs_inventory_find(inv, LFS_ITEM_IMAGE_TREE, chain_id));
}

static int pin_upper(void *userdata, const char *name, const struct lfs_upper *upper)
{
    (void)name;
    return lfs_upper_look(upper) == LFS_UPPER_IN_USE
               ? pin(userdata, &upper->manifest, &upper->chain_id)
               : 0;
}

static int pin_leased(void *userdata, enum lfs_lease_kind kind, const struct oci_digest *digest)
{
    static const enum lfs_item_kind kinds[] = {
        [LFS_LEASE_BLOB] = LFS_ITEM_BLOB,
        [LFS_LEASE_LAYER] = LFS_ITEM_LAYER_TREE,
        [LFS_LEASE_IMAGE] = LFS_ITEM_IMAGE_TREE,
    };
    struct lfs_item *item = lfs_inventory_find(userdata, kinds[kind], digest);

    if (item && kind == LFS_LEASE_BLOB)
        item->flags |= LFS_ITEM_PINNED;
    return lfs_inventory_retain(userdata, kinds[kind], item);
}

int lfs_pins_retain(struct lfs_inventory *inventory, struct report *r)
{
    _cleanup_(lfs_mount_list_deinit) struct lfs_mount_list list = {0};
    int err = lfs_mount_list_load(inventory->store, &list, r);

    if (err == 0 && list.unreadable > 0)
        return report_fail(
            r, -EBADMSG, "%zu records of live mounts cannot be read", list.unreadable);
    for (size_t i = 0; err == 0 && i < list.count; i++)
        if (list.alive[i])
            err = pin(inventory, &list.records[i].manifest, &list.records[i].chain_id);
    if (err == 0)
        err = lfs_upper_each(inventory->store, pin_upper, inventory, r);
    if (err == 0)
        err = lfs_lease_each(inventory->store, pin_leased, inventory, r);
    return err;
}
