/* SPDX-License-Identifier: Apache-2.0 */
/* The compressors behind oci_source_compress(). Internal to oci. */
#ifndef OCI_COMPRESS_H
#define OCI_COMPRESS_H

#include "oci/source.h"

enum { COMPRESS_THREADS_MAX = 64 };

/* Both take `from` over in any case. level < 0: the default; threads from 1 to the maximum. */
int compress_gzip(
    struct oci_source *from, int level, unsigned threads, struct oci_source **ret_source);
int compress_zstd(
    struct oci_source *from, int level, unsigned threads, struct oci_source **ret_source);

#endif
