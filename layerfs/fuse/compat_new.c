/* SPDX-License-Identifier: Apache-2.0 */
/* libfuse 3.17 and later. */
#include "layerfs/fuse/compat.h"

#include "layerfs/fuse/ops.h"

bool lfs_caps_want(struct fuse_conn_info *conn, uint64_t cap)
{
    return fuse_set_feature_flag(conn, cap);
}

void lfs_caps_refuse(struct fuse_conn_info *conn, uint64_t cap)
{
    fuse_unset_feature_flag(conn, cap);
}

void lfs_caps_no_interrupt(struct fuse_conn_info *conn)
{
    conn->no_interrupt = 1;
}

static void op_statx(fuse_req_t req, fuse_ino_t ino _unused_, int flags _unused_, int mask _unused_,
    struct fuse_file_info *fi _unused_)
{
    lfs_refuse(req, LFS_OPCODE_STATX, ENOSYS);
}

static void op_tmpfile(fuse_req_t req, fuse_ino_t parent _unused_, mode_t mode _unused_,
    struct fuse_file_info *fi _unused_)
{
    lfs_refuse(req, LFS_OPCODE_TMPFILE, EROFS);
}

void lfs_ops_refuse_newer(struct fuse_lowlevel_ops *ops)
{
    ops->statx = op_statx;
    ops->tmpfile = op_tmpfile;
}
