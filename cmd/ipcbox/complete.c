/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ipcbox complete: answers the completion functions of the shells. Names of queues and channels are
 * chosen by other users, so each shell gets them in the form that it inserts safely: quoted for
 * bash, as plain words for zsh and fish, which quote them.
 */
#include <errno.h>
#include <string.h>

#include "applets.h"
#include "cleanup.h"
#include "escape.h"
#include "shell_words.h"
#include "verbs.h"

enum shell { SHELL_NONE, SHELL_BASH, SHELL_ZSH, SHELL_FISH };

static const char *const shells[] = {"none", "bash", "zsh", "fish", NULL};

struct complete_args {
    int shell;
};

static const struct cli_opt complete_opts[] = {
    CLI_ENUM(struct complete_args, shell, 0, "shell", "NAME", "who asks", shells),
    CLI_END,
};

struct answer {
    enum shell shell;
    struct shell_line line; /* for bash: the command line */
    struct buf words;
};

/* For a user who reads it: one line each. */
static void add_line(struct buf *b, const char *value, const char *help)
{
    esc_terminal_str(b, value);
    if (help)
        buf_add_char(b, '\t');
    esc_terminal_str(b, help ? help : "");
    buf_add_char(b, '\n');
}

/*
 * Adds the rest of the word for bash, which replaces only the text after the first line.kept bytes;
 * those must agree.
 */
static void add_bash(struct answer *a, const char *value)
{
    const char *written = a->line.words[a->line.n - 1];

    if (strncmp(value, written, a->line.kept) != 0)
        return;
    shell_quote(&a->words, value + a->line.kept, a->line.quote);
    buf_add_char(&a->words, '\0');
}

/* Adds the word, and its text in the list. */
static void add_zsh(struct buf *b, const char *value, const char *help)
{
    buf_add(b, value, strlen(value) + 1);
    esc_terminal_str(b, value);
    if (help)
        buf_add_str(b, "  -- ");
    esc_terminal_str(b, help ? help : "");
    buf_add_char(b, '\0');
}

/* For fish a tab ends the word, so a name that contains one cannot be offered. */
static void add_fish(struct buf *b, const char *value, const char *help)
{
    if (strchr(value, '\t'))
        return;
    buf_add_str(b, value);
    buf_add_char(b, '\t');
    esc_terminal_str(b, help ? help : "");
    buf_add_char(b, '\0');
}

static void add(void *ctx, const char *value, const char *help)
{
    struct answer *a = ctx;

    switch (a->shell) {
    case SHELL_NONE:
        add_line(&a->words, value, help);
        break;
    case SHELL_BASH:
        add_bash(a, value);
        break;
    case SHELL_ZSH:
        add_zsh(&a->words, value, help);
        break;
    case SHELL_FISH:
        add_fish(&a->words, value, help);
        break;
    }
}

/* The first word that the shell reads tells it what to complete itself (files, for example). */
static const char *own_offer(enum cli_complete what)
{
    switch (what) {
    case CLI_COMPLETE_FILE:
        return "file";
    case CLI_COMPLETE_DIR:
        return "dir";
    case CLI_COMPLETE_COMMAND:
        return "command";
    default:
        return "";
    }
}

static int complete_run(struct cli_ctx *ctx, const void *argp)
{
    const struct complete_args *args = argp;
    struct answer a = {.shell = (enum shell)args->shell, .words = BUF_INIT};
    struct cli_offers o = {
        .each = add,
        .ctx = &a,
        .unfiltered = a.shell == SHELL_FISH,
        .bare = a.shell == SHELL_ZSH,
    };
    char **words = ctx->operands;
    size_t n = ctx->n_operands;
    const char *own;
    int r = 0;

    if (a.shell == SHELL_BASH) {
        r = shell_line_read(words[0], n > 1 ? strlen(words[1]) : 0, &a.line);
        words = a.line.words;
        n = a.line.n;
    }
    if (r == 0 && n > 1) {
        own = own_offer(cli_complete(applets, words, n, &o));
        if (a.shell != SHELL_NONE)
            out_raw(ctx->out, own, strlen(own) + 1);
        r = buf_error(&a.words);
        if (r == 0)
            out_raw(ctx->out, buf_str(&a.words), a.words.len);
    }
    buf_done(&a.words);
    shell_line_done(&a.line);
    return r < 0 ? cli_fail(ctx, r, NULL, "cannot complete") : CLI_OK;
}

const struct cli_verb ipcbox_complete_verb = {
    .name = "complete",
    .operands = "-- WORDS…",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .summary = "what a shell may offer for the last word",
    .description = "With --shell bash the words are the line up to the cursor, and that end of it "
                   "which bash replaces.",
    .opts = complete_opts,
    .args_size = sizeof(struct complete_args),
    .flags = CLI_HIDDEN | CLI_OWN_OUTPUT,
    .run = complete_run,
};
