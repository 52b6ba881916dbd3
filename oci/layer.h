/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a layer: the tar stream of a changeset (image-spec, layer.md) as checked entries. */
#ifndef OCI_LAYER_H
#define OCI_LAYER_H

#include <sys/stat.h>

#include "oci/source.h"

enum oci_entry_kind {
    OCI_ENTRY_NODE,     /* a file, directory, symlink, device, FIFO: what mode says */
    OCI_ENTRY_HARDLINK, /* path is one more name of `link` */
    OCI_ENTRY_WHITEOUT, /* path of lower layers is removed (".wh.NAME" seen) */
    OCI_ENTRY_OPAQUE,   /* what lower layers hold below directory path is removed */
};

struct oci_xattr {
    const char *name;  /* full name: "security.capability" */
    const void *value; /* any bytes */
    size_t size;
};

enum {
    OCI_PATH_MAX = 4096,      /* bytes of a path with its NUL */
    OCI_NAME_MAX = 255,       /* bytes of a component */
    OCI_XATTR_NAME_MAX = 255, /* as Linux has it */
    OCI_XATTR_SIZE_MAX = 65536,
};

/* One entry. All pointers are the reader's and valid until the next call. */
struct oci_layer_entry {
    enum oci_entry_kind kind;
    const char *path; /* relative, no empty, "." or ".." component, "" is the root */
    mode_t mode;      /* S_IFMT and permission bits of a NODE */
    uint32_t uid, gid;
    uint64_t size; /* bytes, regular files only */
    int64_t mtime_sec;
    uint32_t mtime_nsec;
    uint32_t rdev_major, rdev_minor;
    const char *link; /* symlink target as it stands; hard link target, checked as path is */
    const struct oci_xattr *xattrs; /* sorted by name, names differ */
    size_t xattr_count;
};

struct oci_layer_limits {
    uint64_t max_size;      /* bytes of the tar stream */
    uint64_t max_entries;   /* headers in the tar */
    uint64_t max_file_size; /* bytes of one file, holes counted */
    size_t max_header;      /* bytes of one entry's PAX or GNU long-name headers */
};

/* 1 TiB, 16 Mi entries, 1 TiB, 1 MiB. */
extern const struct oci_layer_limits oci_layer_limits_default;

struct oci_layer_reader;

/* Reads the plain tar stream from `tar`, which is taken over in any case. */
int oci_layer_reader_new(struct oci_source *tar, const struct oci_layer_limits *limits,
    struct oci_layer_reader **ret_reader);
struct oci_layer_reader *oci_layer_reader_free(struct oci_layer_reader *reader);
DEFINE_CLEANUP(struct oci_layer_reader *, oci_layer_reader_free)

/* The next entry: 1 and *ret_entry, 0 at the end of the archive (the rest of the stream is read to
 * its end, so that digests below are complete), or -errno with a text that names the entry:
 * -EBADMSG (not a valid tar or entry), -EFBIG (a limit), -ENAMETOOLONG, -ENOMEM. An empty stream is
 * an empty layer. Contents that were not asked for are skipped. */
int oci_layer_reader_next(
    struct oci_layer_reader *reader, const struct oci_layer_entry **ret_entry, struct report *r);

/* The next piece of a regular file's content: 1 with data, size (> 0) and its offset; pieces come
 * in ascending order, gaps are holes (read as zeros); 0 at the end. Valid until the next call. */
int oci_layer_reader_data(struct oci_layer_reader *reader, const uint8_t **ret_data,
    size_t *ret_size, uint64_t *ret_offset, struct report *r);

#endif
