/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a tar. Numbers and records are read as strictly as Go's archive/tar reads them,
 * which is what most registries' layers went through. */
#include "oci/tar_format.h"

#include <stdio.h>
#include <string.h>

enum { CHECKSUM_AT = offsetof(struct tar_header, checksum), CHECKSUM_SIZE = 8 };

bool tar_block_is_zero(const void *block)
{
    static const uint8_t zero[TAR_BLOCK];

    return memcmp(block, zero, TAR_BLOCK) == 0;
}

static void sums(const struct tar_header *h, int64_t *ret_unsigned, int64_t *ret_signed)
{
    const uint8_t *p = (const uint8_t *)h;
    int64_t u = 0, s = 0;

    for (size_t i = 0; i < TAR_BLOCK; i++) {
        uint8_t c = i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_SIZE ? ' ' : p[i];

        u += c;
        s += (int8_t)c;
    }
    *ret_unsigned = u;
    *ret_signed = s;
}

bool tar_checksum_ok(const struct tar_header *h)
{
    int64_t noted, u, s;

    if (tar_number(h->checksum, sizeof(h->checksum), &noted) < 0)
        return false;
    sums(h, &u, &s);
    return noted == u || noted == s;
}

void tar_checksum_set(struct tar_header *h)
{
    int64_t u, s;

    sums(h, &u, &s);
    (void)snprintf(h->checksum, sizeof(h->checksum), "%06o", (unsigned)u & 0777777);
    h->checksum[7] = ' ';
}

static int binary_number(const uint8_t *p, size_t size, int64_t *ret_value)
{
    uint8_t invert = p[0] & 0x40 ? 0xff : 0; /* negative: two's complement */
    uint64_t x = 0;

    for (size_t i = 0; i < size; i++) {
        uint8_t c = (uint8_t)(p[i] ^ invert);

        if (i == 0)
            c &= 0x7f; /* the mark of base-256 */
        if (x >> 56)
            return -EBADMSG;
        x = x << 8 | c;
    }
    if (x >> 63)
        return -EBADMSG;
    *ret_value = invert ? ~(int64_t)x : (int64_t)x;
    return 0;
}

static int octal_number(const char *p, size_t size, int64_t *ret_value)
{
    uint64_t x = 0;

    while (size > 0 && (*p == ' ' || *p == '\0')) {
        p++;
        size--;
    }
    while (size > 0 && (p[size - 1] == ' ' || p[size - 1] == '\0'))
        size--;
    for (; size > 0 && *p; p++, size--) {
        if (*p < '0' || *p > '7' || x >> 60)
            return -EBADMSG;
        x = x << 3 | (uint64_t)(*p - '0');
    }
    *ret_value = (int64_t)x;
    return 0;
}

int tar_number(const char *field, size_t size, int64_t *ret_value)
{
    const uint8_t *p = (const uint8_t *)field;

    return p[0] & 0x80 ? binary_number(p, size, ret_value) : octal_number(field, size, ret_value);
}

int tar_put_octal(char *field, size_t size, uint64_t value)
{
    bool fits = value >> (3 * (size - 1)) == 0; /* sizes are 8 and 12 */
    uint64_t v = fits ? value : 0;

    field[size - 1] = '\0';
    for (size_t i = size - 1; i > 0; i--, v >>= 3)
        field[i - 1] = (char)('0' + (v & 7));
    return fits ? 0 : -ERANGE;
}

void tar_put_binary(char *field, size_t size, int64_t value)
{
    for (size_t i = size; i > 0; i--, value >>= 8)
        field[i - 1] = (char)(uint8_t)value;
    field[0] = (char)((uint8_t)field[0] | 0x80);
}

/* Unsigned digits; -EBADMSG when there are none, others, or too many. */
static int digits(const char *text, size_t size, int64_t *ret_value)
{
    int64_t x = 0;

    if (size == 0)
        return -EBADMSG;
    for (; size > 0; text++, size--) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(x, (int64_t)10, &x) ||
            __builtin_add_overflow(x, (int64_t)(*text - '0'), &x))
            return -EBADMSG;
    }
    *ret_value = x;
    return 0;
}

