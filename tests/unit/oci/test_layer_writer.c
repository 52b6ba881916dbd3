/* SPDX-License-Identifier: Apache-2.0 */
/* Directories as tars: read back by ourselves, by GNU tar and by umoci as what they were. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "oci/layer_writer.h"
#include "oci/tar_format.h"
#include "oci/tar_write.h"
#include "oci/util/io.h"
#include "tests/unit/oci/stream_util.h"

TestSuite(layer_writer);

#define NAME_100                                                                                   \
    "n123456789n123456789n123456789n123456789n123456789"                                           \
    "n123456789n123456789n123456789n123456789n123456789"
#define NAME_255 NAME_100 NAME_100 "n123456789n123456789n123456789n123456789n123456789n1234"

static void make_tree(const char *dir)
{
    test_run(dir, "mkdir -p \"$T/in/a/b\" \"$T/in/empty\" && cd \"$T/in\" && echo 1 >a/b/c &&"
                  "echo 2 >a-b && echo 3 >a.b && echo 4 >a0 && : >zero && seq 1 300000 >big &&"
                  "head -c 512 /dev/zero >block && ln -s a/b/c sym && ln -s /no/where broken &&"
                  "ln a/b/c zhard && ln a/b/c a/hard && mkfifo fifo && chmod 6755 big &&"
                  "chmod 1777 empty");
    test_run(dir, "cd \"$T/in\" && mkdir " NAME_100 " " NAME_100 "/" NAME_100 " &&"
                  "echo 5 >" NAME_100 "/" NAME_100 "/file &&"
                  "mkdir " NAME_100 "/" NAME_255 " && echo 6 >" NAME_100 "/" NAME_255 "/file &&"
                  "echo 7 >" NAME_255 " && ln " NAME_255 " zlonghard && ln -s " NAME_255 " long");
    test_run(dir,
        "cd \"$T/in\" && echo 8 >\"$(printf 'caf\\303\\251')\" &&"
        "echo 9 >\"$(printf 'bad\\377')\" && mkdir \"$(printf 'bad\\376" NAME_100 "')\" &&"
        "ln -s \"$(printf 'x\\377" NAME_100 "')\" badlink &&"
        "truncate -s 3M hole && truncate -s 5000001 mixed &&"
        "echo start | dd of=mixed conv=notrunc status=none &&"
        "seq 1 9999 | dd of=mixed seek=2000 bs=1k conv=notrunc status=none &&"
        "truncate -s 2M " NAME_100 "/" NAME_255 "/hole");
    test_run(dir, "cd \"$T/in\" && setfattr -n user.b -v 0x00ff0a3d0a00 a && setfattr -n user.a -v"
                  " text big && touch -d '1960-01-01 00:00:00.25 UTC' zero &&"
                  "touch -d '2200-01-01' block && touch -h -d '2001-02-03 04:05:06' sym a.b");
    if (geteuid() == 0)
        test_run(dir, "cd \"$T/in\" && mknod char c 10 200 && mknod block_dev b 259 1048575 &&"
                      "chown 3000000:4294967294 big && setfattr -h -n trusted.l -v 2 sym &&"
                      "setfattr -n trusted.f -v 3 fifo && setfattr -n security.capability -v"
                      " 0x0100000200040000000000000000000000000000 a0 &&"
                      "setfattr -n trusted.overlay.opaque -v y a");
}

static char *input(const char *dir)
{
    char *in = NULL;

    cr_assert(asprintf(&in, "%s/in", dir) > 0);
    return in;
}

static struct oci_source *open_dir(const char *dir, const struct oci_layer_options *options)
{
    static const struct oci_layer_options none;
    _cleanup_(freep) char *in = input(dir);
    struct report report = REPORT_INIT;
    struct oci_source *s = NULL;

    cr_assert_eq(
        oci_layer_from_dir(in, options ? options : &none, &s, &report), 0, "%s", report.text);
    return s;
}

static void make_tar(const char *dir, const struct oci_layer_options *options, struct buf *tar)
{
    struct report report = REPORT_INIT;

    cr_assert_eq(test_drain(open_dir(dir, options), tar, &report), 0, "%s", report.text);
    cr_assert_eq(tar->size % TAR_BLOCK, 0);
}

static void write_tar(const char *dir, const struct buf *tar)
{
    _cleanup_(fd_closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    cr_assert_eq(io_write_file(fd, "tar", tar->data, tar->size, 0600), 0);
}

/* The tree at dir/name is the one at dir/in. */
static void check_tree(const char *dir, const char *name)
{
    _cleanup_(freep) char *in = input(dir);
    _cleanup_(freep) char *other = NULL;
    _cleanup_(buf_deinit) struct buf expect = {0};
    _cleanup_(buf_deinit) struct buf got = {0};

    cr_assert(asprintf(&other, "%s/%s", dir, name) > 0);
    test_list_tree(in, 0, &expect);
    test_list_tree(other, 0, &got);
    cr_assert_str_eq((char *)got.data, (char *)expect.data, "%s", name);
}

