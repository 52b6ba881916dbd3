/* SPDX-License-Identifier: Apache-2.0 */
/* Tars made by hand, byte by byte: doubtful ones, and hostile ones. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "oci/tar_format.h"
#include "tests/unit/oci/stream_util.h"

TestSuite(tar_guard);

/* ---- making tars ---- */

static void put(struct buf *tar, const void *data, size_t size)
{
    cr_assert_eq(buf_append(tar, data, size), 0);
    cr_assert_eq(buf_align(tar, TAR_BLOCK), 0);
}

/* The header of a last entry may be changed by the caller, who then seals it again. */
static struct tar_header *header(struct buf *tar, char type, const char *name, uint64_t size)
{
    struct tar_header h = {.type = type};
    size_t at = tar->size;

    memcpy(h.name, name, MIN(strlen(name), sizeof(h.name)));
    memcpy(h.magic,
        "ustar\0"
        "00",
        8);
    (void)tar_put_octal(h.mode, sizeof(h.mode), 0644);
    (void)tar_put_octal(h.uid, sizeof(h.uid), 1);
    (void)tar_put_octal(h.gid, sizeof(h.gid), 2);
    (void)tar_put_octal(h.size, sizeof(h.size), size);
    (void)tar_put_octal(h.mtime, sizeof(h.mtime), 3);
    tar_checksum_set(&h);
    put(tar, &h, sizeof(h));
    return (struct tar_header *)(tar->data + at);
}

static void seal(struct tar_header *h)
{
    tar_checksum_set(h);
}

static void file(struct buf *tar, const char *name, const char *content)
{
    (void)header(tar, '0', name, strlen(content));
    put(tar, content, strlen(content));
}

static void long_name(struct buf *tar, char type, const char *name)
{
    (void)header(tar, type, "././@LongLink", strlen(name) + 1);
    put(tar, name, strlen(name) + 1);
}

static void pax(struct buf *tar, const char *key, const void *value, size_t size)
{
    struct buf body = {0};

    cr_assert_eq(tar_record_append(&body, "", key, strlen(key), value, size), 0);
    (void)header(tar, 'x', "PaxHeaders/x", body.size);
    put(tar, body.data, body.size);
    buf_deinit(&body);
}

static void pax_str(struct buf *tar, const char *key, const char *value)
{
    pax(tar, key, value, strlen(value));
}

/* Records as they stand. */
static void pax_raw(struct buf *tar, char type, const char *body)
{
    (void)header(tar, type, "PaxHeaders/x", strlen(body));
    put(tar, body, strlen(body));
}

static void end(struct buf *tar)
{
    cr_assert(buf_extend(tar, 2 * TAR_BLOCK));
}

/* ---- checking ---- */

static int list_limited(const struct buf *tar, const struct oci_layer_limits *limits,
    struct buf *text, struct report *r)
{
    static const size_t chunks[] = {1 << 20, 512, 100, 1};
    int result = 0;

    for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
        _cleanup_(buf_deinit) struct buf again = {0};
        int n = test_list(
            test_chunks(tar->data, tar->size, chunks[i], 0, NULL), limits, &again, NULL, r);

        if (i > 0) {
            cr_assert_eq(n, result);
            cr_assert_str_eq((char *)again.data, (char *)text->data);
            continue;
        }
        result = n;
        buf_deinit(text);
        *text = again;
        again = (struct buf){0};
    }
    cr_assert_eq(result < 0, report_is_set(r));
    return result;
}

static void expect_limited(
    struct buf *tar, const struct oci_layer_limits *limits, const char *expected)
{
    _cleanup_(buf_deinit) struct buf text = {0};
    struct report report = REPORT_INIT;

    cr_assert_eq(list_limited(tar, limits, &text, &report), 0, "%s", report.text);
    cr_assert_str_eq((char *)text.data, expected);
    buf_deinit(tar);
}

static void expect(struct buf *tar, const char *expected)
{
    end(tar);
    expect_limited(tar, NULL, expected);
}

static void expect_failure_limited(
    struct buf *tar, const struct oci_layer_limits *limits, int err, const char *part)
{
    _cleanup_(buf_deinit) struct buf text = {0};
    struct report report = REPORT_INIT;
    int n = list_limited(tar, limits, &text, &report);

    cr_assert_eq(n, err, "%d: %s", n, report.text);
    cr_assert(strstr(report.text, part), "\"%s\" lacks \"%s\"", report.text, part);
    cr_assert(!strchr(report.text, '\n'));
    buf_deinit(tar);
}

static void expect_failure(struct buf *tar, int err, const char *part)
{
    end(tar);
    expect_failure_limited(tar, NULL, err, part);
}

#define X_DIGEST "2d711642b726b044" /* of "x" */
#define E_DIGEST "e3b0c44298fc1c14" /* of nothing */

/* ---- the archive as such ---- */

