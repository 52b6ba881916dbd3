/* SPDX-License-Identifier: Apache-2.0 */
/* Credential helpers: programs docker-credential-NAME that keep secrets elsewhere. */
#ifndef OCI_REGISTRY_AUTH_HELPER_H
#define OCI_REGISTRY_AUTH_HELPER_H

#include "oci/registry/auth_file.h"

/* Asks a helper for the credentials of a server. 1: found; 0: it has none; -EIO with a text when it
 * cannot be run or answers nonsense, -EINVAL for a name that is none. */
int auth_helper_get(const char *name, const char *server, struct oci_credentials *ret_credentials,
    struct report *r);

#endif
