/* SPDX-License-Identifier: Apache-2.0 */
/* A mount's life in the daemon.
 *
 *     main thread:   record (locked) ─ runtime directory ─ stats ─┬─ control … ─ all of it undone
 *                                                                 │
 *     server thread:                        FUSE mount ─ confined ─ serve …
 *
 *     control: ready ─ overlay ─ tell the parent ─ confined; signals; overlay gone; server ended
 *
 * Two threads, because the one that serves gives up its rights as soon as the kernel has the mount,
 * and what is left to do needs them: mounting the overlay (which asks the FUSE mount below, so
 * somebody must serve that already) and taking all down in the end. An overlay that somebody takes
 * down by umount(8) takes the FUSE mount with it: control watches the mount table. The hidden mount
 * is then only detached and not stopped, so that a container that still holds the overlay keeps its
 * files; the session ends by itself when the last user is gone. */
#include "tools/mount_serve.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>

#include "layerfs/fuse/sandbox.h"
#include "layerfs/store/mounts.h"
#include "layerfs/store/uppers.h"
#include "oci/util/log.h"
#include "tools/mountinfo.h"
#include "tools/runtime_dir.h"

struct serving {
    const struct mount_plan *plan;
    struct daemon *daemon;
    struct lfs_mount_record record;
    int record_fd;
    char *runtime; /* …/<id> */
    struct lfs_stats *stats;
    struct lfs_mount *mount;
    pthread_t server;
    int server_error; /* read after it was joined, as is the next */
    struct report server_report;
    int signal_fd, mounted_fd, ready_fd, quit_fd; /* what control waits for */
    int mountinfo_fd;                             /* the same, once there is an overlay; else -1 */
    bool mounted;                                 /* there is a mount that can be stopped */
    int overlay_id;                               /* mount id; 0: no overlay */
    int error;                                    /* of control */
    struct report *report;                        /* the same */
};

static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int fill_record(struct serving *s)
{
    const struct mount_plan *p = s->plan;
    struct lfs_mount_record *record = &s->record;
    struct timespec now;

    /* Grows with time: the newest of the mounts on one mountpoint is the one on top. */
    if (clock_gettime(CLOCK_REALTIME, &now) < 0 ||
        asprintf(&record->id, "%016llx",
            (unsigned long long)now.tv_sec * 1000000000ull + (unsigned long long)now.tv_nsec) < 0) {
        record->id = NULL;
        return -ENOMEM;
    }
    record->mountpoint = strdup(p->mountpoint);
    record->fuse_mountpoint = strdup(p->mountpoint);
    record->image = strdup(p->image_name);
    record->data_mode = strdup(lfs_data_mode_name(p->data_mode));
    record->transport = strdup(lfs_transport_name(p->transport));
    record->stats_path = strdup("");
    if (p->overlay) {
        record->upper = strdup(p->overlay->upper);
        record->work = strdup(p->overlay->work);
    }
    record->manifest = p->image->descriptor.digest;
    record->chain_id = p->image->chain_id;
    record->pid = getpid();
    record->started = now.tv_sec;
    return record->mountpoint && record->fuse_mountpoint && record->image && record->data_mode &&
                   record->transport && record->stats_path &&
                   (!p->overlay || (record->upper && record->work))
               ? 0
               : -ENOMEM;
}

static int replace(char **at, char *text)
{
    if (!text)
        return -ENOMEM;
    free(*at);
    *at = text;
    return 0;
}

/* "base/name", to be freed. */
static char *join(const char *base, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", base, name) < 0 ? NULL : path;
}

static int make_record(struct serving *s, struct report *r)
{
    int err = fill_record(s);

    if (err == 0)
        err = lfs_mount_record_create(s->plan->store, &s->record, &s->record_fd, r);
    if (err == 0 && s->plan->overlay)
        err = lfs_upper_note(
            s->plan->store, s->plan->overlay->upper, &s->record.manifest, &s->record.chain_id, r);
    if (err == 0)
        err = runtime_dir_add(s->record.id, lfs_store_path(s->plan->store), &s->runtime, r);
    if (err == 0)
        err = replace(&s->record.stats_path, join(s->runtime, "stats"));
    if (err == 0 && s->plan->overlay)
        err = replace(&s->record.fuse_mountpoint, join(s->runtime, "lower"));
    if (err == 0 && s->plan->overlay && mkdir(s->record.fuse_mountpoint, 0700) < 0)
        err = report_errno(r, neg_errno(), "%s", s->record.fuse_mountpoint);
    if (err == 0)
        err = lfs_mount_record_update(s->plan->store, &s->record, s->record_fd, r);
    if (err == 0)
        err = lfs_stats_create(s->record.stats_path, &s->stats, r);
    return err;
}

