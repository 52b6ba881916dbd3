/* SPDX-License-Identifier: Apache-2.0 */
/* The maps of sparse files. */
#include "oci/tar_sparse.h"

#include <string.h>

void tar_sparse_reset(struct tar_sparse *s)
{
    struct tar_extent *extents = s->extents;
    size_t capacity = s->capacity;

    *s = (struct tar_sparse){.major = -1,
        .minor = -1,
        .block_count = -1,
        .pending_offset = -1,
        .real_size = -1,
        .numbers_left = -1,
        .extents = extents,
        .capacity = capacity};
}

void tar_sparse_deinit(struct tar_sparse *s)
{
    free(s->extents);
    *s = (struct tar_sparse){0};
}

static int add_extent(struct tar_sparse *s, int64_t offset, int64_t size)
{
    if (offset < 0 || size < 0 || offset > INT64_MAX - size)
        return -EBADMSG;
    if (s->count == s->capacity) {
        size_t capacity = MAX(s->capacity * 2, (size_t)16);
        struct tar_extent *extents = reallocarray(s->extents, capacity, sizeof(*extents));

        if (!extents)
            return -ENOMEM;
        s->extents = extents;
        s->capacity = capacity;
    }
    s->extents[s->count++] =
        (struct tar_extent){.offset = (uint64_t)offset, .size = (uint64_t)size};
    return 0;
}

/* A number of a map: offsets and sizes take turns. */
static int add_number(struct tar_sparse *s, int64_t number)
{
    int64_t offset = s->pending_offset;

    if (offset < 0) {
        s->pending_offset = number;
        return number < 0 ? -EBADMSG : 0;
    }
    s->pending_offset = -1;
    return add_extent(s, offset, number);
}

/* 0.1: "offset,size,offset,size,…". */
static int parse_map(struct tar_sparse *s, const char *text, size_t size)
{
    s->count = 0;
    s->pending_offset = -1;
    s->has_map = true;
    while (size > 0) {
        const char *comma = memchr(text, ',', size);
        size_t n = comma ? (size_t)(comma - text) : size;
        int64_t number;
        int err = tar_decimal(text, n, &number);

        if (err == 0)
            err = add_number(s, number);
        if (err < 0)
            return err;
        text += n + (comma != NULL);
        size -= n + (comma != NULL);
    }
    return s->pending_offset < 0 ? 0 : -EBADMSG;
}

/* 0.0: offset and numbytes records take turns. */
static int pair_record(struct tar_sparse *s, const struct tar_record *rec, bool is_offset)
{
    int64_t number;
    int err = tar_decimal(rec->value, rec->value_size, &number);

    if (err < 0 || is_offset != (s->pending_offset < 0))
        return -EBADMSG;
    s->has_map = true;
    return add_number(s, number);
}

int tar_sparse_record(struct tar_sparse *s, const struct tar_record *rec)
{
    const char *v = rec->value;
    size_t n = rec->value_size;

    if (tar_record_is(rec, "GNU.sparse.major"))
        return tar_decimal(v, n, &s->major);
    if (tar_record_is(rec, "GNU.sparse.minor"))
        return tar_decimal(v, n, &s->minor);
    if (tar_record_is(rec, "GNU.sparse.numblocks"))
        return tar_decimal(v, n, &s->block_count);
    if (tar_record_is(rec, "GNU.sparse.size") || tar_record_is(rec, "GNU.sparse.realsize"))
        return tar_decimal(v, n, &s->real_size);
    if (tar_record_is(rec, "GNU.sparse.offset"))
        return pair_record(s, rec, true);
    if (tar_record_is(rec, "GNU.sparse.numbytes"))
        return pair_record(s, rec, false);
    if (tar_record_is(rec, "GNU.sparse.map"))
        return parse_map(s, v, n);
    if (tar_record_is(rec, "GNU.sparse.name")) {
        s->name = v;
        s->name_size = n;
        return memchr(v, '\0', n) ? -EBADMSG : 0;
    }
    return 0;
}

int tar_sparse_settle(struct tar_sparse *s)
{
    bool version0 = s->major == 0 && (s->minor == 0 || s->minor == 1);
    bool version1 = s->major == 1 && s->minor == 0;
    bool no_version = s->major == -1 && s->minor == -1;

    if (!version0 && !version1 && !no_version)
        return -EBADMSG;
    if (no_version && !s->has_map)
        return 0;
    s->is_sparse = true;
    s->inner_map = version1;
    if (version1) {
        s->count = 0;
        s->pending_offset = -1;
        return 0;
    }
    if (s->pending_offset >= 0)
        return -EBADMSG;
    return s->block_count < 0 || (uint64_t)s->block_count == s->count ? 0 : -EBADMSG;
}

int tar_sparse_old(struct tar_sparse *s, const char *pairs, unsigned count)
{
    for (; count > 0 && pairs[0] != '\0'; count--, pairs += 2 * TAR_GNU_NUMBER) {
        int64_t offset, size;
        int err = tar_number(pairs, TAR_GNU_NUMBER, &offset);

        if (err == 0)
            err = tar_number(pairs + TAR_GNU_NUMBER, TAR_GNU_NUMBER, &size);
        if (err == 0)
            err = add_extent(s, offset, size);
        if (err < 0)
            return err;
    }
    return 0;
}

int tar_sparse_old_size(struct tar_sparse *s, const char *field)
{
    return tar_number(field, TAR_GNU_NUMBER, &s->real_size);
}

/* Takes a complete number of the inner map: the count of pairs, or one of a pair. */
static int inner_number(struct tar_sparse *s)
{
    int64_t number = s->number;

    s->number = 0;
    s->in_number = false;
    if (s->numbers_left >= 0) {
        s->numbers_left--;
        return add_number(s, number);
    }
    if (number > INT32_MAX)
        return -EBADMSG;
    s->numbers_left = 2 * number;
    return 0;
}

int tar_sparse_text(struct tar_sparse *s, const char *text, size_t size)
{
    for (; size > 0 && s->numbers_left != 0; text++, size--) {
        int err = 0;

        if (*text == '\n' && s->in_number)
            err = inner_number(s);
        else if (*text < '0' || *text > '9' || s->number > (INT64_MAX - 9) / 10)
            err = -EBADMSG;
        else {
            s->number = s->number * 10 + (*text - '0');
            s->in_number = true;
        }
        if (err < 0)
            return err;
    }
    return s->numbers_left == 0;
}

bool tar_sparse_valid(struct tar_sparse *s, uint64_t stored)
{
    uint64_t end = 0, sum = 0;
    size_t kept = 0;

    if (s->real_size < 0)
        return false;
    for (size_t i = 0; i < s->count; i++) {
        struct tar_extent e = s->extents[i];

        if (e.offset < end || e.offset + e.size > (uint64_t)s->real_size)
            return false;
        end = e.offset + e.size;
        sum += e.size;
        if (e.size > 0)
            s->extents[kept++] = e;
    }
    s->count = kept;
    s->size = (uint64_t)s->real_size;
    return sum == stored;
}
