/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs bundle: what crun and runc start.
 *
 * The image is mounted first and its passwd is read through the mount: so what an upper directory
 * changed counts, and the kernel resolves the image's links inside the image. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "oci/util/io.h"
#include "tools/image_mount.h"
#include "tools/runtime_spec.h"
#include "tools/unmount.h"

enum { ACCOUNT_FILE_MAX = 8 << 20 }; /* bytes of passwd and group */

struct bundle_values {
    const char *upper, *work;
    enum lfs_data_mode data_mode;
    struct option_list mount_options;
    struct oci_platform platform;
    bool terminal, host_network;
    struct prepare_options prepare;
};

static int parse_data_mode(const char *argument, void *ret_value)
{
    return lfs_data_mode_parse(argument, ret_value);
}

#define VALUE(field) offsetof(struct bundle_values, field)
static const struct option_def options[] = {
    {.name = "upper",
        .argument = "DIR",
        .kind = OPTION_TEXT,
        .offset = VALUE(upper),
        .help = "a writable root: changes go to DIR (root)"},
    {.name = "work",
        .argument = "DIR",
        .kind = OPTION_TEXT,
        .offset = VALUE(work),
        .help = "overlayfs's work directory; default: the name of --upper with .work behind"},
    {.name = "data",
        .argument = "MODE",
        .kind = OPTION_PARSE,
        .offset = VALUE(data_mode),
        .parse = parse_data_mode,
        .help = "as of `layerfs mount`"},
    {.name = "",
        .letter = 'o',
        .argument = "OPT[,OPT]...",
        .kind = OPTION_LIST,
        .offset = VALUE(mount_options),
        .help = "mount options, as of `layerfs mount`"},
    {.name = "terminal",
        .letter = 't',
        .kind = OPTION_FLAG,
        .offset = VALUE(terminal),
        .help = "the process gets a terminal"},
    {.name = "host-network",
        .kind = OPTION_FLAG,
        .offset = VALUE(host_network),
        .help = "the process has the host's network; else one of its own with loopback alone"},
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
    {0},
};

struct bundle {
    struct tool *tool;
    const struct bundle_values *values;
    const char *image_name, *path;
    char *rootfs; /* path/rootfs */
    char *const *args;
    size_t arg_count;
    bool made_dir, made_rootfs, mounted;
};

/* Makes a directory; *ret_made tells whether it is new. */
static int make_dir(const char *path, bool *ret_made, struct report *r)
{
    if (mkdir(path, 0755) == 0)
        *ret_made = true;
    else if (errno != EEXIST)
        return report_errno(r, neg_errno(), "%s", path);
    return 0;
}

/* False too for what is no directory. */
static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    bool empty = dir != NULL;

    while (empty && (entry = readdir(dir)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (dir)
        (void)closedir(dir);
    return empty;
}

static int make_dirs(struct bundle *b)
{
    struct report *r = &b->tool->report;
    int err;

    if (asprintf(&b->rootfs, "%s/rootfs", b->path) < 0)
        return -ENOMEM;
    err = make_dir(b->path, &b->made_dir, r);
    if (err == 0 && !b->made_dir && !is_empty(b->path))
        return report_fail(r, -ENOTEMPTY, "%s is not an empty directory", b->path);
    if (err == 0)
        err = make_dir(b->rootfs, &b->made_rootfs, r);
    return err;
}

/* Reads a file of the image as text, "" when it is not there. */
static int read_account_file(int rootfs, const char *name, struct buf *b, struct report *r)
{
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, .resolve = RESOLVE_IN_ROOT};
    _cleanup_(fd_closep) int fd = (int)syscall(SYS_openat2, rootfs, name, &how, sizeof(how));
    struct stat st;
    ssize_t n;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return buf_append(b, "", 1);
    if (fd < 0 || fstat(fd, &st) < 0)
        return report_errno(r, neg_errno(), "the image's /%s", name);
    if (!S_ISREG(st.st_mode) || st.st_size > ACCOUNT_FILE_MAX)
        return report_fail(r, -EBADMSG, "the image's /%s is no file of a sensible size", name);
    if (!buf_extend(b, (size_t)st.st_size + 1))
        return -ENOMEM;
    n = io_read_full(fd, b->data, (size_t)st.st_size);
    return n < 0 ? report_errno(r, (int)n, "the image's /%s", name) : 0;
}

