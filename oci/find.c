/* SPDX-License-Identifier: Apache-2.0 */
/* Finding one image in an index. */
#include "oci/find.h"

#include <string.h>

enum { PREFIX_MIN = 4 };

#define REF_NAME "org.opencontainers.image.ref.name"

/* ---- from an entry to a manifest ---- */

/* The indexes that were followed so far. */
struct trail {
    struct oci_digest seen[OCI_INDEX_DEPTH_MAX];
    size_t depth;
};

static int trail_add(struct trail *trail, const struct oci_digest *digest, struct report *r)
{
    char text[OCI_DIGEST_STR_MAX];

    for (size_t i = 0; i < trail->depth; i++)
        if (oci_digest_equal(&trail->seen[i], digest))
            return report_fail(
                r, -EBADMSG, "index %s contains itself", oci_digest_format(digest, text));
    if (trail->depth == OCI_INDEX_DEPTH_MAX)
        return report_fail(r, -EFBIG, "index %s: more than %d indexes inside each other",
            oci_digest_format(digest, text), OCI_INDEX_DEPTH_MAX);
    trail->seen[trail->depth++] = *digest;
    return 0;
}

/* One step down: the entry of the index `from` that fits the platform. */
static int descend(const struct oci_descriptor *from, const struct oci_platform *platform,
    const struct oci_document_reader *reader, struct oci_descriptor *ret_entry, struct report *r)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};
    char text[OCI_DIGEST_STR_MAX];
    ssize_t at;
    int err = reader->read(reader->userdata, from, &b, r);

    if (err < 0)
        return err;
    err = oci_index_parse(b.data, b.size, &index, r);
    at = err < 0 ? err : oci_index_select(index, platform, r);
    if (at < 0)
        return report_context(r, (int)at, "%s", oci_digest_format(&from->digest, text));
    err = oci_descriptor_copy(&index->manifests[at], ret_entry);
    return err < 0 ? report_errno(r, err, "index") : 0;
}

static int fail_not_image(const struct oci_descriptor *d, struct report *r)
{
    char text[OCI_DIGEST_STR_MAX];

    if (oci_media_is_docker_schema1(d->media_type))
        return report_fail(r, -EOPNOTSUPP, "manifest %s: docker schema 1 is not supported",
            oci_digest_format(&d->digest, text));
    return report_fail(r, -EOPNOTSUPP, "%s is not an image: its media type is \"%s\"",
        oci_digest_format(&d->digest, text), d->media_type);
}

int oci_index_resolve(const struct oci_descriptor *start, const struct oci_platform *platform,
    const struct oci_document_reader *reader, struct oci_descriptor *ret_manifest, struct report *r)
{
    struct oci_platform host = oci_platform_host();
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor at = {0};
    struct trail trail = {.depth = 0};
    int err = oci_descriptor_copy(start, &at);

    if (err < 0)
        return report_errno(r, err, "index");
    for (;;) {
        enum oci_media media = oci_media_classify(at.media_type);
        struct oci_descriptor next = {0};

        if (media == OCI_MEDIA_MANIFEST)
            break;
        if (media != OCI_MEDIA_INDEX)
            return fail_not_image(&at, r);
        err = trail_add(&trail, &at.digest, r);
        if (err == 0)
            err = descend(&at, platform ? platform : &host, reader, &next, r);
        if (err < 0)
            return err;
        oci_descriptor_deinit(&at);
        at = next;
    }
    *ret_manifest = at;
    at = (struct oci_descriptor){0};
    return 0;
}

/* ---- from a name to an entry ---- */

static const char *tag_of(const struct oci_descriptor *d)
{
    return oci_descriptor_annotation(d, REF_NAME);
}

static bool has_tag(const struct oci_descriptor *d, const char *name)
{
    const char *tag = tag_of(d);

    return tag && strcmp(tag, name) == 0;
}

