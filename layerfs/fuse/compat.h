/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between versions of libfuse: compat_new.c is built from 3.17 on, compat_old.c
 * before. */
#ifndef LAYERFS_FUSE_COMPAT_H
#define LAYERFS_FUSE_COMPAT_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <stdbool.h>

/* Asks for one; false when the kernel does not offer it. */
bool lfs_caps_want(struct fuse_conn_info *conn, uint64_t cap);
void lfs_caps_refuse(struct fuse_conn_info *conn, uint64_t cap);

/* No INTERRUPT requests: nothing here waits for long. */
void lfs_caps_no_interrupt(struct fuse_conn_info *conn);

/* Adds the refusing handlers that only newer versions know. */
void lfs_ops_refuse_newer(struct fuse_lowlevel_ops *ops);

#endif
