/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of the image-spec that reading an image does not need: what `validate` says beyond what
 * the parsers refuse. Documents have passed their parser, or not: a rule that does not apply to
 * what is there is skipped. */
#ifndef OCI_CHECK_H
#define OCI_CHECK_H

#include "oci/image.h"

/* Called for each rule that is broken, with a text that names the field. must: the specification
 * says MUST, else SHOULD. */
typedef void (*oci_complain_fn)(void *userdata, bool must, const char *text);

void oci_check_layout_file(const json_t *json, oci_complain_fn complain, void *userdata);
void oci_check_index(const json_t *json, oci_complain_fn complain, void *userdata);
void oci_check_manifest(const json_t *json, oci_complain_fn complain, void *userdata);
void oci_check_config(const json_t *json, oci_complain_fn complain, void *userdata);

#endif
