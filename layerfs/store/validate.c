/* SPDX-License-Identifier: Apache-2.0 */
/* Validating: documents are walked by one thread, which queues what is to be read; then threads
 * read, the largest things first. Each thing is read once, however many images have it. */
#include "layerfs/store/validate.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "layerfs/store/validate_private.h"

enum { THREADS_MAX = 64 };

const char *lfs_finding_kind_name(enum lfs_finding_kind kind)
{
    static const char *const names[LFS_FINDING_KINDS] = {
        "store", "document", "blob", "layer", "tree", "pack", "object", "permissions", "stray"};

    return names[kind];
}

void lfs_validation_deinit(struct lfs_validation *v)
{
    for (size_t i = 0; i < v->count; i++) {
        free(v->findings[i].object);
        free(v->findings[i].text);
        free(v->findings[i].dependents);
    }
    free(v->findings);
    *v = (struct lfs_validation){0};
}

/* ------------------------------------------------------------------------------------------------
 * Findings
 */

static void add_locked(struct lfs_validating *g, const struct lfs_finding *finding)
{
    void *findings = reallocarray(g->v->findings, g->v->count + 1, sizeof(*g->v->findings));

    if (findings)
        g->v->findings = findings;
    if (!findings || !finding->object || !finding->text) {
        atomic_store(&g->error, -ENOMEM);
        free(finding->object);
        free(finding->text);
        return;
    }
    g->v->findings[g->v->count++] = *finding;
}

