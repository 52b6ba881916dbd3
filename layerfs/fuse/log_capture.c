/* SPDX-License-Identifier: Apache-2.0 */
/* libfuse's messages. */
#include "layerfs/fuse/log_capture.h"

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "oci/util/log.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects last */
static char last[256];
static int echoed; /* set before threads start */

/* "fuse: mount failed: …\n" without what every message has. */
static void strip(char *text)
{
    const char prefix[] = "fuse: ";
    size_t n;

    if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
        memmove(text, text + sizeof(prefix) - 1, strlen(text) - sizeof(prefix) + 2);
    n = strlen(text);
    while (n > 0 && text[n - 1] == '\n')
        text[--n] = '\0';
}

static void take(enum fuse_log_level level, const char *fmt, va_list args)
{
    char text[sizeof(last)];

    (void)vsnprintf(text, sizeof(text), fmt, args);
    if (echoed)
        (void)fputs(text, stderr);
    strip(text);
    if (!echoed)
        log_debug(LOG_FUSE, "libfuse: %s", text);
    if (level > FUSE_LOG_INFO)
        return;
    pthread_mutex_lock(&lock);
    (void)snprintf(last, sizeof(last), "%s", text);
    pthread_mutex_unlock(&lock);
}

void lfs_log_capture(int echo)
{
    pthread_mutex_lock(&lock);
    last[0] = '\0';
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
