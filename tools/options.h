/* SPDX-License-Identifier: Apache-2.0 */
/* Options by const tables: one table drives getopt_long and prints the help. */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdio.h>

#include "oci/util/report.h"

enum option_kind {
    OPTION_FLAG,   /* bool, set to true */
    OPTION_TEXT,   /* const char *, the argument itself */
    OPTION_LIST,   /* struct option_list, each use appends; options may share one list */
    OPTION_NUMBER, /* unsigned */
    OPTION_SIZE,   /* uint64_t, bytes, with K, M, G, T behind */
    OPTION_PARSE,  /* anything, by the row's parse() */
    OPTION_IGNORE, /* accepted and dropped; not in the help */
};

struct option_def {
    const char *name;     /* without dashes; NULL ends the table; "" for a letter alone */
    char letter;          /* 0: none */
    const char *argument; /* name in the help; NULL: takes none; "[=NAME]": optional */
    enum option_kind kind;
    size_t offset;     /* of the value in the command's struct */
    const char *help;  /* NULL: not shown */
    const char *value; /* TEXT with an optional argument: what stands for a missing one */
    int (*parse)(const char *argument, void *ret_value); /* -EINVAL; PARSE only */
};

struct option_list {
    struct option_item {
        const char *value;
        const struct option_def *def; /* which option it came by */
    } * items;                        /* owned */
    size_t count;
};

/* Parses argv[1…] by two tables (the command's, the global), each with its own values. Positional
 * arguments stay, in order: *ret_args points at them within argv, which is permuted. stop: options
 * end at the first argument. who is for texts. 0; -EINVAL: the text says which option and why;
 * -ENOMEM. Lists are to be freed by options_free() in any case. */
int options_parse(const struct option_def *defs, void *values, const struct option_def *global,
    void *global_values, bool stop, int argc, char **argv, char ***ret_args, int *ret_arg_count,
    struct report *r);

void options_free(const struct option_def *defs, void *values);

/* Prints rows "  -x, --name ARG   help" to f, wrapped to 80 columns. */
void options_print_help(const struct option_def *defs, FILE *f);

/* Prints text wrapped to 80 columns with each line indented; newlines in it are kept. *column
 * tells where the first line starts. */
void print_wrapped(FILE *f, const char *text, int indent, int column);

/* "4096", "64K", "1.5G", "10MiB": bytes, powers of 1024. -EINVAL, -ERANGE. */
int parse_size(const char *s, uint64_t *ret_bytes);

/* A decimal number up to max. -EINVAL, -ERANGE. */
int parse_number(const char *s, uint64_t max, uint64_t *ret_number);

#endif
