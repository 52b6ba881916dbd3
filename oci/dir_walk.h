/* SPDX-License-Identifier: Apache-2.0 */
/* All names of a directory tree, each directory before what is in it, sorted by name. Internal to
 * oci. */
#ifndef OCI_DIR_WALK_H
#define OCI_DIR_WALK_H

#include "oci/util/macros.h"
#include "oci/util/report.h"

struct dir_walk;

/* root_fd is borrowed. */
int dir_walk_new(int root_fd, struct dir_walk **ret_walk);
struct dir_walk *dir_walk_free(struct dir_walk *w);
DEFINE_CLEANUP(struct dir_walk *, dir_walk_free)

/* The next path: 1, 0 after the last, -errno with a text. The first is "", the root. Valid until
 * the next call. */
int dir_walk_next(struct dir_walk *w, const char **ret_path, struct report *r);

#endif
