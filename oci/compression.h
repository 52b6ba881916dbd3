/* SPDX-License-Identifier: Apache-2.0 */
/* gzip, zstd and plain streams. */
#ifndef OCI_COMPRESSION_H
#define OCI_COMPRESSION_H

#include "oci/source.h"

enum oci_compression {
    OCI_COMPRESSION_NONE,
    OCI_COMPRESSION_GZIP,
    OCI_COMPRESSION_ZSTD,
};

/* "none", "gzip", "zstd". */
const char *oci_compression_name(enum oci_compression c);
int oci_compression_parse(const char *name, enum oci_compression *ret_compression);

/* Decompresses by what the first bytes say, whatever the media type claims: gzip (also several
 * members), zstd (several frames, skippable ones too) or plain. Bytes after the last member that
 * are not zero are an error; so is a stream cut short (-EBADMSG). ret_compression (may be NULL,
 * must outlive the source) is set before the first chunk is returned. Window sizes above
 * 128 MiB are refused (-EFBIG). Takes `from` over in any case. */
int oci_source_decompress(
    struct oci_source *from, enum oci_compression *ret_compression, struct oci_source **ret_source);

/* Compresses with `threads` threads. The same input, level and library give the same bytes for any
 * number of threads. level < 0: the format's default. Takes `from` over in any case. */
int oci_source_compress(struct oci_source *from, enum oci_compression c, int level,
    unsigned threads, struct oci_source **ret_source);

/* Name of the gzip inflater in this build: "isa-l" or "zlib". */
const char *oci_inflate_name(void);

#endif
