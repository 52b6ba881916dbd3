/* SPDX-License-Identifier: Apache-2.0 */
/* One layer into the store in one streaming pass, and publishing what came out.
 *
 * Threads of one layer:
 *
 *     read, hash the blob, write it, inflate ─ readahead ─ hash the tar, read it, hash and write
 *                                                          contents, build the tree ─ object
 * threads
 */
#include "layerfs/store/ingest.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "layerfs/store/object_writer.h"
#include "layerfs/store/pack_writer.h"
#include "layerfs/tree/builder.h"
#include "oci/compression.h"
#include "oci/layer.h"
#include "oci/util/io.h"
#include "oci/util/log.h"

enum { READAHEAD_CHUNKS = 16 }; /* of 256 KiB */

struct lfs_staged_layer {
    char name[16 + OCI_DIGEST_STR_MAX]; /* "layer sha256:…", of the blob */
    struct oci_digest diff_id, blob_digest;
    int lock_fd;
    struct io_tmp tree; /* unused when only the blob was missing */
    struct lfs_pack_writer *pack;
    struct lfs_object_writer *objects;
    struct oci_blob_writer *blob; /* NULL when the blob is not stored */
};

/* One ingest at work. */
struct ingest {
    struct lfs_store *store;
    const struct lfs_layer_input *input;
    const struct lfs_ingest_options *options;
    const struct oci_layer_limits *limits;
    struct lfs_staged_layer *staged;
    struct lfs_builder *builder; /* NULL when only the blob is wanted */
    struct oci_hash *tar_hash;   /* of the diffID */
    struct oci_hash *small_hash; /* of small contents */
    struct oci_digest blob_seen; /* NONE until the blob was read to its end */
    uint64_t blob_bytes;         /* read so far */
    uint64_t resumed;            /* of these, from partial/ */
    uint8_t small[LFS_PACK_LIMIT];
};

/* All but the lock. */
static void staged_clear(struct lfs_staged_layer *staged)
{
    staged->blob = oci_blob_writer_free(staged->blob);
    staged->objects = lfs_object_writer_free(staged->objects);
    staged->pack = lfs_pack_writer_free(staged->pack);
    io_tmp_deinit(&staged->tree);
}

struct lfs_staged_layer *lfs_staged_layer_free(struct lfs_staged_layer *staged)
{
    if (!staged)
        return NULL;
    staged_clear(staged);
    staged->lock_fd = fd_close(staged->lock_fd);
    free(staged);
    return NULL;
}

static struct lfs_staged_layer *staged_new(const struct lfs_layer_input *input)
{
    struct lfs_staged_layer *staged = calloc(1, sizeof(*staged));
    char text[OCI_DIGEST_STR_MAX];

    if (!staged)
        return NULL;
    staged->lock_fd = -1;
    staged->tree = IO_TMP_INIT;
    staged->diff_id = *input->diff_id;
    staged->blob_digest = input->blob->digest;
    (void)snprintf(staged->name, sizeof(staged->name), "layer %s",
        oci_digest_format(&input->blob->digest, text));
    return staged;
}

/* Every text starts with the layer; stages that were told its name have put it there. */
static int name_layer(const struct lfs_staged_layer *staged, int err, struct report *r)
{
    if (err >= 0 || (r && strncmp(r->text, staged->name, strlen(staged->name)) == 0))
        return err;
    return report_context(r, err, "%s", staged->name);
}

/* ------------------------------------------------------------------------------------------------
 * The stream of the tar
 */

static void show_progress(
    const struct ingest *g, enum lfs_progress_kind kind, uint64_t done, uint64_t total)
{
    const struct lfs_progress *progress = g->options ? g->options->progress : NULL;

    if (progress)
        progress->update(progress->userdata, kind, &g->input->blob->digest, done, total);
}

static int sink_blob(void *userdata, const uint8_t *data, size_t size, struct report *r)
{
    struct ingest *g = userdata;
    int err = 0;

    if (g->input->cancelled && atomic_load_explicit(g->input->cancelled, memory_order_relaxed))
        return report_fail(r, -ECANCELED, "%s: cancelled", g->staged->name);
    if (g->staged->blob && g->blob_bytes >= g->resumed)
        err = oci_blob_writer_write(g->staged->blob, data, size);
    if (err < 0)
        return report_errno(r, err, "%s: write blob", g->staged->name);
    g->blob_bytes += size;
    show_progress(g, LFS_PROGRESS_BYTES, g->blob_bytes, g->input->blob->size);
    return 0;
}

