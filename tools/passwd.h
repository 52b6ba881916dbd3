/* SPDX-License-Identifier: Apache-2.0 */
/* Whom an image's process runs as: "USER[:GROUP]" by the image's own passwd and group files. */
#ifndef TOOLS_PASSWD_H
#define TOOLS_PASSWD_H

#include "oci/util/report.h"

struct process_user {
    uint32_t uid, gid;
    uint32_t *groups; /* owned: additional ones, ascending */
    size_t group_count;
    char *home; /* owned; NULL when unknown */
};

void process_user_deinit(struct process_user *user);

/* spec: names or numbers, "" or NULL for root. passwd and group are the files' texts, "" where the
 * image has none. Additional groups are those that name the user as member, unless spec names a
 * group. A number needs no line. -ENOENT with a text for a name without one; -ENOMEM. */
int process_user_resolve(const char *spec, const char *passwd, const char *group,
    struct process_user *ret_user, struct report *r);

#endif
