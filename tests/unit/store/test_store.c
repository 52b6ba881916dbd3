/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void enter(void)
{
    (void)fixture_enter();
}

TestSuite(store, .init = enter, .fini = fixture_leave);

static int open_fails(const char *path, unsigned flags, struct report *r)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;

    *r = REPORT_INIT;
    return lfs_store_open(path, flags, &store, r);
}

static void write_text(const char *path, const char *text)
{
    _cleanup_(fd_closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    cr_assert(fd >= 0 && io_write_full(fd, text, strlen(text)) == 0, "%s", path);
}

Test(store, opens_only_what_is_there)
{
    struct report r;

    cr_assert(open_fails(fixture_path("store"), 0, &r) == -ENOENT);
    cr_assert(strstr(r.text, "store"));
    lfs_store_close(fixture_store());
    cr_assert(open_fails(fixture_path("store"), 0, &r) == 0);
    cr_assert(open_fails(fixture_path("store//"), LFS_STORE_READ_ONLY, &r) == 0);
}

Test(store, is_private_and_makes_parents)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    struct stat st;

    cr_assert(lfs_store_open(fixture_path("a/b/store/"), LFS_STORE_CREATE, &store, NULL) == 0);
    cr_assert(stat(fixture_path("a/b/store"), &st) == 0);
    cr_assert((st.st_mode & 07777) == 0700);
    cr_assert(lfs_store_path(store)[0] == '/');
    cr_assert(lfs_store_path(store)[strlen(lfs_store_path(store)) - 1] != '/');
    for (int i = 0; i < LFS_DIRS; i++)
        cr_assert(lfs_store_dirfd(store, i) >= 0);
}

Test(store, refuses_a_newer_version)
{
    struct report r;

    lfs_store_close(fixture_store());
    write_text(fixture_path("store/layerfs.json"), "{\"version\": 2}");
    cr_assert(open_fails(fixture_path("store"), LFS_STORE_CREATE, &r) == -EOPNOTSUPP);
    cr_assert(strstr(r.text, "has version 2, this layerfs knows 1"), "%s", r.text);
}

Test(store, refuses_a_broken_version)
{
    static const char *const broken[] = {"", "{", "{}", "[]", "{\"version\":\"1\"}",
        "{\"version\":0}", "{\"version\":-1}", "{\"version\":1.5}"};
    struct report r;

    lfs_store_close(fixture_store());
    for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
        write_text(fixture_path("store/layerfs.json"), broken[i]);
        cr_assert(open_fails(fixture_path("store"), 0, &r) == -EBADMSG, "%s", broken[i]);
        cr_assert(strstr(r.text, "layerfs.json"), "%s", r.text);
    }
}

