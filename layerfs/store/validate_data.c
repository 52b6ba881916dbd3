/* SPDX-License-Identifier: Apache-2.0 */
/* Reading blobs, layers, trees, packs and objects. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "layerfs/store/validate_private.h"
#include "layerfs/tree/builder.h"
#include "oci/compression.h"
#include "oci/util/io.h"

enum { CHUNK = 1 << 20 /* bytes */ };

/* A check at work. */
struct work {
    struct lfs_validating *g;
    const struct lfs_check *check;
    char name[LFS_ITEM_NAME_MAX]; /* what is being read */
    uint64_t bytes;
};

static void add(struct work *w, enum lfs_finding_kind kind, const char *text)
{
    lfs_validate_add(w->g, kind, true, w->name, w->check->kind, w->check->item, "%s", text);
}

static void add_error(struct work *w, enum lfs_finding_kind kind, int err, const struct report *r)
{
    if (err == -ENOMEM)
        atomic_store(&w->g->error, err);
    else
        add(w, kind, report_is_set(r) ? r->text : strerror(-err));
}

/* ------------------------------------------------------------------------------------------------
 * Blobs
 */

static struct oci_digest blob_digest(const struct lfs_check *check)
{
    struct oci_digest digest;
    char text[OCI_DIGEST_STR_MAX];

    if (check->input)
        return check->input->blob.digest;
    if (!(check->item->flags & LFS_ITEM_NAMED))
        return oci_digest_sha256(check->item->key);
    (void)snprintf(text, sizeof(text), "sha512:%.128s", check->item->name + 7);
    return oci_digest_parse(text, &digest) == 0 ? digest : (struct oci_digest){0};
}

static int open_blob(struct work *w, struct oci_source **ret_source, struct report *r)
{
    const struct lfs_check *check = w->check;
    struct oci_digest digest = blob_digest(check);
    uint64_t size = check->input ? check->input->blob.size : UINT64_MAX;
    int fd = -1, err;

    if (w->g->source)
        return oci_image_source_open_blob(w->g->source, &check->input->blob, ret_source, r);
    err = oci_layout_open_blob(w->g->layout, &digest, size, &fd, r);
    return err < 0 ? err : oci_source_file(fd, 0, UINT64_MAX, ret_source);
}

static int open_verified(struct work *w, struct oci_source **ret_source, struct report *r)
{
    struct oci_digest digest = blob_digest(w->check);
    uint64_t size = w->check->input ? w->check->input->blob.size : UINT64_MAX;
    int err = open_blob(w, ret_source, r);

    return err < 0 ? err : oci_source_verify(*ret_source, "blob", size, &digest, NULL, ret_source);
}

/* Reads a source to its end. */
static int drain(struct oci_source *s, uint64_t *bytes, struct report *r)
{
    const uint8_t *data;
    ssize_t n;

    while ((n = oci_source_next(s, &data, r)) > 0)
        *bytes += (uint64_t)n;
    return (int)n;
}

static int check_blob(struct work *w, struct report *r)
{
    _cleanup_(oci_source_closep) struct oci_source *s = NULL;
    int err = w->g->options->deep ? open_verified(w, &s, r) : open_blob(w, &s, r);

    return err == 0 && w->g->options->deep ? drain(s, &w->bytes, r) : err;
}

/* ------------------------------------------------------------------------------------------------
 * Layers
 */

static int sink_hash(void *userdata, const uint8_t *data, size_t size, struct report *r)
{
    (void)r;
    return oci_hash_update(userdata, data, size);
}

/* Every entry through the reader's and the builder's rules; contents are only hashed. */
static int read_entries(struct oci_source *tar, struct report *r)
{
    _cleanup_(oci_layer_reader_freep) struct oci_layer_reader *reader = NULL;
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    const struct oci_layer_entry *entry;
    int err = oci_layer_reader_new(tar, &oci_layer_limits_default, &reader);

    if (err == 0)
        err = lfs_builder_new(LFS_TREE_LAYER, &b);
    if (err < 0)
        return err;
    while ((err = oci_layer_reader_next(reader, &entry, r)) > 0) {
        uint32_t node;

        err = lfs_builder_add(b, entry, &node, r);
        if (err < 0)
            return err;
    }
    return err;
}

