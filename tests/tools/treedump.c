/* SPDX-License-Identifier: Apache-2.0 */
/* treedump [--no-content] DIR: everything that can be seen of a tree, one line a name.
 *
 *     PATH type=f mode=0644 uid=0 gid=0 size=3 mtime=1.000000000 nlink=1 [rdev=1:3] [link=TARGET]
 *          [group=PATH] [x.NAME=HEX]… [sha256=HEX]
 *
 * Names come in the order of a walk with sorted directories, so two trees are equal when their
 * dumps are. Hard links name the first path of their group instead of an inode number. It is a
 * judge of layerfs and shares no code with it. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { PATH_LIMIT = 1 << 16, READ_SIZE = 1 << 20, XATTR_LIMIT = 1 << 16 };

struct link_group {
    dev_t dev;
    ino_t ino;
    char path[];
};

static bool with_content = true;
static unsigned long failures;
static void *link_groups; /* tsearch tree of struct link_group */
static char path[PATH_LIMIT] = ".";
static size_t path_len = 1;

static void fail(const char *what)
{
    (void)fprintf(stderr, "treedump: %s: %s: %s\n", path, what, strerror(errno));
    failures++;
}

static void put_escaped(const char *s, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c <= 0x20 || c >= 0x7f || c == '\\')
            (void)printf("\\x%02x", c);
        else
            (void)putchar(c);
    }
}

static void put_hex(const unsigned char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        (void)printf("%02x", data[i]);
}

static int compare_groups(const void *a, const void *b)
{
    const struct link_group *x = a, *y = b;

    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* The first path by which this inode was seen. */
static const char *group_of(const struct stat *st)
{
    struct link_group *g = calloc(1, sizeof(*g) + path_len + 1);
    struct link_group **found;

    assert(g);
    g->dev = st->st_dev;
    g->ino = st->st_ino;
    memcpy(g->path, path, path_len + 1);
    found = (struct link_group **)tsearch(g, &link_groups, compare_groups);
    assert(found);
    if (*found != g)
        free(g);
    return (*found)->path;
}

static void put_link(int dirfd, const char *name, const struct stat *st)
{
    char target[PATH_MAX + 1];
    ssize_t n = readlinkat(dirfd, name, target, sizeof(target));

    if (n < 0) {
        fail("readlink");
        return;
    }
    if (n != st->st_size)
        (void)printf(" size-of-link-differs=%zd", n);
    (void)printf(" link=");
    put_escaped(target, (size_t)n);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void put_xattr(const char *proc, const char *name)
{
    static unsigned char value[XATTR_LIMIT];
    ssize_t n = lgetxattr(proc, name, value, sizeof(value));

    if (n < 0) {
        fail(name);
        return;
    }
    (void)printf(" x.");
    put_escaped(name, strlen(name));
    (void)putchar('=');
    put_hex(value, (size_t)n);
}

/* There is no l*xattrat, so the name goes by the directory's fd in /proc. */
static void put_xattrs(int dirfd, const char *name)
{
    static char list[XATTR_LIMIT], proc[PATH_MAX];
    char *names[4096];
    size_t count = 0;
    ssize_t n;

    (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d/%s", dirfd, name);
    n = llistxattr(proc, list, sizeof(list));
    if (n < 0) {
        if (errno != ENOTSUP)
            fail("listxattr");
        return;
    }
    for (char *p = list; p < list + n; p += strlen(p) + 1) {
        assert(count < 4096);
        names[count++] = p;
    }
    qsort(names, count, sizeof(names[0]), compare_names);
    for (size_t i = 0; i < count; i++)
        put_xattr(proc, names[i]);
}

static void put_content(int dirfd, const char *name, const struct stat *st)
{
    static unsigned char data[READ_SIZE];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int digest_size;
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    off_t size = 0;
    ssize_t n = 0;

    if (fd < 0) {
        fail("open");
    } else {
        EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
        while ((n = read(fd, data, sizeof(data))) > 0) {
            EVP_DigestUpdate(hash, data, (size_t)n);
            size += n;
        }
        if (n < 0)
            fail("read");
        if (size != st->st_size)
            (void)printf(" size-of-content-differs=%lld", (long long)size);
        EVP_DigestFinal_ex(hash, digest, &digest_size);
        (void)printf(" sha256=");
        put_hex(digest, digest_size);
        (void)close(fd);
    }
    EVP_MD_CTX_free(hash);
}

static char type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return 'f';
    case S_IFDIR:
        return 'd';
    case S_IFLNK:
        return 'l';
    case S_IFCHR:
        return 'c';
    case S_IFBLK:
        return 'b';
    case S_IFIFO:
        return 'p';
    case S_IFSOCK:
        return 's';
    default:
        return '?';
    }
}

static void put_line(int dirfd, const char *name, const struct stat *st)
{
    put_escaped(path, path_len);
    (void)printf(" type=%c mode=%04o uid=%u gid=%u size=%lld mtime=%lld.%09ld nlink=%lu",
        type_of(st->st_mode), st->st_mode & 07777u, st->st_uid, st->st_gid,
        S_ISDIR(st->st_mode) ? 0LL : (long long)st->st_size, (long long)st->st_mtim.tv_sec,
        st->st_mtim.tv_nsec, (unsigned long)st->st_nlink);
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
        (void)printf(" rdev=%u:%u", major(st->st_rdev), minor(st->st_rdev));
    if (S_ISLNK(st->st_mode))
        put_link(dirfd, name, st);
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) {
        const char *group = group_of(st);

        (void)printf(" group=");
        put_escaped(group, strlen(group));
    }
    put_xattrs(dirfd, name);
    if (with_content && S_ISREG(st->st_mode))
        put_content(dirfd, name, st);
    (void)putchar('\n');
}

