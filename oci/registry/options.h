/* SPDX-License-Identifier: Apache-2.0 */
/* How registries are to be talked to, as the user wants it. */
#ifndef OCI_REGISTRY_OPTIONS_H
#define OCI_REGISTRY_OPTIONS_H

#include "oci/util/macros.h"

enum oci_tls_verify {
    OCI_TLS_VERIFY_DEFAULT, /* as registries.conf says: yes, but for insecure registries */
    OCI_TLS_VERIFY_YES,
    OCI_TLS_VERIFY_NO, /* any certificate will do, and http where there is no https */
};

enum { OCI_TIMEOUT_DEFAULT = 30 }; /* seconds */

/* All strings are borrowed; NULL: the usual places. Zero-initialised it means the defaults. */
struct oci_registry_options {
    const char *authfile;        /* the only auth.json to look at */
    const char *cert_dir;        /* instead of certs.d/HOST */
    const char *registries_conf; /* instead of the usual ones, without registries.conf.d */
    enum oci_tls_verify tls_verify;
    bool all_platforms;  /* resolve an index to itself: see docker.h */
    bool no_retries;     /* retries 0 is the default */
    unsigned retries;    /* of one request, or of a body without progress */
    unsigned timeout;    /* seconds without an answer, or without enough bytes */
    uint64_t limit_rate; /* bytes a second of all bodies together; 0: none */
};

#endif
