/* SPDX-License-Identifier: Apache-2.0 */
/* Platforms: "os/arch[/variant]" in Go's names. */
#ifndef OCI_PLATFORM_H
#define OCI_PLATFORM_H

#include "oci/util/macros.h"

/* "os/arch[/variant]". Fields are empty when unknown. */
struct oci_platform {
    char os[32], architecture[32], variant[32];
};

/* The platform of this machine, in Go's names (amd64, arm64, arm with v7, …). */
struct oci_platform oci_platform_host(void);

/* "os/arch[/variant]", the kernel's names of architectures (x86_64, aarch64, …) too. -EINVAL. */
int oci_platform_parse(const char *s, struct oci_platform *ret_platform);
const char *oci_platform_format(const struct oci_platform *p, char buf[static 100]);

/* How well an image of platform `have` serves on `want`: 0 not at all, more is better (an exact
 * variant over a compatible lower one: arm v7 takes v6 and v5; amd64 v1 is amd64). */
int oci_platform_match(const struct oci_platform *want, const struct oci_platform *have);

#endif
