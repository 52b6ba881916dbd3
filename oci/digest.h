/* SPDX-License-Identifier: Apache-2.0 */
/* Content digests (image-spec, descriptor.md, "Digests") and the hashing that makes them. */
#ifndef OCI_DIGEST_H
#define OCI_DIGEST_H

#include "oci/util/macros.h"

enum oci_digest_alg {
    OCI_DIGEST_NONE = 0,
    OCI_DIGEST_SHA256 = 1,
    OCI_DIGEST_SHA512 = 2,
};

enum {
    OCI_DIGEST_BYTES_MAX = 64,
    OCI_DIGEST_STR_MAX = 7 + 128 + 1, /* "sha512:" + hex + NUL */
};

/* A value; zero-initialised it is OCI_DIGEST_NONE. Bytes past the algorithm's size are zero. */
struct oci_digest {
    uint8_t alg; /* enum oci_digest_alg */
    uint8_t bytes[OCI_DIGEST_BYTES_MAX];
};

/* Bytes of an algorithm's digest: 32, 64, or 0 for OCI_DIGEST_NONE. */
size_t oci_digest_size(enum oci_digest_alg alg);
const char *oci_digest_alg_name(enum oci_digest_alg alg);

/* Parses "sha256:<64 lower-case hex>" or sha512. -EINVAL when malformed, -EOPNOTSUPP when well
 * formed by the grammar but of another algorithm. */
int oci_digest_parse(const char *s, struct oci_digest *ret_digest);

/* Writes "alg:hex" and returns buf. */
const char *oci_digest_format(const struct oci_digest *d, char buf[static OCI_DIGEST_STR_MAX]);

/* Writes only the hex and returns buf: the file name below blobs/<alg>/. */
const char *oci_digest_hex(const struct oci_digest *d, char buf[static OCI_DIGEST_STR_MAX]);

bool oci_digest_equal(const struct oci_digest *a, const struct oci_digest *b);
int oci_digest_compare(const struct oci_digest *a, const struct oci_digest *b);

/* The digest of one piece of memory. */
int oci_digest_of(
    enum oci_digest_alg alg, const void *data, size_t size, struct oci_digest *ret_digest);

/* A sha256 digest from its 32 raw bytes. */
struct oci_digest oci_digest_sha256(const uint8_t bytes[static 32]);

/* chainID of layers (image-spec, config.md, "Layer ChainID"): *chain is replaced by
 * sha256("<chain> <diffid>"), or set to diffid when it is OCI_DIGEST_NONE. */
int oci_chain_id_extend(struct oci_digest *chain, const struct oci_digest *diffid);

/* A running hash. One owner at a time. */
struct oci_hash;

int oci_hash_new(enum oci_digest_alg alg, struct oci_hash **ret_hash);
struct oci_hash *oci_hash_free(struct oci_hash *h);
DEFINE_CLEANUP(struct oci_hash *, oci_hash_free)

/* 0 or -EIO when the library fails (sticky: final fails too). */
int oci_hash_update(struct oci_hash *h, const void *data, size_t size);

/* The digest so far; the hash then starts again. */
int oci_hash_final(struct oci_hash *h, struct oci_digest *ret_digest);

#endif