Test(layer_writer, read_back)
{
    _cleanup_(test_rmdir) char *dir = test_mkdir();
    _cleanup_(freep) char *in = input(dir);
    _cleanup_(buf_deinit) struct buf expect = {0};
    _cleanup_(buf_deinit) struct buf got = {0};
    struct report report = REPORT_INIT;
    uint64_t holes = 0;

    make_tree(dir);
    test_list_tree(in, 0, &expect);
    cr_assert_eq(test_list(open_dir(dir, NULL), NULL, &got, &holes, &report), 0, "%s", report.text);
    cr_assert_str_eq((char *)got.data, (char *)expect.data);
    cr_assert(!strstr((char *)got.data, "overlay"));
    cr_assert(holes > 9000000);
}

/* As strcmp(), with "/" below all other bytes. */
static int compare_paths(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (*a == '/' ? 1 : (uint8_t)*a) - (*b == '/' ? 1 : (uint8_t)*b);
}

Test(layer_writer, paths_ascend)
{
    _cleanup_(test_rmdir) char *dir = test_mkdir();
    _cleanup_(oci_layer_reader_freep) struct oci_layer_reader *reader = NULL;
    const struct oci_layer_entry *entry;
    char last[OCI_PATH_MAX] = "";
    unsigned count = 0;

    make_tree(dir);
    cr_assert_eq(oci_layer_reader_new(open_dir(dir, NULL), NULL, &reader), 0);
    while (oci_layer_reader_next(reader, &entry, NULL) > 0) {
        cr_assert(count == 0 || compare_paths(last, entry->path) < 0, "%s, %s", last, entry->path);
        cr_assert(count > 0 || entry->path[0] == '\0');
        (void)snprintf(last, sizeof(last), "%s", entry->path);
        count++;
    }
    cr_assert(count > 30);
}

Test(layer_writer, gnu_tar_extracts_it)
{
    _cleanup_(test_rmdir) char *dir = test_mkdir();
    _cleanup_(buf_deinit) struct buf tar = {0};

    make_tree(dir);
    make_tar(dir, NULL, &tar);
    write_tar(dir, &tar);
    test_run(dir, "mkdir \"$T/out\" && tar -C \"$T/out\" --xattrs --xattrs-include='*'"
                  " --numeric-owner -xpf \"$T/tar\" 2>\"$T/messages\"");
    check_tree(dir, "out");
}

