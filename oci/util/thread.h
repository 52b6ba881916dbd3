/* SPDX-License-Identifier: Apache-2.0 */
/* Helper threads. */
#ifndef OCI_UTIL_THREAD_H
#define OCI_UTIL_THREAD_H

#include <pthread.h>

#include "oci/util/macros.h"

/* pthread_create() of a thread in which every signal is blocked, so that the program's signals
 * reach the threads that mean to handle them. 0 or -errno. */
int thread_start(pthread_t *ret_thread, void *(*fn)(void *), void *userdata);

#endif
