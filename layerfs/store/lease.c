/* SPDX-License-Identifier: Apache-2.0 */
/* Leases and holds.
 *
 * A lease's file is text, one line a thing: "blob sha256:…", "layer sha256:…", "image sha256:…"
 * (trees by the digest of their key). Lines are appended under a hold.
 *
 * Two locks make the hold. flock(2) lets readers in while a writer waits, so that a stream of short
 * holds could keep gc out for ever: whoever wants either passes a gate first, at which gc waits
 * with the gate closed behind it. */
#include "layerfs/store/lease.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>

#include "layerfs/store/image.h"
#include "oci/util/io.h"
#include "oci/util/log.h"

enum { LEASE_MAX = 4 << 20 /* bytes */ };

static const char gate_name[] = "gc-gate", lock_name[] = "gc";

/* ------------------------------------------------------------------------------------------------
 * Holds
 */

static bool cannot_write(int err)
{
    return err == -EROFS || err == -EACCES || err == -EPERM;
}

int lfs_gc_hold(struct lfs_store *store, int *ret_fd, struct report *r)
{
    _cleanup_(fd_closep) int gate = -1;
    int err = lfs_store_is_read_only(store) ? -EROFS
                                            : lfs_store_lock_shared(store, gate_name, &gate, NULL);

    if (err == 0)
        err = lfs_store_lock_shared(store, lock_name, ret_fd, NULL);
    if (cannot_write(err))
        return 0;
    return err < 0 ? report_errno(r, err, "lock %s", lock_name) : 0;
}

int lfs_gc_exclude(struct lfs_store *store, int *ret_fd, struct report *r)
{
    _cleanup_(fd_closep) int gate = -1;
    int err = lfs_store_lock(store, gate_name, &gate, r);

    return err < 0 ? err : lfs_store_lock(store, lock_name, ret_fd, r);
}

/* ------------------------------------------------------------------------------------------------
 * Leases
 */

struct lfs_lease {
    struct lfs_store *store;
    int fd; /* locked; -1 where the store cannot be written */
    char name[24];
};

/* Locked before it has a name, so that whoever sees it can ask whether it lives. */
static int create(struct lfs_lease *lease)
{
    _cleanup_(io_tmp_deinit) struct io_tmp tmp = IO_TMP_INIT;
    _cleanup_(fd_closep) int fd = -1;
    int err = io_tmp_open(lfs_store_dirfd(lease->store, LFS_DIR_TMP), 0644, &tmp);
    uint64_t value;

    if (err < 0)
        return err;
    if (flock(tmp.fd, LOCK_EX | LOCK_NB) < 0 || getrandom(&value, sizeof(value), 0) < 0)
        return neg_errno();
    fd = fcntl(tmp.fd, F_DUPFD_CLOEXEC, 3); /* the lock stays with the copy */
    if (fd < 0)
        return neg_errno();
    (void)snprintf(lease->name, sizeof(lease->name), "%016llx", (unsigned long long)value);
    err = io_tmp_publish(&tmp, lfs_store_dirfd(lease->store, LFS_DIR_LEASES), lease->name, 0);
    if (err == 0)
        lease->fd = TAKE_FD(fd);
    return err;
}

int lfs_lease_new(struct lfs_store *store, struct lfs_lease **ret_lease, struct report *r)
{
    _cleanup_(lfs_lease_freep) struct lfs_lease *lease = malloc(sizeof(*lease));
    bool writable = !lfs_store_is_read_only(store);
    int err;

    if (!lease)
        return -ENOMEM;
    *lease = (struct lfs_lease){.store = store, .fd = -1};
    err = writable ? create(lease) : 0;
    if (err < 0 && !cannot_write(err))
        return report_errno(r, err, "lease");
    *ret_lease = TAKE_PTR(lease);
    return 0;
}

struct lfs_lease *lfs_lease_free(struct lfs_lease *lease)
{
    if (lease && lease->fd >= 0) {
        (void)unlinkat(lfs_store_dirfd(lease->store, LFS_DIR_LEASES), lease->name, 0);
        lease->fd = fd_close(lease->fd);
    }
    free(lease);
    return NULL;
}

static int append_line(struct buf *b, const char *kind, const struct oci_digest *digest)
{
    char text[OCI_DIGEST_STR_MAX];

    return buf_printf(b, "%s %s\n", kind, oci_digest_format(digest, text));
}

static int append_tree(struct buf *b, const char *kind, const struct oci_digest *id)
{
    struct oci_digest key;
    int err = lfs_store_key_digest(id, &key);

    return err < 0 ? err : append_line(b, kind, &key);
}

