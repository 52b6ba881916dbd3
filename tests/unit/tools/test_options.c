/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "tools/options.h"

struct values {
    bool flag, other;
    const char *text;
    unsigned number;
    uint64_t size;
    struct option_list list;
    int parsed;
};

static int parse_parity(const char *argument, void *ret_value)
{
    if (strcmp(argument, "even") && strcmp(argument, "odd"))
        return -EINVAL;
    *(int *)ret_value = strcmp(argument, "odd") == 0 ? 1 : 2;
    return 0;
}

#define VALUE(field) offsetof(struct values, field)
static const struct option_def defs[] = {
    {.name = "flag", .letter = 'f', .kind = OPTION_FLAG, .offset = VALUE(flag), .help = "a flag"},
    {.name = "text",
        .argument = "[=T]",
        .kind = OPTION_TEXT,
        .offset = VALUE(text),
        .value = "all",
        .help = "a text"},
    {.name = "number",
        .letter = 'n',
        .argument = "N",
        .kind = OPTION_NUMBER,
        .offset = VALUE(number),
        .help = "a number"},
    {.name = "size",
        .argument = "SIZE",
        .kind = OPTION_SIZE,
        .offset = VALUE(size),
        .help = "a size"},
    {.name = "dir", .argument = "DIR", .kind = OPTION_LIST, .offset = VALUE(list), .help = "one"},
    {.name = "tar", .argument = "FILE", .kind = OPTION_LIST, .offset = VALUE(list), .help = "two"},
    {.name = "parity",
        .argument = "P",
        .kind = OPTION_PARSE,
        .offset = VALUE(parsed),
        .parse = parse_parity,
        .help = "odd or even"},
    {.name = "",
        .letter = 'o',
        .argument = "OPT",
        .kind = OPTION_LIST,
        .offset = VALUE(list),
        .help = "a letter alone"},
    {.name = "", .letter = 's', .kind = OPTION_IGNORE},
    {0},
};
static const struct option_def global[] = {
    {.name = "other", .kind = OPTION_FLAG, .offset = VALUE(other), .help = "global"},
    {0},
};

/* Parses words separated by spaces, as of a command line. */
struct parsed {
    struct values values, global;
    char *words[32], **args;
    int count, err;
    struct report report;
    char text[256];
};

static void parse(struct parsed *p, bool stop, const char *line)
{
    int argc = 0;
    char *save;

    *p = (struct parsed){.report = REPORT_INIT};
    strcpy(p->text, line);
    p->words[argc++] = p->text + sizeof(p->text) - 1;
    for (char *w = strtok_r(p->text, " ", &save); w; w = strtok_r(NULL, " ", &save))
        p->words[argc++] = w;
    p->err = options_parse(defs, &p->values, global, &p->global, stop, argc, p->words, &p->args,
        &p->count, &p->report);
}

static void expect_error(const char *line, const char *text)
{
    struct parsed p;

    parse(&p, false, line);
    cr_expect_eq(p.err, -EINVAL, "%s", line);
    cr_expect_str_eq(p.report.text, text);
    options_free(defs, &p.values);
}

Test(options, fill_their_fields)
{
    struct parsed p;

    parse(&p, false, "one --flag two --text=x -n 7 --size 4K --parity odd --other three");
    cr_assert_eq(p.err, 0, "%s", p.report.text);
    cr_expect(p.values.flag && p.global.other && !p.values.other);
    cr_expect_str_eq(p.values.text, "x");
    cr_expect_eq(p.values.number, 7);
    cr_expect_eq(p.values.size, 4096);
    cr_expect_eq(p.values.parsed, 1);
    cr_assert_eq(p.count, 3);
    cr_expect_str_eq(p.args[0], "one");
    cr_expect_str_eq(p.args[2], "three");
}

Test(options, lists_keep_order_and_origin)
{
    struct parsed p;

    parse(&p, false, "--dir a --tar b -o c --dir d");
    cr_assert_eq(p.err, 0);
    cr_assert_eq(p.values.list.count, 4);
    cr_expect_str_eq(p.values.list.items[1].value, "b");
    cr_expect_str_eq(p.values.list.items[1].def->name, "tar");
    cr_expect_str_eq(p.values.list.items[3].value, "d");
    options_free(defs, &p.values);
    cr_expect_eq(p.values.list.count, 0);
}

