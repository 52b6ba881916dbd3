/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "layerfs/store/gc.h"
#include "layerfs/store/ingest.h"
#include "layerfs/store/lease.h"
#include "layerfs/store/seal.h"
#include "layerfs/store/uppers.h"

static struct lfs_store *store;
static struct test_image image;

static void enter(void)
{
    (void)fixture_enter();
    store = fixture_store();
    test_image_make(&image);
}

static void leave(void)
{
    test_image_deinit(&image);
    store = lfs_store_close(store);
    fixture_leave();
}

TestSuite(gc, .init = enter, .fini = leave);

static struct lfs_gc_result collect_with(const struct lfs_gc_options *options)
{
    struct lfs_gc_result result;
    struct report r = REPORT_INIT;

    cr_assert(lfs_gc(store, options, &result, &r) == 0, "%s", r.text);
    cr_assert_not(result.has_damage, "%s", result.damage.text);
    return result;
}

/* Without grace; returns what was freed of images' contents. */
static uint64_t collect(void)
{
    struct lfs_gc_options options = {0};
    struct lfs_gc_result result = collect_with(&options);
    uint64_t freed = 0;

    for (int i = 0; i <= LFS_GC_OBJECTS; i++)
        freed += result.kinds[i].freed;
    lfs_gc_result_deinit(&result);
    return freed;
}

static void untag(const char *tag)
{
    struct report r = REPORT_INIT;

    cr_assert(lfs_image_untag(store, tag, &r) == 0, "%s", r.text);
}

Test(gc, keeps_tags)
{
    must_import(store, &image, "a");
    cr_assert_eq(collect(), 0);
    untag("a");
    cr_assert_gt(collect(), 0);
    cr_assert_eq(count_objects(store), 0);
    cr_assert_eq(count_names(store, LFS_DIR_TREES), 0);
    cr_assert_eq(count_names(store, LFS_DIR_PACKS), 0);
}

Test(gc, grace_keeps_what_is_young)
{
    struct lfs_gc_options options = {.grace = 3600};
    struct lfs_gc_result result;

    must_import(store, &image, "a");
    untag("a");
    result = collect_with(&options);
    cr_assert_eq(result.kinds[LFS_GC_BLOBS].freed, 0);
    cr_assert_gt(result.kinds[LFS_GC_BLOBS].kept, 0);
    lfs_gc_result_deinit(&result);
}

Test(gc, a_loaded_image_stays)
{
    struct lfs_image *loaded = NULL;
    struct report r = REPORT_INIT;
    struct lfs_tree *tree;

    must_import(store, &image, "a");
    cr_assert(lfs_image_load(store, "a", NULL, &loaded, &r) == 0, "%s", r.text);
    untag("a");
    cr_assert_eq(collect(), 0);
    cr_assert(lfs_image_prepare(store, loaded, NULL, &tree, &r) == 0, "%s", r.text);
    check_made(store, tree);
    (void)lfs_tree_close(tree);
    (void)lfs_image_free(loaded);
    cr_assert_gt(collect(), 0);
}

Test(gc, a_lease_keeps_what_it_names)
{
    struct lfs_lease *lease;

    must_import(store, &image, "a");
    cr_assert(lfs_lease_new(store, &lease, NULL) == 0);
    cr_assert(lfs_lease_add_blob(lease, &image.blobs[0], NULL) == 0);
    cr_assert(lfs_lease_add_layer(lease, &image.diff_ids[1], NULL) == 0);
    untag("a");
    cr_assert_gt(collect(), 0);
    cr_assert(oci_layout_has_blob(lfs_store_layout(store), &image.blobs[0], UINT64_MAX));
    cr_assert_not(oci_layout_has_blob(lfs_store_layout(store), &image.blobs[1], UINT64_MAX));
    cr_assert(lfs_layer_is_complete(store, &image.diff_ids[1]));
    cr_assert_not(lfs_layer_is_complete(store, &image.diff_ids[0]));
    (void)lfs_lease_free(lease);
    cr_assert_gt(collect(), 0);
    cr_assert_not(lfs_layer_is_complete(store, &image.diff_ids[1]));
}

Test(gc, a_live_mount_keeps_its_image)
{
    struct lfs_mount_record record = {.mountpoint = strdup("/m"), .pid = getpid()};
    struct lfs_image *loaded = NULL;
    int fd = -1;

    must_import(store, &image, "a");
    cr_assert(lfs_image_load(store, "a", NULL, &loaded, NULL) == 0);
    record.manifest = loaded->descriptor.digest;
    record.chain_id = loaded->chain_id;
    cr_assert(lfs_mount_record_create(store, &record, &fd, NULL) == 0);
    (void)lfs_image_free(loaded);
    untag("a");
    cr_assert_eq(collect(), 0);
    (void)fd_close(fd); /* the daemon is dead, its record is there */
    cr_assert_gt(collect(), 0);
    lfs_mount_record_deinit(&record);
}

