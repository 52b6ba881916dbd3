/* SPDX-License-Identifier: Apache-2.0 */
/* When to try again, and how long to wait before. */
#include "oci/registry/retry.h"

#include <sys/random.h>
#include <time.h>

bool oci_retry_is_status(long status)
{
    if (status == 408 || status == 429)
        return true;
    return status >= 500 && status <= 599 && status != 501 && status != 505;
}

bool oci_retry_is_error(int err)
{
    switch (-err) {
    case ECONNRESET:
    case ECONNREFUSED:
    case ECONNABORTED:
    case ETIMEDOUT:
    case EPIPE:
    case EHOSTUNREACH:
    case EAGAIN:
        return true;
    default:
        return false;
    }
}

unsigned oci_retry_delay_ms(unsigned retry, unsigned after_s, uint32_t random)
{
    unsigned longest = OCI_RETRY_FIRST_MS << MIN(retry, 16u);
    unsigned half, delay;

    longest = MIN(longest, (unsigned)OCI_RETRY_LONGEST_MS);
    half = longest / 2;
    delay = half + (unsigned)((uint64_t)half * random / UINT32_MAX);
    return MAX(delay, MIN(after_s, OCI_RETRY_AFTER_MAX_MS / 1000u) * 1000u);
}

void oci_retry_wait(unsigned retry, unsigned after_s)
{
    uint32_t random = 0;
    unsigned ms;
    struct timespec left;

    (void)getrandom(&random, sizeof(random), GRND_NONBLOCK);
    ms = oci_retry_delay_ms(retry, after_s, random);
    left = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}
