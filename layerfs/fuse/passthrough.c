/* SPDX-License-Identifier: Apache-2.0 */
/* Passthrough: which inode has which backing file registered with the kernel, and who has it open.
 *
 *     state of an inode      next OPEN                     becomes
 *     unknown                open the object, register     passed through, 1 open
 *                            … which fails                 cached, 1 open
 *     passed through, n      the same backing id           passed through, n + 1
 *     passed through, 0      the same backing id           passed through, 1
 *     cached, n              cached                        cached, n + 1
 *     cached, last RELEASE                                 unknown
 *
 * The kernel refuses (and the application sees EIO) another backing id, or a cached open, while an
 * inode has a passed-through open, and the other way round: hence the table. Ids that nobody has
 * open are kept, up to a limit, so that the next OPEN is a table lookup; the one unused for longest
 * goes first. An id outlives our fd, which is closed once it is registered. */
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>

#include "layerfs/fuse/flight.h"
#include "layerfs/fuse/session.h"
#include "oci/util/io.h"

enum {
    BUCKETS = 1024, /* a power of two */
    IDLE_MAX = 1024,
};

struct backing {
    struct backing *next; /* in the bucket */
    struct backing *older, *younger;
    uint64_t number; /* of the inode */
    int id;          /* 0: cached */
    uint32_t opens;
};

struct lfs_passthrough {
    pthread_mutex_t lock; /* protects all below; held over the ioctls, which wait for nothing */
    struct backing *buckets[BUCKETS];
    struct backing *oldest, *youngest; /* passed through, 0 opens */
    unsigned idle;
    bool stopped;
};

/* An OPEN that waits for its object's file. */
struct lfs_open {
    struct lfs_io io; /* first, so that done() finds the rest */
    struct lfs_mount *mount;
    fuse_req_t req;
    struct lfs_flight flight;
    uint64_t number;
    uint64_t size; /* bytes the file must have: nobody checks what the kernel reads itself */
    char name[LFS_OBJECT_NAME_MAX];
};

const size_t lfs_open_size = sizeof(struct lfs_open);

bool lfs_passthrough_built(void)
{
    return true;
}

static bool in_first_user_namespace(void)
{
    static const char whole[] = "         0          0 4294967295\n";
    char map[sizeof(whole)];
    _cleanup_(fd_closep) int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);

    return fd >= 0 && io_read_full(fd, map, sizeof(map)) == (ssize_t)sizeof(whole) - 1 &&
           memcmp(map, whole, sizeof(whole) - 1) == 0;
}

static bool may_administer(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    return syscall(SYS_capget, &header, data) == 0 &&
           (data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN));
}

int lfs_passthrough_available(struct report *r)
{
    if (may_administer() && in_first_user_namespace())
        return 0;
    return report_fail(
        r, -EPERM, "passthrough needs CAP_SYS_ADMIN in the machine's first user namespace");
}

bool lfs_passthrough_negotiate(struct fuse_conn_info *conn, bool nested)
{
    if (!fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH))
        return false;
    conn->max_backing_stack_depth = nested ? 1 : 0;
    return true;
}

int lfs_passthrough_new(struct lfs_mount *m _unused_, struct lfs_passthrough **ret_passthrough)
{
    struct lfs_passthrough *p = calloc(1, sizeof(*p));

    if (!p)
        return -ENOMEM;
    (void)pthread_mutex_init(&p->lock, NULL);
    *ret_passthrough = p;
    return 0;
}

void lfs_passthrough_stop(struct lfs_passthrough *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopped = true;
    pthread_mutex_unlock(&p->lock);
}

struct lfs_passthrough *lfs_passthrough_free(struct lfs_passthrough *p)
{
    if (!p)
        return NULL;
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (p->buckets[i]) { /* the ids went with the connection */
            struct backing *b = p->buckets[i];

            p->buckets[i] = b->next;
            free(b);
        }
    }
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
    return NULL;
}

static struct backing **bucket_of(struct lfs_passthrough *p, uint64_t number)
{
    return &p->buckets[number % BUCKETS]; /* inode numbers are consecutive */
}

static struct backing *find(struct lfs_passthrough *p, uint64_t number)
{
    struct backing *b = *bucket_of(p, number);

    while (b && b->number != number)
        b = b->next;
    return b;
}

static void idle_push(struct lfs_passthrough *p, struct backing *b)
{
    b->younger = NULL;
    b->older = p->youngest;
    if (p->youngest)
        p->youngest->younger = b;
    else
        p->oldest = b;
    p->youngest = b;
    p->idle++;
}

static void idle_remove(struct lfs_passthrough *p, struct backing *b)
{
    if (b->older)
        b->older->younger = b->younger;
    else
        p->oldest = b->younger;
    if (b->younger)
        b->younger->older = b->older;
    else
        p->youngest = b->older;
    b->older = b->younger = NULL;
    p->idle--;
}

static void forget(struct lfs_passthrough *p, struct backing *b)
{
    struct backing **link = bucket_of(p, b->number);

    while (*link != b)
        link = &(*link)->next;
    *link = b->next;
    free(b);
}

