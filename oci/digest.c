/* SPDX-License-Identifier: Apache-2.0 */
/* Content digests by OpenSSL. The algorithms are fetched once: a fetch takes a lock and a search,
 * which would cost more than hashing a small file. */
#include "oci/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

struct algorithm {
    const char *name;
    const char *openssl_name;
    size_t size;
};

static const struct algorithm algorithms[] = {
    [OCI_DIGEST_NONE] = {"none", NULL, 0},
    [OCI_DIGEST_SHA256] = {"sha256", "SHA256", 32},
    [OCI_DIGEST_SHA512] = {"sha512", "SHA512", 64},
};

/* Set once by fetch_all(), read-only afterwards; NULL where the library refuses the algorithm. */
static EVP_MD *fetched[ARRAY_SIZE(algorithms)];
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;

static void fetch_all(void)
{
    for (size_t i = OCI_DIGEST_SHA256; i < ARRAY_SIZE(algorithms); i++)
        fetched[i] = EVP_MD_fetch(NULL, algorithms[i].openssl_name, NULL);
}

/* NULL for an unknown algorithm. */
static const EVP_MD *algorithm_md(enum oci_digest_alg alg)
{
    if ((size_t)alg >= ARRAY_SIZE(algorithms))
        return NULL;
    (void)pthread_once(&fetch_once, fetch_all);
    return fetched[alg];
}

size_t oci_digest_size(enum oci_digest_alg alg)
{
    return (size_t)alg < ARRAY_SIZE(algorithms) ? algorithms[alg].size : 0;
}

const char *oci_digest_alg_name(enum oci_digest_alg alg)
{
    return algorithms[(size_t)alg < ARRAY_SIZE(algorithms) ? alg : OCI_DIGEST_NONE].name;
}

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* The grammar of descriptor.md, for all algorithms:
 *     digest    ::= component ([+._-] component)* ":" encoded
 *     component ::= [a-z0-9]+      encoded ::= [a-zA-Z0-9=_-]+ */
static bool is_well_formed(const char *s)
{
    for (;;) {
        if (!is_lower_alnum(*s))
            return false;
        while (is_lower_alnum(*s))
            s++;
        if (*s == ':')
            break;
        if (*s == '\0' || !strchr("+._-", *s))
            return false;
        s++;
    }
    s++;
    for (const char *p = s; *p; p++)
        if (!is_lower_alnum(*p) && !(*p >= 'A' && *p <= 'Z') && !strchr("=_-", *p))
            return false;
    return *s != '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly 2 * size lower-case digits and the end of the string. */
static int parse_hex(const char *s, uint8_t *ret_bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        int high = hex_value(s[2 * i]);
        int low = high < 0 ? -1 : hex_value(s[2 * i + 1]);

        if (low < 0)
            return -EINVAL;
        ret_bytes[i] = (uint8_t)(high << 4 | low);
    }
    return s[2 * size] == '\0' ? 0 : -EINVAL;
}

int oci_digest_parse(const char *s, struct oci_digest *ret_digest)
{
    for (size_t i = OCI_DIGEST_SHA256; i < ARRAY_SIZE(algorithms); i++) {
        size_t len = strlen(algorithms[i].name);
        struct oci_digest d = {.alg = (uint8_t)i};

        if (strncmp(s, algorithms[i].name, len) != 0 || s[len] != ':')
            continue;
        if (parse_hex(s + len + 1, d.bytes, algorithms[i].size) < 0)
            return -EINVAL;
        *ret_digest = d;
        return 0;
    }
    return is_well_formed(s) ? -EOPNOTSUPP : -EINVAL;
}

const char *oci_digest_hex(const struct oci_digest *d, char buf[static OCI_DIGEST_STR_MAX])
{
    static const char digits[] = "0123456789abcdef";
    size_t size = oci_digest_size(d->alg);

    for (size_t i = 0; i < size; i++) {
        buf[2 * i] = digits[d->bytes[i] >> 4];
        buf[2 * i + 1] = digits[d->bytes[i] & 15];
    }
    buf[2 * size] = '\0';
    return buf;
}

