/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lib/cli: words to arguments, and what is said about wrong ones. */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>

#include "check.h"
#include "cleanup.h"
#include "cli_internal.h"
#include "timefmt.h"
#include "shell_words.h"

struct common {
    bool force;
    uint64_t limit;
};

struct peek_args {
    struct common common;
    bool hex;
    uint64_t count;
    uint32_t small;
    uint64_t bytes;
    uint64_t wait;
    uint32_t mode;
    struct cli_range index;
    int32_t pid;
    int when;
    struct cli_strv rename;
    const char *file;
};

static const char *const words[] = {"never", "always", NULL};

static const struct cli_opt common_opts[] = {
    CLI_FLAG(struct common, force, 0, "force", "whatever happens"),
    CLI_U64(struct common, limit, 'L', "limit", NULL, "a limit"),
    CLI_END,
};

static const struct cli_opt peek_opts[] = {
    CLI_FLAG(struct peek_args, hex, 'x', "hex", "as hex"),
    CLI_U64(struct peek_args, count, 'n', "count", NULL, "how many", .min = 1),
    CLI_U32(struct peek_args, small, 0, "small", NULL, "small", .max = 10),
    CLI_SIZE(struct peek_args, bytes, 'm', "max", NULL, "bytes"),
    CLI_SPAN(struct peek_args, wait, 0, "wait", NULL, "how long"),
    CLI_MODE(struct peek_args, mode, 0, "mode", NULL, "permission"),
    CLI_RANGE(struct peek_args, index, 'i', "index", NULL, "which"),
    CLI_PID(struct peek_args, pid, 0, "pid", NULL, "process"),
    CLI_ENUM(struct peek_args, when, 0, "when", "WHEN", "when", words),
    CLI_STRV(struct peek_args, rename, 0, "rename", "OLD=NEW", "names"),
    CLI_STR(struct peek_args, file, 'f', "file", "FILE", "where"),
    CLI_SPAN(struct peek_args, wait, 0, "delay", NULL, "often", .min = NSEC_PER_SEC / 10,
             .max = 3600 * NSEC_PER_SEC),
    CLI_SPAN(struct peek_args, wait, 0, "gap", NULL, "rarely", .min = 10000),
    CLI_SIZE(struct peek_args, bytes, 0, "room", NULL, "bytes", .min = 1,
             .max = UINT64_C(2) << 30),
    CLI_RANGE(struct peek_args, index, 0, "part", NULL, "which", .max = 31),
    CLI_END,
};

static int run(struct cli_ctx *ctx _unused_, const void *args _unused_)
{
    return 0;
}

static const struct peek_args peek_defaults = {.common = {.limit = 5}, .count = 100};

struct list_args {
    struct common common;
    const char *count;
};

static const struct cli_opt list_opts[] = {
    CLI_FLAG(struct peek_args, hex, 0, "headings", "with headings"),
    CLI_STR(struct list_args, count, 'x', "exclude", "NAME", "not that"),
    CLI_END,
};

struct list_row {
    uint64_t number;
};

static const struct out_col list_cols[] = {
    OUT_U64(struct list_row, number, "number", "a number"),
    OUT_U64(struct list_row, number, "numeral", "the same"),
    OUT_U64(struct list_row, number, "hidden", "not for tables", .flags = OUT_JSON),
    OUT_END,
};

static const struct cli_word list_commands[] = {{"all", "all"}, {"some", "some"}, {NULL, NULL}};

