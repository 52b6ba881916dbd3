/* SPDX-License-Identifier: Apache-2.0 */
/* Times what makes an image mountable.
 *
 *     bench_import import STORE LAYOUT TAG    from an OCI layout into the store
 *     bench_import prepare STORE TAG          from the blobs in the store
 *
 * Prints wall time, processor time and the peak of resident memory. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "layerfs/store/image.h"
#include "oci/util/log.h"

struct layout_source {
    struct oci_image_source source; /* first */
    struct oci_layout *layout;
};

static int open_blob(struct oci_image_source *s, const struct oci_descriptor *descriptor,
    struct oci_source **ret_source, struct report *r)
{
    struct layout_source *l = (struct layout_source *)s;
    int fd = -1;
    int err = oci_layout_open_blob(l->layout, &descriptor->digest, descriptor->size, &fd, r);

    return err < 0 ? err : oci_source_file(fd, 0, descriptor->size, ret_source);
}

static int import(struct lfs_store *store, const char *path, const char *tag, struct report *r)
{
    static const struct oci_image_source_ops ops = {.open_blob = open_blob};
    struct layout_source l = {.source.ops = &ops};
    int err = oci_layout_open(path, &l.layout, r);

    if (err == 0)
        err = oci_layout_find(l.layout, tag, NULL, &l.source.descriptor, r);
    if (err == 0)
        err = oci_layout_read_blob(l.layout, &l.source.descriptor, &l.source.manifest, r);
    return err < 0 ? err : lfs_image_import(store, &l.source, tag, NULL, NULL, r);
}

static int prepare(struct lfs_store *store, const char *tag, struct report *r)
{
    _cleanup_(lfs_image_freep) struct lfs_image *image = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    int err = lfs_image_load(store, tag, NULL, &image, r);

    return err < 0 ? err : lfs_image_prepare(store, image, NULL, &tree, r);
}

static double seconds(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    _cleanup_(lfs_store_closep) struct lfs_store *store = NULL;
    struct report r = REPORT_INIT;
    double wall = seconds(CLOCK_MONOTONIC);
    struct rusage usage;
    int err;

    if (argc != 5 && argc != 4)
        return 2;
    (void)log_setup(getenv("LAYERFS_DEBUG"));
    err = lfs_store_open(argv[2], LFS_STORE_CREATE, &store, &r);
    if (err == 0)
        err = argc == 5 ? import(store, argv[3], argv[4], &r) : prepare(store, argv[3], &r);
    if (err < 0) {
        fprintf(stderr, "bench_import: %s (%s)\n", r.text, strerror(-err));
        return 1;
    }
    (void)getrusage(RUSAGE_SELF, &usage);
    printf("wall %.3f s, processor %.3f s, peak %ld KiB\n", seconds(CLOCK_MONOTONIC) - wall,
        seconds(CLOCK_PROCESS_CPUTIME_ID), usage.ru_maxrss);
    return 0;
}
