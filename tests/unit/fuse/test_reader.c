/* SPDX-License-Identifier: Apache-2.0 */
/* Opens and reads behind the workers' backs. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "layerfs/fuse/reader.h"
#include "tests/unit/tmpdir.h"

TestSuite(reader);

struct request {
    struct lfs_io io;
    struct lfs_reader *reader;
    sem_t over;
    int result;
    char first; /* byte of a lent buffer */
};

static void done(struct lfs_io *io, int result)
{
    struct request *q = (struct request *)io;

    q->result = result;
    if (result > 0 && io->kind == LFS_IO_READ)
        q->first = *(char *)io->buffer;
    lfs_reader_return(q->reader, io);
    (void)sem_post(&q->over);
}

static void start(struct request *q, struct lfs_reader *reader)
{
    q->reader = reader;
    q->io.done = done;
    cr_assert_eq(sem_init(&q->over, 0, 0), 0);
    lfs_reader_submit(reader, &q->io);
}

static int wait_for(struct request *q)
{
    while (sem_wait(&q->over) < 0)
        ;
    return q->result;
}

static struct lfs_reader *make(void)
{
    struct lfs_reader *reader;

    cr_assert_eq(lfs_reader_new(&reader), 0);
    return reader;
}

static void check_opens_and_reads(void)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(lfs_reader_freep) struct lfs_reader *reader = make();
    struct request open = {.io = {.kind = LFS_IO_OPEN, .fd = dir.fd, .name = "a/f"}};
    struct request read = {.io = {.kind = LFS_IO_READ, .offset = 1, .size = 100}};
    char own[8] = "";

    tmpdir_write_str(&dir, "a/f", "hello");
    start(&open, reader);
    cr_assert_geq(wait_for(&open), 0);
    cr_assert(fcntl(open.result, F_GETFD) & FD_CLOEXEC);
    read.io.fd = open.result;
    start(&read, reader);
    cr_assert_eq(wait_for(&read), 4, "to the end of the file");
    cr_assert_eq(read.first, 'e');
    cr_assert_null(read.io.buffer, "it was lent, and given back");
    read.io = (struct lfs_io){.fd = open.result, .buffer = own, .size = 5, .filled = 2};
    start(&read, reader);
    cr_assert_eq(wait_for(&read), 3);
    cr_assert_arr_eq(own + 2, "llo", 3, "behind what was filled");
    cr_assert_eq(read.io.buffer, own);
    (void)fd_close(open.result);
}

Test(reader, errors_come_as_they_are)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(lfs_reader_freep) struct lfs_reader *reader = make();
    struct request none = {.io = {.kind = LFS_IO_OPEN, .fd = dir.fd, .name = "none"}};
    struct request link = {.io = {.kind = LFS_IO_OPEN, .fd = dir.fd, .name = "link"}};
    struct request bad = {.io = {.kind = LFS_IO_READ, .fd = -1, .size = 1}};

    cr_assert_eq(symlinkat("f", dir.fd, "link"), 0);
    start(&none, reader);
    start(&link, reader);
    start(&bad, reader);
    cr_assert_eq(wait_for(&none), -ENOENT);
    cr_assert_eq(wait_for(&link), -ELOOP);
    cr_assert_eq(wait_for(&bad), -EBADF);
}

/* Far more at once than there are buffers and places in the ring: all are served. */
static void check_more_than_there_is_room_for(void)
{
    enum { COUNT = 600, SIZE = LFS_READER_SIZE_MAX };
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(lfs_reader_freep) struct lfs_reader *reader = make();
    struct request *requests = calloc(COUNT, sizeof(*requests));
    _cleanup_(fd_closep) int fd = -1;

    tmpdir_write_str(&dir, "f", "x");
    fd = openat(dir.fd, "f", O_RDWR);
    cr_assert_eq(ftruncate(fd, 2 * SIZE), 0);
    for (int i = 0; i < COUNT; i++) {
        requests[i].io = (struct lfs_io){.fd = fd, .size = i % 3 == 0 ? 10 : SIZE};
        start(&requests[i], reader);
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(wait_for(&requests[i]), i % 3 == 0 ? 10 : SIZE);
        cr_assert_eq(requests[i].first, 'x');
    }
    cr_assert_leq(lfs_reader_buffers_peak(reader), 64 + 16);
    free(requests);
}

static void check_stopping(void)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    struct lfs_reader *reader = make();
    struct request before[20], after = {.io = {.kind = LFS_IO_OPEN, .fd = dir.fd, .name = "f"}};

    tmpdir_write_str(&dir, "f", "x");
    for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
        before[i] = (struct request){.io = {.kind = LFS_IO_OPEN, .fd = dir.fd, .name = "f"}};
        start(&before[i], reader);
    }
    lfs_reader_stop(reader);
    for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
        cr_assert_eq(sem_trywait(&before[i].over), 0, "done before stop returned");
        cr_assert_geq(before[i].result, 0);
        (void)fd_close(before[i].result);
    }
    start(&after, reader);
    cr_assert_eq(wait_for(&after), -ESHUTDOWN);
    cr_assert_null(lfs_reader_free(reader));
}

Test(reader, opens_and_reads)
{
    check_opens_and_reads();
}

Test(reader, more_than_there_is_room_for)
{
    check_more_than_there_is_room_for();
}

Test(reader, stopping_serves_what_was_taken_and_refuses_the_rest)
{
    check_stopping();
}

/* As in containers whose seccomp profile knows no io_uring. */
static void forbid_io_uring(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    cr_assert_eq(syscall(SYS_io_uring_setup, 1, NULL), -1);
    cr_assert_eq(errno, EPERM);
}

TestSuite(reader_without_io_uring, .init = forbid_io_uring);

Test(reader_without_io_uring, opens_and_reads)
{
    check_opens_and_reads();
}

Test(reader_without_io_uring, more_than_there_is_room_for)
{
    check_more_than_there_is_room_for();
}

Test(reader_without_io_uring, stopping_serves_what_was_taken_and_refuses_the_rest)
{
    check_stopping();
}
