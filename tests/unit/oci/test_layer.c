/* SPDX-License-Identifier: Apache-2.0 */
/* Tars that GNU tar makes of real files, in all its formats, read as the files are. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/oci/stream_util.h"

TestSuite(layer);

#define NAME_100                                                                                   \
    "n123456789n123456789n123456789n123456789n123456789n123456789n123456789n123456789n123456789n1" \
    "23456789"
#define NAME_255 NAME_100 NAME_100 "n123456789n123456789n123456789n123456789n123456789n1234"

/* What every format can say. */
static void make_plain_tree(const char *dir)
{
    test_run(dir, "mkdir -p \"$T/in/dir/empty\" && cd \"$T/in\" &&"
                  "printf '' >zero && printf x >one && head -c 512 /dev/zero >block &&"
                  "seq 1 200000 >big && seq 1 200 >dir/file && chmod 6751 dir/file &&"
                  "ln one two && ln -s one sym && ln -s /no/where dir/dangling &&"
                  "chmod 1777 dir/empty && chown 1234:54321 one &&"
                  "touch -h -d '2001-02-03 04:05:06' zero one sym dir/empty");
}

/* What GNU and PAX can say. */
static void make_rich_tree(const char *dir)
{
    make_plain_tree(dir);
    test_run(dir,
        "cd \"$T/in\" && mkfifo fifo && mkdir " NAME_100 " " NAME_100 "/" NAME_255 " &&"
        "echo deep >" NAME_100 "/" NAME_255 "/file && echo x >" NAME_255 " &&"
        "ln -s " NAME_255 " longlink && ln " NAME_255 " longhard &&"
        "echo 1 >\"$(printf 'caf\\303\\251')\" && echo 2 >\"$(printf 'bad\\377\\200')\" &&"
        "ln -s \"$(printf 'bad\\377\\200')\" \"$(printf 'link\\376')\" &&"
        "ln \"$(printf 'bad\\377\\200')\" \"$(printf 'zhard\\376" NAME_100 "')\" &&"
        "touch -d '1960-01-01 00:00:00 UTC' one && touch -d '2100-01-01' zero");
}

static void make_root_tree(const char *dir)
{
    make_rich_tree(dir);
    if (geteuid() == 0)
        test_run(dir, "cd \"$T/in\" && mknod char c 10 200 && mknod block_dev b 259 70000 &&"
                      "chown 3000000:4294967294 big");
}

static struct oci_source *open_tar(const char *dir)
{
    _cleanup_(freep) char *path = NULL;
    struct oci_source *s = NULL;

    cr_assert(asprintf(&path, "%s/tar", dir) > 0);
    cr_assert_eq(oci_source_file(open(path, O_RDONLY | O_CLOEXEC), 0, UINT64_MAX, &s), 0);
    return s;
}

/* The tar in dir against the tree in dir/in. */
static void check_tar(const char *dir, const char *what, unsigned flags, uint64_t *ret_holes)
{
    _cleanup_(freep) char *in = NULL;
    _cleanup_(buf_deinit) struct buf expect = {0};
    _cleanup_(buf_deinit) struct buf got = {0};
    struct report report = REPORT_INIT;

    cr_assert(asprintf(&in, "%s/in", dir) > 0);
    test_list_tree(in, flags, &expect);
    cr_assert_eq(test_list(open_tar(dir), &oci_layer_limits_default, &got, ret_holes, &report), 0,
        "%s: %s", what, report.text);
    test_sort(&expect);
    test_sort(&got);
    cr_assert_str_eq((char *)got.data, (char *)expect.data, "%s", what);
}

Test(layer, every_format_of_gnu_tar)
{
    static const char *const formats[] = {"v7", "ustar", "gnu", "oldgnu", "posix"};

    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        _cleanup_(test_rmdir) char *dir = test_mkdir();
        bool posix = strcmp(formats[i], "posix") == 0;

        make_plain_tree(dir);
        test_run(dir, "tar -C \"$T/in\" --sort=name -cf \"$T/tar\" --format=%s .", formats[i]);
        check_tar(dir, formats[i], TEST_NO_XATTRS | (posix ? 0 : TEST_NO_NSEC), NULL);
    }
}

