/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables over getopt_long. */
#include "tools/options.h"

#include <ctype.h>
#include <getopt.h>
#include <string.h>

enum { HELP_INDENT = 26, HELP_WIDTH = 80, LONG_BASE = 256 };

/* The two tables as one list of rows, numbered through. */
struct tables {
    const struct option_def *defs[2];
    void *values[2];
    size_t counts[2];
};

static size_t count_defs(const struct option_def *defs)
{
    size_t n = 0;

    while (defs[n].name)
        n++;
    return n;
}

static const struct option_def *row(const struct tables *t, size_t i, void **ret_values)
{
    unsigned which = i >= t->counts[0];

    *ret_values = t->values[which];
    return &t->defs[which][which ? i - t->counts[0] : i];
}

static int has_argument(const struct option_def *def)
{
    if (!def->argument)
        return no_argument;
    return def->argument[0] == '[' ? optional_argument : required_argument;
}

int parse_number(const char *s, uint64_t max, uint64_t *ret_number)
{
    char *end;
    unsigned long long n;

    if (!isdigit((unsigned char)s[0]))
        return -EINVAL;
    errno = 0;
    n = strtoull(s, &end, 10);
    if (*end)
        return -EINVAL;
    if (errno || n > max)
        return -ERANGE;
    *ret_number = n;
    return 0;
}

/* The power of two that a unit stands for, or -1. */
static int unit_shift(const char *s)
{
    static const char units[] = "KMGTPE";
    const char *at;

    if (!*s || strcasecmp(s, "B") == 0)
        return 0;
    at = strchr(units, toupper((unsigned char)*s));
    if (!at || (s[1] && strcasecmp(s + 1, "B") && strcasecmp(s + 1, "iB")))
        return -1;
    return 10 * (int)(at - units + 1);
}

int parse_size(const char *s, uint64_t *ret_bytes)
{
    char *end;
    double number, bytes;
    int shift;

    if (!isdigit((unsigned char)s[0]))
        return -EINVAL;
    if (parse_number(s, UINT64_MAX, ret_bytes) == 0)
        return 0;
    number = strtod(s, &end);
    shift = unit_shift(end);
    if (shift < 0 || end != s + strspn(s, "0123456789.")) /* no exponents, no hexadecimal */
        return -EINVAL;
    bytes = number * (double)(1ull << shift);
    if (bytes >= 18446744073709551616.0)
        return -ERANGE;
    *ret_bytes = (uint64_t)bytes;
    return 0;
}

static int append(struct option_list *list, const struct option_def *def, const char *value)
{
    struct option_item *items =
        reallocarray(list->items, list->count + 1, sizeof(struct option_item));

    if (!items)
        return -ENOMEM;
    items[list->count++] = (struct option_item){.value = value, .def = def};
    list->items = items;
    return 0;
}

static int store_number(unsigned *ret, const char *argument)
{
    uint64_t n;
    int r = parse_number(argument, UINT32_MAX, &n);

    if (r == 0)
        *ret = (unsigned)n;
    return r;
}

static int store(const struct option_def *def, void *values, const char *argument)
{
    void *at = (char *)values + def->offset;

    switch (def->kind) {
    case OPTION_FLAG:
        *(bool *)at = true;
        return 0;
    case OPTION_TEXT:
        *(const char **)at = argument ? argument : def->value;
        return 0;
    case OPTION_LIST:
        return append(at, def, argument);
    case OPTION_NUMBER:
        return store_number(at, argument);
    case OPTION_SIZE:
        return parse_size(argument, at);
    case OPTION_PARSE:
        return def->parse(argument, at);
    case OPTION_IGNORE:
        return 0;
    }
    return -EINVAL;
}

/* Fills getopt's two descriptions of all rows. */
static void describe(const struct tables *t, struct option *longs, char *letters)
{
    for (size_t i = 0; i < t->counts[0] + t->counts[1]; i++) {
        void *values;
        const struct option_def *def = row(t, i, &values);
        int argument = has_argument(def);

        if (def->name[0])
            *longs++ = (struct option){def->name, argument, NULL, LONG_BASE + (int)i};
        if (!def->letter)
            continue;
        *letters++ = def->letter;
        for (int colons = argument; colons > 0; colons--)
            *letters++ = ':';
    }
    *longs = (struct option){0};
    *letters = '\0';
}

static const struct option_def *find(const struct tables *t, int key, void **ret_values)
{
    for (size_t i = 0; i < t->counts[0] + t->counts[1]; i++) {
        const struct option_def *def = row(t, i, ret_values);

        if (key >= LONG_BASE ? (size_t)(key - LONG_BASE) == i : def->letter == key)
            return def;
    }
    return NULL;
}

