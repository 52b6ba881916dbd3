/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs: finds the command, parses its options, runs it, and prints the one line of a failure.
 *
 * Called as mount.layerfs, or as `layerfs IMAGE MOUNTPOINT -o …` the way mount.fuse does, it is
 * `layerfs mount`. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "layerfs/fuse/mount.h"
#include "oci/compression.h"
#include "oci/util/log.h"
#include "tools/tool.h"

static const struct command *const commands[] = {
    &command_pull,
    &command_create,
    &command_prepare,
    &command_mount,
    &command_umount,
    &command_images,
    &command_tag,
    &command_rm,
    &command_inspect,
    &command_bundle,
    &command_stats,
    &command_gc,
    &command_df,
    &command_validate,
};

struct global_values {
    const char *store, *debug;
    bool help, version;
};

#define GLOBAL(field) offsetof(struct global_values, field)
static const struct option_def global_options[] = {
    {.name = "store",
        .argument = "DIR",
        .kind = OPTION_TEXT,
        .offset = GLOBAL(store),
        .help = "the store; else $LAYERFS_STORE, else /var/lib/layerfs as root, else "
                "$XDG_DATA_HOME/layerfs or ~/.local/share/layerfs"},
    {.name = "debug",
        .argument = "[=NAME,...]",
        .kind = OPTION_TEXT,
        .offset = GLOBAL(debug),
        .value = "all",
        .help = "debug lines on stderr, of some subsystems or all: oci layer tree store fuse read "
                "mount union registry; also $LAYERFS_DEBUG"},
    {.name = "help",
        .letter = 'h',
        .kind = OPTION_FLAG,
        .offset = GLOBAL(help),
        .help = "print this help"},
    {.name = "version",
        .kind = OPTION_FLAG,
        .offset = GLOBAL(version),
        .help = "print the version and what this build can do"},
    {0},
};
static const struct option_def no_options[] = {{0}};

static const char exit_codes[] =
    "Exit status: 0 success; 1 failure; 2 wrong usage; 3 not found (image, blob, mount, file); "
    "4 corrupt or invalid data, a limit, or an unknown format; 5 no room or no permission.";

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static void print_usage(void)
{
    printf("Usage: layerfs [OPTION]... COMMAND [ARGUMENT]...\n\n"
           "OCI images, mounted without unpacking.\n\nCommands:\n");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    printf("\nOptions:\n");
    options_print_help(global_options, stdout);
    printf("\n`layerfs COMMAND --help` tells more about a command.\n\n");
    print_wrapped(stdout, exit_codes, 0, 0);
}

static void print_command_help(const struct command *c)
{
    printf("Usage: layerfs %s [OPTION]... %s\n\n", c->name, c->arguments);
    printf("%c%s.\n\n", toupper((unsigned char)c->summary[0]), c->summary + 1);
    print_wrapped(stdout, c->description, 0, 0);
    if (c->options[0].name)
        printf("\nOptions:\n");
    options_print_help(c->options, stdout);
    printf("\nOptions of every command:\n");
    options_print_help(global_options, stdout);
    printf("\n");
    print_wrapped(stdout, exit_codes, 0, 0);
}

static void print_version(void)
{
    const char *features = lfs_fuse_features();
    bool passthrough = strstr(features, "passthrough"), uring = strstr(features, "io_uring");

    printf("layerfs %s\n%s\ngzip: %s\n", LAYERFS_VERSION, features, oci_inflate_name());
    if (!passthrough || !uring)
        printf("missing in this libfuse: %s%s%s\n", passthrough ? "" : "passthrough",
            passthrough || uring ? "" : ", ", uring ? "" : "io_uring");
}

/* 0, or the exit code of a failure whose line is then printed. */
static int finish(const struct tool *tool, const struct command *c, int r)
{
    struct tool output = {.report = REPORT_INIT};

    if (r == TOOL_DAEMON_ENDED)
        return EXIT_CODE_OK;
    if (r != 0)
        return tool_print_failure(tool, c ? c->name : NULL, r);
    if (fflush(stdout) == 0)
        return EXIT_CODE_OK;
    r = report_errno(&output.report, neg_errno(), "cannot write the output");
    return tool_print_failure(&output, c ? c->name : NULL, r);
}