/* One more open of a known inode. */
static void refer(struct lfs_passthrough *p, struct backing *b)
{
    if (b->id > 0 && b->opens == 0)
        idle_remove(p, b);
    b->opens++;
}

static void count_open(struct lfs_mount *m, uint64_t number)
{
    struct lfs_inode inode;

    lfs_stats_add(m->stats, LFS_COUNT_PASSTHROUGH_OPENS, 1);
    if (lfs_tree_inode(m->tree, number, &inode) == 0)
        lfs_stats_add(m->stats, LFS_COUNT_PASSTHROUGH_BYTES, inode.size);
}

static void reply_open(struct lfs_mount *m, fuse_req_t req, uint64_t number, int id)
{
    const enum lfs_handle handle = id > 0 ? LFS_HANDLE_PASSTHROUGH : LFS_HANDLE_TRACKED;
    struct fuse_file_info fi = {
        .fh = handle,
        .backing_id = id,
        .keep_cache = id == 0, /* together with a backing id it is EIO */
        .noflush = 1,
    };

    if (id > 0)
        count_open(m, number);
    if (lfs_reply_open(req, &fi) == -ENOENT) /* interrupted: there will be no RELEASE */
        lfs_passthrough_release(m, number, handle);
}

/* Replies when the inode is known. */
static bool open_known(struct lfs_mount *m, fuse_req_t req, uint64_t number)
{
    struct lfs_passthrough *p = m->passthrough;
    struct backing *b;
    int id = 0;

    pthread_mutex_lock(&p->lock);
    b = find(p, number);
    if (b) {
        refer(p, b);
        id = b->id;
    }
    pthread_mutex_unlock(&p->lock);
    if (b)
        reply_open(m, req, number, id);
    return b != NULL;
}

/* Closes the ids unused for longest that are too many. */
static void trim(struct lfs_passthrough *p, fuse_req_t req)
{
    while (p->idle > IDLE_MAX) {
        struct backing *b = p->oldest;

        idle_remove(p, b);
        (void)fuse_passthrough_close(req, b->id);
        forget(p, b);
    }
}

/* Under the lock: a new inode, with the file registered where the kernel lets us. */
static int make_known(struct lfs_passthrough *p, fuse_req_t req, uint64_t number, int fd)
{
    struct backing *b = malloc(sizeof(*b));

    if (!b)
        return -ENOMEM;
    trim(p, req);
    *b = (struct backing){.number = number, .next = *bucket_of(p, number)};
    b->id = p->stopped ? 0 : fuse_passthrough_open(req, fd);
    b->opens = 1;
    *bucket_of(p, number) = b;
    return b->id;
}

/* Registers an object's file, unless another OPEN of the inode was faster: the id, 0 when it has to
 * be read by us, -EIO for a damaged object, -ENOMEM. */
static int register_object(struct lfs_open *open, int fd)
{
    struct lfs_passthrough *p = open->mount->passthrough;
    struct backing *b;
    struct stat st;
    int id;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != open->size)
        return -EIO;
    pthread_mutex_lock(&p->lock);
    b = find(p, open->number);
    if (b)
        refer(p, b);
    id = b ? b->id : make_known(p, open->req, open->number, fd);
    pthread_mutex_unlock(&p->lock);
    return id;
}

static void open_done(struct lfs_io *io, int result)
{
    struct lfs_open *open = (struct lfs_open *)io;
    int id = result < 0 ? result : register_object(open, result);

    lfs_flight_resume(open->flight);
    if (id < 0)
        lfs_reply_error(open->mount, open->req, id == -ENOENT ? -EIO : id);
    else
        reply_open(open->mount, open->req, open->number, id);
    (void)fd_close(result);
    pool_give(&open->mount->opens, open);
}

void lfs_passthrough_open(struct lfs_mount *m, fuse_req_t req, const struct lfs_inode *inode)
{
    struct lfs_open *open;
    const uint8_t *sha256;
    int r = lfs_tree_digest(m->tree, inode->digest, &sha256);

    if (r == 0 && open_known(m, req, inode->number))
        return;
    open = r == 0 ? pool_take(&m->opens) : NULL;
    if (!open) {
        lfs_reply_error(m, req, r < 0 ? r : -ENOMEM);
        return;
    }
    *open = (struct lfs_open){
        .io = {.kind = LFS_IO_OPEN, .done = open_done, .name = open->name},
        .mount = m,
        .req = req,
        .flight = lfs_flight_take(),
        .number = inode->number,
        .size = inode->size,
    };
    lfs_store_object_name(sha256, open->name);
    open->io.fd = lfs_store_dirfd(m->store, LFS_DIR_OBJECTS);
    lfs_reader_submit(m->reader, &open->io);
}

void lfs_passthrough_release(struct lfs_mount *m, uint64_t number, uint64_t handle)
{
    struct lfs_passthrough *p = m->passthrough;
    struct backing *b;

    if (!p || handle == LFS_HANDLE_CACHED)
        return;
    pthread_mutex_lock(&p->lock);
    b = find(p, number);
    if (b && b->opens > 0 && --b->opens == 0) {
        if (b->id > 0)
            idle_push(p, b);
        else
            forget(p, b);
    }
    pthread_mutex_unlock(&p->lock);
}
