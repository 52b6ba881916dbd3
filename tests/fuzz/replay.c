/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds the files of corpus directories to a fuzz target: corpora become a test of any compiler. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "oci/util/io.h"

enum { INPUT_MAX = 64 << 20 };

/* 1: a file was fed; 0: not a regular file; or -errno. */
static int replay_file(int dirfd, const char *name)
{
    _cleanup_(buf_deinit) struct buf input = {0};
    uint8_t *exact;
    int r = io_read_file(dirfd, name, INPUT_MAX, &input);

    if (r == -EINVAL) /* "." and ".." */
        return 0;
    if (r < 0)
        return r;
    exact = malloc(input.size ? input.size : 1); /* no slack: reads past the end are seen */
    if (!exact)
        return -ENOMEM;
    if (input.size)
        memcpy(exact, input.data, input.size);
    (void)LLVMFuzzerTestOneInput(exact, input.size);
    free(exact);
    return 1;
}

/* The number of files fed, or -errno. */
static int replay_directory(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int count = 0, r = 0;

    if (!dir)
        return neg_errno();
    while (r >= 0 && (entry = readdir(dir))) {
        r = replay_file(dirfd(dir), entry->d_name);
        if (r < 0)
            (void)fprintf(stderr, "%s/%s: %s\n", path, entry->d_name, strerror(-r));
        else
            count += r;
    }
    (void)closedir(dir);
    return r < 0 ? r : count;
}

int main(int argc, char **argv)
{
    int total = 0;

    for (int i = 1; i < argc; i++) {
        int count = replay_directory(argv[i]);

        if (count <= 0) {
            (void)fprintf(stderr, "%s: no input replayed\n", argv[i]);
            return EXIT_FAILURE;
        }
        total += count;
    }
    printf("%d inputs replayed\n", total);
    return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
