/* SPDX-License-Identifier: Apache-2.0 */
/* /run/layerfs, or $XDG_RUNTIME_DIR/layerfs: what lives only while a mount does.
 *
 *     <id>/stats    the shared counters
 *     <id>/lower    the FUSE mount below an overlay
 *     <id>/store    a link to the store that holds the mount's record, so that umount and stats
 *                   find a mount of any store */
#ifndef TOOLS_RUNTIME_DIR_H
#define TOOLS_RUNTIME_DIR_H

#include "layerfs/store/store.h"

/* The directory, made with mode 0700 when missing; one that others own or can write is refused.
 * *ret_path is to be freed. */
int runtime_dir_open(char **ret_path, struct report *r);

/* Makes <id>/ with its link. *ret_path: "…/<id>", to be freed. */
int runtime_dir_add(const char *id, const char *store_path, char **ret_path, struct report *r);

/* Removes <id>/ and what is in it; a mount in it makes it stay. path as runtime_dir_add() gave. */
void runtime_dir_remove(const char *path);

/* Calls each() with the store of every entry until it returns other than 0, which is returned. */
int runtime_dir_each_store(int (*each)(void *userdata, const char *store_path), void *userdata);

/* Removes the directories of this store's mounts that have no record: exists() tells. */
void runtime_dir_sweep(const char *store_path, struct lfs_store *store,
    bool (*exists)(struct lfs_store *store, const char *id));

#endif