static int mount_fuse(struct serving *s, struct report *r)
{
    const struct mount_plan *p = s->plan;
    struct lfs_mount_options options = {
        .mountpoint = s->record.fuse_mountpoint,
        .fsname = p->fsname,
        .fuse_options = p->fuse_options,
        .allow_other = p->allow_other,
        .data_mode = p->data_mode,
        .transport = p->transport,
        .debug = p->debug,
        .sandbox = !p->no_sandbox,
    };

    return lfs_mount_new(p->tree, p->store, s->stats, &options, &s->mount, r);
}

static int update_record(struct serving *s)
{
    uint32_t mode = atomic_load_explicit(&s->stats->data_mode, memory_order_relaxed);
    uint32_t transport = atomic_load_explicit(&s->stats->transport, memory_order_relaxed);
    int err = replace(&s->record.data_mode, strdup(lfs_data_mode_name((enum lfs_data_mode)mode)));

    if (err == 0)
        err = replace(
            &s->record.transport, strdup(lfs_transport_name((enum lfs_transport)transport)));
    if (err == 0)
        err = lfs_mount_record_update(s->plan->store, &s->record, s->record_fd, s->report);
    return err;
}

static int mount_overlay(struct serving *s)
{
    const struct mount_plan *p = s->plan;
    struct statx stx;
    int err;

    if (!p->overlay)
        return 0;
    err = overlay_mount(p->fsname, s->record.fuse_mountpoint, p->overlay, p->mountpoint,
        p->flags & ~(unsigned long)MS_RDONLY, s->report);
    if (err < 0)
        return err;
    if (statx(AT_FDCWD, p->mountpoint, AT_NO_AUTOMOUNT, STATX_MNT_ID, &stx) == 0)
        s->overlay_id = (int)stx.stx_mnt_id;
    s->mountinfo_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    return 0;
}

static char *message(const struct serving *s)
{
    const struct lfs_mount_record *m = &s->record;
    char digest[OCI_DIGEST_STR_MAX];
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s*, s:s*, s:I}", "id", m->id,
        "mountpoint", m->mountpoint, "image", m->image, "digest",
        oci_digest_format(&m->manifest, digest), "data", m->data_mode, "transport", m->transport,
        "upper", m->upper, "work", m->work, "pid", (json_int_t)m->pid);
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;

    json_decref(json);
    return text;
}

/* The FUSE mount answers: what is left to do until the user may use it. */
static int become_ready(struct serving *s)
{
    _cleanup_(freep) char *text = NULL;
    int err;

    lfs_mount_raise_read_ahead(s->mount);
    err = mount_overlay(s);
    if (err == 0)
        err = update_record(s);
    if (err == 0 && !(text = message(s)))
        err = -ENOMEM;
    if (err < 0)
        return err;
    if (daemon_is_foreground(s->daemon) && s->plan->print_json) {
        (void)puts(text);
        (void)fflush(stdout);
    }
    if (!s->plan->no_sandbox)
        (void)lfs_sandbox_control();
    daemon_ready(s->daemon, text);
    return 0;
}

static bool overlay_is_mounted(const struct serving *s)
{
    struct mountinfo m;
    bool is;

    if (!s->overlay_id || mountinfo_find_id(s->overlay_id, &m) < 0)
        return false;
    is = strcmp(m.type, "overlay") == 0;
    mountinfo_deinit(&m);
    return is;
}

static void unmount_overlay(struct serving *s)
{
    if (overlay_is_mounted(s))
        (void)umount2(s->plan->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
    s->overlay_id = 0;
}

static void on_signal(struct serving *s)
{
    struct signalfd_siginfo info;

    if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info))
        return;
    log_debug(LOG_MOUNT, "signal %u ends the mount", info.ssi_signo);
    unmount_overlay(s);
    lfs_mount_stop(s->mount);
}

static void on_ready(struct serving *s)
{
    uint64_t count;

    if (read(s->ready_fd, &count, sizeof(count)) != sizeof(count))
        return;
    s->error = become_ready(s);
    if (s->error < 0)
        lfs_mount_stop(s->mount);
}

