/* SPDX-License-Identifier: Apache-2.0 */
/* Media types of images. */
#include "oci/media.h"

#include <string.h>

#define FOREIGN "application/vnd.oci.image.layer.nondistributable.v1.tar"
#define DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar"
#define DOCKER_FOREIGN "application/vnd.docker.image.rootfs.foreign.diff.tar"

static const struct {
    const char *media_type;
    enum oci_media media;
} types[] = {
    {OCI_TYPE_INDEX, OCI_MEDIA_INDEX},
    {OCI_TYPE_MANIFEST, OCI_MEDIA_MANIFEST},
    {OCI_TYPE_CONFIG, OCI_MEDIA_CONFIG},
    {OCI_TYPE_LAYER, OCI_MEDIA_LAYER},
    {OCI_TYPE_LAYER_GZIP, OCI_MEDIA_LAYER},
    {OCI_TYPE_LAYER_ZSTD, OCI_MEDIA_LAYER},
    {OCI_TYPE_DOCKER_LIST, OCI_MEDIA_INDEX},
    {OCI_TYPE_DOCKER_MANIFEST, OCI_MEDIA_MANIFEST},
    {OCI_TYPE_DOCKER_CONFIG, OCI_MEDIA_CONFIG},
    {OCI_TYPE_DOCKER_LAYER, OCI_MEDIA_LAYER},
    {DOCKER_LAYER, OCI_MEDIA_LAYER},
    {DOCKER_LAYER ".zstd", OCI_MEDIA_LAYER},
    {FOREIGN, OCI_MEDIA_LAYER_FOREIGN},
    {FOREIGN "+gzip", OCI_MEDIA_LAYER_FOREIGN},
    {FOREIGN "+zstd", OCI_MEDIA_LAYER_FOREIGN},
    {DOCKER_FOREIGN, OCI_MEDIA_LAYER_FOREIGN},
    {DOCKER_FOREIGN ".gzip", OCI_MEDIA_LAYER_FOREIGN},
    {DOCKER_FOREIGN ".zstd", OCI_MEDIA_LAYER_FOREIGN},
};

enum oci_media oci_media_classify(const char *media_type)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strcmp(media_type, types[i].media_type) == 0)
            return types[i].media;
    return OCI_MEDIA_UNKNOWN;
}

bool oci_media_is_docker_schema1(const char *media_type)
{
    static const char stem[] = "application/vnd.docker.distribution.manifest.v1+";

    return strncmp(media_type, stem, strlen(stem)) == 0;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* restricted-name; returns its length, 0 when there is none. */
static size_t name_length(const char *s)
{
    size_t len = 0;

    if (!is_alnum(s[0]))
        return 0;
    while (is_alnum(s[len]) || (s[len] && strchr("!#$&-^_.+", s[len])))
        len++;
    return len <= 127 ? len : 0;
}

bool oci_media_is_well_formed(const char *media_type)
{
    size_t type = name_length(media_type);
    size_t subtype;

    if (type == 0 || media_type[type] != '/')
        return false;
    subtype = name_length(media_type + type + 1);
    return subtype > 0 && media_type[type + 1 + subtype] == '\0';
}
