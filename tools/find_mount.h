/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a mount by its mountpoint, in the store at hand or in any other. */
#ifndef TOOLS_FIND_MOUNT_H
#define TOOLS_FIND_MOUNT_H

#include "layerfs/store/mounts.h"
#include "tools/tool.h"

struct found_mount {
    struct lfs_store *store; /* owned: where its record is */
    struct lfs_mount_list list;
    size_t index; /* in list */
};

void found_mount_deinit(struct found_mount *found);

/* The absolute path of a mountpoint without links, also when the mount on it is dead; free() it.
 * -ENOENT, … with a text. */
int mountpoint_resolve(const char *path, char **ret_path, struct report *r);

/* True when the topmost mount on the record's mountpoint is of its kind. */
bool mount_is_present(const struct lfs_mount_record *record);

/* Removes what a dead daemon could not: runtime directory and record. */
void mount_remove_traces(struct lfs_store *store, const struct lfs_mount_record *record);

/* True when the store has a record of this id, of a live daemon or a dead one. */
bool mount_record_exists(struct lfs_store *store, const char *id);

/* Of several mounts on one mountpoint the one on top: a dead one when that does not answer, else
 * the newest that lives. Looks in the store of --store, else in the default one, then in those of
 * all of this user's mounts. -ENOENT. */
int mount_find(struct tool *tool, const char *mountpoint, struct found_mount *ret_found);

#endif