/* name is what parse_prefix() let through. */
static bool has_prefix(const struct oci_descriptor *d, const char *name)
{
    const char *colon = strchr(name, ':');
    const char *hex = colon ? colon + 1 : name;
    char text[OCI_DIGEST_STR_MAX];

    if (!oci_index_entry_is_image(d))
        return false;
    if (colon && strncmp(oci_digest_format(&d->digest, text), name, (size_t)(hex - name)) != 0)
        return false;
    return strncmp(oci_digest_hex(&d->digest, text), hex, strlen(hex)) == 0;
}

static bool is_any_image(const struct oci_descriptor *d, _unused_ const char *name)
{
    return oci_index_entry_is_image(d);
}

/* The entries that fit, each digest once, as an index of borrowed descriptors. */
struct view {
    struct oci_index entries;
};

static void view_deinit(struct view *view)
{
    free(view->entries.manifests);
}

static bool view_has(const struct view *view, const struct oci_digest *digest)
{
    for (size_t i = 0; i < view->entries.count; i++)
        if (oci_digest_equal(&view->entries.manifests[i].digest, digest))
            return true;
    return false;
}

static int view_collect(struct view *view, const struct oci_index *index,
    bool (*fits)(const struct oci_descriptor *d, const char *name), const char *name)
{
    struct oci_descriptor *entries = calloc(MAX(index->count, (size_t)1), sizeof(*entries));

    if (!entries)
        return -ENOMEM;
    view_deinit(view);
    view->entries = (struct oci_index){.manifests = entries};
    for (size_t i = 0; i < index->count; i++) {
        const struct oci_descriptor *d = &index->manifests[i];

        if (fits(d, name) && !view_has(view, &d->digest))
            entries[view->entries.count++] = *d;
    }
    return 0;
}

/* Drops what can be no image, such as the signature that shares an image's tag. */
static void view_keep_images(struct view *view)
{
    size_t kept = 0;

    for (size_t i = 0; i < view->entries.count; i++)
        if (oci_index_entry_is_image(&view->entries.manifests[i]))
            view->entries.manifests[kept++] = view->entries.manifests[i];
    view->entries.count = kept;
}

/* True when the entries are one image for several platforms. */
static bool view_is_one_image(const struct view *view)
{
    const struct oci_descriptor *first = &view->entries.manifests[0];
    const char *tag = tag_of(first);

    for (size_t i = 0; i < view->entries.count; i++) {
        const struct oci_descriptor *d = &view->entries.manifests[i];

        if (!d->has_platform || (tag ? !has_tag(d, tag) : tag_of(d) != NULL))
            return false;
    }
    return true;
}

static int fail_ambiguous(const struct view *view, const char *name, struct report *r)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    _cleanup_(freep) char *list = NULL;
    char text[OCI_DIGEST_STR_MAX];

    for (size_t i = 0; i < view->entries.count; i++) {
        const struct oci_descriptor *d = &view->entries.manifests[i];
        const char *tag = tag_of(d);

        (void)buf_printf(&b, "%s%s", i ? ", " : "",
            tag && (!name || strcmp(tag, name) != 0) ? tag : oci_digest_format(&d->digest, text));
    }
    list = buf_steal_str(&b);
    if (!name)
        return report_fail(
            r, -EEXIST, "%zu images, a name is needed: %s", view->entries.count, list ? list : "");
    return report_fail(
        r, -EEXIST, "\"%s\" fits %zu images: %s", name, view->entries.count, list ? list : "");
}

static int fail_platform(
    const struct oci_platform *want, const struct oci_platform *have, struct report *r)
{
    char a[100], b[100];

    return report_fail(r, -ENOENT, "no image for %s (there is: %s)", oci_platform_format(want, a),
        oci_platform_format(have, b));
}

