/* SPDX-License-Identifier: Apache-2.0 */
/* Writing object files with a few threads.
 *
 *     caller: gather ─ hash ─ is it there? ─┬─ queue ─▶ thread: create, write, close
 *                                           └─ drop
 *
 * The caller's thread hashes, so that it knows each digest at once; what costs time without needing
 * the processor (creating files, copying into the page cache, waiting when too much is dirty) is
 * left to the threads. Contents up to a buffer's size are held whole, so that one that exists is
 * never written; larger ones go straight to a file. perf/micro/bench_objects.c compares this with
 * other ways. */
#include "layerfs/store/object_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "layerfs/store/lease.h"
#include "oci/util/io.h"

enum {
    BUFFER_SIZE = 1 << 20, /* bytes */
    BUFFERS = 4,           /* a writer: with four layers at a time 16 MiB */
    THREADS = 2,
};

static const char unnamed[] = "unfinished"; /* the file of the content that is being streamed */

struct slot {
    struct slot *next;
    uint8_t *data; /* BUFFER_SIZE bytes, made at first use */
    size_t size;
    char name[LFS_KEY_MAX];
};

struct lfs_object_writer {
    struct lfs_store *store;
    struct oci_hash *hash;
    int folder_fd; /* the writer's folder below tmp/, locked; -1 before the first content */
    char folder[48];

    /* The content being taken; used by the caller's thread only. */
    uint64_t size, at; /* bytes: all, and so far */
    struct slot *slot; /* NULL while streaming */
    int fd;            /* of the streamed file */

    pthread_mutex_t lock; /* protects all below; never held over I/O */
    pthread_cond_t work;  /* queue or stop changed */
    pthread_cond_t done;  /* a slot became free or error changed */
    struct slot *free_slots, *queue, **queue_end;
    unsigned busy; /* slots queued or in a thread's hands */
    int error;     /* the first, kept */
    bool stop;
    unsigned thread_count;
    pthread_t threads[THREADS];
    struct slot slots[BUFFERS];
};

/* ------------------------------------------------------------------------------------------------
 * The threads
 */

