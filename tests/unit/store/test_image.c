/* SPDX-License-Identifier: Apache-2.0 */
/* Importing and preparing images: what works, and what must leave the store as it was. */
#include "fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "layerfs/store/ingest.h"
#include "layerfs/tree/builder.h"

static struct test_image image;

static void enter(void)
{
    (void)fixture_enter();
    test_image_make(&image);
}

static void leave(void)
{
    test_image_deinit(&image);
    fixture_leave();
}

TestSuite(image, .init = enter, .fini = leave, .timeout = 120);

static void check_empty(struct lfs_store *store)
{
    struct oci_index *index = NULL;

    cr_assert(oci_layout_read_index(lfs_store_layout(store), &index, NULL, NULL) == 0);
    cr_assert(index->count == 0);
    (void)oci_index_free(index);
    cr_assert(count_names(store, LFS_DIR_TREES) == 0);
    cr_assert(count_names(store, LFS_DIR_PACKS) == 0);
    cr_assert(count_names(store, LFS_DIR_TMP) == 0);
    cr_assert(count_objects(store) == 0);
}

/* Importing fails with this error and a text that holds these words, and leaves nothing. */
static void import_fails(int want, const char *words, const struct lfs_ingest_options *options)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    struct report r = REPORT_INIT;
    int err = lfs_image_import(store, &image.source, "t", options, NULL, &r);

    cr_assert(err == want, "%d: %s", err, r.text);
    cr_assert(strstr(r.text, words), "%s", r.text);
    check_empty(store);
}

static const char *layer_name(size_t layer)
{
    static char text[OCI_DIGEST_STR_MAX + 16];
    char digest[OCI_DIGEST_STR_MAX];

    (void)snprintf(
        text, sizeof(text), "layer %s: ", oci_digest_format(&image.blobs[layer], digest));
    return text;
}

/* --- what works --- */

Test(image, import_then_prepare)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;

    must_import(store, &image, "t");
    tree = must_prepare(store, "t");
    check_made(store, tree);
    cr_assert(count_names(store, LFS_DIR_TREES) == 3);
    cr_assert(count_names(store, LFS_DIR_PACKS) == 2);
    cr_assert(count_names(store, LFS_DIR_TMP) == 0);
    cr_assert(count_objects(store) == 2);
    for (size_t i = 0; i < 2; i++)
        cr_assert(
            oci_layout_has_blob(lfs_store_layout(store), &image.blobs[i], image.layers[i].size));
}

Test(image, import_again_reads_nothing)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();

    must_import(store, &image, "t");
    cr_assert(image.opened == 2);
    must_import(store, &image, "u");
    cr_assert(image.opened == 2);
}

Test(image, prepare_from_blobs_alone)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    struct lfs_tree *tree;
    struct lfs_tree *again;

    must_import(store, &image, "t");
    for (int i = LFS_DIR_TREES; i <= LFS_DIR_OBJECTS; i++) {
        char command[600];

        (void)snprintf(command, sizeof(command), "rm -rf '%s'/%s/*", fixture_path("store"),
            i == LFS_DIR_TREES   ? "trees"
            : i == LFS_DIR_PACKS ? "packs"
                                 : "objects");
        cr_assert(system(command) == 0);
    }
    tree = must_prepare(store, "t");
    check_made(store, tree);
    again = must_prepare(store, "t");
    check_made(store, again);
    (void)lfs_tree_close(tree);
    (void)lfs_tree_close(again);
}

Test(image, one_layer_has_two_trees)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL, *layer = NULL;

    image.layer_count = image.diff_id_count = 1;
    test_image_seal(&image);
    must_import(store, &image, "t");
    tree = must_prepare(store, "t");
    cr_assert(lfs_tree_kind(tree) == LFS_TREE_IMAGE);
    cr_assert(lfs_store_open_layer(store, &image.diff_ids[0], &layer, NULL) == 0);
    cr_assert(lfs_tree_kind(layer) == LFS_TREE_LAYER);
}

