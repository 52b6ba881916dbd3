/* SPDX-License-Identifier: Apache-2.0 */
/* The FUSE handlers of an image mount: each is parse, one call of the core, one reply.
 *
 * Stateless: a node id is the tree's inode number, its generation 0, and FORGET does nothing. */
#include <linux/fuse.h>
#include <linux/limits.h>
#include <string.h>

#include "layerfs/fuse/attr.h"
#include "layerfs/fuse/flight.h"
#include "layerfs/fuse/ops.h"
#include "layerfs/fuse/read_path.h"

/* A request touches a few pages of the tree. Unmapping them now and then costs next to nothing and
 * keeps the process small, however many files it has shown. */
static void trim_sometimes(struct lfs_mount *m)
{
    enum { INTERVAL = 64 }; /* requests */
    uint64_t before = atomic_fetch_add_explicit(&m->requests, 1, memory_order_relaxed);

    if (before % INTERVAL == INTERVAL - 1)
        lfs_tree_trim(m->tree);
}

struct lfs_mount *lfs_begin(fuse_req_t req, unsigned opcode)
{
    struct lfs_mount *m = fuse_req_userdata(req);

    trim_sometimes(m);
    lfs_flight_begin(m->stats, opcode);
    if (!lfs_request_is_uring(req))
        return m;
    atomic_fetch_add_explicit(&m->stats->requests[opcode], 1, memory_order_relaxed);
    if (atomic_load_explicit(&m->stats->transport, memory_order_relaxed) != LFS_TRANSPORT_URING)
        atomic_store_explicit(
            &m->stats->transport, LFS_TRANSPORT_URING, memory_order_relaxed); /* the truth */
    return m;
}

void lfs_reply_error(struct lfs_mount *m, fuse_req_t req, int error)
{
    switch (-error) {
    case 0:
    case ENOENT:
    case ENODATA:
    case ENOSYS:
    case ERANGE:
        break;
    default:
        lfs_stats_add(m->stats, LFS_COUNT_ERRORS, 1);
    }
    (void)fuse_reply_err(req, -error);
    lfs_flight_end();
}

void lfs_reply_data(fuse_req_t req, const void *data, size_t size)
{
    (void)fuse_reply_buf(req, data, size);
    lfs_flight_end();
}

int lfs_reply_open(fuse_req_t req, const struct fuse_file_info *fi)
{
    int r = fuse_reply_open(req, fi);

    lfs_flight_end();
    return r;
}

int lfs_reply_buffer_take(
    struct lfs_mount *m, fuse_req_t req, size_t size, struct lfs_reply_buffer *ret_buffer)
{
    struct lfs_reply_buffer buffer = {.pool = NULL};
    size_t room;

    if (lfs_request_payload(req, &buffer.data, &room)) {
        if (room < size)
            return -EINVAL;
        *ret_buffer = buffer;
        return 0;
    }
    buffer.pool =
        size <= m->small_buffers.stats.object_size ? &m->small_buffers : &m->large_buffers;
    if (size > buffer.pool->stats.object_size)
        return -EINVAL;
    buffer.data = pool_take(buffer.pool);
    if (!buffer.data)
        return -ENOMEM;
    *ret_buffer = buffer;
    return 0;
}

void lfs_reply_buffer_give(struct lfs_reply_buffer *buffer)
{
    if (buffer->pool)
        pool_give(buffer->pool, buffer->data);
}

static int find_name(const struct lfs_tree *tree, const struct lfs_inode *dir, const char *name,
    struct lfs_inode *ret_inode)
{
    struct lfs_dirent entry;
    int r;

    /* Only who opens by file handle asks for these. */
    if (strcmp(name, ".") == 0) {
        *ret_inode = *dir;
        return 0;
    }
    if (strcmp(name, "..") == 0)
        return S_ISDIR(dir->mode) ? lfs_tree_inode(tree, dir->parent, ret_inode) : -ENOTDIR;
    r = lfs_tree_lookup(tree, dir, name, strlen(name), &entry);
    return r < 0 ? r : lfs_tree_inode(tree, entry.inode, ret_inode);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct lfs_mount *m = lfs_begin(req, FUSE_LOOKUP);
    struct fuse_entry_out entry;
    struct lfs_inode dir, inode;
    int r = lfs_tree_inode(m->tree, parent, &dir);

