/* SPDX-License-Identifier: Apache-2.0 */
/* The maps of sparse files: old GNU headers, and PAX 0.0, 0.1 and 1.0. Internal to oci. */
#ifndef OCI_TAR_SPARSE_H
#define OCI_TAR_SPARSE_H

#include "oci/tar_format.h"
#include "oci/tar_guard.h"

struct tar_sparse {
    /* from PAX records; -1 and NULL: not given */
    int64_t major, minor, block_count, pending_offset;
    const char *name; /* of the entry, instead of "path" */
    size_t name_size;
    bool has_map;

    bool is_sparse; /* by its records */
    bool inner_map; /* 1.0: the map is in front of the content */
    int64_t real_size;
    uint64_t size; /* of the file, set with valid */

    /* the decimal that the inner map's text is in the middle of */
    int64_t number, numbers_left; /* numbers_left < 0: the count comes first */
    bool in_number;

    struct tar_extent *extents;
    size_t count, capacity;
};

void tar_sparse_reset(struct tar_sparse *s);
void tar_sparse_deinit(struct tar_sparse *s);

/* Takes a GNU.sparse.* record. 0, -EBADMSG, -ENOMEM. */
int tar_sparse_record(struct tar_sparse *s, const struct tar_record *record);

/* After the last record: decides by the version whether there is a map and where. */
int tar_sparse_settle(struct tar_sparse *s);

/* Takes pairs of an old GNU header, which end at the first that is empty, and the real size. */
int tar_sparse_old(struct tar_sparse *s, const char *pairs, unsigned count);
int tar_sparse_old_size(struct tar_sparse *s, const char *field);

/* Takes text of the inner map: 1 when the map is complete, 0 when more is to come. */
int tar_sparse_text(struct tar_sparse *s, const char *text, size_t size);

/* True when the extents are ascending and apart, lie in the file, and hold `stored` bytes. Drops
 * empty ones. */
bool tar_sparse_valid(struct tar_sparse *s, uint64_t stored);

#endif
