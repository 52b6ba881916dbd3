/* SPDX-License-Identifier: Apache-2.0 */
/* Serving an image tree by FUSE. */
#ifndef LAYERFS_FUSE_MOUNT_H
#define LAYERFS_FUSE_MOUNT_H

#include "layerfs/fuse/stats.h"
#include "layerfs/store/store.h"

enum lfs_data_mode {
    LFS_DATA_MODE_AUTO,
    LFS_DATA_MODE_CACHED,      /* no OPEN requests; contents live in FUSE's page cache */
    LFS_DATA_MODE_PASSTHROUGH, /* the kernel reads objects itself; OPEN is asked each time */
};

enum lfs_transport {
    LFS_TRANSPORT_AUTO,
    LFS_TRANSPORT_URING, /* FUSE over io_uring */
    LFS_TRANSPORT_DEV,   /* /dev/fuse */
};

const char *lfs_data_mode_name(enum lfs_data_mode mode);
int lfs_data_mode_parse(const char *name, enum lfs_data_mode *ret_mode);
const char *lfs_transport_name(enum lfs_transport transport);
int lfs_transport_parse(const char *name, enum lfs_transport *ret_transport);

struct lfs_mount_options {
    const char *mountpoint;
    const char *fsname; /* source in /proc/mounts */
    const char
        *fuse_options; /* further options for the kernel and libfuse, comma-separated, or NULL */
    bool allow_other;
    enum lfs_data_mode data_mode;
    enum lfs_transport transport;
    unsigned threads; /* workers over /dev/fuse; 0: by the number of cores */
    bool debug;       /* libfuse's own debug output */
    bool sandbox;     /* confine the calling thread and those that serve, see sandbox.h */
};

struct lfs_mount;

/* Lets this kernel offer FUSE over io_uring, which needs root: 1 when it was off before, 0 when it
 * was on, -EOPNOTSUPP, -EACCES, … with a text. */
int lfs_transport_enable_uring(struct report *r);

/* Mounts: tree and store are borrowed and must outlive it; stats may be shared memory. When it
 * returns 0 the kernel has the mount, and data mode and transport are agreed on, but nobody answers
 * yet. It starts threads, so a process that forks does that before. With the sandbox it confines the
 * calling thread. -EPERM, -ENOENT, -EBUSY, … with
 * a text; -EOPNOTSUPP when a data mode or transport that was asked for by name cannot be had. */
int lfs_mount_new(const struct lfs_tree *tree, const struct lfs_store *store,
    struct lfs_stats *stats, const struct lfs_mount_options *options, struct lfs_mount **ret_mount,
    struct report *r);

/* Serves until the file system is unmounted or lfs_mount_stop() is called. ready() is called once
 * when requests are being answered (transport and data mode are then known and in the stats).
 * 0 after an unmount, -errno when the session failed. */
int lfs_mount_run(struct lfs_mount *m, void (*ready)(void *userdata), void *userdata);

/* Ends lfs_mount_run() from another thread. */
void lfs_mount_stop(struct lfs_mount *m);

/* Once it answers: longer reads ahead. Needs the right to, which the threads that serve lack. */
void lfs_mount_raise_read_ahead(const struct lfs_mount *m);

/* Unmounts if still mounted, and frees. Unmounting takes a thread that is not confined. */
struct lfs_mount *lfs_mount_free(struct lfs_mount *m);
DEFINE_CLEANUP(struct lfs_mount *, lfs_mount_free)

/* What this build can do, for --version: "libfuse 3.18.3, passthrough, io_uring". */
const char *lfs_fuse_features(void);

#endif
