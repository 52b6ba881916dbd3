/* SPDX-License-Identifier: Apache-2.0 */
/* The options that an image mount passes to libfuse and the kernel.
 *
 * `ro` makes the superblock read-only. Less (noatime, a read-only bind mount) would let every read
 * make the kernel forget the times of what was read, and ask again at the next stat. */
#include "layerfs/fuse/mount_args.h"

#include <string.h>

/* A value in which libfuse finds no comma of ours. */
static int append_escaped(struct buf *text, const char *value)
{
    int r = 0;

    for (; *value && r == 0; value++) {
        if (*value == ',' || *value == '\\')
            r = buf_append(text, "\\", 1);
        if (r == 0)
            r = buf_append(text, value, 1);
    }
    return r;
}

/* The length of the option at s: up to a comma that is not escaped. */
static size_t option_length(const char *s)
{
    size_t n = 0;

    while (s[n] && s[n] != ',')
        n += s[n] == '\\' && s[n + 1] ? 2 : 1;
    return n;
}

static bool is(const char *option, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(option, name, length) == 0;
}

/* mount(8) always passes one of these; the first means nothing here, the second cannot be. */
static bool is_dropped(const char *option, size_t length)
{
    return length == 0 || is(option, length, "defaults") || is(option, length, "rw");
}

static int append_user_options(struct buf *text, const char *options)
{
    int r = 0;

    while (*options && r == 0) {
        size_t n = option_length(options);

        if (!is_dropped(options, n)) {
            r = buf_append(text, ",", 1);
            if (r == 0)
                r = buf_append(text, options, n);
        }
        options += n;
        options += *options == ',';
    }
    return r;
}

/* Set-user-ID programs and devices of an image are foreign: libfuse allows neither unless the user's
 * options do. */
int lfs_mount_args_format(
    const struct lfs_mount_options *options, bool privileged, struct buf *text)
{
    int r = buf_append_str(text, "default_permissions,subtype=layerfs");

    if (r == 0 && (options->allow_other || privileged))
        r = buf_append_str(text, ",allow_other");
    if (r == 0 && options->fsname) {
        r = buf_append_str(text, ",fsname=");
        if (r == 0)
            r = append_escaped(text, options->fsname);
    }
    if (r == 0 && options->fuse_options)
        r = append_user_options(text, options->fuse_options);
    if (r == 0 && options->debug)
        r = buf_append_str(text, ",debug");
    if (r == 0)
        r = buf_append_str(text, ",ro");
    return r;
}
