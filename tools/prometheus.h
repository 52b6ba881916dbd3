/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of mounts in the text format of Prometheus. */
#ifndef TOOLS_PROMETHEUS_H
#define TOOLS_PROMETHEUS_H

#include "layerfs/fuse/stats.h"
#include "layerfs/store/mounts.h"
#include "oci/util/buf.h"

struct prometheus_mount {
    const struct lfs_mount_record *record; /* borrowed */
    const struct lfs_stats *stats;         /* borrowed; NULL: not to be had */
    bool alive;
};

/* Appends the text for all mounts; now: of lfs_health_now(). 0 or -ENOMEM. */
int prometheus_format(
    const struct prometheus_mount *mounts, size_t count, uint64_t now, struct buf *text);

#endif
