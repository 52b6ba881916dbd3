/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static char root[256];

const char *fixture_enter(void)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(root, sizeof(root), "%s/layerfs-store-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    cr_assert(mkdtemp(root) != NULL);
    return root;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void fixture_leave(void)
{
    (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fixture_path(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % ARRAY_SIZE(paths)];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
    return path;
}

struct lfs_store *fixture_store(void)
{
    struct lfs_store *store = NULL;
    struct report r = REPORT_INIT;

    cr_assert(
        lfs_store_open(fixture_path("store"), LFS_STORE_CREATE, &store, &r) == 0, "%s", r.text);
    return store;
}

/* --- tars --- */

static void octal(char *at, int digits, uint64_t value)
{
    while (digits-- > 0) {
        at[digits] = (char)('0' + value % 8);
        value /= 8;
    }
}

static void tar_header(
    struct buf *tar, const char *path, char type, unsigned mode, size_t size, const char *target)
{
    char h[512] = {0};
    unsigned sum = 0;

    cr_assert(strlen(path) < 100 && (!target || strlen(target) < 100));
    memcpy(h, path, strlen(path));
    octal(h + 100, 7, mode);
    octal(h + 108, 7, 0);
    octal(h + 116, 7, 0);
    octal(h + 124, 11, size);
    octal(h + 136, 11, 1600000000u);
    memset(h + 148, ' ', 8);
    h[156] = type;
    if (target)
        memcpy(h + 157, target, strlen(target));
    memcpy(h + 257, "ustar\00000", 8);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)h[i];
    octal(h + 148, 6, sum);
    h[154] = '\0';
    cr_assert(buf_append(tar, h, sizeof(h)) == 0);
}

void fill(uint8_t *data, size_t size, unsigned seed)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

    for (size_t i = 0; i < size; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        data[i] = (uint8_t)(x >> 56);
    }
}

void tar_file(struct buf *tar, const char *path, size_t size, unsigned seed)
{
    uint8_t *data;

    tar_header(tar, path, '0', 0644, size, NULL);
    data = buf_extend(tar, size);
    cr_assert(data != NULL);
    fill(data, size, seed);
    cr_assert(buf_align(tar, 512) == 0);
}

void tar_dir(struct buf *tar, const char *path)
{
    tar_header(tar, path, '5', 0755, 0, NULL);
}

void tar_symlink(struct buf *tar, const char *path, const char *target)
{
    tar_header(tar, path, '2', 0777, 0, target);
}

void tar_end(struct buf *tar)
{
    cr_assert(buf_extend(tar, 1024) != NULL);
}

/* --- images --- */

/* A blob in memory in small chunks. */
struct memory_source {
    struct oci_source source;
    struct test_image *image;
    const struct buf *data;
    size_t at;
};

static ssize_t memory_next(struct oci_source *s, const uint8_t **ret_data, struct report *r)
{
    struct memory_source *m = (struct memory_source *)s;
    size_t n = MIN(m->data->size - m->at, (size_t)4096);

    (void)r;
    if (m->image->die_at && m->at >= m->image->die_at)
        (void)raise(SIGKILL);
    *ret_data = m->data->data + m->at;
    m->at += n;
    return (ssize_t)n;
}

static void memory_close(struct oci_source *s)
{
    free(s);
}

static int open_memory(
    struct test_image *image, const struct buf *data, struct oci_source **ret_source)
{
    static const struct oci_source_ops ops = {memory_next, memory_close};
    struct memory_source *m = calloc(1, sizeof(*m));

    cr_assert(m != NULL);
    *m = (struct memory_source){{&ops}, image, data, 0};
    *ret_source = &m->source;
    return 0;
}

static int open_blob(struct oci_image_source *s, const struct oci_descriptor *descriptor,
    struct oci_source **ret_source, struct report *r)
{
    struct test_image *image = (struct test_image *)s;