Test(options, an_optional_argument_has_a_stand_in)
{
    struct parsed p;

    parse(&p, false, "--text x");
    cr_assert_eq(p.err, 0);
    cr_expect_str_eq(p.values.text, "all");
    cr_expect_eq(p.count, 1);
}

Test(options, stop_leaves_what_follows_the_command)
{
    struct parsed p;

    parse(&p, true, "--flag command --nonsense");
    cr_assert_eq(p.err, 0, "%s", p.report.text);
    cr_assert_eq(p.count, 2);
    cr_expect_str_eq(p.args[1], "--nonsense");
}

Test(options, dashes_end_them)
{
    struct parsed p;

    parse(&p, false, "a -- --flag");
    cr_assert_eq(p.err, 0);
    cr_expect_not(p.values.flag);
    cr_assert_eq(p.count, 2);
    cr_expect_str_eq(p.args[1], "--flag");
}

Test(options, errors_name_the_option)
{
    expect_error("--nonsense", "unknown option --nonsense");
    expect_error("-x", "unknown option -x");
    expect_error("-fx", "unknown option -x");
    expect_error("--number", "option --number needs an argument");
    expect_error("-n", "option -n needs an argument");
    expect_error("--flag=1", "option --flag=1 takes no argument");
    expect_error("--number many", "--number: 'many' is not valid");
    expect_error("--number 4294967296", "--number: '4294967296' is out of range");
    expect_error("--size 1Q", "--size: '1Q' is not valid");
    expect_error("--parity half", "--parity: 'half' is not valid");
    expect_error("--dir a --dir", "option --dir needs an argument");
}

Test(options, sizes)
{
    static const struct {
        const char *text;
        int err;
        uint64_t bytes;
    } cases[] = {
        {"0", 0, 0},
        {"4096", 0, 4096},
        {"4k", 0, 4096},
        {"4KiB", 0, 4096},
        {"4KB", 0, 4096},
        {"1.5M", 0, 3 << 19},
        {"7B", 0, 7},
        {"16E", -ERANGE, 0},
        {"15E", 0, 15ull << 60},
        {"18446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {" 1", -EINVAL, 0},
        {"1X", -EINVAL, 0},
        {"1KK", -EINVAL, 0},
        {"0x10", -EINVAL, 0},
        {"K", -EINVAL, 0},
        {"inf", -EINVAL, 0},
        {"1e3", -EINVAL, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t bytes = 42;

        cr_expect_eq(parse_size(cases[i].text, &bytes), cases[i].err, "%s", cases[i].text);
        cr_expect_eq(bytes, cases[i].err ? 42 : cases[i].bytes, "%s: %llu", cases[i].text,
            (unsigned long long)bytes);
    }
}

Test(options, numbers)
{
    uint64_t n = 42;

    cr_expect_eq(parse_number("10", 10, &n), 0);
    cr_expect_eq(n, 10);
    cr_expect_eq(parse_number("11", 10, &n), -ERANGE);
    cr_expect_eq(parse_number("+1", 10, &n), -EINVAL);
    cr_expect_eq(parse_number("1 ", 10, &n), -EINVAL);
    cr_expect_eq(parse_number("", 10, &n), -EINVAL);
    cr_expect_eq(n, 10);
}

static char *print(void (*fn)(FILE *f))
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    fn(f);
    (void)fclose(f);
    return text;
}

static void print_help(FILE *f)
{
    options_print_help(defs, f);
}

static void print_long(FILE *f)
{
    print_wrapped(f,
        "aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee fffffffff ggggggggg hhhhhhhh "
        "iiiii\n\nend",
        4, 0);
}

Test(options, help_comes_from_the_table)
{
    char *text = print(print_help);

    cr_expect(strstr(text, "  -f, --flag              a flag\n"), "%s", text);
    cr_expect(strstr(text, "      --text[=T]          a text\n"), "%s", text);
    cr_expect(strstr(text, "  -n, --number N          a number\n"), "%s", text);
    cr_expect(strstr(text, "  -o OPT                  a letter alone\n"), "%s", text);
    cr_expect_null(strstr(text, "  -s"));
    free(text);
}

Test(options, text_is_wrapped)
{
    char *text = print(print_long);

    cr_expect_str_eq(text,
        "    aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee fffffffff ggggggggg\n"
        "    hhhhhhhh iiiii\n\n    end\n");
    free(text);
}
