/* SPDX-License-Identifier: Apache-2.0 */
/* The builder's arrays at their limits, and what is kept once. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "layerfs/tree/nodes.h"
#include "tests/unit/tree/trees.h"

TestSuite(nodes);

static struct lfs_builder *new_builder(void)
{
    struct lfs_builder *b = NULL;

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    return b;
}

/* The counters are set to what four billion entries would make them. */
Test(nodes, thirty_two_bit_limits)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = new_builder();
    struct report r = REPORT_INIT;
    uint32_t nodes = b->node_count, capacity = b->node_capacity, names = b->name_count,
             names_capacity = b->name_capacity;
    size_t arena = b->arena.size, data = b->data.size;

    b->node_count = b->node_capacity = UINT32_MAX;
    cr_expect_eq(add_line(b, "p f", &r), -EFBIG);
    cr_expect_str_eq(r.text, "f: the layer has more entries than a tree can hold");
    b->node_count = nodes;
    b->node_capacity = capacity;
    b->name_count = b->name_capacity = UINT32_MAX;
    cr_expect_eq(add_line(b, "p f", &r), -EFBIG);
    b->name_count = names;
    b->name_capacity = names_capacity;
    b->arena.size = UINT32_MAX - 1;
    cr_expect_eq(add_line(b, "p f", &r), -EFBIG);
    b->arena.size = arena;
    b->data.size = UINT32_MAX;
    cr_expect_eq(add_line(b, "l f t", &r), -EFBIG);
    b->data.size = data;
    cr_expect_eq(add_line(b, "p f", &r), 0, "%s", r.text);
}

Test(nodes, removal_of_subtrees)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = new_builder();
    struct report r = REPORT_INIT;
    char line[64];
    uint32_t d;

    for (unsigned i = 0; i < 500; i++) {
        (void)snprintf(line, sizeof(line), "f d/%u/%u/%u x", i % 3, i % 7, i);
        cr_assert_eq(add_line(b, line, &r), 0);
    }
    cr_assert_eq(add_line(b, "f keep/x x", &r), 0);
    d = name_find(b, ROOT_NODE, "d", 1);
    cr_assert_neq(d, NO_NAME);
    d = name_at(b, d)->node;
    cr_assert_neq(name_find(b, d, "2", 1), NO_NAME);
    dir_clear(b, d);
    cr_expect_eq(node_at(b, d)->first_name, NO_NAME);
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(line, sizeof(line), "%u", i);
        cr_expect_eq(name_find(b, d, line, 1), NO_NAME);
    }
    name_remove(b, node_at(b, d)->own_name);
    cr_expect_eq(name_find(b, ROOT_NODE, "d", 1), NO_NAME);
    cr_expect_neq(name_find(b, ROOT_NODE, "keep", 4), NO_NAME);
    cr_assert_eq(add_line(b, "f d/new x", &r), 0);
}

Test(nodes, siblings_are_unlinked_anywhere_in_the_list)
{
    static const char *const orders[] = {"abc", "acb", "bac", "bca", "cab", "cba"};

    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        _cleanup_(lfs_builder_freep) struct lfs_builder *b = new_builder();
        struct report r = REPORT_INIT;

        cr_assert_eq(add_line(b, "p a", &r) + add_line(b, "p b", &r) + add_line(b, "p c", &r), 0);
        for (size_t j = 0; j < 3; j++) {
            unsigned count = 0;

            name_remove(b, name_find(b, ROOT_NODE, &orders[i][j], 1));
            for (uint32_t at = node_at(b, ROOT_NODE)->first_name; at; at = name_at(b, at)->next)
                count++;
            cr_expect_eq(count, 2 - j, "%s", orders[i]);
        }
    }
}

Test(nodes, paths)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = new_builder();
    struct report r = REPORT_INIT;
    struct buf path = {0};
    uint32_t a, bc;

    cr_assert_eq(add_line(b, "d a/bc", &r), 0);
    a = name_at(b, name_find(b, ROOT_NODE, "a", 1))->node;
    bc = name_at(b, name_find(b, a, "bc", 2))->node;
    cr_assert_eq(dir_path(b, ROOT_NODE, &path), 0);
    cr_expect_eq(path.size, 0);
    cr_assert_eq(dir_path(b, bc, &path), 0);
    cr_expect_eq(path.size, 4);
    cr_expect_eq(memcmp(path.data, "a/bc", 4), 0);
    cr_expect(dir_is_below(b, bc, a) && dir_is_below(b, a, a) && dir_is_below(b, bc, ROOT_NODE));
    cr_expect_not(dir_is_below(b, a, bc));
    buf_deinit(&path);
}

Test(nodes, interned_strings)
{
    static const uint8_t key[16] = {1, 2, 3};
    struct lfs_intern in = {.key = key};
    uint32_t number;
    char text[16];

    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 1000; i++) {
            (void)snprintf(text, sizeof(text), "%u", i);
            cr_assert_eq(lfs_intern_add(&in, text, strlen(text), &number), 0);
            cr_assert_eq(number, i);
        }
    for (unsigned i = 0; i < 1000; i++) {
        size_t size;
        const uint8_t *bytes = lfs_intern_get(&in, i, &size);

        (void)snprintf(text, sizeof(text), "%u", i);
        cr_assert_eq(size, strlen(text));
        cr_assert_eq(memcmp(bytes, text, size), 0);
    }
    lfs_intern_deinit(&in);
}

/* SipHash-1-3 of a tweak of 8 bytes and then the data: the reference's vectors have no 1-3, so this
 * holds it to its own structure: every input bit changes the result. */
Test(nodes, hash_depends_on_everything)
{
    uint8_t key[16] = {0}, data[19] = {0};
    uint64_t base = lfs_hash(key, 0, data, sizeof(data));

    cr_expect_neq(lfs_hash(key, 1, data, sizeof(data)), base);
    cr_expect_neq(lfs_hash(key, 0, data, sizeof(data) - 1), base);
    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] = 1;
        cr_expect_neq(lfs_hash(key, 0, data, sizeof(data)), base);
        key[i] = 0;
    }
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = 1;
        cr_expect_neq(lfs_hash(key, 0, data, sizeof(data)), base);
        data[i] = 0;
    }
    cr_expect_eq(lfs_hash(key, 0, data, sizeof(data)), base);
}
