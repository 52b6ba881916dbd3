/* SPDX-License-Identifier: Apache-2.0 */
/* All names of a directory tree, each directory before what is in it, sorted by name.
 *
 * That is the order of path bytes with "/" below all others: "a", "a/c", "a-b". The plain order,
 * "a", "a-b", "a/c", would leave a directory and come back to it, and then GNU tar sets its time
 * too early. One list of names a level is held, and no descriptor: each directory is opened anew
 * from the root, without following links, when its turn comes. */
#include "oci/dir_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/layer.h"
#include "oci/util/beneath.h"

struct item {
    char *name;
    bool directory;
};

/* One directory on the way down. */
struct level {
    struct item *items;
    size_t count, capacity, at;
    size_t prefix; /* bytes of walk.path before the names, with the "/" */
};

struct dir_walk {
    int root_fd;
    bool started;
    bool entering; /* path is a directory, whose names come next */
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
        free(level->items[i].name);
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

static int add_item(struct level *level, const char *name, bool directory)
{
    struct item item = {.directory = directory};

    if (level->count == level->capacity) {
        size_t capacity = MAX(level->capacity * 2, (size_t)16);
        struct item *items = reallocarray(level->items, capacity, sizeof(*items));

        if (!items)
            return -ENOMEM;
        level->items = items;
        level->capacity = capacity;
    }
    item.name = strdup(name);
    if (!item.name)
        return -ENOMEM;
    level->items[level->count++] = item;
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
    int directory;

    if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
        return 0;
    directory = is_directory(fd, de);
    return directory < 0 ? directory : add_item(level, de->d_name, directory);
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
    return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name);
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

static int grow_levels(struct dir_walk *w)
{
    size_t max = MAX(w->depth_max * 2, (size_t)16);
    struct level *levels;

    if (w->depth < w->depth_max)
        return 0;
    levels = reallocarray(w->levels, max, sizeof(*levels));
    if (!levels)
        return -ENOMEM;
    w->levels = levels;
    w->depth_max = max;
    return 0;
}

/* Enters the directory w->path. */
static int push_level(struct dir_walk *w, struct report *r)
{
    size_t size = strlen(w->path);
    int err = grow_levels(w);

    if (err < 0)
        return err;
    w->levels[w->depth++] = (struct level){.prefix = size ? size + 1 : 0};
    err = list_directory(w, &w->levels[w->depth - 1]);
    if (err < 0)
        return report_errno(r, err, "cannot read directory \"%s\"", w->path);
    if (size > 0 && size + 1 < sizeof(w->path))
        w->path[size] = '/';
    return 0;
}

/* Puts the next name of the deepest level into w->path. */
static int take_name(struct dir_walk *w, struct level *level, struct report *r)
{
    const struct item *item = &level->items[level->at++];
    size_t size = strlen(item->name);

    if (level->prefix + size >= sizeof(w->path)) {
        w->path[MIN(level->prefix, sizeof(w->path) - 1)] = '\0';
        return report_fail(r, -ENAMETOOLONG, "\"%s%s\": path is too long", w->path, item->name);
    }
    memcpy(w->path + level->prefix, item->name, size + 1);
    if (strncmp(item->name, ".wh.", 4) == 0)
        return report_fail(r, -EINVAL, "\"%s\": names that start with .wh. mean removals", w->path);
    w->entering = item->directory;
    return 1;
}

int dir_walk_next(struct dir_walk *w, const char **ret_path, struct report *r)
{
    int err;

    *ret_path = w->path;
    if (!w->started) {
        w->started = w->entering = true;
        return 1;
    }
    if (w->entering) {
        w->entering = false;
        err = push_level(w, r);
        if (err < 0)
            return err;
    }
    while (w->depth > 0) {
        struct level *level = &w->levels[w->depth - 1];

        if (level->at < level->count)
            return take_name(w, level, r);
        pop_level(w);
    }
    return 0;
}
