/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an image mount.
 *
 *     lfs_mount_new    packs open, mounted, confined, INIT answered   (all that can be refused is known)
 *     lfs_mount_run    workers, one stat of the own root: it tells the transport, and that we answer
 *     lfs_mount_free   workers gone │ reads done │ connection closed │ session freed
 *
 * The last line is an order: a reply after the connection is closed could go to a foreign file that
 * got its fd, and libfuse's requests must not outlive its session. */
#include "layerfs/fuse/session.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "layerfs/fuse/log_capture.h"
#include "layerfs/fuse/mount_args.h"
#include "layerfs/fuse/ops.h"
#include "layerfs/fuse/read_path.h"
#include "layerfs/fuse/sandbox.h"
#include "oci/util/log.h"

enum {
    FDS_MAX = 1024, /* open objects */
    FDS_MIN = 8,
    SMALL_BUFFER = 64 << 10, /* bytes */
    BUFFERS_KEPT = 2,        /* of a size, when idle */
    REQUESTS_KEPT = 64,
    THREADS_MIN = 4,
    THREADS_MAX = 16,
    THREADS_BESIDE_URING = 2, /* FORGET and INTERRUPT still come over /dev/fuse */
    READ_AHEAD_KB = 1024,
    PREFETCH_MAX = 16 << 20, /* bytes of a tree that is read ahead as a whole */
};

/* Half of the files that may be open, after asking for as many as would do. */
static unsigned fd_capacity(const struct lfs_mount *m)
{
    const rlim_t wanted = 2 * (rlim_t)FDS_MAX + m->pack_count;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return FDS_MIN;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = MIN(wanted, limit.rlim_max);
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    return (unsigned)MAX(MIN(limit.rlim_cur / 2, (rlim_t)FDS_MAX), (rlim_t)FDS_MIN);
}

/* Buffers are bounded by the workers that use them, requests by what the kernel sends at once. */
static int make_pools(struct lfs_mount *m)
{
    int r = pool_init(&m->small_buffers, SMALL_BUFFER, BUFFERS_KEPT, UINT32_MAX);

    if (r == 0)
        r = pool_init(&m->large_buffers, LFS_READER_SIZE_MAX, BUFFERS_KEPT, UINT32_MAX);
    if (r == 0)
        r = pool_init(&m->reads, lfs_read_size, REQUESTS_KEPT, UINT32_MAX);
    if (r == 0)
        r = pool_init(&m->opens, lfs_open_size, REQUESTS_KEPT, UINT32_MAX);
    if (r < 0)
        return r;
    pool_watch(&m->small_buffers, &m->stats->pools[LFS_POOL_SMALL_BUFFERS]);
    pool_watch(&m->large_buffers, &m->stats->pools[LFS_POOL_LARGE_BUFFERS]);
    pool_watch(&m->reads, &m->stats->pools[LFS_POOL_READS]);
    pool_watch(&m->opens, &m->stats->pools[LFS_POOL_OPENS]);
    return 0;
}

static int check_wishes(const struct lfs_mount *m, struct report *r)
{
    int err = 0;

    if (m->data_mode == LFS_DATA_MODE_PASSTHROUGH)
        err = lfs_passthrough_available(r);
    if (err == 0 && m->transport == LFS_TRANSPORT_URING)
        err = lfs_uring_available(r);
    return err;
}

static int check_mountpoint(const char *path, struct report *r)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return report_errno(r, neg_errno(), "%s", path);
    if (!S_ISDIR(st.st_mode))
        return report_errno(r, -ENOTDIR, "%s", path);
    return 0;
}

static int format_arguments(
    const struct lfs_mount *m, const struct lfs_mount_options *options, struct buf *text)
{
    int r = lfs_mount_args_format(options, geteuid() == 0, text);

    if (r == 0 && m->transport != LFS_TRANSPORT_DEV && lfs_uring_available(NULL) == 0)
        r = lfs_uring_add_options(text);
    return r;
}

static int make_session(
    struct lfs_mount *m, const struct lfs_mount_options *options, struct report *r)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_lowlevel_ops ops = lfs_image_ops;
    _cleanup_(buf_deinit) struct buf text = {.data = NULL};
    char message[256];
    int err = format_arguments(m, options, &text);

    if (err == 0)
        err = buf_append(&text, "", 1);
    if (err == 0 && (fuse_opt_add_arg(&args, "layerfs") < 0 || fuse_opt_add_arg(&args, "-o") < 0 ||
                        fuse_opt_add_arg(&args, (const char *)text.data) < 0))
        err = -ENOMEM;
    if (err == 0) {
        lfs_ops_refuse(&ops);
        log_debug(LOG_FUSE, "mount options %s", (const char *)text.data);
        m->session = fuse_session_new(&args, &ops, sizeof(ops), m);
    }
    fuse_opt_free_args(&args);
    if (err == 0 && !m->session) {
        lfs_log_last(message, sizeof(message));
        err = report_fail(r, -EINVAL, "%s", message[0] ? message : "libfuse takes no session");
    }
    return err;
}

