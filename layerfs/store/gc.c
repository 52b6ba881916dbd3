/* SPDX-License-Identifier: Apache-2.0 */
/* Mark and sweep beside others.
 *
 *     list all ─ retain: tags, mounts, uppers, leases, what is young ─ evict ─ candidates
 *                                                                                 │ real run
 *     again and again, with others excluded for some hundredths of a second:      ▼
 *         retain what came since ─ remove candidates that still have no reference
 *
 * The long part, listing and marking, takes no lock. What comes into the store after it was listed
 * is no candidate. What was there and came into use since then is named by the index, a mount
 * record, a lease or a new tree before anybody relies on it, and under a hold: so each sweep looks
 * at those again first, which costs little, and nothing can change until it ends.
 *
 * Things go top down, indexes before manifests before all else, and trees before packs and objects:
 * a kill at any moment leaves garbage that the next run finds, and never a manifest or a tree
 * without what it names. */
#include "layerfs/store/gc.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "layerfs/store/gc_private.h"
#include "layerfs/store/image.h"
#include "oci/util/log.h"

enum { SLICE_MS = 40 /* how long a sweep excludes others */ };

const char *lfs_gc_kind_name(enum lfs_gc_kind kind)
{
    static const char *const names[LFS_GC_KINDS] = {
        "blobs", "trees", "layers", "packs", "objects", "partial", "leftovers", "mounts"};

    return names[kind];
}

void lfs_gc_result_deinit(struct lfs_gc_result *result)
{
    for (size_t i = 0; i < result->evicted_count; i++)
        free(result->evicted[i]);
    free(result->evicted);
    *result = (struct lfs_gc_result){0};
}

/* ------------------------------------------------------------------------------------------------
 * Marking
 */

static bool is_young(const struct lfs_gc_run *g, const struct lfs_item *item)
{
    return item->mtime > g->cutoff;
}

/* Calls fn for every item of a kind until it returns other than 0. */
static int each_item(struct lfs_gc_run *g, enum lfs_item_kind kind,
    int (*fn)(struct lfs_gc_run *g, enum lfs_item_kind kind, struct lfs_item *item, void *userdata),
    void *userdata)
{
    int err = 0;

    for (int i = 0; i < 256; i++) {
        struct lfs_bucket *bucket = &g->inventory->buckets[kind][i];

        for (size_t j = 0; err == 0 && j < bucket->count; j++)
            err = fn(g, kind, &bucket->items[j], userdata);
    }
    return err;
}

/* What is young is kept, and so is all that a young document or tree needs to be of any use. */
static int retain_young(
    struct lfs_gc_run *g, enum lfs_item_kind kind, struct lfs_item *item, void *userdata)
{
    _cleanup_(lfs_root_deinit) struct lfs_root root = {0};
    struct oci_digest digest = oci_digest_sha256(item->key);
    int err;

    (void)userdata;
    if (item->refs > 0)
        return 0;
    lfs_inventory_see(g->inventory, kind, item);
    if (!is_young(g, item))
        return 0;
    if (kind != LFS_ITEM_BLOB || (item->flags & LFS_ITEM_NAMED) ||
        lfs_document_of(g->inventory, item, NULL) == LFS_DOCUMENT_NONE)
        return lfs_inventory_retain(g->inventory, kind, item);
    err = lfs_root_collect(g->inventory, &digest, &root);
    return err == 0 ? lfs_root_retain(g->inventory, &root) : err;
}

static int stat_index(const struct lfs_gc_run *g, struct stat *ret_st, struct report *r)
{
    int root = lfs_store_dirfd(g->store, LFS_DIR_ROOT);

    return fstatat(root, "index.json", ret_st, 0) < 0 ? report_errno(r, neg_errno(), "index.json")
                                                      : 0;
}

