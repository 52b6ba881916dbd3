/* SPDX-License-Identifier: Apache-2.0 */
/* The options of all commands that talk to registries. */
#include "tools/registry_values.h"

#include <string.h>

enum { RETRIES_MAX = 1000 };

int registry_parse_retries(const char *argument, void *ret_value)
{
    uint64_t number;
    int err = parse_number(argument, RETRIES_MAX, &number);

    if (err == 0)
        *(unsigned *)ret_value = (unsigned)number + 1;
    return err;
}

static int parse_bool(const char *text, bool *ret_value)
{
    static const char *const names[][2] = {
        {"false", "true"}, {"0", "1"}, {"no", "yes"}, {"off", "on"}};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        for (int value = 0; value < 2; value++)
            if (strcmp(text, names[i][value]) == 0) {
                *ret_value = value;
                return 0;
            }
    return -EINVAL;
}

int registry_options_from(
    struct tool *tool, const struct registry_values *v, struct oci_registry_options *ret_options)
{
    struct oci_registry_options options = {
        .authfile = v->authfile,
        .cert_dir = v->cert_dir,
        .registries_conf = v->registries_conf,
        .no_retries = v->retries_plus_one == 1,
        .retries = v->retries_plus_one ? v->retries_plus_one - 1 : 0,
        .timeout = v->timeout,
        .limit_rate = v->limit_rate,
    };
    bool verify;

    if (v->tls_verify && parse_bool(v->tls_verify, &verify) < 0)
        return tool_usage(tool, "--tls-verify: '%s' is neither true nor false", v->tls_verify);
    if (v->tls_verify)
        options.tls_verify = verify ? OCI_TLS_VERIFY_YES : OCI_TLS_VERIFY_NO;
    *ret_options = options;
    return 0;
}
