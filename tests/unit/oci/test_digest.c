/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "oci/digest.h"

#define EMPTY_256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC_256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC_512                                                                                    \
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                             \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

TestSuite(digest);

static struct oci_digest must_parse(const char *s)
{
    struct oci_digest d;

    cr_assert_eq(oci_digest_parse(s, &d), 0, "%s", s);
    return d;
}

static void check_text(const struct oci_digest *d, const char *expected)
{
    char text[OCI_DIGEST_STR_MAX];

    cr_assert_str_eq(oci_digest_format(d, text), expected);
}

Test(digest, of_known_vectors)
{
    struct oci_digest d;

    cr_assert_eq(oci_digest_of(OCI_DIGEST_SHA256, "", 0, &d), 0);
    check_text(&d, "sha256:" EMPTY_256);
    cr_assert_eq(oci_digest_of(OCI_DIGEST_SHA256, "abc", 3, &d), 0);
    check_text(&d, "sha256:" ABC_256);
    cr_assert_eq(oci_digest_of(OCI_DIGEST_SHA512, "abc", 3, &d), 0);
    check_text(&d, "sha512:" ABC_512);
    cr_assert_eq(oci_digest_of(OCI_DIGEST_NONE, "abc", 3, &d), -EOPNOTSUPP);
    cr_assert_eq(oci_digest_of(17, "abc", 3, &d), -EOPNOTSUPP);
}

Test(digest, parse_and_format_agree)
{
    struct oci_digest d = must_parse("sha512:" ABC_512);
    char text[OCI_DIGEST_STR_MAX];

    cr_assert_eq(d.alg, OCI_DIGEST_SHA512);
    check_text(&d, "sha512:" ABC_512);
    cr_assert_str_eq(oci_digest_hex(&d, text), ABC_512);
    d = must_parse("sha256:" ABC_256);
    cr_assert_eq(d.alg, OCI_DIGEST_SHA256);
    for (size_t i = 32; i < sizeof(d.bytes); i++)
        cr_assert_eq(d.bytes[i], 0, "bytes past the size are zero");
}

Test(digest, parse_refuses_malformed)
{
    static const char *const bad[] = {"", ":", "sha256", "sha256:", "sha256:" ABC_256 "0",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
        "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        "sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "SHA256:" ABC_256, " sha256:" ABC_256, "sha256:" ABC_256 " ", "sha256/" ABC_256,
        "sha512:" ABC_256, "sha256:../../../etc/passwd", "a..b:00", "+a:00", "a+:00",
        "md5:", "md5:a/b", "md5:a:b"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct oci_digest d = {.alg = 99};

        cr_expect_eq(oci_digest_parse(bad[i], &d), -EINVAL, "\"%s\"", bad[i]);
        cr_expect_eq(d.alg, 99, "the out-parameter is untouched");
    }
}

Test(digest, parse_knows_unsupported_algorithms)
{
    static const char *const unsupported[] = {"md5:d41d8cd98f00b204e9800998ecf8427e", "blake3:00",
        "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
        "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564=", "sha384:00"};

    for (size_t i = 0; i < ARRAY_SIZE(unsupported); i++) {
        struct oci_digest d;

        cr_expect_eq(oci_digest_parse(unsupported[i], &d), -EOPNOTSUPP, "%s", unsupported[i]);
    }
}

Test(digest, compare_orders_by_algorithm_and_bytes)
{
    struct oci_digest a = must_parse("sha256:" ABC_256), b = must_parse("sha256:" EMPTY_256);
    struct oci_digest c = must_parse("sha512:" ABC_512), none = {0};

    cr_assert(oci_digest_equal(&a, &a));
    cr_assert_not(oci_digest_equal(&a, &b));
    cr_assert_lt(oci_digest_compare(&a, &b), 0);
    cr_assert_gt(oci_digest_compare(&b, &a), 0);
    cr_assert_lt(oci_digest_compare(&b, &c), 0);
    cr_assert_lt(oci_digest_compare(&none, &a), 0);
}

Test(digest, from_raw_bytes)
{
    struct oci_digest abc = must_parse("sha256:" ABC_256);
    struct oci_digest d = oci_digest_sha256(abc.bytes);

    cr_assert(oci_digest_equal(&abc, &d));
}

Test(digest, sizes_and_names)
{
    cr_assert_eq(oci_digest_size(OCI_DIGEST_SHA256), 32);
    cr_assert_eq(oci_digest_size(OCI_DIGEST_SHA512), 64);
    cr_assert_eq(oci_digest_size(OCI_DIGEST_NONE), 0);
    cr_assert_eq(oci_digest_size(200), 0);
    cr_assert_str_eq(oci_digest_alg_name(OCI_DIGEST_SHA512), "sha512");
    cr_assert_str_eq(oci_digest_alg_name(200), "none");
}

/* Expected values made with: printf 'sha256:A sha256:B' | sha256sum. */
Test(digest, chain_id)
{
    struct oci_digest chain = {0};
    struct oci_digest abc = must_parse("sha256:" ABC_256), empty = must_parse("sha256:" EMPTY_256);

    cr_assert_eq(oci_chain_id_extend(&chain, &abc), 0);
    check_text(&chain, "sha256:" ABC_256);
    cr_assert_eq(oci_chain_id_extend(&chain, &empty), 0);
    check_text(&chain, "sha256:dd8ddd90bdf3ccbd91abd3f399218c9d93e91246734fab743933f42048ac3e2c");
    cr_assert_eq(oci_chain_id_extend(&chain, &abc), 0);
    check_text(&chain, "sha256:8e9c277940fe142021d5811c9b85cc258bdc32d33c6adea713521839f5d43c85");
}

Test(digest, hash_in_pieces_and_again)
{
    _cleanup_(oci_hash_freep) struct oci_hash *h = NULL;
    struct oci_digest d;

    cr_assert_eq(oci_hash_new(OCI_DIGEST_SHA512, &h), 0);
    cr_assert_eq(oci_hash_update(h, "a", 1), 0);
    cr_assert_eq(oci_hash_update(h, "", 0), 0);
    cr_assert_eq(oci_hash_update(h, "bc", 2), 0);
    cr_assert_eq(oci_hash_final(h, &d), 0);
    check_text(&d, "sha512:" ABC_512);
    cr_assert_eq(oci_hash_update(h, "abc", 3), 0);
    cr_assert_eq(oci_hash_final(h, &d), 0);
    check_text(&d, "sha512:" ABC_512);
}

Test(digest, hash_refuses_unknown_algorithms)
{
    struct oci_hash *h = NULL;

    cr_assert_eq(oci_hash_new(OCI_DIGEST_NONE, &h), -EOPNOTSUPP);
    cr_assert_eq(oci_hash_new(3, &h), -EOPNOTSUPP);
    cr_assert_null(h);
    cr_assert_null(oci_hash_free(NULL));
}