static int mark(struct lfs_gc_run *g, struct report *r)
{
    int err = stat_index(g, &g->index, r);

    if (err == 0)
        err = lfs_roots_load(g->inventory, NULL, false, &g->roots, r);
    for (size_t i = 0; err == 0 && i < g->roots.count; i++)
        err = lfs_root_retain(g->inventory, &g->roots.roots[i]);
    if (err == 0)
        err = lfs_pins_retain(g->inventory, r);
    for (int kind = 0; err == 0 && kind < LFS_ITEM_KINDS; kind++)
        err = each_item(g, kind, retain_young, NULL);
    return err;
}

/* ------------------------------------------------------------------------------------------------
 * Eviction
 */

static int add_size(
    struct lfs_gc_run *g, enum lfs_item_kind kind, struct lfs_item *item, void *userdata)
{
    (void)g;
    (void)kind;
    if (item->refs > 0)
        *(uint64_t *)userdata += item->size;
    return 0;
}

/* Bytes of what would stay. */
static uint64_t kept_size(struct lfs_gc_run *g)
{
    uint64_t size = 0;

    for (int kind = 0; kind < LFS_ITEM_KINDS; kind++)
        (void)each_item(g, kind, add_size, &size);
    return size;
}

/* Most recently used first. */
static int compare_used(const void *a, const void *b)
{
    const struct lfs_root *x = *(const struct lfs_root *const *)a,
                          *y = *(const struct lfs_root *const *)b;

    if (x->last_used != y->last_used)
        return x->last_used < y->last_used ? 1 : -1;
    return oci_digest_compare(&x->digest, &y->digest);
}

static bool may_evict(const struct lfs_gc_run *g, const struct lfs_root *root)
{
    return root->last_used <= g->cutoff && !lfs_root_is_pinned(root);
}

/* From the image that was used longest ago on. */
static int evict(struct lfs_gc_run *g)
{
    const struct lfs_gc_options *o = g->options;
    _cleanup_(freep) struct lfs_root **order = calloc(g->roots.count + 1, sizeof(*order));
    size_t keep = o->has_keep_last ? o->keep_last : 0;
    int err = 0;

    if (!order)
        return -ENOMEM;
    for (size_t i = 0; i < g->roots.count; i++)
        order[i] = &g->roots.roots[i];
    qsort(order, g->roots.count, sizeof(*order), compare_used);
    for (size_t i = g->roots.count; err == 0 && i-- > keep;) {
        if (!may_evict(g, order[i]))
            continue;
        if (o->has_max_size && kept_size(g) <= o->max_size)
            break;
        order[i]->evicted = true;
        err = lfs_root_release(g->inventory, order[i]);
    }
    return err;
}

