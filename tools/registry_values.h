/* SPDX-License-Identifier: Apache-2.0 */
/* The options of all commands that talk to registries. */
#ifndef TOOLS_REGISTRY_VALUES_H
#define TOOLS_REGISTRY_VALUES_H

#include "oci/registry/options.h"
#include "tools/tool.h"

struct registry_values {
    const char *authfile, *cert_dir, *registries_conf, *tls_verify;
    unsigned retries_plus_one; /* 0: not given */
    unsigned timeout;
    uint64_t limit_rate;
};

/* Rows of an option table whose values hold a struct registry_values at this offset. */
#define REGISTRY_OPTIONS(at)                                                                       \
    {.name = "authfile",                                                                           \
        .argument = "FILE",                                                                        \
        .kind = OPTION_TEXT,                                                                       \
        .offset = (at) + offsetof(struct registry_values, authfile),                               \
        .help = "credentials, as podman and docker keep them; default: $REGISTRY_AUTH_FILE, else " \
                "auth.json and config.json in the usual places"},                                  \
        {.name = "cert-dir",                                                                       \
            .argument = "DIR",                                                                     \
            .kind = OPTION_TEXT,                                                                   \
            .offset = (at) + offsetof(struct registry_values, cert_dir),                           \
            .help = "*.crt to trust and the client's *.cert and *.key; default: "                  \
                    "/etc/containers/certs.d/HOST[:PORT] and the like"},                           \
        {.name = "registries-conf",                                                                \
            .argument = "FILE",                                                                    \
            .kind = OPTION_TEXT,                                                                   \
            .offset = (at) + offsetof(struct registry_values, registries_conf),                    \
            .help = "default: $CONTAINERS_REGISTRIES_CONF, else registries.conf and "              \
                    "registries.conf.d in the usual places"},                                      \
        {.name = "tls-verify",                                                                     \
            .argument = "[=BOOL]",                                                                 \
            .kind = OPTION_TEXT,                                                                   \
            .value = "true",                                                                       \
            .offset = (at) + offsetof(struct registry_values, tls_verify),                         \
            .help = "false: take any certificate, and http where there is no https; default: as "  \
                    "registries.conf says"},                                                       \
        {.name = "retries",                                                                        \
            .argument = "N",                                                                       \
            .kind = OPTION_PARSE,                                                                  \
            .parse = registry_parse_retries,                                                       \
            .offset = (at) + offsetof(struct registry_values, retries_plus_one),                   \
            .help = "times to try again after a failure without progress; default 5"},             \
        {.name = "timeout",                                                                        \
            .argument = "SECONDS",                                                                 \
            .kind = OPTION_NUMBER,                                                                 \
            .offset = (at) + offsetof(struct registry_values, timeout),                            \
            .help = "give up on a connection that brings no answer, or less than 1 KiB/s, for so " \
                    "long; default 30"},                                                           \
    {                                                                                              \
        .name = "limit-rate", .argument = "SIZE", .kind = OPTION_SIZE,                             \
        .offset = (at) + offsetof(struct registry_values, limit_rate),                             \
        .help = "bytes a second of all downloads together"                                         \
    }

/* A row's parse(): a number up to 1000, kept plus one. */
int registry_parse_retries(const char *argument, void *ret_value);

/* What the values say. 0, or EXIT_CODE_USAGE with a text. The strings stay the values'. */
int registry_options_from(
    struct tool *tool, const struct registry_values *v, struct oci_registry_options *ret_options);

#endif
