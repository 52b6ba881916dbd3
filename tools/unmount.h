/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a mount down: what umount does, and bundle when it fails. */
#ifndef TOOLS_UNMOUNT_H
#define TOOLS_UNMOUNT_H

#include "tools/tool.h"

struct unmount_options {
    bool lazy;           /* detach now what is in use */
    unsigned timeout_ms; /* for the daemon to end */
};

/* Takes down what LayerFS mounted on path (overlay and FUSE), waits until its daemon is gone and
 * removes its traces. Works when the daemon is dead. -EBUSY: in use, and all of it still mounted;
 * -ENOENT: no mount of LayerFS; -ETIMEDOUT: off, but the daemon lives on. */
int unmount(struct tool *tool, const char *path, const struct unmount_options *options);

#endif
