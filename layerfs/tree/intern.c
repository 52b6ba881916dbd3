/* SPDX-License-Identifier: Apache-2.0 */
/* Byte strings kept once each. */
#include "layerfs/tree/intern.h"

#include <string.h>

void lfs_intern_deinit(struct lfs_intern *in)
{
    buf_deinit(&in->bytes);
    free(in->offsets);
    free(in->table);
    *in = (struct lfs_intern){.key = in->key};
}

const uint8_t *lfs_intern_get(const struct lfs_intern *in, uint32_t number, size_t *ret_size)
{
    uint64_t end = number + 1 < in->count ? in->offsets[number + 1] : in->bytes.size;

    *ret_size = end - in->offsets[number];
    return in->bytes.data + in->offsets[number];
}

static uint32_t slot_of(const struct lfs_intern *in, const void *data, size_t size)
{
    return (uint32_t)lfs_hash(in->key, 0, data, size) & (in->table_size - 1);
}

/* The slot of these bytes, or the free one where they belong. */
static uint32_t find(const struct lfs_intern *in, const void *data, size_t size)
{
    uint32_t slot = slot_of(in, data, size);

    for (; in->table[slot]; slot = (slot + 1) & (in->table_size - 1)) {
        size_t other_size;
        const uint8_t *other = lfs_intern_get(in, in->table[slot] - 1, &other_size);

        if (other_size == size && memcmp(other, data, size) == 0)
            break;
    }
    return slot;
}

static int grow_table(struct lfs_intern *in)
{
    uint32_t size = in->table_size ? in->table_size * 2 : 64;
    uint32_t *table;

    if (in->count < in->table_size / 2)
        return 0;
    if (in->table_size > UINT32_MAX / 2)
        return -EFBIG;
    table = calloc(size, sizeof(*table));
    if (!table)
        return -ENOMEM;
    free(in->table);
    in->table = table;
    in->table_size = size;
    for (uint32_t i = 0; i < in->count; i++) {
        size_t bytes_size;
        const uint8_t *bytes = lfs_intern_get(in, i, &bytes_size);
        uint32_t slot = slot_of(in, bytes, bytes_size);

        while (in->table[slot])
            slot = (slot + 1) & (size - 1);
        in->table[slot] = i + 1;
    }
    return 0;
}

static int grow_offsets(struct lfs_intern *in)
{
    uint32_t capacity = in->capacity ? in->capacity + in->capacity / 2 : 64;
    uint64_t *offsets;

    if (in->count < in->capacity)
        return 0;
    offsets = reallocarray(in->offsets, capacity, sizeof(*offsets));
    if (!offsets)
        return -ENOMEM;
    in->offsets = offsets;
    in->capacity = capacity;
    return 0;
}

int lfs_intern_add(struct lfs_intern *in, const void *data, size_t size, uint32_t *ret_number)
{
    uint32_t slot;
    int r = grow_table(in);

    if (r == 0)
        r = grow_offsets(in);
    if (r < 0)
        return r;
    slot = find(in, data, size);
    if (!in->table[slot]) {
        uint64_t offset = in->bytes.size;

        r = buf_append(&in->bytes, data, size);
        if (r < 0)
            return r;
        in->offsets[in->count++] = offset;
        in->table[slot] = in->count;
    }
    *ret_number = in->table[slot] - 1;
    return 0;
}

static inline uint64_t rotate(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

static inline void sip_round(uint64_t v[static 4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static inline void sip_word(uint64_t v[static 4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

/* The tweak is hashed as a word before the data. */
uint64_t lfs_hash(const uint8_t key[static 16], uint64_t tweak, const void *data, size_t size)
{
    const uint8_t *p = data;
    uint64_t k[2], word;
    uint64_t v[4];
    size_t left = size;

    memcpy(k, key, sizeof(k));
    v[0] = k[0] ^ 0x736f6d6570736575;
    v[1] = k[1] ^ 0x646f72616e646f6d;
    v[2] = k[0] ^ 0x6c7967656e657261;
    v[3] = k[1] ^ 0x7465646279746573;
    sip_word(v, tweak);
    for (; left >= sizeof(word); left -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        sip_word(v, word);
    }
    word = 0;
    memcpy(&word, p, left);
    sip_word(v, word | (uint64_t)size << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
