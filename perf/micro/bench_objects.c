/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to write object files, on the large files of a directory tree.
 *
 *     bench_objects DIR SCRATCH [ROUNDS]
 *
 * Each way gets every file below DIR above LFS_PACK_LIMIT from memory, hashes it and writes it to a
 * fresh place below SCRATCH: "writer" is the store's (hash in the caller, write in two threads),
 * "caller" does all in one thread, "uring" submits open, write and close of up to 16 files as
 * linked requests on registered file slots. Rounds are interleaved. Prints wall and processor time
 * of the fastest round. */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "layerfs/store/object_writer.h"
#include "oci/util/buf.h"
#include "oci/util/io.h"

struct content {
    struct buf data;
};

static struct content *contents;
static size_t content_count;

static int load(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    struct content *c;

    (void)ftw;
    if (type != FTW_F || !S_ISREG(st->st_mode) || st->st_size <= LFS_PACK_LIMIT)
        return 0;
    contents = realloc(contents, (content_count + 1) * sizeof(*contents));
    if (!contents)
        return -1;
    c = &contents[content_count];
    *c = (struct content){0};
    if (io_read_file(AT_FDCWD, path, SIZE_MAX / 2, &c->data) < 0)
        return -1;
    content_count++;
    return 0;
}

static void digest_name(const struct content *c, char name[static OCI_DIGEST_STR_MAX])
{
    struct oci_digest digest;

    if (oci_digest_of(OCI_DIGEST_SHA256, c->data.data, c->data.size, &digest) == 0)
        (void)oci_digest_hex(&digest, name);
}

/* --- the store's way --- */

static int way_writer(struct lfs_store *store, int dirfd)
{
    _cleanup_(lfs_object_writer_freep) struct lfs_object_writer *w = NULL;
    int err = lfs_object_writer_new(store, &w);

    (void)dirfd;
    for (size_t i = 0; i < content_count && err == 0; i++) {
        const struct buf *b = &contents[i].data;
        uint8_t sha256[32];

        err = lfs_object_writer_begin(w, b->size);
        for (size_t at = 0; at < b->size && err == 0; at += 256 << 10)
            err = lfs_object_writer_write(w, b->data + at, MIN(b->size - at, 256u << 10), at);
        if (err == 0)
            err = lfs_object_writer_end(w, sha256);
    }
    if (err == 0)
        err = lfs_object_writer_flush(w);
    return err == 0 ? lfs_object_writer_publish(w) : err;
}

/* --- all in the caller --- */

static int way_caller(struct lfs_store *store, int dirfd)
{
    (void)store;
    for (size_t i = 0; i < content_count; i++) {
        _cleanup_(fd_closep) int fd = -1;
        char name[OCI_DIGEST_STR_MAX];

        digest_name(&contents[i], name);
        fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd < 0 || io_write_full(fd, contents[i].data.data, contents[i].data.size) < 0)
            return neg_errno();
    }
    return 0;
}

/* --- io_uring --- */

enum { SLOTS = 16, STEPS = 3 };

struct uring_slot {
    char name[OCI_DIGEST_STR_MAX];
    size_t size;
    unsigned left; /* completions to come */
};

static void submit_slot(
    struct io_uring *ring, struct uring_slot *slots, unsigned n, int dirfd, const struct content *c)
{
    struct uring_slot *slot = &slots[n];
    struct io_uring_sqe *sqe;

    digest_name(c, slot->name);
    slot->size = c->data.size;
    slot->left = STEPS;
    sqe = io_uring_get_sqe(ring);
    io_uring_prep_openat_direct(sqe, dirfd, slot->name, O_WRONLY | O_CREAT | O_EXCL, 0444, n);
    sqe->flags |= IOSQE_IO_LINK;
    io_uring_sqe_set_data64(sqe, n);
    sqe = io_uring_get_sqe(ring);
    io_uring_prep_write(sqe, (int)n, c->data.data, (unsigned)c->data.size, 0);
    sqe->flags |= IOSQE_IO_LINK | IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, n);
    sqe = io_uring_get_sqe(ring);
    io_uring_prep_close_direct(sqe, n);
    io_uring_sqe_set_data64(sqe, n);
    (void)io_uring_submit(ring);
}

