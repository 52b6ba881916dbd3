/* SPDX-License-Identifier: Apache-2.0 */
/* Inflating gzip with zlib. */
#include <zlib.h>

#include "oci/compression.h"
#include "oci/inflate.h"

struct inflate {
    z_stream stream;
};

enum { GZIP_ONLY = 16 + MAX_WBITS };

const char *oci_inflate_name(void)
{
    return "zlib";
}

int inflate_new(struct inflate **ret_inflate)
{
    struct inflate *z = calloc(1, sizeof(*z));

    if (!z)
        return -ENOMEM;
    if (inflateInit2(&z->stream, GZIP_ONLY) != Z_OK) {
        free(z);
        return -ENOMEM;
    }
    *ret_inflate = z;
    return 0;
}

struct inflate *inflate_free(struct inflate *z)
{
    if (z)
        (void)inflateEnd(&z->stream);
    free(z);
    return NULL;
}

void inflate_restart(struct inflate *z)
{
    (void)inflateReset2(&z->stream, GZIP_ONLY);
}

int inflate_run(struct inflate *z, struct inflate_io *io)
{
    z_stream *s = &z->stream;
    uInt in_size = (uInt)MIN(io->in_size, (size_t)1 << 30);
    uInt out_size = (uInt)MIN(io->out_size, (size_t)1 << 30);
    int r;

    s->next_in = (Bytef *)(uintptr_t)io->in; /* the library only reads it */
    s->avail_in = in_size;
    s->next_out = io->out;
    s->avail_out = out_size;
    r = inflate(s, Z_NO_FLUSH);
    io->in += in_size - s->avail_in;
    io->in_size -= in_size - s->avail_in;
    io->out += out_size - s->avail_out;
    io->out_size -= out_size - s->avail_out;
    if (r == Z_STREAM_END)
        return 1;
    if (r == Z_OK || r == Z_BUF_ERROR)
        return 0;
    return r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
}