const char *oci_digest_format(const struct oci_digest *d, char buf[static OCI_DIGEST_STR_MAX])
{
    const char *name = oci_digest_alg_name(d->alg);
    size_t len = strlen(name);
    char hex[OCI_DIGEST_STR_MAX];

    memcpy(buf, name, len);
    buf[len] = ':';
    (void)strcpy(buf + len + 1, oci_digest_hex(d, hex)); /* fits by OCI_DIGEST_STR_MAX */
    return buf;
}

int oci_digest_compare(const struct oci_digest *a, const struct oci_digest *b)
{
    if (a->alg != b->alg)
        return a->alg < b->alg ? -1 : 1;
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool oci_digest_equal(const struct oci_digest *a, const struct oci_digest *b)
{
    return oci_digest_compare(a, b) == 0;
}

int oci_digest_of(
    enum oci_digest_alg alg, const void *data, size_t size, struct oci_digest *ret_digest)
{
    const EVP_MD *md = algorithm_md(alg);
    struct oci_digest d = {.alg = (uint8_t)alg};

    if (!md)
        return -EOPNOTSUPP;
    if (EVP_Digest(data, size, d.bytes, NULL, md, NULL) != 1)
        return -EIO;
    *ret_digest = d;
    return 0;
}

struct oci_digest oci_digest_sha256(const uint8_t bytes[static 32])
{
    struct oci_digest d = {.alg = OCI_DIGEST_SHA256};

    memcpy(d.bytes, bytes, 32);
    return d;
}

int oci_chain_id_extend(struct oci_digest *chain, const struct oci_digest *diffid)
{
    char text[2 * OCI_DIGEST_STR_MAX];
    size_t len;

    if (chain->alg == OCI_DIGEST_NONE) {
        *chain = *diffid;
        return 0;
    }
    len = strlen(oci_digest_format(chain, text));
    text[len++] = ' ';
    len += strlen(oci_digest_format(diffid, text + len));
    return oci_digest_of(OCI_DIGEST_SHA256, text, len, chain);
}

struct oci_hash {
    EVP_MD_CTX *context;
    const EVP_MD *md; /* borrowed from fetched[] */
    enum oci_digest_alg alg;
    bool failed; /* sticky */
};

int oci_hash_new(enum oci_digest_alg alg, struct oci_hash **ret_hash)
{
    _cleanup_(oci_hash_freep) struct oci_hash *h = NULL;
    const EVP_MD *md = algorithm_md(alg);

    if (!md)
        return -EOPNOTSUPP;
    h = calloc(1, sizeof(*h));
    if (!h)
        return -ENOMEM;
    h->alg = alg;
    h->md = md;
    h->context = EVP_MD_CTX_new();
    if (!h->context)
        return -ENOMEM;
    if (EVP_DigestInit_ex2(h->context, md, NULL) != 1)
        return -EIO;
    *ret_hash = TAKE_PTR(h);
    return 0;
}

struct oci_hash *oci_hash_free(struct oci_hash *h)
{
    if (h) {
        EVP_MD_CTX_free(h->context);
        free(h);
    }
    return NULL;
}

int oci_hash_update(struct oci_hash *h, const void *data, size_t size)
{
    if (!h->failed && EVP_DigestUpdate(h->context, data, size) != 1)
        h->failed = true;
    return h->failed ? -EIO : 0;
}

int oci_hash_final(struct oci_hash *h, struct oci_digest *ret_digest)
{
    struct oci_digest d = {.alg = (uint8_t)h->alg};

    if (h->failed || EVP_DigestFinal_ex(h->context, d.bytes, NULL) != 1 ||
        EVP_DigestInit_ex2(h->context, h->md, NULL) != 1) {
        h->failed = true;
        return -EIO;
    }
    *ret_digest = d;
    return 0;
}
