/* SPDX-License-Identifier: Apache-2.0 */
/* Mounting an image: what mount and bundle share. */
#ifndef TOOLS_IMAGE_MOUNT_H
#define TOOLS_IMAGE_MOUNT_H

#include "tools/mount_options.h"
#include "tools/prepare.h"

struct mount_request {
    const char *image, *mountpoint;      /* as the user named them */
    const struct oci_platform *platform; /* NULL: the host's */
    struct mount_options *options;       /* upper and work included */
    struct prepare_options prepare;
    bool foreground;
    bool print_json; /* in the foreground */
    bool no_sandbox; /* the daemon is not confined */
};

/* Prepares the image where needed, mounts it and returns when the mount answers, with the JSON that
 * describes it in *ret_message. Undoes everything on failure. TOOL_DAEMON_ENDED in the daemon. */
int image_mount(struct tool *tool, struct lfs_store *store, const struct mount_request *request,
    struct buf *ret_message);

#endif