static void on_mount_table(struct serving *s)
{
    if (!s->overlay_id || overlay_is_mounted(s))
        return;
    log_debug(LOG_MOUNT, "the overlay is gone; detaching what is below");
    s->overlay_id = 0;
    (void)umount2(s->record.fuse_mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
}

static void on_mounted(struct serving *s)
{
    uint64_t count;

    s->mounted = read(s->mounted_fd, &count, sizeof(count)) == sizeof(count);
}

/* Until the server has ended. */
static void control(struct serving *s)
{
    for (;;) {
        struct pollfd fds[] = {
            {.fd = s->quit_fd, .events = POLLIN},
            {.fd = s->mounted_fd, .events = POLLIN},
            {.fd = s->mounted ? s->signal_fd : -1, .events = POLLIN},
            {.fd = s->ready_fd, .events = POLLIN},
            {.fd = s->mountinfo_fd, .events = POLLPRI},
        };

        if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
            continue;
        if (fds[0].revents)
            return;
        if (fds[1].revents)
            on_mounted(s);
        if (fds[2].revents)
            on_signal(s);
        if (fds[3].revents)
            on_ready(s);
        if (fds[4].revents)
            on_mount_table(s);
    }
}

static void wake(int fd)
{
    uint64_t one = 1;

    (void)!write(fd, &one, sizeof(one)); /* an eventfd at zero takes it */
}

static void ready(void *userdata)
{
    struct serving *s = userdata;

    wake(s->ready_fd);
}

static int open_events(struct serving *s)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    /* Blocked before any thread starts, so in all of them: they come by signal_fd only. */
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return -EINVAL;
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    s->mounted_fd = eventfd(0, EFD_CLOEXEC);
    s->ready_fd = eventfd(0, EFD_CLOEXEC);
    s->quit_fd = eventfd(0, EFD_CLOEXEC);
    return s->signal_fd < 0 || s->mounted_fd < 0 || s->ready_fd < 0 || s->quit_fd < 0 ? neg_errno()
                                                                                      : 0;
}

static void *server(void *userdata)
{
    struct serving *s = userdata;
    struct report *r = &s->server_report;
    int err = mount_fuse(s, r);

    if (err == 0) {
        wake(s->mounted_fd);
        err = lfs_mount_run(s->mount, ready, s);
        if (err < 0)
            (void)report_context(r, err, "serve %s", s->plan->mountpoint);
    }
    s->server_error = err;
    wake(s->quit_fd);
    return NULL;
}

static int serve(struct serving *s, struct report *r)
{
    int err = -pthread_create(&s->server, NULL, server, s);

    if (err < 0)
        return report_errno(r, err, "thread");
    control(s);
    (void)pthread_join(s->server, NULL);
    if (s->error < 0)
        return s->error;
    if (s->server_error < 0 && report_is_set(&s->server_report))
        return report_fail(r, s->server_error, "%s", s->server_report.text);
    return s->server_error;
}

/* The record goes last: who waits for it finds everything gone. */
static void tear_down(struct serving *s)
{
    unmount_overlay(s);
    s->mount = lfs_mount_free(s->mount);
    if (s->stats)
        lfs_stats_close(s->stats);
    if (s->runtime)
        runtime_dir_remove(s->runtime);
    if (s->record_fd >= 0)
        lfs_image_mark_used(s->plan->store, &s->record.manifest);
    if (s->record_fd >= 0)
        lfs_mount_record_remove(s->plan->store, s->record.id);
    (void)fd_close(s->record_fd);
    (void)fd_close(s->mountinfo_fd);
    (void)fd_close(s->signal_fd);
    (void)fd_close(s->mounted_fd);
    (void)fd_close(s->ready_fd);
    (void)fd_close(s->quit_fd);
    free(s->runtime);
    lfs_mount_record_deinit(&s->record);
}

int mount_serve(struct daemon *daemon, void *userdata, struct report *r)
{
    struct serving s = {
        .plan = userdata,
        .daemon = daemon,
        .report = r,
        .record_fd = -1,
        .signal_fd = -1,
        .mounted_fd = -1,
        .ready_fd = -1,
        .quit_fd = -1,
        .mountinfo_fd = -1,
    };
    int err;

    raise_file_limit();
    err = lfs_tree_guard_install();
    if (err == 0)
        err = open_events(&s);
    if (err == 0)
        err = make_record(&s, r);
    if (err == 0)
        err = serve(&s, r);
    tear_down(&s);
    return err;
}
