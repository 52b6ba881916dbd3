/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of bytes that are pulled: a file, a registry's body, an inflater, a hash on the way.
 *
 *     file ── tee(hash, blob file) ── inflate ── tee(diffID) ── readahead ── layer reader
 *
 * A source hands out its next chunk in its own memory, so that bytes pass through a chain without
 * being copied. Each stage owns the one below it and closes it. A chain belongs to one thread,
 * except below oci_source_readahead(), which runs all that is below it in a thread of its own. */
#ifndef OCI_SOURCE_H
#define OCI_SOURCE_H

#include "oci/digest.h"
#include "oci/util/report.h"

struct oci_source;

/* What an implementation fills in. */
struct oci_source_ops {
    /* As oci_source_next(). */
    ssize_t (*next)(struct oci_source *s, const uint8_t **ret_data, struct report *r);
    /* Releases s and all below it. */
    void (*close)(struct oci_source *s);
};

/* First member of each implementation. */
struct oci_source {
    const struct oci_source_ops *ops;
};

/* The next chunk: its size (> 0), 0 at the end, or -errno with a text in r (then again at each
 * further call). The data are valid until the next call on s. */
ssize_t oci_source_next(struct oci_source *s, const uint8_t **ret_data, struct report *r);

/* Closes s and all below it; NULL is allowed; returns NULL. */
struct oci_source *oci_source_close(struct oci_source *s);
DEFINE_CLEANUP(struct oci_source *, oci_source_close)

/* The constructors below take `from` over in any case: when they fail it is closed. */

/* Reads fd (taken over) from offset on, size bytes; a file that ends before that is an error
 * ("truncated"). UINT64_MAX: to the end of the file. */
int oci_source_file(int fd, uint64_t offset, uint64_t size, struct oci_source **ret_source);

/* Bytes in memory, borrowed. */
int oci_source_memory(const void *data, size_t size, struct oci_source **ret_source);

/* All of first, then all of second; both are taken over in any case. */
int oci_source_concat(
    struct oci_source *first, struct oci_source *second, struct oci_source **ret_source);

/* Passes chunks on and shows each to sink first. A negative return of sink ends the stream with
 * that error. */
typedef int (*oci_sink_fn)(void *userdata, const uint8_t *data, size_t size, struct report *r);
int oci_source_tee(
    struct oci_source *from, oci_sink_fn sink, void *userdata, struct oci_source **ret_source);

/* Passes chunks on and hashes them. At the end of the stream size and digest must be as expected:
 * -EBADMSG with a text that names `what` and says which of the two differs. expect_size UINT64_MAX:
 * any size. More bytes than expected fail at once. A digest of OCI_DIGEST_NONE is not compared.
 * When ret_digest is given it must outlive the source and holds the digest (sha256 where none is
 * expected) after the end. */
int oci_source_verify(struct oci_source *from, const char *what, uint64_t expect_size,
    const struct oci_digest *expect, struct oci_digest *ret_digest, struct oci_source **ret_source);

/* Fails with -EFBIG (text names `what`) when more than limit bytes come through. */
int oci_source_limit(
    struct oci_source *from, const char *what, uint64_t limit, struct oci_source **ret_source);

/* Runs `from` in its own thread, up to `chunks` chunks of at most 256 KiB ahead. */
int oci_source_readahead(struct oci_source *from, unsigned chunks, struct oci_source **ret_source);

#endif
