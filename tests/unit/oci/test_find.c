/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "oci/find.h"
#include "tests/unit/oci/documents.h"

#define M OCI_TYPE_MANIFEST
#define I OCI_TYPE_INDEX
#define ENTRY(digest, more) DESCRIPTOR(M, digest, more)
/* Digests that differ from the first digit on: a, b, c, …, and documents named by them. */
#define HEX(c) c "000000000000000000000000000000000000000000000000000000000000000"
#define DIGEST(c) "sha256:" HEX(c)

TestSuite(find);

/* Documents that are read without looking at their digests, so that they can point to each other.
 */
struct shelf {
    struct {
        const char *digest, *document;
    } books[8];
    unsigned reads;
};

static int shelf_read(
    void *userdata, const struct oci_descriptor *descriptor, struct buf *b, struct report *r)
{
    struct shelf *shelf = userdata;
    char text[OCI_DIGEST_STR_MAX];

    shelf->reads++;
    (void)oci_digest_format(&descriptor->digest, text);
    for (size_t i = 0; i < ARRAY_SIZE(shelf->books) && shelf->books[i].digest; i++)
        if (strcmp(shelf->books[i].digest, text) == 0)
            return buf_append_str(b, shelf->books[i].document);
    return report_fail(r, -ENOENT, "blob %s is missing", text);
}

/* Finds and tells the digest in ret_digest, or the text of the failure. */
static int find_on(struct shelf *shelf, const char *index_text, const char *name,
    const char *platform, char ret_text[static REPORT_TEXT_MAX])
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor d = {0};
    struct oci_document_reader reader = {.read = shelf_read, .userdata = shelf};
    struct report report = REPORT_INIT;
    struct oci_platform want;
    int r;

    cr_assert_eq(oci_index_parse(index_text, strlen(index_text), &index, &report), 0, "%s: %s",
        index_text, report.text);
    if (platform)
        cr_assert_eq(oci_platform_parse(platform, &want), 0);
    r = oci_index_find(index, name, platform ? &want : NULL, &reader, &d, &report);
    cr_expect_eq(r < 0, report_is_set(&report));
    if (r == 0)
        cr_expect_eq(oci_media_classify(d.media_type), OCI_MEDIA_MANIFEST);
    if (r == 0)
        (void)oci_digest_format(&d.digest, ret_text);
    else
        (void)strcpy(ret_text, report.text);
    return r;
}

static void expect_found(
    const char *index, const char *name, const char *platform, const char *digest)
{
    struct shelf shelf = {0};
    char text[REPORT_TEXT_MAX];

    cr_expect_eq(find_on(&shelf, index, name, platform, text), 0, "%s: %s", name, text);
    cr_expect_str_eq(text, digest);
    cr_expect_eq(shelf.reads, 0, "a manifest in the index needs no reading");
}

static void expect_failure(
    const char *index, const char *name, const char *platform, int err, const char *expected)
{
    struct shelf shelf = {0};
    char text[REPORT_TEXT_MAX];

    cr_expect_eq(find_on(&shelf, index, name, platform, text), err, "%s: %s", name, text);
    cr_expect_str_eq(text, expected);
}

static const char three[] = INDEX(ENTRY(DIGEST_A, TAG("one")) "," ENTRY(
    DIGEST_B, TAG("two")) "," ENTRY(DIGEST_C, TAG("debian:latest")));

Test(find, by_tag)
{
    expect_found(three, "one", NULL, DIGEST_A);
    expect_found(three, "debian:latest", NULL, DIGEST_C);
    expect_failure(three, "thre", NULL, -ENOENT, "no image \"thre\"");
    expect_failure(three, "on", NULL, -ENOENT, "no image \"on\"");
}

Test(find, by_digest)
{
    expect_found(three, DIGEST_B, NULL, DIGEST_B);
    expect_failure(three, DIGEST("f"), NULL, -ENOENT, "blob " DIGEST("f") " is missing");
    expect_failure(three, "sha256:zz", NULL, -ENOENT, "no image \"sha256:zz\"");
    expect_failure(three, "md5:d41d8cd98f00b204e9800998ecf8427e", NULL, -ENOENT,
        "no image \"md5:d41d8cd98f00b204e9800998ecf8427e\"");
}

Test(find, by_prefix)
{
    expect_found(three, "e3b0", NULL, DIGEST_B);
    expect_found(three, "sha256:e3b0", NULL, DIGEST_B);
    expect_found(three, HEX_C, NULL, DIGEST_C);
    expect_failure(three, "e3b", NULL, -ENOENT, "no image \"e3b\"");
    expect_failure(three, "E3B0", NULL, -ENOENT, "no image \"E3B0\"");
    expect_failure(three, "sha512:e3b0", NULL, -ENOENT, "no image \"sha512:e3b0\"");
    expect_failure(three, "ba78", NULL, -EEXIST, "\"ba78\" fits 2 images: one, debian:latest");
    expect_failure(three, "ffff", NULL, -ENOENT, "no image \"ffff\"");
}

