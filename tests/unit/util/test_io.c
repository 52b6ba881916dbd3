/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/util/io.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Each test has a directory of its own. */
static char dir_path[PATH_MAX];
static int dir = -1;

static void setup(void)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(dir_path, sizeof(dir_path), "%s/unit-io-XXXXXX", tmp ? tmp : "/tmp");
    cr_assert(ne(ptr, mkdtemp(dir_path), NULL));
    dir = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert(ge(int, dir, 0));
}

static void remove_tree(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            if (unlinkat(fd, e->d_name, 0) < 0)
                remove_tree(fd, e->d_name);
    if (d)
        (void)closedir(d);
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}

static void teardown(void)
{
    dir = fd_close(dir);
    remove_tree(AT_FDCWD, dir_path);
}

TestSuite(io, .init = setup, .fini = teardown);

static unsigned names_in_dir(void)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fdopendir(fd);
    unsigned n = 0;

    cr_assert(ne(ptr, d, NULL));
    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    (void)closedir(d);
    return n;
}

static void expect_content(const char *name, const char *wanted)
{
    _cleanup_(buf_deinit) struct buf b = {0};

    cr_assert(zero(int, io_read_file(dir, name, 1 << 20, &b)));
    cr_assert(eq(sz, b.size, strlen(wanted)));
    cr_assert(zero(int, memcmp(b.data, wanted, b.size)));
}

/* Feeds a pipe in small pieces, so that single reads come back short. */
static void *feed(void *arg)
{
    int fd = *(int *)arg;

    for (unsigned i = 0; i < 1000; i++)
        (void)!write(fd, "0123456", 7);
    (void)close(fd);
    return NULL;
}

Test(io, read_full_joins_short_reads)
{
    _cleanup_(freep) char *data = malloc(7000);
    pthread_t thread;
    int fds[2];

    cr_assert(zero(int, pipe2(fds, O_CLOEXEC)));
    cr_assert(zero(int, pthread_create(&thread, NULL, feed, &fds[1])));
    cr_assert(eq(long, (long)io_read_full(fds[0], data, 6999), 6999));
    for (unsigned i = 0; i < 6999; i++)
        cr_assert(eq(chr, data[i], (char)('0' + i % 7)));
    cr_assert(eq(long, (long)io_read_full(fds[0], data, 100), 1), "only one byte was left");
    cr_assert(eq(long, (long)io_read_full(fds[0], data, 100), 0), "the end");
    (void)pthread_join(thread, NULL);
    (void)close(fds[0]);
}

Test(io, reads_and_writes_tell_errno)
{
    char c = 0;

    cr_assert(eq(long, (long)io_read_full(-1, &c, 1), -EBADF));
    cr_assert(eq(int, io_write_full(-1, &c, 1), -EBADF));
    cr_assert(eq(long, (long)io_read_full(dir, &c, 1), -EISDIR));
}

