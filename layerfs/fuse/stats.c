/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of a mount in a shared file.
 *
 * The magic is written last, so that a reader who comes early sees no counters rather than half a
 * header. The file is allocated in full, so that counting can never fault for want of space. */
#include "layerfs/fuse/stats.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char *const opcode_names[LFS_STATS_OPCODES] = {
    [1] = "LOOKUP",
    [2] = "FORGET",
    [3] = "GETATTR",
    [4] = "SETATTR",
    [5] = "READLINK",
    [6] = "SYMLINK",
    [8] = "MKNOD",
    [9] = "MKDIR",
    [10] = "UNLINK",
    [11] = "RMDIR",
    [12] = "RENAME",
    [13] = "LINK",
    [14] = "OPEN",
    [15] = "READ",
    [16] = "WRITE",
    [17] = "STATFS",
    [18] = "RELEASE",
    [20] = "FSYNC",
    [21] = "SETXATTR",
    [22] = "GETXATTR",
    [23] = "LISTXATTR",
    [24] = "REMOVEXATTR",
    [25] = "FLUSH",
    [26] = "INIT",
    [27] = "OPENDIR",
    [28] = "READDIR",
    [29] = "RELEASEDIR",
    [30] = "FSYNCDIR",
    [31] = "GETLK",
    [32] = "SETLK",
    [33] = "SETLKW",
    [34] = "ACCESS",
    [35] = "CREATE",
    [36] = "INTERRUPT",
    [37] = "BMAP",
    [38] = "DESTROY",
    [39] = "IOCTL",
    [40] = "POLL",
    [41] = "NOTIFY_REPLY",
    [42] = "BATCH_FORGET",
    [43] = "FALLOCATE",
    [44] = "READDIRPLUS",
    [45] = "RENAME2",
    [46] = "LSEEK",
    [47] = "COPY_FILE_RANGE",
    [48] = "SETUPMAPPING",
    [49] = "REMOVEMAPPING",
    [50] = "SYNCFS",
    [51] = "TMPFILE",
    [52] = "STATX",
    [53] = "COPY_FILE_RANGE_64",
};

static const char *const counter_names[] = {
    [LFS_COUNT_READ_INLINE_BYTES] = "read_inline_bytes",
    [LFS_COUNT_READ_PACK_BYTES] = "read_pack_bytes",
    [LFS_COUNT_READ_OBJECT_BYTES] = "read_object_bytes",
    [LFS_COUNT_READ_CACHED] = "read_cached",
    [LFS_COUNT_READ_CACHED_BYTES] = "read_cached_bytes",
    [LFS_COUNT_READ_ASYNC] = "read_async",
    [LFS_COUNT_FD_HITS] = "fd_hits",
    [LFS_COUNT_FD_MISSES] = "fd_misses",
    [LFS_COUNT_FD_EVICTIONS] = "fd_evictions",
    [LFS_COUNT_PASSTHROUGH_OPENS] = "passthrough_opens",
    [LFS_COUNT_PASSTHROUGH_BYTES] = "passthrough_bytes",
    [LFS_COUNT_STORED_BYTES] = "stored_bytes",
    [LFS_COUNT_ERRORS] = "errors",
    [LFS_COUNT_BUFFERS_PEAK] = "buffers_peak",
};
_Static_assert(ARRAY_SIZE(counter_names) == LFS_COUNTERS, "every counter has a name");

static const char *const pool_names[] = {
    [LFS_POOL_SMALL_BUFFERS] = "small_buffers",
    [LFS_POOL_LARGE_BUFFERS] = "large_buffers",
    [LFS_POOL_READS] = "reads",
    [LFS_POOL_OPENS] = "opens",
    [LFS_POOL_DISK_SMALL] = "disk_small",
    [LFS_POOL_DISK_LARGE] = "disk_large",
};
_Static_assert(ARRAY_SIZE(pool_names) == LFS_POOLS, "every pool has a name");

const char *lfs_stats_opcode_name(unsigned opcode)
{
    return opcode < LFS_STATS_OPCODES ? opcode_names[opcode] : NULL;
}

const char *lfs_counter_name(enum lfs_counter counter)
{
    return (unsigned)counter < LFS_COUNTERS ? counter_names[counter] : NULL;
}

const char *lfs_pool_name(enum lfs_stats_pool pool)
{
    return (unsigned)pool < LFS_POOLS ? pool_names[pool] : NULL;
}

const char *lfs_confined_name(unsigned bit)
{
    switch (bit) {
    case LFS_CONFINED_NO_NEW_PRIVS:
        return "no_new_privs";
    case LFS_CONFINED_CAPABILITIES:
        return "capabilities";
    case LFS_CONFINED_SECCOMP:
        return "seccomp";
    case LFS_CONFINED_LANDLOCK:
        return "landlock";
    default:
        return NULL;
    }
}

static int map(int fd, int protection, void **ret_map)
{
    void *p = mmap(NULL, sizeof(struct lfs_stats), protection, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED)
        return neg_errno();
    *ret_map = p;
    return 0;
}

int lfs_stats_create(const char *path, struct lfs_stats **ret_stats, struct report *r)
{
    _cleanup_(fd_closep) int fd =
        open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    struct lfs_stats *stats;
    void *mapped = NULL;
    int err;

    if (fd < 0)
        return report_errno(r, neg_errno(), "%s", path);
    err = -posix_fallocate(fd, 0, sizeof(*stats));
    if (err == 0)
        err = map(fd, PROT_READ | PROT_WRITE, &mapped);
    if (err < 0)
        return report_errno(r, err, "%s", path);
    stats = mapped;
    atomic_thread_fence(memory_order_release);
    memcpy(stats->magic, LFS_STATS_MAGIC, sizeof(stats->magic));
    *ret_stats = stats;
    return 0;
}

int lfs_stats_open(const char *path, const struct lfs_stats **ret_stats, struct report *r)
{
    _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    void *mapped = NULL;
    int err;

    if (fd < 0 || fstat(fd, &st) < 0)
        return report_errno(r, neg_errno(), "%s", path);
    if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct lfs_stats))
        return report_fail(r, -EBADMSG, "%s: no counters of a mount", path);
    err = map(fd, PROT_READ, &mapped);
    if (err < 0)
        return report_errno(r, err, "%s", path);
    if (memcmp(mapped, LFS_STATS_MAGIC, sizeof(((struct lfs_stats *)mapped)->magic)) != 0) {
        (void)munmap(mapped, sizeof(struct lfs_stats));
        return report_fail(r, -EBADMSG, "%s: no counters of a mount", path);
    }
    *ret_stats = mapped;
    return 0;
}

void lfs_stats_close(const struct lfs_stats *stats)
{
    if (stats)
        (void)munmap((void *)(uintptr_t)stats, sizeof(*stats));
}
