/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields that registries send.
 *
 *     challenges ::= challenge ("," challenge)*        challenge ::= scheme [SP (token68 | params)]
 *     params     ::= param ("," param)*                param     ::= token "=" (token | quoted)
 *
 * A comma may be followed by a parameter or by the next challenge: it is a parameter when "=" comes
 * after its name. */
#include "oci/registry/header.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

void oci_challenge_deinit(struct oci_challenge *c)
{
    free(c->realm);
    free(c->service);
    free(c->scope);
    *c = (struct oci_challenge){0};
}

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_space(const char *s)
{
    return s + strspn(s, " \t");
}

static const char *skip_list(const char *s)
{
    return s + strspn(s, " \t,");
}

static size_t token_length(const char *s)
{
    size_t n = 0;

    while (is_token_char(s[n]))
        n++;
    return n;
}

/* Copies a quoted string without its quotes and backslashes; *s moves behind it. */
static int take_quoted(const char **s, char **ret_value)
{
    const char *from = *s + 1;
    char *value = malloc(strlen(from) + 1);
    size_t n = 0;

    if (!value)
        return -ENOMEM;
    for (; *from && *from != '"'; from++) {
        if (*from == '\\' && from[1])
            from++;
        value[n++] = *from;
    }
    if (*from != '"') {
        free(value);
        return -EBADMSG;
    }
    value[n] = '\0';
    *s = from + 1;
    *ret_value = value;
    return 0;
}

/* A parameter's value, a token (with what URLs need beyond one) or quoted. */
static int take_value(const char **s, char **ret_value)
{
    size_t n;

    if (**s == '"')
        return take_quoted(s, ret_value);
    n = strcspn(*s, " \t,\"");
    *ret_value = strndup(*s, n);
    *s += n;
    return *ret_value ? 0 : -ENOMEM;
}

static void keep(char **field, char **value)
{
    free(*field);
    *field = TAKE_PTR(*value);
}

static void set_param(
    struct oci_challenge *c, bool bearer, const char *name, size_t len, char **value)
{
    if (!bearer)
        return;
    if (len == 5 && strncasecmp(name, "realm", len) == 0)
        keep(&c->realm, value);
    else if (len == 7 && strncasecmp(name, "service", len) == 0)
        keep(&c->service, value);
    else if (len == 5 && strncasecmp(name, "scope", len) == 0)
        keep(&c->scope, value);
}

/* The parameters behind a scheme; *s stops at the next scheme or at the end. */
static int take_params(struct oci_challenge *c, bool bearer, const char **s)
{
    for (;;) {
        _cleanup_(freep) char *value = NULL;
        const char *name = skip_list(*s), *at;
        size_t len = token_length(name);
        int err;

        at = skip_space(name + len);
        if (len == 0 || *at != '=') {
            *s = name;
            return 0;
        }
        at = skip_space(at + 1);
        err = take_value(&at, &value);
        if (err < 0)
            return err;
        set_param(c, bearer, name, len, &value);
        *s = at;
    }
}

static bool is_token68(const char *s)
{
    size_t n = 0, end;

    while (isalnum((unsigned char)s[n]) || (s[n] && strchr("-._~+/", s[n])))
        n++;
    end = n + strspn(s + n, "=");
    s = skip_space(s + end);
    return n > 0 && end > n && (*s == '\0' || *s == ',');
}

int oci_challenge_parse(const char *value, struct oci_challenge *challenge)
{
    const char *s = skip_list(value);

    while (*s) {
        size_t len = token_length(s);
        bool bearer = len == 6 && strncasecmp(s, "Bearer", len) == 0;
        int err;

        if (len == 0 || (s[len] && !strchr(" \t,", s[len])))
            return -EBADMSG;
        if (len == 5 && strncasecmp(s, "Basic", len) == 0)
            challenge->basic = true;
        challenge->bearer |= bearer;
        s = skip_space(s + len);
        if (is_token68(s))
            s += strcspn(s, ",");
        err = take_params(challenge, bearer, &s);
        if (err < 0)
            return err;
        s = skip_list(s);
    }
    return 0;
}

/* Digits up to 10^18. */
static bool take_number(const char **s, uint64_t *ret_number)
{
    uint64_t number = 0;
    size_t n = 0;

    for (; isdigit((unsigned char)(*s)[n]); n++) {
        if (n == 18)
            return false;
        number = number * 10 + (uint64_t)((*s)[n] - '0');
    }
    *s += n;
    *ret_number = number;
    return n > 0;
}

int oci_content_range_parse(const char *value, struct oci_content_range *ret_range)
{
    struct oci_content_range range = {.total = UINT64_MAX};
    const char *s = skip_space(value);

    if (strncasecmp(s, "bytes", 5) != 0 || (s[5] != ' ' && s[5] != '\t'))
        return -EBADMSG;
    s = skip_space(s + 5);
    if (!take_number(&s, &range.first) || *s++ != '-' || !take_number(&s, &range.last) ||
        *s++ != '/')
        return -EBADMSG;
    if (*s == '*')
        s++;
    else if (!take_number(&s, &range.total))
        return -EBADMSG;
    if (*skip_space(s) || range.first > range.last || range.last >= range.total)
        return -EBADMSG;
    *ret_range = range;
    return 0;
}

static bool is_rel_next(const char *name, size_t len, const char *value)
{
    return len == 3 && strncasecmp(name, "rel", len) == 0 && strcasecmp(value, "next") == 0;
}

/* The parameters of one link: 1 when one of them is rel="next". */
static int take_link_params(const char **s)
{
    int found = 0;

    for (*s = skip_space(*s); **s == ';'; *s = skip_space(*s)) {
        _cleanup_(freep) char *text = NULL;
        const char *name = skip_space(*s + 1);
        size_t len = token_length(name);
        int err;

        *s = skip_space(name + len);
        if (len == 0)
            return -EBADMSG;
        if (**s != '=')
            continue;
        *s = skip_space(*s + 1);
        if (**s == '"') {
            err = take_quoted(s, &text);
        } else {
            size_t n = token_length(*s);

            text = strndup(*s, n);
            err = text ? 0 : -ENOMEM;
            *s += n;
        }
        if (err < 0)
            return err;
        if (is_rel_next(name, len, text))
            found = 1;
    }
    return found;
}

int oci_link_next_parse(const char *value, char **ret_target)
{
    const char *s = skip_list(value);

    while (*s) {
        const char *end = *s == '<' ? strchr(s, '>') : NULL;
        const char *target = s + 1;
        int found;

        if (!end)
            return -EBADMSG;
        s = end + 1;
        found = take_link_params(&s);
        if (found < 0)
            return found;
        if (found > 0) {
            *ret_target = strndup(target, (size_t)(end - target));
            return *ret_target ? 0 : -ENOMEM;
        }
        if (*s && *s != ',')
            return -EBADMSG;
        s = skip_list(s);
    }
    return -ENOENT;
}

unsigned oci_retry_after_parse(const char *value, int64_t now)
{
    const char *s = skip_space(value);
    uint64_t seconds;
    struct tm tm = {0};
    int64_t at;

    if (take_number(&s, &seconds))
        return *skip_space(s) ? 0 : (unsigned)MIN(seconds, (uint64_t)1 << 30);
    s = strptime(s, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (!s || *skip_space(s))
        return 0;
    at = (int64_t)timegm(&tm);
    return at > now ? (unsigned)MIN(at - now, (int64_t)1 << 30) : 0;
}