static int sink_tar(void *userdata, const uint8_t *data, size_t size, struct report *r)
{
    struct ingest *g = userdata;
    int err = oci_hash_update(g->tar_hash, data, size);

    return err < 0 ? report_errno(r, err, "%s: hash", g->staged->name) : 0;
}

/* What an earlier try has left, then the rest. */
static int open_resumed(struct ingest *g, struct oci_source **ret_source, struct report *r)
{
    const struct lfs_layer_input *input = g->input;
    struct oci_source *kept = NULL, *rest = NULL;
    int fd = oci_blob_writer_reopen(g->staged->blob);
    int err = fd < 0 ? fd : oci_source_file(fd, 0, g->resumed, &kept);

    if (err < 0)
        return report_errno(r, err, "%s: read on", g->staged->name);
    err = input->open_at(input->userdata, input->blob, g->resumed, &rest, r);
    if (err < 0) {
        (void)oci_source_close(kept);
        return err;
    }
    return oci_source_concat(kept, rest, ret_source);
}

static int open_blob(struct ingest *g, struct oci_source **ret_source, struct report *r)
{
    if (g->resumed > 0)
        return open_resumed(g, ret_source, r);
    return g->input->open(g->input->userdata, g->input->blob, ret_source, r);
}

/* blob ─ verify ─ tee(blob file) ─ decompress ─ limit ─ readahead ─ tee(diffID) */
static int open_tar(struct ingest *g, struct oci_source **ret_tar, struct report *r)
{
    const struct oci_descriptor *blob = g->input->blob;
    const char *name = g->staged->name;
    struct oci_source *s;
    int err = open_blob(g, &s, r);

    if (err == 0)
        err = oci_source_verify(s, name, blob->size, &blob->digest, &g->blob_seen, &s);
    if (err == 0)
        err = oci_source_tee(s, sink_blob, g, &s);
    if (err == 0)
        err = oci_source_decompress(s, NULL, &s);
    if (err == 0)
        err = oci_source_limit(s, name, g->limits->max_size, &s);
    if (err == 0)
        err = oci_source_readahead(s, READAHEAD_CHUNKS, &s);
    if (err == 0)
        err = oci_source_tee(s, sink_tar, g, &s);
    if (err == 0)
        *ret_tar = s;
    return err;
}

/* After the end of the stream: both digests are as promised. The verify stage has failed before
 * where the blob's is not; that it did compare is checked here. */
static int check_digests(struct ingest *g, struct report *r)
{
    char want[OCI_DIGEST_STR_MAX], is[OCI_DIGEST_STR_MAX];
    struct oci_digest tar;
    int err = oci_hash_final(g->tar_hash, &tar);

    if (err < 0)
        return err;
    if (!oci_digest_equal(&tar, g->input->diff_id))
        return report_fail(r, -EBADMSG, "%s: diffID mismatch (expected %s, got %s)",
            g->staged->name, oci_digest_format(g->input->diff_id, want),
            oci_digest_format(&tar, is));
    if (!oci_digest_equal(&g->blob_seen, &g->input->blob->digest))
        return report_fail(r, -EBADMSG, "%s: blob was not read to its end", g->staged->name);
    return 0;
}

/* ------------------------------------------------------------------------------------------------
 * Contents
 */

/* Reads a content of up to LFS_PACK_LIMIT bytes into g->small. */
static int gather_small(
    struct ingest *g, struct oci_layer_reader *reader, size_t size, struct report *r)
{
    size_t at = 0;

    for (;;) {
        const uint8_t *data;
        uint64_t offset;
        size_t n;
        int err = oci_layer_reader_data(reader, &data, &n, &offset, r);

        if (err < 0)
            return err;
        if (err == 0)
            break;
        if (offset < at || offset > size || n > size - offset)
            return report_fail(r, -EBADMSG, "%s: content past its size", g->staged->name);
        memset(g->small + at, 0, offset - at);
        memcpy(g->small + offset, data, n);
        at = offset + n;
    }
    memset(g->small + at, 0, size - at);
    return 0;
}

static int take_small(
    struct ingest *g, struct oci_layer_reader *reader, uint32_t node, size_t size, struct report *r)
{
    struct oci_digest digest;
    uint64_t offset;
    int err = gather_small(g, reader, size, r);

