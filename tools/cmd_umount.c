/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs umount: mounts down, nothing left behind. */
#include <string.h>
#include <sys/vfs.h>

#include "tools/find_mount.h"
#include "tools/mountinfo.h"
#include "tools/unmount.h"

struct umount_values {
    bool lazy, all, dead;
    struct timeout {
        bool given;
        unsigned seconds;
    } timeout;
};

enum { DEFAULT_TIMEOUT = 30 }; /* seconds */

static int parse_timeout(const char *argument, void *ret_value)
{
    struct timeout *timeout = ret_value;
    uint64_t seconds;
    int r = parse_number(argument, 1000000, &seconds);

    if (r == 0)
        *timeout = (struct timeout){.given = true, .seconds = (unsigned)seconds};
    return r;
}

#define VALUE(field) offsetof(struct umount_values, field)
static const struct option_def options[] = {
    {.name = "lazy",
        .letter = 'l',
        .kind = OPTION_FLAG,
        .offset = VALUE(lazy),
        .help = "detach a mount that is in use, and do not wait; its daemon ends with the last "
                "user"},
    {.name = "all",
        .letter = 'a',
        .kind = OPTION_FLAG,
        .offset = VALUE(all),
        .help = "all mounts of the store, and those of dead daemons"},
    {.name = "dead",
        .kind = OPTION_FLAG,
        .offset = VALUE(dead),
        .help = "all mounts whose daemon is dead, with records and runtime directories"},
    {.name = "timeout",
        .argument = "SECONDS",
        .kind = OPTION_PARSE,
        .offset = VALUE(timeout),
        .parse = parse_timeout,
        .help = "how long to wait for the daemon to end; default 30"},
    {0},
};

/* One that fails does not keep the others; main() prints the last failure. */
struct outcome {
    struct tool *tool;
    const struct unmount_options *how;
    int failure;
};

static void unmount_path(struct outcome *o, const char *path, bool is_argument)
{
    struct tool one = {.store_path = o->tool->store_path, .report = REPORT_INIT};
    int r = unmount(&one, path, o->how);

    if (r == 0)
        return;
    if (is_argument)
        one.subject = path; /* which lives until the line is printed */
    if (o->failure)
        (void)tool_print_failure(o->tool, command_umount.name, o->failure);
    o->failure = r;
    o->tool->subject = one.subject;
    o->tool->report = one.report;
}

/* The newest first: mounts may lie on one another. */
static ssize_t find_newest(const struct lfs_mount_list *list, const bool *done, bool dead_only)
{
    ssize_t found = -1;

    for (size_t i = 0; i < list->count; i++)
        if (!done[i] && !(dead_only && list->alive[i]) &&
            (found < 0 || list->records[i].started >= list->records[found].started))
            found = (ssize_t)i;
    return found;
}

/* A FUSE mount of ours that nobody serves, whatever store it is of. */
static int unmount_dead(void *userdata, const struct mountinfo *m)
{
    struct statfs st;

    if (strcmp(m->type, "fuse.layerfs") != 0 || statfs(m->mountpoint, &st) == 0)
        return 0;
    if (errno == ENOTCONN || errno == ECONNABORTED || errno == ECONNREFUSED)
        unmount_path(userdata, m->mountpoint, false);
    return 0;
}

/* Mounts of dead daemons go by their records; what has none, by the mount table. */
static int unmount_many(struct outcome *o, bool dead_only)
{
    _cleanup_(lfs_mount_list_deinit) struct lfs_mount_list list = {0};
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    _cleanup_(freep) bool *done = NULL;
    int r = tool_open_store(o->tool, 0, &store);
    ssize_t i;

    if (r == 0)
        r = lfs_mount_list_load(store, &list, &o->tool->report);
    if (r == 0 && !(done = calloc(list.count + 1, sizeof(*done))))
        r = -ENOMEM;
    while (r == 0 && (i = find_newest(&list, done, dead_only)) >= 0) {
        const struct lfs_mount_record *record = &list.records[i];

        done[i] = true;
        if (list.alive[i] || mount_is_present(record))
            unmount_path(o, record->mountpoint, false);
        else
            mount_remove_traces(store, record);
    }
    return r == 0 ? mountinfo_each(unmount_dead, o) : r;
}

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct umount_values *v = values;
    struct unmount_options how = {.lazy = v->lazy,
        .timeout_ms = 1000 * (v->timeout.given ? v->timeout.seconds : DEFAULT_TIMEOUT)};
    struct outcome o = {.tool = tool, .how = &how};
    int r = 0;

    if (!v->all && !v->dead && arg_count == 0)
        return tool_usage(tool, "no MOUNTPOINT, --all or --dead is given");
    if ((v->all || v->dead) && arg_count > 0)
        return tool_usage(tool, "--all and --dead take no MOUNTPOINT");
    for (int i = 0; i < arg_count; i++)
        unmount_path(&o, args[i], true);
    if (v->all || v->dead)
        r = unmount_many(&o, !v->all);
    return r < 0 ? r : o.failure;
}

const struct command command_umount = {
    .name = "umount",
    .arguments = "MOUNTPOINT... | --all | --dead",
    .summary = "take mounts down",
    .description =
        "Takes down the image mount and the overlay above it, waits until the daemon has ended, "
        "and removes what the mount left. A mount that is in use stays as it is. The mount of a "
        "dead daemon is taken away as well. Mounts of every store of this user are found; --all is "
        "about one store.",
    .options = options,
    .values_size = sizeof(struct umount_values),
    .min_args = 0,
    .max_args = -1,
    .run = run,
};
