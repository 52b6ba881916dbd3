/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs pull: images into the store. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "oci/reference.h"
#include "oci/transport.h"
#include "oci/util/io.h"
#include "tools/output.h"
#include "tools/prepare.h"
#include "tools/progress.h"
#include "tools/registry_values.h"

struct pull_values {
    const char *tag;
    struct oci_platform platform;
    struct prepare_options options;
    struct registry_values registry;
    const char *digest_file;
    bool drop_blobs, json, all_platforms;
};

enum { REGISTRY_JOBS = 4 }; /* layers at a time where the network is what is waited for */

#define VALUE(field) offsetof(struct pull_values, field)
static const struct option_def options[] = {
    {.name = "tag",
        .argument = "NAME",
        .kind = OPTION_TEXT,
        .offset = VALUE(tag),
        .help = "the image's name in the store; default: the full reference, the tag in "
                "LOCATION, or the base name of its path without suffix"},
    {.name = "platform",
        .argument = "OS/ARCH[/VARIANT]",
        .kind = OPTION_PARSE,
        .offset = VALUE(platform),
        .parse = prepare_parse_platform,
        .help = "of an image for several platforms; default: this machine's"},
    {.name = "all-platforms",
        .kind = OPTION_FLAG,
        .offset = VALUE(all_platforms),
        .help = "all images of an index in a registry, and the index itself under the name"},
    {.name = "jobs",
        .letter = 'j',
        .argument = "N",
        .kind = OPTION_NUMBER,
        .offset = VALUE(options.jobs),
        .help = "layers at a time; default: the number of cores, 4 from a registry"},
    REGISTRY_OPTIONS(VALUE(registry)),
    {.name = "dest-digest-file",
        .argument = "FILE",
        .kind = OPTION_TEXT,
        .offset = VALUE(digest_file),
        .help = "write the digest into FILE"},
    {.name = "drop-blobs",
        .kind = OPTION_FLAG,
        .offset = VALUE(drop_blobs),
        .help = "keep only what a mount needs, not the layers' blobs; other tools cannot read such "
                "an image from the store, and a download that stops starts anew"},
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
        .help = "print an object with name, location, digest and size instead of the digest, and "
                "progress as lines of JSON on stderr"},
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

/* name: the reference that was found in a registry, or NULL. */
static int choose_tag(struct tool *tool, const struct pull_values *v,
    const struct oci_location *location, const char *name, char **ret_tag)
{
    _cleanup_(freep) char *tag = NULL;

    if (!name)
        name = location->name;
    if (v->tag || name)
        tag = strdup(v->tag ? v->tag : name);
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
    struct oci_image_source *source, const struct oci_location *location, const char *tag,
    struct oci_descriptor *ret_manifest)
{
    _cleanup_(progress_freep) struct progress *progress = NULL;
    struct oci_layer_limits limits = prepare_limits(v->options.max_layer_size);
    struct lfs_ingest_options ingest = {
        .jobs = v->options.jobs, .limits = &limits, .drop_blobs = v->drop_blobs};
    int r = progress_new("pull", v->options.quiet, &progress);

    if (r < 0)
        return r;
    if (v->json)
        progress_set_json(progress);
    if (ingest.jobs == 0 && location->transport == OCI_TRANSPORT_DOCKER)
        ingest.jobs = REGISTRY_JOBS;
    ingest.progress = progress_callbacks(progress);
    if (v->all_platforms)
        return lfs_index_import(store, source, tag, &ingest, ret_manifest, &tool->report);
    return lfs_image_import(store, source, tag, &ingest, ret_manifest, &tool->report);
}

static int write_digest(
    struct tool *tool, const struct pull_values *v, const struct oci_descriptor *manifest)
{
    _cleanup_(fd_closep) int fd = -1;
    char digest[OCI_DIGEST_STR_MAX];
    int r;

    if (!v->digest_file)
        return 0;
    (void)oci_digest_format(&manifest->digest, digest);
    fd = open(v->digest_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);
    r = fd < 0 ? neg_errno() : io_write_full(fd, digest, strlen(digest));
    return r < 0 ? report_errno(&tool->report, r, "%s", v->digest_file) : 0;
}

static int parse_location(struct tool *tool, const struct pull_values *v, const char *name,
    struct oci_registry_options *registry, struct oci_location *ret_location)
{
    int r = oci_location_parse(name, ret_location, &tool->report);

    if (r < 0)
        return r == -EINVAL ? EXIT_CODE_USAGE : r;
    if (v->all_platforms && ret_location->transport != OCI_TRANSPORT_DOCKER)
        return tool_usage(tool, "--all-platforms is for registries");
    registry->all_platforms = v->all_platforms;
    ret_location->registry = registry;
    return 0;
}

static int pull(struct tool *tool, struct lfs_store *store, const struct pull_values *v,
    struct oci_registry_options *registry, const char *name)
{
    _cleanup_(oci_location_deinit) struct oci_location location = {0};
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor manifest = {0};
    _cleanup_(oci_image_source_closep) struct oci_image_source *source = NULL;
    _cleanup_(freep) char *tag = NULL;
    int r = parse_location(tool, v, name, registry, &location);

    if (r == 0)
        r = oci_image_source_open(
            &location, prepare_platform(&v->platform), &source, &tool->report);
    if (r == 0)
        r = choose_tag(tool, v, &location, source->name, &tag);
    if (r == 0)
        r = import(tool, store, v, source, &location, tag, &manifest);
    if (r == 0)
        r = write_digest(tool, v, &manifest);
    if (r == 0)
        r = print_result(v, name, tag, &manifest);
    return r;
}

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct pull_values *v = values;
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    struct oci_registry_options registry;
    int r = registry_options_from(tool, &v->registry, &registry);

    if (r != 0)
        return r;
    if (v->all_platforms && v->platform.os[0])
        return tool_usage(tool, "only one of --platform and --all-platforms");
    if (v->digest_file && arg_count > 1)
        return tool_usage(tool, "--dest-digest-file is for one image, but there are %d", arg_count);
    (void)signal(SIGPIPE, SIG_IGN); /* a connection that is gone is an error of its write */

    if (v->tag && arg_count > 1)
        return tool_usage(tool, "--tag names one image, but there are %d", arg_count);
    if (v->tag && !oci_tag_is_valid(v->tag))
        return tool_usage(tool, "--tag: '%s' is not a valid name", v->tag);
    r = tool_open_store(tool, LFS_STORE_CREATE, &store);
    for (int i = 0; r == 0 && i < arg_count; i++) {
        tool->subject = args[i];
        r = pull(tool, store, v, &registry, args[i]);
    }
    return r;
}

const struct command command_pull = {
    .name = "pull",
    .arguments = "LOCATION...",
    .summary = "bring images into the store",
    .description =
        "LOCATION is [docker://][HOST[:PORT]/]PATH[:TAG][@DIGEST], an image in a registry; "
        "oci:DIR[:TAG], an image layout; oci-archive:FILE[:TAG], a layout in a tar; or "
        "docker-archive:FILE[:REF], what `docker save` writes.\n\n"
        "Each layer is read once and is ready to mount afterwards; layers and file contents that "
        "the store has are not read again. Prints the manifest's digest. When it fails, no image "
        "of the store has changed; what came of a registry's blobs is kept, also when the process "
        "is killed, and the next pull fetches only the rest.\n\n"
        "An image from a registry gets its full name (docker.io/library/debian:latest); other "
        "commands find it by the short one (debian) too.",
    .options = options,
    .values_size = sizeof(struct pull_values),
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
