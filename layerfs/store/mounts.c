/* SPDX-License-Identifier: Apache-2.0 */
/* Records of live mounts.
 *
 * A record is written and locked before it gets its name, so that whoever sees it can ask its lock
 * whether the daemon lives. The lock belongs to the open file, not to a process: it survives the
 * daemon's forks and goes with the last of them. */
#include "layerfs/store/mounts.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>

#include "layerfs/store/image.h"
#include "layerfs/store/seal.h"
#include "oci/util/io.h"
#include "oci/util/log.h"

enum {
    RECORD_MAX = 64 << 10, /* bytes */
    READ_TRIES = 3,        /* a record that is being rewritten may be read half old, half new */
};

static const char suffix[] = ".json";

void lfs_mount_record_deinit(struct lfs_mount_record *record)
{
    free(record->id);
    free(record->mountpoint);
    free(record->fuse_mountpoint);
    free(record->image);
    free(record->upper);
    free(record->work);
    free(record->stats_path);
    free(record->data_mode);
    free(record->transport);
    *record = (struct lfs_mount_record){0};
}

/* ------------------------------------------------------------------------------------------------
 * As JSON
 */

/* The strings of a record, by their names in the file. */
static const struct {
    const char *name;
    size_t offset;
} strings[] = {
    {"mountpoint", offsetof(struct lfs_mount_record, mountpoint)},
    {"fuse_mountpoint", offsetof(struct lfs_mount_record, fuse_mountpoint)},
    {"image", offsetof(struct lfs_mount_record, image)},
    {"upper", offsetof(struct lfs_mount_record, upper)},
    {"work", offsetof(struct lfs_mount_record, work)},
    {"stats", offsetof(struct lfs_mount_record, stats_path)},
    {"data_mode", offsetof(struct lfs_mount_record, data_mode)},
    {"transport", offsetof(struct lfs_mount_record, transport)},
};

static char **string_at(struct lfs_mount_record *record, size_t offset)
{
    return (char **)(void *)((char *)record + offset);
}

/* A path need not be UTF-8 but JSON must be: such bytes, and the escape itself, are %XX. */
static char *escape(const char *s)
{
    _cleanup_(buf_deinit) struct buf b = {0};

    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        int err =
            c < 0x20 || c >= 0x7f || c == '%' ? buf_printf(&b, "%%%02X", c) : buf_append(&b, s, 1);

        if (err < 0)
            return NULL;
    }
    return buf_steal_str(&b);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static char *unescape(const char *s)
{
    char *out = malloc(strlen(s) + 1), *at = out;

    if (!out)
        return NULL;
    while (*s) {
        int high = s[0] == '%' ? hex_value(s[1]) : -1;
        int low = high >= 0 ? hex_value(s[2]) : -1;

        if (low >= 0 && (high | low) != 0) {
            *at++ = (char)(high << 4 | low);
            s += 3;
        } else {
            *at++ = *s++;
        }
    }
    *at = '\0';
    return out;
}

static int set_string(json_t *json, const char *name, const char *value)
{
    _cleanup_(freep) char *escaped = NULL;

    if (!value)
        return 0;
    escaped = escape(value);
    if (!escaped || json_object_set_new(json, name, json_string(escaped)) < 0)
        return -ENOMEM;
    return 0;
}

static int set_digest(json_t *json, const char *name, const struct oci_digest *digest)
{
    char text[OCI_DIGEST_STR_MAX];

    if (digest->alg == OCI_DIGEST_NONE)
        return 0;
    return json_object_set_new(json, name, json_string(oci_digest_format(digest, text))) < 0
               ? -ENOMEM
               : 0;
}

