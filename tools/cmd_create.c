/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs create: an image from directories and tars. */
#include <stdio.h>
#include <string.h>

#include "oci/reference.h"
#include "tools/image_create.h"
#include "tools/output.h"
#include "tools/prepare.h"

struct create_values {
    const char *tag, *from, *level, *created;
    struct option_list layers;
    struct compression {
        bool given;
        enum oci_compression value;
    } compression;
    unsigned threads;
    struct config_changes config;
    bool no_prepare, quiet, json;
};

static int parse_compression(const char *argument, void *ret_value)
{
    struct compression *compression = ret_value;

    compression->given = true;
    return oci_compression_parse(argument, &compression->value);
}

#define VALUE(field) offsetof(struct create_values, field)
static const struct option_def options[] = {
    {.name = "tag",
        .letter = 't',
        .argument = "NAME",
        .kind = OPTION_TEXT,
        .offset = VALUE(tag),
        .help = "the image's name in the store (required)"},
    {.name = "dir",
        .argument = "DIR",
        .kind = OPTION_LIST,
        .offset = VALUE(layers),
        .help = "a layer with what is in DIR; owners, times, xattrs and hard links are kept"},
    {.name = "tar",
        .argument = "FILE",
        .kind = OPTION_LIST,
        .offset = VALUE(layers),
        .help = "a layer from a tar, compressed or not; --dir and --tar may be given again, the "
                "lowest layer first"},
    {.name = "from",
        .argument = "IMAGE",
        .kind = OPTION_TEXT,
        .offset = VALUE(from),
        .help = "put the layers on top of this image and start from its config"},
    {.name = "compress",
        .argument = "FORMAT",
        .kind = OPTION_PARSE,
        .offset = VALUE(compression),
        .parse = parse_compression,
        .help = "gzip (default: every tool reads it), zstd (smaller and faster) or none"},
    {.name = "level",
        .argument = "N",
        .kind = OPTION_TEXT,
        .offset = VALUE(level),
        .help = "compression level; default: the format's"},
    {.name = "threads",
        .argument = "N",
        .kind = OPTION_NUMBER,
        .offset = VALUE(threads),
        .help = "threads that compress; default: one a core. The result does not depend on it"},
    {.name = "entrypoint",
        .argument = "WORD",
        .kind = OPTION_LIST,
        .offset = VALUE(config.entrypoint),
        .help = "a word of the entrypoint, to be repeated for each; or a JSON array of all. "
                "Without --cmd the base's command is dropped"},
    {.name = "cmd",
        .argument = "WORD",
        .kind = OPTION_LIST,
        .offset = VALUE(config.cmd),
        .help = "the same for the default command"},
    {.name = "env",
        .letter = 'e',
        .argument = "KEY=VALUE",
        .kind = OPTION_LIST,
        .offset = VALUE(config.env),
        .help = "set an environment variable"},
    {.name = "workdir",
        .argument = "DIR",
        .kind = OPTION_TEXT,
        .offset = VALUE(config.workdir),
        .help = "the process's directory"},
    {.name = "user",
        .argument = "USER[:GROUP]",
        .kind = OPTION_TEXT,
        .offset = VALUE(config.user),
        .help = "whom the process runs as, by name or number"},
    {.name = "expose",
        .argument = "PORT[/PROTO]",
        .kind = OPTION_LIST,
        .offset = VALUE(config.expose),
        .help = "a port that the program listens on"},
    {.name = "volume",
        .argument = "DIR",
        .kind = OPTION_LIST,
        .offset = VALUE(config.volumes),
        .help = "a directory for data"},
    {.name = "stop-signal",
        .argument = "SIGNAL",
        .kind = OPTION_TEXT,
        .offset = VALUE(config.stop_signal),
        .help = "what stops the program"},
    {.name = "label",
        .argument = "KEY=VALUE",
        .kind = OPTION_LIST,
        .offset = VALUE(config.labels),
        .help = "a label in the config"},
    {.name = "annotation",
        .argument = "KEY=VALUE",
        .kind = OPTION_LIST,
        .offset = VALUE(config.annotations),
        .help = "an annotation in the manifest"},
    {.name = "author",
        .argument = "NAME",
        .kind = OPTION_TEXT,
        .offset = VALUE(config.author),
        .help = "who made the image"},
    {.name = "platform",
        .argument = "OS/ARCH[/VARIANT]",
        .kind = OPTION_PARSE,
        .offset = VALUE(config.platform),
        .parse = prepare_parse_platform,
        .help = "what the image runs on; default: the base's, else this machine's"},
    {.name = "history",
        .argument = "TEXT",
        .kind = OPTION_LIST,
        .offset = VALUE(config.history),
        .help = "how a layer came about (created_by), once a layer"},
    {.name = "created",
        .argument = "TIME",
        .kind = OPTION_TEXT,
        .offset = VALUE(created),
        .help = "RFC 3339, @SECONDS or now; default: $SOURCE_DATE_EPOCH, else 1970-01-01, so that "
                "the same input is the same image"},
    {.name = "no-prepare",
        .kind = OPTION_FLAG,
        .offset = VALUE(no_prepare),
        .help = "leave it to the first mount to check the layers and make their trees"},
    {.name = "quiet",
        .letter = 'q',
        .kind = OPTION_FLAG,
        .offset = VALUE(quiet),
        .help = "no progress"},
    {.name = "json",
        .kind = OPTION_FLAG,
        .offset = VALUE(json),
        .help = "print an object with name, digest and size instead of the digest"},
    {0},
};

