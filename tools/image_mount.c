/* SPDX-License-Identifier: Apache-2.0 */
/* Mounting an image. */
#include "tools/image_mount.h"

#include <string.h>

#include "tools/find_mount.h"
#include "tools/mount_daemon.h"
#include "tools/mount_serve.h"

static int fail_dead(const char *mountpoint, struct report *r)
{
    return report_fail(
        r, -ENOTCONN, "a dead mount is on %s; `layerfs umount` takes it away", mountpoint);
}

static int resolve_mountpoint(const char *mountpoint, char **ret_path, struct report *r)
{
    _cleanup_(freep) char *path = realpath(mountpoint, NULL);
    struct stat st;
    int err = path && stat(path, &st) == 0 ? 0 : neg_errno();

    if (err == -ENOTCONN)
        return fail_dead(mountpoint, r);
    if (err < 0)
        return report_errno(r, err, "mountpoint %s", mountpoint);
    if (!S_ISDIR(st.st_mode))
        return report_fail(r, -ENOTDIR, "mountpoint %s is not a directory", mountpoint);
    *ret_path = TAKE_PTR(path);
    return 0;
}

static bool is_mounted_alive(const struct lfs_mount_list *list, const char *mountpoint)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->alive[i] && strcmp(list->records[i].mountpoint, mountpoint) == 0)
            return true;
    return false;
}

/* An upper belongs to one mount, and nothing is mounted on top of a dead mount. Records of dead
 * daemons whose mounts are gone go on the way. */
static int check_records(
    struct lfs_store *store, const char *mountpoint, const char *upper, struct report *r)
{
    _cleanup_(lfs_mount_list_deinit) struct lfs_mount_list list = {0};
    int err = lfs_mount_list_load(store, &list, r);

    for (size_t i = 0; err == 0 && i < list.count; i++) {
        const struct lfs_mount_record *m = &list.records[i];

        if (!list.alive[i] && !mount_is_present(m))
            mount_remove_traces(store, m);
        else if (!list.alive[i] && strcmp(m->mountpoint, mountpoint) == 0 &&
                 !is_mounted_alive(&list, mountpoint))
            return fail_dead(mountpoint, r);
        else if (list.alive[i] && upper && m->upper && strcmp(m->upper, upper) == 0)
            return report_fail(
                r, -EBUSY, "upper %s is in use by the mount on %s", upper, m->mountpoint);
    }
    return err;
}

static int prepare_and_run(struct tool *tool, const struct mount_request *request,
    struct mount_plan *plan, struct buf *ret_message)
{
    _cleanup_(lfs_image_freep) struct lfs_image *image = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    int r = prepare_image(
        tool, plan->store, request->image, request->platform, &request->prepare, &image, &tree);

    if (r < 0)
        return r;
    plan->image = image;
    plan->tree = tree;
    return daemon_run(request->foreground, mount_serve, plan, ret_message, &tool->report);
}

/* Who asks for io_uring by name and may turn it on gets it, and is told what was changed. */
static int enable_transport(enum lfs_transport transport, struct report *report)
{
    int r;

    if (transport != LFS_TRANSPORT_URING || geteuid() != 0)
        return 0;
    r = lfs_transport_enable_uring(report);
    if (r > 0)
        fprintf(stderr, "layerfs: turned FUSE over io_uring on for this kernel "
                        "(/sys/module/fuse/parameters/enable_uring)\n");
    return MIN(r, 0);
}

int image_mount(struct tool *tool, struct lfs_store *store, const struct mount_request *request,
    struct buf *ret_message)
{
    struct mount_options *o = request->options;
    _cleanup_(freep) char *mountpoint = NULL;
    _cleanup_(overlay_dirs_deinit) struct overlay_dirs overlay = {0};
    struct mount_plan plan = {
        .store = store,
        .image_name = request->image,
        .fsname = o->fsname ? o->fsname : request->image,
        .fuse_options = mount_options_fuse(o),
        .flags = o->flags,
        .allow_other = o->allow_other,
        .data_mode = o->data_mode,
        .transport = o->transport,
        .debug = tool->debug && strstr(tool->debug, "libfuse"),
        .print_json = request->print_json,
        .no_sandbox = request->no_sandbox,
    };
    int r = plan.fuse_options ? resolve_mountpoint(request->mountpoint, &mountpoint, &tool->report)
                              : -ENOMEM;

    plan.mountpoint = mountpoint;
    if (r == 0 && o->upper)
        r = overlay_dirs_resolve(o->upper, o->work, mountpoint, &overlay, &tool->report);
    if (r < 0)
        return r;
    if (o->upper)
        plan.overlay = &overlay;
    r = check_records(store, mountpoint, overlay.upper, &tool->report);
    if (r == 0)
        r = enable_transport(o->transport, &tool->report);
    if (r == 0)
        r = prepare_and_run(tool, request, &plan, ret_message);
    if (r < 0 && overlay.made_work)
        (void)rmdir(overlay.work);
    return r;
}
