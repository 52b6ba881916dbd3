/* SPDX-License-Identifier: Apache-2.0 */
/* Printing results: JSON, sizes, and text that may come from an image. */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "oci/digest.h"

/* Prints a document, indented, and drops the reference. NULL is out of memory: -ENOMEM. */
int output_json(json_t *json);

/* Prints bytes from an image or a store: control bytes become \xNN. */
void output_text(FILE *f, const char *text);

enum { SIZE_TEXT_MAX = 24 };
/* "12.3 MiB"; returns buf. */
const char *format_size(uint64_t bytes, char buf[static SIZE_TEXT_MAX]);

/* A digest as JSON string; NULL when out of memory. */
json_t *json_digest(const struct oci_digest *digest);

/* The first 12 hex digits; returns buf. */
const char *format_digest_short(const struct oci_digest *digest, char buf[static 13]);

#endif
