/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/util/log.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>

TestSuite(log);

Test(log, nothing_is_on_by_default)
{
    cr_assert(zero(int, log_setup(NULL)));
    cr_assert(zero(u32, log_enabled_mask));
    cr_assert(zero(int, log_setup("")));
    cr_assert(zero(u32, log_enabled_mask));
}

Test(log, names_switch_their_subsystem_only)
{
    cr_assert(zero(int, log_setup("tree,fuse")));
    cr_assert(eq(u32, log_enabled_mask, 1u << LOG_TREE | 1u << LOG_FUSE));
    cr_assert(zero(int, log_setup("store")));
    cr_assert(eq(u32, log_enabled_mask, 1u << LOG_STORE));
}

Test(log, all_is_all_that_are_named)
{
    const char *names = log_subsystem_names();

    cr_assert(zero(int, log_setup(names)));
    cr_assert(eq(u32, log_enabled_mask, (1u << LOG_SUBSYSTEMS) - 1));
    cr_assert(zero(int, log_setup("all")));
    cr_assert(eq(u32, log_enabled_mask & ((1u << LOG_SUBSYSTEMS) - 1), (1u << LOG_SUBSYSTEMS) - 1));
}

Test(log, unknown_names_are_told_and_known_ones_taken)
{
    cr_assert(eq(int, log_setup("tree,nonsense"), -EINVAL));
    cr_assert(eq(u32, log_enabled_mask, 1u << LOG_TREE));
    cr_assert(eq(int, log_setup("tre"), -EINVAL));
    cr_assert(zero(u32, log_enabled_mask));
}

/* Runs last(): what was written to stderr. */
static void read_stderr(char *text, size_t size)
{
    FILE *f = cr_get_redirected_stderr();
    size_t n = fread(text, 1, size - 1, f);

    text[n] = '\0';
}

Test(log, a_line_names_its_subsystem, .init = cr_redirect_stderr)
{
    char text[4096];

    (void)log_setup("tree");
    log_debug(LOG_TREE, "node %d", 7);
    log_debug(LOG_FUSE, "not shown");
    (void)fclose(stderr);
    read_stderr(text, sizeof(text));
    cr_assert(ne(ptr, strstr(text, " tree: node 7\n"), NULL));
    cr_assert(zero(ptr, strstr(text, "not shown")));
}

Test(log, a_long_line_is_cut_and_ends, .init = cr_redirect_stderr)
{
    char text[8192], name[3000];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    (void)log_setup("all");
    log_debug(LOG_OCI, "%s", name);
    (void)fclose(stderr);
    read_stderr(text, sizeof(text));
    cr_assert(gt(sz, strlen(text), 900));
    cr_assert(le(sz, strlen(text), 1024));
    cr_assert(eq(chr, text[strlen(text) - 1], '\n'));
}