    if (err < 0)
        return err;
    err = oci_hash_update(g->small_hash, g->small, size);
    if (err == 0)
        err = oci_hash_final(g->small_hash, &digest);
    if (err < 0)
        return err;
    if (size <= LFS_INLINE_LIMIT)
        return lfs_builder_set_inline(g->builder, node, g->small, digest.bytes);
    err = lfs_pack_writer_append(g->staged->pack, g->small, size, digest.bytes, &offset);
    if (err < 0)
        return report_errno(r, err, "%s: write pack", g->staged->name);
    return lfs_builder_set_pack(g->builder, node, offset, digest.bytes);
}

static int copy_large(struct ingest *g, struct oci_layer_reader *reader, struct report *r)
{
    for (;;) {
        const uint8_t *data;
        uint64_t offset;
        size_t n;
        int err = oci_layer_reader_data(reader, &data, &n, &offset, r);

        if (err <= 0)
            return err;
        err = lfs_object_writer_write(g->staged->objects, data, n, offset);
        if (err < 0)
            return report_errno(r, err, "%s: write object", g->staged->name);
    }
}

static int take_large(struct ingest *g, struct oci_layer_reader *reader, uint32_t node,
    uint64_t size, struct report *r)
{
    uint8_t sha256[32];
    int err = lfs_object_writer_begin(g->staged->objects, size);

    if (err < 0)
        return report_errno(r, err, "%s: write object", g->staged->name);
    err = copy_large(g, reader, r);
    if (err < 0)
        return err;
    err = lfs_object_writer_end(g->staged->objects, sha256);
    if (err < 0)
        return report_errno(r, err, "%s: write object", g->staged->name);
    return lfs_builder_set_object(g->builder, node, sha256);
}

static int take_entry(struct ingest *g, struct oci_layer_reader *reader,
    const struct oci_layer_entry *entry, struct report *r)
{
    uint64_t size = entry->size; /* the entry goes when its data are asked for */
    uint32_t node = 0;
    int err = lfs_builder_add(g->builder, entry, &node, r);

    if (err < 0 || node == 0)
        return err;
    if (size <= LFS_PACK_LIMIT)
        return take_small(g, reader, node, size, r);
    return take_large(g, reader, node, size, r);
}

/* ------------------------------------------------------------------------------------------------
 * The whole layer
 */

static int read_layer(struct ingest *g, struct oci_source *tar, struct report *r)
{
    _cleanup_(oci_layer_reader_freep) struct oci_layer_reader *reader = NULL;
    const struct oci_layer_entry *entry;
    int err = oci_layer_reader_new(tar, g->limits, &reader);

    if (err < 0)
        return err;
    for (err = oci_layer_reader_next(reader, &entry, r); err > 0;
         err = oci_layer_reader_next(reader, &entry, r)) {
        err = take_entry(g, reader, entry, r);
        if (err < 0)
            break;
    }
    return err;
}

/* Only the blob is wanted: its bytes are read for their digests alone. */
static int drain(struct oci_source *tar, struct report *r)
{
    _cleanup_(oci_source_closep) struct oci_source *s = tar;
    const uint8_t *data;
    ssize_t n;

    do
        n = oci_source_next(s, &data, r);
    while (n > 0);
    return (int)n;
}

static int write_tree(struct ingest *g, struct report *r)
{
    struct lfs_staged_layer *staged = g->staged;
    struct oci_digest key;
    int err = lfs_store_key_digest(&staged->diff_id, &key);

    if (err == 0)
        err = io_tmp_open(lfs_store_dirfd(g->store, LFS_DIR_TMP), 0644, &staged->tree);
    if (err < 0)
        return report_errno(r, err, "%s: write tree", staged->name);
    return lfs_builder_write(g->builder, &key, staged->tree.fd, r);
}

static int finish_contents(struct ingest *g, struct report *r)
{
    int err = lfs_pack_writer_flush(g->staged->pack);

    if (err < 0)
        return report_errno(r, err, "%s: write pack", g->staged->name);
    err = lfs_object_writer_flush(g->staged->objects);
    return err < 0 ? report_errno(r, err, "%s: write object", g->staged->name) : 0;
}

static int run(struct ingest *g, bool tree_wanted, struct report *r)
{
    struct oci_source *tar = NULL;
    int err = open_tar(g, &tar, r);

    if (err < 0)
        return err;
    err = tree_wanted ? read_layer(g, tar, r) : drain(tar, r);
    if (err == 0)
        err = check_digests(g, r);
    if (err == 0 && tree_wanted)
        err = finish_contents(g, r);
    if (err == 0 && tree_wanted)
        err = write_tree(g, r);
    return err;
}

