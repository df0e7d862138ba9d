/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Command lines. The first byte chooses the applet, the rest are words, each ended by a NUL. What
 * the parser takes apart must be what was given: nothing lost, every word in its place.
 */
#include <errno.h>

#include "applets.h"
#include "cleanup.h"
#include "cli_internal.h"
#include "fuzz.h"
#include "shell_words.h"

enum { WORDS = 32 };

static const struct cli_applet *choose(uint8_t byte)
{
    size_t n = 0;

    while (applets[n])
        n++;
    return applets[byte % n];
}

/* A wrong word is answered with a hint, which is one of the words that there are. */
static void hint(const char *word)
{
    const char *names[64];
    const char *near;
    size_t n = 0;

    for (; applets[n] && n < ARRAY_SIZE(names) - 1; n++)
        names[n] = applets[n]->name;
    names[n] = NULL;
    near = cli_nearest(word, names);
    for (size_t i = 0; near && i <= n; i++)
        if (names[i] == near)
            return;
    MUST(!near);
}

static void check(const struct cli_applet *applet, const struct cli_parsed *p, int argc,
                  char **argv)
{
    MUST(p->verb || p->globals.help || p->globals.version);
    MUST(p->n_operands < (size_t)argc);
    for (size_t i = 0; i < p->n_operands; i++) {
        bool found = false;

        for (int k = 1; k < argc && !found; k++)
            found = !strcmp(argv[k], p->operands[i]);
        MUST(found);
    }
    if (p->verb && !p->globals.help && !p->globals.version) {
        MUST(p->n_operands >= p->verb->min_operands);
        MUST(p->n_operands <= p->verb->max_operands);
    }
    if (p->globals.help) {
        _cleanup_(buf_done) struct buf b = BUF_INIT;

        cli_help(&b, applet, p->verb);
        MUST(buf_error(&b) == 0 && b.len > 0);
    }
}

/* What is quoted for a shell is read as the same word, and stays it within each kind of quotes. */
static void quote(const char *text)
{
    static const char *const open[] = {
        [SHELL_BARE] = "", [SHELL_SINGLE] = "'", [SHELL_DOUBLE] = "\"", [SHELL_ANSI] = "$'"};

    for (int in = SHELL_BARE; in <= SHELL_ANSI; in++) {
        _cleanup_(shell_line_done) struct shell_line l = {.n = 0};
        _cleanup_(buf_done) struct buf b = BUF_INIT;

        buf_add_str(&b, open[in]);
        shell_quote(&b, text, (enum shell_quote)in);
        MUST(shell_line_read(buf_str(&b), 0, &l) == 0 && l.n == 1 && !strcmp(l.words[0], text));
    }
}

static void count_offer(void *ctx, const char *value, const char *help _unused_)
{
    MUST(*value);
    ++*(size_t *)ctx;
}

/* A shell may ask for anything; names of objects are looked for, too. */
static void complete(char **argv, int argc, const char *text)
{
    _cleanup_(shell_line_done) struct shell_line l = {.n = 0};
    size_t offered = 0;
    struct cli_offers o = {.each = count_offer, .ctx = &offered};

    (void)cli_complete(applets, argv, (size_t)argc, &o);
    MUST(shell_line_read(text, strlen(text) / 2, &l) == 0 && l.n > 0);
    MUST(l.kept <= strlen(l.words[l.n - 1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(freep) char *text = NULL;
    char *argv[WORDS + 2] = {NULL};
    const struct cli_applet *applet;
    struct cli_parsed p;
    struct err e = ERR_INIT;
    int argc = 1, r;

    if (!size)
        return 0;
    applet = choose(data[0]);
    text = fuzz_string(data + 1, size - 1);
    argv[0] = (char *)(uintptr_t)applet->name;
    for (size_t at = 0; at < size - 1 && argc <= WORDS; at += strlen(text + at) + 1)
        argv[argc++] = text + at;
    r = cli_parse(applet, NULL, argc, argv, &p, &e);
    MUST(r == 0 || (r == -EINVAL && e.why[0]));
    if (r == 0)
        check(applet, &p, argc, argv);
    cli_parsed_done(&p);
    if (argc > 1) {
        hint(argv[1]);
        quote(argv[1]);
        complete(argv, argc, argv[1]);
    }
    return 0;
}
