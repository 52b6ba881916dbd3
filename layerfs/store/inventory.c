/* SPDX-License-Identifier: Apache-2.0 */
/* Listing the store. Threads take the 256 directories of objects one by one; each fills the bucket
 * of its own directory, so that they share nothing but the counter. */
#include "layerfs/store/inventory.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/util/log.h"

enum { THREADS_MAX = 64, HEX = 64 };

/* ------------------------------------------------------------------------------------------------
 * Names
 */

const char *lfs_item_kind_name(enum lfs_item_kind kind)
{
    static const char *const names[LFS_ITEM_KINDS] = {
        "blobs", "trees", "layers", "packs", "objects"};

    return names[kind];
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* count bytes from hex; false when there are other characters. */
static bool parse_hex(const char *hex, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int high = nibble(hex[2 * i]), low = high < 0 ? -1 : nibble(hex[2 * i + 1]);

        if (low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool lfs_parse_key(const char *hex, uint8_t ret_key[static 32])
{
    return parse_hex(hex, ret_key, 32);
}

void lfs_item_name(
    enum lfs_item_kind kind, const struct lfs_item *item, char ret_name[static LFS_ITEM_NAME_MAX])
{
    struct oci_digest digest = oci_digest_sha256(item->key);
    char hex[OCI_DIGEST_STR_MAX];

    (void)oci_digest_hex(&digest, hex);
    if (kind == LFS_ITEM_BLOB && (item->flags & LFS_ITEM_NAMED))
        (void)snprintf(ret_name, LFS_ITEM_NAME_MAX, "blobs/%s", item->name);
    else if (kind == LFS_ITEM_BLOB)
        (void)snprintf(ret_name, LFS_ITEM_NAME_MAX, "blobs/sha256/%s", hex);
    else if (kind == LFS_ITEM_OBJECT)
        (void)snprintf(ret_name, LFS_ITEM_NAME_MAX, "objects/%.2s/%.62s", hex, hex + 2);
    else if (kind == LFS_ITEM_PACK)
        (void)snprintf(ret_name, LFS_ITEM_NAME_MAX, "packs/%s", hex);
    else
        (void)snprintf(ret_name, LFS_ITEM_NAME_MAX, "trees/%s%s", hex,
            kind == LFS_ITEM_LAYER_TREE ? ".layer" : "");
}

/* ------------------------------------------------------------------------------------------------
 * Filling
 */

static struct lfs_item *add(struct lfs_bucket *bucket)
{
    if (bucket->count == bucket->capacity) {
        size_t capacity = MAX(bucket->capacity + bucket->capacity / 4, (size_t)16);
        struct lfs_item *items = reallocarray(bucket->items, capacity, sizeof(*items));

        if (!items)
            return NULL;
        bucket->items = items;
        bucket->capacity = capacity;
    }
    bucket->items[bucket->count] = (struct lfs_item){0};
    return &bucket->items[bucket->count++];
}

/* Adds a file unless it is gone or none. */
static int add_file(struct lfs_inventory *inv, enum lfs_item_kind kind, int dirfd, const char *name,
    const uint8_t key[static 32], struct lfs_item **ret_item)
{
    struct lfs_item *item;
    struct stat st;

    *ret_item = NULL;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : neg_errno();
    if (!S_ISREG(st.st_mode))
        return 0;
    item = add(&inv->buckets[kind][key[0]]);
    if (!item)
        return -ENOMEM;
    memcpy(item->key, key, sizeof(item->key));
    item->size = (uint64_t)st.st_size;
    item->mtime = st.st_mtim.tv_sec;
    if (kind == LFS_ITEM_IMAGE_TREE || kind == LFS_ITEM_LAYER_TREE)
        item->inode = st.st_ino;
    *ret_item = item;
    return 0;
}

/* Calls fn for each name in a directory below the store; one that is missing is empty. */
struct scan {
    struct lfs_inventory *inv;
    int (*fn)(struct scan *scan, int dirfd, const char *name);
    unsigned prefix; /* objects */
    bool is_regular; /* the directory says that it is a regular file */
};

static int scan_dir(struct scan *scan, const char *path)
{
    int root = lfs_store_dirfd(scan->inv->store, LFS_DIR_ROOT), err = 0;
    int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        err = errno == ENOENT ? 0 : neg_errno();
        (void)fd_close(fd);
        return err;
    }
    errno = 0;
    for (struct dirent *e = readdir(dir); e && err == 0; e = readdir(dir)) {
        scan->is_regular = e->d_type == DT_REG;
        if (e->d_name[0] != '.')
            err = scan->fn(scan, fd, e->d_name);
        errno = 0;
    }
    if (err == 0)
        err = -errno;
    (void)closedir(dir);
    return err;
}

static int scan_blob(struct scan *scan, int dirfd, const char *name)
{
    struct lfs_item *item;
    uint8_t key[32];

    if (strlen(name) != HEX || !lfs_parse_key(name, key))
        return 0;
    return add_file(scan->inv, LFS_ITEM_BLOB, dirfd, name, key, &item);
}

static int scan_blob512(struct scan *scan, int dirfd, const char *name)
{
    struct lfs_item *item;
    uint8_t bytes[64];
    char *full;
    int err;

    if (strlen(name) != 2 * HEX || !parse_hex(name, bytes, sizeof(bytes)))
        return 0;
    err = add_file(scan->inv, LFS_ITEM_BLOB, dirfd, name, bytes, &item);
    if (err < 0 || !item)
        return err;
    if (asprintf(&full, "sha512/%s", name) < 0)
        return -ENOMEM;
    item->name = full;
    item->flags |= LFS_ITEM_NAMED;
    return 0;
}

static int scan_tree(struct scan *scan, int dirfd, const char *name)
{
    bool is_layer = strlen(name) == HEX + 6 && strcmp(name + HEX, ".layer") == 0;
    char note[HEX + 32];
    struct lfs_item *item;
    struct stat st;
    uint8_t key[32];
    int err;

    if ((strlen(name) != HEX && !is_layer) || !lfs_parse_key(name, key))
        return 0;
    err = add_file(
        scan->inv, is_layer ? LFS_ITEM_LAYER_TREE : LFS_ITEM_IMAGE_TREE, dirfd, name, key, &item);
    (void)snprintf(note, sizeof(note), "%s.verified", name);
    if (err == 0 && item && fstatat(dirfd, note, &st, AT_SYMLINK_NOFOLLOW) == 0)
        item->size += (uint64_t)st.st_size;
    return err;
}

static int scan_pack(struct scan *scan, int dirfd, const char *name)
{
    struct lfs_item *item;
    uint8_t key[32];

    if (strlen(name) != HEX || !lfs_parse_key(name, key))
        return 0;
    return add_file(scan->inv, LFS_ITEM_PACK, dirfd, name, key, &item);
}

static int scan_object(struct scan *scan, int dirfd, const char *name)
{
    struct lfs_item *item;
    uint8_t key[32] = {(uint8_t)scan->prefix};

    if (strlen(name) != HEX - 2 || !parse_hex(name, key + 1, 31))
        return 0;
    if (scan->inv->lazy && scan->is_regular) {
        item = add(&scan->inv->buckets[LFS_ITEM_OBJECT][key[0]]);
        if (!item)
            return -ENOMEM;
        memcpy(item->key, key, sizeof(item->key));
        item->flags = LFS_ITEM_UNSEEN;
        return 0;
    }
    return add_file(scan->inv, LFS_ITEM_OBJECT, dirfd, name, key, &item);
}

/* ------------------------------------------------------------------------------------------------
 * Sorting and finding
 */

static int compare(const void *a, const void *b)
{
    return memcmp(
        ((const struct lfs_item *)a)->key, ((const struct lfs_item *)b)->key, sizeof(uint8_t[32]));
}

static void sort(struct lfs_bucket *bucket)
{
    if (bucket->count)
        qsort(bucket->items, bucket->count, sizeof(*bucket->items), compare);
}

static struct lfs_item *find_key(
    struct lfs_inventory *inv, enum lfs_item_kind kind, const uint8_t key[static 32])
{
    struct lfs_bucket *bucket = &inv->buckets[kind][key[0]];
    size_t low = 0, high = bucket->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(bucket->items[middle].key, key, 32);

        if (order == 0)
            return &bucket->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct lfs_item *lfs_inventory_find(
    struct lfs_inventory *inventory, enum lfs_item_kind kind, const struct oci_digest *digest)
{
    struct oci_digest key = *digest;

    if (kind != LFS_ITEM_BLOB && lfs_store_key_digest(digest, &key) < 0)
        return NULL;
    return key.alg == OCI_DIGEST_NONE ? NULL : find_key(inventory, kind, key.bytes);
}

/* ------------------------------------------------------------------------------------------------
 * Loading
 */

struct objects {
    struct lfs_inventory *inv;
    atomic_uint next;
    atomic_int err;
};

static void *scan_objects(void *userdata)
{
    struct objects *o = userdata;
    unsigned prefix;

    while ((prefix = atomic_fetch_add(&o->next, 1)) < 256 && atomic_load(&o->err) == 0) {
        struct scan scan = {.inv = o->inv, .fn = scan_object, .prefix = prefix};
        char path[16];
        int err;

        (void)snprintf(path, sizeof(path), "objects/%02x", prefix);
        err = scan_dir(&scan, path);
        if (err < 0)
            atomic_store(&o->err, err);
        sort(&o->inv->buckets[LFS_ITEM_OBJECT][prefix]);
    }
    return NULL;
}

static int load_objects(struct lfs_inventory *inv, unsigned jobs)
{
    struct objects o = {.inv = inv};
    pthread_t threads[THREADS_MAX];
    unsigned started = 0;
    cpu_set_t cpus;

    if (jobs == 0 && sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
        jobs = (unsigned)CPU_COUNT(&cpus);
    jobs = MIN(MAX(jobs, 1u), (unsigned)THREADS_MAX);
    while (started + 1 < jobs && pthread_create(&threads[started], NULL, scan_objects, &o) == 0)
        started++;
    (void)scan_objects(&o);
    while (started > 0)
        (void)pthread_join(threads[--started], NULL);
    return atomic_load(&o.err);
}

static int load(struct lfs_inventory *inv, unsigned jobs)
{
    struct scan scan = {.inv = inv, .fn = scan_blob};
    int err = scan_dir(&scan, "blobs/sha256");

    scan.fn = scan_blob512;
    if (err == 0)
        err = scan_dir(&scan, "blobs/sha512");
    scan.fn = scan_tree;
    if (err == 0)
        err = scan_dir(&scan, "trees");
    scan.fn = scan_pack;
    if (err == 0)
        err = scan_dir(&scan, "packs");
    for (int kind = 0; kind < LFS_ITEM_OBJECT; kind++)
        for (int i = 0; i < 256; i++)
            sort(&inv->buckets[kind][i]);
    return err == 0 ? load_objects(inv, jobs) : err;
}

void lfs_inventory_see(
    struct lfs_inventory *inventory, enum lfs_item_kind kind, struct lfs_item *item)
{
    char name[LFS_ITEM_NAME_MAX];
    struct stat st;

    if (!(item->flags & LFS_ITEM_UNSEEN))
        return;
    lfs_item_name(kind, item, name);
    item->flags &= (uint16_t)~LFS_ITEM_UNSEEN;
    if (fstatat(lfs_store_dirfd(inventory->store, LFS_DIR_ROOT), name, &st, AT_SYMLINK_NOFOLLOW) <
        0)
        return; /* it is gone */
    item->size = (uint64_t)st.st_size;
    item->mtime = st.st_mtim.tv_sec;
}

int lfs_inventory_load(struct lfs_store *store, unsigned jobs, bool lazy,
    struct lfs_inventory **ret_inventory, struct report *r)
{
    _cleanup_(lfs_inventory_freep) struct lfs_inventory *inv = calloc(1, sizeof(*inv));
    int err;

    if (!inv)
        return -ENOMEM;
    inv->store = store;
    inv->lazy = lazy;
    err = load(inv, jobs);
    if (err < 0)
        return report_errno(r, err, "listing store %s", lfs_store_path(store));
    *ret_inventory = TAKE_PTR(inv);
    return 0;
}

struct lfs_inventory *lfs_inventory_free(struct lfs_inventory *inventory)
{
    for (int kind = 0; inventory && kind < LFS_ITEM_KINDS; kind++) {
        for (int i = 0; i < 256; i++) {
            struct lfs_bucket *bucket = &inventory->buckets[kind][i];

            for (size_t j = 0; kind == LFS_ITEM_BLOB && j < bucket->count; j++)
                if (bucket->items[j].flags & LFS_ITEM_NAMED)
                    free(bucket->items[j].name);
            free(bucket->items);
        }
    }
    free(inventory);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------
 * References
 */

static int each_in_tree(
    struct lfs_inventory *inv, const struct lfs_tree *tree, lfs_content_fn each, void *userdata)
{
    const uint8_t *sha256;
    struct lfs_item *item;

    for (uint32_t i = 0; i < lfs_tree_pack_count(tree); i++) {
        int err = lfs_tree_pack(tree, i, &sha256);

        if (err < 0)
            return err;
        if ((item = find_key(inv, LFS_ITEM_PACK, sha256)))
            each(userdata, LFS_ITEM_PACK, item);
    }
    for (uint32_t i = LFS_TREE_ROOT; i < lfs_tree_inode_count(tree); i++) {
        struct lfs_inode inode;
        int err = lfs_tree_inode(tree, i, &inode);

        if (err == 0 && inode.data_kind != LFS_DATA_OBJECT)
            continue;
        if (err == 0)
            err = lfs_tree_digest(tree, inode.digest, &sha256);
        if (err < 0)
            return err;
        item = find_key(inv, LFS_ITEM_OBJECT, sha256);
        if (item && (item->flags & LFS_ITEM_UNSEEN))
            item->size = inode.size;
        if (item)
            each(userdata, LFS_ITEM_OBJECT, item);
    }
    return 0;
}

int lfs_inventory_each_content(struct lfs_inventory *inventory, enum lfs_item_kind kind,
    const uint8_t key[static 32], lfs_content_fn each, void *userdata)
{
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct oci_digest id = oci_digest_sha256(key);
    struct report r = REPORT_INIT;
    int err = kind == LFS_ITEM_LAYER_TREE ? lfs_store_open_layer(inventory->store, &id, &tree, &r)
                                          : lfs_store_open_tree(inventory->store, &id, &tree, &r);

    if (err == 0)
        err = each_in_tree(inventory, tree, each, userdata);
    if (err == 0 || err == -ENOENT || err == -ENOMEM)
        return err == -ENOENT ? 0 : err;
    if (!inventory->has_damage) {
        char name[LFS_TREE_NAME_MAX + OCI_DIGEST_STR_MAX];

        (void)oci_digest_hex(&id, name);
        inventory->has_damage = true;
        inventory->damage = r;
        if (!report_is_set(&r))
            (void)report_errno(&inventory->damage, err, "tree %s", name);
    }
    return 0;
}

static void retain_content(void *userdata, enum lfs_item_kind kind, struct lfs_item *item)
{
    (void)userdata;
    (void)kind;
    item->refs++;
}

static void release_content(void *userdata, enum lfs_item_kind kind, struct lfs_item *item)
{
    (void)userdata;
    (void)kind;
    if (item->refs > 0)
        item->refs--;
}

static bool is_tree(enum lfs_item_kind kind)
{
    return kind == LFS_ITEM_IMAGE_TREE || kind == LFS_ITEM_LAYER_TREE;
}

int lfs_inventory_retain(
    struct lfs_inventory *inventory, enum lfs_item_kind kind, struct lfs_item *item)
{
    if (!item || item->refs++ > 0 || !is_tree(kind))
        return 0;
    return lfs_inventory_each_content(inventory, kind, item->key, retain_content, NULL);
}

int lfs_inventory_release(
    struct lfs_inventory *inventory, enum lfs_item_kind kind, struct lfs_item *item)
{
    if (!item || item->refs == 0 || --item->refs > 0 || !is_tree(kind))
        return 0;
    return lfs_inventory_each_content(inventory, kind, item->key, release_content, NULL);
}