static int set_times(struct tool *tool, const struct create_values *v,
    struct create_request *request, char created[static TIME_TEXT_MAX])
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    uint64_t seconds = 0;

    if (epoch && epoch[0]) {
        if (parse_number(epoch, INT32_MAX * (uint64_t)100, &seconds) < 0)
            return tool_usage(tool, "SOURCE_DATE_EPOCH: '%s' is not a number of seconds", epoch);
        request->has_clamp_mtime = true;
        request->clamp_mtime = (int64_t)seconds;
    }
    if (!v->created)
        return format_time((int64_t)seconds, created);
    if (parse_time(v->created, created) < 0)
        return tool_usage(tool, "--created: '%s' is not a time", v->created);
    return 0;
}

static int set_level(struct tool *tool, const struct create_values *v, int *ret_level)
{
    uint64_t max = v->compression.value == OCI_COMPRESSION_ZSTD ? 22 : 9;
    uint64_t level;

    *ret_level = -1;
    if (!v->level)
        return 0;
    if (v->compression.given && v->compression.value == OCI_COMPRESSION_NONE)
        return tool_usage(tool, "--level without compression");
    if (parse_number(v->level, max, &level) < 0)
        return tool_usage(
            tool, "--level: '%s' is not a level from 0 to %u", v->level, (unsigned)max);
    *ret_level = (int)level;
    return 0;
}

static int check(struct tool *tool, const struct create_values *v)
{
    if (!v->tag)
        return tool_usage(tool, "--tag is missing");
    if (!oci_tag_is_valid(v->tag))
        return tool_usage(tool, "--tag: '%s' is not a valid name", v->tag);
    if (!v->layers.count && !v->from)
        return tool_usage(tool, "nothing to make an image of: give --dir, --tar or --from");
    if (v->config.history.count > MAX(v->layers.count, (size_t)1))
        return tool_usage(tool, "more --history than layers");
    return 0;
}

static void set_inputs(const struct create_values *v, struct layer_input *inputs)
{
    for (size_t i = 0; i < v->layers.count; i++)
        inputs[i] = (struct layer_input){.path = v->layers.items[i].value,
            .is_tar = strcmp(v->layers.items[i].def->name, "tar") == 0};
}

static int print_result(const struct create_values *v, const struct oci_descriptor *manifest)
{
    char digest[OCI_DIGEST_STR_MAX];

    (void)oci_digest_format(&manifest->digest, digest);
    if (v->json)
        return output_json(json_pack("{s:s, s:s, s:I}", "name", v->tag, "digest", digest, "size",
            (json_int_t)manifest->size));
    return printf("%s\n", digest) < 0 ? -EIO : 0;
}

static int create(struct tool *tool, const struct create_values *v, struct create_request *request)
{
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor manifest = {0};
    _cleanup_(progress_freep) struct progress *progress = NULL;
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    int r = tool_open_store(tool, LFS_STORE_CREATE, &store);

    if (r == 0)
        r = progress_new("create", v->quiet || !isatty(STDERR_FILENO), &progress);
    request->progress = progress;
    if (r == 0)
        r = image_create(tool, store, request, &manifest);
    return r == 0 ? print_result(v, &manifest) : r;
}

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct create_values *v = values;
    _cleanup_(freep) struct layer_input *inputs = calloc(v->layers.count + 1, sizeof(*inputs));
    char created[TIME_TEXT_MAX];
    struct config_changes config = v->config;
    struct create_request request = {
        .tag = v->tag,
        .from = v->from,
        .inputs = inputs,
        .input_count = v->layers.count,
        .compression = v->compression.given ? v->compression.value : OCI_COMPRESSION_GZIP,
        .threads = v->threads,
        .config = &config,
        .prepare = !v->no_prepare,
    };
    int r = inputs ? check(tool, v) : -ENOMEM;

    (void)args;
    (void)arg_count;
    tool->subject = v->tag;
    if (r == 0)
        r = set_times(tool, v, &request, created);
    if (r == 0)
        r = set_level(tool, v, &request.level);
    if (r != 0)
        return r;
    set_inputs(v, inputs);
    config.created = created;
    return create(tool, v, &request);
}

const struct command command_create = {
    .name = "create",
    .arguments = "--tag NAME (--dir DIR | --tar FILE)...",
    .summary = "make an image from directories and tars",
    .description =
        "Each --dir and --tar becomes a layer, in the order given; whiteouts (.wh.NAME) in a tar "
        "delete from the layers below. The same input gives the same digests on any machine and "
        "with any number of threads. $SOURCE_DATE_EPOCH sets the image's time, and files of --dir "
        "that are newer get it too.\n\n"
        "The result is an OCI image in the store, which is an image layout that other tools read, "
        "and is ready to mount. Prints the manifest's digest. When it fails, the store is as it "
        "was.",
    .options = options,
    .values_size = sizeof(struct create_values),
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
