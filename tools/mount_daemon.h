/* SPDX-License-Identifier: Apache-2.0 */
/* Going to the background: the parent returns when the work in the child is ready. */
#ifndef TOOLS_MOUNT_DAEMON_H
#define TOOLS_MOUNT_DAEMON_H

#include "oci/util/buf.h"
#include "oci/util/report.h"

struct daemon;

/* Runs body() in a child of its own session, directory "/" and no terminal; in the parent, waits
 * until it called daemon_ready() or ended. There must be no other thread.
 *
 * In the parent: 0 when ready, with the message; else body's error with its text. In the child:
 * TOOL_DAEMON_ENDED when body() has returned, the caller then unwinds and prints nothing.
 * foreground: no child; 0 or body's error when it has returned. */
int daemon_run(bool foreground,
    int (*body)(struct daemon *daemon, void *userdata, struct report *r), void *userdata,
    struct buf *ret_message, struct report *r);

/* Called once by body(), from any thread. In the foreground prints nothing. After it, stderr goes
 * nowhere. */
void daemon_ready(struct daemon *daemon, const char *message);

bool daemon_is_foreground(const struct daemon *daemon);

#endif
