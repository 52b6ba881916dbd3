/* SPDX-License-Identifier: Apache-2.0 */
/* Names of data modes and transports, as the command line and records have them. */
#include <string.h>

#include "layerfs/fuse/mount.h"

static const char *const mode_names[] = {
    [LFS_DATA_MODE_AUTO] = "auto",
    [LFS_DATA_MODE_CACHED] = "cached",
    [LFS_DATA_MODE_PASSTHROUGH] = "passthrough",
};

static const char *const transport_names[] = {
    [LFS_TRANSPORT_AUTO] = "auto",
    [LFS_TRANSPORT_URING] = "uring",
    [LFS_TRANSPORT_DEV] = "dev",
};

static int find(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return (int)i;
    }
    return -EINVAL;
}

const char *lfs_data_mode_name(enum lfs_data_mode mode)
{
    return (size_t)mode < ARRAY_SIZE(mode_names) ? mode_names[mode] : "unknown";
}

int lfs_data_mode_parse(const char *name, enum lfs_data_mode *ret_mode)
{
    int i = find(mode_names, ARRAY_SIZE(mode_names), name);

    if (i < 0)
        return i;
    *ret_mode = (enum lfs_data_mode)i;
    return 0;
}

const char *lfs_transport_name(enum lfs_transport transport)
{
    return (size_t)transport < ARRAY_SIZE(transport_names) ? transport_names[transport] : "unknown";
}

int lfs_transport_parse(const char *name, enum lfs_transport *ret_transport)
{
    int i = find(transport_names, ARRAY_SIZE(transport_names), name);

    if (i < 0)
        return i;
    *ret_transport = (enum lfs_transport)i;
    return 0;
}