void lfs_validate_add(struct lfs_validating *g, enum lfs_finding_kind kind, bool is_error,
    const char *object, enum lfs_item_kind item_kind, struct lfs_item *item, const char *fmt, ...)
{
    struct lfs_finding finding = {.kind = kind,
        .is_error = is_error,
        .object = strdup(object),
        .item_kind = item ? (int)item_kind : -1,
        .item_handle = item};
    struct report line = REPORT_INIT;
    char text[REPORT_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    (void)report_fail(&line, 0, "%s", text);
    finding.text = strdup(line.text);
    if (item)
        memcpy(finding.item, item->key, sizeof(finding.item));
    pthread_mutex_lock(&g->lock);
    add_locked(g, &finding);
    pthread_mutex_unlock(&g->lock);
}

static int compare_findings(const void *a, const void *b)
{
    const struct lfs_finding *x = a, *y = b;
    int order = strcmp(x->object, y->object);

    return order ? order : strcmp(x->text, y->text);
}

/* Two images that have the same thing tell of it twice. */
static void sort_findings(struct lfs_validation *v)
{
    size_t kept = 0;

    if (v->count)
        qsort(v->findings, v->count, sizeof(*v->findings), compare_findings);
    for (size_t i = 0; i < v->count; i++) {
        if (kept && compare_findings(&v->findings[kept - 1], &v->findings[i]) == 0) {
            free(v->findings[i].object);
            free(v->findings[i].text);
            continue;
        }
        v->findings[kept++] = v->findings[i];
    }
    v->count = kept;
}

/* ------------------------------------------------------------------------------------------------
 * Checks
 */

static bool same_check(const struct lfs_check *a, const struct lfs_check *b)
{
    return a->what == b->what && a->input && b->input &&
           oci_digest_equal(&a->input->blob.digest, &b->input->blob.digest) &&
           oci_digest_equal(&a->input->diff_id, &b->input->diff_id);
}

bool lfs_validate_has(const struct lfs_validating *g, const struct lfs_check *check)
{
    for (size_t i = 0; i < g->check_count; i++)
        if (same_check(&g->checks[i], check))
            return true;
    return false;
}

/* The input stays the caller's when it fails. */
int lfs_validate_queue(struct lfs_validating *g, const struct lfs_check *check)
{
    if (g->check_count == g->check_capacity) {
        size_t capacity = MAX(g->check_capacity * 2, (size_t)64);
        void *checks = reallocarray(g->checks, capacity, sizeof(*g->checks));

        if (!checks)
            return -ENOMEM;
        g->checks = checks;
        g->check_capacity = capacity;
    }
    g->checks[g->check_count++] = *check;
    return 0;
}

struct lfs_check_input *lfs_check_input_free(struct lfs_check_input *input)
{
    if (!input)
        return NULL;
    oci_descriptor_deinit(&input->blob);
    free(input->diff_ids);
    free(input);
    return NULL;
}

static uint64_t weight(const struct lfs_check *check)
{
    if (check->item)
        return check->item->size;
    return check->input ? check->input->blob.size : 0;
}

static int compare_weight(const void *a, const void *b)
{
    uint64_t x = weight(a), y = weight(b);

    return (x < y) - (x > y);
}

static void *run_checks(void *userdata)
{
    struct lfs_validating *g = userdata;
    size_t i;

    while ((i = atomic_fetch_add(&g->next, 1)) < g->check_count && atomic_load(&g->error) == 0)
        lfs_validate_check(g, &g->checks[i]);
    return NULL;
}

void lfs_validate_run_checks(struct lfs_validating *g)
{
    pthread_t threads[THREADS_MAX];
    unsigned jobs = g->options->jobs, started = 0;
    cpu_set_t cpus;

    if (g->check_count)
        qsort(g->checks, g->check_count, sizeof(*g->checks), compare_weight);
    if (jobs == 0 && sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
        jobs = (unsigned)CPU_COUNT(&cpus);
    jobs = MIN(MAX(jobs, 1u), (unsigned)THREADS_MAX);
    while (started + 1 < jobs && pthread_create(&threads[started], NULL, run_checks, g) == 0)
        started++;
    (void)run_checks(g);
    while (started > 0)
        (void)pthread_join(threads[--started], NULL);
    g->v->things += g->check_count;
}

/* ------------------------------------------------------------------------------------------------
 * What depends on it
 */

struct search {
    const struct lfs_item *item;
    bool found;
};

static void look(void *userdata, enum lfs_item_kind kind, struct lfs_item *item)
{
    struct search *search = userdata;

    (void)kind;
    search->found |= item == search->item;
}

static bool depends(struct lfs_validating *g, const struct lfs_root *root, struct lfs_item *item)
{
    struct search search = {.item = item};

    for (size_t i = 0; i < root->count && !search.found; i++) {
        const struct lfs_root_ref *ref = &root->refs[i];

        if (ref->item == item)
            return true;
        if (ref->kind == LFS_ITEM_IMAGE_TREE || ref->kind == LFS_ITEM_LAYER_TREE)
            (void)lfs_inventory_each_content(
                g->inventory, ref->kind, ref->item->key, look, &search);
    }
    return search.found;
}

static int append_name(struct lfs_finding *f, const struct lfs_root *root)
{
    char digest[OCI_DIGEST_STR_MAX], *names;

    if (asprintf(&names, "%s%s%s", f->dependents ? f->dependents : "", f->dependents ? "," : "",
            root->names ? root->names : oci_digest_format(&root->digest, digest)) < 0)
        return -ENOMEM;
    free(f->dependents);
    f->dependents = names;
    return 0;
}

static int find_dependents(struct lfs_validating *g, const struct lfs_roots *roots)
{
    int err = 0;

    for (size_t i = 0; i < g->v->count; i++) {
        struct lfs_finding *f = &g->v->findings[i];

        for (size_t j = 0; f->item_handle && err == 0 && j < roots->count; j++)
            if (depends(g, &roots->roots[j], f->item_handle))
                err = append_name(f, &roots->roots[j]);
    }
    return err;
}

/* ------------------------------------------------------------------------------------------------
 * Whole runs
 */

static void init(struct lfs_validating *g)
{
    (void)pthread_mutex_init(&g->lock, NULL); /* cannot fail without attributes */
}

static int finish(struct lfs_validating *g, int err, struct lfs_validation *v,
    struct lfs_validation *ret_validation)
{
    for (size_t i = 0; i < g->check_count; i++)
        (void)lfs_check_input_free(g->checks[i].input);
    free(g->checks);
    (void)lfs_inventory_free(g->inventory);
    (void)pthread_mutex_destroy(&g->lock);
    if (err == 0)
        err = atomic_load(&g->error);
    for (size_t i = 0; i < v->count; i++)
        if (v->findings[i].repair != LFS_REPAIR_DONE)
            *(v->findings[i].is_error ? &v->errors : &v->warnings) += 1;
    if (err < 0)
        lfs_validation_deinit(v);
    else
        *ret_validation = *v;
    return err;
}

/* Everything in the inventory that no image queued, in its own right. */
static int queue_items(struct lfs_validating *g)
{
    int err = 0;

    for (int kind = 0; kind < LFS_ITEM_KINDS; kind++) {
        for (int i = 0; i < 256; i++) {
            struct lfs_bucket *bucket = &g->inventory->buckets[kind][i];

            for (size_t j = 0; err == 0 && j < bucket->count; j++) {
                struct lfs_item *item = &bucket->items[j];
                struct lfs_check check = {.kind = (enum lfs_item_kind)kind, .item = item};

                if (item->stamp || kind == LFS_ITEM_PACK)
                    continue; /* queued already; packs are read by their layer's tree */
                check.what = kind == LFS_ITEM_BLOB     ? CHECK_BLOB
                             : kind == LFS_ITEM_OBJECT ? CHECK_OBJECT
                                                       : CHECK_TREE;
                err = lfs_validate_queue(g, &check);
            }
        }
    }
    return err;
}

static void queue_content(void *userdata, enum lfs_item_kind kind, struct lfs_item *item)
{
    struct lfs_validating *g = userdata;
    struct lfs_check check = {.what = CHECK_OBJECT, .kind = kind, .item = item};

    if (kind != LFS_ITEM_OBJECT || item->stamp)
        return;
    item->stamp = 1;
    if (lfs_validate_queue(g, &check) < 0)
        atomic_store(&g->error, -ENOMEM);
}

static int queue_roots(struct lfs_validating *g, const struct lfs_root *root)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < root->count; i++) {
        const struct lfs_root_ref *ref = &root->refs[i];
        struct lfs_check check = {.what = CHECK_TREE, .kind = ref->kind, .item = ref->item};

        if (ref->kind == LFS_ITEM_BLOB || ref->item->stamp)
            continue;
        ref->item->stamp = 1;
        err = lfs_validate_queue(g, &check);
        if (err == 0)
            err = lfs_inventory_each_content(
                g->inventory, ref->kind, ref->item->key, queue_content, g);
    }
    return err;
}

