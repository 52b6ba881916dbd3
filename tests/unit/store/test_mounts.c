/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "layerfs/store/mounts.h"

static struct lfs_store *store;

static void enter(void)
{
    (void)fixture_enter();
    store = fixture_store();
}

static void leave(void)
{
    store = lfs_store_close(store);
    fixture_leave();
}

TestSuite(mounts, .init = enter, .fini = leave);

static int create(struct lfs_mount_record *record, const char *mountpoint, int64_t started)
{
    struct report r = REPORT_INIT;
    int fd = -1;

    *record = (struct lfs_mount_record){0};
    record->mountpoint = strdup(mountpoint);
    record->image = strdup("debian:12");
    record->pid = getpid();
    record->started = started;
    cr_assert(lfs_mount_record_create(store, record, &fd, &r) == 0, "%s", r.text);
    cr_assert(record->id && fd >= 0);
    return fd;
}

Test(mounts, records_come_back)
{
    struct lfs_mount_record record;
    struct lfs_mount_list list;
    int fd = create(&record, "/m/\xff%41\n/x y\xc3\xa4", 1234);

    record.upper = strdup("/up");
    record.fuse_mountpoint = strdup("/hidden");
    cr_assert(oci_digest_of(OCI_DIGEST_SHA256, "x", 1, &record.manifest) == 0);
    cr_assert(lfs_mount_record_update(store, &record, fd, NULL) == 0);
    cr_assert(lfs_mount_list_load(store, &list, NULL) == 0);
    cr_assert(list.count == 1);
    cr_assert(list.alive[0]);
    cr_assert_str_eq(list.records[0].id, record.id);
    cr_assert_str_eq(list.records[0].mountpoint, record.mountpoint);
    cr_assert_str_eq(list.records[0].fuse_mountpoint, "/hidden");
    cr_assert_str_eq(list.records[0].upper, "/up");
    cr_assert_str_eq(list.records[0].image, "debian:12");
    cr_assert(list.records[0].work == NULL);
    cr_assert(list.records[0].pid == getpid() && list.records[0].started == 1234);
    cr_assert(oci_digest_equal(&list.records[0].manifest, &record.manifest));
    cr_assert(list.records[0].chain_id.alg == OCI_DIGEST_NONE);
    lfs_mount_list_deinit(&list);
    (void)fd_close(fd);
    lfs_mount_record_deinit(&record);
}

Test(mounts, an_update_may_be_shorter)
{
    struct lfs_mount_record record;
    struct lfs_mount_list list;
    int fd = create(&record, "/m", 1);

    free(record.image);
    record.image = NULL;
    cr_assert(lfs_mount_record_update(store, &record, fd, NULL) == 0);
    cr_assert(lfs_mount_list_load(store, &list, NULL) == 0);
    cr_assert(list.count == 1 && list.records[0].image == NULL && list.alive[0]);
    lfs_mount_list_deinit(&list);
    (void)fd_close(fd);
    lfs_mount_record_deinit(&record);
}

Test(mounts, a_lock_that_is_gone_means_dead)
{
    struct lfs_mount_record record;
    struct lfs_mount_list list;
    int fd = create(&record, "/m", 1);

    cr_assert(lfs_mount_record_wait_gone(store, record.id, 1) == -ETIMEDOUT);
    (void)fd_close(fd);
    cr_assert(lfs_mount_record_wait_gone(store, record.id, 1) == 0);
    cr_assert(lfs_mount_list_load(store, &list, NULL) == 0);
    cr_assert(list.count == 1 && !list.alive[0]);
    lfs_mount_list_deinit(&list);
    lfs_mount_record_remove(store, record.id);
    cr_assert(lfs_mount_record_wait_gone(store, record.id, 1) == 0);
    cr_assert(lfs_mount_list_load(store, &list, NULL) == 0);
    cr_assert(list.count == 0);
    lfs_mount_list_deinit(&list);
    lfs_mount_record_deinit(&record);
}

Test(mounts, waits_for_the_process)
{
    struct lfs_mount_record record;
    int go[2], told[2], status;
    char byte, id[64] = {0};
    pid_t pid;

    cr_assert(pipe(go) == 0 && pipe(told) == 0);
    pid = fork();
    if (pid == 0) {
        int fd = create(&record, "/m", 1);

        (void)fd;
        (void)close(go[1]);
        (void)!write(told[1], record.id, strlen(record.id));
        (void)close(told[1]);
        (void)!read(go[0], &byte, 1);
        _exit(0);
    }
    (void)close(told[1]);
    cr_assert(io_read_full(told[0], id, sizeof(id) - 1) > 0);
    cr_assert(lfs_mount_record_wait_gone(store, id, 1) == -ETIMEDOUT);
    (void)close(go[1]);
    (void)close(go[0]);
    cr_assert(lfs_mount_record_wait_gone(store, id, 60000) == 0);
    cr_assert(waitpid(pid, &status, WNOHANG) == pid);
}

Test(mounts, broken_records_are_skipped)
{
    static const char *const broken[] = {"", "{", "[]", "{}", "{\"mountpoint\":1}",
        "{\"mountpoint\":\"/x\",\"pid\":\"1\",\"started\":1}",
        "{\"mountpoint\":\"/x\",\"pid\":1,\"started\":1,\"manifest\":\"sha256:1\"}",
        "{\"pid\":1,\"started\":1}"};
    int dirfd = lfs_store_dirfd(store, LFS_DIR_MOUNTS);
    struct lfs_mount_list list;

    for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
        cr_assert(io_write_file(dirfd, "b.json", broken[i], strlen(broken[i]), 0644) == 0);
        cr_assert(lfs_mount_list_load(store, &list, NULL) == 0);
        cr_assert(list.count == 0, "%s", broken[i]);
        lfs_mount_list_deinit(&list);
    }
    cr_assert(unlinkat(dirfd, "b.json", 0) == 0);
    cr_assert(mkfifoat(dirfd, "fifo.json", 0644) == 0);
    cr_assert(symlinkat("nowhere", dirfd, "link.json") == 0);
    cr_assert(lfs_mount_list_load(store, &list, NULL) == 0 && list.count == 0);
    lfs_mount_list_deinit(&list);
}

Test(mounts, finds_the_newest)
{
    struct lfs_mount_record a, b, c;
    struct lfs_mount_list list;
    int fds[] = {create(&a, "/m", 5), create(&b, "/m", 9), create(&c, "/other", 10)};
    ssize_t i;

    cr_assert(lfs_mount_list_load(store, &list, NULL) == 0);
    i = lfs_mount_list_find(&list, "/m");
    cr_assert(i >= 0);
    cr_assert_str_eq(list.records[i].id, b.id);
    cr_assert(lfs_mount_list_find(&list, "/m2") == -ENOENT);
    lfs_mount_list_deinit(&list);
    for (size_t j = 0; j < ARRAY_SIZE(fds); j++)
        (void)fd_close(fds[j]);
    lfs_mount_record_deinit(&a);
    lfs_mount_record_deinit(&b);
    lfs_mount_record_deinit(&c);
}
