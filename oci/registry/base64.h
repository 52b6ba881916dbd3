/* SPDX-License-Identifier: Apache-2.0 */
/* base64 (RFC 4648, section 4), as credentials are written. */
#ifndef OCI_REGISTRY_BASE64_H
#define OCI_REGISTRY_BASE64_H

#include "oci/util/buf.h"

/* Appends the text, with padding. 0 or -ENOMEM. */
int base64_encode(const void *data, size_t size, struct buf *b);

/* Appends the bytes; padding may be missing. 0, -EBADMSG, -ENOMEM. */
int base64_decode(const char *text, struct buf *b);

#endif