/* The blob's file: one that is read on where that is possible, and nobody else is at it. */
static int open_blob_writer(struct ingest *g)
{
    struct oci_layout *layout = lfs_store_layout(g->store);
    int partial = lfs_store_dirfd(g->store, LFS_DIR_PARTIAL);
    int err = -EWOULDBLOCK;

    if (g->input->open_at)
        err = oci_blob_writer_resume(
            layout, partial, &g->input->blob->digest, &g->staged->blob, &g->resumed);
    if (err == 0 && g->resumed > g->input->blob->size) {
        g->resumed = 0;
        oci_blob_writer_discard(g->staged->blob);
        g->staged->blob = oci_blob_writer_free(g->staged->blob);
        err = -EWOULDBLOCK;
    }
    return err == -EWOULDBLOCK ? oci_blob_writer_new(layout, &g->staged->blob) : err;
}

static int prepare_ingest(struct ingest *g, bool tree_wanted, bool blob_wanted)
{
    struct lfs_staged_layer *staged = g->staged;
    int err = oci_hash_new(g->input->diff_id->alg, &g->tar_hash);

    if (err == 0 && blob_wanted)
        err = open_blob_writer(g);
    if (err < 0 || !tree_wanted)
        return err;
    err = oci_hash_new(OCI_DIGEST_SHA256, &g->small_hash);
    if (err == 0)
        err = lfs_builder_new(LFS_TREE_LAYER, &g->builder);
    if (err == 0)
        err = lfs_pack_writer_new(g->store, &staged->pack);
    if (err == 0)
        err = lfs_object_writer_new(g->store, &staged->objects);
    return err;
}

static struct ingest *ingest_free(struct ingest *g)
{
    (void)lfs_builder_free(g->builder);
    (void)oci_hash_free(g->tar_hash);
    (void)oci_hash_free(g->small_hash);
    free(g);
    return NULL;
}
DEFINE_CLEANUP(struct ingest *, ingest_free)

/* Failures that come from the bytes and not from the way they took. */
static bool is_bad_content(int err)
{
    switch (-err) {
    case EBADMSG:
    case EFBIG:
    case E2BIG:
    case EINVAL:
    case ELOOP:
    case ENAMETOOLONG:
    case EOPNOTSUPP:
        return true;
    default:
        return false;
    }
}

enum { INGEST_AGAIN = 1 }; /* what lay in partial/ was wrong and is gone */

static int ingest(struct lfs_store *store, const struct lfs_layer_input *input,
    const struct lfs_ingest_options *options, struct lfs_staged_layer *staged, bool tree_wanted,
    bool blob_wanted, struct report *r)
{
    _cleanup_(ingest_freep) struct ingest *g = calloc(1, sizeof(*g));
    int err;

    if (!g)
        return -ENOMEM;
    g->store = store;
    g->input = input;
    g->options = options;
    g->limits = options && options->limits ? options->limits : &oci_layer_limits_default;
    g->staged = staged;
    show_progress(g, LFS_PROGRESS_BEGIN, 0, input->blob->size);
    err = prepare_ingest(g, tree_wanted, blob_wanted);
    if (err == 0)
        err = run(g, tree_wanted, r);
    if (is_bad_content(err) && staged->blob)
        oci_blob_writer_discard(staged->blob);
    if (is_bad_content(err) && g->resumed > 0)
        return INGEST_AGAIN;
    if (err == 0)
        show_progress(g, LFS_PROGRESS_DONE, g->blob_bytes, input->blob->size);
    return err;
}

/* ------------------------------------------------------------------------------------------------
 * What is there already
 */

static bool contents_exist(const struct lfs_store *store, const struct lfs_tree *tree)
{
    const uint8_t *sha256;

    for (uint32_t i = 0; i < lfs_tree_pack_count(tree); i++) {
        _cleanup_(fd_closep) int fd = -1;

        if (lfs_tree_pack(tree, i, &sha256) == 0)
            fd = lfs_store_open_pack(store, sha256);
        if (fd < 0)
            return false;
    }
    for (uint32_t i = LFS_TREE_ROOT; i < lfs_tree_inode_count(tree); i++) {
        _cleanup_(fd_closep) int fd = -1;
        struct lfs_inode inode;

        if (lfs_tree_inode(tree, i, &inode) < 0)
            return false;
        if (inode.data_kind != LFS_DATA_OBJECT)
            continue;
        if (lfs_tree_digest(tree, inode.digest, &sha256) == 0)
            fd = lfs_store_open_object(store, sha256);
        if (fd < 0)
            return false;
    }
    return true;
}

