/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/oci/stream_util.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "oci/dir_walk.h"
#include "oci/file_meta.h"
#include "oci/link_map.h"
#include "oci/util/beneath.h"
#include "oci/util/io.h"

struct chunks {
    struct oci_source source;
    const uint8_t *data;
    size_t size, chunk;
    uint8_t *out;
    int err;
    unsigned *closed;
};

static ssize_t chunks_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct chunks *c = (struct chunks *)s;
    size_t n = MIN(c->chunk, c->size);

    free(c->out);
    c->out = NULL;
    if (n == 0)
        return c->err ? report_fail(r, c->err, "test failure") : 0;
    c->out = malloc(n);
    cr_assert(c->out);
    memcpy(c->out, c->data, n);
    c->data += n;
    c->size -= n;
    *ret_data = c->out;
    return (ssize_t)n;
}

static void chunks_close(struct oci_source *s)
{
    struct chunks *c = (struct chunks *)s;

    if (c->closed)
        ++*c->closed;
    free(c->out);
    free(c);
}

static const struct oci_source_ops chunks_ops = {.next = chunks_next, .close = chunks_close};

struct oci_source *test_chunks(
    const void *data, size_t size, size_t chunk, int err, unsigned *closed)
{
    struct chunks *c = calloc(1, sizeof(*c));

    cr_assert(c);
    c->source.ops = &chunks_ops;
    c->data = data;
    c->size = size;
    c->chunk = chunk;
    c->err = err;
    c->closed = closed;
    return &c->source;
}

int test_drain(struct oci_source *s, struct buf *b, struct report *r)
{
    const uint8_t *data;
    ssize_t n;

    while ((n = oci_source_next(s, &data, r)) > 0)
        cr_assert_eq(buf_append(b, data, (size_t)n), 0);
    /* However it ended, it ends so again. */
    cr_assert_eq(oci_source_next(s, &data, NULL), n);
    (void)oci_source_close(s);
    return (int)n;
}

void test_fill(void *data, size_t size, uint32_t seed)
{
    uint8_t *p = data;
    uint32_t x = seed * 2654435761u + 1;

    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        p[i] = (x & 0x700) ? (uint8_t)(x & 15) : (uint8_t)x;
    }
}

char *test_mkdir(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = NULL;

    cr_assert(asprintf(&dir, "%s/layerfs-test-XXXXXX", tmp ? tmp : "/tmp") > 0);
    cr_assert(mkdtemp(dir), "%s", dir);
    return dir;
}

void test_rmdir(char **dir)
{
    if (*dir) {
        test_run(*dir, "rm -rf \"$T\"");
        free(*dir);
        *dir = NULL;
    }
}

void test_run(const char *dir, const char *fmt, ...)
{
    _cleanup_(freep) char *command = NULL;
    va_list args;

    va_start(args, fmt);
    cr_assert(vasprintf(&command, fmt, args) > 0);
    va_end(args);
    cr_assert_eq(setenv("T", dir, 1), 0);
    cr_assert_eq(system(command), 0, "%s", command);
}

bool test_have(const char *program)
{
    char command[200];

    (void)snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
    return system(command) == 0;
}

void test_read(const char *dir, const char *name, struct buf *b)
{
    _cleanup_(fd_closep) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    b->size = 0;
    cr_assert_eq(io_read_file(fd, name, SIZE_MAX / 4, b), 0, "%s/%s", dir, name);
}

/* ---- listings ---- */

static void add(struct buf *text, const char *fmt, ...) _printf_(2, 3);

static void add(struct buf *text, const char *fmt, ...)
{
    char line[2 * OCI_PATH_MAX + 200];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    cr_assert_eq(buf_append_str(text, line), 0);
}

static void end_string(struct buf *text)
{
    cr_assert_eq(buf_append(text, "", 1), 0);
    text->size--;
}

static void hash_zeros(struct oci_hash *hash, uint64_t size)
{
    static const uint8_t zeros[65536];

    for (; size > 0; size -= MIN(size, sizeof(zeros)))
        cr_assert_eq(oci_hash_update(hash, zeros, MIN(size, sizeof(zeros))), 0);
}

static void add_digest(struct buf *text, struct oci_hash *hash)
{
    char hex[OCI_DIGEST_STR_MAX];
    struct oci_digest digest;

    cr_assert_eq(oci_hash_final(hash, &digest), 0);
    add(text, " %.16s", oci_digest_hex(&digest, hex));
}

static int list_content(struct oci_layer_reader *reader, uint64_t file_size, struct buf *text,
    uint64_t *holes, struct report *r)
{
    _cleanup_(oci_hash_freep) struct oci_hash *hash = NULL;
    const uint8_t *data;
    uint64_t offset, end = 0;
    size_t size;
    int n;

    cr_assert_eq(oci_hash_new(OCI_DIGEST_SHA256, &hash), 0);
    while ((n = oci_layer_reader_data(reader, &data, &size, &offset, r)) > 0) {
        cr_assert(size > 0);
        cr_assert(offset >= end);
        *holes += offset - end;
        hash_zeros(hash, offset - end);
        end = offset + size;
        cr_assert(end <= file_size);
        cr_assert_eq(oci_hash_update(hash, data, size), 0);
    }
    if (n < 0)
        return n;
    *holes += file_size - end;
    hash_zeros(hash, file_size - end);
    add_digest(text, hash);
    return 0;
}

