/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI image layout on disk (image-spec, image-layout.md): index.json, oci-layout, blobs/. */
#ifndef OCI_LAYOUT_H
#define OCI_LAYOUT_H

#include "oci/image.h"
#include "oci/source.h"

struct oci_layout;

/* Opens the layout in directory path. -ENOENT, -EBADMSG (no or a broken oci-layout file,
 * an imageLayoutVersion other than 1.x). */
int oci_layout_open(const char *path, struct oci_layout **ret_layout, struct report *r);
/* The same from a directory fd, which is borrowed and must outlive the layout. */
int oci_layout_open_at(int dirfd, struct oci_layout **ret_layout, struct report *r);
/* Makes an empty layout in dirfd where there is none. */
int oci_layout_init_at(int dirfd, struct report *r);
struct oci_layout *oci_layout_close(struct oci_layout *layout);
DEFINE_CLEANUP(struct oci_layout *, oci_layout_close)

/* Where blob writers keep unfinished files: a directory of the same file system, borrowed, which
 * must outlive the layout. Without it that is blobs/. */
void oci_layout_set_tmp(struct oci_layout *layout, int tmp_dirfd);

/* The bytes of the file oci-layout, for who checks them anew. */
int oci_layout_read_layout_file(struct oci_layout *layout, struct buf *b, struct report *r);

/* An fd of a blob, read-only, of a regular file of this size (UINT64_MAX: any); -ENOENT; -EBADMSG
 * when the size differs. */
int oci_layout_open_blob(struct oci_layout *layout, const struct oci_digest *digest, uint64_t size,
    int *ret_fd, struct report *r);

/* A whole small blob (a document), its digest and size (UINT64_MAX: any) checked. */
int oci_layout_read_blob(struct oci_layout *layout, const struct oci_descriptor *descriptor,
    struct buf *b, struct report *r);

/* True when the blob is there with this size. */
bool oci_layout_has_blob(struct oci_layout *layout, const struct oci_digest *digest, uint64_t size);

/* Writes one blob from memory and fills its digest; one that exists is kept. Synced. */
int oci_layout_put_blob(struct oci_layout *layout, const void *data, size_t size,
    struct oci_digest *ret_digest, struct report *r);

/* A blob written piece by piece; it appears by oci_blob_writer_commit() only. */
struct oci_blob_writer;
int oci_blob_writer_new(struct oci_layout *layout, struct oci_blob_writer **ret_writer);
/* A writer whose file has a name in partial_dirfd (borrowed; of the same file system) until it is
 * published, so that what was written survives the process and the next writer of this digest goes
 * on behind it: *ret_size tells how much is there. -EWOULDBLOCK when another one is at it. */
int oci_blob_writer_resume(struct oci_layout *layout, int partial_dirfd,
    const struct oci_digest *digest, struct oci_blob_writer **ret_writer, uint64_t *ret_size);
/* An fd of what was written so far, for reading from its start, or -errno. */
int oci_blob_writer_reopen(const struct oci_blob_writer *w);
/* What was written is wrong: nothing of it is kept for the next one. */
void oci_blob_writer_discard(struct oci_blob_writer *w);
int oci_blob_writer_write(struct oci_blob_writer *w, const void *data, size_t size);
/* Publishes under digest (which the caller has checked); content that exists is kept. `sync` makes
 * it durable at once; a caller that syncs the file system later passes false. */
int oci_blob_writer_commit(struct oci_blob_writer *w, const struct oci_digest *digest, bool sync);
struct oci_blob_writer *oci_blob_writer_free(struct oci_blob_writer *w);
DEFINE_CLEANUP(struct oci_blob_writer *, oci_blob_writer_free)

/* The parsed index.json of now; *ret_json (owned by the caller, may be NULL) is the raw document.
 */
int oci_layout_read_index(
    struct oci_layout *layout, struct oci_index **ret_index, json_t **ret_json, struct report *r);

/* Changes index.json under an exclusive lock on the layout's directory: edit() gets the document of
 * now and changes it in place; 0 writes it (atomically, synced), >0 leaves it alone and is
 * returned, <0 fails. Other tools know no lock and replace the file: when that happens meanwhile,
 * edit() is called again with the new document. */
typedef int (*oci_index_edit_fn)(json_t *index, void *userdata, struct report *r);
int oci_layout_edit_index(
    struct oci_layout *layout, oci_index_edit_fn edit, void *userdata, struct report *r);

/* Finds the manifest of one image by what oci_index_find() takes for a name, starting at
 * index.json. */
int oci_layout_find(struct oci_layout *layout, const char *name,
    const struct oci_platform *platform, struct oci_descriptor *ret_manifest, struct report *r);

#endif
