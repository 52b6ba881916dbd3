/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for one registry. */
#include "oci/registry/certs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "oci/util/io.h"

enum { CERT_FILE_MAX = 1 << 20, CERT_PATH_MAX = 4096 };

static bool has_suffix(const char *name, const char *suffix)
{
    size_t len = strlen(name), end = strlen(suffix);

    return len > end && strcmp(name + len - end, suffix) == 0;
}

static char *join(const char *directory, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

static int add_ca(const char *path, struct oci_tls *tls, struct report *r)
{
    struct buf b = {0};
    int err = io_read_file(AT_FDCWD, path, CERT_FILE_MAX, &b);

    if (err == 0)
        err = buf_append(&tls->ca, b.data, b.size);
    if (err == 0)
        err = buf_append_str(&tls->ca, "\n");
    buf_deinit(&b);
    return err < 0 ? report_errno(r, err, "%s", path) : 0;
}

/* A client certificate goes with the key of the same name. */
static int set_client(const char *path, struct oci_tls *tls, struct report *r)
{
    char *key = strndup(path, strlen(path) - strlen("cert"));
    char *whole = NULL;

    if (key && asprintf(&whole, "%skey", key) < 0)
        whole = NULL;
    free(key);
    free(tls->cert);
    free(tls->key);
    tls->cert = strdup(path);
    tls->key = whole;
    if (!tls->cert || !tls->key)
        return report_errno(r, -ENOMEM, "%s", path);
    if (access(tls->key, R_OK) < 0)
        return report_errno(r, neg_errno(), "%s", tls->key);
    return 0;
}

static int take_file(const char *directory, const char *name, struct oci_tls *tls, struct report *r)
{
    _cleanup_(freep) char *path = join(directory, name);

    if (!path)
        return report_errno(r, -ENOMEM, "%s", directory);
    if (has_suffix(name, ".crt"))
        return add_ca(path, tls, r);
    return has_suffix(name, ".cert") ? set_client(path, tls, r) : 0;
}

/* 1 when there is no such directory. */
static int load_directory(const char *directory, struct oci_tls *tls, struct report *r)
{
    struct dirent **names;
    int count = scandir(directory, &names, NULL, alphasort);
    int err = 0;

    if (count < 0)
        return errno == ENOENT || errno == ENOTDIR ? 1
                                                   : report_errno(r, neg_errno(), "%s", directory);
    for (int i = 0; i < count; i++) {
        if (err == 0)
            err = take_file(directory, names[i]->d_name, tls, r);
        free(names[i]);
    }
    free(names);
    return err;
}

static int load_usual(const char *host, struct oci_tls *tls, struct report *r)
{
    static const char *const places[] = {NULL, "containers", "docker"}; /* NULL: below $HOME */
    const char *home = getenv("HOME");
    int err = 1;

    for (size_t i = 0; i < ARRAY_SIZE(places) && err > 0; i++) {
        char path[CERT_PATH_MAX];

        if (places[i])
            (void)snprintf(path, sizeof(path), "/etc/%s/certs.d/%s", places[i], host);
        else if (home && home[0] == '/')
            (void)snprintf(path, sizeof(path), "%s/.config/containers/certs.d/%s", home, host);
        else
            continue;
        err = load_directory(path, tls, r);
    }
    return MIN(err, 0);
}

int oci_certs_load(
    const char *cert_dir, const char *host, struct oci_tls *ret_tls, struct report *r)
{
    struct oci_tls tls = {0};
    int err = cert_dir ? load_directory(cert_dir, &tls, r) : load_usual(host, &tls, r);

    if (err > 0)
        err = report_errno(r, -ENOENT, "%s", cert_dir);
    if (err < 0)
        oci_tls_deinit(&tls);
    else
        *ret_tls = tls;
    return err;
}
