/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs mount: an image on a directory. */
#include <stdio.h>
#include <string.h>

#include "tools/image_mount.h"

struct mount_values {
    enum lfs_data_mode data_mode;
    enum lfs_transport transport;
    const char *upper, *work;
    struct oci_platform platform;
    struct option_list mount_options;
    bool foreground, json, fake, no_sandbox;
    struct prepare_options prepare;
};

static int parse_data_mode(const char *argument, void *ret_value)
{
    return lfs_data_mode_parse(argument, ret_value);
}

static int parse_transport(const char *argument, void *ret_value)
{
    return lfs_transport_parse(argument, ret_value);
}

#define VALUE(field) offsetof(struct mount_values, field)
static const struct option_def options[] = {
    {.name = "data",
        .argument = "MODE",
        .kind = OPTION_PARSE,
        .offset = VALUE(data_mode),
        .parse = parse_data_mode,
        .help =
            "cached: contents live in the mount's page cache and opening sends no request; "
            "passthrough: the kernel reads large files from the store itself (root, Linux 6.9); "
            "auto (default): what suits kernel and image"},
    {.name = "transport",
        .argument = "NAME",
        .kind = OPTION_PARSE,
        .offset = VALUE(transport),
        .parse = parse_transport,
        .help = "uring: FUSE over io_uring (Linux 6.14; as root this turns the kernel's switch "
                "on); dev: /dev/fuse; auto (default): io_uring where it is on"},
    {.name = "upper",
        .argument = "DIR",
        .kind = OPTION_TEXT,
        .offset = VALUE(upper),
        .help = "writable: changes go to DIR, by the kernel's overlayfs above the image (root)"},
    {.name = "work",
        .argument = "DIR",
        .kind = OPTION_TEXT,
        .offset = VALUE(work),
        .help = "overlayfs's work directory, on the file system of --upper; default: its name with "
                ".work behind, made when missing"},
    {.name = "foreground",
        .kind = OPTION_FLAG,
        .offset = VALUE(foreground),
        .help = "serve in this process, until unmounted or SIGTERM"},
    {.name = "",
        .letter = 'o',
        .argument = "OPT[,OPT]...",
        .kind = OPTION_LIST,
        .offset = VALUE(mount_options),
        .help = "mount options: ro suid nosuid dev nodev exec noexec noatime allow_other fsname= "
                "context= and those of fstab; and data= transport= store= upper= work= as above"},
    {.name = "platform",
        .argument = "OS/ARCH[/VARIANT]",
        .kind = OPTION_PARSE,
        .offset = VALUE(platform),
        .parse = prepare_parse_platform,
        .help = "of an image for several platforms; default: this machine's"},
    {.name = "quiet",
        .letter = 'q',
        .kind = OPTION_FLAG,
        .offset = VALUE(prepare.quiet),
        .help = "no progress where the image must be prepared first"},
    {.name = "no-sandbox",
        .kind = OPTION_FLAG,
        .offset = VALUE(no_sandbox),
        .help = "do not confine the daemon, to debug it; `layerfs stats` tells what confines it"},
    {.name = "json",
        .kind = OPTION_FLAG,
        .offset = VALUE(json),
        .help = "print an object that describes the mount when it answers"},
    /* What mount(8) gives its helpers. */
    {.name = "", .letter = 'f', .kind = OPTION_FLAG, .offset = VALUE(fake)},
    {.name = "", .letter = 's', .kind = OPTION_IGNORE},
    {.name = "", .letter = 'n', .kind = OPTION_IGNORE},
    {.name = "", .letter = 'v', .kind = OPTION_IGNORE},
    {.name = "", .letter = 't', .argument = "TYPE", .kind = OPTION_IGNORE},
    {0},
};

static int take_path(char **at, const char *path)
{
    char *copy = path ? strdup(path) : NULL;

    if (path && !copy)
        return -ENOMEM;
    if (copy) {
        free(*at);
        *at = copy;
    }
    return 0;
}

/* Both ways of saying it in one place: the options of the command line win over -o. */
static int collect_options(struct tool *tool, const struct mount_values *v, struct mount_options *o)
{
    /* mount(8) means these where it says nothing; mount.fuse writes them out. */
    int r = tool->mount_helper ? mount_options_add(o, "suid,dev", &tool->report) : 0;

    for (size_t i = 0; r == 0 && i < v->mount_options.count; i++)
        r = mount_options_add(o, v->mount_options.items[i].value, &tool->report);
    if (r < 0)
        return r == -EINVAL ? EXIT_CODE_USAGE : r;
    if (v->data_mode != LFS_DATA_MODE_AUTO)
        o->data_mode = v->data_mode;
    if (v->transport != LFS_TRANSPORT_AUTO)
        o->transport = v->transport;
    if (!tool->store_path)
        tool->store_path = o->store;
    r = take_path(&o->upper, v->upper);
    if (r == 0)
        r = take_path(&o->work, v->work);
    if (r == 0 && o->work && !o->upper)
        r = tool_usage(tool, "--work without --upper");
    return r;
}

static int mount(
    struct tool *tool, const struct mount_values *v, const struct mount_request *request)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    _cleanup_(buf_deinit) struct buf message = {0};
    int r = tool_open_store(tool, 0, &store);

    if (r < 0 || v->fake)
        return r;
    r = image_mount(tool, store, request, &message);
    if (r == 0 && v->json && !v->foreground)
        r = printf("%.*s\n", (int)message.size, message.data) < 0 ? -EIO : 0;
    return r;
}

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct mount_values *v = values;
    _cleanup_(mount_options_deinit) struct mount_options o = {0};
    struct mount_request request = {
        .image = args[0],
        .mountpoint = args[1],
        .platform = prepare_platform(&v->platform),
        .options = &o,
        .prepare = v->prepare,
        .foreground = v->foreground,
        .print_json = v->json,
        .no_sandbox = v->no_sandbox,
    };
    int r;

    (void)arg_count;
    tool->subject = args[0];
    mount_options_init(&o);
    r = collect_options(tool, v, &o);
    return r == 0 ? mount(tool, v, &request) : r;
}

const struct command command_mount = {
    .name = "mount",
    .arguments = "IMAGE MOUNTPOINT",
    .summary = "mount an image on a directory",
    .description =
        "IMAGE is a name, a digest, or a unique prefix of one. Returns when the mount answers; a "
        "daemon in the background serves it until it is unmounted. An image that is not prepared "
        "is prepared first. The mount is read-only unless --upper is given.\n\n"
        "As root everybody may use the mount, and setuid programs and devices in it work only with "
        "-o suid,dev. A normal user's mount is the user's own.\n\n"
        "Works from fstab too: `IMAGE /mnt fuse.layerfs nofail 0 0`.",
    .options = options,
    .values_size = sizeof(struct mount_values),
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
