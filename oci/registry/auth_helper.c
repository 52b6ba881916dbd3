/* SPDX-License-Identifier: Apache-2.0 */
/* Credential helpers: the server's name goes to their stdin, JSON comes from their stdout. */
#include "oci/registry/auth_helper.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "oci/json.h"
#include "oci/util/io.h"

enum { ANSWER_MAX = 64 << 10 };

extern char **environ;

static bool is_helper_name(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
            return false;
    return len > 0 && len < 200;
}

/* Starts the program with these two ends; signals are as a program expects them. */
static int start(const char *program, int in, int out, pid_t *ret_pid)
{
    char program_copy[256], verb[] = "get";
    char *argv[] = {program_copy, verb, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int err;

    (void)snprintf(program_copy, sizeof(program_copy), "%s", program);
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setsigdefault(&attr, &all);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    err = -posix_spawnp(ret_pid, program, &actions, &attr, argv, environ);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    return err;
}

static int read_answer(int fd, struct buf *b)
{
    char chunk[4096];
    ssize_t n;

    while ((n = io_read_full(fd, chunk, sizeof(chunk))) > 0) {
        int err = b->size + (size_t)n > ANSWER_MAX ? -EFBIG : buf_append(b, chunk, (size_t)n);

        explicit_bzero(chunk, sizeof(chunk));
        if (err < 0)
            return err;
    }
    return (int)n;
}

/* The exit status of the helper, with its answer in b. */
static int run(const char *program, const char *server, struct buf *b)
{
    int to[2], from[2], status = 0, err;
    pid_t pid = -1;

    if (pipe2(to, O_CLOEXEC) < 0)
        return neg_errno();
    if (pipe2(from, O_CLOEXEC) < 0) {
        err = neg_errno();
        (void)close(to[0]);
        (void)close(to[1]);
        return err;
    }
    err = start(program, to[0], from[1], &pid);
    (void)close(to[0]);
    (void)close(from[1]);
    if (err == 0)
        (void)io_write_full(
            to[1], server, strlen(server)); /* one that does not read has its reason */
    (void)close(to[1]);
    if (err == 0)
        err = read_answer(from[0], b);
    (void)close(from[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (err < 0)
        return err;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* Helpers say so in words when they know nothing about a server. */
static bool says_not_found(const struct buf *b)
{
    return b->data && (memmem(b->data, b->size, "credentials not found", 21) ||
                          memmem(b->data, b->size, "no credentials", 14));
}

static int parse_answer(
    const struct buf *b, const char *program, struct oci_credentials *c, struct report *r)
{
    _cleanup_(oci_json_unrefp) json_t *json = NULL;
    const char *user, *secret;

    if (oci_json_load(b->data, b->size, program, &json, NULL) < 0)
        return report_fail(r, -EIO, "%s: its answer is not JSON", program);
    user = json_string_value(json_object_get(json, "Username"));
    secret = json_string_value(json_object_get(json, "Secret"));
    if (!user || !secret || !secret[0])
        return 0;
    if (strcmp(user, "<token>") == 0) {
        c->identity_token = strdup(secret);
        return c->identity_token ? 1 : -ENOMEM;
    }
    c->user = strdup(user);
    c->password = strdup(secret);
    return c->user && c->password ? 1 : -ENOMEM;
}

int auth_helper_get(
    const char *name, const char *server, struct oci_credentials *ret_credentials, struct report *r)
{
    char program[256];
    struct buf b = {0};
    int status;

    if (!is_helper_name(name))
        return report_fail(r, -EINVAL, "\"%s\" is no name of a credential helper", name);
    (void)snprintf(program, sizeof(program), "docker-credential-%s", name);
    status = run(program, server, &b);
    if (status == 0)
        status = parse_answer(&b, program, ret_credentials, r);
    else if (status < 0)
        status = report_errno(r, -EIO, "%s", program);
    else if (says_not_found(&b))
        status = 0;
    else
        status = report_fail(r, -EIO, "%s: exit status %d", program, status);
    if (b.size > 0)
        explicit_bzero(b.data, b.size);
    buf_deinit(&b);
    return status;
}
