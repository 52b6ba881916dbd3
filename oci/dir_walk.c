/* SPDX-License-Identifier: Apache-2.0 */
/* All names of a directory tree in the order of their path bytes.
 *
 * "a", "a-b", "a/c": what is in a directory comes after siblings whose names go on with a byte
 * smaller than '/'. So a directory stands twice in the sorted list of its parent, as "a" for itself
 * and as "a/" for what is in it. One list a level is held, and no descriptor: each directory is
 * opened anew from the root, without following links, when its turn comes. */
#include "oci/dir_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/layer.h"
#include "oci/util/beneath.h"

struct item {
    char *key; /* "name", or "name/" for what is in it */
};

/* One directory on the way down. */
struct level {
    struct item *items;
    size_t count, capacity, at;
    size_t prefix; /* bytes of walk.path that belong to the directory, with its "/" */
};

struct dir_walk {
    int root_fd;
    bool root_done;
    struct level *levels;
    size_t depth, depth_max;
    char path[OCI_PATH_MAX];
};

int dir_walk_new(int root_fd, struct dir_walk **ret_walk)
{
    struct dir_walk *w = calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    w->root_fd = root_fd;
    *ret_walk = w;
    return 0;
}

static void pop_level(struct dir_walk *w)
{
    struct level *level = &w->levels[--w->depth];

    for (size_t i = 0; i < level->count; i++)
        free(level->items[i].key);
    free(level->items);
}

struct dir_walk *dir_walk_free(struct dir_walk *w)
{
    if (w) {
        while (w->depth > 0)
            pop_level(w);
        free(w->levels);
        free(w);
    }
    return NULL;
}

static int add_item(struct level *level, const char *name, const char *tail)
{
    size_t size = strlen(name) + strlen(tail) + 1;
    char *key;

    if (level->count == level->capacity) {
        size_t capacity = MAX(level->capacity * 2, (size_t)16);
        struct item *items = reallocarray(level->items, capacity, sizeof(*items));

        if (!items)
            return -ENOMEM;
        level->items = items;
        level->capacity = capacity;
    }
    key = malloc(size);
    if (!key)
        return -ENOMEM;
    memcpy(key, name, strlen(name));
    memcpy(key + strlen(name), tail, strlen(tail) + 1);
    level->items[level->count++].key = key;
    return 0;
}

static int is_directory(int fd, const struct dirent *de)
{
    struct stat st;

    if (de->d_type != DT_UNKNOWN)
        return de->d_type == DT_DIR;
    if (fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return neg_errno();
    return S_ISDIR(st.st_mode);
}

static int add_name(struct level *level, int fd, const struct dirent *de)
{
    int directory, err;

    if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
        return 0;
    directory = is_directory(fd, de);
    if (directory < 0)
        return directory;
    err = add_item(level, de->d_name, "");
    return err == 0 && directory ? add_item(level, de->d_name, "/") : err;
}

static int read_names(struct level *level, DIR *dir)
{
    for (;;) {
        const struct dirent *de;
        int err;

        errno = 0;
        de = readdir(dir);
        if (!de)
            return -errno;
        err = add_name(level, dirfd(dir), de);
        if (err < 0)
            return err;
    }
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->key, ((const struct item *)b)->key);
}

static int list_directory(struct dir_walk *w, struct level *level)
{
    int fd = beneath_open(w->root_fd, w->path, O_RDONLY | O_DIRECTORY);
    DIR *dir;
    int err;

    if (fd < 0)
        return fd;
    dir = fdopendir(fd);
    if (!dir) {
        err = neg_errno();
        (void)fd_close(fd);
        return err;
    }
    err = read_names(level, dir);
    (void)closedir(dir);
    if (level->count > 0)
        qsort(level->items, level->count, sizeof(level->items[0]), compare_items);
    return err;
}

/* Enters the directory w->path. */
static int push_level(struct dir_walk *w, struct report *r)
{
    size_t prefix = strlen(w->path);
    int err;

    if (w->depth == w->depth_max) {
        size_t max = MAX(w->depth_max * 2, (size_t)16);
        struct level *levels = reallocarray(w->levels, max, sizeof(*levels));

        if (!levels)
            return -ENOMEM;
        w->levels = levels;
        w->depth_max = max;
    }
    w->levels[w->depth++] = (struct level){.prefix = prefix};
    err = list_directory(w, &w->levels[w->depth - 1]);
    return err < 0 ? report_errno(r, err, "cannot read directory \"%s\"", w->path) : 0;
}

/* Puts the next key of the deepest level into w->path. */
static int take_key(struct dir_walk *w, struct level *level, struct report *r)
{
    const char *key = level->items[level->at++].key;

    w->path[level->prefix] = '\0';
    if (strncmp(key, ".wh.", 4) == 0)
        return report_fail(
            r, -EINVAL, "\"%s%s\": names that start with .wh. mean removals", w->path, key);
    if (level->prefix + strlen(key) >= sizeof(w->path))
        return report_fail(r, -ENAMETOOLONG, "\"%s%s\": path is too long", w->path, key);
    memcpy(w->path + level->prefix, key, strlen(key) + 1);
    return 0;
}

int dir_walk_next(struct dir_walk *w, const char **ret_path, struct report *r)
{
    int err = 0;

    *ret_path = w->path;
    if (!w->root_done) {
        w->root_done = true;
        err = push_level(w, r);
        return err < 0 ? err : 1;
    }
    while (w->depth > 0) {
        struct level *level = &w->levels[w->depth - 1];

        if (level->at == level->count) {
            pop_level(w);
            continue;
        }
        err = take_key(w, level, r);
        if (err < 0)
            return err;
        if (w->path[strlen(w->path) - 1] != '/')
            return 1;
        err = push_level(w, r);
        if (err < 0)
            return err;
    }
    return 0;
}