Test(tar_guard, ends_of_archives)
{
    struct buf tar = {0};

    expect_limited(&tar, NULL, ""); /* nothing at all */
    expect(&tar, "");
    cr_assert(buf_extend(&tar, TAR_BLOCK));
    expect_limited(&tar, NULL, "");
    file(&tar, "a", "x");
    expect_limited(&tar, NULL, "N \"a\" 100644 1:2 3.000000000 1 " X_DIGEST "\n");
    file(&tar, "a", "");
    cr_assert(buf_extend(&tar, TAR_BLOCK));
    file(&tar, "b", "");
    expect_failure(&tar, -EBADMSG, "data after a zero block");
    file(&tar, "a", "");
    end(&tar);
    cr_assert_eq(buf_append_str(&tar, "whatever follows is not of the archive"), 0);
    expect_limited(&tar, NULL, "N \"a\" 100644 1:2 3.000000000 0 " E_DIGEST "\n");
}

Test(tar_guard, the_rest_is_read_to_its_end)
{
    _cleanup_(buf_deinit) struct buf tar = {0};
    _cleanup_(buf_deinit) struct buf text = {0};
    struct oci_digest expect, got = {0};
    struct oci_source *s;

    file(&tar, "a", "x");
    end(&tar);
    cr_assert(buf_extend(&tar, 100000));
    cr_assert_eq(oci_digest_of(OCI_DIGEST_SHA256, tar.data, tar.size, &expect), 0);
    cr_assert_eq(oci_source_verify(test_chunks(tar.data, tar.size, 1000, 0, NULL), "x", tar.size,
                     &expect, &got, &s),
        0);
    cr_assert_eq(test_list(s, NULL, &text, NULL, NULL), 0);
    cr_assert(oci_digest_equal(&got, &expect));
}

Test(tar_guard, no_tar)
{
    struct buf tar = {0};
    uint8_t noise[2000];

    test_fill(noise, sizeof(noise), 1);
    put(&tar, noise, sizeof(noise));
    expect_failure(&tar, -EBADMSG, "not a tar");
    cr_assert_eq(buf_append_str(&tar, "short"), 0);
    expect_failure_limited(&tar, NULL, -EBADMSG, "truncated");
    file(&tar, "a", "x");
    put(&tar, noise, TAR_BLOCK);
    expect_failure(&tar, -EBADMSG, "bad header checksum at byte 1024");
}

Test(tar_guard, signed_checksums_of_old_writers)
{
    struct buf tar = {0};
    struct tar_header *h = header(&tar, '0', "caf\xc3\xa9", 0);
    unsigned sum = 0;

    memset(h->checksum, ' ', sizeof(h->checksum));
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned)((const int8_t *)h)[i];
    (void)snprintf(h->checksum, sizeof(h->checksum), "%06o", sum);
    expect(&tar, "N \"caf\xc3\xa9\" 100644 1:2 3.000000000 0 " E_DIGEST "\n");
}

Test(tar_guard, truncated_at_every_byte)
{
    _cleanup_(buf_deinit) struct buf tar = {0};
    size_t boundaries = 0;

    file(&tar, "a", "x");
    long_name(&tar, 'L', "some/long/name");
    pax_str(&tar, "SCHILY.xattr.user.a", "1");
    file(&tar, "b", "content");
    for (size_t size = 0; size < tar.size; size++) {
        _cleanup_(buf_deinit) struct buf text = {0};
        struct report report = REPORT_INIT;
        int n = test_list(test_chunks(tar.data, size, 4096, 0, NULL), NULL, &text, NULL, &report);

        if (size == 0 || size == 1024) {
            cr_assert_eq(n, 0);
            boundaries++;
            continue;
        }
        cr_assert_eq(n, -EBADMSG, "%zu", size);
        cr_assert(strstr(report.text, "truncated"), "%zu: %s", size, report.text);
    }
    cr_assert_eq(boundaries, 2);
}

Test(tar_guard, failures_of_the_source_pass_through)
{
    _cleanup_(buf_deinit) struct buf tar = {0};

    file(&tar, "a", "x");
    file(&tar, "b", "content");
    for (size_t size = 0; size <= tar.size; size += 100) {
        _cleanup_(buf_deinit) struct buf text = {0};
        struct report report = REPORT_INIT;
        unsigned closed = 0;

        cr_assert_eq(test_list(test_chunks(tar.data, size, 64, -EPROTO, &closed), NULL, &text, NULL,
                         &report),
            -EPROTO);
        cr_assert_str_eq(report.text, "test failure");
        cr_assert_eq(closed, 1);
    }
}

/* ---- paths ---- */

Test(tar_guard, paths_are_cleaned)
{
    struct buf tar = {0};

    (void)header(&tar, '5', "./", 0);
    (void)header(&tar, '5', ".//a/./b//", 0);
    file(&tar, "/abs/x", "x");
    file(&tar, "d/../y", "x");
    (void)header(&tar, '5', "", 0);
    expect(&tar, "N \"\" 40644 1:2 3.000000000\n"
                 "N \"a/b\" 40644 1:2 3.000000000\n"
                 "N \"abs/x\" 100644 1:2 3.000000000 1 " X_DIGEST "\n"
                 "N \"y\" 100644 1:2 3.000000000 1 " X_DIGEST "\n"
                 "N \"\" 40644 1:2 3.000000000\n");
}