/* A name that is there is the same content, written or being written by another thread. */
static int write_object(int folder_fd, const struct slot *slot)
{
    _cleanup_(fd_closep) int fd =
        openat(folder_fd, slot->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    int err;

    if (fd < 0)
        return errno == EEXIST ? 0 : neg_errno();
    err = io_write_full(fd, slot->data, slot->size);
    if (err == 0 && fchmod(fd, 0444) < 0) /* whatever the umask */
        err = neg_errno();
    return err;
}

static struct slot *next_work(struct lfs_object_writer *w)
{
    struct slot *slot;

    while (!w->queue && !w->stop)
        pthread_cond_wait(&w->work, &w->lock);
    slot = w->queue;
    if (slot) {
        w->queue = slot->next;
        if (!w->queue)
            w->queue_end = &w->queue;
    }
    return slot;
}

static void give_slot(struct lfs_object_writer *w, struct slot *slot)
{
    slot->next = w->free_slots;
    w->free_slots = slot;
    pthread_cond_broadcast(&w->done);
}

static void *run_thread(void *userdata)
{
    struct lfs_object_writer *w = userdata;

    pthread_mutex_lock(&w->lock);
    for (struct slot *slot = next_work(w); slot; slot = next_work(w)) {
        bool failed = w->error < 0;
        int err = 0;

        pthread_mutex_unlock(&w->lock);
        if (!failed)
            err = write_object(w->folder_fd, slot);
        pthread_mutex_lock(&w->lock);
        if (err < 0 && w->error == 0)
            w->error = err;
        w->busy--;
        give_slot(w, slot);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------
 * The caller's side
 */

int lfs_object_writer_new(struct lfs_store *store, struct lfs_object_writer **ret_writer)
{
    struct lfs_object_writer *w = calloc(1, sizeof(*w));
    int err;

    if (!w)
        return -ENOMEM;
    w->store = store;
    w->folder_fd = w->fd = -1;
    w->queue_end = &w->queue;
    err = -pthread_mutex_init(&w->lock, NULL);
    if (err < 0) {
        free(w);
        return err;
    }
    (void)pthread_cond_init(&w->work, NULL); /* cannot fail without attributes */
    (void)pthread_cond_init(&w->done, NULL);
    for (size_t i = 0; i < BUFFERS; i++)
        give_slot(w, &w->slots[i]);
    err = oci_hash_new(OCI_DIGEST_SHA256, &w->hash);
    if (err < 0) {
        (void)lfs_object_writer_free(w);
        return err;
    }
    *ret_writer = w;
    return 0;
}

/* The lock on the folder tells that somebody uses it. */
static int make_folder(struct lfs_object_writer *w)
{
    _cleanup_(fd_closep) int hold = -1; /* gc must not meet it before it is locked */
    int tmp = lfs_store_dirfd(w->store, LFS_DIR_TMP);
    int held = lfs_gc_hold(w->store, &hold, NULL);
    uint64_t value[2];

    if (held < 0)
        return held;
    if (getrandom(value, sizeof(value), 0) != sizeof(value))
        return neg_errno();
    (void)snprintf(w->folder, sizeof(w->folder), "objects-%016llx%016llx",
        (unsigned long long)value[0], (unsigned long long)value[1]);
    if (mkdirat(tmp, w->folder, 0700) < 0)
        return neg_errno();
    w->folder_fd = openat(tmp, w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (w->folder_fd < 0 || flock(w->folder_fd, LOCK_EX | LOCK_NB) < 0) {
        int err = neg_errno();

        (void)unlinkat(tmp, w->folder, AT_REMOVEDIR);
        return err;
    }
    return 0;
}

/* The folder and the threads are made for the first content: many layers have no large one. */
static int start(struct lfs_object_writer *w)
{
    int err = w->folder_fd < 0 ? make_folder(w) : 0;

    while (err == 0 && w->thread_count < THREADS) {
        err = -pthread_create(&w->threads[w->thread_count], NULL, run_thread, w);
        if (err == 0)
            w->thread_count++;
        else if (w->thread_count > 0)
            return 0; /* fewer do as well */
    }
    return err;
}

static int take_slot(struct lfs_object_writer *w)
{
    struct slot *slot = NULL;
    int err;

    pthread_mutex_lock(&w->lock);
    while (!w->free_slots && w->error == 0)
        pthread_cond_wait(&w->done, &w->lock);
    err = w->error;
    if (err == 0) {
        slot = w->free_slots;
        w->free_slots = slot->next;
    }
    pthread_mutex_unlock(&w->lock);
    if (slot && !slot->data) {
        slot->data = malloc(BUFFER_SIZE);
        err = slot->data ? 0 : -ENOMEM;
    }
    w->slot = slot;
    return err;
}

static int fail(struct lfs_object_writer *w, int err)
{
    pthread_mutex_lock(&w->lock);
    if (err < 0 && w->error == 0)
        w->error = err;
    err = w->error;
    pthread_mutex_unlock(&w->lock);
    return err;
}

int lfs_object_writer_begin(struct lfs_object_writer *w, uint64_t size)
{
    int err = fail(w, w->thread_count < THREADS ? start(w) : 0);

    if (err < 0)
        return err;
    w->size = size;
    w->at = 0;
    if (size <= BUFFER_SIZE)
        return fail(w, take_slot(w));
    w->fd = openat(w->folder_fd, unnamed, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    return w->fd < 0 ? fail(w, neg_errno()) : 0;
}

static int take_zeros(struct lfs_object_writer *w, uint64_t count)
{
    static const uint8_t zeros[64 << 10];

    if (w->slot)
        memset(w->slot->data + w->at, 0, count);
    else
        for (uint64_t n = 0; n < count; n += sizeof(zeros))
            if (oci_hash_update(w->hash, zeros, MIN(count - n, sizeof(zeros))) < 0)
                return -EIO;
    w->at += count;
    return 0;
}

int lfs_object_writer_write(
    struct lfs_object_writer *w, const void *data, size_t size, uint64_t offset)
{
    int err = 0;

    if (offset < w->at || offset > w->size || size > w->size - offset)
        return fail(w, -EINVAL);
    if (offset > w->at)
        err = take_zeros(w, offset - w->at);
    if (err == 0 && w->slot) {
        memcpy(w->slot->data + offset, data, size);
    } else if (err == 0) {
        err = oci_hash_update(w->hash, data, size);
        if (err == 0)
            err = io_pwrite_full(w->fd, data, size, (off_t)offset);
    }
    w->at += size;
    return fail(w, err);
}

static void object_name(const char *hex, char name[static LFS_KEY_MAX + 1])
{
    (void)snprintf(name, LFS_KEY_MAX + 1, "%.2s/%.62s", hex, hex + 2);
}

/* An object that is there gets a second name in our folder: should gc remove the first, which
 * nothing may refer to yet, publishing gives it back. */
static bool keep_object(struct lfs_object_writer *w, const char *hex)
{
    int objects = lfs_store_dirfd(w->store, LFS_DIR_OBJECTS);
    char name[LFS_KEY_MAX + 1];

    object_name(hex, name);
    if (linkat(objects, name, w->folder_fd, hex, 0) == 0 || errno == EEXIST)
        return true;
    if (errno == ENOENT)
        return false;
    /* A file system without links, an object of another user. */
    return faccessat(objects, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Queues the slot, or gives it back when its content is there already. */
static void end_slot(struct lfs_object_writer *w, const char *hex)
{
    struct slot *slot = TAKE_PTR(w->slot);
    bool exists = keep_object(w, hex);

    slot->size = w->size;
    memcpy(slot->name, hex, LFS_KEY_MAX);
    pthread_mutex_lock(&w->lock);
    if (exists) {
        give_slot(w, slot);
    } else {
        slot->next = NULL;
        *w->queue_end = slot;
        w->queue_end = &slot->next;
        w->busy++;
        pthread_cond_signal(&w->work);
    }
    pthread_mutex_unlock(&w->lock);
}

static int end_file(struct lfs_object_writer *w, const char *hex)
{
    _cleanup_(fd_closep) int fd = TAKE_FD(w->fd);

    if (keep_object(w, hex))
        return unlinkat(w->folder_fd, unnamed, 0) < 0 ? neg_errno() : 0;
    if (ftruncate(fd, (off_t)w->size) < 0 || fchmod(fd, 0444) < 0)
        return neg_errno();
    return renameat(w->folder_fd, unnamed, w->folder_fd, hex) < 0 ? neg_errno() : 0;
}

int lfs_object_writer_end(struct lfs_object_writer *w, uint8_t ret_sha256[static 32])
{
    char hex[OCI_DIGEST_STR_MAX];
    struct oci_digest digest;
    int err = fail(w, take_zeros(w, w->size - w->at));

    if (err == 0 && w->slot)
        err = oci_hash_update(w->hash, w->slot->data, w->size);
    if (err == 0)
        err = oci_hash_final(w->hash, &digest);
    if (err < 0)
        return fail(w, err);
    (void)oci_digest_hex(&digest, hex);
    if (w->slot)
        end_slot(w, hex);
    else
        err = end_file(w, hex);
    memcpy(ret_sha256, digest.bytes, 32);
    return fail(w, err);
}

static void stop_threads(struct lfs_object_writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    while (w->thread_count > 0)
        (void)pthread_join(w->threads[--w->thread_count], NULL);
}

/* The buffers go too: a staged layer may wait for others. */
int lfs_object_writer_flush(struct lfs_object_writer *w)
{
    stop_threads(w); /* they empty the queue first */
    for (size_t i = 0; i < BUFFERS; i++) {
        free(w->slots[i].data);
        w->slots[i].data = NULL;
    }
    return w->error;
}

/* ------------------------------------------------------------------------------------------------
 * Publishing
 */

/* A rename that does not replace; -EEXIST. */
static int rename_new(int from, const char *from_name, int to, const char *to_name)
{
    if (renameat2(from, from_name, to, to_name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return neg_errno();
    if (linkat(from, from_name, to, to_name, 0) < 0) /* file systems without that flag */
        return neg_errno();
    return unlinkat(from, from_name, 0) < 0 ? neg_errno() : 0;
}

static int move_object(struct lfs_object_writer *w, const char *hex)
{
    int objects = lfs_store_dirfd(w->store, LFS_DIR_OBJECTS);
    char name[LFS_KEY_MAX + 1], prefix[3] = {hex[0], hex[1], '\0'};
    int err;

    object_name(hex, name);
    err = rename_new(w->folder_fd, hex, objects, name);
    if (err == -ENOENT) {
        err = io_mkdir(objects, prefix, 0755);
        if (err == 0)
            err = rename_new(w->folder_fd, hex, objects, name);
    }
    if (err == -EEXIST) /* somebody else was faster, and readers may have theirs open */
        err = unlinkat(w->folder_fd, hex, 0) < 0 ? neg_errno() : 0;
    return err;
}

/* Calls fn for every file of the folder. */
static int each_file(
    struct lfs_object_writer *w, int (*fn)(struct lfs_object_writer *w, const char *name))
{
    int fd = openat(w->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        err = neg_errno();
        (void)fd_close(fd);
        return err;
    }
    errno = 0;
    for (struct dirent *e = readdir(dir); e && err == 0; e = readdir(dir)) {
        if (e->d_name[0] != '.')
            err = fn(w, e->d_name);
        errno = 0;
    }
    if (err == 0)
        err = -errno;
    (void)closedir(dir);
    return err;
}

static int remove_folder(struct lfs_object_writer *w)
{
    if (unlinkat(lfs_store_dirfd(w->store, LFS_DIR_TMP), w->folder, AT_REMOVEDIR) < 0)
        return neg_errno();
    w->folder_fd = fd_close(w->folder_fd);
    return 0;
}

int lfs_object_writer_publish(struct lfs_object_writer *w)
{
    int err;

    if (w->error < 0 || w->folder_fd < 0)
        return w->error;
    err = each_file(w, move_object);
    return err < 0 ? err : remove_folder(w);
}

static int remove_file(struct lfs_object_writer *w, const char *name)
{
    return unlinkat(w->folder_fd, name, 0) < 0 ? neg_errno() : 0;
}

struct lfs_object_writer *lfs_object_writer_free(struct lfs_object_writer *w)
{
    int saved = errno;

    if (!w)
        return NULL;
    (void)fail(w, -ECANCELED); /* what is queued need not be written any more */
    (void)lfs_object_writer_flush(w);
    w->fd = fd_close(w->fd);
    if (w->folder_fd >= 0) {
        (void)each_file(w, remove_file);
        (void)remove_folder(w);
        w->folder_fd = fd_close(w->folder_fd);
    }
    (void)oci_hash_free(w->hash);
    (void)pthread_cond_destroy(&w->done);
    (void)pthread_cond_destroy(&w->work);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
    errno = saved;
    return NULL;
}
