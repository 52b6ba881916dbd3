/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of layers on stderr: bars on a terminal, a line for each finished layer elsewhere. */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include "layerfs/store/image.h"

struct progress;

/* verb: "prepare", "pull". quiet: shows nothing. -ENOMEM. */
int progress_new(const char *verb, bool quiet, struct progress **ret_progress);

/* Shows each step as a line of JSON on stderr instead: {"event", "name", "done", "total"}, with the
 * events begin, bytes (at most ten times a second for each), done and exists. */
void progress_set_json(struct progress *p);

/* For lfs_ingest_options; valid until progress_free(). Thread-safe. */
const struct lfs_progress *progress_callbacks(struct progress *p);

/* Takes unfinished bars off the screen. */
struct progress *progress_free(struct progress *p);
DEFINE_CLEANUP(struct progress *, progress_free)

enum { PROGRESS_LINE_MAX = 256, PROGRESS_NAME_MAX = 48 };

/* One step of something that has a name and no digest yet. Thread-safe. */
void progress_show(struct progress *p, enum lfs_progress_kind kind, const char *name, uint64_t done,
    uint64_t total);

/* One bar of at most width columns: "layer 5f70bf18a086 [====>     ] 12.0 MiB / 34.2 MiB
 * 25.3 MiB/s ETA 0:01". total UINT64_MAX: unknown. Returns line. */
const char *progress_format_bar(const char *name, uint64_t done, uint64_t total,
    uint64_t elapsed_ms, unsigned width, char line[static PROGRESS_LINE_MAX]);

#endif
