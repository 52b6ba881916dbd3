/* SPDX-License-Identifier: Apache-2.0 */
/* The filter in front of libarchive that reduces any tar to a plain, checked one. Internal to oci.
 */
#ifndef OCI_TAR_GUARD_H
#define OCI_TAR_GUARD_H

#include "oci/layer.h"

struct tar_guard;

/* A piece of a sparse file; what is between two pieces is a hole. */
struct tar_extent {
    uint64_t offset, size;
};

/* What the plain tar cannot tell of the entry whose header went through last. Valid until the next
 * header. */
struct tar_guard_entry {
    const char *name; /* as the tar has it; for texts */
    uint64_t size;    /* of a regular file, holes counted */
    uint32_t mtime_nsec;
    bool sparse;
    const struct tar_extent *extents; /* ascending, apart; they hold the content in turn */
    size_t extent_count;
};

/* Takes tar over in any case. */
int tar_guard_new(
    struct oci_source *tar, const struct oci_layer_limits *limits, struct tar_guard **ret_guard);
struct tar_guard *tar_guard_free(struct tar_guard *g);

/* The next piece of the plain tar, as oci_source_next(). A piece never holds more than one entry's
 * header, and is asked for only when the pieces before are used up. */
ssize_t tar_guard_next(struct tar_guard *g, const uint8_t **ret_data, struct report *r);

const struct tar_guard_entry *tar_guard_entry(const struct tar_guard *g);

/* Puts the entry's name, cut where it is long, in front of the text. Returns err. */
int tar_guard_context(const struct tar_guard *g, int err, struct report *r);

/* Reads what follows the end of the archive, whatever it is. */
int tar_guard_drain(struct tar_guard *g, struct report *r);

#endif
