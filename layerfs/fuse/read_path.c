/* SPDX-License-Identifier: Apache-2.0 */
/* Answering READ, without ever waiting for a disk on the thread that took the request.
 *
 *     inline ─────────────────────────────────────────────────────────▶ reply
 *     pack (kept open) ───┐
 *     object, fd cached ──┴▶ preadv2(RWF_NOWAIT) ── all in memory ─────▶ reply
 *                                   └ not all ▶ reader: read ──────────▶ reply
 *     object, not cached ─────────▶ reader: open ─▶ fd cache ─▶ read ──▶ reply
 *
 * The disk is read straight into the reply's buffer where the request came over io_uring, else into
 * one of the reader's. A content that ends before the tree says it does is damaged: EIO, never
 * zeros, and never what follows it in the pack. */
#include "layerfs/fuse/read_path.h"

#include <string.h>
#include <sys/uio.h>

#include "layerfs/fuse/flight.h"
#include "oci/util/log.h"

/* A READ that waits for the disk. */
struct lfs_read {
    struct lfs_io io; /* first, so that done() finds the rest */
    struct lfs_mount *mount;
    fuse_req_t req;
    struct lfs_flight flight;
    struct lfs_fd_ref file; /* of an object; a pack is nobody's to give back */
    uint32_t digest;        /* of an object: its key in the fd cache */
    char name[LFS_OBJECT_NAME_MAX];
};

const size_t lfs_read_size = sizeof(struct lfs_read);

static int report_pack(struct report *r, int err, const uint8_t key[static 32])
{
    struct oci_digest digest = oci_digest_sha256(key);
    char hex[OCI_DIGEST_STR_MAX];

    return report_errno(r, err, "pack %s", oci_digest_hex(&digest, hex));
}

int lfs_packs_open(struct lfs_mount *m, struct report *r)
{
    uint32_t count = lfs_tree_pack_count(m->tree);

    m->packs = calloc(MAX(count, 1u), sizeof(*m->packs));
    if (!m->packs)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *key;
        int fd = lfs_tree_pack(m->tree, i, &key);

        if (fd < 0)
            return report_errno(r, fd, "pack %u of the image", i);
        fd = lfs_store_open_pack(m->store, key);
        if (fd < 0)
            return report_pack(r, fd, key);
        m->packs[m->pack_count++] = fd;
    }
    return 0;
}

void lfs_packs_close(struct lfs_mount *m)
{
    for (uint32_t i = 0; i < m->pack_count; i++)
        (void)fd_close(m->packs[i]);
    m->pack_count = 0;
    free(m->packs);
    m->packs = NULL;
}

static enum lfs_counter bytes_counter(enum lfs_data_kind kind)
{
    switch (kind) {
    case LFS_DATA_PACK:
        return LFS_COUNT_READ_PACK_BYTES;
    case LFS_DATA_OBJECT:
        return LFS_COUNT_READ_OBJECT_BYTES;
    case LFS_DATA_NONE:
    case LFS_DATA_INLINE:
        break;
    }
    return LFS_COUNT_READ_INLINE_BYTES;
}

/* The end of a READ that waited. */
static void finish(struct lfs_read *read, int error)
{
    struct lfs_mount *m = read->mount;

    lfs_flight_resume(read->flight);
    if (error < 0)
        lfs_reply_error(m, read->req, error);
    else
        lfs_reply_data(read->req, read->io.buffer, read->io.size);
    lfs_reader_return(m->reader, &read->io);
    lfs_fd_cache_put(m->fds, read->file);
    pool_give(&m->reads, read);
}

static void read_done(struct lfs_io *io, int result)
{
    struct lfs_read *read = (struct lfs_read *)io;

    if (result > 0)
        io->filled += (size_t)result;
    if (result > 0 && io->filled == io->size)
        finish(read, 0);
    else if (result > 0 || result == -EINTR || result == -EAGAIN)
        lfs_reader_submit(read->mount->reader, io);
    else
        finish(read, result < 0 ? result : -EIO); /* ends too early: damaged */
}

static void open_done(struct lfs_io *io, int result)
{
    struct lfs_read *read = (struct lfs_read *)io;
    struct lfs_mount *m = read->mount;

    if (result < 0) {
        log_debug(LOG_READ, "object %s: error %d", read->name, result);
        finish(read, result == -ENOENT ? -EIO : result);
        return;
    }
    read->file = lfs_fd_cache_insert(m->fds, read->digest, result);
    io->kind = LFS_IO_READ;
    io->fd = read->file.fd;
    io->done = read_done;
    lfs_reader_submit(m->reader, io);
}

/* What is asked for: size bytes at offset of a file in the store. */
struct extent {
    uint64_t offset;
    size_t size;
    int fd;                 /* -1: an object that is not open */
    struct lfs_fd_ref file; /* of an object that is */
    uint32_t digest;        /* of an object */
};

