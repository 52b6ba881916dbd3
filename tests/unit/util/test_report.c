/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/util/report.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

TestSuite(report);

Test(report, fail_sets_the_text_and_returns_the_error)
{
    struct report r = REPORT_INIT;

    cr_assert(not(report_is_set(&r)));
    cr_assert(eq(int, report_fail(&r, -EBADMSG, "blob %d", 7), -EBADMSG));
    cr_assert_str_eq(r.text, "blob 7");
    cr_assert(report_is_set(&r));
    cr_assert(eq(int, report_fail(&r, -EFBIG, "other"), -EFBIG));
    cr_assert_str_eq(r.text, "other");
}

Test(report, errno_is_told_in_words)
{
    struct report r = REPORT_INIT;

    cr_assert(eq(int, report_errno(&r, -ENOENT, "open %s", "f"), -ENOENT));
    cr_assert_str_eq(r.text, "open f: No such file or directory");
}

Test(report, context_goes_in_front)
{
    struct report r = REPORT_INIT;

    (void)report_fail(&r, -EBADMSG, "digest mismatch");
    cr_assert(eq(int, report_context(&r, -EBADMSG, "layer %d", 2), -EBADMSG));
    (void)report_context(&r, -EBADMSG, "pull x");
    cr_assert_str_eq(r.text, "pull x: layer 2: digest mismatch");
}

Test(report, context_without_a_text_tells_the_error)
{
    struct report r = REPORT_INIT;

    (void)report_context(&r, -ENOSPC, "store");
    cr_assert_str_eq(r.text, "store: No space left on device");
}

Test(report, nobody_has_to_listen)
{
    cr_assert(eq(int, report_fail(NULL, -EINVAL, "x"), -EINVAL));
    cr_assert(eq(int, report_errno(NULL, -EINVAL, "x"), -EINVAL));
    cr_assert(eq(int, report_context(NULL, -EINVAL, "x"), -EINVAL));
    cr_assert(not(report_is_set(NULL)));
}

Test(report, hostile_bytes_stay_on_one_line)
{
    struct report r = REPORT_INIT;

    (void)report_fail(&r, -EBADMSG, "entry %s", "a\nb\x1b[31m\x7f\xff");
    cr_assert_str_eq(r.text, "entry a\\x0ab\\x1b[31m\\x7f\xff");
    (void)report_context(&r, -EBADMSG, "in\t%s", "c");
    cr_assert_str_eq(r.text, "in\\x09c: entry a\\x0ab\\x1b[31m\\x7f\xff", "escaped only once");
}

Test(report, a_long_text_is_cut_with_a_mark)
{
    struct report r = REPORT_INIT;
    char name[2 * REPORT_TEXT_MAX];

    for (unsigned fill = 0; fill < 2; fill++) {
        memset(name, fill ? '\n' : 'n', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        (void)report_fail(&r, -EBADMSG, "%s", name);
        cr_assert(lt(sz, strlen(r.text), sizeof(r.text)));
        cr_assert(gt(sz, strlen(r.text), sizeof(r.text) - 16));
        cr_assert_str_eq(r.text + strlen(r.text) - strlen("…"), "…");
    }
}

Test(report, context_before_a_long_text_is_kept)
{
    struct report r = REPORT_INIT;
    char name[REPORT_TEXT_MAX - 10];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    (void)report_fail(&r, -EBADMSG, "%s", name);
    (void)report_context(&r, -EBADMSG, "a context of some length");
    cr_assert(zero(int, strncmp(r.text, "a context of some length: nnn", 29)));
    cr_assert(lt(sz, strlen(r.text), sizeof(r.text)));
}
