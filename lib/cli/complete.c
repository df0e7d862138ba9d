/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a shell may offer when TAB is pressed, from the tables and from what exists now. The shell
 * asks `ipcbox complete`; its own part (shells.c) knows nothing about applets but their names.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cli_internal.h"
#include "fileio.h"

/* Where the word that is being written stands. */
struct place {
    const struct cli_applet *applet;
    const struct cli_verb *verb;   /* NULL: not written yet, and there is no default */
    const struct cli_opt *pending; /* the option whose argument it is, or NULL */
    const char *first;             /* the first operand, or NULL */
    size_t operands;               /* how many stand before it, without the verb's name */
    bool named;                    /* the verb is chosen */
    bool help;                     /* it is the operand of "help" */
    bool ended;                    /* no more options: after "--", or in a command to run */
};

void cli_offer(struct cli_offers *o, const char *value, const char *help)
{
    size_t n = o->before->len;

    if (!o->unfiltered && strncmp(value, o->typed, strlen(o->typed)) != 0)
        return;
    buf_add_str(o->before, value);
    if (!buf_error(o->before))
        o->each(o->ctx, buf_str(o->before), help);
    o->before->len = n;
}

/* ---- kinds of words ---- */

static void offer_pids(struct cli_offers *o)
{
    _cleanup_(closedirp) DIR *d = opendir("/proc");
    const struct dirent *entry;

    while (d && (entry = readdir(d))) {
        _cleanup_(buf_done) struct buf comm = BUF_INIT;
        char path[64];

        if (!isdigit((unsigned char)entry->d_name[0]) || strlen(entry->d_name) > 20)
            continue;
        snprintf(path, sizeof(path), "/proc/%.20s/comm", entry->d_name);
        if (file_read(AT_FDCWD, path, 64, &comm) == 0 && comm.len)
            comm.data[comm.len - 1] = '\0'; /* the newline after it */
        cli_offer(o, entry->d_name, buf_str(&comm));
    }
}

/* In a list the names before the last comma stay as they are. */
static void offer_columns(struct cli_offers *o, const struct cli_verb *verb, bool list)
{
    const char *comma = list ? strrchr(o->typed, ',') : NULL;
    size_t keep = comma ? (size_t)(comma - o->typed) + 1 : list && o->typed[0] == '+';

    buf_add(o->before, o->typed, keep);
    o->typed += keep;
    for (const struct out_col *c = verb ? verb->cols : NULL; c && c->type != OUT_TYPE_END; c++)
        if (!(c->flags & OUT_JSON))
            cli_offer(o, c->key, c->help);
}

/* Return: as cli_complete(). */
static enum cli_complete offer_kind(const struct place *at, struct cli_offers *o,
                                    enum cli_complete what)
{
    const char *const *backends = at->applet->backends;

    switch (what) {
    case CLI_COMPLETE_NONE:
        break;
    case CLI_COMPLETE_FILE:
    case CLI_COMPLETE_DIR:
        return what;
    case CLI_COMPLETE_COMMAND:
        return at->operands ? CLI_COMPLETE_FILE : what;
    case CLI_COMPLETE_PID:
        offer_pids(o);
        break;
    case CLI_COMPLETE_BACKEND:
        for (; backends && *backends; backends++)
            cli_offer(o, *backends, NULL);
        break;
    case CLI_COMPLETE_COLUMN:
    case CLI_COMPLETE_COLUMNS:
        offer_columns(o, at->verb, what == CLI_COMPLETE_COLUMNS);
        break;
    case CLI_COMPLETE_QUEUE:
    case CLI_COMPLETE_CHANNEL:
    case CLI_COMPLETE_TARGET:
        if (at->applet->offer)
            at->applet->offer(o, what);
    }
    return CLI_COMPLETE_NONE;
}

static enum cli_complete offer_argument(const struct place *at, struct cli_offers *o,
                                        const struct cli_opt *opt)
{
    if (!opt->choices)
        return offer_kind(at, o, opt->complete);
    for (size_t i = 0; opt->choices[i]; i++)
        cli_offer(o, opt->choices[i], NULL);
    return CLI_COMPLETE_NONE;
}

/* ---- options ---- */

static void offer_options(const struct place *at, struct cli_offers *o)
{
    char word[64] = "-";

    for (enum cli_group g = GROUP_MAX; g-- > 0;)
        for (const struct cli_opt *opt = cli_group(at->applet, at->verb, g);
             opt->type != CLI_TYPE_END; opt++) {
            snprintf(word, sizeof(word), "--%s", opt->name);
            cli_offer(o, word, opt->help);
            snprintf(word, sizeof(word), "-%c", opt->short_name);
            if (opt->short_name)
                cli_offer(o, word, opt->help);
        }
}

/* "--option=…": its argument. */
static enum cli_complete offer_joined(const struct place *at, struct cli_offers *o,
                                      const char *equals)
{
    size_t n = (size_t)(equals - o->typed) - 2;

    for (enum cli_group g = 0; g < GROUP_MAX; g++)
        for (const struct cli_opt *opt = cli_group(at->applet, at->verb, g);
             opt->type != CLI_TYPE_END; opt++)
            if (strlen(opt->name) == n && !memcmp(opt->name, o->typed + 2, n)) {
                if (!o->bare)
                    buf_add(o->before, o->typed, n + 3);
                o->typed = equals + 1;
                return offer_argument(at, o, opt);
            }
    return CLI_COMPLETE_NONE;
}

