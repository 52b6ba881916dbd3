/* SPDX-License-Identifier: Apache-2.0 */
/* Debug lines on stderr, one switch per subsystem: LAYERFS_DEBUG=tree,fuse or =all.
 *
 * Library code logs at debug level only; what a user must see travels in a struct report. */
#ifndef OCI_UTIL_LOG_H
#define OCI_UTIL_LOG_H

#include "oci/util/macros.h"

enum log_subsystem {
    LOG_OCI,
    LOG_LAYER,
    LOG_TREE,
    LOG_STORE,
    LOG_FUSE,
    LOG_READ,
    LOG_MOUNT,
    LOG_UNION,
    LOG_REGISTRY,
    LOG_SUBSYSTEMS,
};

/* Bit set of enum log_subsystem; written by log_setup() before threads start, only read later. */
extern unsigned log_enabled_mask;

/* Parses names separated by commas ("all" for everything; NULL and "" for none).
 * -EINVAL when a name is unknown: the known ones are taken all the same. */
int log_setup(const char *names);

/* Names of all subsystems, comma-separated, for --help. */
const char *log_subsystem_names(void);

void log_write(enum log_subsystem subsystem, const char *fmt, ...) _printf_(2, 3);

#define log_debug(subsystem, ...)                                                                  \
    do {                                                                                           \
        if (__builtin_expect(log_enabled_mask & (1u << (subsystem)), 0))                           \
            log_write((subsystem), __VA_ARGS__);                                                   \
    } while (0)

#endif
