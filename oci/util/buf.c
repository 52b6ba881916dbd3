/* SPDX-License-Identifier: Apache-2.0 */
/* A growable array of bytes. */
#include "oci/util/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void buf_deinit(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

int buf_reserve(struct buf *b, size_t extra)
{
    size_t need, capacity;
    void *data;

    if (__builtin_add_overflow(b->size, extra, &need) || need > SIZE_MAX / 2)
        return -EOVERFLOW;
    if (need <= b->capacity)
        return 0;
    capacity = MAX(need, b->capacity + b->capacity / 2);
    capacity = MAX(capacity, (size_t)64);
    data = realloc(b->data, capacity);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->capacity = capacity;
    return 0;
}

int buf_append(struct buf *b, const void *data, size_t size)
{
    int r = buf_reserve(b, size);

    if (r < 0)
        return r;
    if (size)
        memcpy(b->data + b->size, data, size);
    b->size += size;
    return 0;
}

int buf_append_str(struct buf *b, const char *s)
{
    return buf_append(b, s, strlen(s));
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    int len, r;

    va_start(args, fmt);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    r = len < 0 ? -EINVAL : buf_reserve(b, (size_t)len + 1);
    if (r == 0) {
        (void)vsnprintf((char *)b->data + b->size, (size_t)len + 1, fmt, again);
        b->size += (size_t)len;
    }
    va_end(again);
    return r;
}

void *buf_extend(struct buf *b, size_t size)
{
    void *at;

    if (buf_reserve(b, size) < 0)
        return NULL;
    at = b->data + b->size;
    if (size)
        memset(at, 0, size);
    b->size += size;
    return at;
}

int buf_align(struct buf *b, size_t alignment)
{
    size_t pad = (alignment - (b->size & (alignment - 1))) & (alignment - 1);

    return buf_extend(b, pad) || pad == 0 ? 0 : -ENOMEM;
}

char *buf_steal_str(struct buf *b)
{
    char *s;

    if (buf_append(b, "", 1) < 0)
        return NULL;
    s = (char *)b->data;
    *b = (struct buf){0};
    return s;
}
