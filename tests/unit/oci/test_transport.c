/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/oci/tars.h"

#include "oci/layout.h"
#include "oci/transport.h"
#include "tests/unit/oci/documents.h"
#include "tests/unit/tmpdir.h"

#define LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}"
#define S390X                                                                                      \
    "{\"os\":\"linux\",\"architecture\":\"s390x\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":["

TestSuite(transport);

/* Opens "TRANSPORT:DIR/FILE[:NAME]". */
static int open_location(const struct tmpdir *dir, const char *transport, const char *rest,
    const char *platform, struct oci_image_source **ret_source, struct report *report)
{
    struct oci_location location = {0};
    struct oci_platform want;
    char text[600];
    int r;

    (void)snprintf(text, sizeof(text), "%s:%s/%s", transport, dir->path, rest);
    *report = REPORT_INIT;
    cr_assert_eq(oci_location_parse(text, &location, report), 0, "%s", report->text);
    if (platform)
        cr_assert_eq(oci_platform_parse(platform, &want), 0);
    r = oci_image_source_open(&location, platform ? &want : NULL, ret_source, report);
    cr_expect_eq(r < 0, report_is_set(report));
    oci_location_deinit(&location);
    return r;
}

static struct oci_image_source *must_open(
    const struct tmpdir *dir, const char *transport, const char *rest)
{
    struct oci_image_source *s = NULL;
    struct report report;

    cr_assert_eq(open_location(dir, transport, rest, NULL, &s, &report), 0, "%s", report.text);
    return s;
}

static int open_fails(const struct tmpdir *dir, const char *transport, const char *rest,
    const char *platform, struct report *report)
{
    struct oci_image_source *s = NULL;
    int r = open_location(dir, transport, rest, platform, &s, report);

    cr_expect_null(s);
    return r;
}

/* Reads a blob to its end and checks its size and digest against the descriptor. */
static void expect_blob(struct oci_image_source *s, const struct oci_descriptor *d)
{
    _cleanup_(oci_source_closep) struct oci_source *source = NULL;
    struct report report = REPORT_INIT;
    const uint8_t *data;
    ssize_t n;

    cr_assert_eq(oci_image_source_open_blob(s, d, &source, &report), 0, "%s", report.text);
    cr_assert_eq(
        oci_source_verify(TAKE_PTR(source), "blob", d->size, &d->digest, NULL, &source), 0);
    while ((n = oci_source_next(source, &data, &report)) > 0)
        ;
    cr_expect_eq(n, 0, "%s", report.text);
}

/* Reads all that an image source has. */
static struct oci_manifest *expect_image(struct oci_image_source *s, size_t layers)
{
    struct oci_manifest *m = NULL;
    struct report report = REPORT_INIT;

    cr_assert_eq(
        oci_manifest_parse(s->manifest.data, s->manifest.size, &m, &report), 0, "%s", report.text);
    cr_expect_eq(s->manifest.size, s->descriptor.size);
    cr_expect_eq(m->layer_count, layers);
    expect_blob(s, &m->config);
    for (size_t i = 0; i < m->layer_count; i++)
        expect_blob(s, &m->layers[i]);
    return m;
}

static void digest_text(const char *data, char text[static OCI_DIGEST_STR_MAX])
{
    struct oci_digest d;

    cr_assert_eq(oci_digest_of(OCI_DIGEST_SHA256, data, strlen(data), &d), 0);
    (void)oci_digest_format(&d, text);
}

/* ---- docker:// ---- */

/* Nobody listens at port 1. The names of images never lead out of this machine here. */
Test(transport, registry_that_is_not_there)
{
    struct oci_location location = {0};
    struct oci_image_source *s = NULL;
    struct report report = REPORT_INIT;

    cr_assert_eq(oci_location_parse("127.0.0.1:1/a/b", &location, NULL), 0);
    (void)setenv("no_proxy", "*", 1);
    cr_expect_eq(oci_image_source_open(&location, NULL, &s, &report), -ECONNREFUSED);
    cr_expect(strstr(report.text, "127.0.0.1:1"), "%s", report.text);
    location.transport = 77;
    cr_expect_eq(oci_image_source_open(&location, NULL, &s, &report), -EOPNOTSUPP);
    oci_location_deinit(&location);
}

/* ---- layouts ---- */

/* The documents of an image with the one layer "layer"; ret_manifest holds 1000 bytes. */
static void make_documents(char *ret_config, char *ret_manifest)
{
    char layer[OCI_DIGEST_STR_MAX], config[OCI_DIGEST_STR_MAX];

    digest_text("layer", layer);
    (void)snprintf(ret_config, 1000, S390X "\"%s\"]}}", layer);
    digest_text(ret_config, config);
    (void)snprintf(ret_manifest, 1000,
        "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" OCI_TYPE_CONFIG
        "\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[{\"mediaType\":\"" OCI_TYPE_LAYER
        "\",\"digest\":\"%s\",\"size\":5}]}",
        config, strlen(ret_config), layer);
}

static void make_index(const char *manifest, char *ret_index)
{
    char digest[OCI_DIGEST_STR_MAX];

    digest_text(manifest, digest);
    (void)snprintf(ret_index, 1000,
        "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" OCI_TYPE_MANIFEST
        "\",\"digest\":\"%s\",\"size\":%zu" TAG("t") "}]}",
        digest, strlen(manifest));
}

static void make_layout(const struct tmpdir *dir)
{
    _cleanup_(oci_layout_closep) struct oci_layout *layout = NULL;
    char config[1000], manifest[1000], index[1000];
    struct oci_digest d;

    make_documents(config, manifest);
    make_index(manifest, index);
    tmpdir_write_str(dir, "l/oci-layout", LAYOUT);
    tmpdir_write_str(dir, "l/index.json", index);
    cr_assert_eq(oci_layout_open(tmpdir_path(dir, "l"), &layout, NULL), 0);
    cr_assert_eq(oci_layout_put_blob(layout, "layer", 5, &d, NULL), 0);
    cr_assert_eq(oci_layout_put_blob(layout, config, strlen(config), &d, NULL), 0);
    cr_assert_eq(oci_layout_put_blob(layout, manifest, strlen(manifest), &d, NULL), 0);
}

Test(transport, layout)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_image_source_closep) struct oci_image_source *s = NULL;
    _cleanup_(oci_image_source_closep) struct oci_image_source *only = NULL;

    make_layout(&dir);
    s = must_open(&dir, "oci", "l:t");
    oci_manifest_free(expect_image(s, 1));
    only = must_open(&dir, "oci", "l");
    cr_expect(oci_digest_equal(&s->descriptor.digest, &only->descriptor.digest));
}

