/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line, from tables: one description of an applet's verbs and options feeds the parser,
 * --help, the man page and the completions of three shells.
 *
 *     ipcbox APPLET [VERB] [OPTIONS] [OPERANDS]        or a link named APPLET
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "buf.h"
#include "errinfo.h"
#include "macros.h"
#include "out.h"

/* Exit status of all applets. Of several operands the numerically highest counts. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,   /* no such queue, peer, channel or process */
    CLI_UNSUPPORTED = 4, /* this kernel or build lacks it */
    CLI_DENIED = 5,      /* not permitted */
};

enum cli_type {
    CLI_TYPE_END,
    CLI_TYPE_FLAG,  /* bool */
    CLI_TYPE_STR,   /* const char * */
    CLI_TYPE_U64,   /* uint64_t, decimal or 0x… */
    CLI_TYPE_U32,   /* uint32_t */
    CLI_TYPE_SIZE,  /* uint64_t, bytes, with K, M, G */
    CLI_TYPE_SPAN,  /* uint64_t, ns, from decimal seconds or a number with a unit */
    CLI_TYPE_MODE,  /* uint32_t, octal permission bits */
    CLI_TYPE_RANGE, /* struct cli_range, "N" or "N:M" */
    CLI_TYPE_PID,   /* pid_t, positive */
    CLI_TYPE_ENUM,  /* int, the index of a word in .choices */
    CLI_TYPE_STRV,  /* struct cli_strv, may be given more than once */
};

/**
 * struct cli_range - N[:M]
 * @set: given at all
 * @first: N
 * @last: M, or N when there is none; "N:" means to the end (UINT64_MAX)
 */
struct cli_range {
    bool set;
    uint64_t first;
    uint64_t last;
};

/* Words of an option that was given several times; owned by the parser until the verb ends. */
struct cli_strv {
    const char **v;
    size_t n;
};

/* What a shell may offer for a word. From CLI_COMPLETE_QUEUE on the applet's @offer finds names. */
enum cli_complete {
    CLI_COMPLETE_NONE,
    CLI_COMPLETE_FILE,
    CLI_COMPLETE_DIR,
    CLI_COMPLETE_COMMAND, /* a program, then its arguments */
    CLI_COMPLETE_PID,
    CLI_COMPLETE_BACKEND, /* the applet's */
    CLI_COMPLETE_COLUMN,  /* the verb's: the text of a heading or key */
    CLI_COMPLETE_COLUMNS, /* several, with commas */
    CLI_COMPLETE_QUEUE,
    CLI_COMPLETE_CHANNEL,
    CLI_COMPLETE_TARGET, /* a socket or a pipe */
};

/* Where words for a shell go. */
struct cli_offers;

/* Offers @value, any bytes, if the word that is being written is its beginning. @help: or NULL. */
void cli_offer(struct cli_offers *o, const char *value, const char *help);

/**
 * struct cli_opt - one option
 * @short_name: letter, or 0
 * @name: the long name, without dashes
 * @metavar: what stands for the argument in help; NULL: from the type
 * @help: a phrase
 * @type: and with it the field's C type
 * @offset: of the field in the verb's argument structure
 * @choices: for CLI_TYPE_ENUM: words, ended by NULL
 * @min, @max: bounds of a number, both 0 for the type's own
 * @complete: what the argument is
 */
struct cli_opt {
    char short_name;
    const char *name;
    const char *metavar;
    const char *help;
    enum cli_type type;
    size_t offset;
    const char *const *choices;
    uint64_t min, max;
    enum cli_complete complete;
};

#define CLI_FIELD(T, f, ctype) \
    (offsetof(T, f) + 0 * sizeof(_Generic(&((T *)0)->f, ctype * : (char)0)))
#define CLI_OPT(T, f, ctype, kind, s, n, m, h, ...)                                  \
    {                                                                                \
        .short_name = (s), .name = (n), .metavar = (m), .help = (h), .type = (kind), \
        .offset = CLI_FIELD(T, f, ctype), __VA_ARGS__                                \
    }

