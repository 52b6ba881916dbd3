/* SPDX-License-Identifier: Apache-2.0 */
/* Inflating gzip: one interface, two files of which the build takes one. Internal to oci. */
#ifndef OCI_INFLATE_H
#define OCI_INFLATE_H

#include "oci/util/macros.h"

/* What is left to read and room left to write; advanced by the calls below. */
struct inflate_io {
    const uint8_t *in;
    size_t in_size;
    uint8_t *out;
    size_t out_size;
};

struct inflate;

int inflate_new(struct inflate **ret_inflate);
struct inflate *inflate_free(struct inflate *z);

/* Starts anew at the first byte of a gzip member. */
void inflate_restart(struct inflate *z);

/* Goes on with one gzip member: header, data, checked trailer. 1 at its end (io then stands right
 * behind it), 0 when input or room is used up, -EBADMSG, -ENOMEM. With nothing to read it may still
 * write what it holds back. */
int inflate_run(struct inflate *z, struct inflate_io *io);

#endif
