/* SPDX-License-Identifier: Apache-2.0 */
/* Inflating gzip with ISA-L.
 *
 * The member's header is read by a call of its own: isal_inflate() can do that too, but forgets in
 * the middle of a header which fields follow (2.30), and headers may be cut anywhere here. */
#include <isa-l/igzip_lib.h>

#include "oci/compression.h"
#include "oci/inflate.h"

struct inflate {
    struct inflate_state state;
    struct isal_gzip_header header;
    bool in_header;
};

const char *oci_inflate_name(void)
{
    return "isa-l";
}

int inflate_new(struct inflate **ret_inflate)
{
    struct inflate *z = calloc(1, sizeof(*z));

    if (!z)
        return -ENOMEM;
    isal_inflate_init(&z->state);
    inflate_restart(z);
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
    z->state.crc_flag = ISAL_GZIP_NO_HDR_VER; /* the trailer is checked */
    z->header = (struct isal_gzip_header){0};
    z->in_header = true;
}

/* Returns what the library does: negative for an error. */
static int run(struct inflate *z)
{
    int r;

    if (z->in_header) {
        r = isal_read_gzip_header(&z->state, &z->header);
        if (r != ISAL_DECOMP_OK)
            return r;
        z->in_header = false;
    }
    return isal_inflate(&z->state);
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
    r = run(z);
    io->in += in_size - s->avail_in;
    io->in_size -= in_size - s->avail_in;
    io->out += out_size - s->avail_out;
    io->out_size -= out_size - s->avail_out;
    if (r < 0)
        return -EBADMSG;
    return s->block_state == ISAL_BLOCK_FINISH;
}
