/* SPDX-License-Identifier: Apache-2.0 */
/* The list of system calls.
 *
 * What is not in it fails with EPERM and a line in the kernel's log: a call that nobody thought of
 * costs an error and not the mount. What is done through io_uring is not filtered here; there the
 * other parts hold, capabilities and Landlock. */
#include <linux/fuse.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include "layerfs/fuse/sandbox_parts.h"

/* Of serving. */
static const int serving[] = {
    /* requests, replies, contents */
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(preadv),
    SCMP_SYS(preadv2),
    SCMP_SYS(pwrite64),
    SCMP_SYS(splice),
    SCMP_SYS(vmsplice),
    SCMP_SYS(lseek),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(fadvise64),
    SCMP_SYS(readahead),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(eventfd2),
    SCMP_SYS(pipe2),
    SCMP_SYS(fcntl),
    SCMP_SYS(close),
    SCMP_SYS(dup),
    /* which files these may be says Landlock */
    SCMP_SYS(openat),
    SCMP_SYS(openat2),
    SCMP_SYS(open),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(statx),
    SCMP_SYS(fstatfs),
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(mincore),
    SCMP_SYS(mlock),
    SCMP_SYS(munlock),
    /* threads and signals */
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(membarrier),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getcpu),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrlimit),
    SCMP_SYS(sysinfo),
};

/* Of taking the mount down: its files, its record, the mount table. */
static const int controlling[] = {
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(rmdir),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
};

static int allow_list(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return r;
}

/* With an argument that has certain bits. */
static int allow_masked(
    scmp_filter_ctx filter, int call, unsigned argument, uint64_t mask, uint64_t value)
{
    return seccomp_rule_add(
        filter, SCMP_ACT_ALLOW, call, 1, SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, value));
}

static int allow_equal(scmp_filter_ctx filter, int call, unsigned argument, uint64_t value)
{
    return seccomp_rule_add(
        filter, SCMP_ACT_ALLOW, call, 1, SCMP_CMP64(argument, SCMP_CMP_EQ, value, 0));
}

/* ioctls of FUSE, by type and number: numbers differ in size and direction between versions. */
static int allow_fuse_ioctls(scmp_filter_ctx filter)
{
    return allow_masked(filter, SCMP_SYS(ioctl), 1, 0xff00, (uint64_t)FUSE_DEV_IOC_MAGIC << 8);
}

/* Memory is never code; new tasks are threads, never processes. */
static int allow_with_arguments(scmp_filter_ctx filter)
{
    int r = allow_masked(filter, SCMP_SYS(mmap), 2, PROT_EXEC, 0);

    if (r == 0)
        r = allow_masked(filter, SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
    if (r == 0)
        r = allow_masked(filter, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD);
    /* Its flags are in memory, where they cannot be seen; the C library then takes clone(). */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (r == 0)
        r = allow_equal(filter, SCMP_SYS(prctl), 0, PR_SET_NAME);
    if (r == 0)
        r = allow_equal(filter, SCMP_SYS(tgkill), 0, (uint64_t)getpid());
    if (r == 0) /* only asking */
        r = seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_CMP64(2, SCMP_CMP_EQ, 0, 0));
    return r == 0 ? allow_fuse_ioctls(filter) : r;
}

static int allow_unmounting(scmp_filter_ctx filter)
{
    int r = allow_equal(filter, SCMP_SYS(umount2), 1, MNT_DETACH);

    return r == 0 ? allow_equal(filter, SCMP_SYS(umount2), 1, MNT_DETACH | UMOUNT_NOFOLLOW) : r;
}

static int fill(scmp_filter_ctx filter, bool control)
{
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));

    /* A kernel that cannot log does without. */
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
    if (r == 0)
        r = allow_list(filter, serving, ARRAY_SIZE(serving));
    if (r == 0)
        r = allow_with_arguments(filter);
    if (r == 0 && control)
        r = allow_list(filter, controlling, ARRAY_SIZE(controlling));
    if (r == 0 && control)
        r = allow_unmounting(filter);
    return r;
}

int lfs_seccomp_apply(bool control)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r;

    if (!filter)
        return -ENOMEM;
    r = fill(filter, control);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}
