/* SPDX-License-Identifier: Apache-2.0 */
/* FUSE over io_uring, where libfuse and the kernel have it.
 *
 * transport_uring.c is built with the bundled libfuse only: earlier ones do not know it, and the
 * unpatched 3.18 races on replies from other threads than the ring's. transport_none.c says no. */
#ifndef LAYERFS_FUSE_TRANSPORT_H
#define LAYERFS_FUSE_TRANSPORT_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "oci/util/buf.h"
#include "oci/util/report.h"

/* Whether this build can do it at all. */
bool lfs_uring_built(void);

/* Whether a mount may ask for it now: 0, or -EOPNOTSUPP with a text that tells what is missing. */
int lfs_uring_available(struct report *r);

/* Appends libfuse's options that ask for it (",io_uring,…"). 0 or -ENOMEM. */
int lfs_uring_add_options(struct buf *options);

/* In INIT: takes it (and sizes its buffers) or refuses it. True when taken. */
bool lfs_uring_negotiate(struct fuse_conn_info *conn, bool wanted);

/* Whether this request came over io_uring. */
bool lfs_request_is_uring(fuse_req_t req);

/* Where the reply to an io_uring request may be put without a copy; false over /dev/fuse. */
bool lfs_request_payload(fuse_req_t req, void **ret_payload, size_t *ret_size);

#endif
