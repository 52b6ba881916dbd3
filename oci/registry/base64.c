/* SPDX-License-Identifier: Apache-2.0 */
/* base64. */
#include "oci/registry/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(const void *data, size_t size, struct buf *b)
{
    const uint8_t *in = data;

    for (size_t i = 0; i < size; i += 3) {
        size_t n = MIN(size - i, (size_t)3);
        uint32_t v = (uint32_t)in[i] << 16;
        char out[4];
        int err;

        v |= n > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        v |= n > 2 ? in[i + 2] : 0;
        for (int k = 0; k < 4; k++)
            out[k] = digits[v >> (18 - 6 * k) & 63];
        memset(out + n + 1, '=', 3 - n);
        err = buf_append(b, out, 4);
        if (err < 0)
            return err;
    }
    return 0;
}

int base64_decode(const char *text, struct buf *b)
{
    size_t len = strcspn(text, "=");
    uint32_t v = 0;

    if (strspn(text + len, "=") != strlen(text + len) || strlen(text + len) > 2 || len % 4 == 1)
        return -EBADMSG;
    for (size_t i = 0; i < len; i++) {
        const char *digit = strchr(digits, text[i]);
        uint8_t byte;
        int err = 0;

        if (!digit)
            return -EBADMSG;
        v = v << 6 | (uint32_t)(digit - digits);
        if (i % 4 > 0) {
            byte = (uint8_t)(v >> (6 - 2 * (i % 4)));
            err = buf_append(b, &byte, 1);
        }
        if (err < 0)
            return err;
    }
    return 0;
}
