/* SPDX-License-Identifier: Apache-2.0 */
/* Printing results. */
#include "tools/output.h"

#include <string.h>

int output_json(json_t *json)
{
    int r;

    if (!json)
        return -ENOMEM;
    r = json_dumpf(json, stdout, JSON_INDENT(2));
    json_decref(json);
    if (r < 0 || putchar('\n') == EOF)
        return -EIO;
    return 0;
}

void output_text(FILE *f, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x20 || c == 0x7f)
            (void)fprintf(f, "\\x%02x", c);
        else
            (void)fputc(c, f);
    }
}

const char *format_size(uint64_t bytes, char buf[static SIZE_TEXT_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(buf, SIZE_TEXT_MAX, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return buf;
}

json_t *json_digest(const struct oci_digest *digest)
{
    char text[OCI_DIGEST_STR_MAX];

    return json_string(oci_digest_format(digest, text));
}

const char *format_digest_short(const struct oci_digest *digest, char buf[static 13])
{
    char hex[OCI_DIGEST_STR_MAX];

    (void)oci_digest_hex(digest, hex);
    memcpy(buf, hex, 12);
    buf[12] = '\0';
    return buf;
}