Test(tar_guard, paths_that_escape)
{
    static const char *const paths[] = {"..", "../x", "/..", "a/../../x", "./../x"};

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct buf tar = {0};

        file(&tar, paths[i], "x");
        expect_failure(&tar, -EBADMSG, "path leaves the root of the image");
        memcpy(header(&tar, '1', "link", 0)->link, paths[i], strlen(paths[i]) + 1);
        seal((struct tar_header *)tar.data);
        expect_failure(&tar, -EBADMSG, "entry \"link\": hard link target leaves the root");
    }
}

Test(tar_guard, links)
{
    struct buf tar = {0};

    memcpy(header(&tar, '1', "hard", 0)->link, "/a/./b", 6);
    seal((struct tar_header *)tar.data);
    memcpy(header(&tar, '2', "sym", 0)->link, "../../a//b/", 11);
    seal((struct tar_header *)(tar.data + TAR_BLOCK));
    expect(&tar, "H \"hard\" -> \"a/b\"\n"
                 "N \"sym\" 120644 1:2 3.000000000 -> \"../../a//b/\"\n");
    (void)header(&tar, '2', "sym", 0);
    expect_failure(&tar, -EBADMSG, "a symbolic link without a target");
    (void)header(&tar, '1', "hard", 0);
    expect_failure(&tar, -EBADMSG, "a hard link of a directory");
    memcpy(header(&tar, '1', "./", 0)->link, "a", 1);
    seal((struct tar_header *)tar.data);
    expect_failure(&tar, -EBADMSG, "a hard link of a directory");
    file(&tar, "./", "x");
    expect_failure(&tar, -EBADMSG, "the root is no directory");
}

Test(tar_guard, targets_of_what_is_no_link)
{
    struct buf tar = {0};

    pax_str(&tar, "linkpath", "elsewhere");
    file(&tar, "f", "x");
    long_name(&tar, 'K', "elsewhere");
    (void)header(&tar, '5', "d", 0);
    memcpy(header(&tar, '6', "p", 0)->link, "elsewhere", 9);
    seal((struct tar_header *)(tar.data + tar.size - TAR_BLOCK));
    expect(&tar, "N \"f\" 100644 1:2 3.000000000 1 " X_DIGEST "\n"
                 "N \"d\" 40644 1:2 3.000000000\n"
                 "N \"p\" 10644 1:2 3.000000000\n");
}

/* size bytes of components of at most `component` bytes. */
static char *long_path(size_t size, size_t component)
{
    char *path = malloc(size + 1);

    cr_assert(path);
    memset(path, 'n', size);
    for (size_t i = component; i + 1 < size; i += component + 1)
        path[i] = '/';
    path[size] = '\0';
    return path;
}

static void named_file(struct buf *tar, bool gnu, const char *name)
{
    if (gnu)
        long_name(tar, 'L', name);
    else
        pax_str(tar, "path", name);
    file(tar, "short", "");
}

Test(tar_guard, names_at_and_past_the_limit)
{
    _cleanup_(freep) char *longest = long_path(4095, 255);
    _cleanup_(freep) char *too_long = long_path(4096, 255);
    _cleanup_(freep) char *component = long_path(256, 256);
    _cleanup_(freep) char *huge = long_path(100000, 255);

    for (int gnu = 0; gnu < 2; gnu++) {
        _cleanup_(freep) char *line = NULL;
        struct buf tar = {0};

        cr_assert(asprintf(&line, "N \"%s\" 100644 1:2 3.000000000 0 " E_DIGEST "\n", longest) > 0);
        named_file(&tar, gnu, longest);
        expect(&tar, line);
        named_file(&tar, gnu, too_long);
        expect_failure(&tar, -ENAMETOOLONG, "path is too long");
        named_file(&tar, gnu, component);
        expect_failure(&tar, -ENAMETOOLONG, "path is too long");
        named_file(&tar, gnu, huge);
        expect_failure(&tar, -ENAMETOOLONG, "name of 100000 bytes");
        long_name(&tar, 'K', too_long);
        (void)header(&tar, '2', "sym", 0);
        expect_failure(&tar, -ENAMETOOLONG, "link target is too long");
        long_name(&tar, 'K', too_long);
        (void)header(&tar, '1', "hard", 0);
        expect_failure(&tar, -ENAMETOOLONG, "hard link target is too long");
    }
}