    if (oci_digest_equal(&descriptor->digest, &image->config_digest))
        return oci_source_memory(image->config.data, image->config.size, ret_source);
    for (size_t i = 0; i < image->layer_count; i++) {
        if (!oci_digest_equal(&descriptor->digest, &image->blobs[i]) || image->missing[i])
            continue;
        image->opened++;
        return open_memory(image, &image->layers[i], ret_source);
    }
    return report_fail(r, -ENOENT, "no such blob");
}

void test_image_init(struct test_image *image)
{
    static const struct oci_image_source_ops ops = {.open_blob = open_blob};

    memset(image, 0, sizeof(*image));
    image->source.ops = &ops;
}

static struct oci_digest digest_of(const struct buf *b)
{
    struct oci_digest digest;

    cr_assert(oci_digest_of(OCI_DIGEST_SHA256, b->data, b->size, &digest) == 0);
    return digest;
}

static void make_config(struct test_image *image)
{
    struct oci_platform host = oci_platform_host();
    char text[OCI_DIGEST_STR_MAX];

    image->config.size = 0;
    (void)buf_printf(&image->config,
        "{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":\"layers\","
        "\"diff_ids\":[",
        host.architecture);
    for (size_t i = 0; i < image->diff_id_count; i++)
        (void)buf_printf(
            &image->config, "%s\"%s\"", i ? "," : "", oci_digest_format(&image->diff_ids[i], text));
    (void)buf_append_str(&image->config, "]}}");
    image->config_digest = digest_of(&image->config);
}

void test_image_seal(struct test_image *image)
{
    struct buf *m = &image->source.manifest;
    char text[OCI_DIGEST_STR_MAX];

    for (size_t i = 0; i < image->layer_count; i++) {
        image->blobs[i] = digest_of(&image->layers[i]);
        if (image->diff_ids[i].alg == OCI_DIGEST_NONE)
            image->diff_ids[i] = image->blobs[i];
    }
    if (image->diff_id_count == 0)
        image->diff_id_count = image->layer_count;
    make_config(image);
    m->size = 0;
    (void)buf_printf(m,
        "{\"schemaVersion\":2,\"mediaType\":\"%s\",\"config\":{\"mediaType\":\"%s\","
        "\"digest\":\"%s\",\"size\":%zu},\"layers\":[",
        OCI_TYPE_MANIFEST, OCI_TYPE_CONFIG, oci_digest_format(&image->config_digest, text),
        image->config.size);
    for (size_t i = 0; i < image->layer_count; i++)
        (void)buf_printf(m, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu}", i ? "," : "",
            OCI_TYPE_LAYER, oci_digest_format(&image->blobs[i], text), image->layers[i].size);
    (void)buf_append_str(m, "]}");
    oci_descriptor_deinit(&image->source.descriptor);
    image->source.descriptor = (struct oci_descriptor){
        .media_type = strdup(OCI_TYPE_MANIFEST), .digest = digest_of(m), .size = m->size};
}

void test_image_deinit(struct test_image *image)
{
    for (size_t i = 0; i < TEST_LAYERS_MAX; i++)
        buf_deinit(&image->layers[i]);
    buf_deinit(&image->config);
    buf_deinit(&image->source.manifest);
    oci_descriptor_deinit(&image->source.descriptor);
}

enum { SMALL = 100, MIDDLE = 20000, LARGE = 300000, HUGE_SIZE = 3000000 };

void test_image_make(struct test_image *image)
{
    test_image_init(image);
    tar_dir(&image->layers[0], "etc/");
    tar_file(&image->layers[0], "etc/small", SMALL, 1);
    tar_file(&image->layers[0], "etc/middle", MIDDLE, 2);
    tar_file(&image->layers[0], "etc/gone", MIDDLE, 3);
    tar_file(&image->layers[0], "etc/large", LARGE, 4);
    tar_end(&image->layers[0]);
    tar_file(&image->layers[1], "etc/.wh.gone", 0, 0);
    tar_file(&image->layers[1], "etc/huge", HUGE_SIZE, 5);
    tar_file(&image->layers[1], "etc/again", MIDDLE, 6);
    tar_symlink(&image->layers[1], "etc/link", "small");
    tar_end(&image->layers[1]);
    image->layer_count = 2;
    test_image_seal(image);
}