static const struct cli_verb list = {
    .name = "list",
    .summary = "list",
    .operands = "[WHICH]",
    .max_operands = 1,
    .commands = list_commands,
    .opts = list_opts,
    .args_size = sizeof(struct list_args),
    .cols = list_cols,
    .run = run,
};
static const struct cli_verb secret = {
    .name = "lisp",
    .summary = "hidden",
    .flags = CLI_HIDDEN,
    .run = run,
};
static const struct cli_verb peek = {
    .name = "peek",
    .operands = "QUEUE…",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_QUEUE,
    .summary = "peek",
    .opts = peek_opts,
    .args_size = sizeof(struct peek_args),
    .defaults = &peek_defaults,
    .run = run,
};
static const struct cli_verb exec = {
    .name = "exec",
    .operands = "CMD…",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_COMMAND,
    .summary = "run",
    .flags = CLI_COMMAND,
    .run = run,
};
static const struct cli_verb *const verbs[] = {&list, &peek, &exec, &secret, NULL};
static const char *const usage[] = {"demo /q\tlook", NULL};
static const char *const backends[] = {"bpf", "drain", NULL};

static void offer(struct cli_offers *o, enum cli_complete what)
{
    CHECK_INT(what, CLI_COMPLETE_QUEUE);
    cli_offer(o, "/jobs", NULL);
    cli_offer(o, "/$(id) \n", NULL);
}

static const struct cli_applet demo = {
    .name = "demo",
    .summary = "for the test",
    .usage = usage,
    .verbs = verbs,
    .default_verb = &list,
    .operand_verb = &peek,
    .common_opts = common_opts,
    .common_size = sizeof(struct common),
    .backends = backends,
    .offer = offer,
};

static const struct cli_verb remove_verb = {
    .name = "remove",
    .operands = "QUEUE…",
    .max_operands = 1,
    .complete = CLI_COMPLETE_QUEUE,
    .summary = "remove",
    .run = run,
};
static const struct cli_verb *const other_verbs[] = {&remove_verb, NULL};
static const struct cli_applet other = {
    .name = "other",
    .summary = "another",
    .usage = usage,
    .verbs = other_verbs,
};
static const struct cli_applet *const all[] = {&demo, &other, NULL};

/* Parses "a b c"; the words stay valid until the next call. */
static int parse(const char *line, struct cli_parsed *p, struct err *e)
{
    static char copy[512];
    char *argv[64];
    int argc = 0;

    snprintf(copy, sizeof(copy), "demo %s", line);
    for (char *w = strtok(copy, " "); w && argc < 63; w = strtok(NULL, " "))
        argv[argc++] = w;
    argv[argc] = NULL;
    *e = (struct err)ERR_INIT;
    return cli_parse(&demo, all, argc, argv, p, e);
}

static void test_values(void)
{
    _cleanup_(cli_parsed_done) struct cli_parsed p;
    const struct peek_args *a;
    struct err e;

    CHECK_INT(parse("-x --limit 9 /q -n3 --small=10 -m 64K --wait 1.5 --mode 640 -i 2:5 --pid 1 "
                    "--when always --rename a=b --rename c=d -f - --backend drain -- -z",
                    &p, &e),
              0);
    CHECK_STR(e.why, "");
    CHECK(p.verb == &peek);
    a = p.args;
    CHECK(a->hex && !a->common.force);
    CHECK_INT(a->common.limit, 9);
    CHECK_INT(a->count, 3);
    CHECK_INT(a->small, 10);
    CHECK_INT(a->bytes, 65536);
    CHECK_INT(a->wait, 1500000000);
    CHECK_INT(a->mode, 0640);
    CHECK(a->index.set && a->index.first == 2 && a->index.last == 5);
    CHECK_INT(a->pid, 1);
    CHECK_INT(a->when, 1);
    CHECK(a->rename.n == 2 && !strcmp(a->rename.v[1], "c=d"));
    CHECK_STR(a->file, "-");
    CHECK_STR(p.globals.backend, "drain");
    CHECK_INT(p.n_operands, 2);
    CHECK_STR(p.operands[0], "/q");
    CHECK_STR(p.operands[1], "-z");
}