Test(image, without_layers_it_is_an_empty_root)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct lfs_inode root;
    struct lfs_dirent entry;

    test_image_deinit(&image);
    test_image_init(&image);
    test_image_seal(&image);
    must_import(store, &image, "t");
    tree = must_prepare(store, "t");
    cr_assert(lfs_tree_inode(tree, LFS_TREE_ROOT, &root) == 0 && S_ISDIR(root.mode));
    cr_assert(lfs_tree_entry(tree, &root, 0, &entry) == -ENOENT);
}

Test(image, a_layer_twice_is_read_once)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;

    cr_assert(buf_append(&image.layers[2], image.layers[0].data, image.layers[0].size) == 0);
    image.layer_count = image.diff_id_count = 3;
    test_image_seal(&image);
    must_import(store, &image, "t");
    cr_assert(image.opened == 2);
    tree = must_prepare(store, "t");
    check_file(store, tree, "etc/gone", 20000, 3); /* deleted and there again */
}

Test(image, dropped_blobs_come_back_when_wanted)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct lfs_ingest_options options = {.drop_blobs = true};
    struct oci_layout *layout = lfs_store_layout(store);
    struct report r = REPORT_INIT;

    cr_assert(lfs_image_import(store, &image.source, "t", &options, NULL, &r) == 0, "%s", r.text);
    cr_assert(!oci_layout_has_blob(layout, &image.blobs[0], image.layers[0].size));
    tree = must_prepare(store, "t");
    check_made(store, tree);
    cr_assert(lfs_image_import(store, &image.source, "t", &options, NULL, &r) == 0);
    cr_assert(image.opened == 2);
    must_import(store, &image, "t");
    cr_assert(image.opened == 4);
    cr_assert(oci_layout_has_blob(layout, &image.blobs[0], image.layers[0].size));
    cr_assert(count_names(store, LFS_DIR_TREES) == 3);
}

Test(image, import_mends_what_is_missing_or_damaged)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    struct lfs_tree *tree;
    char name[LFS_TREE_NAME_MAX];
    int fd;

    must_import(store, &image, "t");
    cr_assert(lfs_store_tree_name(LFS_TREE_LAYER, &image.diff_ids[0], name) == 0);
    fd = openat(lfs_store_dirfd(store, LFS_DIR_TREES), name, O_WRONLY | O_CLOEXEC);
    cr_assert(fd >= 0 && pwrite(fd, "damage", 6, 300) == 6);
    (void)close(fd);
    must_import(store, &image, "t");
    cr_assert(image.opened == 3);
    cr_assert(lfs_store_key(&image.diff_ids[1], name) == 0);
    cr_assert(unlinkat(lfs_store_dirfd(store, LFS_DIR_PACKS), name, 0) == 0);
    must_import(store, &image, "t");
    cr_assert(image.opened == 4);
    tree = must_prepare(store, "t");
    check_made(store, tree);
    (void)lfs_tree_close(tree);
}

struct seen {
    unsigned begin, bytes, done, exists;
    uint64_t last;
};

static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;

static void see(void *userdata, enum lfs_progress_kind kind, const struct oci_digest *blob,
    uint64_t done, uint64_t total)
{
    struct seen *seen = userdata;

    pthread_mutex_lock(&seen_lock);
    seen->begin += kind == LFS_PROGRESS_BEGIN;
    seen->bytes += kind == LFS_PROGRESS_BYTES;
    seen->done += kind == LFS_PROGRESS_DONE;
    seen->exists += kind == LFS_PROGRESS_EXISTS;
    if (kind == LFS_PROGRESS_DONE && oci_digest_equal(blob, &image.blobs[1]))
        seen->last = done == total ? done : 0;
    pthread_mutex_unlock(&seen_lock);
}

Test(image, progress_is_told)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    struct seen seen = {0};
    struct lfs_progress progress = {see, &seen};
    struct lfs_ingest_options options = {.progress = &progress, .jobs = 2};

    cr_assert(lfs_image_import(store, &image.source, "t", &options, NULL, NULL) == 0);
    cr_assert(seen.begin == 2 && seen.done == 2 && seen.bytes >= 2 && seen.exists == 0);
    cr_assert(seen.last == image.layers[1].size);
    cr_assert(lfs_image_import(store, &image.source, "t", &options, NULL, NULL) == 0);
    cr_assert(seen.exists == 2 && seen.begin == 2);
}

/* --- tags --- */

