/* SPDX-License-Identifier: Apache-2.0 */
/* Going to the background.
 *
 * One pipe tells the parent how it went: an int32 (0 or -errno), then a text up to the end of the
 * pipe. Until it is ready, what the child's helpers (fusermount3) print on stderr is kept in a
 * memory file, so that it does not become a second line; when the child fails without a text of its
 * own, the last line of it is the text. */
#include "tools/mount_daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "oci/util/io.h"
#include "oci/util/log.h"
#include "tools/tool.h"

enum { LINE_MAX_SIZE = 512 };

struct daemon {
    bool foreground;
    int pipe_fd;   /* to the parent; -1 after the one message */
    int stderr_fd; /* memory file that holds stderr until ready; -1: stderr is left alone */
};

static void send(struct daemon *d, int err, const char *text)
{
    int32_t number = err;
    _cleanup_(fd_closep) int fd = TAKE_FD(d->pipe_fd);

    if (fd < 0)
        return;
    /* A parent that is gone cannot be told; the mount stands all the same. */
    if (io_write_full(fd, &number, sizeof(number)) == 0)
        (void)io_write_full(fd, text, strlen(text));
}

static int redirect(int fd, int flags)
{
    _cleanup_(fd_closep) int null = open("/dev/null", flags | O_CLOEXEC);

    return null < 0 || dup2(null, fd) < 0 ? neg_errno() : 0;
}

/* Cuts the child off from the terminal; its stderr is kept for now. */
static int detach(struct daemon *d)
{
    int r = 0;

    (void)signal(SIGPIPE, SIG_IGN); /* a parent that died must not take the mount with it */
    if (setsid() < 0 || chdir("/") < 0)
        return neg_errno();
    d->stderr_fd = memfd_create("stderr", MFD_CLOEXEC);
    if (d->stderr_fd < 0 || dup2(d->stderr_fd, STDERR_FILENO) < 0)
        r = neg_errno();
    if (r == 0)
        r = redirect(STDIN_FILENO, O_RDONLY);
    if (r == 0)
        r = redirect(STDOUT_FILENO, O_WRONLY);
    return r;
}

/* The last line that was printed on stderr, or "". */
static void last_line(const struct daemon *d, char line[static LINE_MAX_SIZE])
{
    char text[LINE_MAX_SIZE], *start;
    off_t end = d->stderr_fd < 0 ? 0 : lseek(d->stderr_fd, 0, SEEK_END);
    off_t from = MAX(end - (off_t)sizeof(text) + 1, (off_t)0);
    ssize_t n = end > 0 ? io_pread_full(d->stderr_fd, text, sizeof(text) - 1, from) : 0;

    line[0] = '\0';
    while (n > 0 && text[n - 1] == '\n')
        n--;
    if (n <= 0)
        return;
    text[n] = '\0';
    start = strrchr(text, '\n');
    start = start ? start + 1 : text;
    memcpy(line, start, strlen(start) + 1);
}

static void send_failure(struct daemon *d, int err, const struct report *r)
{
    char line[LINE_MAX_SIZE];

    if (report_is_set(r)) {
        send(d, err, r->text);
        return;
    }
    last_line(d, line);
    send(d, err, line[0] ? line : strerror(-err));
}

static int run_child(struct daemon *d,
    int (*body)(struct daemon *daemon, void *userdata, struct report *r), void *userdata,
    struct report *r)
{
    int err = detach(d);

    err = err < 0 ? report_errno(r, err, "cannot leave the terminal") : body(d, userdata, r);
    if (d->pipe_fd >= 0)
        send_failure(d, err < 0 ? err : -EIO, r);
    d->stderr_fd = fd_close(d->stderr_fd);
    return TOOL_DAEMON_ENDED;
}

static int explain_death(pid_t pid, struct report *r)
{
    int status;

    if (waitpid(pid, &status, 0) < 0)
        return report_errno(r, neg_errno(), "wait for the daemon");
    if (WIFSIGNALED(status))
        return report_fail(r, -EIO, "the daemon was killed by signal %d (%s)", WTERMSIG(status),
            strsignal(WTERMSIG(status)));
    return report_fail(r, -EIO, "the daemon ended without a word (status %d)", WEXITSTATUS(status));
}

static int wait_for_child(int fd, pid_t pid, struct buf *ret_message, struct report *r)
{
    int32_t err;
    ssize_t n = io_read_full(fd, &err, sizeof(err));
    int e;

    if (n != (ssize_t)sizeof(err))
        return explain_death(pid, r);
    do {
        e = buf_reserve(ret_message, 4096);
        n = e < 0 ? e : io_read_full(fd, ret_message->data + ret_message->size, 4096);
        ret_message->size += n > 0 ? (size_t)n : 0;
    } while (n == 4096);
    if (n < 0)
        return report_errno(r, (int)n, "the daemon's message");
    if (err < 0) {
        (void)waitpid(pid, NULL, 0);
        return report_fail(r, err, "%.*s", (int)ret_message->size, ret_message->data);
    }
    return 0;
}

int daemon_run(bool foreground,
    int (*body)(struct daemon *daemon, void *userdata, struct report *r), void *userdata,
    struct buf *ret_message, struct report *r)
{
    struct daemon d = {.foreground = foreground, .pipe_fd = -1, .stderr_fd = -1};
    _cleanup_(fd_closep) int read_fd = -1;
    int fds[2];
    pid_t pid;

    if (foreground)
        return body(&d, userdata, r);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return report_errno(r, neg_errno(), "pipe");
    (void)fflush(NULL); /* or the child would print it again */
    read_fd = fds[0];
    d.pipe_fd = fds[1];
    pid = fork();
    if (pid == 0) {
        read_fd = fd_close(read_fd);
        return run_child(&d, body, userdata, r);
    }
    d.pipe_fd = fd_close(d.pipe_fd);
    if (pid < 0)
        return report_errno(r, neg_errno(), "fork");
    return wait_for_child(read_fd, pid, ret_message, r);
}

void daemon_ready(struct daemon *d, const char *message)
{
    if (d->foreground)
        return;
    (void)redirect(STDERR_FILENO, O_WRONLY);
    send(d, 0, message);
}

bool daemon_is_foreground(const struct daemon *d)
{
    return d->foreground;
}