int tar_decimal(const char *text, size_t size, int64_t *ret_value)
{
    bool negative = size > 0 && *text == '-';
    int64_t x;
    int err = digits(text + negative, size - negative, &x);

    if (err == 0)
        *ret_value = negative ? -x : x;
    return err;
}

/* The fraction's first nine digits as nanoseconds. */
static int fraction(const char *text, size_t size, uint32_t *ret_nsec)
{
    uint32_t nsec = 0, unit = 100000000;

    for (; size > 0; text++, size--, unit /= 10) {
        if (*text < '0' || *text > '9')
            return -EBADMSG;
        nsec += (uint32_t)(*text - '0') * unit;
    }
    *ret_nsec = nsec;
    return 0;
}

int tar_time(const char *text, size_t size, int64_t *ret_sec, uint32_t *ret_nsec)
{
    const char *dot = memchr(text, '.', size);
    size_t whole = dot ? (size_t)(dot - text) : size;
    uint32_t nsec = 0;
    int64_t sec;

    if (tar_decimal(text, whole, &sec) < 0)
        return -EBADMSG;
    if (dot && fraction(dot + 1, size - whole - 1, &nsec) < 0)
        return -EBADMSG;
    if (text[0] == '-' && nsec > 0) { /* -1.25 is 750 ms after second -2 */
        sec--;
        nsec = 1000000000 - nsec;
    }
    *ret_sec = sec;
    *ret_nsec = nsec;
    return 0;
}

/* Names may not hold a NUL in their value, other records not in their key. */
static bool record_valid(const struct tar_record *record)
{
    static const char *const names[] = {"path", "linkpath", "uname", "gname"};

    if (record->key_size == 0 || memchr(record->key, '\0', record->key_size))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (tar_record_is(record, names[i]))
            return !memchr(record->value, '\0', record->value_size);
    return true;
}

int tar_record_next(const char **data, size_t *size, struct tar_record *ret_record)
{
    const char *line = *data, *space, *equals;
    struct tar_record record;
    int64_t length;

    if (*size == 0)
        return 0;
    space = memchr(line, ' ', MIN(*size, (size_t)20));
    if (!space || digits(line, (size_t)(space - line), &length) < 0)
        return -EBADMSG;
    if (length < space - line + 3 || (uint64_t)length > *size || line[length - 1] != '\n')
        return -EBADMSG;
    record.key = space + 1;
    equals = memchr(record.key, '=', (size_t)(line + length - 1 - record.key));
    if (!equals)
        return -EBADMSG;
    record.key_size = (size_t)(equals - record.key);
    record.value = equals + 1;
    record.value_size = (size_t)(line + length - 1 - record.value);
    if (!record_valid(&record))
        return -EBADMSG;
    *data += length;
    *size -= (size_t)length;
    *ret_record = record;
    return 1;
}

bool tar_record_is(const struct tar_record *record, const char *key)
{
    return record->key_size == strlen(key) && memcmp(record->key, key, record->key_size) == 0;
}

static size_t decimal_size(size_t value)
{
    size_t n = 1;

    for (; value >= 10; value /= 10)
        n++;
    return n;
}

int tar_record_append(struct buf *b, const char *prefix, const char *name, size_t name_size,
    const void *value, size_t value_size)
{
    size_t rest = 1 + strlen(prefix) + name_size + 1 + value_size + 1;
    size_t length = rest + decimal_size(rest); /* the length counts its own digits */
    int err;

    length = rest + decimal_size(length);
    err = buf_printf(b, "%zu %s", length, prefix);
    if (err == 0)
        err = buf_append(b, name, name_size);
    if (err == 0)
        err = buf_append(b, "=", 1);
    if (err == 0)
        err = buf_append(b, value, value_size);
    return err == 0 ? buf_append(b, "\n", 1) : err;
}