static size_t index_count(struct lfs_store *store)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;

    cr_assert(oci_layout_read_index(lfs_store_layout(store), &index, NULL, NULL) == 0);
    return index->count;
}

Test(image, tags_move_and_go)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    struct oci_descriptor d = {0};
    char digest[OCI_DIGEST_STR_MAX];
    struct report r = REPORT_INIT;

    cr_assert(lfs_image_import(store, &image.source, NULL, NULL, &d, NULL) == 0);
    cr_assert(oci_digest_equal(&d.digest, &image.source.descriptor.digest));
    cr_assert(index_count(store) == 1);
    must_import(store, &image, "a");
    cr_assert(index_count(store) == 1); /* the entry got its name */
    cr_assert(lfs_image_tag(store, &d, "b", NULL) == 0);
    cr_assert(lfs_image_tag(store, &d, "b", NULL) == 0);
    cr_assert(index_count(store) == 2);
    cr_assert(lfs_image_tag(store, &d, "no tag", &r) == -EINVAL);
    cr_assert(lfs_image_untag(store, "c", &r) == -ENOENT);
    cr_assert(strstr(r.text, "c"), "%s", r.text);
    cr_assert(lfs_image_untag(store, "a", NULL) == 0);
    cr_assert(index_count(store) == 1);
    cr_assert(lfs_image_untag(store, oci_digest_format(&d.digest, digest), NULL) == 0);
    cr_assert(index_count(store) == 0);
    d.digest.bytes[0] ^= 1;
    cr_assert(lfs_image_tag(store, &d, "b", NULL) == -ENOENT);
    oci_descriptor_deinit(&d);
}

Test(image, a_tag_that_moves_leaves_its_old_image)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    _cleanup_(lfs_image_freep) struct lfs_image *loaded = NULL;

    must_import(store, &image, "t");
    image.layer_count = image.diff_id_count = 1;
    test_image_seal(&image);
    must_import(store, &image, "t");
    cr_assert(index_count(store) == 1);
    cr_assert(lfs_image_load(store, "t", NULL, &loaded, NULL) == 0);
    cr_assert(loaded->manifest->layer_count == 1);
}

/* --- bad images --- */

Test(image, flipped_blob)
{
    image.layers[0].data[3000] ^= 1;
    import_fails(-EBADMSG, layer_name(0), NULL);
}

Test(image, flipped_tail_of_a_blob)
{
    image.layers[1].data[image.layers[1].size - 1] ^= 1;
    import_fails(-EBADMSG, layer_name(1), NULL);
}

Test(image, truncated_blob)
{
    image.layers[1].size -= 512;
    import_fails(-EBADMSG, layer_name(1), NULL);
}

Test(image, truncated_in_mid_content)
{
    image.layers[1].size /= 2;
    import_fails(-EBADMSG, layer_name(1), NULL);
}

Test(image, blob_too_long)
{
    cr_assert(buf_extend(&image.layers[0], 512) != NULL);
    import_fails(-EBADMSG, layer_name(0), NULL);
}

Test(image, wrong_diff_id)
{
    image.diff_ids[0].bytes[5] ^= 1;
    test_image_seal(&image);
    import_fails(-EBADMSG, "diffID mismatch (expected sha256:", NULL);
}

Test(image, wrong_diff_id_names_the_layer)
{
    image.diff_ids[1].bytes[5] ^= 1;
    test_image_seal(&image);
    import_fails(-EBADMSG, layer_name(1), NULL);
}

Test(image, fewer_diff_ids_than_layers)
{
    image.diff_id_count = 1;
    test_image_seal(&image);
    import_fails(-EBADMSG, "layer", NULL);
}

Test(image, more_diff_ids_than_layers)
{
    image.diff_ids[2] = image.diff_ids[0];
    image.diff_id_count = 3;
    test_image_seal(&image);
    import_fails(-EBADMSG, "layer", NULL);
}

Test(image, broken_config)
{
    image.config.data[0] = 'x';
    import_fails(-EBADMSG, "config", NULL);
}

Test(image, blob_that_cannot_be_had)
{
    image.missing[1] = true;
    import_fails(-ENOENT, layer_name(1), NULL);
}

