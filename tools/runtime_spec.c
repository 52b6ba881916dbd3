/* SPDX-License-Identifier: Apache-2.0 */
/* config.json of a runtime bundle.
 *
 * What does not depend on the image stands here as JSON: mounts, masked paths and capabilities as
 * container engines have them by default. There are no rlimits: the runtime's own apply, and none
 * needs a right that the caller may lack. */
#include "tools/runtime_spec.h"

#include <string.h>

static const char skeleton[] =
    "{\"ociVersion\":\"1.0.2\",\"hostname\":\"container\","
    "\"mounts\":["
    "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\","
    "\"options\":[\"nosuid\",\"noexec\",\"nodev\"]},"
    "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
    "\"options\":[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]},"
    "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\","
    "\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\"]},"
    "{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\","
    "\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]},"
    "{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\","
    "\"options\":[\"nosuid\",\"noexec\",\"nodev\"]}],"
    "\"linux\":{"
    "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"}]"
    ","
    "\"maskedPaths\":[\"/proc/acpi\",\"/proc/asound\",\"/proc/kcore\",\"/proc/keys\","
    "\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\",\"/proc/sched_debug\","
    "\"/proc/scsi\",\"/sys/firmware\",\"/sys/fs/selinux\",\"/sys/dev/block\"],"
    "\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\","
    "\"/proc/sysrq-trigger\"]}}";

static const char sys_mount[] = "{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\","
                                "\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]}";
static const char sys_bind[] = "{\"destination\":\"/sys\",\"type\":\"none\",\"source\":\"/sys\","
                               "\"options\":[\"rbind\",\"nosuid\",\"noexec\",\"nodev\",\"ro\"]}";
static const char cgroup_mount[] =
    "{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup\",\"source\":\"cgroup\","
    "\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"relatime\",\"ro\"]}";
static const char no_devices[] = "{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]}";

static const char *const capabilities[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
};

static const char default_path[] =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static const json_t *image_field(const struct spec_request *q, const char *key)
{
    return json_object_get(json_object_get(q->image->json, "config"), key);
}

static json_t *strings(const char *const *items, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < count; i++)
        (void)json_array_append_new(array, json_string(items[i]));
    return array;
}