static int fail_value(const struct option_def *def, const char *argument, int err, struct report *r)
{
    const char *why = err == -ERANGE ? "out of range" : "not valid";

    if (err == -ENOMEM)
        return report_fail(r, err, "out of memory");
    if (def->name[0])
        return report_fail(r, -EINVAL, "--%s: '%s' is %s", def->name, argument, why);
    return report_fail(r, -EINVAL, "-%c: '%s' is %s", def->letter, argument, why);
}

/* What getopt did not like: ':' a missing argument, '?' an unknown or ambiguous option, or an
 * argument where none is taken. */
static int fail_option(const struct tables *t, int what, char **argv, struct report *r)
{
    const char *word = argv[optind - 1];
    void *values;
    bool by_letter = optopt > 0 && optopt < LONG_BASE;

    if (what == ':' && by_letter)
        return report_fail(r, -EINVAL, "option -%c needs an argument", optopt);
    if (what == ':')
        return report_fail(r, -EINVAL, "option %s needs an argument", word);
    if (by_letter)
        return report_fail(r, -EINVAL, "unknown option -%c", optopt);
    if (find(t, optopt, &values) && optopt)
        return report_fail(r, -EINVAL, "option %s takes no argument", word);
    return report_fail(r, -EINVAL, "unknown option %s", word);
}

static int parse_all(const struct tables *t, const char *letters, struct option *longs, int argc,
    char **argv, struct report *r)
{
    int key;

    opterr = 0;
    optind = 0; /* glibc: start over */
    while ((key = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        void *values;
        const struct option_def *def = key == '?' || key == ':' ? NULL : find(t, key, &values);
        int err;

        if (!def)
            return fail_option(t, key, argv, r);
        err = store(def, values, optarg);
        if (err < 0)
            return fail_value(def, optarg ? optarg : "", err, r);
    }
    return 0;
}

int options_parse(const struct option_def *defs, void *values, const struct option_def *global,
    void *global_values, bool stop, int argc, char **argv, char ***ret_args, int *ret_arg_count,
    struct report *r)
{
    struct tables t = {
        {defs, global}, {values, global_values}, {count_defs(defs), count_defs(global)}};
    size_t n = t.counts[0] + t.counts[1];
    _cleanup_(freep) struct option *longs = calloc(n + 1, sizeof(*longs));
    _cleanup_(freep) char *letters = malloc(3 * n + 3);
    int err;

    if (!longs || !letters)
        return report_fail(r, -ENOMEM, "out of memory");
    letters[0] = stop ? '+' : ':'; /* ':' first: a missing argument is ':' and not '?' */
    letters[1] = ':';
    describe(&t, longs, letters + 1 + stop);
    err = parse_all(&t, letters, longs, argc, argv, r);
    if (err < 0)
        return err;
    *ret_args = argv + optind;
    *ret_arg_count = argc - optind;
    return 0;
}

void options_free(const struct option_def *defs, void *values)
{
    for (; defs->name; defs++) {
        struct option_list *list = (void *)((char *)values + defs->offset);

        if (defs->kind != OPTION_LIST)
            continue;
        free(list->items);
        *list = (struct option_list){0};
    }
}

void print_wrapped(FILE *f, const char *text, int indent, int column)
{
    int at = column;

    while (*text) {
        size_t word = strcspn(text, " \n");
        int space;

        if (at > indent && at + 1 + (int)word > HELP_WIDTH) {
            (void)fputc('\n', f);
            at = 0;
        }
        space = at < indent ? indent - at : at > indent;
        if (word)
            at += fprintf(f, "%*s%.*s", space, "", (int)word, text);
        text += word;
        if (*text == '\n') {
            (void)fputc('\n', f);
            at = 0;
        }
        text += *text != '\0';
    }
    (void)fputc('\n', f);
}

static int print_names(FILE *f, const struct option_def *def)
{
    const char *argument = def->argument ? def->argument : "";
    const char *space = def->argument && argument[0] != '[' ? " " : "";

    if (!def->name[0])
        return fprintf(f, "  -%c%s%s", def->letter, space, argument);
    if (def->letter)
        return fprintf(f, "  -%c, --%s%s%s", def->letter, def->name, space, argument);
    return fprintf(f, "      --%s%s%s", def->name, space, argument);
}

void options_print_help(const struct option_def *defs, FILE *f)
{
    for (; defs->name; defs++) {
        int column;

        if (!defs->help)
            continue;
        column = print_names(f, defs);
        if (column >= HELP_INDENT - 1) {
            (void)fputc('\n', f);
            column = 0;
        }
        print_wrapped(f, defs->help, HELP_INDENT, column);
    }
}
