/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs umount: mounts down, nothing left behind. */
#include "tools/unmount.h"

struct umount_values {
    bool lazy;
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
    {.name = "timeout",
        .argument = "SECONDS",
        .kind = OPTION_PARSE,
        .offset = VALUE(timeout),
        .parse = parse_timeout,
        .help = "how long to wait for the daemon to end; default 30"},
    {0},
};

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct umount_values *v = values;
    struct unmount_options how = {.lazy = v->lazy,
        .timeout_ms = 1000 * (v->timeout.given ? v->timeout.seconds : DEFAULT_TIMEOUT)};
    int failure = 0;

    /* One that fails does not keep the others; main() prints the last failure. */
    for (int i = 0; i < arg_count; i++) {
        struct tool one = {
            .store_path = tool->store_path, .subject = args[i], .report = REPORT_INIT};
        int r = unmount(&one, args[i], &how);

        if (r == 0)
            continue;
        if (failure)
            (void)tool_print_failure(tool, command_umount.name, failure);
        failure = r;
        tool->subject = one.subject;
        tool->report = one.report;
    }
    return failure;
}

const struct command command_umount = {
    .name = "umount",
    .arguments = "MOUNTPOINT...",
    .summary = "take mounts down",
    .description =
        "Takes down the image mount and the overlay above it, waits until the daemon has ended, "
        "and removes what the mount left. A mount that is in use stays as it is. The mount of a "
        "dead daemon is taken away as well. Mounts of every store of this user are found.",
    .options = options,
    .values_size = sizeof(struct umount_values),
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