/* Waits for one slot to become free. A name in use ends its chain, which is no failure. */
static int reap(struct io_uring *ring, struct uring_slot *slots)
{
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned n;
        int res = io_uring_wait_cqe(ring, &cqe);

        if (res < 0)
            return res;
        n = (unsigned)io_uring_cqe_get_data64(cqe);
        res = cqe->res;
        io_uring_cqe_seen(ring, cqe);
        if (res < 0 && res != -EEXIST && res != -ECANCELED)
            return res;
        if (res > 0 && (size_t)res != slots[n].size)
            return -EIO;
        if (--slots[n].left == 0)
            return (int)n;
    }
}

static int way_uring(struct lfs_store *store, int dirfd)
{
    struct uring_slot slots[SLOTS] = {0};
    struct io_uring ring;
    unsigned busy = 0;
    int n = 0, err = io_uring_queue_init(64, &ring, 0);

    (void)store;
    if (err == 0)
        err = io_uring_register_files_sparse(&ring, SLOTS);
    for (size_t i = 0; i < content_count && err == 0; i++) {
        n = busy < SLOTS ? (int)busy : reap(&ring, slots);
        busy += busy < SLOTS;
        if (n < 0)
            err = n;
        else
            submit_slot(&ring, slots, (unsigned)n, dirfd, &contents[i]);
    }
    for (; busy > 0 && err == 0; busy--) {
        n = reap(&ring, slots);
        err = n < 0 ? n : 0;
    }
    io_uring_queue_exit(&ring);
    return err;
}

/* --- measuring --- */

static const struct {
    const char *name;
    int (*run)(struct lfs_store *store, int dirfd);
} ways[] = {{"writer", way_writer}, {"caller", way_caller}, {"uring", way_uring}};

static double seconds(struct timespec t)
{
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double wall(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return seconds(t);
}

static double processor(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return seconds(t);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int run_way(size_t way, const char *scratch, double *ret_wall, double *ret_cpu)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    struct report r = REPORT_INIT;
    double wall_at, cpu_at;
    int err = lfs_store_open(scratch, LFS_STORE_CREATE, &store, &r);

    if (err < 0) {
        fprintf(stderr, "bench_objects: %s\n", r.text);
        return err;
    }
    sync();
    wall_at = wall();
    cpu_at = processor();
    err = ways[way].run(store, lfs_store_dirfd(store, LFS_DIR_TMP));
    *ret_wall = wall() - wall_at;
    *ret_cpu = processor() - cpu_at;
    if (err < 0)
        fprintf(stderr, "bench_objects: %s: %s\n", ways[way].name, strerror(-err));
    return err;
}

int main(int argc, char **argv)
{
    double best_wall[ARRAY_SIZE(ways)], best_cpu[ARRAY_SIZE(ways)];
    _cleanup_(freep) char *scratch = NULL;
    int rounds = argc > 3 ? atoi(argv[3]) : 5;

    if (argc < 3 || asprintf(&scratch, "%s/bench-objects", argv[2]) < 0)
        return 2;
    if (nftw(argv[1], load, 16, FTW_PHYS) != 0)
        return 1;
    for (int round = 0; round < rounds; round++)
        for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
            _cleanup_(freep) char *place = NULL;
            double w, c;

            if (asprintf(&place, "%s/%d-%zu", scratch, round, i) < 0 ||
                run_way(i, place, &w, &c) < 0)
                return 1;
            if (round == 0 || w < best_wall[i]) {
                best_wall[i] = w;
                best_cpu[i] = c;
            }
        }
    (void)nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* ext4 is slow to take inodes that
                                                                  were just deleted: only now */
    printf("%zu files\n", content_count);
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
        printf("%-8s %7.1f ms wall %7.1f ms processor\n", ways[i].name, best_wall[i] * 1e3,
            best_cpu[i] * 1e3);
    return 0;
}
