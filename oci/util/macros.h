/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership and arithmetic helpers that every file uses. */
#ifndef OCI_UTIL_MACROS_H
#define OCI_UTIL_MACROS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define _unused_ __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Hand an owned value out of a cleanup variable. */
#define TAKE_PTR(p)                                                                                \
    __extension__({                                                                                \
        __typeof__(p) _taken = (p);                                                                \
        (p) = NULL;                                                                                \
        _taken;                                                                                    \
    })
#define TAKE_FD(fd)                                                                                \
    __extension__({                                                                                \
        int _taken = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        _taken;                                                                                    \
    })

/* DEFINE_CLEANUP(struct store *, store_close) makes store_closep for _cleanup_(store_closep). */
#define DEFINE_CLEANUP(type, fn)                                                                   \
    static inline void fn##p(type *p)                                                              \
    {                                                                                              \
        if (*p)                                                                                    \
            (void)fn(*p);                                                                          \
    }

/* Closes fd when it is open, keeps errno, returns -1: `fd = fd_close(fd)`. */
static inline int fd_close(int fd)
{
    if (fd >= 0) {
        int saved = errno;
        (void)close(fd);
        errno = saved;
    }
    return -1;
}

static inline void fd_closep(int *fd)
{
    *fd = fd_close(*fd);
}

static inline void freep(void *p)
{
    free(*(void **)p);
}

/* -errno, and never 0 even where a failing library forgot to set errno. */
static inline int neg_errno(void)
{
    return errno > 0 ? -errno : -EIO;
}

#endif
