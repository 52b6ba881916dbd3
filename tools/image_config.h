/* SPDX-License-Identifier: Apache-2.0 */
/* An image's documents as create makes them. */
#ifndef TOOLS_IMAGE_CONFIG_H
#define TOOLS_IMAGE_CONFIG_H

#include "oci/compression.h"
#include "oci/image.h"
#include "tools/options.h"

/* What the options of create say. */
struct config_changes {
    struct option_list entrypoint, cmd;          /* words, or one JSON array */
    struct option_list env, labels, annotations; /* KEY=VALUE */
    struct option_list expose, volumes;
    struct option_list history; /* created_by of the new layers, in order */
    const char *workdir, *user, *stop_signal, *author;
    struct oci_platform platform; /* os "": the base's or the host's */
    const char *created;          /* RFC 3339 */
};

struct new_layer {
    struct oci_digest diff_id, digest;
    uint64_t size; /* bytes of the blob */
    enum oci_compression compression;
};

/* -EINVAL with a text that names the option. base NULL: from nothing. The layers come on top of the
 * base's. */
int image_config_build(const struct oci_config *base, const struct config_changes *changes,
    const struct new_layer *layers, size_t layer_count, json_t **ret_config, struct report *r);

/* config: the descriptor's parts. Docker's media types become OCI's. */
int image_manifest_build(const struct oci_manifest *base, const struct config_changes *changes,
    const struct oci_digest *config, uint64_t config_size, const struct new_layer *layers,
    size_t layer_count, json_t **ret_manifest, struct report *r);

/* "now", "@SECONDS" or RFC 3339 → RFC 3339. -EINVAL. */
enum { TIME_TEXT_MAX = 40 };
int parse_time(const char *s, char ret_text[static TIME_TEXT_MAX]);
int format_time(int64_t seconds, char ret_text[static TIME_TEXT_MAX]);

#endif
