/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of lib/cli share. */
#pragma once

#include <getopt.h>

#include "buf.h"
#include "cli.h"

/* The options that every verb has. */
struct cli_globals {
    bool json;
    bool jsonl;
    const char *columns;
    bool noheadings;
    bool quiet;
    int color;
    bool help;
    bool version;
    const char *backend;
};

enum cli_color { CLI_COLOR_AUTO, CLI_COLOR_ALWAYS, CLI_COLOR_NEVER };

/* The groups of options that a verb takes, each with where its values go. */
enum cli_group { GROUP_GLOBAL, GROUP_OUTPUT, GROUP_BACKEND, GROUP_COMMON, GROUP_VERB, GROUP_MAX };

/* The options of a group, or an empty table; @verb may be NULL. */
const struct cli_opt *cli_group(const struct cli_applet *applet, const struct cli_verb *verb,
                                enum cli_group group);

enum { CLI_OPTS_MAX = 256, CLI_OPT_LONG = 256 };

/**
 * struct cli_optset - the options that a reading of the words knows, as getopt_long() wants them
 * @opt: the options, each with where its value goes in @base
 * @longs: @val is CLI_OPT_LONG plus the place in @opt
 */
struct cli_optset {
    const struct cli_opt *opt[CLI_OPTS_MAX];
    void *base[CLI_OPTS_MAX];
    struct option longs[CLI_OPTS_MAX + 1];
    char shorts[2 * CLI_OPTS_MAX + 4];
    size_t n;
    size_t n_shorts;
};

/* Empties @s. @mode: what the short options begin with: "-", "+", ":" (see getopt(3)). */
void cli_optset_init(struct cli_optset *s, const char *mode);

/* Adds a table; an option whose long name is there already is left out. */
void cli_optset_add(struct cli_optset *s, const struct cli_opt *opt, void *base);

/* The place in @s->opt of what getopt_long() returned; @s->n when it is none of them. */
size_t cli_optset_find(const struct cli_optset *s, int code);

/* Says that the word @text is no option of @s, with the nearest one. Return: -EINVAL. */
int cli_unknown_option(const struct cli_optset *s, const char *text, struct err *e);

/**
 * struct cli_choice - which verb a command line means
 * @verb: it, or NULL
 * @at: the place in argv of the first operand, or 0
 * @by_name: that operand is the verb's name
 * @help: it is "help", and @verb is what help is wanted on
 */
struct cli_choice {
    const struct cli_verb *verb;
    int at;
    bool by_name;
    bool help;
};

/**
 * cli_verb_of() - find the verb
 * @applet: tables
 * @all: all applets, to suggest one that has the command; may be NULL
 * @argc, @argv: words; argv[0] is the applet's name
 * @ret: valid whatever is returned
 * @e: what is wrong, in words
 *
 * Return: 0, -EINVAL for an unknown command, -ENOMEM.
 */
int cli_verb_of(const struct cli_applet *applet, const struct cli_applet *const *all, int argc,
                char **argv, struct cli_choice *ret, struct err *e);

/* The applet's verb of this name, or NULL. */
const struct cli_verb *cli_find_verb(const struct cli_applet *applet, const char *name);

/**
 * struct cli_parsed - a command line taken apart
 * @verb: what to do; may be NULL with @globals.help
 * @named: an operand chose the verb, it is not the default
 * @args: the verb's argument structure, allocated
 * @operands, @n_operands: point into the copy of argv in @argv
 */
struct cli_parsed {
    const struct cli_verb *verb;
    bool named;
    struct cli_globals globals;
    void *args;
    char **argv;
    char **operands;
    size_t n_operands;
};

/**
 * cli_parse() - take a command line apart
 * @applet: tables
 * @all: all applets, to suggest one that has an unknown command; may be NULL
 * @argc, @argv: the words; not changed
 * @p: the result, valid whatever is returned; release with cli_parsed_done()
 * @e: what is wrong, in words
 *
 * Return: 0, -EINVAL for wrong usage, -ENOMEM.
 */
int cli_parse(const struct cli_applet *applet, const struct cli_applet *const *all, int argc,
              char **argv, struct cli_parsed *p, struct err *e);
void cli_parsed_done(struct cli_parsed *p);

/* What stands for an option's argument, or NULL for a flag. */
const char *cli_metavar(const struct cli_opt *opt);

/* "-n, --lines N" */
void cli_opt_spelling(struct buf *b, const struct cli_opt *opt);

/* Takes the line of progress away, for other words on stderr; it comes again. */
void cli_progress_clear(const struct cli_ctx *ctx);

/* Help on @verb, or on the applet when it is NULL. */
void cli_help(struct buf *b, const struct cli_applet *applet, const struct cli_verb *verb);

/*
 * SIGINT, SIGTERM and SIGHUP make a descriptor readable from now on, but for those that are
 * ignored. A second one does what it did before, for the first may wait for a reader that has
 * stopped reading; within 300 ms it is taken for the same one. Once a process. Return: the
 * descriptor, which stays open, or -errno.
 */
int cli_catch_signals(void);

/* Makes the signal handler call @fn at once, too; @fn must be async-signal-safe. NULL ends that. */
void cli_at_interrupt(void (*fn)(void *ctx), void *ctx);