/* After all, because one that came into use meanwhile stays. */
static int name_evicted(struct lfs_gc_run *g)
{
    struct lfs_gc_result *result = g->result;

    result->evicted = calloc(g->roots.count + 1, sizeof(char *));
    if (!result->evicted)
        return -ENOMEM;
    for (size_t i = 0; i < g->roots.count; i++) {
        const struct lfs_root *root = &g->roots.roots[i];
        char text[OCI_DIGEST_STR_MAX];

        if (!root->evicted)
            continue;
        result->evicted[result->evicted_count] =
            strdup(root->names ? root->names : oci_digest_format(&root->digest, text));
        if (!result->evicted[result->evicted_count++])
            return -ENOMEM;
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------------
 * Candidates
 */

struct candidate {
    struct lfs_item *item;
    enum lfs_item_kind kind;
    uint8_t tier; /* lower ones go first */
};

struct candidates {
    struct candidate *list;
    size_t count, capacity;
};

static void candidates_deinit(struct candidates *c)
{
    free(c->list);
}

/* Indexes, manifests, other blobs, trees, packs, objects. */
static uint8_t tier_of(struct lfs_gc_run *g, enum lfs_item_kind kind, const struct lfs_item *item)
{
    if (kind != LFS_ITEM_BLOB)
        return (uint8_t)(2 + kind);
    switch (lfs_document_of(g->inventory, item, NULL)) {
    case LFS_DOCUMENT_INDEX:
        return 0;
    case LFS_DOCUMENT_MANIFEST:
        return 1;
    case LFS_DOCUMENT_NONE:
        break;
    }
    return 2;
}

static int add_candidate(
    struct lfs_gc_run *g, enum lfs_item_kind kind, struct lfs_item *item, void *userdata)
{
    struct candidates *c = userdata;
    bool freed = item->refs == 0 && !g->inventory->has_damage;

    if (item->refs == 0)
        lfs_inventory_see(g->inventory, kind, item);

    if (g->options->dry_run || !freed)
        lfs_gc_count_one(g, (enum lfs_gc_kind)kind, freed, item->size);
    if (g->options->dry_run || !freed)
        return 0;
    if (c->count == c->capacity) {
        size_t capacity = MAX(c->capacity + c->capacity / 2, (size_t)64);
        void *list = reallocarray(c->list, capacity, sizeof(*c->list));

        if (!list)
            return -ENOMEM;
        c->list = list;
        c->capacity = capacity;
    }
    c->list[c->count++] =
        (struct candidate){.item = item, .kind = kind, .tier = tier_of(g, kind, item)};
    return 0;
}

static int compare_tier(const void *a, const void *b)
{
    return ((const struct candidate *)a)->tier - ((const struct candidate *)b)->tier;
}

/* In a dry run this only counts. */
static int find_candidates(struct lfs_gc_run *g, struct candidates *c)
{
    int err = 0;

    for (int kind = 0; err == 0 && kind < LFS_ITEM_KINDS; kind++)
        err = each_item(g, kind, add_candidate, c);
    if (err == 0 && c->count) /* the kinds are in order already: only blobs are not */
        qsort(c->list, c->count, sizeof(*c->list), compare_tier);
    return err;
}

/* ------------------------------------------------------------------------------------------------
 * What came since; all below excludes others
 */

struct seen {
    uint64_t *inodes; /* of trees that are new, or replaced */
    size_t count;
    bool evicted; /* the evicted images' tags are gone */
};

static void seen_deinit(struct seen *seen)
{
    free(seen->inodes);
}

static bool is_seen(const struct seen *seen, uint64_t inode)
{
    for (size_t i = 0; i < seen->count; i++)
        if (seen->inodes[i] == inode)
            return true;
    return false;
}

static void retain_content(void *userdata, enum lfs_item_kind kind, struct lfs_item *item)
{
    (void)userdata;
    (void)kind;
    item->refs++;
}

/* A tree that is new or was replaced since it was listed. */
static int retain_tree(struct lfs_gc_run *g, struct seen *seen, const char *name, uint64_t inode)
{
    bool is_layer = strlen(name) == 70 && strcmp(name + 64, ".layer") == 0;
    enum lfs_item_kind kind = is_layer ? LFS_ITEM_LAYER_TREE : LFS_ITEM_IMAGE_TREE;
    struct oci_digest id = {.alg = OCI_DIGEST_SHA256};
    struct lfs_item *item;
    void *inodes;

    if ((strlen(name) != 64 && !is_layer) || !lfs_parse_key(name, id.bytes))
        return 0;
    item = lfs_inventory_find(g->inventory, kind, &id);
    if ((item && item->inode == inode) || is_seen(seen, inode))
        return 0;
    inodes = reallocarray(seen->inodes, seen->count + 1, sizeof(*seen->inodes));
    if (!inodes)
        return -ENOMEM;
    seen->inodes = inodes;
    seen->inodes[seen->count++] = inode;
    if (item)
        item->refs++;
    return lfs_inventory_each_content(g->inventory, kind, id.bytes, retain_content, NULL);
}

static int retain_new_trees(struct lfs_gc_run *g, struct seen *seen)
{
    int fd =
        openat(lfs_store_dirfd(g->store, LFS_DIR_TREES), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int err = 0;

    if (!dir) {
        err = neg_errno();
        (void)fd_close(fd);
        return err;
    }
    for (struct dirent *e = readdir(dir); e && err == 0; e = readdir(dir))
        err = retain_tree(g, seen, e->d_name, e->d_ino);
    (void)closedir(dir);
    return err;
}

/* Images that have a tag since. An evicted one counts as new once its tags were removed: then
 * somebody gave it another. */
static int retain_new_images(struct lfs_gc_run *g, struct seen *seen, struct report *r)
{
    _cleanup_(lfs_roots_deinit) struct lfs_roots roots = {0};
    struct stat st;
    int err = stat_index(g, &st, r);

    if (err < 0 || (st.st_ino == g->index.st_ino && st.st_size == g->index.st_size &&
                       st.st_mtim.tv_sec == g->index.st_mtim.tv_sec &&
                       st.st_mtim.tv_nsec == g->index.st_mtim.tv_nsec))
        return err;
    err = lfs_roots_load(g->inventory, &g->roots, !seen->evicted, &roots, r);
    for (size_t i = 0; err == 0 && i < roots.count; i++)
        err = lfs_root_retain(g->inventory, &roots.roots[i]);
    g->index = st;
    return err;
}

static int retain_new(struct lfs_gc_run *g, struct seen *seen, struct report *r)
{
    int err = retain_new_images(g, seen, r);

    if (err == 0)
        err = lfs_pins_retain(g->inventory, r);
    if (err == 0)
        err = retain_new_trees(g, seen);
    if (err == 0 && g->inventory->has_damage) /* nobody knows what that needs */
        err = report_fail(r, -EBADMSG, "%s", g->inventory->damage.text);
    return err;
}

/* Removes the tags of evicted images that are still not in use. */
static int remove_tags(struct lfs_gc_run *g, struct report *r)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < g->roots.count; i++) {
        struct lfs_root *root = &g->roots.roots[i];
        char text[OCI_DIGEST_STR_MAX];

        if (!root->evicted)
            continue;
        if (lfs_root_is_pinned(root)) { /* its pin keeps all of it */
            root->evicted = false;
            err = lfs_root_retain(g->inventory, root);
            continue;
        }
        err = lfs_image_untag(g->store, oci_digest_format(&root->digest, text), r);
        if (err == -ENOENT)
            err = 0;
    }
    return err;
}

/* ------------------------------------------------------------------------------------------------
 * Sweeping
 */

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int remove_item(struct lfs_gc_run *g, const struct candidate *c, struct report *r)
{
    int root = lfs_store_dirfd(g->store, LFS_DIR_ROOT);
    char name[LFS_ITEM_NAME_MAX + 16];

    lfs_item_name(c->kind, c->item, name);
    if (unlinkat(root, name, 0) < 0 && errno != ENOENT)
        return report_errno(r, neg_errno(), "%s", name);
    log_debug(LOG_STORE, "gc: removed %s", name);
    if (c->kind == LFS_ITEM_IMAGE_TREE || c->kind == LFS_ITEM_LAYER_TREE) {
        (void)strcat(name, ".verified");
        (void)unlinkat(root, name, 0);
    }
    return 0;
}

/* One slice: from *at on, as far as the time goes. */
static int sweep_slice(struct lfs_gc_run *g, const struct candidates *c, size_t *at,
    struct seen *seen, struct report *r)
{
    _cleanup_(fd_closep) int exclusive = -1;
    int64_t until;
    int err = lfs_gc_exclude(g->store, &exclusive, r);

    if (err == 0)
        err = retain_new(g, seen, r);
    if (err == 0 && !seen->evicted) {
        err = remove_tags(g, r);
        seen->evicted = true;
    }
    until = now_ms() + SLICE_MS;
    for (; err == 0 && *at < c->count && now_ms() < until; ++*at) {
        const struct candidate *candidate = &c->list[*at];
        bool goes = candidate->item->refs == 0;

        if (goes)
            err = remove_item(g, candidate, r);
        if (err == 0)
            lfs_gc_count_one(g, (enum lfs_gc_kind)candidate->kind, goes, candidate->item->size);
    }
    return err;
}

static int sweep(struct lfs_gc_run *g, const struct candidates *c, struct report *r)
{
    _cleanup_(seen_deinit) struct seen seen = {0};
    size_t at = 0;
    int err = 0;

    do
        err = sweep_slice(g, c, &at, &seen, r);
    while (err == 0 && at < c->count);
    return err;
}

static int sweep_leftovers(struct lfs_gc_run *g, struct report *r)
{
    _cleanup_(fd_closep) int exclusive = -1;
    int err = g->options->dry_run ? 0 : lfs_gc_exclude(g->store, &exclusive, r);

    return err == 0 ? lfs_gc_sweep_leftovers(g, r) : err;
}

/* ------------------------------------------------------------------------------------------------
 * All of it
 */

static int run(struct lfs_gc_run *g, struct report *r)
{
    _cleanup_(candidates_deinit) struct candidates c = {0};
    const struct lfs_gc_options *o = g->options;
    int err = lfs_inventory_load(g->store, o->jobs, true, &g->inventory, r);

    if (err == 0)
        err = mark(g, r);
    if (err == 0 && (o->has_keep_last || o->has_max_size) && !g->inventory->has_damage)
        err = evict(g);
    if (err == 0)
        err = find_candidates(g, &c);
    if (err == 0 && !o->dry_run && !g->inventory->has_damage)
        err = sweep(g, &c, r);
    if (err == 0)
        err = sweep_leftovers(g, r);
    if (err == 0)
        err = name_evicted(g);
    if (err == 0 && g->inventory->has_damage) {
        g->result->has_damage = true;
        g->result->damage = g->inventory->damage;
    }
    return err;
}

static void set_cutoff(struct lfs_gc_run *g)
{
    uint64_t grace = MIN(g->options->grace, (uint64_t)INT32_MAX);

    g->now = (int64_t)time(NULL);
    g->cutoff = grace ? g->now - (int64_t)grace : INT64_MAX;
}

int lfs_gc(struct lfs_store *store, const struct lfs_gc_options *options,
    struct lfs_gc_result *ret_result, struct report *r)
{
    struct lfs_gc_result result = {0};
    struct lfs_gc_run g = {.store = store, .options = options, .result = &result};
    _cleanup_(fd_closep) int alone = -1;
    int err = options->dry_run ? 0 : lfs_store_lock(store, "gc-run", &alone, r);

    set_cutoff(&g);
    if (err == 0)
        err = run(&g, r);
    lfs_roots_deinit(&g.roots);
    (void)lfs_inventory_free(g.inventory);
    if (err < 0) {
        lfs_gc_result_deinit(&result);
        return report_is_set(r) ? err : report_errno(r, err, "gc");
    }
    *ret_result = result;
    return 0;
}

/* ------------------------------------------------------------------------------------------------
 * Usage
 */

void lfs_usage_deinit(struct lfs_usage *usage)
{
    for (size_t i = 0; i < usage->count; i++)
        free(usage->images[i].name);
    free(usage->images);
    *usage = (struct lfs_usage){0};
}

struct sum {
    uint64_t bytes;
    uint16_t stamp;
};

/* Each item once a walk. */
static void add_once(void *userdata, enum lfs_item_kind kind, struct lfs_item *item)
{
    struct sum *sum = userdata;

    (void)kind;
    if (item->stamp != sum->stamp)
        sum->bytes += item->size;
    item->stamp = sum->stamp;
}

/* With the image's references taken away, what has none left is its own. */
static void add_unique(void *userdata, enum lfs_item_kind kind, struct lfs_item *item)
{
    if (item->refs == 0)
        add_once(userdata, kind, item);
}

static int sum_root(
    struct lfs_gc_run *g, const struct lfs_root *root, lfs_content_fn add, struct sum *sum)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < root->count; i++) {
        struct lfs_item *item = root->refs[i].item;
        enum lfs_item_kind kind = root->refs[i].kind;

        add(sum, kind, item);
        if (kind == LFS_ITEM_IMAGE_TREE || kind == LFS_ITEM_LAYER_TREE)
            err = lfs_inventory_each_content(g->inventory, kind, item->key, add, sum);
    }
    return err;
}

