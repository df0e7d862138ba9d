/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words of a bash command line: taken out of their quotes, and put into quotes again. */
#pragma once

#include <stddef.h>

#include "buf.h"

/* What a character stands in. */
enum shell_quote {
    SHELL_BARE,
    SHELL_SINGLE, /* '…' */
    SHELL_DOUBLE, /* "…" */
    SHELL_ANSI,   /* $'…' */
};

/**
 * struct shell_line - the words of a line that ends where something is being written
 * @words, @n: without quotes; the last one is being written and may be empty
 * @kept: how many bytes of the last word, without quotes, stand before what is to be replaced
 * @quote: what the first byte to be replaced stands in
 */
struct shell_line {
    char **words;
    size_t n;
    size_t kept;
    enum shell_quote quote;
};

/**
 * shell_line_read() - split a line as bash does, without expanding anything
 * @line: up to the cursor; an unquoted ; | & ( begins a new command
 * @replaced: how many bytes at its end will be replaced
 * @ret: release with shell_line_done()
 *
 * Return: 0 or -ENOMEM.
 */
int shell_line_read(const char *line, size_t replaced, struct shell_line *ret);
void shell_line_done(struct shell_line *l);

/**
 * shell_quote() - append what bash reads as exactly these bytes
 * @b: where to
 * @text: any bytes
 * @in: what the text will stand in, which readline closes after it
 *
 * Nothing of it is expanded, split or taken for history, and a terminal may see it.
 */
void shell_quote(struct buf *b, const char *text, enum shell_quote in);
