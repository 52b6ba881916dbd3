/* SPDX-License-Identifier: Apache-2.0 */
/* libfuse's messages. */
#include "layerfs/fuse/log_capture.h"

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "oci/util/log.h"

enum { TEXT_MAX = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects line and last */
static char line[TEXT_MAX];                              /* libfuse writes some lines in pieces */
static char last[TEXT_MAX];
static int echoed; /* set before threads start */

/* Takes the line that has ended, without what every message has in front. */
static void end_line(void)
{
    const char prefix[] = "fuse: ";
    const bool has_prefix = strncmp(line, prefix, sizeof(prefix) - 1) == 0;

    (void)snprintf(last, sizeof(last), "%s", line + (has_prefix ? sizeof(prefix) - 1 : 0));
    line[0] = '\0';
    if (!echoed)
        log_debug(LOG_FUSE, "libfuse: %s", last);
}

static void take(enum fuse_log_level level, const char *fmt, va_list args)
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

void lfs_log_last(char *text, size_t size)
{
    pthread_mutex_lock(&lock);
    (void)snprintf(text, size, "%s", last);
    pthread_mutex_unlock(&lock);
}
