/* SPDX-License-Identifier: Apache-2.0 */
/* Inflating gzip with ISA-L. */
#include <isa-l/igzip_lib.h>

#include "oci/compression.h"
#include "oci/inflate.h"

struct inflate {
    struct inflate_state state;
};

const char *oci_inflate_name(void)
{
    return "isa-l";
}

int inflate_new(struct inflate **ret_inflate)
{
    struct inflate *z = malloc(sizeof(*z));

    if (!z)
        return -ENOMEM;
    isal_inflate_init(&z->state);
    z->state.crc_flag = ISAL_GZIP;
    *ret_inflate = z;
    return 0;
}

struct inflate *inflate_free(struct inflate *z)
{
    free(z);
    return NULL;
}

void inflate_restart(struct inflate *z)
{
    isal_inflate_reset(&z->state);
    z->state.crc_flag = ISAL_GZIP;
}

int inflate_run(struct inflate *z, struct inflate_io *io)
{
    struct inflate_state *s = &z->state;
    uint32_t in_size = (uint32_t)MIN(io->in_size, (size_t)1 << 30);
    uint32_t out_size = (uint32_t)MIN(io->out_size, (size_t)1 << 30);
    int r;

    s->next_in = (uint8_t *)(uintptr_t)io->in; /* the library only reads it */
    s->avail_in = in_size;
    s->next_out = io->out;
    s->avail_out = out_size;
    r = isal_inflate(s);
    io->in += in_size - s->avail_in;
    io->in_size -= in_size - s->avail_in;
    io->out += out_size - s->avail_out;
    io->out_size -= out_size - s->avail_out;
    if (r < 0)
        return -EBADMSG;
    return s->block_state == ISAL_BLOCK_FINISH;
}