/* ---- operands ---- */

static void offer_verbs(const struct cli_applet *applet, struct cli_offers *o)
{
    for (size_t i = 0; applet->verbs[i]; i++)
        if (!(applet->verbs[i]->flags & CLI_HIDDEN))
            cli_offer(o, applet->verbs[i]->name, applet->verbs[i]->summary);
}

static enum cli_complete offer_operand(const struct place *at, struct cli_offers *o)
{
    const struct cli_verb *object = at->applet->operand_verb;

    if (at->help || !at->named)
        offer_verbs(at->applet, o);
    if (at->help)
        return CLI_COMPLETE_NONE;
    if (!at->named) {
        for (size_t i = 0; at->applet->applets && at->applet->applets[i]; i++)
            if (at->applet->applets[i] != at->applet)
                cli_offer(o, at->applet->applets[i]->name, at->applet->applets[i]->summary);
        return object ? offer_kind(at, o, object->complete) : CLI_COMPLETE_NONE;
    }
    if (at->verb->commands && !at->operands) {
        for (const struct cli_word *w = at->verb->commands; w->word; w++)
            cli_offer(o, w->word, w->help);
        return CLI_COMPLETE_NONE;
    }
    if (at->operands >= at->verb->max_operands)
        return CLI_COMPLETE_NONE;
    return offer_kind(at, o, at->verb->complete);
}

/* ---- the words before ---- */

/* Reads the words before the one that is being written, without the verb's name. */
static int read_before(struct place *at, int argc, char **argv)
{
    _cleanup_(freep) struct cli_optset *s = calloc(1, sizeof(*s));
    bool command = at->named && at->verb->flags & CLI_COMMAND;
    int c;

    if (!s)
        return -ENOMEM;
    cli_optset_init(s, command ? "+:" : "-:");
    for (enum cli_group g = 0; g < GROUP_MAX; g++)
        cli_optset_add(s, cli_group(at->applet, at->verb, g), NULL);
    opterr = 0;
    optind = 0;
    while ((c = getopt_long(argc, argv, s->shorts, s->longs, NULL)) != -1) {
        size_t i = cli_optset_find(s, c == ':' ? optopt : c);

        if (c == ':' && i < s->n)
            at->pending = s->opt[i];
        at->operands += c == 1;
    }
    at->ended = optind < argc ||
                (optind > 1 && optind == argc && !strcmp(argv[argc - 1], "--") && !at->pending);
    at->operands += (size_t)(argc - optind);
    return 0;
}

/* Return: 0; -EINVAL when an unknown verb stands there. */
static int find_place(const struct cli_applet *applet, int argc, char **argv, struct place *at)
{
    struct err e = ERR_INIT;
    struct cli_choice c;
    int r = cli_verb_of(applet, NULL, argc, argv, &c, &e);

    *at = (struct place){.applet = applet, .verb = c.verb, .named = c.at > 0, .help = c.help};
    if (r < 0 || c.help)
        return r;
    if (c.by_name) {
        memmove(argv + c.at, argv + c.at + 1, (size_t)(argc - c.at) * sizeof(*argv));
        argc--;
    }
    return read_before(at, argc, argv);
}

static const struct cli_applet *find_applet(const struct cli_applet *const *all, const char *name)
{
    const char *slash = strrchr(name, '/');

    for (; *all; all++)
        if (!strcmp((*all)->name, slash ? slash + 1 : name))
            return *all;
    return NULL;
}

/* As main() finds it: the name of the command, or else the first word after it. */
static const struct cli_applet *choose_applet(const struct cli_applet *const *all, char ***words,
                                              size_t *n)
{
    const struct cli_applet *applet = find_applet(all, (*words)[0]), *other;

    if (applet && !applet->applets)
        return applet;
    other = *n > 2 && !strchr((*words)[1], '/') ? find_applet(all, (*words)[1]) : NULL;
    if (!other)
        return applet ? applet : find_applet(all, "ipcbox");
    (*words)++;
    (*n)--;
    return other;
}

static enum cli_complete offer_word(const struct place *at, struct cli_offers *o)
{
    const char *equals = strchr(o->typed, '=');

    if (at->pending)
        return offer_argument(at, o, at->pending);
    if (o->typed[0] != '-' || at->ended)
        return offer_operand(at, o);
    if (!strncmp(o->typed, "--", 2) && equals)
        return offer_joined(at, o, equals);
    offer_options(at, o);
    return CLI_COMPLETE_NONE;
}

enum cli_complete cli_complete(const struct cli_applet *const *all, char **words, size_t n,
                               struct cli_offers *o)
{
    const struct cli_applet *applet = choose_applet(all, &words, &n);
    _cleanup_(freep) char **argv = calloc(n + 1, sizeof(*argv));
    _cleanup_(buf_done) struct buf before = BUF_INIT;
    enum cli_complete kind;
    struct place at;

    if (!argv || !applet || n < 2)
        return CLI_COMPLETE_NONE;
    memcpy(argv, words, (n - 1) * sizeof(*argv));
    if (find_place(applet, (int)n - 1, argv, &at) < 0)
        return CLI_COMPLETE_NONE;
    o->typed = words[n - 1];
    o->before = &before;
    kind = offer_word(&at, o);
    o->before = NULL;
    return kind;
}
