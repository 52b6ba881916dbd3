/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a failure, built where the cause is known and printed once, by the caller at the top.
 *
 * A function that can fail for more reasons than its errno tells takes a `struct report *` (NULL is
 * allowed) and fails with `return report_fail(r, -EBADMSG, "blob %s: …", …)`. Callers add the
 * object they were working on in front with report_context(), so that the printed line reads from
 * the outside in: "pull oci:dir: layer sha256:…: digest mismatch (expected …, got …)". */
#ifndef OCI_UTIL_REPORT_H
#define OCI_UTIL_REPORT_H

#include "oci/util/macros.h"

enum { REPORT_TEXT_MAX = 2048 };

struct report {
    char text[REPORT_TEXT_MAX]; /* one line; control bytes are escaped; "" when nothing failed */
};

#define REPORT_INIT ((struct report){.text = ""})

/* Replaces the text and returns err (a negative errno) unchanged. Bytes below 0x20 and 0x7f, which
 * a hostile name may hold, are written as \xNN. A text that does not fit is cut with "…". */
int report_fail(struct report *r, int err, const char *fmt, ...) _printf_(3, 4);

/* Like report_fail, and appends ": " and the text of err. */
int report_errno(struct report *r, int err, const char *fmt, ...) _printf_(3, 4);

/* Puts "context: " in front of the text; where there is no text yet, the text of err follows.
 * Returns err unchanged. */
int report_context(struct report *r, int err, const char *fmt, ...) _printf_(3, 4);

/* True when a text was set. */
bool report_is_set(const struct report *r);

#endif