static void check_compression(struct work *w, enum oci_compression is)
{
    const char *type = w->check->input->blob.media_type, *plus = strrchr(type, '+');
    const char *says = plus ? plus + 1 : "none";
    char text[128];

    if (!plus && strncmp(type, OCI_TYPE_LAYER, strlen(OCI_TYPE_LAYER)) != 0)
        return; /* docker's types say gzip whatever it is */
    if (strcmp(says, oci_compression_name(is)) == 0)
        return;
    (void)snprintf(text, sizeof(text), "its media type says %.20s, and it is %s", says,
        oci_compression_name(is));
    lfs_validate_add(
        w->g, LFS_FINDING_LAYER, false, w->name, LFS_ITEM_BLOB, w->check->item, "%s", text);
}

static int read_layer(struct work *w, struct report *r)
{
    _cleanup_(oci_hash_freep) struct oci_hash *hash = NULL;
    enum oci_compression compression = OCI_COMPRESSION_NONE;
    char want[OCI_DIGEST_STR_MAX], got[OCI_DIGEST_STR_MAX];
    const struct oci_digest *diff_id = &w->check->input->diff_id;
    struct oci_source *s = NULL;
    struct oci_digest is;
    int err = oci_hash_new(diff_id->alg, &hash);

    if (err == 0)
        err = open_verified(w, &s, r);
    if (err == 0)
        err = oci_source_decompress(s, &compression, &s);
    if (err == 0)
        err = oci_source_tee(s, sink_hash, hash, &s);
    if (err == 0)
        err = read_entries(s, r);
    if (err == 0)
        err = oci_hash_final(hash, &is);
    if (err < 0)
        return err;
    w->bytes += w->check->input->blob.size;
    check_compression(w, compression);
    if (oci_digest_equal(&is, diff_id))
        return 0;
    return report_fail(r, -EBADMSG, "diffID mismatch (expected %s, got %s)",
        oci_digest_format(diff_id, want), oci_digest_format(&is, got));
}

/* What is wrong with a layer is wrong with its blob, or else with the layer itself: reading the
 * blob alone tells. */
static void check_layer(struct work *w)
{
    struct report r = REPORT_INIT, blob = REPORT_INIT;
    int err = w->g->options->deep ? read_layer(w, &r) : 0;
    int blob_err = err < 0 || !w->g->options->deep ? check_blob(w, &blob) : 0;

    if (blob_err < 0)
        add_error(w, LFS_FINDING_BLOB, blob_err, &blob);
    else if (err < 0)
        add_error(w, LFS_FINDING_LAYER, err, &r);
}

/* ------------------------------------------------------------------------------------------------
 * Objects
 */

/* sha256 of size bytes of a file from offset on; fewer are -EBADMSG. */
static int hash_range(int fd, uint64_t offset, uint64_t size, uint8_t *buffer,
    struct oci_hash *hash, struct oci_digest *ret_digest)
{
    int err = 0;

