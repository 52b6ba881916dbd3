/* SPDX-License-Identifier: Apache-2.0 */
/* INIT: what the kernel and an image mount agree on, so that as few requests as possible come.
 *
 * - Nothing changes, so nothing is ever invalidated: AUTO_INVAL_DATA off (it would ask for the
 *   attributes before cached data are used), EXPLICIT_INVAL_DATA on, symlinks and directories
 *   cached.
 * - READDIRPLUS always, not "auto": it is the only way to get many inodes by one request.
 * - cached mode: OPEN is answered ENOSYS once, and never asked again.
 * - passthrough mode: OPEN has to be asked. The two exclude each other for the whole connection. */
#include <sys/vfs.h>

#include "layerfs/fuse/compat.h"
#include "layerfs/fuse/session.h"
#include "oci/util/log.h"

enum {
    MAX_BACKGROUND = 256, /* reads ahead that may be under way */
    OVERLAYFS_MAGIC = 0x794c7630,
};

/* Which data mode `auto` is, by measurement: cached. It wins on small files, of which images are
 * full (no OPEN, FLUSH and RELEASE: a second reading of everything costs no request at all), and
 * passthrough wins only on long sequential and mapped reads of large files. */
static enum lfs_data_mode decide_data_mode(enum lfs_data_mode asked)
{
    return asked == LFS_DATA_MODE_PASSTHROUGH ? LFS_DATA_MODE_PASSTHROUGH : LFS_DATA_MODE_CACHED;
}

static bool store_is_nested(const struct lfs_mount *m)
{
    struct statfs st;

    return fstatfs(lfs_store_dirfd(m->store, LFS_DIR_OBJECTS), &st) == 0 &&
           st.f_type == OVERLAYFS_MAGIC;
}

static void negotiate_data(struct lfs_mount *m, struct fuse_conn_info *conn)
{
    m->data_mode = decide_data_mode(m->data_mode);
    if (m->data_mode == LFS_DATA_MODE_PASSTHROUGH) {
        if (!lfs_passthrough_negotiate(conn, store_is_nested(m)))
            m->error = report_fail(m->report, -EOPNOTSUPP, "this kernel's FUSE has no passthrough");
        lfs_caps_refuse(conn, FUSE_CAP_NO_OPEN_SUPPORT);
        return;
    }
    m->no_open = lfs_caps_want(conn, FUSE_CAP_NO_OPEN_SUPPORT);
}

static void negotiate_transport(struct lfs_mount *m, struct fuse_conn_info *conn)
{
    m->uring_taken = lfs_uring_negotiate(conn, m->transport != LFS_TRANSPORT_DEV);
    if (!m->uring_taken && m->transport == LFS_TRANSPORT_URING)
        m->error =
            report_fail(m->report, -EOPNOTSUPP, "this kernel does not offer FUSE over io_uring");
}

void lfs_mount_negotiate(void *userdata, struct fuse_conn_info *conn)
{
    struct lfs_mount *m = userdata;

    conn->max_write = MIN(conn->max_write, (unsigned)LFS_READER_SIZE_MAX);
    conn->max_background = MAX_BACKGROUND;
    conn->congestion_threshold = MAX_BACKGROUND;
    conn->time_gran = 1;
    negotiate_data(m, conn);
    negotiate_transport(m, conn);
    m->no_opendir = lfs_caps_want(conn, FUSE_CAP_NO_OPENDIR_SUPPORT);
    (void)lfs_caps_want(conn, FUSE_CAP_READDIRPLUS);
    lfs_caps_refuse(conn, FUSE_CAP_READDIRPLUS_AUTO);
    (void)lfs_caps_want(conn, FUSE_CAP_PARALLEL_DIROPS);
    (void)lfs_caps_want(conn, FUSE_CAP_CACHE_SYMLINKS);
    (void)lfs_caps_want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA);
    lfs_caps_refuse(conn, FUSE_CAP_AUTO_INVAL_DATA);
    (void)lfs_caps_want(conn, FUSE_CAP_EXPORT_SUPPORT); /* "." and ".." are looked up, see lookup */
    if (lfs_tree_features(m->tree) & LFS_TREE_HAS_ACLS)
        (void)lfs_caps_want(conn, FUSE_CAP_POSIX_ACL);
    lfs_caps_refuse(conn, FUSE_CAP_SPLICE_READ);
    lfs_caps_no_interrupt(conn);
    log_debug(LOG_FUSE, "FUSE %u.%u: %s, requests up to %u bytes", conn->proto_major,
        conn->proto_minor, lfs_data_mode_name(m->data_mode), conn->max_write);
}