static int append_image(struct buf *b, const struct lfs_image *image)
{
    int err = append_line(b, "blob", &image->descriptor.digest);

    if (err == 0)
        err = append_line(b, "blob", &image->manifest->config.digest);
    if (err == 0)
        err = append_tree(b, "image", &image->chain_id);
    for (size_t i = 0; err == 0 && i < image->manifest->layer_count; i++)
        err = append_line(b, "blob", &image->manifest->layers[i].digest);
    for (size_t i = 0; err == 0 && i < image->config->diff_id_count; i++)
        err = append_tree(b, "layer", &image->config->diff_ids[i]);
    return err;
}

/* Appends lines, under a hold of the caller's (held) or its own. */
static int write_lines(
    struct lfs_lease *lease, const struct buf *lines, bool held, struct report *r)
{
    _cleanup_(fd_closep) int hold = -1;
    int err = held ? 0 : lfs_gc_hold(lease->store, &hold, r);

    if (err < 0 || lease->fd < 0)
        return err;
    err = io_write_full(lease->fd, lines->data, lines->size);
    return err < 0 ? report_errno(r, err, "lease") : 0;
}

int lfs_lease_add_blob(struct lfs_lease *lease, const struct oci_digest *digest, struct report *r)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    int err = append_line(&b, "blob", digest);

    return err < 0 ? err : write_lines(lease, &b, false, r);
}

int lfs_lease_add_layer(struct lfs_lease *lease, const struct oci_digest *diff_id, struct report *r)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    int err = append_tree(&b, "layer", diff_id);

    return err < 0 ? err : write_lines(lease, &b, false, r);
}

int lfs_lease_add_image(struct lfs_lease *lease, const struct lfs_image *image, struct report *r)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    int err = append_image(&b, image);

    return err < 0 ? err : write_lines(lease, &b, false, r);
}

int lfs_lease_image(struct lfs_store *store, const struct lfs_image *image, bool held,
    struct lfs_lease **ret_lease, struct report *r)
{
    _cleanup_(lfs_lease_freep) struct lfs_lease *lease = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};
    int err = lfs_lease_new(store, &lease, r);

    if (err == 0)
        err = append_image(&b, image);
    if (err == 0)
        err = write_lines(lease, &b, held, r);
    if (err == 0)
        *ret_lease = TAKE_PTR(lease);
    return err;
}

/* ------------------------------------------------------------------------------------------------
 * Reading
 */

static int parse_line(const char *line, lfs_lease_fn each, void *userdata)
{
    static const char *const kinds[] = {
        [LFS_LEASE_BLOB] = "blob ", [LFS_LEASE_LAYER] = "layer ", [LFS_LEASE_IMAGE] = "image "};
    struct oci_digest digest;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        size_t size = strlen(kinds[i]);

        if (strncmp(line, kinds[i], size) == 0 && oci_digest_parse(line + size, &digest) == 0)
            return each(userdata, (enum lfs_lease_kind)i, &digest);
    }
    return 0;
}

static int parse_lease(struct buf *b, lfs_lease_fn each, void *userdata)
{
    char *at = (char *)b->data, *end;
    int err = 0;

    for (; err == 0 && at && (end = strchr(at, '\n')); at = end + 1) {
        *end = '\0';
        err = parse_line(at, each, userdata);
    }
    return err;
}

/* Asking takes a lock for a moment: nobody else takes one on this file. */
static bool is_live(int fd)
{
    if (flock(fd, LOCK_SH | LOCK_NB) < 0)
        return true;
    (void)flock(fd, LOCK_UN);
    return false;
}

static int read_lease(
    struct lfs_store *store, const char *name, lfs_lease_fn each, void *userdata, struct report *r)
{
    _cleanup_(fd_closep) int fd = openat(lfs_store_dirfd(store, LFS_DIR_LEASES), name,
        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    _cleanup_(buf_deinit) struct buf b = {0};
    int err;

    if (fd < 0)
        return errno == ENOENT ? 0 : report_errno(r, neg_errno(), "lease %s", name);
    if (!is_live(fd))
        return 0;
    err = io_read_fd(fd, LEASE_MAX, &b);
    if (err == 0)
        err = parse_lease(&b, each, userdata);
    return err < 0 ? report_errno(r, err, "lease %s", name) : 0;
}

int lfs_lease_each(struct lfs_store *store, lfs_lease_fn each, void *userdata, struct report *r)
{
    int leases = lfs_store_dirfd(store, LFS_DIR_LEASES), err = 0, fd;
    DIR *dir;

    if (leases < 0)
        return 0;
    fd = openat(leases, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        err = report_errno(r, neg_errno(), "leases");
        (void)fd_close(fd);
        return err;
    }
    for (struct dirent *e = readdir(dir); e && err == 0; e = readdir(dir))
        if (e->d_name[0] != '.')
            err = read_lease(store, e->d_name, each, userdata, r);
    (void)closedir(dir);
    return err;
}
