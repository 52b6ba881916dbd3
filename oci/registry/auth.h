/* SPDX-License-Identifier: Apache-2.0 */
/* What goes into the Authorization field: Basic, or a Bearer token from the registry's token
 * server. */
#ifndef OCI_REGISTRY_AUTH_H
#define OCI_REGISTRY_AUTH_H

#include "oci/registry/auth_file.h"
#include "oci/registry/header.h"
#include "oci/registry/http.h"

/* The credentials and tokens of one repository of one registry. Thread-safe. */
struct oci_auth;

/* http and tls are borrowed; credentials are taken over (zero: anonymous). */
int oci_auth_new(struct oci_http *http, const struct oci_tls *tls,
    struct oci_credentials *credentials, struct oci_auth **ret_auth);
struct oci_auth *oci_auth_free(struct oci_auth *auth);
DEFINE_CLEANUP(struct oci_auth *, oci_auth_free)

/* The value to send, from what was learned so far; free() it; *ret_value NULL: nothing. */
int oci_auth_get(struct oci_auth *auth, char **ret_value);

/* After a 401 to a request that was sent with `used` (NULL: without): learns from the challenges
 * ("WWW-Authenticate" values, one a line) what to send. scope: asked for where the challenge names
 * none. 0: try again; -EACCES with a text when there is nothing left to try; errors of the token
 * server. Of several threads one asks for a token. */
int oci_auth_answer(struct oci_auth *auth, const char *challenges, const char *scope,
    const char *used, struct report *r);

#endif