/* CLI_xxx(struct, field, 'x' or 0, "long-name", "METAVAR", "help"[, .choices = …]) */
#define CLI_FLAG(T, f, s, n, h) CLI_OPT(T, f, bool, CLI_TYPE_FLAG, s, n, NULL, h, )
#define CLI_STR(T, f, s, n, m, h, ...) \
    CLI_OPT(T, f, const char *, CLI_TYPE_STR, s, n, m, h, __VA_ARGS__)
#define CLI_U64(T, f, s, n, m, h, ...) \
    CLI_OPT(T, f, uint64_t, CLI_TYPE_U64, s, n, m, h, __VA_ARGS__)
#define CLI_U32(T, f, s, n, m, h, ...) \
    CLI_OPT(T, f, uint32_t, CLI_TYPE_U32, s, n, m, h, __VA_ARGS__)
#define CLI_SIZE(T, f, s, n, m, h, ...) \
    CLI_OPT(T, f, uint64_t, CLI_TYPE_SIZE, s, n, m, h, __VA_ARGS__)
#define CLI_SPAN(T, f, s, n, m, h, ...) \
    CLI_OPT(T, f, uint64_t, CLI_TYPE_SPAN, s, n, m, h, __VA_ARGS__)
#define CLI_MODE(T, f, s, n, m, h, ...) \
    CLI_OPT(T, f, uint32_t, CLI_TYPE_MODE, s, n, m, h, __VA_ARGS__)
#define CLI_RANGE(T, f, s, n, m, h, ...) \
    CLI_OPT(T, f, struct cli_range, CLI_TYPE_RANGE, s, n, m, h, __VA_ARGS__)
#define CLI_PID(T, f, s, n, m, h, ...) \
    CLI_OPT(T, f, int32_t, CLI_TYPE_PID, s, n, m, h, .complete = CLI_COMPLETE_PID, __VA_ARGS__)
#define CLI_ENUM(T, f, s, n, m, h, words, ...) \
    CLI_OPT(T, f, int, CLI_TYPE_ENUM, s, n, m, h, .choices = (words), __VA_ARGS__)
#define CLI_STRV(T, f, s, n, m, h, ...) \
    CLI_OPT(T, f, struct cli_strv, CLI_TYPE_STRV, s, n, m, h, __VA_ARGS__)
#define CLI_END              \
    {                        \
        .type = CLI_TYPE_END \
    }

struct cli_ctx;

/* A worked example: a command line (without a prompt) and what it does. */
struct cli_example {
    const char *command;
    const char *text;
};

enum cli_verb_flags {
    CLI_STREAM = 1 << 0,     /* -J means --jsonl */
    CLI_COMMAND = 1 << 1,    /* options end at the first operand, which is a command to run */
    CLI_OWN_OUTPUT = 1 << 2, /* writes its own format: no -J, -o, … (metrics, completion, run) */
    CLI_EXECS = 1 << 3,      /* runs programs, which may be set-user-ID; all others never do */
    CLI_HIDDEN = 1 << 4,     /* for programs, not for people: help and manual do not show it */
};

/* A word that may be a verb's first operand, and what it means. */
struct cli_word {
    const char *word;
    const char *help;
};

/**
 * struct cli_verb - what an applet can do
 * @name: the word
 * @operands: as in a synopsis, e.g. "QUEUE…", "[FILE]"; NULL for none
 * @min_operands: fewest
 * @max_operands: most; SIZE_MAX for any number
 * @complete: what the operands are
 * @commands: the words that the first operand may be, ended by one without a word; any other is
 *   refused before @run. NULL: it is not a command
 * @summary: a phrase, lower case, no full stop
 * @description: for the man page: paragraphs separated by an empty line; a paragraph whose lines
 * begin with a space is kept as it is. May be NULL
 * @examples: ended by an entry without a command; may be NULL
 * @opts: ended by CLI_END; may be NULL
 * @args_size: of the structure that @opts fill
 * @defaults: its initial content; NULL for zeros
 * @cols: columns of its records, for --output and the documentation; may be NULL
 * @more_cols: other tables that its JSON contains, ended by an entry without a key; may be NULL
 * @flags: enum cli_verb_flags
 * @run: does it. Return: an enum cli_exit, e.g. through cli_fail()
 */
