/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/registry/retry.h"

#include <criterion/criterion.h>

Test(retry, statuses)
{
    static const long again[] = {408, 429, 500, 502, 503, 504};
    static const long never[] = {200, 206, 301, 400, 401, 403, 404, 416, 501, 505, 600};

    for (size_t i = 0; i < ARRAY_SIZE(again); i++)
        cr_assert(oci_retry_is_status(again[i]), "%ld", again[i]);
    for (size_t i = 0; i < ARRAY_SIZE(never); i++)
        cr_assert_not(oci_retry_is_status(never[i]), "%ld", never[i]);
}

Test(retry, errors)
{
    cr_assert(oci_retry_is_error(-ECONNRESET));
    cr_assert(oci_retry_is_error(-ETIMEDOUT));
    cr_assert_not(oci_retry_is_error(0));
    cr_assert_not(oci_retry_is_error(-EBADMSG));
    cr_assert_not(oci_retry_is_error(-EKEYREJECTED));
    cr_assert_not(oci_retry_is_error(-ENOMEM));
}

Test(retry, delay_doubles_and_ends)
{
    for (unsigned i = 0; i < 40; i++) {
        unsigned low = oci_retry_delay_ms(i, 0, 0), high = oci_retry_delay_ms(i, 0, UINT32_MAX);

        cr_assert_eq(high, MIN((uint64_t)OCI_RETRY_FIRST_MS << i, (uint64_t)OCI_RETRY_LONGEST_MS),
            "retry %u: %u", i, high);
        cr_assert_eq(low, high / 2);
    }
}

Test(retry, server_may_ask_for_more)
{
    cr_assert_eq(oci_retry_delay_ms(0, 7, 0), 7000);
    cr_assert_eq(oci_retry_delay_ms(10, 1, UINT32_MAX), OCI_RETRY_LONGEST_MS);
    cr_assert_eq(oci_retry_delay_ms(0, 1u << 30, 0), OCI_RETRY_AFTER_MAX_MS);
}
