/* SPDX-License-Identifier: Apache-2.0 */
/* Names of images: entries in the store's index.json. */
#include <string.h>

#include "layerfs/store/image.h"
#include "oci/util/io.h"

static const char ref_name[] = "org.opencontainers.image.ref.name";

/* Borrowed; NULL for an entry without a name. */
static const char *entry_tag(const json_t *entry)
{
    return json_string_value(json_object_get(json_object_get(entry, "annotations"), ref_name));
}

static bool entry_has_digest(const json_t *entry, const char *digest)
{
    const char *s = json_string_value(json_object_get(entry, "digest"));

    return s && strcmp(s, digest) == 0;
}

static json_t *platform_json(const struct oci_platform *p)
{
    json_t *json = json_pack("{s:s, s:s}", "os", p->os, "architecture", p->architecture);

    if (json && p->variant[0] &&
        json_object_set_new(json, "variant", json_string(p->variant)) < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* A new entry; NULL when out of memory. tag may be NULL. */
static json_t *entry_new(const struct oci_descriptor *d, const char *tag)
{
    char digest[OCI_DIGEST_STR_MAX];
    json_t *entry =
        json_pack("{s:s, s:s, s:I}", "mediaType", d->media_type ? d->media_type : OCI_TYPE_MANIFEST,
            "digest", oci_digest_format(&d->digest, digest), "size", (json_int_t)d->size);
    int err = entry ? 0 : -1;

    if (err == 0 && d->has_platform)
        err = json_object_set_new(entry, "platform", platform_json(&d->platform));
    if (err == 0 && tag)
        err = json_object_set_new(entry, "annotations", json_pack("{s:s}", ref_name, tag));
    if (err < 0) {
        json_decref(entry);
        return NULL;
    }
    return entry;
}

static json_t *index_entries(json_t *index, struct report *r)
{
    json_t *entries = json_object_get(index, "manifests");

    if (!json_is_array(entries)) {
        (void)report_fail(r, -EBADMSG, "index.json: no list of manifests");
        return NULL;
    }
    return entries;
}

struct edit {
    struct lfs_store *store;
    const struct oci_descriptor *manifest; /* tagging */
    const char *tag;                       /* NULL: an entry without a name */
    const char *digest;                    /* "sha256:…" */
};

/* True when this entry gives way to the new one. */
static bool is_replaced(const json_t *entry, const struct edit *edit)
{
    const char *tag = entry_tag(entry);

    if (!tag)
        return entry_has_digest(entry, edit->digest);
    return edit->tag && strcmp(tag, edit->tag) == 0;
}

static bool has_digest(json_t *entries, const char *digest)
{
    for (size_t i = 0; i < json_array_size(entries); i++)
        if (entry_has_digest(json_array_get(entries, i), digest))
            return true;
    return false;
}

/* index.json is anybody's to write and has no checksum. What we wrote last is noted beside it, so
 * that validate can tell a change by others, or damage, from our own. Called with the index lock,
 * before index.json is replaced; a crash between the two costs a false warning. */
static int note_sum(struct lfs_store *store, const json_t *index)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    char text[OCI_DIGEST_STR_MAX];
    struct oci_digest digest;
    int err = oci_json_dump(index, &b);

    if (err == 0)
        err = oci_digest_of(OCI_DIGEST_SHA256, b.data, b.size, &digest);
    if (err < 0)
        return err;
    (void)oci_digest_format(&digest, text);
    return io_write_file(
        lfs_store_dirfd(store, LFS_DIR_ROOT), "index.sum", text, strlen(text), 0644);
}

static int end_edit(struct lfs_store *store, const json_t *index, struct report *r)
{
    int err = note_sum(store, index);

    return err < 0 ? report_errno(r, err, "index.sum") : 0;
}

static int edit_tag(json_t *index, void *userdata, struct report *r)
{
    const struct edit *edit = userdata;
    json_t *entries = index_entries(index, r);

    if (!entries)
        return -EBADMSG;
    if (!edit->tag && has_digest(entries, edit->digest))
        return 1;
    for (size_t i = json_array_size(entries); i-- > 0;)
        if (is_replaced(json_array_get(entries, i), edit))
            (void)json_array_remove(entries, i);
    if (json_array_append_new(entries, entry_new(edit->manifest, edit->tag)) < 0)
        return -ENOMEM;
    return end_edit(edit->store, index, r);
}

int lfs_image_tag(struct lfs_store *store, const struct oci_descriptor *manifest, const char *tag,
    struct report *r)
{
    char digest[OCI_DIGEST_STR_MAX];
    struct edit edit = {.store = store, .manifest = manifest, .tag = tag, .digest = digest};

    if (tag && !oci_tag_is_valid(tag))
        return report_fail(r, -EINVAL, "%s is not a valid tag", tag);
    if (!oci_layout_has_blob(lfs_store_layout(store), &manifest->digest, manifest->size))
        return report_fail(r, -ENOENT, "manifest %s is not in the store",
            oci_digest_format(&manifest->digest, digest));
    (void)oci_digest_format(&manifest->digest, digest);
    return oci_layout_edit_index(lfs_store_layout(store), edit_tag, &edit, r);
}

static int edit_untag(json_t *index, void *userdata, struct report *r)
{
    const struct edit *edit = userdata;
    json_t *entries = index_entries(index, r);
    size_t before;

    if (!entries)
        return -EBADMSG;
    before = json_array_size(entries);
    for (size_t i = before; i-- > 0;) {
        const json_t *entry = json_array_get(entries, i);
        const char *tag = entry_tag(entry);

        if (edit->digest ? entry_has_digest(entry, edit->digest)
                         : tag && strcmp(tag, edit->tag) == 0)
            (void)json_array_remove(entries, i);
    }
    if (json_array_size(entries) == before)
        return report_fail(
            r, -ENOENT, "no image %s in the store", edit->digest ? edit->digest : edit->tag);
    return end_edit(edit->store, index, r);
}

int lfs_image_untag(struct lfs_store *store, const char *name, struct report *r)
{
    struct oci_digest digest;
    struct edit edit = {.store = store, .tag = name};

    if (oci_digest_parse(name, &digest) == 0)
        edit.digest = name;
    return oci_layout_edit_index(lfs_store_layout(store), edit_untag, &edit, r);
}
