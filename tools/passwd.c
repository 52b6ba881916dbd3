/* SPDX-License-Identifier: Apache-2.0 */
/* Reading passwd and group texts of an image; they are foreign, so broken lines are passed over. */
#include "tools/passwd.h"

#include <stdio.h>
#include <string.h>

#include "tools/options.h"

enum { FIELDS = 7 };

/* A line's fields, not terminated. */
struct line {
    const char *fields[FIELDS];
    size_t sizes[FIELDS];
    size_t count;
};

void process_user_deinit(struct process_user *user)
{
    free(user->groups);
    free(user->home);
    *user = (struct process_user){0};
}

/* Splits the line at *text and steps over it. False at the end. */
static bool next_line(const char **text, struct line *line)
{
    const char *at = *text;

    if (!*at)
        return false;
    line->count = 0;
    for (;;) {
        size_t size = strcspn(at, ":\n");

        if (line->count < FIELDS) {
            line->fields[line->count] = at;
            line->sizes[line->count++] = size;
        }
        at += size;
        if (*at != ':')
            break;
        at++;
    }
    *text = at + (*at == '\n');
    return true;
}

static bool field_is(const struct line *line, size_t i, const char *text)
{
    return i < line->count && line->sizes[i] == strlen(text) &&
           memcmp(line->fields[i], text, line->sizes[i]) == 0;
}

static bool field_id(const struct line *line, size_t i, uint32_t *ret_id)
{
    char number[16];
    uint64_t id;

    if (i >= line->count || line->sizes[i] >= sizeof(number))
        return false;
    memcpy(number, line->fields[i], line->sizes[i]);
    number[line->sizes[i]] = '\0';
    if (parse_number(number, UINT32_MAX - 1, &id) < 0)
        return false;
    *ret_id = (uint32_t)id;
    return true;
}

/* The line whose name is `name`, or whose id is the number in it. */
static bool find(const char *text, const char *name, struct line *ret_line)
{
    struct line line;
    uint64_t wanted;
    bool by_id = parse_number(name, UINT32_MAX - 1, &wanted) == 0;

    while (next_line(&text, &line)) {
        uint32_t id;

        if (!field_id(&line, 2, &id))
            continue;
        if (field_is(&line, 0, name) || (by_id && id == wanted)) {
            *ret_line = line;
            return true;
        }
    }
    return false;
}

static bool is_member(const struct line *line, const char *name, size_t name_size)
{
    const char *at = line->count > 3 ? line->fields[3] : "";
    const char *end = line->count > 3 ? at + line->sizes[3] : at;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t size = (size_t)((comma ? comma : end) - at);

        if (size == name_size && memcmp(at, name, size) == 0)
            return true;
        at += size + 1;
    }
    return false;
}

static int compare_ids(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static int add_groups(
    const char *group, const char *name, size_t name_size, struct process_user *user)
{
    struct line line;

    while (next_line(&group, &line)) {
        uint32_t id, *groups;

        if (!is_member(&line, name, name_size) || !field_id(&line, 2, &id) || id == user->gid)
            continue;
        groups = reallocarray(user->groups, user->group_count + 1, sizeof(*groups));
        if (!groups)
            return -ENOMEM;
        groups[user->group_count++] = id;
        user->groups = groups;
    }
    if (user->group_count)
        qsort(user->groups, user->group_count, sizeof(uint32_t), compare_ids);
    return 0;
}

static int resolve_group(
    const char *name, const char *group, struct process_user *user, struct report *r)
{
    struct line line;
    uint64_t id;

    if (find(group, name, &line)) {
        (void)field_id(&line, 2, &user->gid);
        return 0;
    }
    if (parse_number(name, UINT32_MAX - 1, &id) < 0)
        return report_fail(r, -ENOENT, "group '%s' is not in the image's /etc/group", name);
    user->gid = (uint32_t)id;
    return 0;
}

/* *ret_line: the user's line; count 0 when there is none. */
static int resolve_user(const char *name, const char *passwd, struct process_user *user,
    struct line *ret_line, struct report *r)
{
    uint64_t id;

    if (find(passwd, name, ret_line)) {
        (void)field_id(ret_line, 2, &user->uid);
        (void)field_id(ret_line, 3, &user->gid);
        if (ret_line->count > 5 && ret_line->sizes[5] &&
            !(user->home = strndup(ret_line->fields[5], ret_line->sizes[5])))
            return -ENOMEM;
        return 0;
    }
    ret_line->count = 0;
    if (parse_number(name, UINT32_MAX - 1, &id) < 0)
        return report_fail(r, -ENOENT, "user '%s' is not in the image's /etc/passwd", name);
    user->uid = (uint32_t)id;
    return 0;
}

int process_user_resolve(const char *spec, const char *passwd, const char *group,
    struct process_user *ret_user, struct report *r)
{
    _cleanup_(freep) char *name = strdup(spec && spec[0] && spec[0] != ':' ? spec : "0");
    const char *colon = spec ? strchr(spec, ':') : NULL;
    _cleanup_(process_user_deinit) struct process_user user = {0};
    struct line line = {.count = 0};
    int err;

    if (!name)
        return -ENOMEM;
    name[strcspn(name, ":")] = '\0';
    err = resolve_user(name, passwd, &user, &line, r);
    if (err == 0 && colon && colon[1])
        err = resolve_group(colon + 1, group, &user, r);
    else if (err == 0 && line.count)
        err = add_groups(group, line.fields[0], line.sizes[0], &user);
    if (err < 0)
        return err;
    *ret_user = user;
    user = (struct process_user){0};
    return 0;
}