    if (r == 0)
        r = find_name(m->tree, &dir, name, &inode);
    if (r < 0 && r != -ENOENT) {
        lfs_reply_error(m, req, r);
        return;
    }
    lfs_entry_fill(r == 0 ? &inode : NULL, &entry);
    lfs_reply_data(req, &entry, sizeof(entry));
}

static void op_forget(fuse_req_t req, fuse_ino_t ino _unused_, uint64_t nlookup _unused_)
{
    (void)lfs_begin(req, FUSE_FORGET);
    fuse_reply_none(req);
    lfs_flight_end();
}

static void op_forget_multi(
    fuse_req_t req, size_t count _unused_, struct fuse_forget_data *forgets _unused_)
{
    (void)lfs_begin(req, FUSE_BATCH_FORGET);
    fuse_reply_none(req);
    lfs_flight_end();
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi _unused_)
{
    struct lfs_mount *m = lfs_begin(req, FUSE_GETATTR);
    struct fuse_attr_out out = {.attr_valid = LFS_ATTR_VALID};
    struct lfs_inode inode;
    int r = lfs_tree_inode(m->tree, ino, &inode);

    if (r < 0) {
        lfs_reply_error(m, req, r);
        return;
    }
    lfs_attr_fill(&inode, &out.attr);
    lfs_reply_data(req, &out, sizeof(out));
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct lfs_mount *m = lfs_begin(req, FUSE_READLINK);
    struct lfs_inode inode;
    const char *target;
    int r = lfs_tree_inode(m->tree, ino, &inode);

    if (r == 0 && !S_ISLNK(inode.mode))
        r = -EINVAL;
    if (r == 0)
        r = lfs_tree_bytes(m->tree, &inode, &target);
    if (r < 0)
        lfs_reply_error(m, req, r);
    else
        lfs_reply_data(req, target, inode.size);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct lfs_mount *m = lfs_begin(req, FUSE_OPEN);
    struct lfs_inode inode;
    int r = m->no_open ? -ENOSYS : lfs_tree_inode(m->tree, ino, &inode);

    if (r == 0 && (fi->flags & O_ACCMODE) != O_RDONLY)
        r = -EROFS;
    if (r < 0) {
        lfs_reply_error(m, req, r);
    } else if (m->passthrough && inode.data_kind == LFS_DATA_OBJECT) {
        lfs_passthrough_open(m, req, &inode);
    } else {
        fi->fh = LFS_HANDLE_CACHED;
        fi->keep_cache = 1;
        fi->noflush = 1;
        (void)lfs_reply_open(req, fi);
    }
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct lfs_mount *m = lfs_begin(req, FUSE_RELEASE);

    lfs_passthrough_release(m, ino, fi->fh);
    lfs_reply_error(m, req, 0);
}

static void op_read(
    fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi _unused_)
{
    struct lfs_mount *m = lfs_begin(req, FUSE_READ);
    struct lfs_inode inode;
    int r = lfs_tree_inode(m->tree, ino, &inode);

    if (r == 0 && (!S_ISREG(inode.mode) || offset < 0))
        r = -EINVAL;
    if (r < 0)
        lfs_reply_error(m, req, r);
    else
        lfs_read(m, req, &inode, (uint64_t)offset, size);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino _unused_, struct fuse_file_info *fi)
{
    struct lfs_mount *m = lfs_begin(req, FUSE_OPENDIR);

    if (m->no_opendir) { /* which also means that listings are kept */
        lfs_reply_error(m, req, -ENOSYS);
        return;
    }
    fi->cache_readdir = 1;
    fi->keep_cache = 1;
    (void)lfs_reply_open(req, fi);
}

static void op_releasedir(
    fuse_req_t req, fuse_ino_t ino _unused_, struct fuse_file_info *fi _unused_)
{
    lfs_reply_error(lfs_begin(req, FUSE_RELEASEDIR), req, 0);
}

static void list(
    struct lfs_mount *m, fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
    struct lfs_reply_buffer buffer;
    struct lfs_inode dir;
    ssize_t n = lfs_tree_inode(m->tree, ino, &dir);

    size = MIN(size, (size_t)LFS_READER_SIZE_MAX); /* a short listing is no end */
    if (n == 0 && !S_ISDIR(dir.mode))
        n = -ENOTDIR;
    if (n == 0)
        n = lfs_reply_buffer_take(m, req, size, &buffer);
    if (n < 0) {
        lfs_reply_error(m, req, (int)n);
        return;
    }
    n = lfs_readdir_fill(m->tree, &dir, (uint64_t)offset, plus, buffer.data, size);
    if (n < 0)
        lfs_reply_error(m, req, (int)n);
    else
        lfs_reply_data(req, buffer.data, (size_t)n);
    lfs_reply_buffer_give(&buffer);
}