static int set_up(struct tool *tool, const struct global_values *global)
{
    const char *names = global->debug ? global->debug : getenv("LAYERFS_DEBUG");

    if (global->store)
        tool->store_path = global->store;
    if (log_setup(names) < 0)
        return tool_usage(
            tool, "--debug: '%s' names no subsystem of: %s", names, log_subsystem_names());
    tool->debug = names;
    return 0;
}

static int check_arguments(struct tool *tool, const struct command *c, int count)
{
    if (count < c->min_args)
        return tool_usage(
            tool, "an argument is missing: layerfs %s [OPTION]... %s", c->name, c->arguments);
    if (c->max_args >= 0 && count > c->max_args)
        return tool_usage(
            tool, "too many arguments: layerfs %s [OPTION]... %s", c->name, c->arguments);
    return 0;
}

static int run_command(struct tool *tool, const struct command *c, struct global_values *global,
    void *values, int argc, char **argv)
{
    char **args;
    int count, r;

    r = options_parse(c->options, values, global_options, global, false, argc, argv, &args, &count,
        &tool->report);
    if (r < 0)
        return r == -EINVAL ? EXIT_CODE_USAGE : r;
    if (global->help) {
        print_command_help(c);
        return 0;
    }
    if (global->version) {
        print_version();
        return 0;
    }
    r = set_up(tool, global);
    if (r == 0)
        r = check_arguments(tool, c, count);
    return r == 0 ? c->run(tool, values, args, count) : r;
}

/* argv[0] is the command's name or anything in its place. */
static int start_command(
    struct tool *tool, const struct command *c, struct global_values *global, int argc, char **argv)
{
    void *values = calloc(1, MAX(c->values_size, (size_t)1));
    int r;

    if (!values)
        return finish(tool, c, -ENOMEM);
    r = finish(tool, c, run_command(tool, c, global, values, argc, argv));
    options_free(c->options, values);
    free(values);
    return r;
}

/* Whether the words look like mount.fuse's `IMAGE MOUNTPOINT [-o …]`. */
static bool looks_like_mount(int argc, char **argv)
{
    int plain = 0;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            i++;
        else if (argv[i][0] != '-')
            plain++;
    }
    return plain == 2;
}

static int dispatch(struct tool *tool, struct global_values *global, int argc, char **argv)
{
    const struct command *c = argc ? find_command(argv[0]) : NULL;

    if (c)
        return start_command(tool, c, global, argc, argv);
    if (argc && looks_like_mount(argc, argv))
        return start_command(tool, &command_mount, global, argc + 1, argv - 1);
    if (!argc)
        return finish(tool, NULL, tool_usage(tool, "no command; see layerfs --help"));
    return finish(tool, NULL, tool_usage(tool, "'%s' is no command; see layerfs --help", argv[0]));
}

int main(int argc, char **argv)
{
    struct tool tool = {.report = REPORT_INIT};
    struct global_values global = {0};
    const char *slash = argc ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc ? argv[0] : "layerfs";
    char **args;
    int count;

    tool.mount_helper = strcmp(name, "mount.layerfs") == 0;
    if (tool.mount_helper)
        return start_command(&tool, &command_mount, &global, argc, argv);
    if (options_parse(no_options, NULL, global_options, &global, true, argc, argv, &args, &count,
            &tool.report) < 0)
        return finish(&tool, NULL, EXIT_CODE_USAGE);
    if (global.version) {
        print_version();
        return finish(&tool, NULL, 0);
    }
    if (global.help && (count == 0 || !find_command(args[0]))) {
        print_usage();
        return finish(&tool, NULL, 0);
    }
    return dispatch(&tool, &global, count, args);
}