Test(find, a_tag_wins_over_a_prefix)
{
    expect_found(
        INDEX(ENTRY(DIGEST_A, TAG("e3b0")) "," ENTRY(DIGEST_B, "")), "e3b0", NULL, DIGEST_A);
}

Test(find, the_only_one)
{
    expect_found(INDEX(ENTRY(DIGEST_A, "")), NULL, NULL, DIGEST_A);
    expect_found(
        INDEX(ENTRY(DIGEST_A, TAG("a")) "," ENTRY(DIGEST_A, TAG("b"))), NULL, NULL, DIGEST_A);
    expect_failure(INDEX(""), NULL, NULL, -ENOENT, "there is no image");
    expect_failure(
        three, NULL, NULL, -EEXIST, "3 images, a name is needed: one, two, debian:latest");
    expect_failure(INDEX(ENTRY(DIGEST_A, "") "," ENTRY(DIGEST_B, TAG("t"))), NULL, NULL, -EEXIST,
        "2 images, a name is needed: " DIGEST_A ", t");
}

Test(find, foreign_entries_do_not_disturb)
{
    static const char s[] = INDEX(DESCRIPTOR("application/xml", DIGEST_C, "") "," ENTRY("md5:00",
        "") "," ENTRY(DIGEST_B, ",\"artifactType\":\"x/y\"") "," ENTRY(DIGEST_A, TAG("t")));

    expect_found(s, NULL, NULL, DIGEST_A);
    expect_found(s, "t", NULL, DIGEST_A);
    expect_found(s, "ba78", NULL, DIGEST_A);
    expect_found(s, DIGEST_A, NULL, DIGEST_A);
}

Test(find, a_tag_of_no_image)
{
    expect_failure(INDEX(DESCRIPTOR("application/xml", DIGEST_C, TAG("t"))), "t", NULL, -EOPNOTSUPP,
        DIGEST_C " is not an image: its media type is \"application/xml\"");
    expect_found(
        INDEX(ENTRY(DIGEST_B, TAG("t") ",\"artifactType\":\"x/y\"") "," ENTRY(DIGEST_A, TAG("t"))),
        "t", NULL, DIGEST_A);
    expect_failure(INDEX(DESCRIPTOR(
                       "application/vnd.docker.distribution.manifest.v1+json", DIGEST_C, TAG("t"))),
        "t", NULL, -EOPNOTSUPP, "manifest " DIGEST_C ": docker schema 1 is not supported");
}

Test(find, one_tag_for_several_platforms)
{
    static const char s[] = INDEX(ENTRY(DIGEST_A, TAG("t") PLATFORM("linux", "s390x")) "," ENTRY(
        DIGEST_B, TAG("t") PLATFORM("linux", "riscv64")));

    expect_found(s, "t", "linux/s390x", DIGEST_A);
    expect_found(s, "t", "linux/riscv64", DIGEST_B);
    expect_found(s, NULL, "linux/riscv64", DIGEST_B);
    expect_found(s, DIGEST_B, NULL, DIGEST_B);
    expect_failure(s, "t", "linux/mips", -ENOENT,
        "index: no image for linux/mips (there is: linux/s390x, linux/riscv64)");
    expect_failure(INDEX(ENTRY(DIGEST_A, TAG("t")) "," ENTRY(DIGEST_B, TAG("t"))), "t", NULL,
        -EEXIST, "\"t\" fits 2 images: " DIGEST_A ", " DIGEST_B);
}

Test(find, a_single_image_of_another_platform)
{
    static const char s[] = INDEX(ENTRY(DIGEST_A, TAG("t") PLATFORM("linux", "s390x")));

    expect_found(s, "t", NULL, DIGEST_A);
    expect_found(s, "t", "linux/s390x", DIGEST_A);
    expect_failure(
        s, "t", "linux/mips", -ENOENT, "no image for linux/mips (there is: linux/s390x)");
}

