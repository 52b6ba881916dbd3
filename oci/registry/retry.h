/* SPDX-License-Identifier: Apache-2.0 */
/* When to try again, and how long to wait before. */
#ifndef OCI_REGISTRY_RETRY_H
#define OCI_REGISTRY_RETRY_H

#include "oci/util/macros.h"

enum {
    OCI_RETRIES_DEFAULT = 5,
    OCI_RETRY_FIRST_MS = 500,         /* before the first retry; doubled before each further one */
    OCI_RETRY_LONGEST_MS = 30 * 1000, /* of our own choice */
    OCI_RETRY_AFTER_MAX_MS = 120 * 1000 /* of the server's choice */
};

/* True for an HTTP status that another try may change: 408, 429, 5xx but for 501 and 505. */
bool oci_retry_is_status(long status);

/* True for an error that another try may change: resets, stalls, refused connections. */
bool oci_retry_is_error(int err);

/* Milliseconds to wait before retry number `retry` (from 0). random spreads those who failed
 * together over the upper half of the time. after_s: what Retry-After asked for, 0 for nothing; it
 * is a lower bound, up to the maximum. */
unsigned oci_retry_delay_ms(unsigned retry, unsigned after_s, uint32_t random);

/* Sleeps for oci_retry_delay_ms() with a random number of its own. */
void oci_retry_wait(unsigned retry, unsigned after_s);

#endif