static int fill_json(json_t *json, const struct lfs_mount_record *record)
{
    int err = 0;

    for (size_t i = 0; i < ARRAY_SIZE(strings) && err == 0; i++) {
        const char *const *s =
            (const char *const *)(const void *)((const char *)record + strings[i].offset);

        err = set_string(json, strings[i].name, *s);
    }
    if (err == 0)
        err = set_digest(json, "manifest", &record->manifest);
    if (err == 0)
        err = set_digest(json, "chain_id", &record->chain_id);
    if (err == 0 && (json_object_set_new(json, "pid", json_integer(record->pid)) < 0 ||
                        json_object_set_new(json, "started", json_integer(record->started)) < 0))
        err = -ENOMEM;
    return err;
}

static int format_record(const struct lfs_mount_record *record, struct buf *b)
{
    json_t *json = json_object();
    int err = json ? fill_json(json, record) : -ENOMEM;

    if (err == 0)
        err = lfs_seal(json, b);
    if (err == 0)
        err = buf_append_str(b, "\n");
    json_decref(json);
    return err;
}

static int get_string(json_t *json, const char *name, char **ret_value)
{
    json_t *value = json_object_get(json, name);

    if (!value)
        return 0;
    if (!json_is_string(value))
        return -EBADMSG;
    *ret_value = unescape(json_string_value(value));
    return *ret_value ? 0 : -ENOMEM;
}

static int get_digest(json_t *json, const char *name, struct oci_digest *ret_digest)
{
    json_t *value = json_object_get(json, name);

    if (!value)
        return 0;
    return json_is_string(value) && oci_digest_parse(json_string_value(value), ret_digest) == 0
               ? 0
               : -EBADMSG;
}

static int get_integer(json_t *json, const char *name, int64_t *ret_value)
{
    json_t *value = json_object_get(json, name);

    if (!json_is_integer(value))
        return -EBADMSG;
    *ret_value = json_integer_value(value);
    return 0;
}

static int parse_json(json_t *json, struct lfs_mount_record *record)
{
    int err = 0;

    for (size_t i = 0; i < ARRAY_SIZE(strings) && err == 0; i++)
        err = get_string(json, strings[i].name, string_at(record, strings[i].offset));
    if (err == 0)
        err = get_digest(json, "manifest", &record->manifest);
    if (err == 0)
        err = get_digest(json, "chain_id", &record->chain_id);
    if (err == 0)
        err = get_integer(json, "pid", &record->pid);
    if (err == 0)
        err = get_integer(json, "started", &record->started);
    return err == 0 && !record->mountpoint ? -EBADMSG : err;
}

static int parse_record(const struct buf *b, const char *id, struct lfs_mount_record *ret_record)
{
    struct lfs_mount_record record = {.id = strdup(id)};
    json_t *json = NULL;
    int err = record.id ? oci_json_load(b->data, b->size, id, &json, NULL) : -ENOMEM;

    if (err == 0)
        err = parse_json(json, &record);
    json_decref(json);
    if (err < 0) {
        lfs_mount_record_deinit(&record);
        return err;
    }
    *ret_record = record;
    return 0;
}

/* ------------------------------------------------------------------------------------------------
 * Lock
 */

static int lock_record(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? neg_errno() : 0;
}

/* Asking takes no lock, so that two who ask do not see each other. */
static bool is_locked(int fd)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* ------------------------------------------------------------------------------------------------
 * Writing
 */

static int make_id(char **ret_id)
{
    uint64_t value;
    char *id;

    if (getrandom(&value, sizeof(value), 0) != sizeof(value))
        return neg_errno();
    if (asprintf(&id, "%016llx", (unsigned long long)value) < 0)
        return -ENOMEM;
    *ret_id = id;
    return 0;
}

static void record_name(const char *id, char name[static NAME_MAX + 1])
{
    (void)snprintf(name, NAME_MAX + 1, "%s%s", id, suffix);
}

/* Over what is there: the new text first, so that no moment leaves an empty file. */
static int write_record(int fd, const struct lfs_mount_record *record)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    int err = format_record(record, &b);

    if (err == 0)
        err = io_pwrite_full(fd, b.data, b.size, 0);
    if (err == 0 && ftruncate(fd, (off_t)b.size) < 0)
        err = neg_errno();
    return err;
}

