/* SPDX-License-Identifier: Apache-2.0 */
/* faults KIND N COMMAND…: runs COMMAND and lets its N-th system call of a kind go wrong.
 *
 *     kill      the process is killed before the call; calls that change something on disk
 *     kill-all  the same; all calls
 *     ENOSPC    the call is not made and fails so; calls that take room
 *     EIO       the same; calls that read or write
 *     EMFILE    the same; calls that make a file descriptor
 *
 * Calls of all threads and children count, in the order in which they are made. N 0: nothing goes
 * wrong, and the number of calls is printed on stdout behind what COMMAND prints. The exit status is
 * COMMAND's, 137 when it was killed, 255 when the N-th call was never made. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <linux/ptrace.h>
#include <unistd.h>

enum { MAKES = 1, READS = 2, WRITES = 4, OPENS = 8 };

static const struct {
    long number;
    unsigned what;
} calls[] = {
#ifdef SYS_open
    {SYS_open, OPENS | READS},
    {SYS_mkdir, MAKES},
    {SYS_rename, MAKES},
    {SYS_unlink, MAKES},
    {SYS_rmdir, MAKES},
    {SYS_link, MAKES},
    {SYS_symlink, MAKES},
    {SYS_pipe, OPENS},
#endif
    {SYS_openat, OPENS | READS},
    {SYS_openat2, OPENS | READS},
    {SYS_mkdirat, MAKES},
    {SYS_renameat, MAKES},
    {SYS_renameat2, MAKES},
    {SYS_unlinkat, MAKES},
    {SYS_linkat, MAKES},
    {SYS_symlinkat, MAKES},
    {SYS_write, WRITES},
    {SYS_pwrite64, WRITES},
    {SYS_writev, WRITES},
    {SYS_ftruncate, WRITES},
    {SYS_fallocate, WRITES},
    {SYS_fsync, WRITES},
    {SYS_fdatasync, WRITES},
    {SYS_syncfs, WRITES},
    {SYS_copy_file_range, WRITES},
    {SYS_read, READS},
    {SYS_pread64, READS},
    {SYS_readv, READS},
    {SYS_getdents64, READS},
    {SYS_fstat, READS},
    {SYS_newfstatat, READS},
    {SYS_fchmod, MAKES},
    {SYS_utimensat, MAKES},
    {SYS_flock, MAKES},
    {SYS_dup, OPENS},
    {SYS_pipe2, OPENS},
    {SYS_memfd_create, OPENS},
    {SYS_socket, OPENS},
};

static const struct kind {
    const char *name;
    unsigned what; /* 0: all calls */
    int error;     /* 0: kill */
} kinds[] = {
    {"kill", MAKES | WRITES, 0},
    {"kill-all", 0, 0},
    {"ENOSPC", MAKES | WRITES, ENOSPC},
    {"EIO", READS | WRITES, EIO},
    {"EMFILE", OPENS, EMFILE},
};

static bool creates(const struct ptrace_syscall_info *info)
{
    return info->entry.nr == SYS_openat && (info->entry.args[2] & (O_CREAT | O_TMPFILE)) != 0 &&
           ((info->entry.args[2] & O_CREAT) || (info->entry.args[2] & O_TMPFILE) == O_TMPFILE);
}

static bool is_counted(const struct kind *kind, const struct ptrace_syscall_info *info)
{
    if (kind->what == 0)
        return true;
    if ((info->entry.nr == SYS_write || info->entry.nr == SYS_writev) && info->entry.args[0] <= 2)
        return false; /* what it prints */
    if ((kind->what & MAKES) && creates(info))
        return true;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if ((uint64_t)calls[i].number == info->entry.nr)
            return calls[i].what & kind->what;
    return false;
}

/* Replaces the call by none, or what it returned by an error. */
static void set_registers(pid_t tid, bool entry, int error)
{
    struct user_regs_struct regs;
    struct iovec v = {&regs, sizeof(regs)};

    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &v) < 0)
        return;
#if defined(__x86_64__)
    if (entry)
        regs.orig_rax = (unsigned long long)-1;
    else
        regs.rax = (unsigned long long)-error;
#elif defined(__aarch64__)
    if (entry) {
        int none = -1;
        struct iovec call = {&none, sizeof(none)};

        (void)ptrace(PTRACE_SETREGSET, tid, (void *)NT_ARM_SYSTEM_CALL, &call);
        return;
    }
    regs.regs[0] = (unsigned long long)-error;
#else
#error "say how a system call is replaced on this processor"
#endif
    v.iov_len = sizeof(regs);
    (void)ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &v);
}

static pid_t child;
static long count, at;
static pid_t failing; /* the thread whose call was replaced */
static const struct kind *kind;

static void on_syscall(pid_t tid)
{
    struct ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof(info), &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && tid == failing) {
        failing = 0;
        set_registers(tid, false, kind->error);
    }
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !is_counted(kind, &info) || ++count != at)
        return;
    if (kind->error == 0) {
        (void)kill(child, SIGKILL);
        return;
    }
    failing = tid;
    set_registers(tid, true, 0);
}

static int trace(void)
{
    int result = 1;

    for (;;) {
        int status, signal = 0;
        pid_t tid = waitpid(-1, &status, __WALL);

        if (tid < 0)
            return result;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (tid == child)
                result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        if (WSTOPSIG(status) == (SIGTRAP | 0x80))
            on_syscall(tid);
        else if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP)
            signal = WSTOPSIG(status);
        (void)ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(intptr_t)signal);
    }
}

static void start(char **argv)
{
    int status;

    child = fork();
    if (child == 0) {
        (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        (void)raise(SIGSTOP);
        (void)execvp(argv[0], argv);
        _exit(127);
    }
    (void)waitpid(child, &status, __WALL);
    (void)ptrace(PTRACE_SETOPTIONS, child, NULL,
        (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE |
                 PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC));
    (void)ptrace(PTRACE_SYSCALL, child, NULL, NULL);
}

int main(int argc, char **argv)
{
    int result;

    if (argc < 4)
        return 2;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, argv[1]) == 0)
            kind = &kinds[i];
    at = atol(argv[2]);
    if (!kind)
        return 2;
    start(argv + 3);
    result = trace();
    if (at == 0)
        printf("%ld\n", count);
    return at > count ? 255 : result;
}
