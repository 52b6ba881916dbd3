/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for one registry, in certs.d/HOST[:PORT]/ (containers-certs.d). */
#ifndef OCI_REGISTRY_CERTS_H
#define OCI_REGISTRY_CERTS_H

#include "oci/registry/http.h"

/* Fills what secures connections to host[:port]: every *.crt is trusted beside the system's,
 * NAME.cert and NAME.key are the client's. Looked for in cert_dir where it is given (-ENOENT when
 * it is not there), else in ~/.config/containers/certs.d, /etc/containers/certs.d and
 * /etc/docker/certs.d, the first that has the host. 0 or -errno with a text. */
int oci_certs_load(
    const char *cert_dir, const char *host, struct oci_tls *ret_tls, struct report *r);

#endif
