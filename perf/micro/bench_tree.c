/* SPDX-License-Identifier: Apache-2.0 */
/* What trees cost: lookup, listing, merging, and the life of a tree of 500 000 files.
 *
 *     bench_tree [FILES]
 *
 * Times are the median of several rounds; the large tree is made once. Memory is what the process
 * had resident at most (VmHWM) when a step ended, less what it had before the first. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "layerfs/tree/builder.h"

enum { ROUNDS = 7, FILES_A_DIR = 25 };

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Kilobytes of a line of /proc/self/status. */
static long status_kb(const char *key)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    long kb = 0;

    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, key, strlen(key)) == 0)
            kb = strtol(line + strlen(key), NULL, 10);
    if (f)
        (void)fclose(f);
    return kb;
}

static int fail(const char *what, int err, const struct report *r)
{
    (void)fprintf(stderr, "%s: %s\n", what, r && report_is_set(r) ? r->text : strerror(-err));
    return EXIT_FAILURE;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t l = *(const uint64_t *)a, r = *(const uint64_t *)b;

    return (l > r) - (l < r);
}

static uint64_t median(uint64_t times[static ROUNDS])
{
    qsort(times, ROUNDS, sizeof(*times), compare_u64);
    return times[ROUNDS / 2];
}

/* A regular file with content in the pack. number makes its digest and place. */
static int add_file(struct lfs_builder *b, const char *path, uint64_t number, struct report *r)
{
    struct oci_layer_entry e = {
        .kind = OCI_ENTRY_NODE,
        .path = path,
        .mode = S_IFREG | 0644,
        .size = 1000 + number % 5000,
        .mtime_sec = 1700000000,
    };
    uint8_t sha256[32] = {0};
    uint32_t node;
    int err = lfs_builder_add(b, &e, &node, r);

    for (size_t i = 0; i < 4; i++) /* spread like a digest */
        ((uint64_t *)(void *)sha256)[i] = (number + 1) * (0x9e3779b97f4a7c15 + 2 * i);
    return err < 0 ? err : lfs_builder_set_pack(b, node, number * 6000, sha256);
}

static int add_dir(struct lfs_builder *b, const char *path, struct report *r)
{
    struct oci_layer_entry e = {.kind = OCI_ENTRY_NODE, .path = path, .mode = S_IFDIR | 0755};
    uint32_t node;

    return lfs_builder_add(b, &e, &node, r);
}

static int write_tree(struct lfs_builder *b, uint8_t id, int *ret_fd, struct report *r)
{
    _cleanup_(fd_closep) int fd = memfd_create("tree", MFD_CLOEXEC);
    uint8_t bytes[32] = {id};
    struct oci_digest digest = oci_digest_sha256(bytes);
    int err = fd < 0 ? neg_errno() : lfs_builder_write(b, &digest, fd, r);

    if (err == 0)
        *ret_fd = TAKE_FD(fd);
    return err;
}

static int open_tree(int fd, struct lfs_tree **ret_tree, struct report *r)
{
    char path[40];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return lfs_tree_open(AT_FDCWD, path, ret_tree, r);
}

static int write_and_open(
    struct lfs_builder *b, uint8_t id, struct lfs_tree **ret_tree, struct report *r)
{
    _cleanup_(fd_closep) int fd = -1;
    int err = write_tree(b, id, &fd, r);

    return err < 0 ? err : open_tree(fd, ret_tree, r);
}

/* One directory of so many files. */
static int flat_tree(unsigned files, struct lfs_tree **ret_tree, struct report *r)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    char path[64];
    int err = lfs_builder_new(LFS_TREE_LAYER, &b);

    for (unsigned i = 0; err == 0 && i < files; i++) {
        (void)snprintf(path, sizeof(path), "file-%06u.txt", i);
        err = add_file(b, path, i, r);
    }
    return err < 0 ? err : write_and_open(b, 1, ret_tree, r);
}

static uint64_t time_lookups(
    const struct lfs_tree *tree, const struct lfs_inode *dir, unsigned files, unsigned count)
{
    uint64_t start = now_ns();
    uint32_t random = 1;

    for (unsigned i = 0; i < count; i++) {
        struct lfs_dirent entry;
        struct lfs_inode inode;
        char name[64];
        int size;

        random = random * 1664525 + 1013904223;
        size = snprintf(name, sizeof(name), "file-%06u.txt", (random >> 8) % files);
        if (lfs_tree_lookup(tree, dir, name, (size_t)size, &entry) == 0)
            (void)lfs_tree_inode(tree, entry.inode, &inode);
    }
    return (now_ns() - start) / count;
}

/* What READDIRPLUS does for each entry, but for the copying of the reply. */
static uint64_t time_listing(const struct lfs_tree *tree, const struct lfs_inode *dir)
{
    unsigned rounds = 1 + 200000 / (dir->entry_count + 1);
    volatile uint64_t sum = 0;
    uint64_t start = now_ns();

    for (unsigned round = 0; round < rounds; round++)
        for (uint32_t i = 0; i < dir->entry_count; i++) {
            struct lfs_dirent entry;
            struct lfs_inode inode;

            if (lfs_tree_entry(tree, dir, i, &entry) == 0 &&
                lfs_tree_inode(tree, entry.inode, &inode) == 0)
                sum += inode.size;
        }
    return (now_ns() - start) * 10 / rounds / dir->entry_count;
}

