/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping gc away from what is in use but has no tag and no mount record yet.
 *
 * A lease is a file in leases/ that lists what a running command relies on: blobs, and trees with
 * all that they refer to. It is flocked while its command lives, so that one of a dead command
 * counts for nothing. What a lease names is kept whether it is there already or comes later.
 *
 * A hold is short: while anybody has one, gc removes nothing. It covers a decision and the note of
 * it ("this manifest has the tag" and the lease on it), and publishing. No lock of a layer is
 * waited for under a hold, and holds are not taken twice. docs/locking.md tells the whole protocol.
 */
#ifndef LAYERFS_STORE_LEASE_H
#define LAYERFS_STORE_LEASE_H

#include "layerfs/store/store.h"

/* *ret_fd is to be closed; -1 where the store cannot be written, so that gc cannot run either. */
int lfs_gc_hold(struct lfs_store *store, int *ret_fd, struct report *r);

/* gc's side: waits until there is no hold; none begins until the fd is closed. */
int lfs_gc_exclude(struct lfs_store *store, int *ret_fd, struct report *r);

struct lfs_image;
struct lfs_lease;

/* An empty lease. */
int lfs_lease_new(struct lfs_store *store, struct lfs_lease **ret_lease, struct report *r);
/* Gives it up. */
struct lfs_lease *lfs_lease_free(struct lfs_lease *lease);
DEFINE_CLEANUP(struct lfs_lease *, lfs_lease_free)

/* Adds one blob, or the tree of a layer (by diffID). Takes a hold. */
int lfs_lease_add_blob(struct lfs_lease *lease, const struct oci_digest *digest, struct report *r);
int lfs_lease_add_layer(
    struct lfs_lease *lease, const struct oci_digest *diff_id, struct report *r);

/* Adds all of an image. Takes a hold. */
int lfs_lease_add_image(struct lfs_lease *lease, const struct lfs_image *image, struct report *r);

/* A lease on all of an image; held: the caller has a hold. */
int lfs_lease_image(struct lfs_store *store, const struct lfs_image *image, bool held,
    struct lfs_lease **ret_lease, struct report *r);

/* What the live leases of a store name; those of dead commands are skipped. A line that is being
 * written is skipped too, unless the caller excludes it. */
enum lfs_lease_kind { LFS_LEASE_BLOB, LFS_LEASE_LAYER, LFS_LEASE_IMAGE };
typedef int (*lfs_lease_fn)(
    void *userdata, enum lfs_lease_kind kind, const struct oci_digest *digest);
int lfs_lease_each(struct lfs_store *store, lfs_lease_fn each, void *userdata, struct report *r);

#endif