Test(find, follows_indexes)
{
    struct shelf shelf = {
        .books = {{DIGEST("1"), INDEX(ENTRY(DIGEST("2"), PLATFORM("linux", "mips")) "," ENTRY(
                                    DIGEST("3"), PLATFORM("linux", "s390x")))}}};
    static const char s[] = INDEX(DESCRIPTOR(I, DIGEST("1"), TAG("t")));
    char text[REPORT_TEXT_MAX];

    cr_expect_eq(find_on(&shelf, s, "t", "linux/s390x", text), 0, "%s", text);
    cr_expect_str_eq(text, DIGEST("3"));
    cr_expect_eq(find_on(&shelf, s, NULL, "linux/mips", text), 0, "%s", text);
    cr_expect_str_eq(text, DIGEST("2"));
    cr_expect_eq(find_on(&shelf, s, "t", "linux/arm", text), -ENOENT);
    cr_expect_str_eq(text, DIGEST("1") ": index: no image for linux/arm (there is: linux/mips, "
                                       "linux/s390x)");
}

Test(find, by_digest_of_what_only_an_index_names)
{
    struct shelf shelf = {.books = {
                              {DIGEST("1"), INDEX(ENTRY(DIGEST("2"), ""))},
                              {DIGEST("2"), MANIFEST("")},
                              {DIGEST("4"), "{}x"},
                          }};
    char text[REPORT_TEXT_MAX];

    cr_expect_eq(find_on(&shelf, three, DIGEST("2"), NULL, text), 0, "%s", text);
    cr_expect_str_eq(text, DIGEST("2"));
    cr_expect_eq(find_on(&shelf, three, DIGEST("1"), NULL, text), 0, "%s", text);
    cr_expect_str_eq(text, DIGEST("2"), "an index is followed");
    cr_expect_eq(find_on(&shelf, three, DIGEST("4"), NULL, text), -EBADMSG);
}

Test(find, dangling_entries_disturb_only_who_names_them)
{
    static const char s[] =
        INDEX(DESCRIPTOR(I, DIGEST("9"), TAG("gone")) "," ENTRY(DIGEST_A, TAG("here")));

    expect_found(s, "here", NULL, DIGEST_A);
    expect_failure(s, "gone", NULL, -ENOENT, "blob " DIGEST("9") " is missing");
}

Test(find, cycles)
{
    struct shelf shelf = {.books = {
                              {DIGEST("1"), INDEX(DESCRIPTOR(I, DIGEST("1"), ""))},
                              {DIGEST("2"), INDEX(DESCRIPTOR(I, DIGEST("3"), ""))},
                              {DIGEST("3"), INDEX(DESCRIPTOR(I, DIGEST("2"), ""))},
                          }};
    static const char s[] =
        INDEX(DESCRIPTOR(I, DIGEST("1"), TAG("self")) "," DESCRIPTOR(I, DIGEST("2"), TAG("pair")));
    char text[REPORT_TEXT_MAX];

    cr_expect_eq(find_on(&shelf, s, "self", NULL, text), -EBADMSG);
    cr_expect_str_eq(text, "index " DIGEST("1") " contains itself");
    cr_expect_eq(find_on(&shelf, s, "pair", NULL, text), -EBADMSG);
    cr_expect_str_eq(text, "index " DIGEST("2") " contains itself");
}

Test(find, depth)
{
    struct shelf shelf = {.books = {
                              {DIGEST("1"), INDEX(DESCRIPTOR(I, DIGEST("2"), ""))},
                              {DIGEST("2"), INDEX(DESCRIPTOR(I, DIGEST("3"), ""))},
                              {DIGEST("3"), INDEX(DESCRIPTOR(I, DIGEST("4"), ""))},
                              {DIGEST("4"), INDEX(DESCRIPTOR(I, DIGEST("5"), ""))},
                              {DIGEST("5"), INDEX(ENTRY(DIGEST("6"), ""))},
                          }};
    static const char s[] =
        INDEX(DESCRIPTOR(I, DIGEST("1"), TAG("five")) "," DESCRIPTOR(I, DIGEST("2"), TAG("four")));
    char text[REPORT_TEXT_MAX];

    cr_assert_eq(OCI_INDEX_DEPTH_MAX, 4);
    cr_expect_eq(find_on(&shelf, s, "four", NULL, text), 0, "%s", text);
    cr_expect_str_eq(text, DIGEST("6"));
    cr_expect_eq(find_on(&shelf, s, "five", NULL, text), -EFBIG);
}

Test(find, resolve_refuses_what_is_no_image)
{
    struct shelf shelf = {0};
    struct oci_document_reader reader = {.read = shelf_read, .userdata = &shelf};
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor d = {0};
    struct oci_descriptor found = {0};
    struct oci_digest digest;

    cr_assert_eq(oci_digest_parse(DIGEST_A, &digest), 0);
    cr_assert_eq(oci_descriptor_make(OCI_TYPE_LAYER, &digest, 1, &d), 0);
    cr_expect_eq(oci_index_resolve(&d, NULL, &reader, &found, NULL), -EOPNOTSUPP);
    cr_expect_eq(shelf.reads, 0);
}
