/* SPDX-License-Identifier: Apache-2.0 */
/* Without FUSE over io_uring: a libfuse that cannot. */
#include "layerfs/fuse/mount.h"
#include "layerfs/fuse/transport.h"

bool lfs_uring_built(void)
{
    return false;
}

int lfs_uring_available(struct report *r)
{
    return report_fail(r, -EOPNOTSUPP, "this build's libfuse has no io_uring");
}

int lfs_transport_enable_uring(struct report *r)
{
    return lfs_uring_available(r);
}

int lfs_uring_add_options(struct buf *options _unused_)
{
    return 0;
}

bool lfs_uring_negotiate(struct fuse_conn_info *conn _unused_, bool wanted _unused_)
{
    return false;
}

bool lfs_request_is_uring(fuse_req_t req _unused_)
{
    return false;
}

bool lfs_request_payload(
    fuse_req_t req _unused_, void **ret_payload _unused_, size_t *ret_size _unused_)
{
    return false;
}