static int bench_directory(unsigned files)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    uint64_t lookups[ROUNDS], listings[ROUNDS];
    struct report r = REPORT_INIT;
    struct lfs_inode root;
    int err = flat_tree(files, &tree, &r);

    if (err == 0)
        err = lfs_tree_inode(tree, LFS_TREE_ROOT, &root);
    if (err < 0)
        return fail("directory", err, &r);
    for (unsigned i = 0; i < ROUNDS; i++) {
        lookups[i] = time_lookups(tree, &root, files, 200000);
        listings[i] = time_listing(tree, &root);
    }
    printf("%8u entries: lookup + inode %4llu ns, listing %3llu.%llu ns an entry\n", files,
        (unsigned long long)median(lookups), (unsigned long long)median(listings) / 10,
        (unsigned long long)listings[ROUNDS / 2] % 10);
    return EXIT_SUCCESS;
}

/* The base of an image has 10 000 files, each layer above replaces 50, adds 50 and removes one. */
static int layer_of(unsigned number, struct lfs_tree **ret_tree, struct report *r)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    unsigned files = number ? 100 : 10000;
    char path[96];
    int err = lfs_builder_new(LFS_TREE_LAYER, &b);

    for (unsigned i = 0; err == 0 && i < files; i++) {
        unsigned name = number && i < 50 ? i * 197 % 10000 : number * 10000 + i;

        (void)snprintf(
            path, sizeof(path), "usr/share/d%u/e%u/file-%u", name % 20, name % 400, name);
        err = add_file(b, path, number * 10000 + i, r);
    }
    if (err == 0 && number) {
        struct oci_layer_entry e = {.kind = OCI_ENTRY_WHITEOUT, .path = path};
        uint32_t node;

        (void)snprintf(
            path, sizeof(path), "usr/share/d%u/e%u/file-%u", number % 20, number % 400, number);
        err = lfs_builder_add(b, &e, &node, r);
    }
    return err < 0 ? err : write_and_open(b, (uint8_t)(number + 1), ret_tree, r);
}

enum { LAYERS = 100 };

static int merge(struct lfs_tree *const layers[], unsigned count, struct report *r)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    int err = lfs_builder_new(LFS_TREE_IMAGE, &b);

    for (unsigned i = 0; err == 0 && i < count; i++)
        err = lfs_builder_apply(b, layers[i], "bench", r);
    return err < 0 ? err : write_and_open(b, 0, &tree, r);
}

static int bench_merge(unsigned count)
{
    struct lfs_tree *layers[LAYERS] = {NULL};
    uint64_t times[ROUNDS];
    struct report r = REPORT_INIT;
    int err = 0;

    for (unsigned i = 0; err == 0 && i < count; i++)
        err = layer_of(i, &layers[i], &r);
    for (unsigned i = 0; err == 0 && i < ROUNDS; i++) {
        uint64_t start = now_ns();

        err = merge(layers, count, &r);
        times[i] = now_ns() - start;
    }
    for (unsigned i = 0; i < count; i++)
        layers[i] = lfs_tree_close(layers[i]);
    if (err < 0)
        return fail("merge", err, &r);
    printf("%8u layers (10 000 files, then 100 each): merge + write %llu us\n", count,
        (unsigned long long)median(times) / 1000);
    return EXIT_SUCCESS;
}

static uint64_t step_start;
static long memory_start;

static void step_begin(void)
{
    step_start = now_ns();
}

static void step_end(const char *what)
{
    printf("%8s %-22s %7llu us, peak %6ld KiB\n", "", what,
        (unsigned long long)(now_ns() - step_start) / 1000, status_kb("VmHWM:") - memory_start);
}

static int add_files(struct lfs_builder *b, unsigned files, struct report *r)
{
    char path[128];
    int err = 0;

    for (unsigned i = 0; err == 0 && i < files; i++) {
        unsigned dir = i / FILES_A_DIR;
        int size = snprintf(path, sizeof(path), "usr/lib/python3/d%02u/package-%u", dir % 100, dir);

        if (i % FILES_A_DIR == 0)
            err = add_dir(b, path, r);
        (void)snprintf(path + size, sizeof(path) - (size_t)size, "/module_%06u.py", i);
        if (err == 0)
            err = add_file(b, path, i, r);
    }
    return err;
}

static int build_large(unsigned files, int *ret_fd, struct report *r)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    int err = lfs_builder_new(LFS_TREE_LAYER, &b);

    step_begin();
    if (err == 0)
        err = add_files(b, files, r);
    step_end("add");
    step_begin();
    if (err == 0)
        err = write_tree(b, 1, ret_fd, r);
    step_end("write (into memory)");
    return err;
}

static int bench_large(unsigned files)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    _cleanup_(fd_closep) int fd = -1;
    struct report r = REPORT_INIT;
    int err;

    printf("%8u files:\n", files);
    memory_start = status_kb("VmRSS:");
    err = build_large(files, &fd, &r);
    if (err < 0)
        return fail("large tree", err, &r);
    step_begin();
    err = open_tree(fd, &tree, &r);
    step_end("open");
    step_begin();
    if (err == 0)
        err = lfs_tree_verify(tree, &r);
    step_end("verify");
    step_begin();
    if (err == 0)
        err = merge(&tree, 1, &r);
    step_end("merge of one layer");
    if (err < 0)
        return fail("large tree", err, &r);
    printf("%8s the file has %llu bytes\n", "", (unsigned long long)lfs_tree_size(tree));
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    unsigned files = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 500000;
    int r = bench_large(files); /* first, for its figures of memory */

    if (r == EXIT_SUCCESS)
        r = bench_directory(10);
    if (r == EXIT_SUCCESS)
        r = bench_directory(1000);
    if (r == EXIT_SUCCESS)
        r = bench_directory(100000);
    if (r == EXIT_SUCCESS)
        r = bench_merge(1);
    if (r == EXIT_SUCCESS)
        r = bench_merge(LAYERS);
    return r;
}