struct cli_verb {
    const char *name;
    const char *operands;
    size_t min_operands;
    size_t max_operands;
    enum cli_complete complete;
    const struct cli_word *commands;
    const char *summary;
    const char *description;
    const struct cli_example *examples;
    const struct cli_opt *opts;
    size_t args_size;
    const void *defaults;
    const struct out_col *cols;
    const struct cli_table {
        const char *key; /* the JSON member that holds it; "" for members of the object itself */
        const struct out_col *cols;
    } * more_cols;
    unsigned int flags;
    int (*run)(struct cli_ctx *ctx, const void *args);
};

/**
 * struct cli_applet - one applet
 * @name: the word, and the link's name
 * @summary: a phrase
 * @usage: the commonest uses first, each a line "command<TAB>what it does", ended by NULL: the top
 *   of --help
 * @verbs: in the order of --help, ended by NULL
 * @default_verb: taken when there is no operand; NULL: show help
 * @operand_verb: taken when the first operand matches one of @operand_patterns; NULL: none
 * @operand_patterns: for fnmatch(3), ended by NULL; NULL: "/" and "pid:" are the beginnings
 * @common_opts: options of all its verbs; their fields lie at the start of each verb's structure
 * @common_size: bytes of that start
 * @common_defaults: its initial content; NULL for zeros
 * @backends: names for --backend, ended by NULL; NULL: it has no such option
 * @applets: what else its first operand may name, ended by NULL; NULL: nothing
 * @offer: calls cli_offer() for each name of such an object that exists; NULL: none
 * @description, @files, @environment, @notes: sections of the man page, as in struct cli_verb
 */
struct cli_applet {
    const char *name;
    const char *summary;
    const char *const *usage;
    const struct cli_verb *const *verbs;
    const struct cli_verb *default_verb;
    const struct cli_verb *operand_verb;
    const char *const *operand_patterns;
    const struct cli_opt *common_opts;
    size_t common_size;
    const void *common_defaults;
    const char *const *backends;
    const struct cli_applet *const *applets;
    void (*offer)(struct cli_offers *o, enum cli_complete what);
    const char *description;
    const char *files;
    const char *environment;
    const char *notes;
};

/**
 * struct cli_ctx - what a verb gets
 * @applet, @verb: which
 * @out: where its data goes
 * @operands, @n_operands: words that are no options
 * @backend: --backend, or NULL
 * @quiet: -q: no notes on stderr
 * @color: colours are wanted on a terminal
 * @status: the highest cli_exit that cli_fail() has reported
 * @progress: of the job that is running, or NULL
 * @done: what has been done, to be said when the output cannot be written; or NULL
 */
struct cli_ctx {
    const struct cli_applet *applet;
    const struct cli_verb *verb;
    struct out *out;
    char **operands;
    size_t n_operands;
    const char *backend;
    bool quiet;
    bool color;
    int status;
    struct cli_progress *progress;
    const char *done;
};

/**
 * cli_main() - run an applet
 * @applet: its tables
 * @all: all applets, ended by NULL, to suggest one that has an unknown command; may be NULL
 * @argc, @argv: argv[0] is the applet's name
 *
 * Parses, runs the verb, finishes the output. A reader that closed the pipe ends it quietly with
 * the status that the verb had so far.
 *
 * Return: the process's exit status.
 */
int cli_main(const struct cli_applet *applet, const struct cli_applet *const *all, int argc,
             char **argv);

/**
 * cli_fail() - report an error, once
 * @ctx: the context
 * @r: negative errno
 * @e: reason and remedy, or NULL
 * @fmt: what was being done, e.g. "%s: cannot peek"
 *
 * Prints "APPLET: what: why (remedy)" on stderr. Names in it are escaped.
 *
 * Return: the exit status that belongs to @r, which is also kept in @ctx->status: a verb with
 * several operands goes on, and returns ctx->status at the end.
 */
int cli_fail(struct cli_ctx *ctx, int r, const struct err *e, const char *fmt, ...) _printf_(4, 5);

/* The same with a status of the caller's choice, for errors that are no errno. */
int cli_fail_status(struct cli_ctx *ctx, enum cli_exit status, const char *fmt, ...) _printf_(3, 4);

/* Wrong usage found by the verb: prints it and where help is. Return: CLI_USAGE. */
int cli_usage(struct cli_ctx *ctx, const char *fmt, ...) _printf_(2, 3);

