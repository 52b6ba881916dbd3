/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a layer's pack: the contents of its small files one after the other. */
#ifndef LAYERFS_STORE_PACK_WRITER_H
#define LAYERFS_STORE_PACK_WRITER_H

#include "layerfs/store/store.h"
#include "oci/util/io.h"

struct lfs_pack_writer;

/* Nothing is written to the store before the first append. */
int lfs_pack_writer_new(struct lfs_store *store, struct lfs_pack_writer **ret_writer);
struct lfs_pack_writer *lfs_pack_writer_free(struct lfs_pack_writer *w);
DEFINE_CLEANUP(struct lfs_pack_writer *, lfs_pack_writer_free)

/* Appends a content and tells where it is; one that was appended a while ago is not appended
 * again. The same calls make the same pack. */
int lfs_pack_writer_append(struct lfs_pack_writer *w, const void *data, size_t size,
    const uint8_t sha256[static 32], uint64_t *ret_offset);

/* Writes out what is buffered; nothing may be appended after it. Syncing is the caller's. */
int lfs_pack_writer_flush(struct lfs_pack_writer *w);

/* Gives the pack its name, in place of one that is there. An empty pack gets none. */
int lfs_pack_writer_publish(struct lfs_pack_writer *w, const char *key);

#endif
