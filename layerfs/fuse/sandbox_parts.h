/* SPDX-License-Identifier: Apache-2.0 */
/* The two parts of the sandbox that need a file of their own; both need no_new_privs. */
#ifndef LAYERFS_FUSE_SANDBOX_PARTS_H
#define LAYERFS_FUSE_SANDBOX_PARTS_H

#include "oci/util/macros.h"

/* System calls of the calling thread, and of those it starts: a list, all others fail with EPERM.
 * sandbox_seccomp.c is built where libseccomp is, sandbox_seccomp_none.c elsewhere: -EOPNOTSUPP.
 * control: also what taking a mount down needs. 0 or -errno. */
int lfs_seccomp_apply(bool control);

/* Files of the calling thread, and of those it starts: only those below objects_fd, for reading,
 * and what the C library asks of the number of processors. No TCP; no signals and abstract sockets
 * to the outside. As much of it as this kernel knows. 0 or -errno. */
int lfs_landlock_apply(int objects_fd);

#endif
