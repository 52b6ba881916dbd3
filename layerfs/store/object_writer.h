/* SPDX-License-Identifier: Apache-2.0 */
/* Writing object files: contents above LFS_PACK_LIMIT, named by their sha256, written once.
 *
 * New objects wait in a folder of the writer's below tmp/ until the caller has made their bytes
 * durable; only then lfs_object_writer_publish() gives them their names. */
#ifndef LAYERFS_STORE_OBJECT_WRITER_H
#define LAYERFS_STORE_OBJECT_WRITER_H

#include "layerfs/store/store.h"

struct lfs_object_writer;

/* One writer a layer; files are made behind the caller's back in batches. */
int lfs_object_writer_new(struct lfs_store *store, struct lfs_object_writer **ret_writer);

/* One content at a time: begin, any number of writes (ascending offsets; gaps are holes), end,
 * which tells the digest and deduplicates against what is there. An error is sticky and comes at
 * the latest from flush. */
int lfs_object_writer_begin(struct lfs_object_writer *w, uint64_t size);
int lfs_object_writer_write(
    struct lfs_object_writer *w, const void *data, size_t size, uint64_t offset);
int lfs_object_writer_end(struct lfs_object_writer *w, uint8_t ret_sha256[static 32]);

/* Waits until every content is written; nothing may be begun after it. Syncing is the caller's. */
int lfs_object_writer_flush(struct lfs_object_writer *w);
/* Moves the new objects to their names. After flush and a sync. */
int lfs_object_writer_publish(struct lfs_object_writer *w);
/* Removes what was not published. */
struct lfs_object_writer *lfs_object_writer_free(struct lfs_object_writer *w);
DEFINE_CLEANUP(struct lfs_object_writer *, lfs_object_writer_free)

#endif
