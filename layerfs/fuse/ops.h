/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers share. */
#ifndef LAYERFS_FUSE_OPS_H
#define LAYERFS_FUSE_OPS_H

#include "layerfs/fuse/session.h"

/* Opcodes that the kernel's header of older systems does not name. */
enum { LFS_OPCODE_TMPFILE = 51, LFS_OPCODE_STATX = 52 };

/* The mount of a request; counts the request when the loop did not see it. */
struct lfs_mount *lfs_begin(fuse_req_t req, unsigned opcode);

/* A whole handler: counts and answers with a (positive) errno. */
void lfs_refuse(fuse_req_t req, unsigned opcode, int error);

/* Sets a refusing handler for all that a read-only file system does not do. */
void lfs_ops_refuse(struct fuse_lowlevel_ops *ops);

#endif
