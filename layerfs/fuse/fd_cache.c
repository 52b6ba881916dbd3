/* SPDX-License-Identifier: Apache-2.0 */
/* Open files of objects: hash table, LRU list and reference counts, in shards.
 *
 *     shard: lock │ buckets ─▶ entry ─▶ entry        (by key)
 *                 │ idle: least recently used ⇄ … ⇄ most recently used   (references == 0)
 *                 │ unused entries
 *
 * An entry with references is in its bucket and on no list; giving the last reference back puts it
 * at the young end of `idle`, from whose old end a new file takes its entry. */
#include "layerfs/fuse/fd_cache.h"

#include <assert.h>
#include <pthread.h>

enum {
    SHARDS = 8,
    BUCKETS = 64, /* a shard; a power of two */
};

struct lfs_fd_entry {
    struct lfs_fd_entry *next; /* in the bucket, or unused */
    struct lfs_fd_entry *older, *younger;
    uint32_t key;
    uint32_t references;
    int fd;
};

struct shard {
    pthread_mutex_t lock; /* protects the shard and its entries; no I/O under it */
    struct lfs_fd_entry *buckets[BUCKETS];
    struct lfs_fd_entry *oldest, *youngest;
    struct lfs_fd_entry *unused;
};

struct lfs_fd_cache {
    struct lfs_stats *stats;
    struct lfs_fd_entry *entries;
    unsigned capacity;
    unsigned shard_count;
    struct shard shards[SHARDS];
};

static uint32_t hash(uint32_t key)
{
    return key * 2654435761u; /* Knuth's multiplicative hash; the high bits are the good ones */
}

static struct shard *shard_of(struct lfs_fd_cache *cache, uint32_t key)
{
    return &cache->shards[(hash(key) >> 16) % cache->shard_count];
}

static struct lfs_fd_entry **bucket_of(struct shard *s, uint32_t key)
{
    return &s->buckets[hash(key) >> 26];
}
_Static_assert(BUCKETS == 1 << (32 - 26), "the bucket is the top bits of the hash");

static struct lfs_fd_entry *find(struct shard *s, uint32_t key)
{
    struct lfs_fd_entry *e = *bucket_of(s, key);

    while (e && e->key != key)
        e = e->next;
    return e;
}

static void idle_push(struct shard *s, struct lfs_fd_entry *e)
{
    e->younger = NULL;
    e->older = s->youngest;
    if (s->youngest)
        s->youngest->younger = e;
    else
        s->oldest = e;
    s->youngest = e;
}

static void idle_remove(struct shard *s, struct lfs_fd_entry *e)
{
    if (e->older)
        e->older->younger = e->younger;
    else
        s->oldest = e->younger;
    if (e->younger)
        e->younger->older = e->older;
    else
        s->youngest = e->older;
    e->older = e->younger = NULL;
}

static struct lfs_fd_ref refer(struct shard *s, struct lfs_fd_entry *e)
{
    if (e->references++ == 0)
        idle_remove(s, e);
    return (struct lfs_fd_ref){.fd = e->fd, .entry = e};
}

int lfs_fd_cache_new(unsigned capacity, struct lfs_stats *stats, struct lfs_fd_cache **ret_cache)
{
    struct lfs_fd_cache *cache = calloc(1, sizeof(*cache));

    if (!cache)
        return -ENOMEM;
    cache->entries = calloc(capacity, sizeof(*cache->entries));
    if (!cache->entries) {
        free(cache);
        return -ENOMEM;
    }
    cache->stats = stats;
    cache->capacity = capacity;
    cache->shard_count = MIN(capacity, (unsigned)SHARDS);
    for (unsigned i = 0; i < SHARDS; i++)
        (void)pthread_mutex_init(&cache->shards[i].lock, NULL);
    for (unsigned i = 0; i < capacity; i++) {
        struct shard *s = &cache->shards[i % cache->shard_count];

        cache->entries[i].fd = -1;
        cache->entries[i].next = s->unused;
        s->unused = &cache->entries[i];
    }
    *ret_cache = cache;
    return 0;
}

