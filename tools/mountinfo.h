/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/self/mountinfo. */
#ifndef TOOLS_MOUNTINFO_H
#define TOOLS_MOUNTINFO_H

#include "oci/util/macros.h"

struct mountinfo {
    int id;
    char *mountpoint, *type, *source, *options; /* owned; options are the file system's own */
};

void mountinfo_deinit(struct mountinfo *m);

/* Parses one line. -EBADMSG, -ENOMEM. */
int mountinfo_parse(const char *line, struct mountinfo *ret_mount);

/* The topmost mount on an absolute path without links. -ENOENT when nothing is mounted there. */
int mountinfo_find(const char *mountpoint, struct mountinfo *ret_mount);

/* The mount of this id. -ENOENT. */
int mountinfo_find_id(int id, struct mountinfo *ret_mount);

/* Calls each() for every mount of now, topmost first, until it returns other than 0. */
int mountinfo_each(int (*each)(void *userdata, const struct mountinfo *mount), void *userdata);

#endif
