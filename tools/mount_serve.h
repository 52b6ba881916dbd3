/* SPDX-License-Identifier: Apache-2.0 */
/* A mount's life in the daemon: from its record to its traces' removal. */
#ifndef TOOLS_MOUNT_SERVE_H
#define TOOLS_MOUNT_SERVE_H

#include "layerfs/fuse/mount.h"
#include "layerfs/store/image.h"
#include "tools/mount_daemon.h"
#include "tools/overlay.h"

/* All that was found out before the fork. Everything is borrowed. */
struct mount_plan {
    struct lfs_store *store;
    const struct lfs_image *image;
    const struct lfs_tree *tree;
    const char *image_name; /* as the user has it */
    const char *fsname;
    const char *mountpoint;             /* absolute, without links */
    const struct overlay_dirs *overlay; /* NULL: none */
    const char *fuse_options;           /* or NULL */
    unsigned long flags;                /* MS_* */
    bool allow_other;
    enum lfs_data_mode data_mode;
    enum lfs_transport transport;
    bool debug;
    bool no_sandbox;
    bool print_json; /* in the foreground: on stdout when ready */
};

/* Body of daemon_run(): userdata is a const struct mount_plan. The message when ready is the JSON
 * that --json prints. Returns when the mount is gone. */
int mount_serve(struct daemon *daemon, void *userdata, struct report *r);

#endif