bool lfs_layer_is_complete(struct lfs_store *store, const struct oci_digest *diff_id)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;

    return lfs_store_open_layer(store, diff_id, &tree, NULL) == 0 && contents_exist(store, tree);
}

static void look(struct lfs_store *store, const struct lfs_layer_input *input,
    bool *ret_tree_wanted, bool *ret_blob_wanted)
{
    *ret_tree_wanted = !lfs_layer_is_complete(store, input->diff_id);
    *ret_blob_wanted = input->store_blob && !oci_layout_has_blob(lfs_store_layout(store),
                                                &input->blob->digest, input->blob->size);
}

int lfs_ingest_layer(struct lfs_store *store, const struct lfs_layer_input *input,
    const struct lfs_ingest_options *options, struct lfs_staged_layer **ret_staged,
    struct report *r)
{
    _cleanup_(lfs_staged_layer_freep) struct lfs_staged_layer *staged = staged_new(input);
    bool tree_wanted, blob_wanted;
    char key[LFS_KEY_MAX];
    int err = staged ? lfs_store_key(input->diff_id, key) : -ENOMEM;

    if (err < 0)
        return err;
    look(store, input, &tree_wanted, &blob_wanted);
    if (!tree_wanted && !blob_wanted)
        return LFS_INGEST_EXISTS;
    err = lfs_store_try_lock(store, key, &staged->lock_fd, r);
    if (err == -EWOULDBLOCK)
        return LFS_INGEST_BUSY;
    if (err < 0)
        return name_layer(staged, err, r);
    look(store, input, &tree_wanted, &blob_wanted); /* whoever had the lock may have done it */
    if (!tree_wanted && !blob_wanted)
        return LFS_INGEST_EXISTS;
    log_debug(LOG_STORE, "%s: ingest%s%s", staged->name, tree_wanted ? " tree" : "",
        blob_wanted ? " blob" : "");
    err = ingest(store, input, options, staged, tree_wanted, blob_wanted, r);
    if (err == INGEST_AGAIN) {
        log_debug(LOG_STORE, "%s: what was there is wrong, from the start", staged->name);
        staged_clear(staged);
        if (r)
            *r = REPORT_INIT;
        err = ingest(store, input, options, staged, tree_wanted, blob_wanted, r);
    }
    if (err < 0)
        return name_layer(staged, err, r);
    *ret_staged = TAKE_PTR(staged);
    return LFS_INGEST_STAGED;
}

/* ------------------------------------------------------------------------------------------------
 * Publishing
 */

static int publish_contents(struct lfs_staged_layer *staged, struct report *r)
{
    char key[LFS_KEY_MAX];
    int err = lfs_store_key(&staged->diff_id, key);

    if (err == 0 && staged->objects)
        err = lfs_object_writer_publish(staged->objects);
    if (err < 0)
        return report_errno(r, err, "%s: publish objects", staged->name);
    if (staged->pack)
        err = lfs_pack_writer_publish(staged->pack, key);
    if (err < 0)
        return report_errno(r, err, "%s: publish pack", staged->name);
    if (staged->blob)
        err = oci_blob_writer_commit(staged->blob, &staged->blob_digest, false);
    return err < 0 ? report_errno(r, err, "%s: publish blob", staged->name) : 0;
}

static int publish_tree(struct lfs_store *store, struct lfs_staged_layer *staged, struct report *r)
{
    char name[LFS_TREE_NAME_MAX];
    int err = lfs_store_tree_name(LFS_TREE_LAYER, &staged->diff_id, name);

    if (err == 0 && staged->tree.fd >= 0)
        err = io_tmp_publish(
            &staged->tree, lfs_store_dirfd(store, LFS_DIR_TREES), name, IO_PUBLISH_REPLACE);
    return err < 0 ? report_errno(r, err, "%s: publish tree", staged->name) : 0;
}

int lfs_ingest_publish(
    struct lfs_store *store, struct lfs_staged_layer *const *staged, size_t count, struct report *r)
{
    _cleanup_(fd_closep) int hold = -1;
    int err = lfs_store_sync(store, r);

    /* Until its tree is there, nothing tells gc that a content is wanted. */
    if (err == 0)
        err = lfs_gc_hold(store, &hold, r);
    for (size_t i = 0; i < count && err == 0; i++)
        err = staged[i] ? publish_contents(staged[i], r) : 0;
    if (err == 0)
        err = lfs_store_sync(store, r);
    for (size_t i = 0; i < count && err == 0; i++)
        err = staged[i] ? publish_tree(store, staged[i], r) : 0;
    return err;
}
