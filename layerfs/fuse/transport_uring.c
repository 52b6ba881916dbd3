/* SPDX-License-Identifier: Apache-2.0 */
/* FUSE over io_uring, as the bundled libfuse does it.
 *
 * One queue a possible CPU, `depth` requests deep, each with a buffer for the largest reply. A
 * buffer's pages take memory once a reply used them and keep it, so what all buffers together
 * could take is bounded: many CPUs get smaller requests. */
#include <fcntl.h>
#include <sys/sysinfo.h>

#include "layerfs/fuse/mount.h"
#include "layerfs/fuse/transport.h"

enum {
    DEPTH = 8,
    BUFFERS_MAX = 32 << 20, /* bytes, all queues together */
    PAYLOAD_MAX = 1 << 20,  /* bytes: the most the kernel asks for */
    PAYLOAD_MIN = 128 << 10,
};

#define ENABLE_PARAMETER "/sys/module/fuse/parameters/enable_uring"

bool lfs_uring_built(void)
{
    return true;
}

/* 1 on, 0 off, -errno when the kernel has no such parameter. */
static int parameter_is_on(void)
{
    _cleanup_(fd_closep) int fd = open(ENABLE_PARAMETER, O_RDONLY | O_CLOEXEC);
    char c = 'N';

    if (fd < 0)
        return neg_errno();
    if (read(fd, &c, 1) != 1)
        return -EIO;
    return c == 'Y' || c == '1';
}

int lfs_uring_available(struct report *r)
{
    int on = parameter_is_on();

    if (on < 0)
        return report_fail(r, -EOPNOTSUPP, "this kernel has no FUSE over io_uring");
    if (on == 0)
        return report_fail(
            r, -EOPNOTSUPP, "FUSE over io_uring is off in this kernel (" ENABLE_PARAMETER ")");
    return 0;
}

int lfs_transport_enable_uring(struct report *r)
{
    _cleanup_(fd_closep) int fd = -1;
    int on = parameter_is_on();

    if (on > 0)
        return 0;
    if (on < 0)
        return lfs_uring_available(r);
    fd = open(ENABLE_PARAMETER, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "Y\n", 2) != 2)
        return report_errno(r, neg_errno(), "turning on " ENABLE_PARAMETER);
    return 1;
}

int lfs_uring_add_options(struct buf *options)
{
    return buf_printf(options, ",io_uring,io_uring_q_depth=%d", DEPTH);
}

bool lfs_uring_negotiate(struct fuse_conn_info *conn, bool wanted)
{
    unsigned queues = (unsigned)MAX(get_nprocs_conf(), 1);
    unsigned size = PAYLOAD_MAX;

    if (!wanted || !(conn->capable_ext & FUSE_CAP_OVER_IO_URING)) {
        fuse_unset_feature_flag(conn, FUSE_CAP_OVER_IO_URING);
        return false;
    }
    while (size > PAYLOAD_MIN && (uint64_t)size * queues * DEPTH > BUFFERS_MAX)
        size /= 2;
    conn->max_write = MIN(conn->max_write, size);
    return fuse_set_feature_flag(conn, FUSE_CAP_OVER_IO_URING);
}

bool lfs_request_is_uring(fuse_req_t req)
{
    return fuse_req_is_uring(req);
}

bool lfs_request_payload(fuse_req_t req, void **ret_payload, size_t *ret_size)
{
    char *payload;
    size_t size;

    if (fuse_req_get_payload(req, &payload, &size, NULL) != 0)
        return false;
    *ret_payload = payload;
    *ret_size = size;
    return true;
}