/* Takes a READ that cannot be answered at once; e->file goes with it. */
static void read_later(struct lfs_mount *m, fuse_req_t req, const struct extent *e)
{
    struct lfs_read *read = pool_take(&m->reads);
    const uint8_t *sha256;
    size_t room;
    int r = 0;

    lfs_stats_add(m->stats, LFS_COUNT_READ_ASYNC, 1);
    if (!read) {
        lfs_fd_cache_put(m->fds, e->file);
        lfs_reply_error(m, req, -ENOMEM);
        return;
    }
    *read = (struct lfs_read){
        .io = {.kind = LFS_IO_READ,
            .fd = e->fd,
            .size = e->size,
            .offset = e->offset,
            .done = read_done},
        .mount = m,
        .req = req,
        .flight = lfs_flight_take(),
        .file = e->file,
        .digest = e->digest,
    };
    if (lfs_request_payload(req, &read->io.buffer, &room) && room < e->size)
        r = -EINVAL;
    if (r == 0 && e->fd < 0) {
        r = lfs_tree_digest(m->tree, e->digest, &sha256);
        if (r == 0)
            lfs_store_object_name(sha256, read->name);
        read->io.kind = LFS_IO_OPEN;
        read->io.fd = lfs_store_dirfd(m->store, LFS_DIR_OBJECTS);
        read->io.name = read->name;
        read->io.done = open_done;
    }
    if (r < 0)
        finish(read, r);
    else
        lfs_reader_submit(m->reader, &read->io);
}

/* Whether all of it was in memory and has been replied. */
static bool read_at_once(struct lfs_mount *m, fuse_req_t req, const struct extent *e)
{
    struct lfs_reply_buffer buffer;
    struct iovec iov;
    ssize_t n;

    if (e->fd < 0 || lfs_reply_buffer_take(m, req, e->size, &buffer) < 0)
        return false;
    iov = (struct iovec){.iov_base = buffer.data, .iov_len = e->size};
    n = preadv2(e->fd, &iov, 1, (off_t)e->offset, RWF_NOWAIT);
    if (n == (ssize_t)e->size) {
        lfs_stats_add(m->stats, LFS_COUNT_READ_CACHED, 1);
        lfs_stats_add(m->stats, LFS_COUNT_READ_CACHED_BYTES, e->size);
        lfs_reply_data(req, buffer.data, e->size);
    }
    lfs_reply_buffer_give(&buffer);
    return n == (ssize_t)e->size;
}

static void read_extent(struct lfs_mount *m, fuse_req_t req, const struct extent *e)
{
    if (read_at_once(m, req, e))
        lfs_fd_cache_put(m->fds, e->file);
    else
        read_later(m, req, e);
}

static void read_pack(struct lfs_mount *m, fuse_req_t req, const struct lfs_inode *inode,
    uint64_t offset, size_t size)
{
    struct extent e = {.size = size, .file = LFS_FD_REF_NONE};

    if (inode->pack >= m->pack_count || inode->data_offset > INT64_MAX - inode->size) {
        lfs_reply_error(m, req, -EIO);
        return;
    }
    e.fd = m->packs[inode->pack];
    e.offset = inode->data_offset + offset;
    read_extent(m, req, &e);
}

static void read_object(struct lfs_mount *m, fuse_req_t req, const struct lfs_inode *inode,
    uint64_t offset, size_t size)
{
    struct extent e = {.offset = offset, .size = size, .digest = inode->digest};

    e.file = lfs_fd_cache_get(m->fds, inode->digest);
    e.fd = e.file.fd;
    read_extent(m, req, &e);
}

static void read_inline(struct lfs_mount *m, fuse_req_t req, const struct lfs_inode *inode,
    uint64_t offset, size_t size)
{
    const char *data;
    int r = lfs_tree_bytes(m->tree, inode, &data);

    if (r < 0)
        lfs_reply_error(m, req, r);
    else
        lfs_reply_data(req, data + offset, size);
}

void lfs_read(struct lfs_mount *m, fuse_req_t req, const struct lfs_inode *inode, uint64_t offset,
    size_t size)
{
    size = (size_t)MIN((uint64_t)size, inode->size - MIN(offset, inode->size));
    if (size == 0) {
        lfs_reply_data(req, NULL, 0);
        return;
    }
    if (size > LFS_READER_SIZE_MAX) { /* the kernel asks for no more than INIT allowed */
        lfs_reply_error(m, req, -EINVAL);
        return;
    }
    lfs_stats_add(m->stats, bytes_counter(inode->data_kind), size);
    switch (inode->data_kind) {
    case LFS_DATA_INLINE:
        read_inline(m, req, inode, offset, size);
        break;
    case LFS_DATA_PACK:
        read_pack(m, req, inode, offset, size);
        break;
    case LFS_DATA_OBJECT:
        read_object(m, req, inode, offset, size);
        break;
    case LFS_DATA_NONE:
        lfs_reply_error(m, req, -EIO);
        break;
    }
}