Test(store, adopts_a_layout)
{
    struct report r;

    cr_assert(mkdir(fixture_path("store"), 0755) == 0);
    cr_assert(mkdir(fixture_path("store/blobs"), 0755) == 0);
    write_text(fixture_path("store/oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}");
    write_text(fixture_path("store/index.json"), "{\"schemaVersion\":2,\"manifests\":[]}");
    write_text(fixture_path("store/README"), "x");
    cr_assert(open_fails(fixture_path("store"), 0, &r) == -ENOENT);
    cr_assert(
        open_fails(fixture_path("store"), LFS_STORE_CREATE | LFS_STORE_READ_ONLY, &r) == -ENOENT);
    cr_assert(access(fixture_path("store/trees"), F_OK) < 0);
    cr_assert(open_fails(fixture_path("store"), LFS_STORE_CREATE, &r) == 0, "%s", r.text);
    cr_assert(access(fixture_path("store/README"), F_OK) == 0);
}

Test(store, takes_no_foreign_directory)
{
    struct report r;

    cr_assert(mkdir(fixture_path("home"), 0755) == 0);
    write_text(fixture_path("home/letter"), "x");
    cr_assert(open_fails(fixture_path("home"), LFS_STORE_CREATE, &r) == -ENOTEMPTY);
    cr_assert(strstr(r.text, "letter"), "%s", r.text);
    cr_assert(access(fixture_path("home/oci-layout"), F_OK) < 0);
}

Test(store, finishes_a_half_made_store)
{
    struct report r;

    cr_assert(mkdir(fixture_path("store"), 0700) == 0);
    cr_assert(mkdir(fixture_path("store/blobs"), 0755) == 0);
    cr_assert(mkdir(fixture_path("store/trees"), 0755) == 0);
    cr_assert(open_fails(fixture_path("store"), LFS_STORE_CREATE, &r) == 0, "%s", r.text);
}

Test(store, default_path_follows_the_environment)
{
    char *path;

    cr_assert(setenv("LAYERFS_STORE", "/some/where", 1) == 0);
    path = lfs_store_default_path();
    cr_assert_str_eq(path, "/some/where");
    free(path);
    cr_assert(unsetenv("LAYERFS_STORE") == 0);
    if (geteuid() == 0) {
        path = lfs_store_default_path();
        cr_assert_str_eq(path, "/var/lib/layerfs");
        free(path);
        cr_assert(setresuid(65534, 65534, 65534) == 0);
    }
    cr_assert(setenv("XDG_DATA_HOME", "/data", 1) == 0);
    path = lfs_store_default_path();
    cr_assert_str_eq(path, "/data/layerfs");
    free(path);
    cr_assert(unsetenv("XDG_DATA_HOME") == 0 && setenv("HOME", "/home/u", 1) == 0);
    path = lfs_store_default_path();
    cr_assert_str_eq(path, "/home/u/.local/share/layerfs");
    free(path);
    cr_assert(unsetenv("HOME") == 0);
    cr_assert(lfs_store_default_path() == NULL);
}

Test(store, keys)
{
    char key[LFS_KEY_MAX], other[LFS_KEY_MAX], name[LFS_TREE_NAME_MAX];
    struct oci_digest d, none = {0};

    cr_assert(oci_digest_of(OCI_DIGEST_SHA256, "x", 1, &d) == 0);
    cr_assert(lfs_store_key(&d, key) == 0);
    cr_assert_str_eq(key, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881");
    cr_assert(lfs_store_tree_name(LFS_TREE_LAYER, &d, name) == 0);
    cr_assert(strncmp(name, key, 64) == 0 && strcmp(name + 64, ".layer") == 0);
    cr_assert(lfs_store_tree_name(LFS_TREE_IMAGE, &d, name) == 0);
    cr_assert_str_eq(name, key);
    cr_assert(oci_digest_of(OCI_DIGEST_SHA512, "x", 1, &d) == 0);
    cr_assert(lfs_store_key(&d, other) == 0);
    cr_assert(strlen(other) == 64 && strcmp(other, key) != 0);
    cr_assert(lfs_store_key(&none, key) == 0);
    cr_assert_str_eq(key, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

Test(store, locks_exclude)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    int a = -1, b = -1;

    cr_assert(lfs_store_lock(store, "one", &a, NULL) == 0);
    cr_assert(lfs_store_try_lock(store, "one", &b, NULL) == -EWOULDBLOCK);
    cr_assert(b == -1);
    cr_assert(lfs_store_try_lock(store, "two", &b, NULL) == 0);
    b = fd_close(b);
    a = fd_close(a);
    cr_assert(lfs_store_try_lock(store, "one", &b, NULL) == 0);
    (void)fd_close(b);
}

/* Who waits for a lock whose file is removed meanwhile must not get the removed one. */
Test(store, lock_file_may_go_while_locked)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = fixture_store();
    int a = -1, b = -1;

    cr_assert(lfs_store_lock(store, "one", &a, NULL) == 0);
    cr_assert(unlinkat(lfs_store_dirfd(store, LFS_DIR_LOCKS), "one", 0) == 0);
    cr_assert(lfs_store_try_lock(store, "one", &b, NULL) == 0);
    (void)fd_close(a);
    a = -1;
    cr_assert(lfs_store_try_lock(store, "one", &a, NULL) == -EWOULDBLOCK);
    (void)fd_close(b);
}

Test(store, read_only_takes_no_lock)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    struct report r = REPORT_INIT;
    int fd = -1;

    lfs_store_close(fixture_store());
    cr_assert(lfs_store_open(fixture_path("store"), LFS_STORE_READ_ONLY, &store, NULL) == 0);
    cr_assert(lfs_store_lock(store, "one", &fd, &r) == -EROFS);
    cr_assert(strstr(r.text, "lock one"));
}