Test(transport, layout_failures)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_image_source_closep) struct oci_image_source *s = NULL;
    struct oci_descriptor missing = {.size = 5};
    struct oci_source *source = NULL;
    struct report report;

    make_layout(&dir);
    cr_expect_eq(open_fails(&dir, "oci", "l:x", NULL, &report), -ENOENT);
    cr_expect(strstr(report.text, "no image \"x\""), "%s", report.text);
    cr_expect_eq(open_fails(&dir, "oci", "nowhere", NULL, &report), -ENOENT);
    s = must_open(&dir, "oci", "l:t");
    cr_assert_eq(oci_digest_parse(DIGEST_C, &missing.digest), 0);
    cr_expect_eq(oci_image_source_open_blob(s, &missing, &source, &report), -ENOENT);
    cr_expect_str_eq(report.text, "blob " DIGEST_C " is missing");
}

enum oci_archive_fault { NO_FAULT, NO_LAYOUT_FILE, NO_INDEX, NO_MANIFEST, FLIPPED_MANIFEST };

static void add_blob(struct tar *tar, const char *data, const char *digest_of)
{
    char digest[OCI_DIGEST_STR_MAX], name[200];

    digest_text(digest_of, digest);
    (void)snprintf(name, sizeof(name), "./blobs/sha256/%s", digest + 7);
    tar_file(tar, name, data);
}