Test(gc, an_unreadable_record_of_a_live_mount_stops_it)
{
    struct lfs_mount_record record = {.mountpoint = strdup("/m"), .pid = getpid()};
    struct lfs_gc_options options = {0};
    struct lfs_gc_result result;
    struct report r = REPORT_INIT;
    int fd = -1;

    cr_assert(lfs_mount_record_create(store, &record, &fd, NULL) == 0);
    cr_assert(ftruncate(fd, 3) == 0);
    cr_assert_eq(lfs_gc(store, &options, &result, &r), -EBADMSG);
    (void)fd_close(fd);
    cr_assert(lfs_gc(store, &options, &result, &r) == 0);
    lfs_gc_result_deinit(&result);
    lfs_mount_record_deinit(&record);
}

Test(gc, uppers)
{
    struct oci_digest digest, chain;
    struct lfs_upper upper = {0};
    struct stat st;

    cr_assert(stat(fixture_path("."), &st) == 0);
    upper.parent_inode = st.st_ino;
    upper.path = strdup(fixture_path("up"));
    cr_assert_eq(lfs_upper_look(&upper), LFS_UPPER_GONE);
    upper.parent_inode++;
    cr_assert_eq(lfs_upper_look(&upper), LFS_UPPER_IN_USE, "a disk that is not mounted");
    cr_assert(mkdir(upper.path, 0700) == 0);
    cr_assert_eq(lfs_upper_look(&upper), LFS_UPPER_EMPTY);
    cr_assert(mkdir(fixture_path("up/x"), 0700) == 0);
    cr_assert_eq(lfs_upper_look(&upper), LFS_UPPER_IN_USE);
    cr_assert(oci_digest_of(OCI_DIGEST_SHA256, "m", 1, &digest) == 0);
    chain = (struct oci_digest){0};
    cr_assert(lfs_upper_note(store, upper.path, &digest, &chain, NULL) == 0);
    cr_assert(lfs_upper_note(store, upper.path, &digest, &chain, NULL) == 0);
    cr_assert_eq(count_names(store, LFS_DIR_UPPERS), 1);
    free(upper.path);
}

Test(gc, damage_keeps_contents)
{
    struct lfs_gc_options options = {0};
    struct lfs_gc_result result;
    char name[LFS_TREE_NAME_MAX];
    size_t objects;
    int fd;

    must_import(store, &image, "a");
    objects = count_objects(store);
    cr_assert(lfs_store_tree_name(LFS_TREE_LAYER, &image.diff_ids[0], name) == 0);
    fd = openat(lfs_store_dirfd(store, LFS_DIR_TREES), name, O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0 && pwrite(fd, "x", 1, 600) == 1);
    (void)close(fd);
    cr_assert(lfs_gc(store, &options, &result, NULL) == 0);
    cr_assert(result.has_damage);
    lfs_gc_result_deinit(&result);
    cr_assert_eq(count_objects(store), objects);
}

Test(gc, usage_adds_up)
{
    struct lfs_usage usage;
    struct report r = REPORT_INIT;

    must_import(store, &image, "a");
    cr_assert(lfs_usage_load(store, 1, &usage, &r) == 0, "%s", r.text);
    cr_assert_eq(usage.count, 1);
    cr_assert_str_eq(usage.images[0].name, "a");
    cr_assert_eq(usage.images[0].total, usage.images[0].unique);
    cr_assert_gt(usage.images[0].total, 0);
    lfs_usage_deinit(&usage);
}

Test(gc, dry_run_removes_nothing)
{
    struct lfs_gc_options options = {.dry_run = true};
    struct lfs_gc_result dry;

    must_import(store, &image, "a");
    untag("a");
    dry = collect_with(&options);
    cr_assert_gt(dry.kinds[LFS_GC_OBJECTS].freed, 0);
    cr_assert_gt(count_objects(store), 0);
    lfs_gc_result_deinit(&dry);
}

Test(gc, seals)
{
    _cleanup_(oci_json_unrefp) json_t *json = json_pack("{s:s, s:i}", "b", "x", "a", 1);
    _cleanup_(buf_deinit) struct buf b = {0};

    cr_assert(lfs_seal(json, &b) == 0);
    cr_assert(lfs_seal_is_sound(&b));
    for (size_t bit = 0; bit < b.size * 8; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_not(lfs_seal_is_sound(&b), "bit %zu", bit);
        b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
