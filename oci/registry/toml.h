/* SPDX-License-Identifier: Apache-2.0 */
/* TOML as JSON.
 *
 * The one C++ file of the project: Debian packages no TOML reader for C, and toml++ is a header.
 * Behind this call nothing knows of it. */
#ifndef OCI_REGISTRY_TOML_H
#define OCI_REGISTRY_TOML_H

#include <jansson.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TOML_ERROR_MAX = 256 };

/* Tables, arrays, strings, booleans and numbers become what JSON has for them; dates become null.
 * 0, -ENOMEM, or -EBADMSG with a text in error. */
int toml_to_json(const char *text, size_t size, json_t **ret_json, char error[TOML_ERROR_MAX]);

#ifdef __cplusplus
}
#endif

#endif