static void make_oci_archive(const struct tmpdir *dir, enum oci_archive_fault fault)
{
    struct tar tar = tar_create(tmpdir_path(dir, "a.tar"), ARCHIVE_FILTER_NONE);
    char config[1000], manifest[1000], flipped[1000], index[1000];

    make_documents(config, manifest);
    make_index(manifest, index);
    memcpy(flipped, manifest, sizeof(flipped));
    flipped[strlen(flipped) - 5] ^= 1;
    tar_link(&tar, "./blobs/", NULL, false);
    if (fault != NO_MANIFEST)
        add_blob(&tar, fault == FLIPPED_MANIFEST ? flipped : manifest, manifest);
    add_blob(&tar, config, config);
    add_blob(&tar, "layer", "layer");
    if (fault != NO_INDEX)
        tar_file(&tar, "./index.json", index);
    if (fault != NO_LAYOUT_FILE)
        tar_file(&tar, "./oci-layout", LAYOUT);
    tar_close(&tar);
}

Test(transport, oci_archive)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_image_source_closep) struct oci_image_source *s = NULL;

    make_oci_archive(&dir, NO_FAULT);
    s = must_open(&dir, "oci-archive", "a.tar:t");
    oci_manifest_free(expect_image(s, 1));
}

Test(transport, oci_archive_failures)
{
    static const struct {
        enum oci_archive_fault fault;
        int err;
        const char *text;
    } rows[] = {
        {NO_LAYOUT_FILE, -EBADMSG, "oci-layout"},
        {NO_INDEX, -ENOENT, "index.json is missing"},
        {NO_MANIFEST, -ENOENT, "is missing"},
        {FLIPPED_MANIFEST, -EBADMSG, "digest mismatch"},
    };
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    struct report report;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        make_oci_archive(&dir, rows[i].fault);
        cr_expect_eq(open_fails(&dir, "oci-archive", "a.tar", NULL, &report), rows[i].err, "%s",
            report.text);
        cr_expect(strstr(report.text, rows[i].text), "%s", report.text);
        cr_expect(strstr(report.text, dir.path), "%s", report.text);
    }
    make_oci_archive(&dir, NO_FAULT);
    cr_expect_eq(open_fails(&dir, "oci-archive", "a.tar:x", NULL, &report), -ENOENT);
}

Test(transport, a_lone_manifest_is_of_its_configs_platform)
{
    static const char *const places[][2] = {{"oci", "l:t"}, {"oci-archive", "a.tar"}};
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    struct report report;

    make_layout(&dir);
    make_oci_archive(&dir, NO_FAULT);
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        _cleanup_(oci_image_source_closep) struct oci_image_source *s = NULL;

        cr_expect_eq(
            open_location(&dir, places[i][0], places[i][1], "linux/s390x", &s, &report), 0);
        cr_expect_eq(open_fails(&dir, places[i][0], places[i][1], "linux/mips", &report), -ENOENT);
        cr_expect(strstr(report.text, "no image for linux/mips (there is: linux/s390x)"), "%s",
            report.text);
    }
}

/* ---- docker archives ---- */

/* A gzip member of "layer", as `printf layer | gzip -n` makes it. */
static const uint8_t layer_gz[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xcb,
    0x49, 0xac, 0x4c, 0x2d, 0x02, 0x00, 0x1a, 0x21, 0xdb, 0xe4, 0x05, 0x00, 0x00, 0x00};

static void make_config(const char *const *layers, char *ret_config)
{
    size_t at = (size_t)sprintf(ret_config, S390X);
    char digest[OCI_DIGEST_STR_MAX];

    for (size_t i = 0; layers[i]; i++) {
        digest_text(layers[i], digest);
        at += (size_t)sprintf(ret_config + at, "%s\"%s\"", i ? "," : "", digest);
    }
    (void)strcpy(ret_config + at, "]}}");
}

/* Two images: "one" of layers "layer" and "layer two" (by a link, and compressed in one of dockers'
 * ways), and a nameless one of no layers. */
