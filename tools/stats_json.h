/* SPDX-License-Identifier: Apache-2.0 */
/* What a mount did, as JSON and as text. */
#ifndef TOOLS_STATS_JSON_H
#define TOOLS_STATS_JSON_H

#include <jansson.h>

#include "layerfs/fuse/stats.h"
#include "layerfs/store/mounts.h"

/* NULL when out of memory. */
json_t *stats_json(
    const struct lfs_mount_record *record, bool alive, const struct lfs_stats *stats);

/* For people, from that JSON, on stdout. */
void stats_print(const json_t *mount);

#endif