Test(image, larger_than_the_limit)
{
    struct oci_layer_limits limits = oci_layer_limits_default;
    struct lfs_ingest_options options = {.limits = &limits};

    limits.max_size = 2 << 20;
    import_fails(-EFBIG, layer_name(1), &options);
}

Test(image, too_many_entries)
{
    struct oci_layer_limits limits = oci_layer_limits_default;
    struct lfs_ingest_options options = {.limits = &limits, .jobs = 1};

    limits.max_entries = 2;
    import_fails(-EFBIG, "layer sha256:", &options);
}

Test(image, not_a_tar)
{
    memset(image.layers[0].data, 'x', 1024);
    image.diff_ids[0] = (struct oci_digest){0};
    test_image_seal(&image);
    import_fails(-EBADMSG, layer_name(0), NULL);
}

Test(image, bad_tag)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    struct report r = REPORT_INIT;

    cr_assert(lfs_image_import(store, &image.source, "no tag", NULL, NULL, &r) == -EINVAL);
    cr_assert(strstr(r.text, "no tag"));
    check_empty(store);
}

Test(image, what_was_there_stays_when_an_import_fails)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    struct lfs_tree *tree;

    must_import(store, &image, "t");
    tar_file(&image.layers[2], "new", 100000, 9);
    tar_end(&image.layers[2]);
    image.layer_count = image.diff_id_count = 3;
    test_image_seal(&image);
    image.layers[2].data[2000] ^= 1;
    cr_assert(lfs_image_import(store, &image.source, "t", NULL, NULL, NULL) == -EBADMSG);
    cr_assert(count_names(store, LFS_DIR_TREES) == 3);
    cr_assert(count_objects(store) == 2);
    cr_assert(count_names(store, LFS_DIR_TMP) == 0);
    tree = must_prepare(store, "t");
    check_made(store, tree);
    (void)lfs_tree_close(tree);
}

/* --- prepare --- */

static int prepare(struct lfs_store *store, struct report *r)
{
    _cleanup_(lfs_image_freep) struct lfs_image *loaded = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    int err = lfs_image_load(store, "t", NULL, &loaded, r);

    return err < 0 ? err : lfs_image_prepare(store, loaded, NULL, &tree, r);
}

static void remove_trees(struct lfs_store *store)
{
    char command[600];

    (void)snprintf(command, sizeof(command), "rm -rf '%s'/trees/*", lfs_store_path(store));
    cr_assert(system(command) == 0);
}

static void blob_path(char *path, size_t size, size_t layer)
{
    char hex[OCI_DIGEST_STR_MAX];

    (void)snprintf(path, size, "%s/%s", fixture_path("store/blobs/sha256"),
        oci_digest_hex(&image.blobs[layer], hex));
}

Test(image, prepare_without_the_blob)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    struct report r = REPORT_INIT;
    char path[700];

    must_import(store, &image, "t");
    remove_trees(store);
    blob_path(path, sizeof(path), 1);
    cr_assert(unlink(path) == 0);
    cr_assert(prepare(store, &r) == -ENOENT);
    cr_assert(strstr(r.text, "is not in the store"), "%s", r.text);
    cr_assert(strncmp(r.text, "layer sha256:", 13) == 0, "%s", r.text);
    cr_assert(count_names(store, LFS_DIR_TMP) == 0);
}

Test(image, prepare_from_a_damaged_blob)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    struct report r = REPORT_INIT;
    char path[700];
    int fd;

    must_import(store, &image, "t");
    remove_trees(store);
    blob_path(path, sizeof(path), 0);
    cr_assert(chmod(path, 0600) == 0);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    cr_assert(fd >= 0 && pwrite(fd, "x", 1, 2000) == 1);
    (void)close(fd);
    cr_assert(prepare(store, &r) == -EBADMSG);
    cr_assert(strstr(r.text, layer_name(0)), "%s", r.text);
    cr_assert(count_names(store, LFS_DIR_TREES) == 0);
}

