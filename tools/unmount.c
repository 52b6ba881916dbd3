/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a mount down.
 *
 * The upper mount goes first and must not be in use; the hidden one below it then has no user but
 * those of another mount namespace, so it is detached. The daemon ends by itself when the kernel
 * tells it that the last user is gone. */
#include "tools/unmount.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "oci/util/io.h"
#include "tools/find_mount.h"
#include "tools/mountinfo.h"

extern char **environ;

static int fail_busy(const char *path, struct report *r)
{
    return report_fail(r, -EBUSY,
        "%s is busy, nothing was unmounted (`fuser -m` tells who uses it; --lazy detaches it all "
        "the same)",
        path);
}

static int spawn_fusermount(const char *path, bool lazy, int stderr_fd, pid_t *ret_pid)
{
    char name[] = "fusermount3", unmount_flag[] = "-u", lazy_flag[] = "-z", end[] = "--";
    _cleanup_(freep) char *copy = strdup(path);
    char *argv[] = {
        name, unmount_flag, lazy ? lazy_flag : end, lazy ? end : copy, lazy ? copy : NULL, NULL};
    posix_spawn_file_actions_t actions;
    int r;

    if (!copy || posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    r = -posix_spawn_file_actions_adddup2(&actions, stderr_fd, STDERR_FILENO);
    if (r == 0)
        r = -posix_spawnp(ret_pid, name, &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* A normal user's way; what the helper says becomes the text. */
static int unmount_as_user(const char *path, bool lazy, struct report *r)
{
    _cleanup_(fd_closep) int read_fd = -1, write_fd = -1;
    char text[512];
    int fds[2], status, err;
    ssize_t n;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return report_errno(r, neg_errno(), "pipe");
    read_fd = fds[0];
    write_fd = fds[1];
    err = spawn_fusermount(path, lazy, write_fd, &pid);
    if (err < 0)
        return report_errno(r, err, "fusermount3");
    write_fd = fd_close(write_fd);
    n = io_read_full(read_fd, text, sizeof(text) - 1);
    if (waitpid(pid, &status, 0) < 0)
        return report_errno(r, neg_errno(), "fusermount3");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    text[MAX(n, (ssize_t)0)] = '\0';
    if (strstr(text, "busy"))
        return fail_busy(path, r);
    text[strcspn(text, "\n")] = '\0';
    return report_fail(r, -EPERM, "%s", text[0] ? text : "fusermount3 failed");
}

static int unmount_one(const char *path, bool lazy, struct report *r)
{
    if (geteuid() != 0)
        return unmount_as_user(path, lazy, r);
    if (umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
        return 0;
    if (errno == EBUSY)
        return fail_busy(path, r);
    return report_errno(r, neg_errno(), "%s", path);
}

static int wait_for_daemon(struct found_mount *found, unsigned timeout_ms, struct report *r)
{
    const struct lfs_mount_record *record = &found->list.records[found->index];
    int err = lfs_mount_record_wait_gone(found->store, record->id, timeout_ms);

    if (err == -ETIMEDOUT)
        return report_fail(r, err,
            "unmounted, but its daemon (process %lld) still serves a user of it, such as another "
            "mount namespace",
            (long long)record->pid);
    return err;
}

static int unmount_recorded(
    struct found_mount *found, const struct unmount_options *options, struct report *r)
{
    const struct lfs_mount_record *record = &found->list.records[found->index];
    bool alive = found->list.alive[found->index];
    int err = 0;

    if (mount_is_present(record))
        err = unmount_one(record->mountpoint, options->lazy, r);
    else if (alive && !record->upper)
        err = report_fail(r, -ENOENT,
            "%s is mounted in another mount namespace, or another mount lies on it",
            record->mountpoint);
    if (err == 0 && record->upper)
        (void)umount2(record->fuse_mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
    if (err == 0 && alive && !options->lazy)
        err = wait_for_daemon(found, options->timeout_ms, r);
    if (err == 0 && (!alive || !options->lazy)) /* a daemon that was killed left them */
        mount_remove_traces(found->store, record);
    return err;
}

/* A mount whose record is lost is still one that can be taken down. */
static int unmount_unrecorded(
    const char *path, const struct unmount_options *options, struct report *r)
{
    struct mountinfo m;
    bool ours;

    if (mountinfo_find(path, &m) < 0)
        return -ENOENT; /* the text is there */
    ours = strcmp(m.type, "fuse.layerfs") == 0;
    mountinfo_deinit(&m);
    return ours ? unmount_one(path, options->lazy, r) : -ENOENT;
}

int unmount(struct tool *tool, const char *path, const struct unmount_options *options)
{
    _cleanup_(found_mount_deinit) struct found_mount found = {0};
    _cleanup_(freep) char *mountpoint = NULL;
    int r = mountpoint_resolve(path, &mountpoint, &tool->report);

    if (r < 0)
        return r;
    r = mount_find(tool, mountpoint, &found);
    if (r == -ENOENT)
        return unmount_unrecorded(mountpoint, options, &tool->report);
    return r < 0 ? r : unmount_recorded(&found, options, &tool->report);
}