struct names {
    char **list;
    size_t count;
};

static struct names read_names(DIR *d)
{
    struct names names = {0};
    size_t room = 0;

    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (names.count == room) {
            room = room ? 2 * room : 64;
            names.list = realloc(names.list, room * sizeof(*names.list));
            assert(names.list);
        }
        names.list[names.count] = strdup(e->d_name);
        assert(names.list[names.count]);
        names.count++;
    }
    if (names.count)
        qsort(names.list, names.count, sizeof(*names.list), compare_names);
    return names;
}

static void walk(int dirfd, const char *name);

static void walk_dir(int fd)
{
    DIR *d = fdopendir(fd);
    size_t len = path_len;
    struct names names;

    if (!d) {
        fail("fdopendir");
        (void)close(fd);
        return;
    }
    errno = 0;
    names = read_names(d);
    if (errno)
        fail("readdir");
    for (size_t i = 0; i < names.count; i++) {
        size_t size = strlen(names.list[i]);

        assert(path_len + size + 2 <= sizeof(path));
        path[path_len] = '/';
        memcpy(path + path_len + 1, names.list[i], size + 1);
        path_len += size + 1;
        walk(fd, names.list[i]);
        path_len = len;
        path[len] = '\0';
        free(names.list[i]);
    }
    free(names.list);
    (void)closedir(d);
}

static void walk(int dirfd, const char *name)
{
    struct stat st;
    int fd;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        fail("stat");
        return;
    }
    put_line(dirfd, name, &st);
    if (!S_ISDIR(st.st_mode))
        return;
    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        fail("open");
    else
        walk_dir(fd);
}

int main(int argc, char **argv)
{
    int fd;

    if (argc == 3 && strcmp(argv[1], "--no-content") == 0) {
        with_content = false;
        argc--;
        argv++;
    }
    if (argc != 2) {
        (void)fprintf(stderr, "usage: treedump [--no-content] DIR\n");
        return 2;
    }
    fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        (void)fprintf(stderr, "treedump: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    walk(fd, ".");
    (void)close(fd);
    return failures || fflush(stdout) != 0 ? 1 : 0;
}