Test(image, every_byte_of_a_tree_counts)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    _cleanup_(lfs_image_freep) struct lfs_image *loaded = NULL;
    char name[LFS_TREE_NAME_MAX];
    struct stat st;
    int fd;

    must_import(store, &image, "t");
    cr_assert(prepare(store, NULL) == 0);
    cr_assert(lfs_image_load(store, "t", NULL, &loaded, NULL) == 0);
    cr_assert(lfs_store_tree_name(LFS_TREE_IMAGE, &loaded->chain_id, name) == 0);
    fd = openat(lfs_store_dirfd(store, LFS_DIR_TREES), name, O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0 && fstat(fd, &st) == 0);
    for (off_t at = 0; at < st.st_size; at += 61) {
        struct report r = REPORT_INIT;
        uint8_t byte, flipped;
        int err;

        cr_assert(pread(fd, &byte, 1, at) == 1);
        flipped = byte ^ 0x10;
        cr_assert(pwrite(fd, &flipped, 1, at) == 1);
        err = prepare(store, &r);
        cr_assert(err == -EBADMSG || err == -EOPNOTSUPP, "byte %jd: %d", (intmax_t)at, err);
        cr_assert(strstr(r.text, name), "%s", r.text);
        cr_assert(pwrite(fd, &byte, 1, at) == 1);
    }
    cr_assert(prepare(store, NULL) == 0);
    (void)close(fd);
}

Test(image, the_tree_of_something_else)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    char a[LFS_TREE_NAME_MAX], b[LFS_TREE_NAME_MAX];
    int trees = lfs_store_dirfd(store, LFS_DIR_TREES);
    struct lfs_tree *tree = NULL;
    struct report r = REPORT_INIT;

    must_import(store, &image, "t");
    (void)lfs_store_tree_name(LFS_TREE_LAYER, &image.diff_ids[0], a);
    (void)lfs_store_tree_name(LFS_TREE_LAYER, &image.diff_ids[1], b);
    cr_assert(renameat(trees, a, trees, b) == 0);
    cr_assert(lfs_store_open_layer(store, &image.diff_ids[1], &tree, &r) == -EBADMSG);
    cr_assert(strstr(r.text, b), "%s", r.text);
}

/* --- disks --- */

/* A small file system at the fixture's "store", in a mount namespace of this test's. */
static bool mount_small(const char *options)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0)
        return false;
    cr_assert(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    cr_assert(mkdir(fixture_path("store"), 0700) == 0);
    return mount("none", fixture_path("store"), "tmpfs", 0, options) == 0;
}

static void remount(unsigned long flags, const char *options)
{
    cr_assert(mount("none", fixture_path("store"), NULL, MS_REMOUNT | flags, options) == 0);
}

Test(image, full_disk)
{
    if (!mount_small("size=2m"))
        cr_skip_test("needs root");
    import_fails(-ENOSPC, "No space left on device", NULL);
    import_fails(-ENOSPC, "layer sha256:", NULL);
    remount(0, "size=64m");
    {
        _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
        _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;

        must_import(store, &image, "t");
        tree = must_prepare(store, "t");
        check_made(store, tree);
    }
    cr_assert(umount2(fixture_path("store"), MNT_DETACH) == 0);
}

Test(image, disk_without_inodes)
{
    if (!mount_small("size=64m,nr_inodes=16"))
        cr_skip_test("needs root");
    import_fails(-ENOSPC, "No space left on device", NULL);
    cr_assert(umount2(fixture_path("store"), MNT_DETACH) == 0);
}

Test(image, read_only_disk)
{
    struct report r = REPORT_INIT;

    if (!mount_small("size=64m"))
        cr_skip_test("needs root");
    {
        _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
        char name[LFS_TREE_NAME_MAX + 10];

        must_import(store, &image, "t");
        (void)lfs_store_tree_name(LFS_TREE_LAYER, &image.diff_ids[0], name);
        (void)strcat(name, ".verified");
        (void)unlinkat(lfs_store_dirfd(store, LFS_DIR_TREES), name, 0);
    }
    remount(MS_RDONLY, NULL);
    for (unsigned flags = 0; flags < 4; flags++) {
        _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
        _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL, *layer = NULL;

        cr_assert(lfs_store_open(fixture_path("store"), flags, &store, &r) == 0, "%s", r.text);
        tree = must_prepare(store, "t");
        check_made(store, tree);
        cr_assert(lfs_store_open_layer(store, &image.diff_ids[0], &layer, NULL) == 0);
        tar_file(&image.layers[2], "new", 10, flags);
        image.layer_count = image.diff_id_count = 3;
        test_image_seal(&image);
        cr_assert(lfs_image_import(store, &image.source, "u", NULL, NULL, &r) == -EROFS);
        cr_assert(strstr(r.text, "Read-only file system"), "%s", r.text);
    }
    cr_assert(umount2(fixture_path("store"), MNT_DETACH) == 0);
}