Test(io, pwrite_and_pread_use_the_offset)
{
    _cleanup_(fd_closep) int fd = openat(dir, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char data[8] = {0};

    cr_assert(zero(int, io_pwrite_full(fd, "abcdef", 6, 2)));
    cr_assert(eq(long, (long)io_pread_full(fd, data, 8, 3), 5));
    cr_assert(zero(int, memcmp(data, "bcdef", 5)));
    cr_assert(eq(long, (long)lseek(fd, 0, SEEK_CUR), 0), "the position did not move");
    cr_assert(eq(long, (long)io_pread_full(fd, data, 8, 100), 0));
}

Test(io, write_to_a_full_device_is_enospc)
{
    _cleanup_(fd_closep) int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    cr_assert(eq(int, io_write_full(fd, "x", 1), -ENOSPC));
}

Test(io, read_file_takes_files_up_to_the_limit)
{
    _cleanup_(buf_deinit) struct buf b = {0}, c = {0};

    cr_assert(zero(int, io_write_file(dir, "f", "12345678", 8, 0644)));
    cr_assert(eq(int, io_read_file(dir, "f", 7, &b), -EFBIG));
    cr_assert(zero(sz, b.size));
    cr_assert(zero(int, io_read_file(dir, "f", 8, &c)));
    cr_assert_str_eq((char *)c.data, "12345678", "it can be used as a string");
}

Test(io, read_file_takes_regular_files_only)
{
    _cleanup_(buf_deinit) struct buf b = {0};

    cr_assert(zero(int, mkfifoat(dir, "fifo", 0600)));
    cr_assert(zero(int, mkdirat(dir, "d", 0700)));
    cr_assert(
        eq(int, io_read_file(dir, "fifo", 100, &b), -EINVAL), "and does not wait for a writer");
    cr_assert(eq(int, io_read_file(dir, "d", 100, &b), -EINVAL));
    cr_assert(eq(int, io_read_file(dir, "none", 100, &b), -ENOENT));
    cr_assert(zero(sz, b.size));
}

Test(io, mkdir_takes_a_directory_but_no_link_to_one)
{
    struct stat st;

    cr_assert(zero(int, io_mkdir(dir, "d", 0700)));
    cr_assert(zero(int, io_mkdir(dir, "d", 0755)));
    cr_assert(zero(int, fstatat(dir, "d", &st, 0)));
    cr_assert(eq(u32, st.st_mode & 07777, 0700), "an existing one is left alone");
    cr_assert(zero(int, symlinkat("d", dir, "link")));
    cr_assert(eq(int, io_mkdir(dir, "link", 0700), -ENOTDIR));
    cr_assert(zero(int, io_write_file(dir, "f", "", 0, 0600)));
    cr_assert(eq(int, io_mkdir(dir, "f", 0700), -ENOTDIR));
    cr_assert(eq(int, io_mkdir(dir, "no/such", 0700), -ENOENT));
}

Test(io, mkdir_parents_makes_what_is_missing)
{
    char path[PATH_MAX + 20];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/a/b//c", dir_path);
    cr_assert(zero(int, io_mkdir_parents(path, 0700)));
    cr_assert(zero(int, io_mkdir_parents(path, 0700)));
    cr_assert(zero(int, fstatat(dir, "a/b/c", &st, 0)));
    cr_assert(eq(u32, st.st_mode & S_IFMT, S_IFDIR));
    cr_assert(zero(int, io_write_file(dir, "a/f", "", 0, 0600)));
    (void)snprintf(path, sizeof(path), "%s/a/f/x", dir_path);
    cr_assert(eq(int, io_mkdir_parents(path, 0700), -ENOTDIR));
    (void)snprintf(path, sizeof(path), "%s/a/f", dir_path);
    cr_assert(eq(int, io_mkdir_parents(path, 0700), -ENOTDIR));
}

Test(io, tmp_shows_nothing_until_it_is_published)
{
    _cleanup_(io_tmp_deinit) struct io_tmp tmp = IO_TMP_INIT;
    struct stat st;

    cr_assert(zero(int, io_tmp_open(dir, 0640, &tmp)));
    cr_assert(zero(int, io_write_full(tmp.fd, "data", 4)));
    cr_assert(eq(int, faccessat(dir, "name", F_OK, 0), -1));
    cr_assert(zero(int, io_tmp_publish(&tmp, dir, "name", IO_PUBLISH_SYNC)));
    cr_assert(eq(int, tmp.fd, -1));
    cr_assert(eq(u32, names_in_dir(), 1));
    expect_content("name", "data");
    cr_assert(zero(int, fstatat(dir, "name", &st, 0)));
    cr_assert(eq(u32, st.st_mode & 07777 & ~0640u, 0));
}

Test(io, tmp_unpublished_leaves_nothing)
{
    struct io_tmp tmp = IO_TMP_INIT;

    cr_assert(zero(int, io_tmp_open(dir, 0600, &tmp)));
    errno = ENOTTY;
    io_tmp_deinit(&tmp);
    cr_assert(eq(int, errno, ENOTTY));
    cr_assert(zero(u32, names_in_dir()));
    io_tmp_deinit(&tmp); /* a second time is harmless */
}

Test(io, publish_does_not_replace_unless_told)
{
    _cleanup_(io_tmp_deinit) struct io_tmp tmp = IO_TMP_INIT;

    cr_assert(zero(int, io_write_file(dir, "name", "old", 3, 0600)));
    cr_assert(zero(int, io_tmp_open(dir, 0600, &tmp)));
    cr_assert(zero(int, io_write_full(tmp.fd, "new", 3)));
    cr_assert(eq(int, io_tmp_publish(&tmp, dir, "name", 0), -EEXIST));
    expect_content("name", "old");
    cr_assert(ge(int, tmp.fd, 0), "it is still temporary");
    cr_assert(zero(int, io_tmp_publish(&tmp, dir, "name", IO_PUBLISH_REPLACE)));
    expect_content("name", "new");
    cr_assert(eq(u32, names_in_dir(), 1));
}

Test(io, publish_into_another_directory)
{
    _cleanup_(io_tmp_deinit) struct io_tmp tmp = IO_TMP_INIT;
    _cleanup_(fd_closep) int to = -1;

    cr_assert(zero(int, mkdirat(dir, "to", 0700)));
    to = openat(dir, "to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert(zero(int, io_tmp_open(dir, 0600, &tmp)));
    cr_assert(zero(int, io_write_full(tmp.fd, "x", 1)));
    cr_assert(zero(int, io_tmp_publish(&tmp, to, "name", IO_PUBLISH_SYNC)));
    expect_content("to/name", "x");
    cr_assert(eq(u32, names_in_dir(), 1), "only the directory");
}

/* The way of file systems without O_TMPFILE: a name of its own. */
Test(io, a_named_tmp_is_published_and_removed_alike)
{
    struct io_tmp tmp = {.fd = -1, .dirfd = dir, .name = ".tmp-test"};

    tmp.fd = openat(dir, tmp.name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert(zero(int, io_write_full(tmp.fd, "x", 1)));
    cr_assert(zero(int, io_tmp_publish(&tmp, dir, "name", 0)));
    cr_assert(eq(u32, names_in_dir(), 1));
    expect_content("name", "x");

    tmp = (struct io_tmp){.fd = -1, .dirfd = dir, .name = ".tmp-test"};
    tmp.fd = openat(dir, tmp.name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    io_tmp_deinit(&tmp);
    cr_assert(eq(u32, names_in_dir(), 1));
}

Test(io, write_file_replaces_the_whole)
{
    cr_assert(zero(int, io_write_file(dir, "f", "a longer text", 13, 0600)));
    cr_assert(zero(int, io_write_file(dir, "f", "short", 5, 0600)));
    expect_content("f", "short");
    cr_assert(eq(u32, names_in_dir(), 1));
    cr_assert(eq(int, io_write_file(dir, "no/f", "x", 1, 0600), -ENOENT));
}