static int create_record(
    struct lfs_store *store, const struct lfs_mount_record *record, int *ret_fd)
{
    _cleanup_(io_tmp_deinit) struct io_tmp tmp = IO_TMP_INIT;
    _cleanup_(fd_closep) int fd = -1;
    char name[NAME_MAX + 1];
    int err = io_tmp_open(lfs_store_dirfd(store, LFS_DIR_TMP), 0644, &tmp);

    if (err == 0)
        err = lock_record(tmp.fd);
    if (err == 0)
        err = write_record(tmp.fd, record);
    if (err < 0)
        return err;
    fd = fcntl(tmp.fd, F_DUPFD_CLOEXEC, 3); /* the lock stays with the copy */
    if (fd < 0)
        return neg_errno();
    record_name(record->id, name);
    err = io_tmp_publish(&tmp, lfs_store_dirfd(store, LFS_DIR_MOUNTS), name, 0);
    if (err == 0)
        *ret_fd = TAKE_FD(fd);
    return err;
}

int lfs_mount_record_create(
    struct lfs_store *store, struct lfs_mount_record *record, int *ret_fd, struct report *r)
{
    int err = record->id ? 0 : make_id(&record->id);

    if (err == 0)
        err = create_record(store, record, ret_fd);
    if (err == 0)
        lfs_image_mark_used(store, &record->manifest);
    return err < 0 ? report_errno(r, err, "mount record in %s", lfs_store_path(store)) : 0;
}

int lfs_mount_record_update(
    struct lfs_store *store, const struct lfs_mount_record *record, int fd, struct report *r)
{
    int err = write_record(fd, record);

    return err < 0
               ? report_errno(r, err, "mount record %s in %s", record->id, lfs_store_path(store))
               : 0;
}

void lfs_mount_record_remove(struct lfs_store *store, const char *id)
{
    char name[NAME_MAX + 1];

    record_name(id, name);
    if (unlinkat(lfs_store_dirfd(store, LFS_DIR_MOUNTS), name, 0) < 0)
        log_debug(LOG_MOUNT, "remove record %s: %s", id, strerror(errno));
}

/* ------------------------------------------------------------------------------------------------
 * Reading
 */

