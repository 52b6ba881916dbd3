/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a failure. */
#include "oci/util/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Appends src to dst[REPORT_TEXT_MAX] from position at, escaping control bytes; returns the end. */
static size_t append_escaped(char *dst, size_t at, const char *src)
{
    static const char cut[] = "…";
    size_t room = REPORT_TEXT_MAX - sizeof(cut);

    for (; *src; src++) {
        unsigned char c = (unsigned char)*src;

        if (at + 4 > room) {
            memcpy(dst + at, cut, sizeof(cut));
            return at + sizeof(cut) - 1;
        }
        if (c < 0x20 || c == 0x7f)
            at += (size_t)sprintf(dst + at, "\\x%02x", c);
        else
            dst[at++] = (char)c;
    }
    dst[at] = '\0';
    return at;
}

_printf_(4, 0) static int set_text(
    struct report *r, int err, const char *tail, const char *fmt, va_list args)
{
    char text[REPORT_TEXT_MAX];
    size_t at;

    if (!r)
        return err;
    (void)vsnprintf(text, sizeof(text), fmt, args);
    at = append_escaped(r->text, 0, text);
    if (tail) {
        at = append_escaped(r->text, at, ": ");
        (void)append_escaped(r->text, at, tail);
    }
    return err;
}

int report_fail(struct report *r, int err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    err = set_text(r, err, NULL, fmt, args);
    va_end(args);
    return err;
}

int report_errno(struct report *r, int err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    err = set_text(r, err, strerror(-err), fmt, args);
    va_end(args);
    return err;
}

int report_context(struct report *r, int err, const char *fmt, ...)
{
    struct report old;
    va_list args;

    if (!r)
        return err;
    old = *r;
    va_start(args, fmt);
    err = set_text(r, err, report_is_set(&old) ? old.text : strerror(-err), fmt, args);
    va_end(args);
    return err;
}

bool report_is_set(const struct report *r)
{
    return r && r->text[0] != '\0';
}
