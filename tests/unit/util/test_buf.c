/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/util/buf.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

TestSuite(buf);

Test(buf, starts_empty_and_deinit_of_it_is_harmless)
{
    struct buf b = {0};

    buf_deinit(&b);
    cr_assert(zero(sz, b.size));
    cr_assert(zero(ptr, b.data));
}

Test(buf, append_keeps_what_was_there_over_many_growths)
{
    _cleanup_(buf_deinit) struct buf b = {0};

    for (unsigned i = 0; i < 10000; i++) {
        uint32_t v = i * 2654435761u;

        cr_assert(zero(int, buf_append(&b, &v, sizeof(v))));
    }
    cr_assert(eq(sz, b.size, 40000));
    cr_assert(ge(sz, b.capacity, b.size));
    for (unsigned i = 0; i < 10000; i++) {
        uint32_t v;

        memcpy(&v, b.data + i * sizeof(v), sizeof(v));
        cr_assert(eq(u32, v, i * 2654435761u));
    }
}

Test(buf, append_of_nothing_takes_null)
{
    _cleanup_(buf_deinit) struct buf b = {0};

    cr_assert(zero(int, buf_append(&b, NULL, 0)));
    cr_assert(zero(sz, b.size));
}

Test(buf, sizes_that_overflow_are_refused)
{
    _cleanup_(buf_deinit) struct buf b = {0};

    cr_assert(zero(int, buf_append_str(&b, "abc")));
    cr_assert(eq(int, buf_reserve(&b, SIZE_MAX), -EOVERFLOW));
    cr_assert(eq(int, buf_reserve(&b, SIZE_MAX - 2), -EOVERFLOW));
    cr_assert(eq(sz, b.size, 3));
    cr_assert(zero(int, memcmp(b.data, "abc", 3)));
}

Test(buf, memory_that_cannot_be_had_is_enomem_and_changes_nothing)
{
    _cleanup_(buf_deinit) struct buf b = {0};

    cr_assert(zero(int, buf_append_str(&b, "abc")));
#ifndef __SANITIZE_ADDRESS__
    cr_assert(eq(int, buf_reserve(&b, SIZE_MAX / 2 - 4096), -ENOMEM));
#endif
    cr_assert(eq(sz, b.size, 3));
}

Test(buf, printf_appends_whatever_the_length)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    char longer[5000];

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    cr_assert(zero(int, buf_printf(&b, "%d-%s", 42, "a")));
    cr_assert(zero(int, buf_printf(&b, "[%s]", longer)));
    cr_assert(eq(sz, b.size, 4 + 4999 + 2));
    cr_assert(zero(int, memcmp(b.data, "42-a[xxx", 8)));
    cr_assert(eq(chr, (char)b.data[b.size - 1], ']'));
}

Test(buf, extend_gives_zeros)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    uint8_t *at;

    cr_assert(zero(int, buf_append(&b, "\xff\xff\xff", 3)));
    b.size = 1; /* what was written before must not show */
    at = buf_extend(&b, 300);
    cr_assert(ne(ptr, at, NULL));
    for (unsigned i = 0; i < 300; i++)
        cr_assert(zero(u8, at[i]));
    cr_assert(eq(sz, b.size, 301));
    cr_assert(eq(u8, b.data[0], 0xff));
}

Test(buf, align_pads_to_the_next_multiple_only)
{
    _cleanup_(buf_deinit) struct buf b = {0};

    cr_assert(zero(int, buf_align(&b, 8)));
    cr_assert(zero(sz, b.size));
    cr_assert(zero(int, buf_append(&b, "x", 1)));
    cr_assert(zero(int, buf_align(&b, 8)));
    cr_assert(eq(sz, b.size, 8));
    cr_assert(zero(int, memcmp(b.data, "x\0\0\0\0\0\0\0", 8)));
    cr_assert(zero(int, buf_align(&b, 8)));
    cr_assert(eq(sz, b.size, 8));
    cr_assert(zero(int, buf_align(&b, 1)));
    cr_assert(eq(sz, b.size, 8));
}

Test(buf, steal_str_ends_the_text_and_leaves_an_empty_buffer)
{
    struct buf b = {0};
    _cleanup_(freep) char *s = NULL;

    cr_assert(zero(int, buf_append_str(&b, "layer")));
    s = buf_steal_str(&b);
    cr_assert_str_eq(s, "layer");
    cr_assert(zero(sz, b.size));
    cr_assert(zero(sz, b.capacity));
    cr_assert(zero(ptr, b.data));
}

Test(buf, steal_str_of_an_empty_buffer_is_an_empty_string)
{
    struct buf b = {0};
    _cleanup_(freep) char *s = buf_steal_str(&b);

    cr_assert_str_eq(s, "");
}
