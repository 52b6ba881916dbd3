/* SPDX-License-Identifier: Apache-2.0 */
/* Repairing: what is bad goes, and what can be made of the blobs is made anew.
 *
 *     bad blob ─ removed; the next pull brings it back
 *     bad tree, pack, object ─ removed, with the trees that name it ─ images prepared again
 *     modes, notes ─ put right
 *
 * Nothing sound is removed but trees, which follow from the layers; mounts keep what they have
 * open. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "layerfs/store/validate_private.h"
#include "oci/util/io.h"
#include "oci/util/log.h"

static int root_of(const struct lfs_validating *g)
{
    return lfs_store_dirfd(g->store, LFS_DIR_ROOT);
}

/* ------------------------------------------------------------------------------------------------
 * Removing
 */

static int remove_name(struct lfs_validating *g, const char *name)
{
    return unlinkat(root_of(g), name, 0) < 0 && errno != ENOENT ? neg_errno() : 0;
}

static int remove_tree(struct lfs_validating *g, enum lfs_item_kind kind, struct lfs_item *item)
{
    char name[LFS_ITEM_NAME_MAX + 16];
    int err;

    lfs_item_name(kind, item, name);
    err = remove_name(g, name);
    (void)strcat(name, ".verified");
    (void)remove_name(g, name);
    return err;
}

/* The trees of an image that needs something bad: the layers are then looked at one by one when
 * the image is prepared, and those that lack nothing are kept. */
static int remove_image_tree(struct lfs_validating *g, const struct lfs_root *root)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < root->count; i++)
        if (root->refs[i].kind == LFS_ITEM_IMAGE_TREE)
            err = remove_tree(g, LFS_ITEM_IMAGE_TREE, root->refs[i].item);
    return err;
}