    while (err == 0 && size > 0) {
        ssize_t n = io_pread_full(fd, buffer, (size_t)MIN(size, (uint64_t)CHUNK), (off_t)offset);

        if (n <= 0)
            return n < 0 ? (int)n : -EBADMSG;
        err = oci_hash_update(hash, buffer, (size_t)n);
        offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return err == 0 ? oci_hash_final(hash, ret_digest) : err;
}

static int check_object(struct work *w, struct report *r)
{
    _cleanup_(oci_hash_freep) struct oci_hash *hash = NULL;
    _cleanup_(freep) uint8_t *buffer = NULL;
    _cleanup_(fd_closep) int fd = -1;
    char text[OCI_DIGEST_STR_MAX];
    struct oci_digest is;
    int err;

    if (!w->g->options->deep)
        return 0;
    fd = lfs_store_open_object(w->g->store, w->check->item->key);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd; /* removed meanwhile: who needs it tells */
    buffer = malloc(CHUNK);
    err = buffer ? oci_hash_new(OCI_DIGEST_SHA256, &hash) : -ENOMEM;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (err == 0)
        err = hash_range(fd, 0, w->check->item->size, buffer, hash, &is);
    if (err < 0)
        return err;
    w->bytes += w->check->item->size;
    if (memcmp(is.bytes, w->check->item->key, 32) != 0)
        return report_fail(
            r, -EBADMSG, "digest mismatch (its bytes have %s)", oci_digest_format(&is, text));
    return 0;
}

/* ------------------------------------------------------------------------------------------------
 * Trees and packs
 */

struct tree_check {
    struct work *w;
    const struct lfs_tree *tree;
    bool hash_packs; /* and inline contents */
    struct oci_hash *hash;
    uint8_t *buffer; /* CHUNK bytes */
    int *packs;      /* fds by number; -1: not there */
    uint64_t *pack_sizes;
    bool *pack_bad;
};

static void tree_check_deinit(struct tree_check *t)
{
    for (uint32_t i = 0; t->packs && i < lfs_tree_pack_count(t->tree); i++)
        (void)fd_close(t->packs[i]);
    free(t->packs);
    free(t->pack_sizes);
    free(t->pack_bad);
    free(t->buffer);
    (void)oci_hash_free(t->hash);
}

static void add_pack(struct tree_check *t, uint32_t number, const char *text)
{
    const uint8_t *key;
    struct oci_digest digest;
    char hex[OCI_DIGEST_STR_MAX], name[OCI_DIGEST_STR_MAX + 8];

    if (t->pack_bad[number] || lfs_tree_pack(t->tree, number, &key) < 0)
        return;
    t->pack_bad[number] = true;
    digest = oci_digest_sha256(key);
    (void)snprintf(name, sizeof(name), "packs/%s", oci_digest_hex(&digest, hex));
    /* Who depends on a pack that is missing is found by the tree that needs it. */
    lfs_validate_add(
        t->w->g, LFS_FINDING_PACK, true, name, t->w->check->kind, t->w->check->item, "%s", text);
}

static void add_object(struct tree_check *t, const uint8_t sha256[static 32], const char *text)
{
    char name[LFS_OBJECT_NAME_MAX + 8], object[LFS_OBJECT_NAME_MAX];

    lfs_store_object_name(sha256, object);
    (void)snprintf(name, sizeof(name), "objects/%s", object);
    lfs_validate_add(
        t->w->g, LFS_FINDING_OBJECT, true, name, t->w->check->kind, t->w->check->item, "%s", text);
}

static int open_packs(struct tree_check *t)
{
    uint32_t count = lfs_tree_pack_count(t->tree);

    t->packs = calloc(count + 1u, sizeof(*t->packs));
    t->pack_sizes = calloc(count + 1u, sizeof(*t->pack_sizes));
    t->pack_bad = calloc(count + 1u, sizeof(*t->pack_bad));
    if (!t->packs || !t->pack_sizes || !t->pack_bad)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        t->packs[i] = -1;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *key;
        struct stat st;

        if (lfs_tree_pack(t->tree, i, &key) < 0)
            continue;
        t->packs[i] = lfs_store_open_pack(t->w->g->store, key);
        if (t->packs[i] < 0)
            add_pack(t, i, t->packs[i] == -ENOENT ? "missing" : strerror(-t->packs[i]));
        else if (fstat(t->packs[i], &st) == 0)
            t->pack_sizes[i] = (uint64_t)st.st_size;
    }
    return 0;
}

/* Compares a digest with the one the tree has; false when it has another. */
static bool has_digest(
    struct tree_check *t, const struct lfs_inode *inode, const struct oci_digest *is)
{
    const uint8_t *want;

    return lfs_tree_digest(t->tree, inode->digest, &want) == 0 && memcmp(want, is->bytes, 32) == 0;
}