static void make_docker_archive(const struct tmpdir *dir, const char *manifest, int filter)
{
    static const char *const layers[] = {"layer", "layer two", "layer", NULL};
    struct tar tar = tar_create(tmpdir_path(dir, "d.tar"), filter);
    char config[1000], digest[OCI_DIGEST_STR_MAX], name[200];
    struct oci_digest gz;

    make_config(layers, config);
    digest_text(config, digest);
    (void)snprintf(name, sizeof(name), "%s.json", digest + 7);
    tar_file(&tar, name, config);
    tar_file(&tar, "config.json", config);
    tar_file(&tar, "empty.json", S390X "]}}");
    tar_file(&tar, "bad.json", "{}");
    tar_file(&tar, HEX_A ".json", config);
    tar_file_of(&tar, "0/layer.tar", "layer", 5, true);
    tar_link(&tar, "1/layer.tar", "../two.tar", false);
    tar_file(&tar, "two.tar", "layer two");
    tar_file_of(&tar, "gz.tar", layer_gz, sizeof(layer_gz), false);
    cr_assert_eq(oci_digest_of(OCI_DIGEST_SHA256, layer_gz, sizeof(layer_gz), &gz), 0);
    (void)snprintf(name, sizeof(name), "blobs/sha256/%s", oci_digest_hex(&gz, digest));
    tar_file_of(&tar, name, layer_gz, sizeof(layer_gz), false);
    if (manifest)
        tar_file(&tar, "manifest.json", manifest);
    tar_close(&tar);
}

#define IMAGE(config, tags, layers)                                                                \
    "{\"Config\":\"" config "\",\"RepoTags\":" tags ",\"Layers\":[" layers "]}"
#define ONE                                                                                        \
    IMAGE("config.json", "[\"one:1\",\"h.x/one:2\"]", "\"0/layer.tar\",\"1/layer.tar\",\"gz.tar\"")
#define EMPTY IMAGE("empty.json", "null", "")

Test(transport, docker_archive)
{
    static const int filters[] = {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP};
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();

    cr_assert_eq(setenv("TMPDIR", dir.path, 1), 0);
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
        _cleanup_(oci_image_source_closep) struct oci_image_source *s = NULL;
        _cleanup_(oci_manifest_freep) struct oci_manifest *m = NULL;
        char expected[OCI_DIGEST_STR_MAX], text[OCI_DIGEST_STR_MAX];

        make_docker_archive(&dir, "[" ONE "]", filters[i]);
        s = must_open(&dir, "docker-archive", "d.tar");
        m = expect_image(s, 3);
        cr_expect_str_eq(m->layers[0].media_type, OCI_TYPE_LAYER);
        cr_expect_str_eq(m->layers[2].media_type, OCI_TYPE_LAYER_GZIP);
        digest_text("layer two", expected);
        cr_expect_str_eq(oci_digest_format(&m->layers[1].digest, text), expected,
            "the digest of a plain layer is its diffID");
    }
}

Test(transport, docker_archive_choice)
{
    static const char *const names[] = {"one:1", "docker.io/library/one:1", "h.x/one:2", "@0"};
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    struct report report;
    char rest[100];

    make_docker_archive(&dir, "[" ONE "," EMPTY "]", ARCHIVE_FILTER_NONE);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        _cleanup_(oci_image_source_closep) struct oci_image_source *s = NULL;

        (void)snprintf(rest, sizeof(rest), "d.tar:%s", names[i]);
        s = must_open(&dir, "docker-archive", rest);
        oci_manifest_free(expect_image(s, 3));
    }
    {
        _cleanup_(oci_image_source_closep) struct oci_image_source *s =
            must_open(&dir, "docker-archive", "d.tar:@1");

        oci_manifest_free(expect_image(s, 0));
    }
    cr_expect_eq(open_fails(&dir, "docker-archive", "d.tar", NULL, &report), -EEXIST);
    cr_expect(strstr(report.text, "2 images, a name is needed: one:1, @1"), "%s", report.text);
    cr_expect_eq(open_fails(&dir, "docker-archive", "d.tar:one", NULL, &report), -ENOENT);
    cr_expect(strstr(report.text, "(there is: one:1, @1)"), "%s", report.text);
    cr_expect_eq(open_fails(&dir, "docker-archive", "d.tar:@2", NULL, &report), -ENOENT);
}

