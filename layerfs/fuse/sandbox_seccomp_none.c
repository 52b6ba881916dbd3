/* SPDX-License-Identifier: Apache-2.0 */
/* Without libseccomp. */
#include "layerfs/fuse/sandbox_parts.h"

int lfs_seccomp_apply(bool control _unused_)
{
    return -EOPNOTSUPP;
}
