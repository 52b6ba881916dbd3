/* SPDX-License-Identifier: Apache-2.0 */
/* Confining a daemon: what it can still do when somebody found a way to take it over.
 *
 * Each thread confines itself, and those it starts afterwards are confined as it is. Nothing of
 * this fails: what kernel or build do not have is left out, and the result tells what is in force.
 * docs/security.md says what each thread may do and why. */
#ifndef LAYERFS_FUSE_SANDBOX_H
#define LAYERFS_FUSE_SANDBOX_H

#include "oci/util/macros.h"

struct lfs_sandbox {
    int objects_fd;     /* directory whose files may be opened for reading; borrowed */
    bool foreign_store; /* it belongs to another user, so reading it takes a capability */
    bool backing_files; /* passthrough: the kernel asks for CAP_SYS_ADMIN to register files */
};

/* Threads that serve requests: no new files but objects, no processes, no sockets, no mounts.
 * LFS_CONFINED_… bits. */
unsigned lfs_sandbox_serve(const struct lfs_sandbox *sandbox);

/* The thread that takes the mount down in the end, which serves nobody. For root; another user's
 * stays as it is, because it must be able to run fusermount3. LFS_CONFINED_… bits. */
unsigned lfs_sandbox_control(void);

#endif