static int measure(struct lfs_gc_run *g, const struct lfs_root *root, uint16_t stamp,
    struct lfs_image_usage *ret_usage)
{
    struct sum total = {.stamp = stamp}, unique = {.stamp = (uint16_t)(stamp + 1)};
    char text[OCI_DIGEST_STR_MAX];
    int err = sum_root(g, root, add_once, &total);

    if (err == 0)
        err = lfs_root_release(g->inventory, root);
    if (err == 0)
        err = sum_root(g, root, add_unique, &unique);
    if (err == 0)
        err = lfs_root_retain(g->inventory, root);
    *ret_usage = (struct lfs_image_usage){
        .name = strdup(root->names ? root->names : oci_digest_format(&root->digest, text)),
        .digest = root->digest,
        .total = total.bytes,
        .unique = unique.bytes,
        .last_used = root->last_used,
    };
    return err == 0 && !ret_usage->name ? -ENOMEM : err;
}

static int measure_all(struct lfs_gc_run *g, struct lfs_usage *usage)
{
    int err = 0;

    usage->images = calloc(g->roots.count + 1, sizeof(*usage->images));
    if (!usage->images)
        return -ENOMEM;
    for (size_t i = 0; err == 0 && i < g->roots.count; i++)
        err = lfs_root_retain(g->inventory, &g->roots.roots[i]);
    for (size_t i = 0; err == 0 && i < g->roots.count; i++) {
        uint16_t stamp = (uint16_t)(1 + 2 * (i % 32000));

        err = measure(g, &g->roots.roots[i], stamp, &usage->images[i]);
        usage->count++;
    }
    return err;
}

