/* SPDX-License-Identifier: Apache-2.0 */
/* What a confined thread can and cannot do. */
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "layerfs/fuse/sandbox.h"
#include "layerfs/fuse/stats.h"
#include "tests/unit/tmpdir.h"

TestSuite(sandbox);

enum {
    ALL = LFS_CONFINED_NO_NEW_PRIVS | LFS_CONFINED_CAPABILITIES | LFS_CONFINED_SECCOMP |
          LFS_CONFINED_LANDLOCK
};

/* Runs attempt() in a confined child: its result, or -1 when the child died. *ret_done tells what
 * confined it. A directory "objects" with a file "o" is allowed, "other" with "o" is not. */
static int run_confined(int (*attempt)(const struct tmpdir *dir), unsigned *ret_done)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    int status, fds[2];
    pid_t pid;

    cr_assert_eq(mkdirat(dir.fd, "objects", 0755), 0);
    cr_assert_eq(mkdirat(dir.fd, "other", 0755), 0);
    tmpdir_write_str(&dir, "objects/o", "object");
    tmpdir_write_str(&dir, "other/o", "secret");
    cr_assert_eq(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        struct lfs_sandbox sandbox = {
            .objects_fd = openat(dir.fd, "objects", O_RDONLY | O_DIRECTORY)};
        unsigned done = lfs_sandbox_serve(&sandbox);

        if (write(fds[1], &done, sizeof(done)) != sizeof(done))
            _exit(255);
        _exit(attempt(&dir));
    }
    cr_assert_gt(pid, 0);
    cr_assert_eq(read(fds[0], ret_done, sizeof(*ret_done)), (ssize_t)sizeof(*ret_done));
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Skips where kernel or build lack what the test is about. */
static void assert_confined(int (*attempt)(const struct tmpdir *dir), unsigned needed)
{
    unsigned done;
    int r = run_confined(attempt, &done);

    if ((done & needed) != needed)
        cr_skip_test("not to be had here");
    cr_assert_eq(r, 0, "step %d", r);
}

static bool denied(long result)
{
    return result < 0 && (errno == EPERM || errno == EACCES);
}

static int use_objects(const struct tmpdir *dir)
{
    char text[8];
    int fd = openat(dir->fd, "objects/o", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    return fd >= 0 && read(fd, text, sizeof(text)) == 6 ? 0 : 1;
}

static int use_other_files(const struct tmpdir *dir)
{
    if (!denied(openat(dir->fd, "other/o", O_RDONLY)))
        return 1;
    if (!denied(openat(dir->fd, "objects/../other/o", O_RDONLY)))
        return 2;
    if (!denied(openat(dir->fd, "objects/o", O_RDWR)))
        return 3;
    if (!denied(openat(dir->fd, "objects/new", O_WRONLY | O_CREAT, 0600)))
        return 4;
    if (!denied(open("/etc/passwd", O_RDONLY)))
        return 5;
    if (!denied(unlinkat(dir->fd, "objects/o", 0)))
        return 6;
    if (!denied(renameat(dir->fd, "objects/o", dir->fd, "objects/p")))
        return 7;
    return 0;
}

/* What io_uring does is not filtered by seccomp. */
static int use_other_files_by_uring(const struct tmpdir *dir)
{
    struct io_uring ring;
    struct io_uring_cqe *cqe;
    struct io_uring_sqe *sqe;

    if (io_uring_queue_init(4, &ring, 0) < 0)
        return 1;
    sqe = io_uring_get_sqe(&ring);
    io_uring_prep_openat(sqe, dir->fd, "other/o", O_RDONLY, 0);
    if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_peek_cqe(&ring, &cqe) < 0)
        return 2;
    if (cqe->res != -EACCES && cqe->res != -EPERM)
        return 3;
    io_uring_cqe_seen(&ring, cqe);
    sqe = io_uring_get_sqe(&ring);
    io_uring_prep_openat(sqe, dir->fd, "objects/o", O_RDONLY, 0);
    if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_peek_cqe(&ring, &cqe) < 0)
        return 4;
    return cqe->res >= 0 ? 0 : 5;
}

static int use_the_system(const struct tmpdir *dir _unused_)
{
    char *argv[] = {NULL};

    if (!denied(fork()))
        return 1;
    if (!denied(execv("/bin/true", argv)))
        return 2;
    if (!denied(socket(AF_UNIX, SOCK_STREAM, 0)))
        return 3;
    if (!denied(ptrace(PTRACE_TRACEME, 0, NULL, NULL)))
        return 4;
    if (!denied(mount("none", "/tmp", "tmpfs", 0, NULL)))
        return 5;
    if (!denied(umount2("/proc", MNT_DETACH)))
        return 6;
    if (!denied(unshare(CLONE_NEWUSER)))
        return 7;
    if (!denied(kill(getppid(), 0)))
        return 8;
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
        MAP_FAILED)
        return 9;
    return denied(chmod("/", 0777)) ? 0 : 10;
}

static void *nothing(void *userdata)
{
    return userdata;
}

static void *wait_for_ever(void *userdata)
{
    while (poll(NULL, 0, -1) <= 0)
        ;
    return userdata;
}

static int use_threads(const struct tmpdir *dir _unused_)
{
    pthread_t thread;
    void *p;

    if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return 1;
    if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0 || pthread_cancel(thread) != 0 ||
        pthread_join(thread, NULL) != 0)
        return 2;
    p = malloc(64 << 20);
    if (!p)
        return 3;
    free(p);
    return sysconf(_SC_NPROCESSORS_ONLN) > 0 ? 0 : 4;
}

static int have_capabilities(const struct tmpdir *dir _unused_)
{
    return denied(chroot("/")) && denied(sethostname("x", 1)) ? 0 : 1;
}

Test(sandbox, objects_can_be_read)
{
    assert_confined(use_objects, 0);
}

Test(sandbox, other_files_cannot_be_opened_or_changed)
{
    assert_confined(use_other_files, LFS_CONFINED_LANDLOCK);
}

Test(sandbox, io_uring_is_no_way_around)
{
    assert_confined(use_other_files_by_uring, LFS_CONFINED_LANDLOCK);
}

Test(sandbox, no_processes_sockets_mounts_code)
{
    assert_confined(use_the_system, LFS_CONFINED_SECCOMP);
}

Test(sandbox, capabilities_are_gone)
{
    assert_confined(have_capabilities, LFS_CONFINED_CAPABILITIES);
}

Test(sandbox, threads_and_memory_work)
{
    assert_confined(use_threads, 0);
}

Test(sandbox, every_bit_has_a_name)
{
    for (unsigned bit = 1; bit & ALL; bit <<= 1)
        cr_assert_not_null(lfs_confined_name(bit));
    cr_assert_null(lfs_confined_name(ALL + 1));
}
