/* SPDX-License-Identifier: Apache-2.0 */
/* The options that an image mount passes to libfuse and the kernel. */
#ifndef LAYERFS_FUSE_MOUNT_ARGS_H
#define LAYERFS_FUSE_MOUNT_ARGS_H

#include "layerfs/fuse/mount.h"
#include "oci/util/buf.h"

/* Appends the options, comma-separated: what the image mount needs, the user's further ones, and
 * last what the user may not change. privileged: the mounter is root. 0 or -ENOMEM. */
int lfs_mount_args_format(
    const struct lfs_mount_options *options, bool privileged, struct buf *text);

#endif
