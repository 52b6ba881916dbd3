/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums of small JSON files. */
#include "layerfs/store/seal.h"

#include <string.h>

static int sum_of(const json_t *json, char ret_text[static OCI_DIGEST_STR_MAX])
{
    _cleanup_(buf_deinit) struct buf b = {0};
    struct oci_digest digest;
    int err = oci_json_dump(json, &b);

    if (err == 0)
        err = oci_digest_of(OCI_DIGEST_SHA256, b.data, b.size, &digest);
    if (err == 0)
        (void)oci_digest_format(&digest, ret_text);
    return err;
}

int lfs_seal(json_t *json, struct buf *b)
{
    char sum[OCI_DIGEST_STR_MAX];
    int err = sum_of(json, sum);

    if (err == 0 && json_object_set_new(json, "sum", json_string(sum)) < 0)
        err = -ENOMEM;
    return err == 0 ? oci_json_dump(json, b) : err;
}

/* Canonical bytes have one form only, so that a changed blank is seen too. */
bool lfs_seal_is_sound(const struct buf *b)
{
    size_t size = b->size && b->data[b->size - 1] == '\n' ? b->size - 1 : b->size;
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    _cleanup_(buf_deinit) struct buf again = {0}, sealed = {0};

    if (oci_json_load(b->data, size, "file", &json, NULL) < 0 || oci_json_dump(json, &again) < 0 ||
        again.size != size || memcmp(again.data, b->data, size) != 0)
        return false;
    if (json_object_del(json, "sum") < 0)
        return false;
    return lfs_seal(json, &sealed) == 0 && sealed.size == size &&
           memcmp(sealed.data, b->data, size) == 0;
}
