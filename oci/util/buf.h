/* SPDX-License-Identifier: Apache-2.0 */
/* A growable array of bytes. Zero-initialise to start; not thread-safe. */
#ifndef OCI_UTIL_BUF_H
#define OCI_UTIL_BUF_H

#include "oci/util/macros.h"

struct buf {
    uint8_t *data;
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
};

/* Releases the memory and leaves an empty buffer. */
void buf_deinit(struct buf *b);

/* Makes room for extra more bytes. 0, -ENOMEM, -EOVERFLOW. */
int buf_reserve(struct buf *b, size_t extra);

/* Appends; data may be NULL when size is 0. 0, -ENOMEM, -EOVERFLOW. */
int buf_append(struct buf *b, const void *data, size_t size);
int buf_append_str(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...) _printf_(2, 3);

/* Appends size zero bytes and returns where they start, or NULL when out of memory. */
void *buf_extend(struct buf *b, size_t size);

/* Appends zero bytes up to a multiple of alignment (a power of two). */
int buf_align(struct buf *b, size_t alignment);

/* Ends the contents with a NUL that is not counted and hands the memory to the caller (free()).
 * NULL when out of memory; the buffer is empty afterwards. */
char *buf_steal_str(struct buf *b);

#endif
