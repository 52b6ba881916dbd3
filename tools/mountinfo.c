/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/self/mountinfo: "36 35 98:0 /root /mountpoint rw,noatime shared:1 - type source options",
 * with space, tab, newline and backslash as three octal digits. */
#include "tools/mountinfo.h"

#include <stdio.h>
#include <string.h>

void mountinfo_deinit(struct mountinfo *m)
{
    free(m->mountpoint);
    free(m->type);
    free(m->source);
    free(m->options);
    *m = (struct mountinfo){0};
}

static bool is_octal(const char *s)
{
    return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' && s[2] <= '7';
}

/* A field with its escapes resolved; free() it. */
static char *unescape(const char *field)
{
    char *text = malloc(strlen(field) + 1), *to = text;

    if (!text)
        return NULL;
    while (*field) {
        if (field[0] == '\\' && is_octal(field + 1)) {
            *to++ = (char)((field[1] - '0') * 64 + (field[2] - '0') * 8 + field[3] - '0');
            field += 4;
        } else {
            *to++ = *field++;
        }
    }
    *to = '\0';
    return text;
}

int mountinfo_parse(const char *line, struct mountinfo *ret_mount)
{
    _cleanup_(freep) char *copy = strdup(line);
    _cleanup_(mountinfo_deinit) struct mountinfo m = {0};
    char *fields[5] = {0}, *rest = copy, *tail;

    if (!copy)
        return -ENOMEM;
    copy[strcspn(copy, "\n")] = '\0';
    tail = strstr(copy, " - ");
    if (!tail)
        return -EBADMSG;
    *tail = '\0';
    tail += 3;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (!(fields[i] = strsep(&rest, " ")))
            return -EBADMSG;
    m.id = atoi(fields[0]);
    m.mountpoint = unescape(fields[4]);
    for (size_t i = 0; i < 3; i++)
        if (!(fields[i] = strsep(&tail, " ")))
            return -EBADMSG;
    m.type = unescape(fields[0]);
    m.source = unescape(fields[1]);
    m.options = unescape(fields[2]);
    if (!m.mountpoint || !m.type || !m.source || !m.options)
        return -ENOMEM;
    *ret_mount = m;
    m = (struct mountinfo){0};
    return 0;
}

static void file_closep(FILE **f)
{
    if (*f)
        (void)fclose(*f);
}

/* The last mount that matches: mountpoint NULL: by id. */
static int find(const char *mountpoint, int id, struct mountinfo *ret_mount)
{
    _cleanup_(file_closep) FILE *f = fopen("/proc/self/mountinfo", "re");
    _cleanup_(freep) char *line = NULL;
    size_t size = 0;
    int r = -ENOENT;

    if (!f)
        return neg_errno();
    while (getline(&line, &size, f) > 0) {
        struct mountinfo m;

        if (mountinfo_parse(line, &m) < 0)
            continue;
        if (mountpoint ? strcmp(m.mountpoint, mountpoint) == 0 : m.id == id) {
            if (r == 0)
                mountinfo_deinit(ret_mount);
            *ret_mount = m;
            r = 0;
        } else {
            mountinfo_deinit(&m);
        }
    }
    return r;
}

int mountinfo_find(const char *mountpoint, struct mountinfo *ret_mount)
{
    return find(mountpoint, 0, ret_mount);
}

int mountinfo_find_id(int id, struct mountinfo *ret_mount)
{
    return find(NULL, id, ret_mount);
}

/* The table is read as a whole first: each() may change it. */
static int read_all(struct mountinfo **ret_mounts, size_t *ret_count)
{
    _cleanup_(file_closep) FILE *f = fopen("/proc/self/mountinfo", "re");
    _cleanup_(freep) char *line = NULL;
    size_t size = 0;

    if (!f)
        return neg_errno();
    while (getline(&line, &size, f) > 0) {
        struct mountinfo m, *mounts;

        if (mountinfo_parse(line, &m) < 0)
            continue;
        mounts = reallocarray(*ret_mounts, *ret_count + 1, sizeof(m));
        if (!mounts) {
            mountinfo_deinit(&m);
            return -ENOMEM;
        }
        *ret_mounts = mounts;
        mounts[(*ret_count)++] = m;
    }
    return 0;
}

int mountinfo_each(int (*each)(void *userdata, const struct mountinfo *mount), void *userdata)
{
    struct mountinfo *mounts = NULL;
    size_t count = 0;
    int r = read_all(&mounts, &count);

    for (size_t i = count; r == 0 && i-- > 0;)
        r = each(userdata, &mounts[i]);
    while (count > 0)
        mountinfo_deinit(&mounts[--count]);
    free(mounts);
    return r;
}