static void check_packed(struct tree_check *t, const struct lfs_inode *inode)
{
    uint32_t n = inode->pack;
    struct oci_digest is;
    int err;

    if (t->packs[n] < 0 || t->pack_bad[n])
        return;
    if (inode->data_offset > t->pack_sizes[n] ||
        inode->size > t->pack_sizes[n] - inode->data_offset) {
        add_pack(t, n, "shorter than the contents it should hold");
        return;
    }
    if (!t->hash_packs)
        return;
    err = hash_range(t->packs[n], inode->data_offset, inode->size, t->buffer, t->hash, &is);
    t->w->bytes += inode->size;
    if (err < 0)
        add_pack(t, n, strerror(-err));
    else if (!has_digest(t, inode, &is))
        add_pack(t, n, "digest mismatch of a content");
}

static void check_inline(struct tree_check *t, const struct lfs_inode *inode)
{
    struct oci_digest is;
    const char *data;

    if (t->hash_packs && (lfs_tree_bytes(t->tree, inode, &data) < 0 ||
                             oci_digest_of(OCI_DIGEST_SHA256, data, inode->size, &is) < 0 ||
                             !has_digest(t, inode, &is)))
        add(t->w, LFS_FINDING_TREE, "digest mismatch of a content in it");
}

static void check_reference(struct tree_check *t, const struct lfs_inode *inode)
{
    struct lfs_item *item;
    struct oci_digest digest;
    const uint8_t *sha256;

    if (lfs_tree_digest(t->tree, inode->digest, &sha256) < 0)
        return;
    digest = oci_digest_sha256(sha256);
    item = lfs_inventory_find(t->w->g->inventory, LFS_ITEM_OBJECT, &digest);
    if (!item) {
        _cleanup_(fd_closep) int fd = lfs_store_open_object(t->w->g->store, sha256);

        if (fd < 0) /* else it came after the listing */
            add_object(t, sha256, fd == -ENOENT ? "missing" : strerror(-fd));
    } else if (item->size != inode->size) {
        char text[96];

        (void)snprintf(text, sizeof(text), "size is %llu, expected %llu",
            (unsigned long long)item->size, (unsigned long long)inode->size);
        add_object(t, sha256, text);
    }
}

static int check_contents(struct tree_check *t)
{
    int err = open_packs(t);

    if (err == 0)
        err = oci_hash_new(OCI_DIGEST_SHA256, &t->hash);
    if (err < 0)
        return err;
    for (uint32_t i = LFS_TREE_ROOT; i < lfs_tree_inode_count(t->tree); i++) {
        struct lfs_inode inode;

        if (lfs_tree_inode(t->tree, i, &inode) < 0)
            return -EIO;
        if (inode.data_kind == LFS_DATA_PACK)
            check_packed(t, &inode);
        else if (inode.data_kind == LFS_DATA_INLINE)
            check_inline(t, &inode);
        else if (inode.data_kind == LFS_DATA_OBJECT)
            check_reference(t, &inode);
    }
    return 0;
}

static int check_identity(const struct work *w, const struct lfs_tree *tree, struct report *r)
{
    struct oci_digest id = lfs_tree_id(tree);
    enum lfs_tree_kind kind =
        w->check->kind == LFS_ITEM_LAYER_TREE ? LFS_TREE_LAYER : LFS_TREE_IMAGE;

    if (memcmp(id.bytes, w->check->item->key, 32) != 0 || lfs_tree_kind(tree) != kind)
        return report_fail(r, -EBADMSG, "is the tree of something else");
    return 0;
}

static int check_tree(struct work *w, struct report *r)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    _cleanup_(tree_check_deinit) struct tree_check t = {.w = w, .buffer = malloc(CHUNK)};
    int err = t.buffer
                  ? lfs_tree_open(lfs_store_dirfd(w->g->store, LFS_DIR_ROOT), w->name, &tree, r)
                  : -ENOMEM;

    t.tree = tree;
    if (err == -ENOENT)
        return 0; /* removed meanwhile */
    if (err == 0)
        err = lfs_tree_verify(tree, r);
    if (err == 0)
        err = check_identity(w, tree, r);
    if (err < 0)
        return err;
    w->bytes += w->check->item->size;
    /* An image's tree has its contents where its layers' trees have them. */
    t.hash_packs = w->g->options->deep && w->check->kind == LFS_ITEM_LAYER_TREE;
    return check_contents(&t);
}