/* A note on stderr, unless -q. */
void cli_note(const struct cli_ctx *ctx, const char *fmt, ...) _printf_(2, 3);

/**
 * struct cli_progress - how far a long job is
 * @ctx: whose; NULL when there is none
 * @unit: what is counted
 * @begun: when, 0 when nothing is to be shown; @next: when to show it again; ns
 * @shown: the line is on the terminal
 */
struct cli_progress {
    struct cli_ctx *ctx;
    const char *unit;
    uint64_t begun;
    uint64_t next;
    bool shown;
};

/**
 * cli_progress_begin() - show how far a job is, on a terminal and when it takes long
 * @ctx: the verb
 * @unit: what is counted: "messages", "records"
 * @rows: what is written to stdout meanwhile shows it already, if that is a terminal
 * @p: ended by cli_progress_end()
 */
void cli_progress_begin(struct cli_ctx *ctx, const char *unit, bool rows, struct cli_progress *p);

/* @count and @bytes are done; @p is a struct cli_progress. Cheap enough to be called for each. */
void cli_progress_at(void *p, uint64_t count, uint64_t bytes);
void cli_progress_end(struct cli_progress *p);

/* The exit status that belongs to a negative errno. */
enum cli_exit cli_exit_status(int r);

/*
 * Says that an output file (NULL: standard output) cannot be written. Whatever @r is, the status is
 * 1: the others tell of what the command is about.
 */
int cli_fail_write(struct cli_ctx *ctx, int r, const char *path);

/* Writes to @f. @whole: set when it may be put into its place. Return: an exit status, told. */
typedef int (*cli_write_fn)(FILE *f, void *arg, bool *whole);

/**
 * cli_write_file() - a file that appears whole or not at all, or standard output
 * @ctx: the verb
 * @path: the file, or NULL
 * @mode: its permission bits
 * @write, @arg: who writes it
 *
 * Return: what @write returned, or the status of an error of the file's own, which is told.
 */
int cli_write_file(struct cli_ctx *ctx, const char *path, mode_t mode, cli_write_fn write,
                   void *arg);

/* The word of @words nearest to @word, or NULL when none is near. @words ends with NULL. */
const char *cli_nearest(const char *word, const char *const *words);

/* Says in @b that @cols has no column @name: with the nearest one, and all that there are. */
void cli_no_column(struct buf *b, const struct out_col *cols, const char *name);

/*
 * An operand that is not what it has to be, e.g. a "queue": prints so, with the reason and remedy
 * of @e, and where help is. Return: CLI_USAGE.
 */
int cli_bad_operand(struct cli_ctx *ctx, const char *operand, const char *what, int r,
                    const struct err *e);

/* Documentation from the tables, written to @f. Return: 0 or -errno of a failed write. */
int cli_write_man(FILE *f, const struct cli_applet *applet);
/**
 * struct cli_offers - what a shell may offer
 * @each: called for each word that fits
 * @ctx: passed to it
 * @unfiltered: also for words that do not begin with what is written: the shell chooses
 * @bare: an option's argument after "--option=" is offered without "--option="
 * @typed, @before: used by cli_complete(): what must be the beginning, what is put in front
 */
struct cli_offers {
    void (*each)(void *ctx, const char *value, const char *help);
    void *ctx;
    bool unfiltered;
    bool bare;
    const char *typed;
    struct buf *before;
};

/**
 * cli_complete() - find what the last word of a command line may be
 * @all: all applets
 * @words, @n: the words without quotes, at least two; the first is the command, the last is being
 *   written and may be empty
 * @o: gets what is found
 *
 * Return: CLI_COMPLETE_FILE, _DIR or _COMMAND when the shell is to offer its own, else
 * CLI_COMPLETE_NONE.
 */
enum cli_complete cli_complete(const struct cli_applet *const *all, char **words, size_t n,
                               struct cli_offers *o);

int cli_write_bash(FILE *f, const struct cli_applet *const *applets);
int cli_write_zsh(FILE *f, const struct cli_applet *const *applets);
int cli_write_fish(FILE *f, const struct cli_applet *const *applets);
int cli_write_json_man(FILE *f, const struct cli_applet *const *applets);
