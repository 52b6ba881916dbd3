/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a layer's pack.
 *
 * Equal contents share their bytes as far as a table of fixed size remembers them: each digest has
 * one place in it, which the next digest that falls there takes. That bounds the memory whatever
 * the layer's size, and the pack still follows from the contents alone. */
#include "layerfs/store/pack_writer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "oci/util/log.h"

enum {
    BUFFER_SIZE = 1 << 20, /* bytes */
    SEEN_COUNT = 1 << 15,  /* places, 40 bytes each */
};

struct seen {
    uint8_t sha256[32];
    uint64_t end; /* offset behind the content; 0: a free place */
};

struct lfs_pack_writer {
    struct lfs_store *store;
    struct io_tmp tmp;
    uint64_t size;   /* bytes of the pack, those in the buffer included */
    uint8_t *buffer; /* BUFFER_SIZE bytes */
    size_t fill;     /* bytes in the buffer */
    struct seen *seen;
    uint64_t shared; /* bytes that were not appended again */
};

int lfs_pack_writer_new(struct lfs_store *store, struct lfs_pack_writer **ret_writer)
{
    struct lfs_pack_writer *w = calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    w->store = store;
    w->tmp = IO_TMP_INIT;
    *ret_writer = w;
    return 0;
}

static void free_buffers(struct lfs_pack_writer *w)
{
    free(TAKE_PTR(w->buffer));
    free(TAKE_PTR(w->seen));
}

struct lfs_pack_writer *lfs_pack_writer_free(struct lfs_pack_writer *w)
{
    if (!w)
        return NULL;
    io_tmp_deinit(&w->tmp);
    free_buffers(w);
    free(w);
    return NULL;
}

static int start(struct lfs_pack_writer *w)
{
    w->buffer = malloc(BUFFER_SIZE);
    w->seen = calloc(SEEN_COUNT, sizeof(*w->seen));
    if (!w->buffer || !w->seen) {
        free_buffers(w);
        return -ENOMEM;
    }
    return io_tmp_open(lfs_store_dirfd(w->store, LFS_DIR_TMP), 0444, &w->tmp);
}

static int write_buffer(struct lfs_pack_writer *w)
{
    int err = io_write_full(w->tmp.fd, w->buffer, w->fill);

    w->fill = 0;
    return err;
}

static struct seen *seen_place(struct lfs_pack_writer *w, const uint8_t sha256[static 32])
{
    return &w->seen[((size_t)sha256[0] << 8 | sha256[1]) % SEEN_COUNT];
}

int lfs_pack_writer_append(struct lfs_pack_writer *w, const void *data, size_t size,
    const uint8_t sha256[static 32], uint64_t *ret_offset)
{
    int err = w->buffer ? 0 : start(w);
    struct seen *seen;

    if (err < 0)
        return err;
    seen = seen_place(w, sha256);
    if (seen->end > 0 && memcmp(seen->sha256, sha256, 32) == 0) {
        *ret_offset = seen->end - size;
        w->shared += size;
        return 0;
    }
    if (w->fill + size > BUFFER_SIZE)
        err = write_buffer(w);
    if (err < 0)
        return err;
    memcpy(w->buffer + w->fill, data, size); /* size is at most LFS_PACK_LIMIT */
    w->fill += size;
    *ret_offset = w->size;
    w->size += size;
    memcpy(seen->sha256, sha256, 32);
    seen->end = w->size;
    return 0;
}

int lfs_pack_writer_flush(struct lfs_pack_writer *w)
{
    int err = w->buffer ? write_buffer(w) : 0;

    free_buffers(w);
    log_debug(LOG_STORE, "pack: %" PRIu64 " bytes, %" PRIu64 " shared", w->size, w->shared);
    return err;
}

int lfs_pack_writer_publish(struct lfs_pack_writer *w, const char *key)
{
    if (w->tmp.fd < 0)
        return 0;
    return io_tmp_publish(
        &w->tmp, lfs_store_dirfd(w->store, LFS_DIR_PACKS), key, IO_PUBLISH_REPLACE);
}