struct lfs_fd_cache *lfs_fd_cache_free(struct lfs_fd_cache *cache)
{
    if (!cache)
        return NULL;
    for (unsigned i = 0; i < cache->capacity; i++) {
        assert(cache->entries[i].references == 0);
        cache->entries[i].fd = fd_close(cache->entries[i].fd);
    }
    for (unsigned i = 0; i < SHARDS; i++)
        (void)pthread_mutex_destroy(&cache->shards[i].lock);
    free(cache->entries);
    free(cache);
    return NULL;
}

struct lfs_fd_ref lfs_fd_cache_get(struct lfs_fd_cache *cache, uint32_t key)
{
    struct shard *s = shard_of(cache, key);
    struct lfs_fd_ref ref = LFS_FD_REF_NONE;
    struct lfs_fd_entry *e;

    pthread_mutex_lock(&s->lock);
    e = find(s, key);
    if (e)
        ref = refer(s, e);
    pthread_mutex_unlock(&s->lock);
    lfs_stats_add(cache->stats, e ? LFS_COUNT_FD_HITS : LFS_COUNT_FD_MISSES, 1);
    return ref;
}

static void unhash(struct shard *s, struct lfs_fd_entry *e)
{
    struct lfs_fd_entry **link = bucket_of(s, e->key);

    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
}

/* An entry for a new file: an unused one, else the one unused for longest, whose fd the caller
 * closes. NULL when all are in use. */
static struct lfs_fd_entry *take_entry(struct shard *s, int *ret_evicted_fd)
{
    struct lfs_fd_entry *e = s->unused;

    if (e) {
        s->unused = e->next;
        return e;
    }
    e = s->oldest;
    if (!e)
        return NULL;
    idle_remove(s, e);
    unhash(s, e);
    *ret_evicted_fd = e->fd;
    return e;
}

/* Under the lock. *fd is -1 when it was put in. */
static struct lfs_fd_ref insert(struct shard *s, uint32_t key, int *fd, int *ret_evicted_fd)
{
    struct lfs_fd_entry *e = find(s, key);

    if (e)
        return refer(s, e);
    e = take_entry(s, ret_evicted_fd);
    if (!e)
        return (struct lfs_fd_ref){.fd = TAKE_FD(*fd), .entry = NULL};
    *e = (struct lfs_fd_entry){
        .next = *bucket_of(s, key), .key = key, .references = 1, .fd = TAKE_FD(*fd)};
    *bucket_of(s, key) = e;
    return (struct lfs_fd_ref){.fd = e->fd, .entry = e};
}

struct lfs_fd_ref lfs_fd_cache_insert(struct lfs_fd_cache *cache, uint32_t key, int fd)
{
    struct shard *s = shard_of(cache, key);
    struct lfs_fd_ref ref;
    int evicted = -1;

    pthread_mutex_lock(&s->lock);
    ref = insert(s, key, &fd, &evicted);
    pthread_mutex_unlock(&s->lock);
    if (evicted >= 0)
        lfs_stats_add(cache->stats, LFS_COUNT_FD_EVICTIONS, 1);
    (void)fd_close(evicted);
    (void)fd_close(fd);
    return ref;
}

void lfs_fd_cache_put(struct lfs_fd_cache *cache, struct lfs_fd_ref ref)
{
    struct lfs_fd_entry *e = ref.entry;
    struct shard *s;

    if (!e) {
        (void)fd_close(ref.fd);
        return;
    }
    s = shard_of(cache, e->key); /* the key stays while there is a reference */
    pthread_mutex_lock(&s->lock);
    if (--e->references == 0)
        idle_push(s, e);
    pthread_mutex_unlock(&s->lock);
}