Test(layer_writer, umoci_unpacks_it)
{
    _cleanup_(test_rmdir) char *dir = test_mkdir();
    _cleanup_(buf_deinit) struct buf tar = {0};

    if (geteuid() != 0 || !test_have("umoci"))
        cr_skip_test("needs root and umoci");
    make_tree(dir);
    /* trusted.overlay.* are umoci's own business, so is what umoci leaves out by intent. */
    make_tar(dir, NULL, &tar);
    write_tar(dir, &tar);
    test_run(dir, "cd \"$T\" && umoci init --layout img && umoci new --image img:t &&"
                  "umoci raw add-layer --image img:t tar && umoci unpack --image img:t bundle");
    check_tree(dir, "bundle/rootfs");
}

/* The order in which names were made, and where the tree lies, do not show. */
Test(layer_writer, same_tree_same_bytes)
{
    _cleanup_(test_rmdir) char *dir = test_mkdir();
    _cleanup_(test_rmdir) char *other = test_mkdir();
    _cleanup_(buf_deinit) struct buf first = {0};
    _cleanup_(buf_deinit) struct buf again = {0};

    make_tree(dir);
    make_tar(dir, NULL, &first);
    make_tar(dir, NULL, &again);
    cr_assert_eq(first.size, again.size);
    cr_assert_eq(memcmp(first.data, again.data, first.size), 0);
    again.size = 0;
    test_run(dir,
        "cd \"$T\" && find in -depth -print0 | tar --null --no-recursion --xattrs"
        " --xattrs-include='*' --format=posix -S -cf - -T - 2>/dev/null |"
        "tar -C %s --xattrs --xattrs-include='*' -xpf - 2>/dev/null",
        other);
    make_tar(other, NULL, &again);
    cr_assert_eq(first.size, again.size);
    cr_assert_eq(memcmp(first.data, again.data, first.size), 0);
}

Test(layer_writer, clamped_times_and_one_owner)
{
    _cleanup_(test_rmdir) char *dir = test_mkdir();
    _cleanup_(oci_layer_reader_freep) struct oci_layer_reader *reader = NULL;
    struct oci_layer_options options = {.has_clamp_mtime = true,
        .clamp_mtime = 1000000000,
        .has_owner = true,
        .uid = 4294967294,
        .gid = 5};
    const struct oci_layer_entry *entry;
    unsigned older = 0;

    make_tree(dir);
    cr_assert_eq(oci_layer_reader_new(open_dir(dir, &options), NULL, &reader), 0);
    while (oci_layer_reader_next(reader, &entry, NULL) > 0) {
        if (entry->kind != OCI_ENTRY_NODE)
            continue;
        cr_assert_eq(entry->uid, 4294967294);
        cr_assert_eq(entry->gid, 5);
        cr_assert(entry->mtime_sec < 1000000000 ||
                  (entry->mtime_sec == 1000000000 && entry->mtime_nsec == 0));
        older += entry->mtime_sec < 1000000000;
    }
    cr_assert_eq(older, 3); /* zero, sym, a.b */
}

Test(layer_writer, whiteout_names_are_refused)
{
    _cleanup_(test_rmdir) char *dir = test_mkdir();
    _cleanup_(buf_deinit) struct buf tar = {0};
    struct report report = REPORT_INIT;

    test_run(dir, "mkdir -p \"$T/in/d\" && : >\"$T/in/d/.wh.x\"");
    cr_assert_eq(test_drain(open_dir(dir, NULL), &tar, &report), -EINVAL);
    cr_assert(strstr(report.text, "\"d/.wh.x\""), "%s", report.text);
}

Test(layer_writer, sockets_are_left_out)
{
    _cleanup_(test_rmdir) char *dir = test_mkdir();
    _cleanup_(buf_deinit) struct buf got = {0};
    _cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    test_run(dir, "mkdir \"$T/in\" && touch -d @1 \"$T/in/z\"");
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/in/socket", dir);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(test_list(open_dir(dir, NULL), NULL, &got, NULL, NULL), 0);
    cr_assert(!strstr((char *)got.data, "socket"));
    cr_assert(strstr((char *)got.data, "N \"z\""));
}

