/* SPDX-License-Identifier: Apache-2.0 */
/* Writable directories above images, uppers/<id>.json.
 *
 * What somebody wrote above an image means nothing without it. So the store notes which image lies
 * below each upper, and gc keeps that image while the upper is there and holds anything, mounted or
 * not. A note goes when its upper is gone. */
#ifndef LAYERFS_STORE_UPPERS_H
#define LAYERFS_STORE_UPPERS_H

#include "layerfs/store/store.h"

struct lfs_upper {
    char *path; /* absolute */
    struct oci_digest manifest, chain_id;
    uint64_t parent_inode; /* of the directory that holds it */
};

/* Notes it, in place of an earlier note on the same path. */
int lfs_upper_note(struct lfs_store *store, const char *path, const struct oci_digest *manifest,
    const struct oci_digest *chain_id, struct report *r);

enum lfs_upper_state {
    LFS_UPPER_IN_USE, /* it holds something, or cannot be looked at: its image is kept */
    LFS_UPPER_EMPTY,  /* nothing was written, or all of it removed */
    LFS_UPPER_GONE,   /* the note may go */
};
enum lfs_upper_state lfs_upper_look(const struct lfs_upper *upper);

/* Calls each() with all notes and their file names. A note that cannot be read is a failure:
 * nobody knows what it keeps. What each() returns other than 0 ends the walk and is returned. */
typedef int (*lfs_upper_fn)(void *userdata, const char *name, const struct lfs_upper *upper);
int lfs_upper_each(struct lfs_store *store, lfs_upper_fn each, void *userdata, struct report *r);

#endif
