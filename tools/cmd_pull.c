/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs pull: images into the store. */
#include <stdio.h>
#include <string.h>

#include "oci/reference.h"
#include "oci/transport.h"
#include "tools/output.h"
#include "tools/prepare.h"
#include "tools/progress.h"

struct pull_values {
    const char *tag;
    struct oci_platform platform;
    struct prepare_options options;
    bool drop_blobs, json;
};

#define VALUE(field) offsetof(struct pull_values, field)
static const struct option_def options[] = {
    {.name = "tag",
        .argument = "NAME",
        .kind = OPTION_TEXT,
        .offset = VALUE(tag),
        .help = "the image's name in the store; default: the tag in LOCATION, else the base name "
                "of its path without suffix"},
    {.name = "platform",
        .argument = "OS/ARCH[/VARIANT]",
        .kind = OPTION_PARSE,
        .offset = VALUE(platform),
        .parse = prepare_parse_platform,
        .help = "of an image for several platforms; default: this machine's"},
    {.name = "jobs",
        .letter = 'j',
        .argument = "N",
        .kind = OPTION_NUMBER,
        .offset = VALUE(options.jobs),
        .help = "layers at a time; default: the number of cores"},
    {.name = "drop-blobs",
        .kind = OPTION_FLAG,
        .offset = VALUE(drop_blobs),
        .help = "keep only what a mount needs, not the layers' blobs; other tools cannot read such "
                "an image from the store"},
    {.name = "max-layer-size",
        .argument = "SIZE",
        .kind = OPTION_SIZE,
        .offset = VALUE(options.max_layer_size),
        .help = "refuse a layer whose tar is larger, however small it was compressed; default 1T"},
    {.name = "quiet",
        .letter = 'q',
        .kind = OPTION_FLAG,
        .offset = VALUE(options.quiet),
        .help = "no progress"},
    {.name = "json",
        .kind = OPTION_FLAG,
        .offset = VALUE(json),
        .help = "print an object with name, location, digest and size instead of the digest"},
    {0},
};

/* The base name of a path without its last suffix, made a valid tag; free() it. */
static char *tag_of_path(const char *path)
{
    size_t size = strlen(path), start;
    const char *dot;
    char *tag;

    while (size > 1 && path[size - 1] == '/')
        size--;
    for (start = size; start > 0 && path[start - 1] != '/';)
        start--;
    tag = strndup(path + start, size - start);
    dot = tag ? strrchr(tag, '.') : NULL;
    if (dot && dot > tag && strcmp(dot, ".tar") == 0)
        tag[dot - tag] = '\0';
    return tag;
}

static int choose_tag(struct tool *tool, const struct pull_values *v,
    const struct oci_location *location, char **ret_tag)
{
    _cleanup_(freep) char *tag = NULL;

    if (v->tag || location->name)
        tag = strdup(v->tag ? v->tag : location->name);
    else
        tag = tag_of_path(location->path);
    if (!tag)
        return -ENOMEM;
    if (!oci_tag_is_valid(tag))
        return tool_usage(tool, "'%s' is not a valid name; give one by --tag", tag);
    *ret_tag = TAKE_PTR(tag);
    return 0;
}

static int print_result(const struct pull_values *v, const char *location, const char *tag,
    const struct oci_descriptor *manifest)
{
    char digest[OCI_DIGEST_STR_MAX];

    (void)oci_digest_format(&manifest->digest, digest);
    if (v->json)
        return output_json(json_pack("{s:s, s:s, s:s, s:I}", "name", tag, "location", location,
            "digest", digest, "size", (json_int_t)manifest->size));
    return printf("%s\n", digest) < 0 ? -EIO : 0;
}

static int import(struct tool *tool, struct lfs_store *store, const struct pull_values *v,
    const struct oci_location *location, const char *tag, struct oci_descriptor *ret_manifest)
{
    _cleanup_(oci_image_source_closep) struct oci_image_source *source = NULL;
    _cleanup_(progress_freep) struct progress *progress = NULL;
    struct oci_layer_limits limits = prepare_limits(v->options.max_layer_size);
    struct lfs_ingest_options ingest = {
        .jobs = v->options.jobs, .limits = &limits, .drop_blobs = v->drop_blobs};
    int r = progress_new("pull", v->options.quiet, &progress);

    if (r == 0)
        r = oci_image_source_open(location, prepare_platform(&v->platform), &source, &tool->report);
    if (r < 0)
        return r;
    ingest.progress = progress_callbacks(progress);
    return lfs_image_import(store, source, tag, &ingest, ret_manifest, &tool->report);
}

static int pull(
    struct tool *tool, struct lfs_store *store, const struct pull_values *v, const char *name)
{
    _cleanup_(oci_location_deinit) struct oci_location location = {0};
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor manifest = {0};
    _cleanup_(freep) char *tag = NULL;
    int r = oci_location_parse(name, &location, &tool->report);

    if (r < 0)
        return r == -EINVAL ? EXIT_CODE_USAGE : r;
    if (location.transport == OCI_TRANSPORT_DOCKER)
        return report_fail(&tool->report, -EOPNOTSUPP,
            "registries are not supported by this version; copy the image into a layout first and "
            "pull oci:DIR");
    r = choose_tag(tool, v, &location, &tag);
    if (r == 0)
        r = import(tool, store, v, &location, tag, &manifest);
    if (r == 0)
        r = print_result(v, name, tag, &manifest);
    return r;
}

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct pull_values *v = values;
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    int r;

    if (v->tag && arg_count > 1)
        return tool_usage(tool, "--tag names one image, but there are %d", arg_count);
    if (v->tag && !oci_tag_is_valid(v->tag))
        return tool_usage(tool, "--tag: '%s' is not a valid name", v->tag);
    r = tool_open_store(tool, LFS_STORE_CREATE, &store);
    for (int i = 0; r == 0 && i < arg_count; i++) {
        tool->subject = args[i];
        r = pull(tool, store, v, args[i]);
    }
    return r;
}

const struct command command_pull = {
    .name = "pull",
    .arguments = "LOCATION...",
    .summary = "bring images into the store",
    .description =
        "LOCATION is oci:DIR[:TAG], an image layout; oci-archive:FILE[:TAG], a layout in a tar; or "
        "docker-archive:FILE[:REF], what `docker save` writes. Registries (docker://REF) are not "
        "supported by this version.\n\n"
        "Each layer is read once and is ready to mount afterwards; layers and file contents that "
        "the store has are not read again. Prints the manifest's digest. When it fails, the store "
        "is as it was.",
    .options = options,
    .values_size = sizeof(struct pull_values),
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
