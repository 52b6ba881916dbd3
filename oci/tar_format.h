/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a tar: header blocks, numbers, PAX records. Internal to oci. */
#ifndef OCI_TAR_FORMAT_H
#define OCI_TAR_FORMAT_H

#include "oci/util/buf.h"

enum { TAR_BLOCK = 512 };

/* POSIX ustar; the GNU format has other fields from prefix on (offsets below). */
struct tar_header {
    char name[100];
    char mode[8], uid[8], gid[8];
    char size[12], mtime[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[8]; /* "ustar\0" "00", "ustar  \0" for GNU, zeros for v7 */
    char user[32], group[32];
    char dev_major[8], dev_minor[8];
    char prefix[155];
    char rest[12];
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "a header is a block");

/* Old GNU sparse: 4 pairs of 12-byte numbers in the header, 21 in each extension block. */
enum {
    TAR_GNU_ATIME = 345,
    TAR_GNU_SPARSE = 386,
    TAR_GNU_SPARSE_COUNT = 4,
    TAR_GNU_EXTENDED = 482,
    TAR_GNU_REALSIZE = 483,
    TAR_GNU_EXT_COUNT = 21,
    TAR_GNU_EXT_EXTENDED = 504,
    TAR_GNU_NUMBER = 12,
};

static inline uint64_t tar_padded(uint64_t size)
{
    return (size + TAR_BLOCK - 1) & ~(uint64_t)(TAR_BLOCK - 1);
}

bool tar_block_is_zero(const void *block);

/* True when the sum of the bytes, taken as unsigned or (old writers) as signed, is as noted. */
bool tar_checksum_ok(const struct tar_header *h);
void tar_checksum_set(struct tar_header *h);

/* A numeric field, octal or base-256. -EBADMSG when it is neither; blank is 0. */
int tar_number(const char *field, size_t size, int64_t *ret_value);

/* Writes octal digits and a NUL; -ERANGE when they do not fit (the field then holds 0). */
int tar_put_octal(char *field, size_t size, uint64_t value);
/* Writes base-256. Fields of 8 bytes hold 62 bits. */
void tar_put_binary(char *field, size_t size, int64_t value);

/* The text of a PAX number or time. -EBADMSG when it is anything but that, or out of range. */
int tar_decimal(const char *text, size_t size, int64_t *ret_value);
int tar_time(const char *text, size_t size, int64_t *ret_sec, uint32_t *ret_nsec);

/* One "LENGTH KEY=VALUE\n". */
struct tar_record {
    const char *key, *value;
    size_t key_size, value_size;
};

/* Takes the next record off (*data, *size): 1, 0 at the end, -EBADMSG. */
int tar_record_next(const char **data, size_t *size, struct tar_record *ret_record);
bool tar_record_is(const struct tar_record *record, const char *key);

/* Appends a record; key is prefix and name. 0 or -errno. */
int tar_record_append(struct buf *b, const char *prefix, const char *name, size_t name_size,
    const void *value, size_t value_size);

#endif