Test(tar_guard, gnu_names_win_over_pax_and_the_last_pax_counts)
{
    struct buf tar = {0};

    long_name(&tar, 'L', "gnu");
    pax_str(&tar, "path", "pax");
    file(&tar, "header", "");
    pax_str(&tar, "path", "first");
    pax_str(&tar, "path", "second");
    file(&tar, "header", "");
    pax_str(&tar, "path", "");
    file(&tar, "header", "");
    expect(&tar, "N \"gnu\" 100644 1:2 3.000000000 0 " E_DIGEST "\n"
                 "N \"second\" 100644 1:2 3.000000000 0 " E_DIGEST "\n"
                 "N \"header\" 100644 1:2 3.000000000 0 " E_DIGEST "\n");
}

Test(tar_guard, names_of_the_magics)
{
    struct buf tar = {0};
    struct tar_header *h = header(&tar, '0', "n", 0);

    memcpy(h->prefix, "ustar/prefix", 12);
    seal(h);
    h = header(&tar, '0', "gnu", 0);
    memcpy(h->magic, "ustar  ", 8);
    memcpy(h->prefix, "14000000000", 12); /* the atime */
    seal(h);
    h = header(&tar, '0', "old-go", 0);
    memcpy(h->magic, "ustar  ", 8);
    memcpy(h->prefix, "prefix", 6);
    seal(h);
    h = header(&tar, '0', "v7", 0);
    memset(h->magic, 0, 8);
    memcpy(h->prefix, "junk", 4);
    seal(h);
    h = header(&tar, '0', "star", 0);
    memcpy(h->prefix, "p", 1);
    memcpy(h->prefix + 131, "14000000000 14000000000 ", 24);
    memcpy(h->rest + 8, "tar", 4);
    seal(h);
    expect(&tar, "N \"ustar/prefix/n\" 100644 1:2 3.000000000 0 " E_DIGEST "\n"
                 "N \"gnu\" 100644 1:2 3.000000000 0 " E_DIGEST "\n"
                 "N \"prefix/old-go\" 100644 1:2 3.000000000 0 " E_DIGEST "\n"
                 "N \"v7\" 100644 1:2 3.000000000 0 " E_DIGEST "\n"
                 "N \"p/star\" 100644 1:2 3.000000000 0 " E_DIGEST "\n");
}

/* ---- whiteouts ---- */

Test(tar_guard, whiteouts)
{
    struct buf tar = {0};

    file(&tar, ".wh.a", "");
    file(&tar, "d/.wh.b", "ignored");
    file(&tar, "d/.wh..wh..opq", "");
    file(&tar, ".wh..wh..opq", "");
    (void)header(&tar, '5', ".wh.dir/", 0);
    (void)header(&tar, '5', ".wh..wh.plnk", 0);
    file(&tar, ".wh..wh.plnk/1.2", "x");
    file(&tar, "d/.wh..wh.aufs", "");
    file(&tar, ".wh..hidden", "");
    file(&tar, ".wh", "");
    expect(&tar, "W \"a\"\nW \"d/b\"\nO \"d\"\nO \"\"\nW \"dir\"\nW \".hidden\"\n"
                 "N \".wh\" 100644 1:2 3.000000000 0 " E_DIGEST "\n");
}

Test(tar_guard, whiteouts_of_nothing)
{
    static const char *const names[] = {".wh.", "d/.wh..", "d/.wh..."};
    struct buf tar = {0};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        file(&tar, names[i], "");
        expect_failure(&tar, -EBADMSG, "a whiteout of nothing");
    }
    file(&tar, "d/.wh.x/file", "");
    expect_failure(&tar, -EBADMSG, "a whiteout has nothing below it");
}

/* ---- types ---- */

Test(tar_guard, types_and_what_they_hold)
{
    struct buf tar = {0};
    struct tar_header *h;

    (void)header(&tar, '\0', "olddir/", 1000); /* no content follows */
    (void)header(&tar, '\0', "old", 1);
    put(&tar, "x", 1);
    (void)header(&tar, '7', "contiguous", 1);
    put(&tar, "x", 1);
    (void)header(&tar, '0', "slash/", 1);
    put(&tar, "x", 1);
    (void)header(&tar, '5', "dir", 1000);
    (void)header(&tar, '6', "fifo", 1000);
    h = header(&tar, '1', "hard", 1000);
    h->link[0] = 'x';
    seal(h);
    h = header(&tar, '3', "char", 1000);
    tar_put_binary(h->dev_major, 8, UINT32_MAX);
    (void)tar_put_octal(h->dev_minor, 8, 5);
    seal(h);
    h = header(&tar, '4', "block", 0);
    (void)tar_put_octal(h->dev_major, 8, 7);
    tar_put_binary(h->dev_minor, 8, 3000000);
    seal(h);
    expect(&tar, "N \"olddir\" 40644 1:2 3.000000000\n"
                 "N \"old\" 100644 1:2 3.000000000 1 " X_DIGEST "\n"
                 "N \"contiguous\" 100644 1:2 3.000000000 1 " X_DIGEST "\n"
                 "N \"slash\" 100644 1:2 3.000000000 1 " X_DIGEST "\n"
                 "N \"dir\" 40644 1:2 3.000000000\n"
                 "N \"fifo\" 10644 1:2 3.000000000\n"
                 "H \"hard\" -> \"x\"\n"
                 "N \"char\" 20644 1:2 3.000000000 4294967295,5\n"
                 "N \"block\" 60644 1:2 3.000000000 7,3000000\n");
}

