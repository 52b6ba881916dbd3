/* SPDX-License-Identifier: Apache-2.0 */
/* layerfs validate: is everything what it should be? */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "layerfs/store/validate.h"
#include "oci/reference.h"
#include "tools/output.h"
#include "tools/tool.h"

struct validate_values {
    bool deep, repair, all, json, idle;
    unsigned jobs;
};

#define VALUE(field) offsetof(struct validate_values, field)
static const struct option_def options[] = {
    {.name = "deep",
        .kind = OPTION_FLAG,
        .offset = VALUE(deep),
        .help = "read everything: digests of all blobs, objects and contents in packs, diffIDs and "
                "entries of layers, and images' trees against those of their layers"},
    {.name = "repair",
        .kind = OPTION_FLAG,
        .offset = VALUE(repair),
        .help =
            "make bad trees, packs and objects anew from the blobs; remove bad blobs, which the "
            "next pull then fetches; put permissions right"},
    {.name = "all",
        .letter = 'a',
        .kind = OPTION_FLAG,
        .offset = VALUE(all),
        .help = "the whole store, which is the default without IMAGE"},
    {.name = "jobs",
        .letter = 'j',
        .argument = "N",
        .kind = OPTION_NUMBER,
        .offset = VALUE(jobs),
        .help = "threads; default: the number of cores"},
    {.name = "idle",
        .kind = OPTION_FLAG,
        .offset = VALUE(idle),
        .help = "take only the processor and disk time that nobody else wants"},
    {.name = "json",
        .kind = OPTION_FLAG,
        .offset = VALUE(json),
        .help = "print an object: findings (severity, kind, object, text, dependents, repair), "
                "errors, warnings, images, things, bytes"},
    {0},
};

/* The lowest class of ioprio_set(2), and the lowest priority. */
static void become_idle(void)
{
    enum { WHO_PROCESS = 1, CLASS_IDLE = 3, CLASS_SHIFT = 13 };

    (void)setpriority(PRIO_PROCESS, 0, 19);
    (void)syscall(SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE << CLASS_SHIFT);
}

/* ------------------------------------------------------------------------------------------------
 * Printing
 */

static const char *repair_text(const struct lfs_finding *f)
{
    static const char *const texts[] = {
        [LFS_REPAIR_NONE] = NULL,
        [LFS_REPAIR_DONE] = "repaired",
        [LFS_REPAIR_REFETCH] = "removed: the next pull of the image fetches it",
        [LFS_REPAIR_FAILED] = "could not be repaired",
    };

    return texts[f->repair];
}

static void print_finding(const struct lfs_finding *f)
{
    printf("%s: %s: ", f->is_error ? "error" : "warning", lfs_finding_kind_name(f->kind));
    output_text(stdout, f->object);
    printf(": ");
    output_text(stdout, f->text);
    if (f->dependents) {
        printf(" (needed by ");
        output_text(stdout, f->dependents);
        printf(")");
    }
    if (repair_text(f))
        printf(" [%s]", repair_text(f));
    printf("\n");
}

static json_t *finding_json(const struct lfs_finding *f)
{
    static const char *const states[] = {"none", "repaired", "refetch", "failed"};

    return json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s}", "severity",
        f->is_error ? "error" : "warning", "kind", lfs_finding_kind_name(f->kind), "object",
        f->object, "text", f->text, "dependents", f->dependents, "repair", states[f->repair]);
}

/* What several arguments gave. */
struct total {
    const struct validate_values *values;
    json_t *findings; /* with --json */
    uint64_t errors, warnings, images, things, bytes;
};

static int add_up(struct total *t, const struct lfs_validation *v)
{
    for (size_t i = 0; i < v->count; i++) {
        if (!t->values->json)
            print_finding(&v->findings[i]);
        else if (json_array_append_new(t->findings, finding_json(&v->findings[i])) < 0)
            return -ENOMEM;
    }
    t->errors += v->errors;
    t->warnings += v->warnings;
    t->images += v->images;
    t->things += v->things;
    t->bytes += v->bytes;
    return 0;
}

static int print_total(struct total *t)
{
    char size[SIZE_TEXT_MAX];

    if (t->values->json)
        return output_json(json_pack("{s:O, s:I, s:I, s:I, s:I, s:I}", "findings", t->findings,
            "errors", (json_int_t)t->errors, "warnings", (json_int_t)t->warnings, "images",
            (json_int_t)t->images, "things", (json_int_t)t->things, "bytes", (json_int_t)t->bytes));
    return printf("%llu images, %llu things, %s read: %llu errors, %llu warnings\n",
               (unsigned long long)t->images, (unsigned long long)t->things,
               format_size(t->bytes, size), (unsigned long long)t->errors,
               (unsigned long long)t->warnings) < 0
               ? -EIO
               : 0;
}

