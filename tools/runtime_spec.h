/* SPDX-License-Identifier: Apache-2.0 */
/* config.json of an OCI runtime bundle (runtime-spec 1.0), from an image's config. */
#ifndef TOOLS_RUNTIME_SPEC_H
#define TOOLS_RUNTIME_SPEC_H

#include "oci/image.h"
#include "tools/passwd.h"

struct spec_request {
    const struct oci_config *image;
    const struct process_user *user;
    char *const *args; /* instead of the image's Cmd; NULL: that */
    size_t arg_count;
    bool terminal, readonly, host_network;
    bool rootless; /* for a runtime without root: a user namespace of one id */
};

/* -EINVAL when neither image nor request names a command; -EBADMSG when the image's config is not
 * what the image-spec says. */
int runtime_spec_build(const struct spec_request *request, json_t **ret_spec, struct report *r);

#endif