static int resolve_user(
    const struct bundle *b, const struct oci_config *config, struct process_user *ret_user)
{
    struct report *r = &b->tool->report;
    _cleanup_(fd_closep) int rootfs = open(b->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(buf_deinit) struct buf passwd = {0}, group = {0};
    const char *spec =
        json_string_value(json_object_get(json_object_get(config->json, "config"), "User"));
    int err;

    if (rootfs < 0)
        return report_errno(r, neg_errno(), "%s", b->rootfs);
    err = read_account_file(rootfs, "etc/passwd", &passwd, r);
    if (err == 0)
        err = read_account_file(rootfs, "etc/group", &group, r);
    if (err == 0)
        err = process_user_resolve(
            spec, (const char *)passwd.data, (const char *)group.data, ret_user, r);
    return err;
}

static int write_config(const struct bundle *b, json_t *spec)
{
    struct report *r = &b->tool->report;
    _cleanup_(fd_closep) int dir = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(freep) char *text = json_dumps(spec, JSON_INDENT(2));
    int err;

    if (!text)
        return -ENOMEM;
    err = dir < 0 ? neg_errno() : io_write_file(dir, "config.json", text, strlen(text), 0644);
    return err < 0 ? report_errno(r, err, "%s/config.json", b->path) : 0;
}

static int make_config(struct bundle *b, const struct oci_config *config)
{
    _cleanup_(process_user_deinit) struct process_user user = {0};
    struct spec_request request = {
        .image = config,
        .user = &user,
        .args = b->arg_count ? b->args : NULL,
        .arg_count = b->arg_count,
        .terminal = b->values->terminal,
        .host_network = b->values->host_network,
        .readonly = b->values->upper == NULL,
        .rootless = geteuid() != 0,
    };
    json_t *spec;
    int err = resolve_user(b, config, &user);

    if (err == 0)
        err = runtime_spec_build(&request, &spec, &b->tool->report);
    if (err < 0)
        return err;
    err = write_config(b, spec);
    json_decref(spec);
    return err;
}

static int collect_options(const struct bundle *b, struct mount_options *o)
{
    const struct bundle_values *v = b->values;
    int r = 0;

    mount_options_init(o);
    /* A container may run its setuid programs: what they may do is bounded by the runtime. */
    if (geteuid() == 0)
        r = mount_options_add(o, "suid", &b->tool->report);
    for (size_t i = 0; r == 0 && i < v->mount_options.count; i++)
        r = mount_options_add(o, v->mount_options.items[i].value, &b->tool->report);
    if (r < 0)
        return r == -EINVAL ? EXIT_CODE_USAGE : r;
    if (v->data_mode != LFS_DATA_MODE_AUTO)
        o->data_mode = v->data_mode;
    free(o->upper);
    free(o->work);
    o->upper = v->upper ? strdup(v->upper) : NULL;
    o->work = v->work ? strdup(v->work) : NULL;
    return (v->upper && !o->upper) || (v->work && !o->work) ? -ENOMEM : 0;
}

static int mount_rootfs(struct bundle *b, struct lfs_store *store)
{
    _cleanup_(mount_options_deinit) struct mount_options o = {0};
    _cleanup_(buf_deinit) struct buf message = {0};
    struct mount_request request = {
        .image = b->image_name,
        .mountpoint = b->rootfs,
        .platform = prepare_platform(&b->values->platform),
        .options = &o,
        .prepare = b->values->prepare,
    };
    int r = collect_options(b, &o);

    if (r == 0)
        r = image_mount(b->tool, store, &request, &message);
    b->mounted = r == 0;
    return r;
}

static void undo(struct bundle *b)
{
    struct tool quiet = {.store_path = b->tool->store_path, .report = REPORT_INIT};
    struct unmount_options how = {.timeout_ms = 30000};

    if (b->mounted)
        (void)unmount(&quiet, b->rootfs, &how);
    if (b->made_rootfs)
        (void)rmdir(b->rootfs);
    if (b->made_dir)
        (void)rmdir(b->path);
}

static int make_bundle(struct bundle *b, struct lfs_store *store)
{
    _cleanup_(lfs_image_freep) struct lfs_image *image = NULL;
    int r = lfs_image_load(
        store, b->image_name, prepare_platform(&b->values->platform), &image, &b->tool->report);

    if (r == 0)
        r = make_dirs(b);
    if (r == 0)
        r = mount_rootfs(b, store);
    if (r == 0)
        r = make_config(b, image->config);
    if (r != 0 && r != TOOL_DAEMON_ENDED)
        undo(b);
    return r;
}

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct bundle_values *v = values;
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    struct bundle b = {
        .tool = tool,
        .values = v,
        .image_name = args[0],
        .path = args[1],
        .args = args + 2,
        .arg_count = (size_t)arg_count - 2,
    };
    int r;

    tool->subject = args[0];
    if (v->work && !v->upper)
        return tool_usage(tool, "--work without --upper");
    r = tool_open_store(tool, 0, &store);
    if (r == 0)
        r = make_bundle(&b, store);
    free(b.rootfs);
    return r;
}

const struct command command_bundle = {
    .name = "bundle",
    .arguments = "IMAGE DIR [-- COMMAND...]",
    .summary = "make an OCI runtime bundle for crun and runc",
    .description =
        "Mounts the image on DIR/rootfs and writes DIR/config.json from the image's config: "
        "command, environment, directory, and user by the image's own passwd. Then `crun run -b "
        "DIR ID` or `runc run -b DIR ID` starts it. COMMAND stands for the image's default "
        "command, behind its entrypoint. Without --upper the root is read-only, and the image must "
        "have the directories /proc, /dev and /sys.\n\n"
        "`layerfs umount DIR/rootfs` takes the mount down. Made by a normal user, the bundle is "
        "for "
        "a rootless runtime.",
    .options = options,
    .values_size = sizeof(struct bundle_values),
    .min_args = 2,
    .max_args = -1,
    .run = run,
};
