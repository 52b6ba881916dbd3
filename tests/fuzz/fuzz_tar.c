/* SPDX-License-Identifier: Apache-2.0 */
/* Layers: guard, libarchive and reader over any bytes. What comes out must keep the promises of
 * oci/layer.h, and be the same however the bytes are cut into chunks, and whether contents are read
 * or skipped. */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/stat.h>

#include "oci/layer.h"
#include "oci/tar_format.h"

struct chunks {
    struct oci_source source;
    const uint8_t *data;
    size_t size, chunk;
    uint8_t *copy; /* of the chunk, with no slack: reads past its end are seen */
};

static ssize_t chunks_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct chunks *c = (struct chunks *)s;
    size_t n = c->size < c->chunk ? c->size : c->chunk;

    (void)r;
    free(c->copy);
    c->copy = NULL;
    if (n == 0)
        return 0;
    c->copy = malloc(n);
    fuzz_check(c->copy);
    memcpy(c->copy, c->data, n);
    c->data += n;
    c->size -= n;
    *ret_data = c->copy;
    return (ssize_t)n;
}

static void chunks_close(struct oci_source *s)
{
    struct chunks *c = (struct chunks *)s;

    free(c->copy);
    free(c);
}

static const struct oci_source_ops chunks_ops = {.next = chunks_next, .close = chunks_close};

static struct oci_source *new_chunks(const uint8_t *data, size_t size, size_t chunk)
{
    struct chunks *c = calloc(1, sizeof(*c));

    fuzz_check(c);
    *c = (struct chunks){
        .source.ops = &chunks_ops, .data = data, .size = size, .chunk = chunk ? chunk : 1};
    return &c->source;
}

static void check_path(const char *path)
{
    fuzz_check(strlen(path) < OCI_PATH_MAX && path[0] != '/');
    while (*path) {
        size_t n = strcspn(path, "/");

        fuzz_check(n > 0 && n <= OCI_NAME_MAX);
        fuzz_check(!(n == 1 && path[0] == '.') && !(n == 2 && path[0] == '.' && path[1] == '.'));
        fuzz_check(path[n] != '/' || path[n + 1] != '\0');
        path += n + (path[n] == '/');
    }
}

static void check_entry(const struct oci_layer_entry *e)
{
    check_path(e->path);
    if (e->kind == OCI_ENTRY_HARDLINK)
        check_path(e->link);
    if (e->kind != OCI_ENTRY_NODE)
        return;
    fuzz_check((e->mode & ~(mode_t)(S_IFMT | 07777)) == 0);
    fuzz_check(S_ISREG(e->mode) || S_ISDIR(e->mode) || S_ISLNK(e->mode) || S_ISCHR(e->mode) ||
               S_ISBLK(e->mode) || S_ISFIFO(e->mode));
    fuzz_check(S_ISREG(e->mode) || e->size == 0);
    fuzz_check(S_ISLNK(e->mode) == (e->link != NULL));
    fuzz_check(*e->path || S_ISDIR(e->mode));
    fuzz_check(e->uid != UINT32_MAX && e->gid != UINT32_MAX && e->mtime_nsec < 1000000000);
    for (size_t i = 0; i < e->xattr_count; i++) {
        fuzz_check(e->xattrs[i].size <= OCI_XATTR_SIZE_MAX);
        fuzz_check(i == 0 || strcmp(e->xattrs[i - 1].name, e->xattrs[i].name) < 0);
    }
}

static uint64_t mix(uint64_t sum, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ ((const uint8_t *)data)[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static int read_content(
    struct oci_layer_reader *reader, uint64_t file_size, uint64_t *sum, struct report *r)
{
    const uint8_t *data;
    uint64_t offset, end = 0;
    size_t size;
    int n;

    while ((n = oci_layer_reader_data(reader, &data, &size, &offset, r)) > 0) {
        fuzz_check(size > 0 && offset >= end && offset + size <= file_size);
        end = offset + size;
        *sum = mix(*sum, data, size);
    }
    return n;
}

static int read_layer(struct oci_source *tar, bool contents, uint64_t *sum)
{
    static const struct oci_layer_limits limits = {
        .max_size = 1 << 24, .max_entries = 10000, .max_file_size = 1 << 30, .max_header = 1 << 16};
    struct oci_layer_reader *reader;
    const struct oci_layer_entry *entry;
    struct report report = REPORT_INIT;
    int n = oci_layer_reader_new(tar, &limits, &reader);

    fuzz_check(n == 0);
    while ((n = oci_layer_reader_next(reader, &entry, &report)) > 0) {
        check_entry(entry);
        *sum = mix(*sum, entry->path, strlen(entry->path));
        *sum = mix(*sum, &entry->kind, sizeof(entry->kind));
        *sum = mix(*sum, &entry->mode, sizeof(entry->mode));
        *sum = mix(*sum, &entry->size, sizeof(entry->size));
        if (contents)
            n = read_content(reader, entry->size, sum, &report);
        if (n < 0)
            break;
    }
    fuzz_check(n == 0 || report_is_set(&report));
    oci_layer_reader_free(reader);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t one = 0, many = 0, skipped = 0;
    int n;

    n = read_layer(new_chunks(data, size, 1 << 20), true, &one);
    fuzz_check(read_layer(new_chunks(data, size, 200), true, &many) == n && one == many);
    fuzz_check(read_layer(new_chunks(data, size, 4096), false, &skipped) == n);
    return 0;
}

/* libFuzzer's own mutation, not there in the replaying build. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Mutates, and mostly seals the headers again: nearly all mutants would else end at a checksum. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 8 == 0)
        return size;
    for (size_t at = 0; at + TAR_BLOCK <= size; at += TAR_BLOCK) {
        struct tar_header h;

        memcpy(&h, data + at, sizeof(h));
        if (memcmp(h.magic, "ustar", 5) != 0)
            continue;
        tar_checksum_set(&h);
        memcpy(data + at, &h, sizeof(h));
    }
    return size;
}
