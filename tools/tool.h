/* SPDX-License-Identifier: Apache-2.0 */
/* What all commands share: the command table's row, the global options, exit codes.
 *
 * A command is one file with one `const struct command`. main() parses its options by its table
 * into a zeroed struct of the command's own, runs it, prints the one line of a failure and turns
 * errno into the exit code; so a command only works and reports. */
#ifndef TOOLS_TOOL_H
#define TOOLS_TOOL_H

#include "layerfs/store/store.h"
#include "oci/util/report.h"
#include "tools/options.h"

enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_FAILURE = 1,
    EXIT_CODE_USAGE = 2,
    EXIT_CODE_NOT_FOUND = 3,
    EXIT_CODE_INVALID = 4,
    EXIT_CODE_NO_ROOM = 5,
};

/* Returned by what forks: this process is the daemon and its work is over, so unwind to main() and
 * print nothing. */
enum { TOOL_DAEMON_ENDED = 1000 };

/* The exit code of a negative errno. */
enum exit_code exit_code_of(int err);

struct tool {
    const char *store_path; /* --store; NULL: the default */
    const char *debug;      /* --debug; NULL: LAYERFS_DEBUG */
    bool mount_helper;      /* called by mount(8) as mount.layerfs */
    const char *subject;    /* what is being worked on, for the error line; borrowed, or NULL */
    struct report report;
};

struct command {
    const char *name;
    const char *arguments;   /* "LOCATION..." */
    const char *summary;     /* one line, for `layerfs --help` */
    const char *description; /* paragraphs separated by newlines */
    const struct option_def *options;
    size_t values_size;     /* bytes of the struct that options fill */
    int min_args, max_args; /* positional arguments; max -1: any number */
    /* 0; -errno; or a positive exit code. Failures have a text in tool->report. */
    int (*run)(struct tool *tool, const void *values, char **args, int arg_count);
};

extern const struct command command_bundle, command_create, command_df, command_gc, command_images,
    command_inspect, command_mount, command_prepare, command_pull, command_rm, command_stats,
    command_tag, command_umount, command_validate;

/* Sets the text and returns EXIT_CODE_USAGE. */
int tool_usage(struct tool *tool, const char *fmt, ...) _printf_(2, 3);

/* Prints "layerfs: COMMAND SUBJECT: TEXT" on stderr and returns the exit code; r as a command
 * returns it. command NULL: before one was found. */
int tool_print_failure(const struct tool *tool, const char *command, int r);

/* The store of --store, $LAYERFS_STORE or the default, with a text that names it on failure. */
int tool_open_store(struct tool *tool, unsigned flags, struct lfs_store **ret_store);

#endif