static int mount_session(struct lfs_mount *m, struct report *r)
{
    const bool privileged = geteuid() == 0;
    int saved_stderr = privileged ? -1 : lfs_stderr_begin();
    char message[256];
    int err;

    errno = 0;
    m->mounted = fuse_session_mount(m->session, m->mountpoint) == 0;
    /* Where fusermount3 mounts, errno is of starting it. */
    err = privileged ? neg_errno() : -EPERM;
    lfs_stderr_end(saved_stderr);
    if (m->mounted)
        return 0;
    lfs_log_last(message, sizeof(message));
    if (message[0])
        return report_fail(r, err, "mount on %s: %s", m->mountpoint, message);
    return report_errno(r, err, "mount on %s", m->mountpoint);
}

/* The kernel sends INIT on its own, before anything else. */
static int answer_init(struct lfs_mount *m, struct report *r)
{
    int err;

    m->report = r;
    err = lfs_loop_once(&m->loop);
    m->report = NULL;
    if (m->error < 0)
        return m->error;
    if (err <= 0)
        return report_errno(r, err < 0 ? err : -ENOTCONN, "the kernel's first request");
    return fuse_session_exited(m->session) ? report_fail(r, -EPROTO, "FUSE was not agreed on") : 0;
}

static int prepare(struct lfs_mount *m, struct report *r)
{
    int err = check_wishes(m, r);

    if (err == 0)
        err = check_mountpoint(m->mountpoint, r);
    if (err == 0)
        err = make_pools(m);
    if (err == 0)
        err = lfs_packs_open(m, r);
    if (err == 0)
        err = lfs_fd_cache_new(fd_capacity(m), m->stats, &m->fds);
    if (err == 0 && m->data_mode == LFS_DATA_MODE_PASSTHROUGH)
        err = lfs_passthrough_new(m, &m->passthrough);
    if (err == 0)
        err = lfs_tree_guard_install();
    if (err == 0 && lfs_tree_size(m->tree) <= PREFETCH_MAX)
        lfs_tree_prefetch(m->tree);
    return err;
}

static int make_reader(struct lfs_mount *m)
{
    int r = lfs_reader_new(&m->reader);

    if (r == 0)
        lfs_reader_watch(m->reader, &m->stats->pools[LFS_POOL_DISK_SMALL],
            &m->stats->pools[LFS_POOL_DISK_LARGE]);
    return r;
}

static bool store_is_foreign(const struct lfs_mount *m)
{
    struct stat st;

    return fstat(lfs_store_dirfd(m->store, LFS_DIR_OBJECTS), &st) < 0 || st.st_uid != geteuid();
}

/* From here on nothing is needed but objects, and all threads to come inherit it. */
static void confine(struct lfs_mount *m)
{
    const struct lfs_sandbox sandbox = {
        .objects_fd = lfs_store_dirfd(m->store, LFS_DIR_OBJECTS),
        .foreign_store = store_is_foreign(m),
        .backing_files = m->data_mode == LFS_DATA_MODE_PASSTHROUGH,
    };

    atomic_store(&m->stats->confined, lfs_sandbox_serve(&sandbox));
}

