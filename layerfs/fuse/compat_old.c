/* SPDX-License-Identifier: Apache-2.0 */
/* libfuse before 3.17. */
#include "layerfs/fuse/compat.h"

#include "oci/util/macros.h"

bool lfs_caps_want(struct fuse_conn_info *conn, uint64_t cap)
{
    if ((conn->capable & cap) != cap)
        return false;
    conn->want |= (unsigned)cap;
    return true;
}

void lfs_caps_refuse(struct fuse_conn_info *conn, uint64_t cap)
{
    conn->want &= ~(unsigned)cap;
}

void lfs_caps_no_interrupt(struct fuse_conn_info *conn _unused_)
{
    /* This libfuse handles INTERRUPT itself and cannot refuse it. */
}

void lfs_ops_refuse_newer(struct fuse_lowlevel_ops *ops _unused_)
{
}
