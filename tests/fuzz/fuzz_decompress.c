/* SPDX-License-Identifier: Apache-2.0 */
/* Decompression of any bytes: it ends, says why it failed, and does not depend on how the bytes are
 * cut. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "oci/compression.h"

enum { OUT_MAX = 8 << 20 };

struct chunks {
    struct oci_source source;
    const uint8_t *data;
    size_t size, chunk;
    uint8_t *copy; /* of the chunk, with no slack */
};

static ssize_t chunks_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct chunks *c = (struct chunks *)s;
    size_t n = c->size < c->chunk ? c->size : c->chunk;

    (void)r;
    free(c->copy);
    c->copy = NULL;
    if (n == 0)
        return 0;
    c->copy = malloc(n);
    fuzz_check(c->copy);
    memcpy(c->copy, c->data, n);
    c->data += n;
    c->size -= n;
    *ret_data = c->copy;
    return (ssize_t)n;
}

static void chunks_close(struct oci_source *s)
{
    struct chunks *c = (struct chunks *)s;

    free(c->copy);
    free(c);
}

static const struct oci_source_ops chunks_ops = {.next = chunks_next, .close = chunks_close};

static ssize_t run(const uint8_t *data, size_t size, size_t chunk, uint64_t *sum)
{
    struct chunks *c = calloc(1, sizeof(*c));
    struct report report = REPORT_INIT;
    struct oci_source *s;
    const uint8_t *out;
    uint64_t total = 0;
    ssize_t n;

    fuzz_check(c);
    *c = (struct chunks){.source.ops = &chunks_ops, .data = data, .size = size, .chunk = chunk};
    fuzz_check(oci_source_decompress(&c->source, NULL, &s) == 0);
    while ((n = oci_source_next(s, &out, &report)) > 0 && total < OUT_MAX) {
        total += (uint64_t)n;
        for (ssize_t i = 0; i < n; i++)
            *sum = (*sum ^ out[i]) * UINT64_C(0x100000001b3);
    }
    fuzz_check(n >= 0 || report_is_set(&report));
    (void)oci_source_close(s);
    return n > 0 ? 1 : n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t whole = 0, small = 0, bytes = 0;
    ssize_t n = run(data, size, 1 << 20, &whole);

    if (n > 0) /* more than is looked at */
        return 0;
    fuzz_check(run(data, size, 50, &small) == n);
    fuzz_check(run(data, size, 1, &bytes) == n);
    fuzz_check(n < 0 || (whole == small && whole == bytes));
    return 0;
}