/* Reads one chunk, which ends within the file "a", changes the tree, and reads on. */
static int change_meanwhile(const char *change, struct report *r)
{
    _cleanup_(test_rmdir) char *dir = test_mkdir();
    _cleanup_(buf_deinit) struct buf tar = {0};
    const uint8_t *data;
    struct oci_source *s;

    test_run(
        dir, "mkdir -p \"$T/in/b\" && head -c 1M /dev/zero >\"$T/in/a\" && echo 1 >\"$T/in/b/f\"");
    s = open_dir(dir, NULL);
    cr_assert(oci_source_next(s, &data, r) > 0);
    test_run(dir, "cd \"$T/in\" && %s", change);
    return test_drain(s, &tar, r);
}

Test(layer_writer, what_changes_meanwhile_is_noticed)
{
    struct report report = REPORT_INIT;

    cr_assert_eq(change_meanwhile("truncate -s 600k a", &report), -EAGAIN);
    cr_assert_str_eq(report.text, "\"a\" changed while it was read");
    cr_assert_eq(change_meanwhile("echo more >>a", &report), -EAGAIN);
    cr_assert_str_eq(report.text, "\"a\" changed while it was read");
    cr_assert_eq(change_meanwhile("rm -r b && ln -s / b", &report), -ELOOP);
    cr_assert(strstr(report.text, "\"b\""), "%s", report.text);
    cr_assert_eq(change_meanwhile("rm -r b", &report), -ENOENT);
    cr_assert_eq(change_meanwhile(":", &report), 0, "%s", report.text);
}

Test(layer_writer, no_directory)
{
    const struct oci_layer_options options = {0};
    struct report report = REPORT_INIT;
    struct oci_source *s;

    cr_assert_eq(oci_layer_from_dir("/no/such/dir", &options, &s, &report), -ENOENT);
    cr_assert_str_eq(report.text, "/no/such/dir: No such file or directory");
    cr_assert_eq(oci_layer_from_dir("/dev/null", &options, &s, &report), -ENOTDIR);
}

Test(layer_writer, closed_early)
{
    _cleanup_(test_rmdir) char *dir = test_mkdir();
    const uint8_t *data;
    struct oci_source *s;

    make_tree(dir);
    for (unsigned reads = 0; reads < 3; reads++) {
        s = open_dir(dir, NULL);
        for (unsigned i = 0; i < reads; i++)
            cr_assert(oci_source_next(s, &data, NULL) > 0);
        (void)oci_source_close(s);
    }
}

Test(layer_writer, from_tar)
{
    static const char *const commands[] = {"cat", "gzip -c", "zstd -c"};
    _cleanup_(test_rmdir) char *dir = test_mkdir();
    _cleanup_(freep) char *path = NULL;
    _cleanup_(buf_deinit) struct buf tar = {0};
    struct report report = REPORT_INIT;
    struct oci_source *s;

    make_tree(dir);
    make_tar(dir, NULL, &tar);
    write_tar(dir, &tar);
    cr_assert(asprintf(&path, "%s/packed", dir) > 0);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        _cleanup_(buf_deinit) struct buf got = {0};

        test_run(dir, "%s <\"$T/tar\" >\"$T/packed\"", commands[i]);
        cr_assert_eq(oci_layer_from_tar(path, &s, &report), 0, "%s", report.text);
        cr_assert_eq(test_drain(s, &got, &report), 0, "%s", report.text);
        cr_assert_eq(got.size, tar.size);
        cr_assert_eq(memcmp(got.data, tar.data, tar.size), 0);
    }
    cr_assert_eq(oci_layer_from_tar("/no/such/tar", &s, &report), -ENOENT);
    cr_assert_str_eq(report.text, "/no/such/tar: No such file or directory");
}

/* ---- headers that no file system here can ask for ---- */

