/* SPDX-License-Identifier: Apache-2.0 */
/* Opening names below a directory that someone else may be changing. */
#ifndef OCI_UTIL_BENEATH_H
#define OCI_UTIL_BENEATH_H

#include "oci/util/macros.h"

/* Opens path ("a/b", "" for the directory itself) below dirfd without following any link and
 * without leaving it. Returns the descriptor (always close-on-exec) or -errno: -ELOOP when a
 * component is a link, -EINVAL for absolute paths and "..". A link itself is opened with
 * O_PATH | O_NOFOLLOW. Does not create. */
int beneath_open(int dirfd, const char *path, int flags);

/* The same by one openat() a component: what is done where the kernel lacks openat2(). */
int beneath_open_walking(int dirfd, const char *path, int flags);

#endif