static void op_readdir(
    fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi _unused_)
{
    list(lfs_begin(req, FUSE_READDIR), req, ino, size, offset, false);
}

static void op_readdirplus(
    fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi _unused_)
{
    list(lfs_begin(req, FUSE_READDIRPLUS), req, ino, size, offset, true);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino _unused_)
{
    struct lfs_mount *m = lfs_begin(req, FUSE_STATFS);
    struct statvfs st = {
        .f_bsize = LFS_BLOCK_SIZE,
        .f_frsize = LFS_BLOCK_SIZE,
        .f_blocks = (m->file_bytes + LFS_BLOCK_SIZE - 1) / LFS_BLOCK_SIZE,
        .f_files = lfs_tree_inode_count(m->tree) - 1, /* record 0 is none */
        .f_namemax = 255,
    };

    (void)fuse_reply_statfs(req, &st);
    lfs_flight_end();
}

/* Replies with a value as the xattr calls want it: size 0 asks for the length. */
static void reply_value(
    struct lfs_mount *m, fuse_req_t req, const void *value, size_t value_size, size_t size)
{
    if (size == 0) {
        (void)fuse_reply_xattr(req, value_size);
        lfs_flight_end();
    } else if (size < value_size) {
        lfs_reply_error(m, req, -ERANGE);
    } else {
        lfs_reply_data(req, value, value_size);
    }
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct lfs_mount *m = lfs_begin(req, FUSE_GETXATTR);
    struct lfs_inode inode;
    struct lfs_xattr xattr;
    int r = m->has_xattrs ? lfs_tree_inode(m->tree, ino, &inode) : -ENOSYS;

    if (r == 0)
        r = lfs_tree_xattr_get(m->tree, &inode, name, &xattr);
    if (r < 0)
        lfs_reply_error(m, req, r);
    else
        reply_value(m, req, xattr.value, xattr.value_size, size);
}

/* As other file systems do, names in "trusted." are shown to root only. */
static bool is_shown(const struct lfs_xattr *xattr, bool root)
{
    static const char prefix[] = "trusted.";
    const size_t size = sizeof(prefix) - 1;

    return root || xattr->name_size < size || memcmp(xattr->name, prefix, size) != 0;
}

/* Puts the names into b, or only counts their bytes when b is NULL. */
static ssize_t list_names(
    const struct lfs_tree *tree, const struct lfs_inode *inode, bool root, char *b, size_t room)
{
    struct lfs_xattr xattr;
    uint64_t cursor = 0;
    size_t used = 0;
    int r;

    while ((r = lfs_tree_xattr_next(tree, inode, &cursor, &xattr)) > 0) {
        if (!is_shown(&xattr, root))
            continue;
        if (b && xattr.name_size + 1 > room - used)
            return -ERANGE;
        if (b) {
            memcpy(b + used, xattr.name, xattr.name_size);
            b[used + xattr.name_size] = '\0';
        }
        used += xattr.name_size + 1;
    }
    return r < 0 ? r : (ssize_t)used;
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    struct lfs_mount *m = lfs_begin(req, FUSE_LISTXATTR);
    struct lfs_reply_buffer buffer = {.pool = NULL};
    struct lfs_inode inode;
    ssize_t n = m->has_xattrs ? lfs_tree_inode(m->tree, ino, &inode) : -ENOSYS;

    size = MIN(size, (size_t)XATTR_LIST_MAX);
    if (n == 0 && size > 0)
        n = lfs_reply_buffer_take(m, req, size, &buffer);
    if (n == 0)
        n = list_names(
            m->tree, &inode, fuse_req_ctx(req)->uid == 0, size > 0 ? buffer.data : NULL, size);
    if (n < 0)
        lfs_reply_error(m, req, (int)n);
    else
        reply_value(m, req, buffer.data, (size_t)n, size);
    lfs_reply_buffer_give(&buffer);
}

const struct fuse_lowlevel_ops lfs_image_ops = {
    .init = lfs_mount_negotiate,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .readlink = op_readlink,
    .open = op_open,
    .release = op_release,
    .read = op_read,
    .opendir = op_opendir,
    .releasedir = op_releasedir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .statfs = op_statfs,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
};