/* Of the entries that fit a name, the one that is meant; borrowed. */
static int view_choose(const struct view *view, const char *name,
    const struct oci_platform *platform, const struct oci_descriptor **ret_entry, struct report *r)
{
    const struct oci_descriptor *first = view->entries.manifests;
    struct oci_platform host = oci_platform_host();
    ssize_t at = 0;

    if (view->entries.count > 1 && !view_is_one_image(view))
        return fail_ambiguous(view, name, r);
    if (view->entries.count > 1)
        at = oci_index_select(&view->entries, platform ? platform : &host, r);
    else if (platform && first->has_platform && !oci_platform_match(platform, &first->platform))
        return fail_platform(platform, &first->platform, r);
    if (at < 0)
        return (int)at;
    *ret_entry = &first[at];
    return 0;
}

/* True for >= 4 hex digits, with or without an algorithm in front. */
static bool is_prefix(const char *name)
{
    size_t len;

    if (strncmp(name, "sha256:", 7) == 0 || strncmp(name, "sha512:", 7) == 0)
        name += 7;
    len = strlen(name);
    return len >= PREFIX_MIN && strspn(name, "0123456789abcdef") == len;
}

/* Entries by tag, else by digest prefix (a full digest is one too), else none. */
static int collect_by_name(
    struct view *view, const struct oci_index *index, const char *name, struct report *r)
{
    int err = view_collect(view, index, name ? has_tag : is_any_image, name);

    if (err == 0 && view->entries.count > 0) {
        struct oci_descriptor first = view->entries.manifests[0];

        view_keep_images(view);
        return view->entries.count > 0 ? 0 : fail_not_image(&first, r);
    }
    if (err == 0 && name && is_prefix(name))
        err = view_collect(view, index, has_prefix, name);
    return err < 0 ? report_errno(r, err, "index") : 0;
}

static const char *guess_media_type(const json_t *document)
{
    const char *type = json_string_value(json_object_get(document, "mediaType"));

    if (type)
        return type;
    return json_object_get(document, "manifests") ? OCI_TYPE_INDEX : OCI_TYPE_MANIFEST;
}

/* A descriptor of a document of which only the digest is known. */
static int describe(const struct oci_digest *digest, const struct oci_document_reader *reader,
    struct oci_descriptor *ret_descriptor, struct report *r)
{
    struct oci_descriptor unknown = {.digest = *digest, .size = UINT64_MAX};
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    _cleanup_(buf_deinit) struct buf b = {0};
    char text[OCI_DIGEST_STR_MAX];
    int err = reader->read(reader->userdata, &unknown, &b, r);

    if (err < 0)
        return err;
    err = oci_json_load(b.data, b.size, oci_digest_format(digest, text), &json, r);
    if (err < 0)
        return err;
    err = oci_descriptor_make(guess_media_type(json), digest, b.size, ret_descriptor);
    return err < 0 ? report_errno(r, err, "descriptor") : 0;
}

static int find_by_digest(const char *name, const struct oci_platform *platform,
    const struct oci_document_reader *reader, struct oci_descriptor *ret_manifest, struct report *r)
{
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor found = {0};
    struct oci_digest digest;
    int err = oci_digest_parse(name, &digest);

    if (err < 0)
        return report_fail(r, -ENOENT, "no image \"%s\"", name);
    err = describe(&digest, reader, &found, r);
    return err < 0 ? err : oci_index_resolve(&found, platform, reader, ret_manifest, r);
}

int oci_index_find(const struct oci_index *index, const char *name,
    const struct oci_platform *platform, const struct oci_document_reader *reader,
    struct oci_descriptor *ret_manifest, struct report *r)
{
    _cleanup_(view_deinit) struct view view = {0};
    const struct oci_descriptor *entry = NULL;
    int err = collect_by_name(&view, index, name, r);

    if (err < 0)
        return err;
    if (view.entries.count == 0 && name)
        return find_by_digest(name, platform, reader, ret_manifest, r);
    if (view.entries.count == 0)
        return report_fail(r, -ENOENT, "there is no image");
    err = view_choose(&view, name, platform, &entry, r);
    return err < 0 ? err : oci_index_resolve(entry, platform, reader, ret_manifest, r);
}
