/* SPDX-License-Identifier: Apache-2.0 */
/* Making xattr sets. */
#include "layerfs/tree/xattr_set.h"

#include <endian.h>

#include "layerfs/tree/names.h"

static int check(const struct lfs_xattr *xattr, const struct lfs_xattr *before)
{
    if (xattr->name_size == 0 || memchr(xattr->name, '\0', xattr->name_size))
        return -EBADMSG;
    if (xattr->name_size > OCI_XATTR_NAME_MAX || xattr->value_size > OCI_XATTR_SIZE_MAX)
        return -E2BIG;
    return before && lfs_name_compare(
                         before->name, before->name_size, xattr->name, xattr->name_size) >= 0
               ? -EBADMSG
               : 0;
}

static int append(struct buf *set, const struct lfs_xattr *xattr)
{
    struct lfs_disk_xattr head = {
        .name_size = htole16((uint16_t)xattr->name_size),
        .value_size = htole32((uint32_t)xattr->value_size),
    };
    int r = buf_append(set, &head, sizeof(head));

    if (r == 0)
        r = buf_append(set, xattr->name, xattr->name_size);
    if (r == 0)
        r = buf_append(set, xattr->value, xattr->value_size);
    return r;
}

int xattr_set_add(
    struct lfs_builder *b, const struct lfs_xattr *xattrs, size_t count, uint32_t *ret_xattrs)
{
    _cleanup_(buf_deinit) struct buf set = {0};
    uint32_t le_count = htole32((uint32_t)count), number;
    int r = 0;

    if (count == 0) {
        *ret_xattrs = 0;
        return 0;
    }
    r = buf_append(&set, &le_count, sizeof(le_count));
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = check(&xattrs[i], i ? &xattrs[i - 1] : NULL);
        if (r == 0)
            r = append(&set, &xattrs[i]);
    }
    if (r == 0 && b->xattrs.bytes.size + set.size > UINT32_MAX)
        r = -EFBIG;
    if (r == 0)
        r = lfs_intern_add(&b->xattrs, set.data, set.size, &number);
    if (r == 0)
        *ret_xattrs = number + 1;
    return r;
}
