/* SPDX-License-Identifier: Apache-2.0 */
/* walk MODE [--repeat N] [--threads N] [--seconds N] PATH…: touches everything below PATH in one
 * process, so that the file system is measured and not the start of programs.
 *
 *     list   readdir                     stat   readdir and fstatat of each name
 *     read   the content of each regular file, 128 KiB at a time
 *     mmap   the same by mmap, one byte a page
 *
 * Prints "MICROSECONDS ENTRIES BYTES" of each round. With threads, each walks the whole; with
 * --seconds they go on that long. Exit status 1 when anything could not be read. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum mode { LIST, STAT, READ, MMAP };
enum { READ_SIZE = 128 << 10, PAGE = 4096, DEPTH_MAX = 512 };

struct totals {
    uint64_t entries, bytes, failures;
    volatile uint64_t sink; /* what mmap reads must go somewhere */
    char *buffer;
};

static enum mode mode;
static char **paths;

static void fail(struct totals *t, const char *name)
{
    if (t->failures++ < 5)
        (void)fprintf(stderr, "walk: %s: %s\n", name, strerror(errno));
}

static void read_fd(int fd, const char *name, struct totals *t)
{
    ssize_t n;

    while ((n = read(fd, t->buffer, READ_SIZE)) > 0)
        t->bytes += (uint64_t)n;
    if (n < 0)
        fail(t, name);
}

static void map_fd(int fd, const char *name, struct totals *t)
{
    struct stat st;
    const char *data;

    if (fstat(fd, &st) < 0) {
        fail(t, name);
        return;
    }
    if (st.st_size == 0)
        return;
    data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
        fail(t, name);
        return;
    }
    for (off_t at = 0; at < st.st_size; at += PAGE)
        t->sink += (uint64_t)data[at];
    t->bytes += (uint64_t)st.st_size;
    (void)munmap((void *)(uintptr_t)data, (size_t)st.st_size);
}

static void read_file(int dirfd, const char *name, struct totals *t)
{
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) {
        fail(t, name);
        return;
    }
    if (mode == READ)
        read_fd(fd, name, t);
    else
        map_fd(fd, name, t);
    (void)close(fd);
}

static void walk_dir(int dirfd, const char *name, unsigned depth, struct totals *t);

static void visit(int dirfd, const char *name, unsigned char type, unsigned depth, struct totals *t)
{
    t->entries++;
    if (mode == STAT || type == DT_UNKNOWN) {
        struct stat st;

        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            fail(t, name);
            return;
        }
        type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
    }
    if (type == DT_DIR)
        walk_dir(dirfd, name, depth + 1, t);
    else if (type == DT_REG && mode >= READ)
        read_file(dirfd, name, t);
}

static void walk_dir(int dirfd, const char *name, unsigned depth, struct totals *t)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 || depth > DEPTH_MAX ? NULL : fdopendir(fd);

    if (!d) {
        fail(t, name);
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    errno = 0;
    for (struct dirent *e; (e = readdir(d)); errno = 0)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            visit(fd, e->d_name, e->d_type, depth, t);
    if (errno)
        fail(t, name);
    (void)closedir(d);
}

static void walk_paths(struct totals *t)
{
    for (char **p = paths; *p; p++) {
        struct stat st;

        if (stat(*p, &st) < 0)
            fail(t, *p);
        else if (S_ISDIR(st.st_mode))
            walk_dir(AT_FDCWD, *p, 0, t);
        else
            visit(AT_FDCWD, *p, DT_REG, 0, t);
    }
}

static uint64_t now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t deadline_us; /* 0: `repeat` rounds */
static unsigned repeat = 1;
static atomic_bool failed;

static void *run(void *arg)
{
    char *buffer = malloc(READ_SIZE);
    bool quiet = *(bool *)arg;

    if (!buffer)
        abort();
    for (unsigned i = 0; deadline_us ? now_us() < deadline_us : i < repeat; i++) {
        struct totals t = {.buffer = buffer};
        uint64_t start = now_us();

        walk_paths(&t);
        if (!quiet)
            (void)printf("%llu %llu %llu\n", (unsigned long long)(now_us() - start),
                (unsigned long long)t.entries, (unsigned long long)t.bytes);
        if (t.failures)
            failed = true;
    }
    free(buffer);
    return NULL;
}

static void usage(void)
{
    (void)fprintf(
        stderr, "usage: walk list|stat|read|mmap [--repeat N] [--threads N] [--seconds N] PATH…\n");
    exit(2);
}

static enum mode parse_mode(const char *name)
{
    static const char *const names[] = {"list", "stat", "read", "mmap"};

    for (unsigned i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum mode)i;
    usage();
    return LIST;
}

int main(int argc, char **argv)
{
    pthread_t threads[64];
    unsigned count = 1;
    bool quiet;
    int i = 2;

    if (argc < 3)
        usage();
    mode = parse_mode(argv[1]);
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        unsigned value = (unsigned)strtoul(argv[i + 1], NULL, 10);

        if (strcmp(argv[i], "--repeat") == 0)
            repeat = value;
        else if (strcmp(argv[i], "--threads") == 0 && value >= 1 && value <= 64)
            count = value;
        else if (strcmp(argv[i], "--seconds") == 0)
            deadline_us = now_us() + (uint64_t)value * 1000000;
        else
            usage();
    }
    paths = argv + i;
    if (!*paths)
        usage();
    quiet = count > 1;
    for (unsigned k = 1; k < count; k++)
        if (pthread_create(&threads[k], NULL, run, &quiet) != 0)
            return 1;
    (void)run(&quiet);
    for (unsigned k = 1; k < count; k++)
        (void)pthread_join(threads[k], NULL);
    return failed ? 1 : 0;
}
