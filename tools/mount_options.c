/* SPDX-License-Identifier: Apache-2.0 */
/* The options behind -o.
 *
 * mount(8) passes what stands in fstab, so words that are for mount(8) itself are dropped; `rw` is
 * among them because mount(8) always says it, and the image below is read-only all the same.
 * Everything else must be known: an option that is silently ignored is one that the user relies on
 * in vain. */
#include "tools/mount_options.h"

#include <string.h>
#include <sys/mount.h>

enum action {
    ACTION_DROP,
    ACTION_PASS,  /* on to FUSE */
    ACTION_SET,   /* a mount flag: on to FUSE, and set for an overlay */
    ACTION_CLEAR, /* the same, cleared */
    ACTION_DATA,
    ACTION_TRANSPORT,
    ACTION_STORE,
    ACTION_UPPER,
    ACTION_WORK,
    ACTION_FSNAME,
    ACTION_ALLOW_OTHER,
};

/* A name that ends in '=' takes a value, one that ends in '*' stands for all that start so. */
static const struct known {
    const char *name;
    enum action action;
    unsigned long flag;
} known[] = {
    {"rw", ACTION_DROP, 0},
    {"defaults", ACTION_DROP, 0},
    {"auto", ACTION_DROP, 0},
    {"noauto", ACTION_DROP, 0},
    {"user", ACTION_DROP, 0},
    {"user=", ACTION_DROP, 0},
    {"nouser", ACTION_DROP, 0},
    {"users", ACTION_DROP, 0},
    {"owner", ACTION_DROP, 0},
    {"group", ACTION_DROP, 0},
    {"_netdev", ACTION_DROP, 0},
    {"nofail", ACTION_DROP, 0},
    {"comment=", ACTION_DROP, 0},
    {"x-*", ACTION_DROP, 0},
    {"X-*", ACTION_DROP, 0},
    {"uhelper=", ACTION_DROP, 0},
    {"helper=", ACTION_DROP, 0},
    {"subtype=", ACTION_DROP, 0}, /* it is always layerfs */
    {"relatime", ACTION_DROP, 0},
    {"norelatime", ACTION_DROP, 0},
    {"strictatime", ACTION_DROP, 0},
    {"nostrictatime", ACTION_DROP, 0},
    {"lazytime", ACTION_DROP, 0},
    {"nolazytime", ACTION_DROP, 0},
    {"diratime", ACTION_DROP, 0},
    {"nodiratime", ACTION_DROP, 0},
    {"async", ACTION_DROP, 0},
    {"silent", ACTION_DROP, 0},
    {"loud", ACTION_DROP, 0},
    {"default_permissions", ACTION_DROP, 0}, /* it always is */
    {"ro", ACTION_SET, MS_RDONLY},
    {"suid", ACTION_CLEAR, MS_NOSUID},
    {"nosuid", ACTION_SET, MS_NOSUID},
    {"dev", ACTION_CLEAR, MS_NODEV},
    {"nodev", ACTION_SET, MS_NODEV},
    {"exec", ACTION_CLEAR, MS_NOEXEC},
    {"noexec", ACTION_SET, MS_NOEXEC},
    {"atime", ACTION_CLEAR, MS_NOATIME},
    {"noatime", ACTION_SET, MS_NOATIME},
    {"sync", ACTION_PASS, 0},
    {"dirsync", ACTION_PASS, 0},
    {"context=", ACTION_PASS, 0},
    {"fscontext=", ACTION_PASS, 0},
    {"defcontext=", ACTION_PASS, 0},
    {"rootcontext=", ACTION_PASS, 0},
    {"max_read=", ACTION_PASS, 0},
    {"allow_other", ACTION_ALLOW_OTHER, 0},
    {"fsname=", ACTION_FSNAME, 0},
    {"data=", ACTION_DATA, 0},
    {"transport=", ACTION_TRANSPORT, 0},
    {"store=", ACTION_STORE, 0},
    {"upper=", ACTION_UPPER, 0},
    {"upperdir=", ACTION_UPPER, 0},
    {"work=", ACTION_WORK, 0},
    {"workdir=", ACTION_WORK, 0},
};