/* Appends an array of strings of the image's config; null and a missing one are empty. */
static int append_field(const struct spec_request *q, const char *key, json_t *to, struct report *r)
{
    const json_t *from = image_field(q, key);
    size_t i;
    json_t *item;

    if (from && !json_is_array(from) && !json_is_null(from))
        return report_fail(r, -EBADMSG, "config: %s is not an array", key);
    json_array_foreach(from, i, item)
    {
        if (!json_is_string(item))
            return report_fail(r, -EBADMSG, "config: %s holds something else than strings", key);
        if (json_array_append(to, item) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_args(const struct spec_request *q, json_t *process, struct report *r)
{
    json_t *args = json_array();
    int err = json_object_set_new(process, "args", args) < 0 ? -ENOMEM : 0;

    if (err == 0)
        err = append_field(q, "Entrypoint", args, r);
    if (err == 0 && !q->args)
        err = append_field(q, "Cmd", args, r);
    for (size_t i = 0; err == 0 && q->args && i < q->arg_count; i++)
        if (json_array_append_new(args, json_string(q->args[i])) < 0)
            err = report_fail(r, -EINVAL, "an argument of the command is not UTF-8");
    if (err == 0 && json_array_size(args) == 0)
        err = report_fail(r, -EINVAL, "the image names no command; give one behind --");
    return err;
}

static bool has_variable(const json_t *env, const char *name)
{
    size_t size = strlen(name), i;
    json_t *item;

    json_array_foreach(env, i, item)
    {
        if (strncmp(json_string_value(item), name, size) == 0)
            return true;
    }
    return false;
}

static int add_env(const struct spec_request *q, json_t *process, struct report *r)
{
    json_t *env = json_array();
    const char *home = q->user->home ? q->user->home : "/";
    int err = json_object_set_new(process, "env", env) < 0 ? -ENOMEM : 0;

    if (err == 0)
        err = append_field(q, "Env", env, r);
    if (err == 0 && !has_variable(env, "PATH="))
        err = json_array_append_new(env, json_string(default_path));
    if (err == 0 && !has_variable(env, "HOME="))
        err = json_array_append_new(env, json_sprintf("HOME=%s", home));
    if (err == 0 && q->terminal && !has_variable(env, "TERM="))
        err = json_array_append_new(env, json_string("TERM=xterm"));
    return err == -1 ? -ENOMEM : err;
}

static int add_user(const struct spec_request *q, json_t *process)
{
    json_t *groups = json_array();

    for (size_t i = 0; !q->rootless && i < q->user->group_count; i++)
        (void)json_array_append_new(groups, json_integer(q->user->groups[i]));
    return json_object_set_new(process, "user",
               json_pack("{s:I, s:I, s:o}", "uid", (json_int_t)q->user->uid, "gid",
                   (json_int_t)q->user->gid, "additionalGids", groups)) < 0
               ? -ENOMEM
               : 0;
}

/* Who is not root has no capability, but a setuid program may gain those of the bounding set. */
static int add_capabilities(const struct spec_request *q, json_t *process)
{
    size_t count = ARRAY_SIZE(capabilities);
    size_t held = q->user->uid == 0 ? count : 0;

    return json_object_set_new(process, "capabilities",
               json_pack("{s:o, s:o, s:o}", "bounding", strings(capabilities, count), "effective",
                   strings(capabilities, held), "permitted", strings(capabilities, held))) < 0
               ? -ENOMEM
               : 0;
}

static int add_process(const struct spec_request *q, json_t *spec, struct report *r)
{
    const char *cwd = json_string_value(image_field(q, "WorkingDir"));
    json_t *process = json_pack("{s:b, s:s, s:b}", "terminal", q->terminal, "cwd",
        cwd && cwd[0] ? cwd : "/", "noNewPrivileges", 0);
    int err = json_object_set_new(spec, "process", process) < 0 ? -ENOMEM : 0;

    if (err == 0 && cwd && cwd[0] && cwd[0] != '/')
        err = report_fail(r, -EBADMSG, "config: WorkingDir %s is not absolute", cwd);
    if (err == 0)
        err = add_args(q, process, r);
    if (err == 0)
        err = add_env(q, process, r);
    if (err == 0)
        err = add_user(q, process);
    if (err == 0)
        err = add_capabilities(q, process);
    return err;
}

static int append_text(json_t *array, const char *text)
{
    return json_array_append_new(array, json_loads(text, 0, NULL)) < 0 ? -ENOMEM : 0;
}

static int add_id_map(json_t *linux_part, const char *key, uint32_t container, uint32_t host)
{
    return json_object_set_new(linux_part, key,
               json_pack("[{s:I, s:I, s:i}]", "containerID", (json_int_t)container, "hostID",
                   (json_int_t)host, "size", 1)) < 0
               ? -ENOMEM
               : 0;
}

/* Without root: the caller is the one id of a user namespace, and /sys comes from outside. */
static int add_rootless(const struct spec_request *q, json_t *spec, json_t *linux_part)
{
    int err = append_text(json_object_get(linux_part, "namespaces"), "{\"type\":\"user\"}");

    if (err == 0)
        err = append_text(json_object_get(spec, "mounts"), sys_bind);
    if (err == 0)
        err = add_id_map(linux_part, "uidMappings", q->user->uid, geteuid());
    if (err == 0)
        err = add_id_map(linux_part, "gidMappings", q->user->gid, getegid());
    return err;
}

static int add_rooted(json_t *spec, json_t *linux_part)
{
    json_t *mounts = json_object_get(spec, "mounts");
    int err = append_text(mounts, sys_mount);

    if (err == 0)
        err = append_text(mounts, cgroup_mount);
    if (err == 0 &&
        json_object_set_new(linux_part, "resources", json_loads(no_devices, 0, NULL)) < 0)
        err = -ENOMEM;
    return err;
}

static int add_linux(const struct spec_request *q, json_t *spec)
{
    json_t *linux_part = json_object_get(spec, "linux");
    int err = q->rootless ? add_rootless(q, spec, linux_part) : add_rooted(spec, linux_part);

    if (err == 0 && !q->host_network)
        err = append_text(json_object_get(linux_part, "namespaces"), "{\"type\":\"network\"}");
    return err;
}

/* As image-spec's conversion.md has it. */
static int add_annotations(const struct spec_request *q, json_t *spec)
{
    const json_t *image = q->image->json;
    const char *signal = json_string_value(image_field(q, "StopSignal"));
    const char *created = json_string_value(json_object_get(image, "created"));
    json_t *a = json_object(), *value;
    const char *key;

    (void)json_object_set_new(a, "org.opencontainers.image.os", json_string(q->image->platform.os));
    (void)json_object_set_new(
        a, "org.opencontainers.image.architecture", json_string(q->image->platform.architecture));
    if (created)
        (void)json_object_set_new(a, "org.opencontainers.image.created", json_string(created));
    if (signal)
        (void)json_object_set_new(a, "org.opencontainers.image.stopSignal", json_string(signal));
    /* json_object_foreach() wants a pointer that it could change. */
    value = json_object_get(json_object_get(image, "config"), "Labels");
    for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at)) {
        key = json_object_iter_key(at);
        if (json_is_string(json_object_iter_value(at)))
            (void)json_object_set(a, key, json_object_iter_value(at));
    }
    return json_object_set_new(spec, "annotations", a) < 0 ? -ENOMEM : 0;
}

int runtime_spec_build(const struct spec_request *q, json_t **ret_spec, struct report *r)
{
    json_t *spec = json_loads(skeleton, 0, NULL);
    int err = spec ? add_process(q, spec, r) : -ENOMEM;

    if (err == 0 && json_object_set_new(spec, "root",
                        json_pack("{s:s, s:b}", "path", "rootfs", "readonly", q->readonly)) < 0)
        err = -ENOMEM;
    if (err == 0)
        err = add_linux(q, spec);
    if (err == 0)
        err = add_annotations(q, spec);
    if (err < 0) {
        json_decref(spec);
        return err;
    }
    *ret_spec = spec;
    return 0;
}
