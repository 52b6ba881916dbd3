/* SPDX-License-Identifier: Apache-2.0 */
/* Making a layer: directories and tars as one reproducible changeset tar (image-spec, layer.md). */
#ifndef OCI_LAYER_WRITER_H
#define OCI_LAYER_WRITER_H

#include "oci/source.h"

struct oci_layer_options {
    int64_t clamp_mtime; /* seconds: later times become this one (SOURCE_DATE_EPOCH) */
    bool has_clamp_mtime;
    bool has_owner; /* every entry belongs to uid:gid */
    uint32_t uid, gid;
};

/* A source that yields the tar of the tree below path: the root first, each directory before what
 * is in it, sorted by name bytes; hard links kept; xattrs as SCHILY.xattr, but for what is of the
 * machine and not of the file (marks of union file systems, SELinux labels, NFSv4 ACLs); holes of
 * 64 KiB and more left out (PAX sparse 1.0); nothing of the machine (no user names, device or inode
 * numbers). Files are read without following links, and
 * directories without crossing into a name swapped meanwhile. A file that changes size while it is
 * read ends the stream with -EAGAIN and a text that names it. Sockets are left out; names that
 * start with ".wh." are refused. */
int oci_layer_from_dir(const char *path, const struct oci_layer_options *options,
    struct oci_source **ret_tar, struct report *r);

/* A source that yields the file's bytes, decompressed if it is: any tar is a layer. */
int oci_layer_from_tar(const char *path, struct oci_source **ret_tar, struct report *r);

#endif
