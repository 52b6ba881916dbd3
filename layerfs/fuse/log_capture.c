/* SPDX-License-Identifier: Apache-2.0 */
/* libfuse's messages. */
#include "layerfs/fuse/log_capture.h"

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "oci/util/log.h"

enum { TEXT_MAX = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects line and last */
static char line[TEXT_MAX];                              /* libfuse writes some lines in pieces */
static char last[TEXT_MAX];
static int echoed; /* set before threads start */

/* A message without what all have in front. */
static const char *without_prefix(const char *text)
{
    static const char *const prefixes[] = {"fuse: ", "fusermount3: "};

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0)
            return text + strlen(prefixes[i]);
    }
    return text;
}

/* Takes the line that has ended. */
static void end_line(void)
{
    (void)snprintf(last, sizeof(last), "%s", without_prefix(line));
    line[0] = '\0';
    if (!echoed)
        log_debug(LOG_FUSE, "libfuse: %s", last);
}

_printf_(2, 0) static void take(enum fuse_log_level level, const char *fmt, va_list args)
{
    char text[TEXT_MAX];
    size_t n;

    (void)vsnprintf(text, sizeof(text), fmt, args);
    if (echoed)
        (void)fputs(text, stderr);
    if (level > FUSE_LOG_INFO)
        return;
    pthread_mutex_lock(&lock);
    n = strlen(line);
    (void)snprintf(line + n, sizeof(line) - n, "%s", text);
    n = strlen(line);
    if (n > 0 && line[n - 1] == '\n') {
        line[n - 1] = '\0';
        end_line();
    } else if (n + 1 == sizeof(line)) {
        end_line();
    }
    pthread_mutex_unlock(&lock);
}

void lfs_log_capture(int echo)
{
    pthread_mutex_lock(&lock);
    line[0] = last[0] = '\0';
    pthread_mutex_unlock(&lock);
    echoed = echo;
    fuse_set_log_func(take);
}

int lfs_stderr_begin(void)
{
    _cleanup_(fd_closep) int file = memfd_create("stderr", MFD_CLOEXEC);
    int saved = file < 0 ? -1 : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

    if (saved >= 0 && dup2(file, STDERR_FILENO) < 0)
        saved = fd_close(saved);
    return saved;
}

void lfs_stderr_end(int saved_fd)
{
    char text[TEXT_MAX] = "";
    ssize_t n;

    if (saved_fd < 0)
        return;
    n = pread(STDERR_FILENO, text, sizeof(text) - 1, 0);
    (void)dup2(saved_fd, STDERR_FILENO);
    (void)fd_close(saved_fd);
    if (n <= 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    pthread_mutex_lock(&lock);
    (void)snprintf(last, sizeof(last), "%s", without_prefix(text));
    pthread_mutex_unlock(&lock);
}

void lfs_log_last(char *text, size_t size)
{
    pthread_mutex_lock(&lock);
    (void)snprintf(text, size, "%s", last);
    pthread_mutex_unlock(&lock);
}
