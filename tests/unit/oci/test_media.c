/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "oci/media.h"

TestSuite(media);

Test(media, classify)
{
    static const struct {
        const char *type;
        enum oci_media media;
    } rows[] = {
        {"application/vnd.oci.image.index.v1+json", OCI_MEDIA_INDEX},
        {"application/vnd.docker.distribution.manifest.list.v2+json", OCI_MEDIA_INDEX},
        {"application/vnd.oci.image.manifest.v1+json", OCI_MEDIA_MANIFEST},
        {"application/vnd.docker.distribution.manifest.v2+json", OCI_MEDIA_MANIFEST},
        {"application/vnd.oci.image.config.v1+json", OCI_MEDIA_CONFIG},
        {"application/vnd.docker.container.image.v1+json", OCI_MEDIA_CONFIG},
        {"application/vnd.oci.image.layer.v1.tar", OCI_MEDIA_LAYER},
        {"application/vnd.oci.image.layer.v1.tar+gzip", OCI_MEDIA_LAYER},
        {"application/vnd.oci.image.layer.v1.tar+zstd", OCI_MEDIA_LAYER},
        {"application/vnd.docker.image.rootfs.diff.tar", OCI_MEDIA_LAYER},
        {"application/vnd.docker.image.rootfs.diff.tar.gzip", OCI_MEDIA_LAYER},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar", OCI_MEDIA_LAYER_FOREIGN},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", OCI_MEDIA_LAYER_FOREIGN},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", OCI_MEDIA_LAYER_FOREIGN},
        {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", OCI_MEDIA_LAYER_FOREIGN},
        {"application/vnd.docker.distribution.manifest.v1+json", OCI_MEDIA_UNKNOWN},
        {"application/vnd.oci.image.layer.v1.tar+gzip+encrypted", OCI_MEDIA_UNKNOWN},
        {"APPLICATION/vnd.oci.image.layer.v1.tar", OCI_MEDIA_UNKNOWN},
        {"", OCI_MEDIA_UNKNOWN},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        cr_expect_eq(oci_media_classify(rows[i].type), rows[i].media, "%s", rows[i].type);
}

Test(media, docker_schema1)
{
    cr_expect(oci_media_is_docker_schema1("application/vnd.docker.distribution.manifest.v1+json"));
    cr_expect(
        oci_media_is_docker_schema1("application/vnd.docker.distribution.manifest.v1+prettyjws"));
    cr_expect_not(oci_media_is_docker_schema1(OCI_TYPE_DOCKER_MANIFEST));
}

Test(media, grammar)
{
    static const char *const good[] = {"a/b", "application/x", "0/1", "a!#$&-^_.+/b!#$&-^_.+"};
    static const char *const bad[] = {"", "a", "/", "a/", "/b", "a/b/c", "a/b; charset=utf-8",
        " a/b", "a/b ", "a\n/b", ".a/b", "a/+b", "é/b", "a/b*"};
    char s[257];

    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        cr_expect(oci_media_is_well_formed(good[i]), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        cr_expect_not(oci_media_is_well_formed(bad[i]), "%s", bad[i]);
    memset(s, 'a', sizeof(s));
    s[127] = '/';
    s[128 + 127] = '\0';
    cr_expect(oci_media_is_well_formed(s), "127 bytes each");
    s[128 + 127] = 'a';
    s[128 + 128] = '\0';
    cr_expect_not(oci_media_is_well_formed(s), "128 bytes behind the slash");
}
