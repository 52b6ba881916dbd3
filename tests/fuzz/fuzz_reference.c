/* SPDX-License-Identifier: Apache-2.0 */
/* Names: digests, references, locations, platforms. What parses must format to what parses alike.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "oci/image.h"
#include "oci/reference.h"

static void try_digest(const char *s)
{
    struct oci_digest d;
    char text[OCI_DIGEST_STR_MAX];

    if (oci_digest_parse(s, &d) == 0)
        fuzz_check(strcmp(oci_digest_format(&d, text), s) == 0);
}

static void try_reference(const char *s)
{
    struct oci_reference ref = {0}, again = {0};
    struct report report = REPORT_INIT;
    _cleanup_(freep) char *full = NULL;
    _cleanup_(freep) char *full_again = NULL;

    if (oci_reference_parse(s, &ref, &report) < 0) {
        fuzz_check(report_is_set(&report));
        return;
    }
    full = oci_reference_format(&ref);
    fuzz_check(full && oci_reference_parse(full, &again, &report) == 0);
    full_again = oci_reference_format(&again);
    fuzz_check(full_again && strcmp(full, full_again) == 0);
    fuzz_check(strcmp(ref.registry, again.registry) == 0);
    fuzz_check(strcmp(ref.repository, again.repository) == 0);
    oci_reference_deinit(&ref);
    oci_reference_deinit(&again);
}

static void try_location(const char *s)
{
    struct oci_location location = {0};
    struct report report = REPORT_INIT;

    if (oci_location_parse(s, &location, &report) < 0)
        fuzz_check(report_is_set(&report));
    else
        fuzz_check((location.path == NULL) == (location.transport == OCI_TRANSPORT_DOCKER));
    oci_location_deinit(&location);
}

static void try_platform(const char *s)
{
    struct oci_platform p, again;
    char text[100];

    if (oci_platform_parse(s, &p) < 0)
        return;
    fuzz_check(oci_platform_parse(oci_platform_format(&p, text), &again) == 0);
    fuzz_check(oci_platform_match(&p, &again) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *s = malloc(size + 1);

    fuzz_check(s);
    if (size)
        memcpy(s, data, size);
    s[size] = '\0';
    try_digest(s);
    try_reference(s);
    try_location(s);
    try_platform(s);
    (void)oci_tag_is_valid(s);
    free(s);
    return 0;
}