/* ------------------------------------------------------------------------------------------------
 * Work
 */

static bool is_location(const char *name)
{
    static const char *const schemes[] = {"oci:", "oci-archive:", "docker-archive:"};

    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
        if (strncmp(name, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

static int validate_layout(const struct oci_location *location,
    const struct lfs_validate_options *o, struct lfs_validation *ret_v, struct report *r)
{
    _cleanup_(oci_layout_closep) struct oci_layout *layout = NULL;
    int err = oci_layout_open(location->path, &layout, r);

    return err < 0 ? err : lfs_validate_layout(layout, location->name, o, ret_v, r);
}

static int validate_archive(const struct oci_location *location,
    const struct lfs_validate_options *o, struct lfs_validation *ret_v, struct report *r)
{
    _cleanup_(oci_image_source_closep) struct oci_image_source *source = NULL;
    int err = oci_image_source_open(location, NULL, &source, r);

    return err < 0 ? err : lfs_validate_source(source, o, ret_v, r);
}

static int validate_location(struct tool *tool, struct total *t, const char *name)
{
    const struct validate_values *v = t->values;
    struct lfs_validate_options o = {.deep = v->deep, .jobs = v->jobs};
    _cleanup_(oci_location_deinit) struct oci_location location = {0};
    _cleanup_(lfs_validation_deinit) struct lfs_validation result = {0};
    int r;

    tool->subject = name;
    r = oci_location_parse(name, &location, &tool->report);
    if (r < 0)
        return r == -EINVAL ? EXIT_CODE_USAGE : r;
    if (location.transport == OCI_TRANSPORT_OCI)
        r = validate_layout(&location, &o, &result, &tool->report);
    else
        r = validate_archive(&location, &o, &result, &tool->report);
    return r < 0 ? r : add_up(t, &result);
}

static int validate_store(
    struct tool *tool, struct total *t, const char *const *images, size_t count)
{
    const struct validate_values *v = t->values;
    struct lfs_validate_options o = {.deep = v->deep,
        .repair = v->repair,
        .jobs = v->jobs,
        .images = count ? images : NULL,
        .image_count = count};
    _cleanup_(lfs_validation_deinit) struct lfs_validation result = {0};
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    int r = tool_open_store(tool, v->repair ? 0 : LFS_STORE_READ_ONLY, &store);

    tool->subject = NULL;
    if (r == 0)
        r = lfs_validate_store(store, &o, &result, &tool->report);
    return r < 0 ? r : add_up(t, &result);
}

static int validate(struct tool *tool, struct total *t, char **args, size_t count)
{
    _cleanup_(freep) const char **images = calloc(count + 1, sizeof(*images));
    size_t image_count = 0;
    int r = images ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < count; i++) {
        if (is_location(args[i]))
            r = validate_location(tool, t, args[i]);
        else
            images[image_count++] = args[i];
    }
    if (r == 0 && (image_count || !count || t->values->all))
        r = validate_store(tool, t, images, t->values->all ? 0 : image_count);
    return r;
}

static int run(struct tool *tool, const void *values, char **args, int arg_count)
{
    const struct validate_values *v = values;
    struct total t = {.values = v, .findings = json_array()};
    int r = t.findings ? lfs_tree_guard_install() : -ENOMEM;

    if (v->idle)
        become_idle();
    if (r == 0)
        r = validate(tool, &t, args, (size_t)arg_count);
    if (r == 0)
        r = print_total(&t);
    json_decref(t.findings);
    tool->subject = NULL;
    if (r == 0 && t.errors)
        return report_fail(&tool->report, -EBADMSG, "%llu errors", (unsigned long long)t.errors);
    return r;
}

const struct command command_validate = {
    .name = "validate",
    .arguments = "[IMAGE|LOCATION]...",
    .summary = "check images and the store",
    .description =
        "Checks the rules of the image specification, that all blobs are there with the right "
        "size, that trees are sound, and that what they refer to is there; with --deep every byte. "
        "For each finding: what is wrong, with which file, and which images need it.\n\n"
        "IMAGE is an image of the store; without one the whole store is checked, with its names, "
        "permissions and notes. LOCATION is oci:DIR[:TAG], oci-archive:FILE or "
        "docker-archive:FILE, "
        "which is read where it is.\n\n"
        "The exit status is 4 when errors are left, and 0 when there are only warnings.",
    .options = options,
    .values_size = sizeof(struct validate_values),
    .min_args = 0,
    .max_args = -1,
    .run = run,
};
