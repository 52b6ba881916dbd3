/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials as podman, skopeo and docker keep them (containers-auth.json).
 *
 * Looked for in this order; the first file that knows something wins:
 *
 *     --authfile, else $REGISTRY_AUTH_FILE, else
 *     $XDG_RUNTIME_DIR/containers/auth.json (without the variable /run/containers/UID/auth.json)
 *     $XDG_CONFIG_HOME/containers/auth.json, ~/.config/containers/auth.json
 *     $DOCKER_CONFIG/config.json, ~/.docker/config.json
 *
 * In a file: the credential helper of the registry, then the entry with the longest namespace
 * (host/a/b, host/a, host), then the file's credentials store. */
#ifndef OCI_REGISTRY_AUTH_FILE_H
#define OCI_REGISTRY_AUTH_FILE_H

#include "oci/util/buf.h"
#include "oci/util/report.h"

/* Owned; identity_token (OAuth2 refresh token) instead of a password where it is set. */
struct oci_credentials {
    char *user, *password, *identity_token;
};

void oci_credentials_deinit(struct oci_credentials *c);

/* Finds the credentials for host[:port] and repository. authfile NULL: the usual places. 1: found,
 * 0: there are none; -ENOENT (an authfile that was asked for), -EBADMSG (broken file), -EIO (a
 * helper failed), with a text that never holds a secret. */
int oci_credentials_find(const char *authfile, const char *host, const char *repository,
    struct oci_credentials *ret_credentials, struct report *r);

/* The same in the text of one file. */
int oci_credentials_find_in(const void *data, size_t size, const char *what, const char *host,
    const char *repository, struct oci_credentials *ret_credentials, struct report *r);

#endif