static void check_entry(const struct tar_entry *e, bool pax)
{
    _cleanup_(oci_layer_reader_freep) struct oci_layer_reader *reader = NULL;
    _cleanup_(buf_deinit) struct buf tar = {0};
    const struct oci_layer_entry *got;
    struct report report = REPORT_INIT;

    cr_assert_eq(tar_write_headers(&tar, e), 0);
    cr_assert_eq(((const struct tar_header *)tar.data)->type == 'x', pax, "%s", e->path);
    cr_assert_eq(
        oci_layer_reader_new(test_chunks(tar.data, tar.size, 512, 0, NULL), NULL, &reader), 0);
    cr_assert_eq(oci_layer_reader_next(reader, &got, &report), 1, "%s", report.text);
    cr_assert_str_eq(got->path, e->path);
    cr_assert_eq(got->uid, e->uid);
    cr_assert_eq(got->gid, e->gid);
    cr_assert_eq(got->size, e->size);
    cr_assert_eq(got->mtime_sec, e->mtime_sec);
    cr_assert_eq(got->mtime_nsec, e->mtime_nsec);
    cr_assert_eq(got->rdev_major, e->dev_major);
    cr_assert_eq(got->rdev_minor, e->dev_minor);
}

Test(layer_writer, numbers_on_both_sides_of_ustar)
{
    check_entry(&(struct tar_entry){.type = '0', .path = "f", .uid = 07777777}, false);
    check_entry(&(struct tar_entry){.type = '0', .path = "f", .uid = 010000000}, true);
    check_entry(&(struct tar_entry){.type = '0', .path = "f", .gid = UINT32_MAX - 1}, true);
    check_entry(&(struct tar_entry){.type = '0', .path = "f", .size = 077777777777}, false);
    check_entry(&(struct tar_entry){.type = '0', .path = "f", .size = 0100000000000}, true);
    check_entry(&(struct tar_entry){.type = '0', .path = "f", .mtime_sec = 077777777777}, false);
    check_entry(&(struct tar_entry){.type = '0', .path = "f", .mtime_sec = 0100000000000}, true);
    check_entry(&(struct tar_entry){.type = '0', .path = "f", .mtime_sec = -1}, true);
    check_entry(&(struct tar_entry){.type = '0', .path = "f", .mtime_nsec = 1}, true);
    check_entry(
        &(struct tar_entry){.type = '0', .path = "f", .mtime_sec = -1, .mtime_nsec = 999999999},
        true);
    check_entry(
        &(struct tar_entry){.type = '0', .path = "f", .mtime_sec = -2, .mtime_nsec = 100000000},
        true);
    check_entry(&(struct tar_entry){.type = '3', .path = "f", .dev_major = 07777777}, false);
    check_entry(&(struct tar_entry){.type = '4', .path = "f", .dev_minor = UINT32_MAX}, false);
}

Test(layer_writer, names_on_both_sides_of_ustar)
{
    static const struct {
        size_t prefix, name;
        bool pax;
    } cases[] = {{0, 100, false}, {0, 101, true}, {1, 100, false}, {1, 101, true},
        {155, 100, false}, {156, 100, true}, {155, 1, false}, {156, 1, true}, {200, 200, true}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char path[500] = "";
        size_t prefix = cases[i].prefix;

        memset(path, 'p', prefix);
        if (prefix > 0)
            path[prefix++] = '/';
        memset(path + prefix, 'n', cases[i].name);
        check_entry(&(struct tar_entry){.type = '0', .path = path}, cases[i].pax);
    }
}

Test(layer_writer, xattr_names_that_pax_cannot_hold)
{
    static const struct oci_xattr xattr = {.name = "user.a=b", .value = "x", .size = 1};
    _cleanup_(buf_deinit) struct buf tar = {0};

    cr_assert_eq(
        tar_write_headers(&tar,
            &(struct tar_entry){.type = '0', .path = "f", .xattrs = &xattr, .xattr_count = 1}),
        -EINVAL);
}
