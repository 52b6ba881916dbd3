/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields that a registry sends. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "oci/registry/base64.h"
#include "oci/registry/header.h"

static void try_challenge(const char *s)
{
    struct oci_challenge c = {0};

    (void)oci_challenge_parse(s, &c);
    fuzz_check(c.bearer || (!c.realm && !c.service && !c.scope));
    (void)oci_challenge_parse(s, &c);
    oci_challenge_deinit(&c);
}

static void try_range(const char *s)
{
    struct oci_content_range r;

    if (oci_content_range_parse(s, &r) == 0)
        fuzz_check(r.first <= r.last && r.last < r.total);
}

static void try_link(const char *s)
{
    char *target = NULL;

    if (oci_link_next_parse(s, &target) == 0)
        fuzz_check(target && strstr(s, target) && !strchr(target, '>'));
    free(target);
}

/* What decodes and is encoded again decodes to the same. */
static void try_base64(const char *s)
{
    struct buf bytes = {0}, text = {0}, again = {0};

    if (base64_decode(s, &bytes) == 0) {
        char *encoded;

        fuzz_check(base64_encode(bytes.data, bytes.size, &text) == 0);
        encoded = buf_steal_str(&text);
        fuzz_check(encoded && base64_decode(encoded, &again) == 0);
        fuzz_check(again.size == bytes.size &&
                   (again.size == 0 || memcmp(again.data, bytes.data, again.size) == 0));
        free(encoded);
    }
    buf_deinit(&bytes);
    buf_deinit(&text);
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *s = malloc(size + 1);

    fuzz_check(s);
    if (size)
        memcpy(s, data, size);
    s[size] = '\0';
    try_challenge(s);
    try_range(s);
    try_link(s);
    try_base64(s);
    fuzz_check(oci_retry_after_parse(s, 1000) <= 1u << 30);
    free(s);
    return 0;
}
