/* SPDX-License-Identifier: Apache-2.0 */
/* Records of live mounts, mounts/<id>.json: what gc must keep, and how umount and stats find a
 * mount.
 *
 * The daemon holds an exclusive OFD lock on its record while it lives, so a record that can be
 * locked is of a dead daemon, whatever its pid is now. */
#ifndef LAYERFS_STORE_MOUNTS_H
#define LAYERFS_STORE_MOUNTS_H

#include "layerfs/store/store.h"

struct lfs_mount_record {
    char *id;              /* file name without .json */
    char *mountpoint;      /* absolute, what the user asked for */
    char *fuse_mountpoint; /* where the FUSE mount is: mountpoint, or the hidden one below an
                              overlay */
    char *image;           /* as the user named it */
    struct oci_digest manifest, chain_id;
    char *upper, *work; /* kernel overlayfs above; NULL without */
    char *stats_path;   /* absolute, the shared counters */
    char *data_mode, *transport;
    int64_t pid;
    int64_t started; /* seconds since the epoch */
};

void lfs_mount_record_deinit(struct lfs_mount_record *record);

/* Writes a new record and locks it. *ret_fd holds the lock; closing it (or dying) gives it up. */
int lfs_mount_record_create(
    struct lfs_store *store, struct lfs_mount_record *record, int *ret_fd, struct report *r);
/* Rewrites it in place; id and lock stay. */
int lfs_mount_record_update(
    struct lfs_store *store, const struct lfs_mount_record *record, int fd, struct report *r);
void lfs_mount_record_remove(struct lfs_store *store, const char *id);

/* All records; broken ones are skipped. *ret_alive tells for each whether its daemon lives. */
struct lfs_mount_list {
    struct lfs_mount_record *records;
    bool *alive;
    size_t count;
    size_t unreadable; /* records of living daemons that cannot be read: gc must not run then */
};
void lfs_mount_list_deinit(struct lfs_mount_list *list);
int lfs_mount_list_load(struct lfs_store *store, struct lfs_mount_list *ret_list, struct report *r);

/* The record whose mountpoint this is (newest first), by position, or -ENOENT. */
ssize_t lfs_mount_list_find(const struct lfs_mount_list *list, const char *mountpoint);

/* Waits until the daemon of a record is gone: 0, or -ETIMEDOUT. */
int lfs_mount_record_wait_gone(struct lfs_store *store, const char *id, unsigned timeout_ms);

#endif