Test(image, unwritable_store)
{
    struct report r = REPORT_INIT;
    struct lfs_store *store = NULL;

    lfs_store_close(fixture_store());
    cr_assert(chmod(fixture_path(""), 0755) == 0 && chmod(fixture_path("store"), 0755) == 0);
    if (geteuid() != 0)
        cr_skip_test("needs root");
    cr_assert(setresgid(65534, 65534, 65534) == 0);
    cr_assert(setresuid(65534, 65534, 0) == 0);
    cr_assert(lfs_store_open(fixture_path("store"), 0, &store, NULL) == 0);
    cr_assert(lfs_image_import(store, &image.source, "t", NULL, NULL, &r) == -EACCES);
    cr_assert(strstr(r.text, "Permission denied"), "%s", r.text);
    cr_assert(strstr(r.text, "layer sha256:"), "%s", r.text);
    (void)lfs_store_close(store);
    cr_assert(setresuid(0, 0, 0) == 0);
}

/* --- several at once --- */

/* Starts count processes that import the image at the same moment; all must succeed. *opened
 * counts blobs that any of them read. */
static void import_at_once(unsigned count, _Atomic unsigned *opened)
{
    int go[2];
    char byte;

    cr_assert(pipe(go) == 0);
    for (unsigned i = 0; i < count; i++) {
        if (fork() != 0)
            continue;
        (void)close(go[1]);
        (void)!read(go[0], &byte, 1);
        {
            struct lfs_store *store = fixture_store();
            int err = lfs_image_import(store, &image.source, "t", NULL, NULL, NULL);

            *opened += image.opened;
            _exit(err == 0 ? 0 : 1);
        }
    }
    (void)close(go[0]);
    (void)close(go[1]);
    for (unsigned i = 0; i < count; i++) {
        int status;

        cr_assert(wait(&status) > 0);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

Test(image, four_processes_read_each_blob_once)
{
    _Atomic unsigned *opened =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;

    import_at_once(4, opened);
    cr_assert(*opened == 2, "%u", *opened);
    cr_assert(index_count(store) == 1);
    cr_assert(count_names(store, LFS_DIR_TREES) == 3);
    cr_assert(count_names(store, LFS_DIR_TMP) == 0);
    tree = must_prepare(store, "t");
    check_made(store, tree);
}

/* The same layers in another order: nobody may wait for the other for ever. */
Test(image, orders_that_cross_do_not_block)
{
    struct test_image *images[2] = {&image, calloc(1, sizeof(image))};

    test_image_deinit(&image);
    for (unsigned i = 0; i < 2; i++) {
        test_image_init(images[i]);
        images[i]->layer_count = 6;
        for (unsigned layer = 0; layer < 6; layer++) {
            struct buf *tar = &images[i]->layers[i ? 5 - layer : layer];

            tar_file(tar, "file", 200000, layer); /* the same size: nothing else orders them */
            tar_end(tar);
        }
        test_image_seal(images[i]);
    }
    lfs_store_close(fixture_store());
    for (unsigned i = 0; i < 4; i++)
        if (fork() == 0) {
            struct lfs_store *store = fixture_store();
            struct lfs_ingest_options options = {.jobs = 1 + i / 2};

            _exit(lfs_image_import(
                      store, &images[i % 2]->source, i % 2 ? "b" : "a", &options, NULL, NULL) == 0
                      ? 0
                      : 1);
        }
    for (unsigned i = 0; i < 4; i++) {
        int status;

        cr_assert(wait(&status) > 0);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    test_image_deinit(images[1]);
    free(images[1]);
}

/* --- crashes --- */

/* Runs an import in a process that dies by itself or by a timer. */
static void import_and_die(unsigned microseconds)
{
    struct itimerval timer = {.it_value = {.tv_usec = (suseconds_t)microseconds}};
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct lfs_store *store = fixture_store();

        (void)signal(SIGALRM, SIG_DFL);
        (void)setitimer(ITIMER_REAL, &timer, NULL);
        (void)lfs_image_import(store, &image.source, "t", NULL, NULL, NULL);
        _exit(0);
    }
    cr_assert(waitpid(pid, &status, 0) == pid);
}

/* Whatever a dead process left: no tree that is not sound and complete, and a new import works. */
static void check_after_crash(void)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    struct lfs_tree *tree = NULL;

    for (size_t i = 0; i < image.layer_count; i++) {
        struct report r = REPORT_INIT;
        int err = lfs_store_open_layer(store, &image.diff_ids[i], &tree, &r);

        cr_assert(err == 0 || err == -ENOENT, "%s", r.text);
        cr_assert(err == -ENOENT || lfs_layer_is_complete(store, &image.diff_ids[i]));
        tree = lfs_tree_close(tree);
    }
    if (index_count(store) == 1) {
        tree = must_prepare(store, "t");
        check_made(store, tree);
        tree = lfs_tree_close(tree);
    }
    image.die_at = 0;
    must_import(store, &image, "t");
    tree = must_prepare(store, "t");
    check_made(store, tree);
    (void)lfs_tree_close(tree);
}

static void remove_store(void)
{
    char command[600];

    (void)snprintf(command, sizeof(command), "rm -rf '%s'", fixture_path("store"));
    cr_assert(system(command) == 0);
}

Test(image, dies_in_mid_blob)
{
    static const uint64_t points[] = {1, 4096, 100000, 300000, 1000000, 3000000};

    for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
        image.die_at = points[i];
        import_and_die(0);
        check_after_crash();
        remove_store();
    }
}