static void list_xattrs(const struct oci_xattr *xattrs, size_t count, struct buf *text)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            cr_assert(strcmp(xattrs[i - 1].name, xattrs[i].name) < 0);
        add(text, " %s=", xattrs[i].name);
        for (size_t k = 0; k < xattrs[i].size; k++)
            add(text, "%02x", ((const uint8_t *)xattrs[i].value)[k]);
    }
}

static void list_entry(const struct oci_layer_entry *e, struct buf *text)
{
    static const char kinds[] = "NHWO";

    add(text, "%c \"%s\"", kinds[e->kind], e->path);
    if (e->kind == OCI_ENTRY_NODE)
        add(text, " %o %u:%u %" PRId64 ".%09u", e->mode, e->uid, e->gid, e->mtime_sec,
            e->mtime_nsec);
    if (e->link)
        add(text, " -> \"%s\"", e->link);
    if (S_ISCHR(e->mode) || S_ISBLK(e->mode))
        add(text, " %u,%u", e->rdev_major, e->rdev_minor);
    list_xattrs(e->xattrs, e->xattr_count, text);
}

int test_list(struct oci_source *tar, const struct oci_layer_limits *limits, struct buf *text,
    uint64_t *ret_holes, struct report *r)
{
    _cleanup_(oci_layer_reader_freep) struct oci_layer_reader *reader = NULL;
    const struct oci_layer_entry *entry;
    uint64_t holes = 0;
    int n;

    cr_assert_eq(oci_layer_reader_new(tar, limits, &reader), 0);
    while ((n = oci_layer_reader_next(reader, &entry, r)) > 0) {
        list_entry(entry, text);
        if (S_ISREG(entry->mode)) {
            add(text, " %" PRIu64, entry->size);
            n = list_content(reader, entry->size, text, &holes, r);
        }
        add(text, "\n");
        if (n < 0)
            break;
    }
    cr_assert_eq(oci_layer_reader_next(reader, &entry, NULL), n);
    end_string(text);
    if (ret_holes)
        *ret_holes = holes;
    return n;
}

/* ---- trees ---- */

struct tree_lister {
    struct link_map links;
    unsigned flags;
    int root_fd;
    struct buf *text;
};

static void tree_content(struct tree_lister *l, const char *path)
{
    _cleanup_(oci_hash_freep) struct oci_hash *hash = NULL;
    _cleanup_(buf_deinit) struct buf content = {0};

    cr_assert_eq(io_read_file(l->root_fd, path, SIZE_MAX / 4, &content), 0);
    cr_assert_eq(oci_hash_new(OCI_DIGEST_SHA256, &hash), 0);
    cr_assert_eq(oci_hash_update(hash, content.data, content.size), 0);
    add(l->text, " %zu", content.size);
    add_digest(l->text, hash);
}

static void tree_node(struct tree_lister *l, const char *path, int fd, const struct stat *st)
{
    bool nsec = !(l->flags & TEST_NO_NSEC);
    struct file_meta meta = {0};
    char target[OCI_PATH_MAX] = "";

    add(l->text, "N \"%s\" %o %u:%u %" PRId64 ".%09u", path, st->st_mode, st->st_uid, st->st_gid,
        (int64_t)st->st_mtim.tv_sec, nsec ? (unsigned)st->st_mtim.tv_nsec : 0);
    if (S_ISLNK(st->st_mode)) {
        cr_assert(readlinkat(fd, "", target, sizeof(target) - 1) > 0);
        add(l->text, " -> \"%s\"", target);
    }
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
        add(l->text, " %u,%u", major(st->st_rdev), minor(st->st_rdev));
    cr_assert_eq(file_meta_read_xattrs(&meta, fd), 0);
    if (!(l->flags & TEST_NO_XATTRS))
        list_xattrs(meta.xattrs, meta.xattr_count, l->text);
    file_meta_deinit(&meta);
    if (S_ISREG(st->st_mode))
        tree_content(l, path);
    add(l->text, "\n");
}

void test_list_tree(const char *dir, unsigned flags, struct buf *text)
{
    _cleanup_(fd_closep) int root_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(dir_walk_freep) struct dir_walk *walk = NULL;
    struct tree_lister l = {.flags = flags, .root_fd = root_fd, .text = text};
    const char *path, *first;

    cr_assert(root_fd >= 0);
    cr_assert_eq(dir_walk_new(root_fd, &walk), 0);
    while (dir_walk_next(walk, &path, NULL) > 0) {
        _cleanup_(fd_closep) int fd = beneath_open(root_fd, path, O_PATH | O_NOFOLLOW);
        struct stat st;

        cr_assert_eq(fstat(fd, &st), 0);
        if (!S_ISDIR(st.st_mode) && st.st_nlink > 1 &&
            link_map_get(&l.links, st.st_dev, st.st_ino, path, &first) > 0)
            add(text, "H \"%s\" -> \"%s\"\n", path, first);
        else if (!S_ISSOCK(st.st_mode))
            tree_node(&l, path, fd, &st);
    }
    link_map_deinit(&l.links);
    end_string(text);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void test_sort(struct buf *text)
{
    _cleanup_(freep) char *copy = strdup(text->size ? (char *)text->data : "");
    char **lines = calloc(text->size + 1, sizeof(*lines));
    size_t count = 0;

    cr_assert(copy && lines);
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n"))
        lines[count++] = line;
    qsort(lines, count, sizeof(*lines), compare_lines);
    text->size = 0;
    for (size_t i = 0; i < count; i++)
        add(text, "%s\n", lines[i]);
    end_string(text);
    free(lines);
}
