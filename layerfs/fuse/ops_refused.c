/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers for what an image mount does not do.
 *
 * What has no meaning here answers ENOSYS, after which the kernel asks no more. What would write
 * answers EROFS: a read-only superblock lets none of it come, but `mount -o remount,rw` does.
 * libfuse would answer ENOSYS without them; they are here so that every request is counted. */
#include <linux/fuse.h>

#include "layerfs/fuse/compat.h"
#include "layerfs/fuse/ops.h"

void lfs_refuse(fuse_req_t req, unsigned opcode, int error)
{
    lfs_reply_error(lfs_begin(req, opcode), req, -error);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino _unused_, struct fuse_file_info *fi _unused_)
{
    lfs_refuse(req, FUSE_FLUSH, ENOSYS);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino _unused_, int datasync _unused_,
    struct fuse_file_info *fi _unused_)
{
    lfs_refuse(req, FUSE_FSYNC, ENOSYS);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino _unused_, int datasync _unused_,
    struct fuse_file_info *fi _unused_)
{
    lfs_refuse(req, FUSE_FSYNCDIR, ENOSYS);
}

static void op_access(fuse_req_t req, fuse_ino_t ino _unused_, int mask _unused_)
{
    lfs_refuse(req, FUSE_ACCESS, ENOSYS);
}

static void op_bmap(
    fuse_req_t req, fuse_ino_t ino _unused_, size_t blocksize _unused_, uint64_t index _unused_)
{
    lfs_refuse(req, FUSE_BMAP, ENOSYS);
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino _unused_, unsigned cmd _unused_,
    void *arg _unused_, struct fuse_file_info *fi _unused_, unsigned flags _unused_,
    const void *in _unused_, size_t in_size _unused_, size_t out_size _unused_)
{
    lfs_refuse(req, FUSE_IOCTL, ENOSYS);
}

static void op_poll(fuse_req_t req, fuse_ino_t ino _unused_, struct fuse_file_info *fi _unused_,
    struct fuse_pollhandle *handle)
{
    if (handle)
        fuse_pollhandle_destroy(handle);
    lfs_refuse(req, FUSE_POLL, ENOSYS);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino _unused_, off_t offset _unused_,
    int whence _unused_, struct fuse_file_info *fi _unused_)
{
    lfs_refuse(req, FUSE_LSEEK, ENOSYS);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino _unused_, struct stat *attr _unused_,
    int to_set _unused_, struct fuse_file_info *fi _unused_)
{
    lfs_refuse(req, FUSE_SETATTR, EROFS);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent _unused_, const char *name _unused_,
    mode_t mode _unused_, dev_t rdev _unused_)
{
    lfs_refuse(req, FUSE_MKNOD, EROFS);
}

static void op_mkdir(
    fuse_req_t req, fuse_ino_t parent _unused_, const char *name _unused_, mode_t mode _unused_)
{
    lfs_refuse(req, FUSE_MKDIR, EROFS);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent _unused_, const char *name _unused_)
{
    lfs_refuse(req, FUSE_UNLINK, EROFS);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent _unused_, const char *name _unused_)
{
    lfs_refuse(req, FUSE_RMDIR, EROFS);
}

static void op_symlink(fuse_req_t req, const char *target _unused_, fuse_ino_t parent _unused_,
    const char *name _unused_)
{
    lfs_refuse(req, FUSE_SYMLINK, EROFS);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent _unused_, const char *name _unused_,
    fuse_ino_t to_parent _unused_, const char *to_name _unused_, unsigned flags _unused_)
{
    lfs_refuse(req, FUSE_RENAME2, EROFS);
}

static void op_link(
    fuse_req_t req, fuse_ino_t ino _unused_, fuse_ino_t parent _unused_, const char *name _unused_)
{
    lfs_refuse(req, FUSE_LINK, EROFS);
}

static void op_create(fuse_req_t req, fuse_ino_t parent _unused_, const char *name _unused_,
    mode_t mode _unused_, struct fuse_file_info *fi _unused_)
{
    lfs_refuse(req, FUSE_CREATE, EROFS);
}

static void op_write(fuse_req_t req, fuse_ino_t ino _unused_, const char *data _unused_,
    size_t size _unused_, off_t offset _unused_, struct fuse_file_info *fi _unused_)
{
    lfs_refuse(req, FUSE_WRITE, EROFS);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino _unused_, const char *name _unused_,
    const char *value _unused_, size_t size _unused_, int flags _unused_)
{
    lfs_refuse(req, FUSE_SETXATTR, EROFS);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino _unused_, const char *name _unused_)
{
    lfs_refuse(req, FUSE_REMOVEXATTR, EROFS);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino _unused_, int mode _unused_,
    off_t offset _unused_, off_t size _unused_, struct fuse_file_info *fi _unused_)
{
    lfs_refuse(req, FUSE_FALLOCATE, EROFS);
}

static void op_copy_file_range(fuse_req_t req, fuse_ino_t ino _unused_, off_t offset _unused_,
    struct fuse_file_info *fi _unused_, fuse_ino_t to_ino _unused_, off_t to_offset _unused_,
    struct fuse_file_info *to_fi _unused_, size_t size _unused_, int flags _unused_)
{
    lfs_refuse(req, FUSE_COPY_FILE_RANGE, EROFS);
}

void lfs_ops_refuse(struct fuse_lowlevel_ops *ops)
{
    ops->flush = op_flush;
    ops->fsync = op_fsync;
    ops->fsyncdir = op_fsyncdir;
    ops->access = op_access;
    ops->bmap = op_bmap;
    ops->ioctl = op_ioctl;
    ops->poll = op_poll;
    ops->lseek = op_lseek;
    ops->setattr = op_setattr;
    ops->mknod = op_mknod;
    ops->mkdir = op_mkdir;
    ops->unlink = op_unlink;
    ops->rmdir = op_rmdir;
    ops->symlink = op_symlink;
    ops->rename = op_rename;
    ops->link = op_link;
    ops->create = op_create;
    ops->write = op_write;
    ops->setxattr = op_setxattr;
    ops->removexattr = op_removexattr;
    ops->fallocate = op_fallocate;
    ops->copy_file_range = op_copy_file_range;
    lfs_ops_refuse_newer(ops);
}
