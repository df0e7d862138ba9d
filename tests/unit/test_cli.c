/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lib/cli: words to arguments, and what is said about wrong ones. */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>

#include "check.h"
#include "cleanup.h"
#include "cli_internal.h"

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
    CLI_END,
};

static int run(struct cli_ctx *ctx _unused_, const void *args _unused_)
{
    return 0;
}

static const struct peek_args peek_defaults = {.common = {.limit = 5}, .count = 100};

static const struct cli_verb list = {.name = "list", .summary = "list", .run = run};
static const struct cli_verb peek = {
    .name = "peek",
    .operands = "QUEUE…",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
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
    .summary = "run",
    .flags = CLI_COMMAND,
    .run = run,
};
static const struct cli_verb *const verbs[] = {&list, &peek, &exec, NULL};
static const char *const usage[] = {"demo /q\tlook", NULL};
static const char *const backends[] = {"bpf", "drain", NULL};

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
};

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
    return cli_parse(&demo, argc, argv, p, e);
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
        {"lst", "\"lst\" is no command; did you mean \"list\"?"},
        {"jobs", "\"jobs\" is no command; if it is a name, write \"peek jobs\""},
        {"peek", "peek needs QUEUE…"},
        {"list x", "list: \"x\" is too much (it takes no operands)"},
        {"/q -n", "-n needs a value"},
        {"/q --count", "--count needs a value"},
        {"/q -n 0", "--count: 0 is not between 1 and 18446744073709551615"},
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

/* Every writer of documentation works on these tables, and help names every option. */
static void test_documents(void)
{
    static const struct cli_applet *const all[] = {&demo, NULL};
    _cleanup_(buf_done) struct buf help = BUF_INIT;
    FILE *f = fopen("/dev/null", "w");

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
    test_documents();
    return check_done();
}