Test(tar_guard, unknown_types)
{
    static const char types[] = {'V', 'M', 'D', 'N', 'X', 'A', 'S', '8', 1, (char)0xff};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct buf tar = {0};

        (void)header(&tar, types[i], "strange", 0);
        expect_failure(&tar, -EBADMSG, "entry \"strange\": unknown type");
    }
}

/* ---- numbers ---- */

Test(tar_guard, numbers_at_the_edges)
{
    struct buf tar = {0};
    struct tar_header *h;

    pax_raw(&tar, 'x', "18 uid=4294967294\n18 gid=4294967294\n");
    file(&tar, "max", "");
    h = header(&tar, '0', "binary", 0);
    tar_put_binary(h->uid, 8, 4294967294);
    tar_put_binary(h->gid, 8, 3000000);
    tar_put_binary(h->mtime, 12, -5);
    memcpy(h->mode, "107777 ", 8);
    seal(h);
    h = header(&tar, '0', "blank", 0);
    memset(h->uid, ' ', 8);
    memset(h->gid, 0, 8);
    memset(h->mtime, 0, 12);
    seal(h);
    expect(&tar, "N \"max\" 100644 4294967294:4294967294 3.000000000 0 " E_DIGEST "\n"
                 "N \"binary\" 107777 4294967294:3000000 -5.000000000 0 " E_DIGEST "\n"
                 "N \"blank\" 100644 0:0 0.000000000 0 " E_DIGEST "\n");
}

Test(tar_guard, times)
{
    static const struct {
        const char *text, *expect;
    } cases[] = {
        {"1.5", "1.500000000"},
        {"-1.5", "-2.500000000"},
        {"-0.25", "-1.750000000"},
        {"-7", "-7.000000000"},
        {"0.0000000019", "0.000000001"},
        {"1.", "1.000000000"},
        {"9223372036854775807", "9223372036854775807.000000000"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_(freep) char *line = NULL;
        struct buf tar = {0};

        pax_str(&tar, "mtime", cases[i].text);
        file(&tar, "f", "");
        cr_assert(asprintf(&line, "N \"f\" 100644 1:2 %s 0 " E_DIGEST "\n", cases[i].expect) > 0);
        expect(&tar, line);
    }
}

Test(tar_guard, numbers_that_are_none)
{
    static const struct {
        const char *key, *value, *part;
    } cases[] = {
        {"uid", "-1", "owner -1:2 is out of range"},
        {"gid", "4294967295", "out of range"},
        {"uid", "1x", "bad value of PAX record \"uid\""},
        {"size", "-1", "negative size"},
        {"size", "99999999999999999999", "bad value of PAX record \"size\""},
        {"size", "0x10", "bad value"},
        {"mtime", "soon", "bad value"},
        {"mtime", "1.5x", "bad value"},
        {"mtime", ".5", "bad value"},
        {"mtime", "-", "bad value"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf tar = {0};

        pax_str(&tar, cases[i].key, cases[i].value);
        file(&tar, "f", "");
        expect_failure(&tar, -EBADMSG, cases[i].part);
    }
}

Test(tar_guard, bad_header_numbers)
{
    for (int i = 0; i < 7; i++) {
        struct buf tar = {0};
        struct tar_header *h = header(&tar, i == 6 ? '3' : '0', "f", 0);

        switch (i) {
        case 0:
            tar_put_binary(h->size, 12, -1);
            break;
        case 1:
            tar_put_binary(h->uid, 8, -1);
            break;
        case 2:
            tar_put_binary(h->gid, 8, INT64_C(1) << 40);
            break;
        case 3:
            memcpy(h->size, "12345678999", 12);
            break;
        case 4:
            memcpy(h->mode, "rw-r--r", 8);
            break;
        case 5:
            memset(h->size, 0xff, 12);
            h->size[0] = (char)0x80; /* 88 bits */
            break;
        default:
            tar_put_binary(h->dev_major, 8, INT64_C(1) << 32);
        }
        seal(h);
        expect_failure(&tar, -EBADMSG, "entry \"f\": ");
    }
}

/* ---- PAX ---- */

Test(tar_guard, bad_pax_records)
{
    static const char *const bodies[] = {"x", "5 a=b\n", "7 a=b\n", "6 a=b", "6 =bc\n", "6 abc\n",
        "06a=b\n", "-6 a=b\n", "99999999999999999999 a=b\n", "3 \n", "0 a=b\n", " 6 a=b\n",
        "6 a=b\n6 a=b"};

    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        struct buf tar = {0};

        pax_raw(&tar, 'x', bodies[i]);
        file(&tar, "f", "");
        expect_failure(&tar, -EBADMSG, "entry \"f\": bad PAX record");
        pax_raw(&tar, 'g', bodies[i]);
        file(&tar, "f", "");
        expect_failure(&tar, -EBADMSG, "bad record in a global PAX header");
    }
}

Test(tar_guard, nul_in_names)
{
    struct buf tar = {0};

    pax(&tar, "path", "a\0b", 3);
    file(&tar, "f", "");
    expect_failure(&tar, -EBADMSG, "bad PAX record");
    pax(&tar, "linkpath", "a\0b", 3);
    (void)header(&tar, '2', "f", 0);
    expect_failure(&tar, -EBADMSG, "bad PAX record");
    pax(&tar, "comment", "a\0b", 3);
    file(&tar, "f", "");
    expect(&tar, "N \"f\" 100644 1:2 3.000000000 0 " E_DIGEST "\n");
}

Test(tar_guard, global_headers_say_nothing)
{
    struct buf tar = {0};

    pax_raw(&tar, 'g', "9 path=x\n13 uid=77777\n");
    file(&tar, "f", "");
    expect(&tar, "N \"f\" 100644 1:2 3.000000000 0 " E_DIGEST "\n");
}

Test(tar_guard, headers_without_an_entry)
{
    static const char types[] = {'x', 'L', 'K'};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct buf tar = {0};

        pax_raw(&tar, types[i], "8 path=x\n");
        expect_failure(&tar, -EBADMSG, "ends after an extended header");
    }
}

