/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel overlayfs above an image mount. */
#ifndef TOOLS_OVERLAY_H
#define TOOLS_OVERLAY_H

#include "oci/util/report.h"

/* The directories of an overlay, absolute and without links. */
struct overlay_dirs {
    char *upper, *work; /* owned */
    bool made_work;
};

void overlay_dirs_deinit(struct overlay_dirs *dirs);

/* Resolves and checks: upper is a directory; work (NULL: upper + ".work") is one on the same file
 * system, made when missing; neither lies in the other nor in or around the mountpoint. -ENOENT,
 * -ENOTDIR, -EXDEV, -EINVAL, -EPERM without root. What was made is removed again on failure. */
int overlay_dirs_resolve(const char *upper, const char *work, const char *mountpoint,
    struct overlay_dirs *ret_dirs, struct report *r);

/* Mounts. flags: MS_*. */
int overlay_mount(const char *source, const char *lower, const struct overlay_dirs *dirs,
    const char *mountpoint, unsigned long flags, struct report *r);

/* "lowerdir=…,upperdir=…,workdir=…" with separators in names escaped; free() it. NULL when out of
 * memory. */
char *overlay_format_options(const char *lower, const char *upper, const char *work);

/* True when path is dir or below it; both absolute and without links. */
bool path_is_below(const char *path, const char *dir);

#endif
