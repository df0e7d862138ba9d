/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of lib/cli share. */
#pragma once

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
 * @argc, @argv: the words; not changed
 * @p: the result, valid whatever is returned; release with cli_parsed_done()
 * @e: what is wrong, in words
 *
 * Return: 0, -EINVAL for wrong usage, -ENOMEM.
 */
int cli_parse(const struct cli_applet *applet, int argc, char **argv, struct cli_parsed *p,
              struct err *e);
void cli_parsed_done(struct cli_parsed *p);

/* What stands for an option's argument, or NULL for a flag. */
const char *cli_metavar(const struct cli_opt *opt);

/* "-n, --lines N" */
void cli_opt_spelling(struct buf *b, const struct cli_opt *opt);

/* Takes the line of progress away, for other words on stderr; it comes again. */
void cli_progress_clear(const struct cli_ctx *ctx);

/* Help on @verb, or on the applet when it is NULL. */
void cli_help(struct buf *b, const struct cli_applet *applet, const struct cli_verb *verb);