Test(tar_guard, only_schily_xattrs_count)
{
    struct buf tar = {0};
    struct buf body = {0};

    cr_assert_eq(tar_record_append(&body, "SCHILY.xattr.", "user.b", 6, "\0=\n", 3), 0);
    cr_assert_eq(tar_record_append(&body, "SCHILY.xattr.", "user.a", 6, "1", 1), 0);
    cr_assert_eq(tar_record_append(&body, "LIBARCHIVE.xattr.", "user.c", 6, "MQ==", 4), 0);
    cr_assert_eq(tar_record_append(&body, "RHT.security.", "selinux", 7, "label", 5), 0);
    cr_assert_eq(tar_record_append(&body, "SCHILY.acl.", "access", 6, "user::rwx", 9), 0);
    cr_assert_eq(tar_record_append(&body, "SCHILY.", "fflags", 6, "nodump", 6), 0);
    cr_assert_eq(tar_record_append(&body, "SCHILY.xattr.", "user.a", 6, "2", 1), 0);
    cr_assert_eq(tar_record_append(&body, "SCHILY.xattr.", "user.e", 6, "", 0), 0);
    (void)header(&tar, 'x', "x", body.size);
    put(&tar, body.data, body.size);
    file(&tar, "f", "");
    buf_deinit(&body);
    expect(&tar, "N \"f\" 100644 1:2 3.000000000 user.a=32 user.b=003d0a user.e= 0 " E_DIGEST "\n");
}

static void xattr_file(struct buf *tar, size_t name_size, size_t value_size)
{
    struct buf body = {0};
    char name[400];
    void *value = calloc(1, value_size + 1);

    memset(name, 'n', sizeof(name));
    cr_assert_eq(tar_record_append(&body, "SCHILY.xattr.", name, name_size, value, value_size), 0);
    (void)header(tar, 'x', "x", body.size);
    put(tar, body.data, body.size);
    file(tar, "f", "");
    buf_deinit(&body);
    free(value);
}

Test(tar_guard, xattrs_at_and_past_the_limit)
{
    _cleanup_(buf_deinit) struct buf text = {0};
    struct report report = REPORT_INIT;
    struct buf tar = {0};

    xattr_file(&tar, 255, 65536);
    end(&tar);
    cr_assert_eq(list_limited(&tar, NULL, &text, &report), 0, "%s", report.text);
    buf_deinit(&tar);
    xattr_file(&tar, 256, 1);
    expect_failure(&tar, -EBADMSG, "xattr name of 256 bytes");
    xattr_file(&tar, 0, 1);
    expect_failure(&tar, -EBADMSG, "xattr name of 0 bytes");
    xattr_file(&tar, 10, 65537);
    expect_failure(&tar, -EFBIG, "of 65537 bytes");
}

/* ---- limits ---- */

Test(tar_guard, header_bytes_at_and_past_the_limit)
{
    struct oci_layer_limits limits = oci_layer_limits_default;
    struct buf tar = {0};

    limits.max_header = 512 + 100 + 512; /* of the PAX header, its body, and the main header */
    for (size_t extra = 0; extra < 2; extra++) {
        char value[200] = "";

        memset(value, 'v', 100 - 13 + extra);
        pax_str(&tar, "comment", value);
        file(&tar, "f", "");
        end(&tar);
        if (extra == 0)
            expect_limited(&tar, &limits, "N \"f\" 100644 1:2 3.000000000 0 " E_DIGEST "\n");
        else
            expect_failure_limited(&tar, &limits, -EFBIG, "limit of 1124 bytes");
    }
}