Test(layer, long_and_strange_names_and_numbers)
{
    static const char *const formats[] = {"gnu", "oldgnu", "posix"};
    static const char *const locales[] = {"C", "C.UTF-8"};

    for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
        for (size_t k = 0; k < ARRAY_SIZE(locales); k++) {
            _cleanup_(test_rmdir) char *dir = test_mkdir();
            bool posix = strcmp(formats[i], "posix") == 0;

            cr_assert(setlocale(LC_ALL, locales[k]), "%s", locales[k]);
            make_root_tree(dir);
            test_run(dir, "tar -C \"$T/in\" --sort=name -cf \"$T/tar\" --format=%s .", formats[i]);
            check_tar(dir, formats[i], TEST_NO_XATTRS | (posix ? 0 : TEST_NO_NSEC), NULL);
        }
}

Test(layer, sparse_in_every_form)
{
    static const char *const options[] = {"--format=gnu", "--format=oldgnu",
        "--format=posix --sparse-version=0.0", "--format=posix --sparse-version=0.1",
        "--format=posix --sparse-version=1.0"};

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        _cleanup_(test_rmdir) char *dir = test_mkdir();
        bool posix = strstr(options[i], "posix");
        uint64_t holes = 0;

        test_run(dir,
            "mkdir \"$T/in\" && cd \"$T/in\" && echo before >a && truncate -s 3M hole &&"
            "truncate -s 5000000 mixed && echo start | dd of=mixed conv=notrunc status=none &&"
            "seq 1 9999 | dd of=mixed seek=2000 bs=1k conv=notrunc status=none &&"
            "truncate -s 8M many &&"
            "for i in $(seq 1 60); do echo $i | dd of=many bs=4k seek=$((i * 30))"
            " conv=notrunc status=none; done && echo after >z &&"
            "truncate -s 1M " NAME_255);
        test_run(dir, "tar -C \"$T/in\" --sort=name -S -cf \"$T/tar\" %s .", options[i]);
        check_tar(dir, options[i], TEST_NO_XATTRS | (posix ? 0 : TEST_NO_NSEC), &holes);
        cr_assert(holes > 10000000, "%s: %lu", options[i], (unsigned long)holes);
    }
}

Test(layer, xattrs)
{
    _cleanup_(test_rmdir) char *dir = test_mkdir();

    test_run(dir, "mkdir \"$T/in\" && echo x >\"$T/in/file\" && mkdir \"$T/in/dir\" &&"
                  "ln -s x \"$T/in/link\"");
    test_run(dir, "cd \"$T/in\" && setfattr -n user.b -v 0x00ff0a3d0a00 file &&"
                  "setfattr -n user.a -v text file && setfattr -n user.empty file");
    if (geteuid() == 0)
        test_run(dir, "cd \"$T/in\" &&"
                      "setfattr -n security.capability -v"
                      " 0x0100000200040000000000000000000000000000 file &&"
                      "setfattr -n trusted.z -v 1 dir && setfattr -h -n trusted.l -v 2 link");
    test_run(dir, "tar -C \"$T/in\" --xattrs --xattrs-include='*' -cf \"$T/tar\" .");
    check_tar(dir, "xattrs", 0, NULL);
}

Test(layer, contents_may_be_left_unread)
{
    _cleanup_(test_rmdir) char *dir = test_mkdir();
    _cleanup_(oci_layer_reader_freep) struct oci_layer_reader *reader = NULL;
    const struct oci_layer_entry *entry;
    unsigned entries = 0, parts = 0;
    const uint8_t *data;
    uint64_t offset;
    size_t size;

    make_plain_tree(dir);
    test_run(dir, "tar -C \"$T/in\" --sort=name -cf \"$T/tar\" .");
    cr_assert_eq(oci_layer_reader_new(open_tar(dir), NULL, &reader), 0);
    while (oci_layer_reader_next(reader, &entry, NULL) > 0) {
        entries++;
        if (entries % 2 == 0 && oci_layer_reader_data(reader, &data, &size, &offset, NULL) > 0)
            parts++;
    }
    cr_assert_eq(entries, 11);
    cr_assert(parts > 0);
    cr_assert_eq(oci_layer_reader_data(reader, &data, &size, &offset, NULL), 0);
}
