/* SPDX-License-Identifier: Apache-2.0 */
/* Helper threads. */
#include "oci/util/thread.h"

#include <signal.h>

int thread_start(pthread_t *ret_thread, void *(*fn)(void *), void *userdata)
{
    sigset_t all, old;
    int err;

    (void)sigfillset(&all);
    err = pthread_sigmask(SIG_SETMASK, &all, &old);
    if (err)
        return -err;
    err = pthread_create(ret_thread, NULL, fn, userdata);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -err;
}
