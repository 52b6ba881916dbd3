/* SPDX-License-Identifier: Apache-2.0 */
/* Speed of the way from a layer's blob to its entries, stage by stage.
 *
 *     bench_layer [--stages=read,hash,inflate,diff,parse] [--readahead] [--list] BLOB...
 *
 * read is always on; each stage adds to the chain. Prints bytes in and out, seconds and MB/s of the
 * plain tar. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "oci/compression.h"
#include "oci/layer.h"

enum stage { HASH = 1, INFLATE = 2, DIFF = 4, PARSE = 8, READAHEAD = 16, LIST = 32 };

struct totals {
    uint64_t in, out, entries, content;
};

static int count(
    void *userdata, _unused_ const uint8_t *data, size_t size, _unused_ struct report *r)
{
    *(uint64_t *)userdata += size;
    return 0;
}

static int build_chain(
    const char *path, unsigned stages, struct totals *t, struct oci_source **ret_source)
{
    struct oci_source *s = NULL;
    int err = oci_source_file(open(path, O_RDONLY | O_CLOEXEC), 0, UINT64_MAX, &s);

    if (err == 0)
        err = oci_source_tee(s, count, &t->in, &s);
    if (err == 0 && (stages & HASH))
        err = oci_source_verify(s, path, UINT64_MAX, NULL, NULL, &s);
    if (err == 0 && (stages & INFLATE))
        err = oci_source_decompress(s, NULL, &s);
    if (err == 0 && (stages & DIFF))
        err = oci_source_verify(s, path, UINT64_MAX, NULL, NULL, &s);
    if (err == 0)
        err = oci_source_tee(s, count, &t->out, &s);
    if (err == 0 && (stages & READAHEAD))
        err = oci_source_readahead(s, 16, &s);
    if (err == 0)
        *ret_source = s;
    return err;
}

static int drain(struct oci_source *s, struct report *r)
{
    const uint8_t *data;
    ssize_t n;

    while ((n = oci_source_next(s, &data, r)) > 0)
        ;
    (void)oci_source_close(s);
    return (int)n;
}

static void list(const struct oci_layer_entry *e)
{
    printf("%d %06o %u:%u %" PRIu64 " %" PRId64 ".%09u %u,%u %s", (int)e->kind, e->mode, e->uid,
        e->gid, e->size, e->mtime_sec, e->mtime_nsec, e->rdev_major, e->rdev_minor, e->path);
    if (e->link)
        printf(" -> %s", e->link);
    for (size_t i = 0; i < e->xattr_count; i++)
        printf(" %s[%zu]", e->xattrs[i].name, e->xattrs[i].size);
    putchar('\n');
}

static int parse(struct oci_source *s, unsigned stages, struct totals *t, struct report *r)
{
    _cleanup_(oci_layer_reader_freep) struct oci_layer_reader *reader = NULL;
    const struct oci_layer_entry *entry;
    int n = oci_layer_reader_new(s, &oci_layer_limits_default, &reader);

    while (n >= 0 && (n = oci_layer_reader_next(reader, &entry, r)) > 0) {
        const uint8_t *data;
        uint64_t offset;
        size_t size;

        t->entries++;
        if (stages & LIST)
            list(entry);
        while ((n = oci_layer_reader_data(reader, &data, &size, &offset, r)) > 0)
            t->content += size;
    }
    return n;
}

static unsigned parse_stages(const char *names)
{
    unsigned stages = 0;

    stages |= strstr(names, "hash") ? HASH : 0;
    stages |= strstr(names, "inflate") ? INFLATE : 0;
    stages |= strstr(names, "diff") ? DIFF : 0;
    stages |= strstr(names, "parse") ? PARSE : 0;
    return stages;
}

static int run(const char *path, unsigned stages, struct totals *t, struct report *r)
{
    struct oci_source *s = NULL;
    int err = build_chain(path, stages, t, &s);

    if (err < 0)
        return report_errno(r, err, "%s", path);
    err = stages & PARSE ? parse(s, stages, t, r) : drain(s, r);
    return err < 0 ? report_context(r, err, "%s", path) : 0;
}

int main(int argc, char **argv)
{
    unsigned stages = HASH | INFLATE | DIFF | PARSE;
    struct report report = REPORT_INIT;
    struct timespec start, end;
    struct totals t = {0};
    double seconds;

    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--stages=", 9) == 0)
            stages = parse_stages(argv[i] + 9) | (stages & (READAHEAD | LIST));
        else if (strcmp(argv[i], "--readahead") == 0)
            stages |= READAHEAD;
        else if (strcmp(argv[i], "--list") == 0)
            stages |= LIST;
        else if (run(argv[i], stages, &t, &report) < 0) {
            fprintf(stderr, "bench_layer: %s\n", report.text);
            return 1;
        }
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    fprintf(stderr,
        "%s: %" PRIu64 " bytes in, %" PRIu64 " out, %" PRIu64 " entries, %" PRIu64
        " content, %.3f s, %.0f MB/s\n",
        oci_inflate_name(), t.in, t.out, t.entries, t.content, seconds,
        (double)t.out / seconds / 1e6);
    return 0;
}