static int open_root(struct lfs_mount *m, struct report *r)
{
    m->root_fd = open(m->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return m->root_fd < 0 ? report_errno(r, neg_errno(), "%s", m->mountpoint) : 0;
}

static int open_mount(
    struct lfs_mount *m, const struct lfs_mount_options *options, struct report *r)
{
    int err = prepare(m, r);

    if (err < 0)
        return err;
    lfs_log_capture(options->debug);
    err = make_session(m, options, r);
    if (err == 0)
        err = lfs_loop_init(&m->loop, m->session, m->stats);
    if (err == 0)
        err = mount_session(m, r);
    if (err == 0)
        err = open_root(m, r);
    if (err == 0 && options->sandbox)
        confine(m);
    if (err == 0)
        err = make_reader(m);
    if (err == 0)
        err = answer_init(m, r);
    if (err == 0)
        atomic_store(&m->stats->data_mode, (uint32_t)m->data_mode);
    return err;
}

int lfs_mount_new(const struct lfs_tree *tree, const struct lfs_store *store,
    struct lfs_stats *stats, const struct lfs_mount_options *options, struct lfs_mount **ret_mount,
    struct report *r)
{
    _cleanup_(lfs_mount_freep) struct lfs_mount *m = calloc(1, sizeof(*m));
    int err;

    if (!m)
        return -ENOMEM;
    *m = (struct lfs_mount){
        .tree = tree,
        .store = store,
        .stats = stats,
        .data_mode = options->data_mode,
        .transport = options->transport,
        .threads = options->threads,
        .has_xattrs = lfs_tree_features(tree) & LFS_TREE_HAS_XATTRS,
        .file_bytes = lfs_tree_file_bytes(tree),
        .mountpoint = strdup(options->mountpoint),
        .root_fd = -1,
    };
    if (!m->mountpoint)
        return -ENOMEM;
    err = open_mount(m, options, r);
    if (err < 0)
        return report_is_set(r) ? err : report_errno(r, err, "mount on %s", m->mountpoint);
    *ret_mount = TAKE_PTR(m);
    return 0;
}

/* FUSE's default is 128 KiB. A failure costs speed only, so it is none. */
void lfs_mount_raise_read_ahead(const struct lfs_mount *m)
{
    char path[64], text[16];
    _cleanup_(fd_closep) int fd = -1;
    int n;

    if (m->data_mode != LFS_DATA_MODE_CACHED)
        return;
    (void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(m->device),
        minor(m->device));
    n = snprintf(text, sizeof(text), "%d\n", READ_AHEAD_KB);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, (size_t)n) != n)
        log_debug(LOG_FUSE, "%s: %s", path, strerror(errno));
}

/* The first request: it proves that we answer. It is also the first that can come over io_uring,
 * because the kernel lets none through before the rings are ready, so then the transport is known
 * (lfs_begin() notes it). */
static int prove(struct lfs_mount *m)
{
    struct stat st;

    if (fstatat(m->root_fd, "", &st, AT_EMPTY_PATH) < 0)
        return neg_errno();
    m->root_fd = fd_close(m->root_fd); /* or the mount would be in use */
    m->device = st.st_dev;
    atomic_store(&m->stats->device, minor(st.st_dev));
    if (atomic_load(&m->stats->transport) == LFS_TRANSPORT_URING)
        return 0;
    atomic_store(&m->stats->transport, LFS_TRANSPORT_DEV);
    return m->transport == LFS_TRANSPORT_URING ? -EOPNOTSUPP : 0;
}

static unsigned thread_count(const struct lfs_mount *m)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (m->uring_taken)
        return THREADS_BESIDE_URING;
    if (m->threads > 0)
        return m->threads;
    return (unsigned)MIN(MAX(2 * cores, (long)THREADS_MIN), (long)THREADS_MAX);
}

int lfs_mount_run(struct lfs_mount *m, void (*ready)(void *userdata), void *userdata)
{
    int r = lfs_loop_start(&m->loop, thread_count(m));
    int error;

    if (r < 0)
        return r;
    r = prove(m);
    if (r == 0 && ready)
        ready(userdata);
    if (r < 0)
        lfs_loop_end(&m->loop);
    error = lfs_loop_wait(&m->loop);
    return r < 0 ? r : error;
}

void lfs_mount_stop(struct lfs_mount *m)
{
    lfs_loop_end(&m->loop);
}

static void close_connection(struct lfs_mount *m)
{
    m->root_fd = fd_close(m->root_fd);
    if (m->reader)
        lfs_reader_stop(m->reader);
    lfs_passthrough_stop(m->passthrough);
    if (m->mounted)
        fuse_session_unmount(m->session);
    if (m->session) {
        fuse_session_destroy(m->session);
        lfs_loop_deinit(&m->loop);
    }
    m->session = NULL;
}

struct lfs_mount *lfs_mount_free(struct lfs_mount *m)
{
    if (!m)
        return NULL;
    close_connection(m);
    if (m->reader)
        atomic_store(
            &m->stats->counters[LFS_COUNT_BUFFERS_PEAK], lfs_reader_buffers_peak(m->reader));
    m->reader = lfs_reader_free(m->reader);
    m->passthrough = lfs_passthrough_free(m->passthrough);
    m->fds = lfs_fd_cache_free(m->fds);
    lfs_packs_close(m);
    if (m->small_buffers.stats.object_size) { /* the pools were made */
        pool_deinit(&m->small_buffers);
        pool_deinit(&m->large_buffers);
        pool_deinit(&m->reads);
        pool_deinit(&m->opens);
    }
    free(m->mountpoint);
    free(m);
    return NULL;
}

const char *lfs_fuse_features(void)
{
    static char text[96];

    (void)snprintf(text, sizeof(text), "libfuse %s%s%s", fuse_pkgversion(),
        lfs_passthrough_built() ? ", passthrough" : "", lfs_uring_built() ? ", io_uring" : "");
    return text;
}