Test(transport, docker_archive_platform)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_image_source_closep) struct oci_image_source *s = NULL;
    struct report report;

    make_docker_archive(&dir, "[" ONE "]", ARCHIVE_FILTER_NONE);
    cr_expect_eq(open_location(&dir, "docker-archive", "d.tar", "linux/s390x", &s, &report), 0);
    cr_expect_eq(open_fails(&dir, "docker-archive", "d.tar", "linux/mips", &report), -ENOENT);
    cr_expect(
        strstr(report.text, "no image for linux/mips (there is: linux/s390x)"), "%s", report.text);
}

Test(transport, docker_archive_failures)
{
    static const struct {
        const char *manifest;
        int err;
        const char *text;
    } rows[] = {
        {NULL, -EBADMSG, "no member manifest.json"},
        {"{}", -EBADMSG, "not an array"},
        {"[1]", -EBADMSG, "[0] is not an object"},
        {"[]", -ENOENT, "there is no image"},
        {"[{}]", -EBADMSG, "Config is missing"},
        {"[{\"Config\":1}]", -EBADMSG, "Config is not a string"},
        {"[{\"Config\":\"config.json\",\"RepoTags\":[1]}]", -EBADMSG, "RepoTags[0]"},
        {"[{\"Config\":\"config.json\",\"Layers\":[1]}]", -EBADMSG, "Layers[0]"},
        {"[{\"Config\":\"config.json\"}]", -EBADMSG, "0 layers, but the config has 3 diff_ids"},
        {"[" IMAGE("gone.json", "[]", "") "]", -ENOENT, "gone.json is missing"},
        {"[" IMAGE("../config.json", "[]", "") "]", -ENOENT, "../config.json is missing"},
        {"[" IMAGE("bad.json", "[]", "") "]", -EBADMSG, "config: os is missing"},
        {"[" IMAGE(HEX_A ".json", "[]", "") "]", -EBADMSG, "digest mismatch"},
        {"[" IMAGE("config.json", "[]", "\"0/layer.tar\",\"x\",\"gz.tar\"") "]", -ENOENT,
            "x is missing"},
        {"[" IMAGE("empty.json", "[]", "\"0/layer.tar\"") "]", -EBADMSG,
            "1 layers, but the config has 0 diff_ids"},
    };
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    struct report report;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        make_docker_archive(&dir, rows[i].manifest, ARCHIVE_FILTER_NONE);
        cr_expect_eq(open_fails(&dir, "docker-archive", "d.tar", NULL, &report), rows[i].err,
            "%s: %s", rows[i].manifest, report.text);
        cr_expect(strstr(report.text, rows[i].text), "%s: %s", rows[i].manifest, report.text);
    }
}

/* Newer dockers name layers by the digest of their bytes: these are not read to open the image. */
Test(transport, docker_archive_blobs)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    _cleanup_(oci_image_source_closep) struct oci_image_source *s = NULL;
    _cleanup_(oci_manifest_freep) struct oci_manifest *m = NULL;
    char manifest[1000], hex[OCI_DIGEST_STR_MAX];
    struct oci_digest gz;

    cr_assert_eq(oci_digest_of(OCI_DIGEST_SHA256, layer_gz, sizeof(layer_gz), &gz), 0);
    (void)snprintf(manifest, sizeof(manifest),
        "[" IMAGE("config.json", "[]", "\"blobs/sha256/%s\",\"1/layer.tar\",\"0/layer.tar\"") "]",
        oci_digest_hex(&gz, hex));
    make_docker_archive(&dir, manifest, ARCHIVE_FILTER_NONE);
    s = must_open(&dir, "docker-archive", "d.tar");
    m = expect_image(s, 3);
    cr_expect(oci_digest_equal(&m->layers[0].digest, &gz));
}

Test(transport, close_of_nothing)
{
    cr_expect_null(oci_image_source_close(NULL));
}
