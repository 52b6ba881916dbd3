/* SPDX-License-Identifier: Apache-2.0 */
/* Small JSON files of the store that carry their own checksum: mount records, notes on uppers. */
#ifndef LAYERFS_STORE_SEAL_H
#define LAYERFS_STORE_SEAL_H

#include "oci/json.h"

/* Appends the object's canonical bytes with a member "sum" added: the sha256 of those without. */
int lfs_seal(json_t *json, struct buf *b);

/* True when the bytes are such a file. A newline at the end is allowed. */
bool lfs_seal_is_sound(const struct buf *b);

#endif
