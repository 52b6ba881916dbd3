/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/registry/base64.h"

#include <criterion/criterion.h>
#include <string.h>

Test(base64, rfc_vectors_both_ways)
{
    static const char *const vectors[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
        {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};

    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct buf text = {0}, bytes = {0};

        cr_assert_eq(base64_encode(vectors[i][0], strlen(vectors[i][0]), &text), 0);
        cr_assert_eq(text.size, strlen(vectors[i][1]));
        cr_assert(text.size == 0 || memcmp(text.data, vectors[i][1], text.size) == 0);
        cr_assert_eq(base64_decode(vectors[i][1], &bytes), 0);
        cr_assert_eq(bytes.size, strlen(vectors[i][0]));
        cr_assert(bytes.size == 0 || memcmp(bytes.data, vectors[i][0], bytes.size) == 0);
        buf_deinit(&text);
        buf_deinit(&bytes);
    }
}

Test(base64, every_byte_comes_back)
{
    struct buf text = {0}, back = {0};
    uint8_t bytes[256];
    char *s;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    cr_assert_eq(base64_encode(bytes, sizeof(bytes), &text), 0);
    s = buf_steal_str(&text);
    cr_assert_eq(base64_decode(s, &back), 0);
    cr_assert(back.size == sizeof(bytes) && memcmp(back.data, bytes, sizeof(bytes)) == 0);
    free(s);
    buf_deinit(&back);
}

Test(base64, malformed)
{
    static const char *const bad[] = {"A", "AB=C", "A===", "AB CD", "\xff\xff"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct buf b = {0};

        cr_assert_eq(base64_decode(bad[i], &b), -EBADMSG, "%s", bad[i]);
        buf_deinit(&b);
    }
}