Test(tar_guard, a_million_records)
{
    struct buf tar = {0};
    struct buf body = {0};

    for (unsigned i = 0; i < 1000000; i++)
        cr_assert_eq(buf_printf(&body, "16 k%06u=value\n", i), 0);
    (void)header(&tar, 'x', "x", body.size);
    put(&tar, body.data, body.size);
    file(&tar, "f", "");
    buf_deinit(&body);
    expect_failure(&tar, -EFBIG, "headers are larger than the limit");
}

Test(tar_guard, chains_of_headers)
{
    struct buf tar = {0};

    for (unsigned i = 0; i < 100; i++) /* libarchive by itself takes 32 */
        pax_str(&tar, "path", "p");
    file(&tar, "f", "");
    expect(&tar, "N \"p\" 100644 1:2 3.000000000 0 " E_DIGEST "\n");
    for (unsigned i = 0; i < 3000; i++)
        long_name(&tar, 'L', "p");
    file(&tar, "f", "");
    expect_failure(&tar, -EFBIG, "headers are larger than the limit");
}

Test(tar_guard, claims_of_huge_headers_cost_nothing)
{
    struct buf tar = {0};
    struct tar_header *h = header(&tar, 'x', "x", 0);

    tar_put_binary(h->size, 12, INT64_MAX);
    seal(h);
    expect_failure(&tar, -EFBIG, "headers are larger than the limit");
    h = header(&tar, 'L', "x", 0);
    tar_put_binary(h->size, 12, -1);
    seal(h);
    expect_failure(&tar, -EBADMSG, "bad size of an extended header");
}

Test(tar_guard, entries_sizes_and_files_at_and_past_the_limit)
{
    struct oci_layer_limits limits = oci_layer_limits_default;
    struct buf tar = {0};

    for (unsigned past = 0; past < 2; past++) {
        limits = oci_layer_limits_default;
        limits.max_entries = 2 - past;
        file(&tar, "a", "");
        file(&tar, "b", "");
        end(&tar);
        if (past)
            expect_failure_limited(&tar, &limits, -EFBIG, "more entries than the limit of 1");
        else
            expect_limited(&tar, &limits,
                "N \"a\" 100644 1:2 3.000000000 0 " E_DIGEST "\n"
                "N \"b\" 100644 1:2 3.000000000 0 " E_DIGEST "\n");
        limits = oci_layer_limits_default;
        limits.max_file_size = 1 - past;
        file(&tar, "a", "x");
        end(&tar);
        if (past)
            expect_failure_limited(
                &tar, &limits, -EFBIG, "entry \"a\": 1 bytes are over the limit");
        else
            expect_limited(&tar, &limits, "N \"a\" 100644 1:2 3.000000000 1 " X_DIGEST "\n");
        limits = oci_layer_limits_default;
        limits.max_size = 1536 - past;
        file(&tar, "a", "");
        end(&tar);
        if (!past)
            expect_limited(&tar, &limits, "N \"a\" 100644 1:2 3.000000000 0 " E_DIGEST "\n");
        buf_deinit(&tar);
    }
}

Test(tar_guard, stream_size_past_the_limit)
{
    struct oci_layer_limits limits = oci_layer_limits_default;
    _cleanup_(buf_deinit) struct buf tar = {0};

    file(&tar, "a", "");
    end(&tar);
    limits.max_size = tar.size - 1;
    for (size_t chunk = 1; chunk < 4096; chunk *= 8) { /* how far it gets depends on the chunks */
        _cleanup_(buf_deinit) struct buf text = {0};
        struct report report = REPORT_INIT;

        cr_assert_eq(test_list(test_chunks(tar.data, tar.size, chunk, 0, NULL), &limits, &text,
                         NULL, &report),
            -EFBIG);
        cr_assert(strstr(report.text, "larger than the limit of 1535 bytes"), "%s", report.text);
    }
}

/* ---- sparse files ---- */

static void sparse_01(struct buf *tar, const char *map, const char *size, const char *content)
{
    struct buf body = {0};

    cr_assert_eq(tar_record_append(&body, "GNU.sparse.", "size", 4, size, strlen(size)), 0);
    cr_assert_eq(tar_record_append(&body, "GNU.sparse.", "map", 3, map, strlen(map)), 0);
    (void)header(tar, 'x', "x", body.size);
    put(tar, body.data, body.size);
    file(tar, "s", content);
    buf_deinit(&body);
}

Test(tar_guard, sparse_maps)
{
    struct buf tar = {0};
    struct buf text = {0};
    uint64_t holes = 0;

    sparse_01(&tar, "0,1,10,0,10,2,20,0", "20", "xyz");
    sparse_01(&tar, "5,0", "5", "");
    end(&tar);
    cr_assert_eq(
        test_list(test_chunks(tar.data, tar.size, 512, 0, NULL), NULL, &text, &holes, NULL), 0);
    cr_assert_eq(holes, 17 + 5);
    cr_assert(strstr((char *)text.data, " 20 "), "%s", (char *)text.data);
    buf_deinit(&text);
    buf_deinit(&tar);
}

