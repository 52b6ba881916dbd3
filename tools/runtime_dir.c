/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime directory. */
#include "tools/runtime_dir.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Where it is, without making it; free() it. */
static char *runtime_path(void)
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    char *path;
    int n;

    if (geteuid() == 0)
        return strdup("/run/layerfs");
    if (base && base[0] == '/')
        n = asprintf(&path, "%s/layerfs", base);
    else
        n = asprintf(&path, "/tmp/layerfs-%u", (unsigned)geteuid());
    return n < 0 ? NULL : path;
}

int runtime_dir_open(char **ret_path, struct report *r)
{
    _cleanup_(freep) char *path = runtime_path();
    struct stat st;

    if (!path)
        return report_fail(r, -ENOMEM, "out of memory");
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return report_errno(r, neg_errno(), "runtime directory %s", path);
    if (lstat(path, &st) < 0)
        return report_errno(r, neg_errno(), "runtime directory %s", path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        return report_fail(r, -EPERM,
            "runtime directory %s must be a directory of this user with mode 0700", path);
    *ret_path = TAKE_PTR(path);
    return 0;
}

int runtime_dir_add(const char *id, const char *store_path, char **ret_path, struct report *r)
{
    _cleanup_(freep) char *base = NULL, *path = NULL, *link = NULL;
    int err = runtime_dir_open(&base, r);

    if (err < 0)
        return err;
    if (asprintf(&path, "%s/%s", base, id) < 0 || asprintf(&link, "%s/store", path) < 0)
        return report_fail(r, -ENOMEM, "out of memory");
    if (mkdir(path, 0700) < 0)
        return report_errno(r, neg_errno(), "%s", path);
    if (symlink(store_path, link) < 0) {
        err = neg_errno();
        (void)rmdir(path);
        return report_errno(r, err, "%s", link);
    }
    *ret_path = TAKE_PTR(path);
    return 0;
}

void runtime_dir_remove(const char *path)
{
    static const char *const names[] = {"stats", "store", "lower"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char name[PATH_MAX];

        if (snprintf(name, sizeof(name), "%s/%s", path, names[i]) < (int)sizeof(name))
            (void)remove(name); /* an empty directory or a file; a mount is EBUSY and stays */
    }
    (void)rmdir(path);
}

static DIR *dir_close(DIR *dir)
{
    (void)closedir(dir);
    return NULL;
}
DEFINE_CLEANUP(DIR *, dir_close)

int runtime_dir_each_store(int (*each)(void *userdata, const char *store_path), void *userdata)
{
    _cleanup_(freep) char *path = NULL;
    _cleanup_(dir_closep) DIR *dir = NULL;
    struct dirent *entry;
    int r = runtime_dir_open(&path, NULL);

    if (r < 0)
        return r;
    dir = opendir(path);
    while (r == 0 && dir && (entry = readdir(dir))) {
        char name[PATH_MAX], store[PATH_MAX];
        ssize_t n;

        if (entry->d_name[0] == '.' ||
            snprintf(name, sizeof(name), "%s/store", entry->d_name) >= (int)sizeof(name))
            continue;
        n = readlinkat(dirfd(dir), name, store, sizeof(store) - 1);
        if (n <= 0)
            continue;
        store[n] = '\0';
        r = each(userdata, store);
    }
    return r;
}

/* True when <base>/<id> is of a mount of the store. */
static bool is_of_store(int base, const char *id, const char *store_path)
{
    char name[PATH_MAX], store[PATH_MAX];
    ssize_t n;

    if (snprintf(name, sizeof(name), "%s/store", id) >= (int)sizeof(name))
        return false;
    n = readlinkat(base, name, store, sizeof(store) - 1);
    if (n <= 0)
        return false;
    store[n] = '\0';
    return strcmp(store, store_path) == 0;
}

void runtime_dir_sweep(const char *store_path, struct lfs_store *store,
    bool (*exists)(struct lfs_store *store, const char *id))
{
    _cleanup_(freep) char *path = runtime_path();
    _cleanup_(dir_closep) DIR *dir = path ? opendir(path) : NULL;
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char name[PATH_MAX];

        if (entry->d_name[0] == '.' || !is_of_store(dirfd(dir), entry->d_name, store_path) ||
            exists(store, entry->d_name))
            continue;
        if (snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) < (int)sizeof(name))
            runtime_dir_remove(name);
    }
}
