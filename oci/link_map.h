/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of several names were seen, and by which name first. Internal to oci. */
#ifndef OCI_LINK_MAP_H
#define OCI_LINK_MAP_H

#include <sys/types.h>

#include "oci/util/macros.h"

struct link_entry {
    dev_t dev;
    ino_t ino;
    char *path; /* NULL: a free place */
};

/* Zero-initialise to start. */
struct link_map {
    struct link_entry *entries; /* open addressing */
    size_t count, capacity;     /* capacity is a power of two, or 0 */
};

void link_map_deinit(struct link_map *m);

/* The path under which the file was first asked for: 1 and *ret_first (valid until deinit), or 0
 * when this is the first time; path is then remembered. -ENOMEM. */
int link_map_get(
    struct link_map *m, dev_t dev, ino_t ino, const char *path, const char **ret_first);

#endif