static int walk_image(struct lfs_validating *g, const char *name, struct report *r)
{
    _cleanup_(oci_descriptor_deinit) struct oci_descriptor descriptor = {0};
    _cleanup_(lfs_root_deinit) struct lfs_root root = {0};
    _cleanup_(freep) char *tag = g->store ? lfs_image_find_tag(g->store, name) : strdup(name);
    int err = tag ? oci_layout_find(g->layout, tag, NULL, &descriptor, r) : -ENOMEM;

    if (err == 0)
        err = lfs_validate_image(g, &descriptor);
    if (err == 0 && g->inventory)
        err = lfs_root_collect(g->inventory, &descriptor.digest, &root);
    return err == 0 && g->inventory ? queue_roots(g, &root) : err;
}

static int walk_all(struct lfs_validating *g)
{
    _cleanup_(oci_index_freep) struct oci_index *index = NULL;
    int err = lfs_validate_layout_files(g, &index);

    for (size_t i = 0; err == 0 && index && i < index->count; i++)
        if (index->manifests[i].digest.alg != OCI_DIGEST_NONE)
            err = lfs_validate_image(g, &index->manifests[i]);
    return err;
}

static int validate_store(struct lfs_validating *g, struct report *r)
{
    const struct lfs_validate_options *o = g->options;
    _cleanup_(lfs_roots_deinit) struct lfs_roots roots = {0};
    int err = lfs_inventory_load(g->store, o->jobs, false, &g->inventory, r);

    for (size_t i = 0; err == 0 && i < o->image_count; i++)
        err = walk_image(g, o->images[i], r);
    if (err == 0 && !o->images) {
        err = walk_all(g);
        if (err == 0)
            err = lfs_validate_store_files(g);
        if (err == 0)
            err = queue_items(g);
    }
    if (err == 0)
        lfs_validate_run_checks(g);
    sort_findings(g->v);
    if (err == 0 && lfs_roots_load(g->inventory, NULL, false, &roots, NULL) == 0)
        err = find_dependents(g, &roots);
    if (err == 0 && o->repair)
        lfs_validate_repair(g);
    return err;
}

int lfs_validate_store(struct lfs_store *store, const struct lfs_validate_options *options,
    struct lfs_validation *ret_validation, struct report *r)
{
    struct lfs_validation v = {0};
    struct lfs_validating g = {
        .options = options, .v = &v, .store = store, .layout = lfs_store_layout(store)};

    init(&g);
    return finish(&g, validate_store(&g, r), &v, ret_validation);
}

int lfs_validate_layout(struct oci_layout *layout, const char *tag,
    const struct lfs_validate_options *options, struct lfs_validation *ret_validation,
    struct report *r)
{
    struct lfs_validation v = {0};
    struct lfs_validating g = {.options = options, .v = &v, .layout = layout};
    int err;

    init(&g);
    err = tag ? walk_image(&g, tag, r) : walk_all(&g);
    if (err == 0)
        lfs_validate_run_checks(&g);
    sort_findings(&v);
    return finish(&g, err, &v, ret_validation);
}

int lfs_validate_source(struct oci_image_source *source, const struct lfs_validate_options *options,
    struct lfs_validation *ret_validation, struct report *r)
{
    struct lfs_validation v = {0};
    struct lfs_validating g = {.options = options, .v = &v, .source = source};
    int err;

    (void)r;
    init(&g);
    err = lfs_validate_image(&g, &source->descriptor);
    if (err == 0)
        lfs_validate_run_checks(&g);
    sort_findings(&v);
    return finish(&g, err, &v, ret_validation);
}