static void test_verbs(void)
{
    static const struct {
        const char *line;
        const struct cli_verb *verb;
        const char *operand;
    } good[] = {
        {"", &list, NULL},
        {"-J", &list, NULL},
        {"list", &list, NULL},
        {"-n 3 peek q", &peek, "q"},
        {"--count 3 /q", &peek, "/q"},
        {"pid:1:4", &peek, "pid:1:4"},
        {"peek list", &peek, "list"},
        {"exec -q ls -l", &exec, "ls"},
        {"exec -- ls -l", &exec, "ls"},
        {"-q exec ls --no-such", &exec, "ls"},
        /* -x takes an argument in list and none in peek. */
        {"-x peek /q", &peek, "/q"},
        {"-x /q peek", &peek, "/q"},
        {"-x peek list", &list, NULL},
        {"-x peek list all", &list, "all"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct cli_parsed p;
        struct err e;

        CHECK_INT(parse(good[i].line, &p, &e), 0);
        CHECK(p.verb == good[i].verb);
        if (good[i].operand)
            CHECK_STR(p.n_operands ? p.operands[0] : NULL, good[i].operand);
        else
            CHECK_INT(p.n_operands, 0);
        cli_parsed_done(&p);
    }
}

static void test_defaults(void)
{
    _cleanup_(cli_parsed_done) struct cli_parsed p;
    const struct peek_args *a;
    struct err e;

    CHECK_INT(parse("/q -i 7:", &p, &e), 0);
    a = p.args;
    CHECK_INT(a->count, 100);
    CHECK_INT(a->common.limit, 5);
    CHECK(a->index.first == 7 && a->index.last == UINT64_MAX);
}

static void test_bad(void)
{
    static const struct {
        const char *line, *why;
    } bad[] = {
        {"lst", "there is no command \"lst\"; did you mean \"list\"?"},
        {"remove /q", "there is no command \"remove\" here; did you mean \"other remove\"?"},
        {"--cout 1 /q", "there is no option --cout; did you mean --count?"},
        {"-n 1 list", "there is no option -n"},
        {"list som", "list: there is no command \"som\" (all, some); did you mean \"some\"?"},
        {"list none", "list: there is no command \"none\" (all, some)"},
        {"jobs", "there is no command \"jobs\"; if it is a name, write \"peek jobs\""},
        {"peek", "peek needs QUEUE…"},
        {"list all x", "list: \"x\" is too much (it takes [WHICH])"},
        {"lisp x", "lisp: \"x\" is too much (it takes no operands)"},
        {"/q -n", "-n needs a value"},
        {"/q --count", "--count needs a value"},
        {"/q -n 0", "--count: 0 is too small (at least 1)"},
        {"/q -n 18446744073709551616", "--count: 18446744073709551616 is too large"},
        {"/q --delay 0", "--delay: 0 is not between 0.1 and 3600 seconds"},
        {"/q --delay 2h", "--delay: 2h is not between 0.1 and 3600 seconds"},
        {"/q --gap 9us", "--gap: 9us is too small (at least 0.00001 seconds)"},
        {"/q --room 3G", "--room: 3G is not between 1 and 2G"},
        {"/q --room 0", "--room: 0 is not between 1 and 2G"},
        {"/q --part 3:40", "--part: 3:40 is too large (at most 31)"},
        {"/q -n 1x", "--count: \"1x\" is not a number"},
        {"/q -n -1", "--count: \"-1\" is not a number"},
        {"/q --small 11", "--small: 11 is too large (at most 10)"},
        {"/q -m 1T", "--max: \"1T\" is not a number of bytes, e.g. 512 or 64K"},
        {"/q --wait x", "--wait: \"x\" is not a number of seconds, e.g. 1.5 or 200ms"},
        {"/q --mode 999", "--mode: \"999\" is not a mode: octal, at most 777"},
        {"/q -i 5:2", "--index: \"5:2\" is not a range: its end is before its start"},
        {"/q -i -1", "--index: \"-1\" is not N or N:M (whole numbers from 0)"},
        {"/q --pid 0", "--pid: \"0\" is not a process number"},
        {"/q --when soon", "--when: \"soon\" is none of never, always"},
        {"/q --hex=1", "--hex takes no value"},
        {"/q --hexx", "there is no option --hexx; did you mean --hex?"},
        {"/q -Z", "there is no option -Z"},
        {"/q --backend pbf", "there is no backend \"pbf\"; did you mean \"bpf\"?"},
        {"/q -o name", "peek has no columns to choose"},
        {"list -o numbr", "there is no column \"numbr\"; did you mean \"number\"? "
                          "(there are number, numeral, hidden)"},
        {"list -o NUMBR", "there is no column \"NUMBR\"; did you mean \"number\"? "
                          "(there are number, numeral, hidden)"},
        {"list -o number,xyz",
         "there is no column \"xyz\" (there are number, numeral, hidden)"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct cli_parsed p;
        struct err e;

        CHECK_INT(parse(bad[i].line, &p, &e), -EINVAL);
        CHECK_STR(e.why, bad[i].why);
        cli_parsed_done(&p);
    }
}

static void test_status(void)
{
    CHECK_INT(cli_exit_status(-ENOENT), CLI_NOT_FOUND);
    CHECK_INT(cli_exit_status(-ESRCH), CLI_NOT_FOUND);
    CHECK_INT(cli_exit_status(-EPERM), CLI_DENIED);
    CHECK_INT(cli_exit_status(-EACCES), CLI_DENIED);
    CHECK_INT(cli_exit_status(-ENOSYS), CLI_UNSUPPORTED);
    CHECK_INT(cli_exit_status(-EOPNOTSUPP), CLI_UNSUPPORTED);
    CHECK_INT(cli_exit_status(-EIO), CLI_FAILED);
}

static void add_offer(void *ctx, const char *value, const char *help _unused_)
{
    buf_printf(ctx, "%s|", value);
}

/* What is offered for the last word; a "." stands for an empty one. */
static void test_complete(void)
{
    static const struct {
        const char *line, *words;
        enum cli_complete own;
    } cases[] = {
        {"demo li", "list|", 0},
        {"demo pe", "peek|", 0},
        {"demo .", "list|peek|exec|/jobs|/$(id) \n|", 0},
        {"demo /j", "/jobs|", 0},
        {"demo nothing .", "", 0},
        {"demo help p", "peek|", 0},
        {"demo peek /", "/jobs|/$(id) \n|", 0},
        {"demo peek -- -", "", 0},
        {"demo /q --he", "--hex|--help|", 0},
        {"demo /q -n .", "", 0},
        {"demo peek --when .", "never|always|", 0},
        {"demo peek --when=a", "--when=always|", 0},
        {"demo -x peek --when=a", "--when=always|", 0},
        {"demo --backend d", "drain|", 0},
        {"demo list --backend=b", "--backend=bpf|", 0},
        {"demo list -o num", "number|numeral|", 0},
        {"demo list -o number,num", "number,number|number,numeral|", 0},
        {"demo list -o +h", "", 0},
        {"demo list -o +numb", "+number|", 0},
        {"demo list .", "all|some|", 0},
        {"demo list all .", "", 0},
        {"demo list --he", "--headings|--help|", 0},
        {"demo exec l", "", CLI_COMPLETE_COMMAND},
        {"demo exec -- l", "", CLI_COMPLETE_COMMAND},
        {"demo exec ls -", "", CLI_COMPLETE_FILE},
        {"/any/where/other rem", "remove|", 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_(buf_done) struct buf got = BUF_INIT;
        struct cli_offers o = {.each = add_offer, .ctx = &got};
        char copy[128], *argv[16];
        size_t n = 0;

        snprintf(copy, sizeof(copy), "%s", cases[i].line);
        for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
            argv[n++] = strcmp(w, ".") ? w : w + 1;
        CHECK_INT(cli_complete(all, argv, n, &o), cases[i].own);
        CHECK_STR(buf_str(&got), cases[i].words);
    }
}

/* The last word of a bash line, what of it stays, and in which quotes the rest stands. */
static void test_shell_line(void)
{
    static const struct {
        const char *line, *replaced, *word;
        size_t words, kept;
        enum shell_quote quote;
    } cases[] = {
        {"mqpeek pe", "pe", "pe", 2, 0, SHELL_BARE},
        {"mqpeek ", "", "", 2, 0, SHELL_BARE},
        {"mqpeek  peek\t '/a b' /c\\ d", "/c\\ d", "/c d", 4, 0, SHELL_BARE},
        {"mqpeek '/jo", "/jo", "/jo", 2, 0, SHELL_SINGLE},
        {"mqpeek \"/j\\\"o", "/j\\\"o", "/j\"o", 2, 0, SHELL_DOUBLE},
        {"mqpeek $'/j\\x01\\n", "/j\\x01\\n", "/j\001\n", 2, 0, SHELL_ANSI},
        {"mqpeek --color=al", "al", "--color=al", 2, 8, SHELL_BARE},
        {"mqpeek /a\\$b:c", "c", "/a$b:c", 2, 5, SHELL_BARE},
        {"x | mqpeek ''", "''", "", 2, 0, SHELL_BARE},
        {"mqpeek \\", "\\", "", 2, 0, SHELL_BARE},
        {"a", "no such end of the line", "a", 1, 0, SHELL_BARE},
        {"", "", "", 1, 0, SHELL_BARE},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_(shell_line_done) struct shell_line l = {.n = 0};

        CHECK_INT(shell_line_read(cases[i].line, strlen(cases[i].replaced), &l), 0);
        CHECK_INT(l.n, cases[i].words);
        CHECK_STR(l.n ? l.words[l.n - 1] : NULL, cases[i].word);
        CHECK_INT(l.kept, cases[i].kept);
        CHECK_INT(l.quote, cases[i].quote);
    }
}

/* Every byte is read again as what it was, and no byte of it can do anything to a terminal. */
static void test_shell_quote(void)
{
    static const char *const open[] = {
        [SHELL_BARE] = "", [SHELL_SINGLE] = "'", [SHELL_DOUBLE] = "\"", [SHELL_ANSI] = "$'"};

    for (int in = SHELL_BARE; in <= SHELL_ANSI; in++)
        for (int c = 1; c < 256; c++) {
            _cleanup_(shell_line_done) struct shell_line l = {.n = 0};
            _cleanup_(buf_done) struct buf b = BUF_INIT;
            const char text[] = {'a', (char)c, (char)c, 'z', '\0'};

            buf_add_str(&b, open[in]);
            shell_quote(&b, text, (enum shell_quote)in);
            for (size_t i = 0; i < b.len; i++)
                CHECK(b.data[i] >= ' ' && b.data[i] <= '~');
            CHECK_INT(shell_line_read(buf_str(&b), 0, &l), 0);
            CHECK_INT(l.n, 1);
            CHECK_STR(l.n ? l.words[0] : NULL, text);
        }
}

/* Every writer of documentation works on these tables, and help names every option. */
static void test_documents(void)
{
    _cleanup_(buf_done) struct buf help = BUF_INIT;
    FILE *f = fopen("/dev/null", "w");

    cli_help(&help, &demo, NULL);
    CHECK(!strstr(buf_str(&help), "lisp"));
    cli_help(&help, &demo, &list);
    CHECK(strstr(buf_str(&help), "some") != NULL);
    cli_help(&help, &demo, &peek);
    for (const struct cli_opt *o = peek_opts; o->type != CLI_TYPE_END; o++)
        CHECK(strstr(buf_str(&help), o->name) != NULL);
    CHECK_INT(cli_write_man(f, &demo), 0);
    CHECK_INT(cli_write_bash(f, all), 0);
    CHECK_INT(cli_write_zsh(f, all), 0);
    CHECK_INT(cli_write_fish(f, all), 0);
    CHECK_INT(cli_write_json_man(f, all), 0);
    fclose(f);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    test_values();
    test_verbs();
    test_defaults();
    test_bad();
    test_status();
    test_complete();
    test_shell_line();
    test_shell_quote();
    test_documents();
    return check_done();
}
