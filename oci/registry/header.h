/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields that registries send: pure parsers of untrusted text. */
#ifndef OCI_REGISTRY_HEADER_H
#define OCI_REGISTRY_HEADER_H

#include "oci/util/macros.h"

/* What a registry wants to be shown (RFC 7235, RFC 6750). Fields are owned, NULL when absent. */
struct oci_challenge {
    bool basic;                    /* user and password will do */
    bool bearer;                   /* a token of the server at realm will do; preferred */
    char *realm, *service, *scope; /* of bearer */
};

void oci_challenge_deinit(struct oci_challenge *c);

/* Reads the value of one WWW-Authenticate field into *challenge, which may hold what earlier fields
 * said (zero-initialise to start). Schemes that are not known are skipped. 0, -EBADMSG when the
 * field is malformed (what stood before is kept), -ENOMEM. */
int oci_challenge_parse(const char *value, struct oci_challenge *challenge);

/* "bytes FIRST-LAST/TOTAL"; a total of "*" is UINT64_MAX. 0 or -EBADMSG. */
struct oci_content_range {
    uint64_t first, last, total;
};
int oci_content_range_parse(const char *value, struct oci_content_range *ret_range);

/* The target of a Link field's first link with rel="next" (lists that come in pages); free() it.
 * 0, -ENOENT when there is none, -EBADMSG, -ENOMEM. */
int oci_link_next_parse(const char *value, char **ret_target);

/* Retry-After in seconds from now: a number, or a date (now: seconds since the epoch). 0 when it
 * says nothing that can be understood. */
unsigned oci_retry_after_parse(const char *value, int64_t now);

#endif