static int open_record(struct lfs_store *store, const char *id)
{
    char name[NAME_MAX + 1];
    int fd;

    record_name(id, name);
    fd = openat(lfs_store_dirfd(store, LFS_DIR_MOUNTS), name,
        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? neg_errno() : fd;
}

static int read_record_once(int fd, const char *id, struct lfs_mount_record *ret_record)
{
    _cleanup_(buf_deinit) struct buf b = {0};
    int err = buf_reserve(&b, RECORD_MAX);
    ssize_t n;

    if (err < 0)
        return err;
    n = io_pread_full(fd, b.data, RECORD_MAX, 0);
    if (n < 0)
        return (int)n;
    b.size = (size_t)n;
    return parse_record(&b, id, ret_record);
}

static int read_record(int fd, const char *id, struct lfs_mount_record *ret_record)
{
    int err = -EBADMSG;

    for (int i = 0; i < READ_TRIES && err == -EBADMSG; i++)
        err = read_record_once(fd, id, ret_record);
    return err;
}

void lfs_mount_list_deinit(struct lfs_mount_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        lfs_mount_record_deinit(&list->records[i]);
    free(list->records);
    free(list->alive);
    *list = (struct lfs_mount_list){0};
}

static int grow(struct lfs_mount_list *list)
{
    size_t count = list->count + 1;
    void *records = reallocarray(list->records, count, sizeof(*list->records)), *alive;

    if (!records)
        return -ENOMEM;
    list->records = records;
    alive = reallocarray(list->alive, count, sizeof(*list->alive));
    if (!alive)
        return -ENOMEM;
    list->alive = alive;
    return 0;
}

/* Only running out of memory is a failure. */
static int add_record(struct lfs_store *store, struct lfs_mount_list *list, const char *id)
{
    _cleanup_(fd_closep) int fd = open_record(store, id);
    int err = fd < 0 ? fd : grow(list);

    if (err == 0)
        err = read_record(fd, id, &list->records[list->count]);
    if (err == 0)
        list->alive[list->count++] = is_locked(fd);
    else
        log_debug(LOG_MOUNT, "record %s: %s", id, strerror(-err));
    if (err < 0 && err != -ENOENT && (fd < 0 || is_locked(fd)))
        list->unreadable++;
    return err == -ENOMEM ? err : 0;
}

/* "ID.json" becomes ID, in place. */
static bool strip_suffix(char *name)
{
    size_t size = strlen(name), tail = sizeof(suffix) - 1;

    if (name[0] == '.' || size <= tail || strcmp(name + size - tail, suffix) != 0)
        return false;
    name[size - tail] = '\0';
    return true;
}

int lfs_mount_list_load(struct lfs_store *store, struct lfs_mount_list *ret_list, struct report *r)
{
    _cleanup_(lfs_mount_list_deinit) struct lfs_mount_list list = {0};
    int fd =
        openat(lfs_store_dirfd(store, LFS_DIR_MOUNTS), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int err = 0;

    if (!dir) {
        err = report_errno(r, neg_errno(), "mount records in %s", lfs_store_path(store));
        (void)fd_close(fd);
        return err;
    }
    for (struct dirent *e = readdir(dir); e && err == 0; e = readdir(dir))
        if (strip_suffix(e->d_name))
            err = add_record(store, &list, e->d_name);
    (void)closedir(dir);
    if (err < 0)
        return err;
    *ret_list = list;
    list = (struct lfs_mount_list){0};
    return 0;
}

/* Of two that started in the same second the live one is meant. */
static bool is_newer(const struct lfs_mount_list *list, size_t a, size_t b)
{
    if (list->records[a].started != list->records[b].started)
        return list->records[a].started > list->records[b].started;
    return list->alive[a] && !list->alive[b];
}

ssize_t lfs_mount_list_find(const struct lfs_mount_list *list, const char *mountpoint)
{
    ssize_t found = -ENOENT;

    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->records[i].mountpoint, mountpoint) == 0 &&
            (found < 0 || is_newer(list, i, (size_t)found)))
            found = (ssize_t)i;
    return found;
}

/* ------------------------------------------------------------------------------------------------
 * Waiting
 */

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The process that holds the lock, if the record tells it, else -1. The lock is asked for again
 * once the process is at hand: while it is held, the pid cannot have become another's. */
static int open_process(int fd, const char *id)
{
    struct lfs_mount_record record;
    int pidfd;

    if (read_record(fd, id, &record) < 0)
        return -1;
    pidfd = record.pid > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)record.pid, 0) : -1;
    lfs_mount_record_deinit(&record);
    return pidfd >= 0 && is_locked(fd) ? pidfd : fd_close(pidfd);
}

static void wait_process(int pidfd, int64_t until)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int64_t left = until - now_ms();

    while (left > 0 && poll(&p, 1, (int)left) < 0 && errno == EINTR)
        left = until - now_ms();
}

int lfs_mount_record_wait_gone(struct lfs_store *store, const char *id, unsigned timeout_ms)
{
    int64_t until = now_ms() + (int64_t)MIN(timeout_ms, (unsigned)INT32_MAX);
    _cleanup_(fd_closep) int fd = open_record(store, id);
    _cleanup_(fd_closep) int pidfd = -1;

    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return fd;
    pidfd = is_locked(fd) ? open_process(fd, id) : -1;
    if (pidfd >= 0)
        wait_process(pidfd, until);
    for (int64_t pause = 1; is_locked(fd); pause = MIN(pause * 2, (int64_t)20)) {
        struct timespec t = {.tv_nsec = (long)pause * 1000000};

        if (now_ms() >= until)
            return -ETIMEDOUT;
        (void)nanosleep(&t, NULL);
    }
    return 0;
}