void must_import(struct lfs_store *store, struct test_image *image, const char *tag)
{
    struct report r = REPORT_INIT;

    cr_assert(lfs_image_import(store, &image->source, tag, NULL, NULL, &r) == 0, "%s", r.text);
}

/* --- looking --- */

static size_t count_in(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    size_t count = 0;

    cr_assert(dir != NULL);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        count += e->d_name[0] != '.' && !strstr(e->d_name, ".verified");
    (void)closedir(dir);
    return count;
}

size_t count_names(struct lfs_store *store, enum lfs_store_dir dir)
{
    return count_in(lfs_store_dirfd(store, dir), ".");
}

size_t count_objects(struct lfs_store *store)
{
    int objects = lfs_store_dirfd(store, LFS_DIR_OBJECTS);
    size_t count = 0;

    for (unsigned i = 0; i < 256; i++) {
        char name[3];

        (void)snprintf(name, sizeof(name), "%02x", i);
        if (faccessat(objects, name, F_OK, 0) == 0)
            count += count_in(objects, name);
    }
    return count;
}

static void read_content(struct lfs_store *store, const struct lfs_tree *tree,
    const struct lfs_inode *inode, uint8_t *data)
{
    _cleanup_(fd_closep) int fd = -1;
    const uint8_t *sha256;
    const char *bytes;

    if (inode->data_kind == LFS_DATA_INLINE) {
        cr_assert(lfs_tree_bytes(tree, inode, &bytes) == 0);
        memcpy(data, bytes, inode->size);
        return;
    }
    if (inode->data_kind == LFS_DATA_PACK) {
        cr_assert(lfs_tree_pack(tree, inode->pack, &sha256) == 0);
        fd = lfs_store_open_pack(store, sha256);
    } else {
        cr_assert(inode->data_kind == LFS_DATA_OBJECT);
        cr_assert(lfs_tree_digest(tree, inode->digest, &sha256) == 0);
        fd = lfs_store_open_object(store, sha256);
    }
    cr_assert(fd >= 0);
    cr_assert(io_pread_full(fd, data, inode->size,
                  inode->data_kind == LFS_DATA_PACK ? (off_t)inode->data_offset : 0) ==
              (ssize_t)inode->size);
}

void check_file(struct lfs_store *store, const struct lfs_tree *tree, const char *path, size_t size,
    unsigned seed)
{
    _cleanup_(freep) uint8_t *want = malloc(size + 1), *is = malloc(size + 1);
    struct lfs_inode inode;

    cr_assert(want && is);
    cr_assert(lfs_tree_resolve(tree, path, &inode) == 0, "%s", path);
    cr_assert(inode.size == size, "%s", path);
    fill(want, size, seed);
    read_content(store, tree, &inode, is);
    cr_assert(memcmp(want, is, size) == 0, "%s", path);
}

void check_made(struct lfs_store *store, const struct lfs_tree *tree)
{
    struct lfs_inode inode;

    check_file(store, tree, "etc/small", SMALL, 1);
    check_file(store, tree, "etc/middle", MIDDLE, 2);
    check_file(store, tree, "etc/large", LARGE, 4);
    check_file(store, tree, "etc/huge", HUGE_SIZE, 5);
    check_file(store, tree, "etc/again", MIDDLE, 6);
    cr_assert(lfs_tree_resolve(tree, "etc/gone", &inode) == -ENOENT);
}

struct lfs_tree *must_prepare(struct lfs_store *store, const char *tag)
{
    _cleanup_(lfs_image_freep) struct lfs_image *image = NULL;
    struct report r = REPORT_INIT;
    struct lfs_tree *tree = NULL;

    cr_assert(lfs_image_load(store, tag, NULL, &image, &r) == 0, "%s", r.text);
    cr_assert(lfs_image_prepare(store, image, NULL, &tree, &r) == 0, "%s", r.text);
    return tree;
}
