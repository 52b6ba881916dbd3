/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind -o: mount(8)'s, FUSE's and layerfs's own options in one comma list. */
#ifndef TOOLS_MOUNT_OPTIONS_H
#define TOOLS_MOUNT_OPTIONS_H

#include "layerfs/fuse/mount.h"

struct mount_options {
    enum lfs_data_mode data_mode;
    enum lfs_transport transport;
    char *store, *upper, *work; /* owned; NULL when not given */
    char *fsname;               /* owned */
    struct buf fuse;            /* for the kernel and libfuse, comma-separated, not terminated */
    bool allow_other;
    unsigned long flags; /* MS_*: what fuse says too, for an overlay above */
};

/* No option at all: what root's and users' mounts have when they are silent. */
void mount_options_init(struct mount_options *o);
void mount_options_deinit(struct mount_options *o);

/* Adds the options of one -o. A backslash takes the meaning from a comma. -EINVAL with a text that
 * names the option; -ENOMEM. */
int mount_options_add(struct mount_options *o, const char *list, struct report *r);

/* The fuse options as a string that lives as long as o is not added to; NULL when out of memory. */
const char *mount_options_fuse(struct mount_options *o);

#endif