Test(tar_guard, bad_sparse_maps)
{
    static const struct {
        const char *map, *size, *content;
    } cases[] = {
        {"10,1,0,1", "20", "xy"},            /* descending */
        {"0,2,1,2", "20", "wxyz"},           /* overlapping */
        {"0,1,19,2", "20", "xyz"},           /* past the end */
        {"0,1,10,1", "20", "x"},             /* less is stored */
        {"0,1,10,1", "20", "xyz"},           /* more is stored */
        {"0,1,10", "20", "x"},               /* half a pair */
        {"0,-1", "20", ""},                  /* negative */
        {"0,1", "-20", "x"},                 /* negative size */
        {"9223372036854775807,9", "20", ""}, /* overflow */
        {"0,1,,", "20", "x"},                /* empty numbers */
        {"0,1", "9223372036854775807", "x"}, /* over the limit */
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_(buf_deinit) struct buf text = {0};
        struct report report = REPORT_INIT;
        struct buf tar = {0};
        int n;

        sparse_01(&tar, cases[i].map, cases[i].size, cases[i].content);
        end(&tar);
        n = list_limited(&tar, NULL, &text, &report);
        cr_assert(n == -EBADMSG || n == -EFBIG, "%s: %d", cases[i].map, n);
        cr_assert(strstr(report.text, "entry \"s\": "), "%s", report.text);
        buf_deinit(&tar);
    }
}

static void sparse_10(struct buf *tar, const char *version, const char *map, size_t pad)
{
    struct buf body = {0};
    _cleanup_(freep) char *content = calloc(1, pad + 1);

    cr_assert_eq(tar_record_append(&body, "GNU.sparse.", "major", 5, version, 1), 0);
    cr_assert_eq(tar_record_append(&body, "GNU.sparse.", "minor", 5, version + 2, 1), 0);
    cr_assert_eq(tar_record_append(&body, "GNU.sparse.", "realsize", 8, "1000", 4), 0);
    cr_assert_eq(tar_record_append(&body, "GNU.sparse.", "name", 4, "real", 4), 0);
    (void)header(tar, 'x', "x", body.size);
    put(tar, body.data, body.size);
    memcpy(content, map, MIN(strlen(map), pad));
    (void)header(tar, '0', "GNUSparseFile.0/real", pad);
    put(tar, content, pad);
    buf_deinit(&body);
}

Test(tar_guard, inner_maps)
{
    static const char *const bad[] = {"", "1\n", "x\n", "1\n0\nx\n", "-1\n", "9999999999999\n",
        "99999999999999999999999999\n", "\n1\n0\n3\n", "1 0 3\n", "2\n0\n3\n"};
    struct buf tar = {0};

    sparse_10(&tar, "1.0", "1\n10\n3\n", 512 + 3);
    file(&tar, "next", "");
    end(&tar);
    expect_limited(&tar, NULL,
        "N \"real\" 100644 1:2 3.000000000 1000 541b3e9daa09b20b\n"
        "N \"next\" 100644 1:2 3.000000000 0 " E_DIGEST "\n");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        sparse_10(&tar, "1.0", bad[i], 512 + 3);
        expect_failure(&tar, -EBADMSG, "sparse map");
    }
    sparse_10(&tar, "1.0", "1\n10\n3\n", 100);
    expect_failure(&tar, -EBADMSG, "sparse map is longer than the content");
    sparse_10(&tar, "2.0", "1\n10\n3\n", 512 + 3);
    expect_failure(&tar, -EBADMSG, "unknown or bad sparse format");
}

Test(tar_guard, sparse_things_that_are_no_files)
{
    struct buf tar = {0};
    struct buf body = {0};

    cr_assert_eq(tar_record_append(&body, "GNU.sparse.", "size", 4, "9", 1), 0);
    cr_assert_eq(tar_record_append(&body, "GNU.sparse.", "map", 3, "0,0", 3), 0);
    (void)header(&tar, 'x', "x", body.size);
    put(&tar, body.data, body.size);
    (void)header(&tar, '5', "dir", 0);
    buf_deinit(&body);
    expect_failure(&tar, -EBADMSG, "sparse map does not fit the file");
}

Test(tar_guard, old_sparse_headers_that_never_end)
{
    struct buf tar = {0};
    struct tar_header *h = header(&tar, 'S', "s", 0);
    char block[TAR_BLOCK] = {0};

    memcpy(h->magic, "ustar  ", 8);
    ((char *)h)[TAR_GNU_EXTENDED] = 1;
    seal(h);
    block[TAR_GNU_EXT_EXTENDED] = 1;
    for (unsigned i = 0; i < 3000; i++)
        put(&tar, block, sizeof(block));
    expect_failure(&tar, -EFBIG, "headers are larger than the limit");
}