int lfs_usage_load(
    struct lfs_store *store, unsigned jobs, struct lfs_usage *ret_usage, struct report *r)
{
    _cleanup_(lfs_usage_deinit) struct lfs_usage usage = {0};
    struct lfs_gc_options options = {.dry_run = true, .jobs = jobs};
    struct lfs_gc_result result = {0};
    struct lfs_gc_run g = {.store = store, .options = &options, .result = &result};
    struct candidates none = {0};
    int err = lfs_inventory_load(store, jobs, true, &g.inventory, r);

    set_cutoff(&g);
    if (err == 0)
        err = lfs_roots_load(g.inventory, NULL, false, &g.roots, r);
    if (err == 0)
        err = measure_all(&g, &usage);
    if (err == 0)
        err = lfs_pins_retain(g.inventory, r);
    for (size_t i = 0; err == 0 && i < usage.count; i++)
        usage.images[i].in_use = lfs_root_is_pinned(&g.roots.roots[i]);
    if (err == 0)
        err = find_candidates(&g, &none);
    if (err == 0)
        err = lfs_gc_sweep_leftovers(&g, r);
    if (err == 0) {
        memcpy(usage.kinds, result.kinds, sizeof(usage.kinds));
        usage.has_damage = g.inventory->has_damage;
        usage.damage = g.inventory->damage;
        *ret_usage = usage;
        usage = (struct lfs_usage){0};
    }
    lfs_roots_deinit(&g.roots);
    (void)lfs_inventory_free(g.inventory);
    return err;
}
