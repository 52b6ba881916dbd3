/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel overlayfs above an image mount. */
#include "tools/overlay.h"

#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "oci/util/buf.h"

void overlay_dirs_deinit(struct overlay_dirs *dirs)
{
    free(dirs->upper);
    free(dirs->work);
    *dirs = (struct overlay_dirs){0};
}

bool path_is_below(const char *path, const char *dir)
{
    size_t size = strlen(dir);

    if (size == 1) /* "/" */
        return true;
    return strncmp(path, dir, size) == 0 && (path[size] == '\0' || path[size] == '/');
}

static int resolve_dir(
    const char *what, const char *path, char **ret_path, dev_t *ret_dev, struct report *r)
{
    _cleanup_(freep) char *real = realpath(path, NULL);
    struct stat st;

    if (!real || stat(real, &st) < 0)
        return report_errno(r, neg_errno(), "%s directory %s", what, path);
    if (!S_ISDIR(st.st_mode))
        return report_fail(r, -ENOTDIR, "%s %s is not a directory", what, path);
    *ret_path = TAKE_PTR(real);
    *ret_dev = st.st_dev;
    return 0;
}

static int make_work(const char *path, bool *ret_made, struct report *r)
{
    if (mkdir(path, 0700) == 0)
        *ret_made = true;
    else if (errno != EEXIST)
        return report_errno(r, neg_errno(), "work directory %s", path);
    return 0;
}

static int overlap(
    const char *a, const char *a_path, const char *b, const char *b_path, struct report *r)
{
    if (!path_is_below(a_path, b_path) && !path_is_below(b_path, a_path))
        return 0;
    return report_fail(
        r, -EINVAL, "%s %s and %s %s must not lie in one another", a, a_path, b, b_path);
}

static int check_dirs(
    const struct overlay_dirs *d, const char *mountpoint, bool same_dev, struct report *r)
{
    int err = 0;

    if (!same_dev)
        err = report_fail(r, -EXDEV,
            "work directory %s must be on the same file system as upper directory %s", d->work,
            d->upper);
    if (err == 0)
        err = overlap("upper", d->upper, "work", d->work, r);
    if (err == 0)
        err = overlap("upper", d->upper, "mountpoint", mountpoint, r);
    if (err == 0)
        err = overlap("work", d->work, "mountpoint", mountpoint, r);
    return err;
}

int overlay_dirs_resolve(const char *upper, const char *work, const char *mountpoint,
    struct overlay_dirs *ret_dirs, struct report *r)
{
    _cleanup_(overlay_dirs_deinit) struct overlay_dirs d = {0};
    _cleanup_(freep) char *work_path = NULL;
    dev_t upper_dev, work_dev;
    int err;

    if (geteuid() != 0)
        return report_fail(r, -EPERM, "--upper needs root in this version");
    err = resolve_dir("upper", upper, &d.upper, &upper_dev, r);
    if (err < 0)
        return err;
    if (asprintf(&work_path, "%s%s", work ? work : d.upper, work ? "" : ".work") < 0)
        return -ENOMEM;
    err = make_work(work_path, &d.made_work, r);
    if (err == 0)
        err = resolve_dir("work", work_path, &d.work, &work_dev, r);
    if (err == 0)
        err = check_dirs(&d, mountpoint, upper_dev == work_dev, r);
    if (err < 0) {
        if (d.made_work)
            (void)rmdir(work_path);
        return err;
    }
    *ret_dirs = d;
    d = (struct overlay_dirs){0};
    return 0;
}

/* Overlayfs splits its options at commas and lowerdir at colons; a backslash takes that meaning. */
static int append_path(struct buf *b, const char *key, const char *path)
{
    int r = buf_append_str(b, key);

    for (; r == 0 && *path; path++) {
        if (strchr(",:\\", *path))
            r = buf_append_str(b, "\\");
        if (r == 0)
            r = buf_append(b, path, 1);
    }
    return r;
}

char *overlay_format_options(const char *lower, const char *upper, const char *work)
{
    _cleanup_(buf_deinit) struct buf b = {0};

    if (append_path(&b, "lowerdir=", lower) < 0 || append_path(&b, ",upperdir=", upper) < 0 ||
        append_path(&b, ",workdir=", work) < 0)
        return NULL;
    return buf_steal_str(&b);
}

int overlay_mount(const char *source, const char *lower, const struct overlay_dirs *dirs,
    const char *mountpoint, unsigned long flags, struct report *r)
{
    _cleanup_(freep) char *options = overlay_format_options(lower, dirs->upper, dirs->work);

    if (!options)
        return report_fail(r, -ENOMEM, "out of memory");
    if (strlen(options) >= 4096) /* mount(2) would cut it off */
        return report_fail(r, -ENAMETOOLONG, "the paths of the overlay are too long together");
    if (mount(source, mountpoint, "overlay", flags, options) == 0)
        return 0;
    if (errno == EINVAL || errno == EUCLEAN)
        return report_errno(r, neg_errno(),
            "the kernel refuses an overlay with upper %s (its file system cannot hold one, or it "
            "is in use; see dmesg)",
            dirs->upper);
    return report_errno(r, neg_errno(), "mount an overlay with upper %s", dirs->upper);
}