/* Dies at moments spread over the whole import, publishing included. */
Test(image, dies_at_any_time)
{
    for (unsigned us = 200; us < 60000; us += us / 8 + 100) {
        import_and_die(us);
        check_after_crash();
        remove_store();
    }
}

/* ---- names of registries ---- */

static bool finds(struct lfs_store *store, const char *name)
{
    struct lfs_image *loaded = NULL;
    struct report r = REPORT_INIT;
    int err = lfs_image_load(store, name, NULL, &loaded, &r);

    cr_expect(err == 0 || (err == -ENOENT && report_is_set(&r)), "%s: %d", name, err);
    cr_expect(err < 0 || !report_is_set(&r), "%s", r.text);
    (void)lfs_image_free(loaded);
    return err == 0;
}

Test(image, short_names_find_full_ones)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    struct test_image made;

    test_image_make(&made);
    must_import(store, &made, "docker.io/library/debian:latest");
    must_import(store, &made, "r.example/team/app:v1");
    cr_expect(finds(store, "debian"));
    cr_expect(finds(store, "debian:latest"));
    cr_expect(finds(store, "docker.io/debian"));
    cr_expect(finds(store, "docker.io/library/debian:latest"));
    cr_expect(finds(store, "app:v1"));
    cr_expect(finds(store, "team/app:v1"));
    cr_expect_not(finds(store, "debian:12"));
    cr_expect_not(finds(store, "app"));
    cr_expect_not(finds(store, "pp:v1"));
    cr_expect_not(finds(store, "other.example/team/app:v1"));
    test_image_deinit(&made);
}

Test(image, short_names_that_fit_several_find_none)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    struct test_image made;

    test_image_make(&made);
    must_import(store, &made, "a.example/app:latest");
    must_import(store, &made, "b.example/app:latest");
    cr_expect_not(finds(store, "app"));
    must_import(store, &made, "app");
    cr_expect(finds(store, "app"));
    cr_expect_eq(lfs_image_untag(store, "app", NULL), 0);
    cr_expect_eq(lfs_image_untag(store, "app", NULL), -ENOENT);
    cr_expect_eq(lfs_image_untag(store, "a.example/app", NULL), 0);
    cr_expect_eq(lfs_image_untag(store, "app", NULL), 0);
    cr_expect_not(finds(store, "b.example/app"));
    test_image_deinit(&made);
}