void mount_options_init(struct mount_options *o)
{
    /* What an image holds is foreign: neither its setuid programs nor its device nodes work unless
     * asked for. Only root's mount serves others, as only root can let containers in. */
    *o = (struct mount_options){.flags = MS_NOSUID | MS_NODEV, .allow_other = geteuid() == 0};
}

void mount_options_deinit(struct mount_options *o)
{
    free(o->store);
    free(o->upper);
    free(o->work);
    free(o->fsname);
    buf_deinit(&o->fuse);
}

static const struct known *find(const char *option)
{
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        const char *name = known[i].name;
        size_t size = strlen(name);
        bool same = name[size - 1] == '*'   ? strncmp(option, name, size - 1) == 0
                    : name[size - 1] == '=' ? strncmp(option, name, size) == 0
                                            : strcmp(option, name) == 0;

        if (same)
            return &known[i];
    }
    return NULL;
}

/* Commas and backslashes of a value are escaped again for the next parser. */
static int pass(struct mount_options *o, const char *option)
{
    int r = o->fuse.size ? buf_append_str(&o->fuse, ",") : 0;

    for (; r == 0 && *option; option++) {
        if (*option == ',' || *option == '\\')
            r = buf_append_str(&o->fuse, "\\");
        if (r == 0)
            r = buf_append(&o->fuse, option, 1);
    }
    return r;
}

static int keep(char **ret, const char *value)
{
    char *copy = strdup(value);

    if (!copy)
        return -ENOMEM;
    free(*ret);
    *ret = copy;
    return 0;
}

static int apply(struct mount_options *o, const struct known *k, const char *option)
{
    const char *equals = strchr(option, '=');
    const char *value = equals ? equals + 1 : "";

    switch (k->action) {
    case ACTION_DROP:
        return 0;
    case ACTION_PASS:
        return pass(o, option);
    case ACTION_SET:
        o->flags |= k->flag;
        return pass(o, option);
    case ACTION_CLEAR:
        o->flags &= ~k->flag;
        return pass(o, option);
    case ACTION_DATA:
        return lfs_data_mode_parse(value, &o->data_mode);
    case ACTION_TRANSPORT:
        return lfs_transport_parse(value, &o->transport);
    case ACTION_STORE:
        return keep(&o->store, value);
    case ACTION_UPPER:
        return keep(&o->upper, value);
    case ACTION_WORK:
        return keep(&o->work, value);
    case ACTION_FSNAME:
        return keep(&o->fsname, value);
    case ACTION_ALLOW_OTHER:
        o->allow_other = true;
        return 0;
    }
    return -EINVAL;
}

static int add_one(struct mount_options *o, const char *option, struct report *r)
{
    const struct known *k;
    int err;

    if (!*option) /* "a,,b": container tools write that */
        return 0;
    k = find(option);
    if (!k)
        return report_fail(r, -EINVAL, "unknown mount option '%s'", option);
    err = apply(o, k, option);
    if (err < 0)
        return report_errno(r, err, "mount option '%s'", option);
    return 0;
}

int mount_options_add(struct mount_options *o, const char *list, struct report *r)
{
    _cleanup_(freep) char *option = malloc(strlen(list) + 1);
    size_t size = 0;
    int err = 0;

    if (!option)
        return report_fail(r, -ENOMEM, "out of memory");
    for (; err == 0; list++) {
        if (*list == '\\' && list[1])
            option[size++] = *++list;
        else if (*list && *list != ',')
            option[size++] = *list;
        else {
            option[size] = '\0';
            size = 0;
            err = add_one(o, option, r);
            if (!*list)
                break;
        }
    }
    return err;
}

const char *mount_options_fuse(struct mount_options *o)
{
    if (buf_append(&o->fuse, "", 1) < 0)
        return NULL;
    o->fuse.size--;
    return (const char *)o->fuse.data;
}
