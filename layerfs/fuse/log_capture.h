/* SPDX-License-Identifier: Apache-2.0 */
/* libfuse's messages: to the debug log, and the last one into the report of a mount that fails. */
#ifndef LAYERFS_FUSE_LOG_CAPTURE_H
#define LAYERFS_FUSE_LOG_CAPTURE_H

#include <stddef.h>

/* From then on libfuse writes nothing to stderr, for this process. echo: unless asked to (-o
 * debug). */
void lfs_log_capture(int echo);

/* What a helper program (fusermount3) writes to stderr between begin and end, as a message of
 * libfuse. Nothing else of the process should write to stderr meanwhile. */
int lfs_stderr_begin(void); /* for lfs_stderr_end(); -1 when it could not */
void lfs_stderr_end(int saved_fd);

/* Copies the last message, "" when there was none since the capture began. */
void lfs_log_last(char *text, size_t size);

#endif
