/* SPDX-License-Identifier: Apache-2.0 */
/* Without passthrough: a libfuse that cannot. */
#include "layerfs/fuse/session.h"

const size_t lfs_open_size = 1;

bool lfs_passthrough_built(void)
{
    return false;
}

int lfs_passthrough_available(struct report *r)
{
    return report_fail(r, -EOPNOTSUPP, "this build's libfuse has no passthrough");
}

bool lfs_passthrough_negotiate(struct fuse_conn_info *conn _unused_, bool nested _unused_)
{
    return false;
}

int lfs_passthrough_new(
    struct lfs_mount *m _unused_, struct lfs_passthrough **ret_passthrough _unused_)
{
    return -EOPNOTSUPP;
}

void lfs_passthrough_open(
    struct lfs_mount *m, fuse_req_t req, const struct lfs_inode *inode _unused_)
{
    lfs_reply_error(m, req, -EIO); /* never negotiated, so never called */
}

void lfs_passthrough_release(
    struct lfs_mount *m _unused_, uint64_t number _unused_, uint64_t handle _unused_)
{
}

void lfs_passthrough_stop(struct lfs_passthrough *passthrough _unused_)
{
}

struct lfs_passthrough *lfs_passthrough_free(struct lfs_passthrough *passthrough _unused_)
{
    return NULL;
}