/* ------------------------------------------------------------------------------------------------
 * Merges
 */

static int compare_files(int a, int b)
{
    struct stat sa, sb;
    void *pa, *pb;
    bool same;

    if (fstat(a, &sa) < 0 || fstat(b, &sb) < 0)
        return neg_errno();
    if (sa.st_size != sb.st_size)
        return 1;
    pa = mmap(NULL, (size_t)sa.st_size, PROT_READ, MAP_SHARED, a, 0);
    pb = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_SHARED, b, 0);
    if (pa == MAP_FAILED || pb == MAP_FAILED)
        same = false;
    else
        same = memcmp(pa, pb, (size_t)sa.st_size) == 0;
    if (pa != MAP_FAILED)
        (void)munmap(pa, (size_t)sa.st_size);
    if (pb != MAP_FAILED)
        (void)munmap(pb, (size_t)sb.st_size);
    return !same;
}

/* 1 when a layer's tree is not there: then there is nothing to compare with. */
static int merge(struct work *w, struct lfs_builder *b)
{
    const struct lfs_check_input *input = w->check->input;
    int err = 0;

    for (size_t i = 0; err == 0 && i < input->diff_id_count; i++) {
        _cleanup_(lfs_tree_closep) struct lfs_tree *layer = NULL;

        if (lfs_store_open_layer(w->g->store, &input->diff_ids[i], &layer, NULL) < 0)
            return 1;
        err = lfs_builder_apply(b, layer, "layer", NULL);
    }
    return err;
}

static int check_merge(struct work *w, struct report *r)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(fd_closep) int fd = -1, mem = memfd_create("tree", MFD_CLOEXEC);
    struct oci_digest id = oci_digest_sha256(w->check->item->key);
    int err = mem < 0 ? neg_errno() : lfs_builder_new(LFS_TREE_IMAGE, &b);

    if (err == 0)
        err = merge(w, b);
    if (err == 0)
        err = lfs_builder_write(b, &id, mem, r);
    if (err != 0)
        return MIN(err, 0);
    fd = openat(lfs_store_dirfd(w->g->store, LFS_DIR_ROOT), w->name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : neg_errno();
    err = compare_files(mem, fd);
    return err > 0 ? report_fail(r, -EBADMSG, "is not what its layers give") : err;
}

/* ------------------------------------------------------------------------------------------------
 * All
 */

static void name_work(struct work *w)
{
    char text[OCI_DIGEST_STR_MAX];

    if (w->check->item)
        lfs_item_name(w->check->kind, w->check->item, w->name);
    else
        (void)snprintf(w->name, sizeof(w->name), "blob %s",
            oci_digest_format(&w->check->input->blob.digest, text));
}

void lfs_validate_check(struct lfs_validating *g, const struct lfs_check *check)
{
    static const enum lfs_finding_kind kinds[] = {
        [CHECK_BLOB] = LFS_FINDING_BLOB,
        [CHECK_LAYER] = LFS_FINDING_LAYER,
        [CHECK_TREE] = LFS_FINDING_TREE,
        [CHECK_MERGE] = LFS_FINDING_TREE,
        [CHECK_OBJECT] = LFS_FINDING_OBJECT,
    };
    struct work w = {.g = g, .check = check};
    struct report r = REPORT_INIT;
    int err = 0;

    name_work(&w);
    switch (check->what) {
    case CHECK_BLOB:
        err = check_blob(&w, &r);
        break;
    case CHECK_LAYER:
        check_layer(&w);
        break;
    case CHECK_TREE:
        err = check_tree(&w, &r);
        break;
    case CHECK_MERGE:
        err = check_merge(&w, &r);
        break;
    case CHECK_OBJECT:
        err = check_object(&w, &r);
        break;
    }
    if (err < 0)
        add_error(&w, kinds[check->what], err, &r);
    pthread_mutex_lock(&g->lock);
    g->v->bytes += w.bytes;
    pthread_mutex_unlock(&g->lock);
}
