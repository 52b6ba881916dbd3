/* SPDX-License-Identifier: Apache-2.0 */
/* Names of images: entries in the store's index.json. */
#include <stdio.h>
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

/* True when a tag ends with "/" and the short name. */
static bool ends_with(const char *tag, const char *name)
{
    size_t len = strlen(tag), end = strlen(name);

    return len > end && tag[len - end - 1] == '/' && strcmp(tag + len - end, name) == 0;
}

/* The tag of a full name, or the only one that a short name is the end of; borrowed from index. */
static const char *match_tag(
    const struct oci_index *index, const struct oci_location *location, const char *tail)
{
    const char *found = NULL;

    for (size_t i = 0; i < index->count; i++) {
        const char *tag = oci_descriptor_annotation(&index->manifests[i], ref_name);

        if (tag && strcmp(tag, location->name) == 0)
            return tag;
    }
    for (size_t i = 0; tail && i < index->count; i++) {
        const char *tag = oci_descriptor_annotation(&index->manifests[i], ref_name);

        if (!tag || !ends_with(tag, tail) || (found && strcmp(tag, found) == 0))
            continue;
        if (found)
            return NULL;
        found = tag;
    }
    return found;
}

/* "debian" as it ends a full name, with its tag; NULL for what is no short name. */
static char *tail_of(const struct oci_location *location)
{
    const char *name = location->short_name;
    char *tail;

    if (!name || strchr(name, '@'))
        return NULL;
    if (strchr(name, ':'))
        return strdup(name);
    return asprintf(&tail, "%s:latest", name) < 0 ? NULL : tail;
}

char *lfs_image_find_tag(struct lfs_store *store, const char *name)
{
    _cleanup_(oci_location_deinit) struct oci_location location = {0};
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    _cleanup_(freep) char *tail = NULL;
    const char *found = NULL;

    if (oci_location_parse(name, &location, NULL) == 0 &&
        location.transport == OCI_TRANSPORT_DOCKER &&
        oci_layout_read_index(lfs_store_layout(store), &index, NULL, NULL) == 0) {
        tail = tail_of(&location);
        found = match_tag(index, &location, tail);
    }
    return strdup(found ? found : name);
}

int lfs_image_untag(struct lfs_store *store, const char *name, struct report *r)
{
    _cleanup_(freep) char *full = NULL;
    struct oci_digest digest;
    struct edit edit = {.store = store, .tag = name};
    int err;

    if (oci_digest_parse(name, &digest) == 0)
        edit.digest = name;
    err = oci_layout_edit_index(lfs_store_layout(store), edit_untag, &edit, r);
    if (err != -ENOENT || edit.digest)
        return err;
    full = lfs_image_find_tag(store, name);
    if (!full)
        return -ENOMEM;
    if (strcmp(full, name) == 0)
        return err;
    edit.tag = full;
    return oci_layout_edit_index(lfs_store_layout(store), edit_untag, &edit, r);
}