static int fix_mode(struct lfs_validating *g, const char *name)
{
    struct stat st;

    if (fstatat(root_of(g), name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISLNK(st.st_mode))
        return -EINVAL;
    if (st.st_uid != geteuid() && geteuid() != 0)
        return -EPERM;
    if (fchownat(root_of(g), name, geteuid(), (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0)
        return neg_errno();
    return fchmodat(root_of(g), name, st.st_mode & 07755, 0) < 0 ? neg_errno() : 0;
}

/* Accepts index.json as it is. */
static int renew_index_sum(struct lfs_validating *g)
{
    return remove_name(g, "index.sum");
}

static bool ends_with(const char *s, const char *tail)
{
    size_t size = strlen(s), tail_size = strlen(tail);

    return size >= tail_size && strcmp(s + size - tail_size, tail) == 0;
}

static void set_state(struct lfs_finding *f, int err, enum lfs_repair_state good)
{
    f->repair = err < 0 ? LFS_REPAIR_FAILED : good;
}

/* A document or layer whose bytes are wrong; one that is missing is fetched as it is. */
static void repair_blob(struct lfs_validating *g, struct lfs_finding *f)
{
    char name[LFS_ITEM_NAME_MAX];
    int err = 0;

    if (f->item_handle) {
        lfs_item_name(LFS_ITEM_BLOB, f->item_handle, name);
        err = remove_name(g, name);
    }
    set_state(f, err, LFS_REPAIR_REFETCH);
}

/* Removes what the finding is about; whether that repairs it shows when images are prepared. */
static void repair_content(struct lfs_validating *g, struct lfs_finding *f)
{
    int err = 0;

    if (f->kind == LFS_FINDING_TREE && f->item_handle)
        err = remove_tree(g, (enum lfs_item_kind)f->item_kind, f->item_handle);
    else
        err = remove_name(g, f->object);
    /* A pack or a missing object is told of by the tree that names it. */
    if (err == 0 && f->kind == LFS_FINDING_PACK && f->item_kind == LFS_ITEM_LAYER_TREE)
        err = remove_tree(g, LFS_ITEM_LAYER_TREE, f->item_handle);
    set_state(f, err, LFS_REPAIR_DONE);
}

static void repair_one(struct lfs_validating *g, struct lfs_finding *f)
{
    switch (f->kind) {
    case LFS_FINDING_BLOB:
        repair_blob(g, f);
        break;
    case LFS_FINDING_TREE:
    case LFS_FINDING_PACK:
    case LFS_FINDING_OBJECT:
        repair_content(g, f);
        break;
    case LFS_FINDING_PERMISSIONS:
        set_state(f, fix_mode(g, f->object), LFS_REPAIR_DONE);
        break;
    case LFS_FINDING_STORE:
        if (ends_with(f->object, ".verified"))
            set_state(f, remove_name(g, f->object), LFS_REPAIR_DONE);
        else if (strcmp(f->object, "index.json") == 0 && !f->is_error)
            set_state(f, renew_index_sum(g), LFS_REPAIR_DONE);
        break;
    case LFS_FINDING_DOCUMENT: /* as its maker wants it */
    case LFS_FINDING_LAYER:
    case LFS_FINDING_STRAY: /* somebody's file */
    case LFS_FINDING_KINDS:
        break;
    }
}

/* ------------------------------------------------------------------------------------------------
 * Making anew
 */

static bool is_content(const struct lfs_finding *f)
{
    return (f->kind == LFS_FINDING_TREE || f->kind == LFS_FINDING_PACK ||
               f->kind == LFS_FINDING_OBJECT) &&
           f->repair == LFS_REPAIR_DONE;
}

static bool names_root(const struct lfs_finding *f, const struct lfs_root *root)
{
    char digest[OCI_DIGEST_STR_MAX];
    const char *name = root->names ? root->names : oci_digest_format(&root->digest, digest);

    size_t size = strlen(name);

    for (const char *at = f->dependents; at && (at = strstr(at, name)); at++)
        if ((at == f->dependents || at[-1] == ',') && (!at[size] || at[size] == ','))
            return true;
    return false;
}

static bool needs_repair(const struct lfs_validating *g, const struct lfs_root *root)
{
    for (size_t i = 0; i < g->v->count; i++)
        if (is_content(&g->v->findings[i]) && names_root(&g->v->findings[i], root))
            return true;
    return false;
}

static int prepare_manifest(struct lfs_validating *g, const struct lfs_item *item)
{
    _cleanup_(lfs_image_freep) struct lfs_image *image = NULL;
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct oci_digest digest = oci_digest_sha256(item->key);
    struct lfs_ingest_options options = {.jobs = g->options->jobs};
    char name[OCI_DIGEST_STR_MAX];
    int err = lfs_image_load(g->store, oci_digest_format(&digest, name), NULL, &image, NULL);

    return err < 0 ? err : lfs_image_prepare(g->store, image, &options, &tree, NULL);
}

/* Every manifest of an image that had a tree. */
static int prepare_root(struct lfs_validating *g, const struct lfs_root *root)
{
    int err = 0;

    for (size_t i = 0; i < root->count; i++) {
        const struct lfs_item *item = root->refs[i].item;
        int one;

        if (!root->refs[i].is_document ||
            lfs_document_of(g->inventory, item, NULL) != LFS_DOCUMENT_MANIFEST)
            continue;
        one = prepare_manifest(g, item);
        if (one < 0) {
            log_debug(LOG_STORE, "repair: %s", strerror(-one));
            err = one;
        }
    }
    return err;
}

/* An image that cannot be made of its blobs waits for its next pull. */
static void mark_failed(struct lfs_validating *g, const struct lfs_root *root)
{
    for (size_t i = 0; i < g->v->count; i++) {
        struct lfs_finding *f = &g->v->findings[i];

        if (is_content(f) && names_root(f, root))
            f->repair = LFS_REPAIR_REFETCH;
    }
}

static int remove_bad(struct lfs_validating *g, const struct lfs_roots *roots)
{
    _cleanup_(fd_closep) int exclusive = -1;
    int err = lfs_gc_exclude(g->store, &exclusive, NULL);

    for (size_t i = 0; err == 0 && i < g->v->count; i++)
        repair_one(g, &g->v->findings[i]);
    for (size_t i = 0; err == 0 && i < roots->count; i++)
        if (needs_repair(g, &roots->roots[i]))
            err = remove_image_tree(g, &roots->roots[i]);
    return err;
}

void lfs_validate_repair(struct lfs_validating *g)
{
    _cleanup_(lfs_roots_deinit) struct lfs_roots roots = {0};
    int err = lfs_roots_load(g->inventory, NULL, false, &roots, NULL);

    if (err == 0)
        err = remove_bad(g, &roots);
    for (size_t i = 0; err == 0 && i < roots.count; i++)
        if (needs_repair(g, &roots.roots[i]) && prepare_root(g, &roots.roots[i]) < 0)
            mark_failed(g, &roots.roots[i]);
}
