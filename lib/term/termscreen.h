/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A screen that is drawn in memory. What has changed since the last time becomes bytes for the
 * terminal; this part writes nothing itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/* A style is a colour plus any of the attributes. */
enum term_style {
    TERM_PLAIN = 0,
    TERM_RED = 1,
    TERM_GREEN = 2,
    TERM_YELLOW = 3,
    TERM_BLUE = 4,
    TERM_MAGENTA = 5,
    TERM_CYAN = 6,
    TERM_COLOR_MASK = 0x0f,
    TERM_BOLD = 1 << 4,
    TERM_DIM = 1 << 5,
    TERM_UNDERLINE = 1 << 6,
    TERM_REVERSE = 1 << 7,
};

struct term_screen;

/**
 * term_screen_new() - a blank screen
 * @rows, @cols: its size; taken as 1 to 1000 each
 * @color: colours may be used; without it attributes are all that tells styles apart
 * @ret: the screen
 *
 * Return: 0 or -ENOMEM.
 */
int term_screen_new(unsigned int rows, unsigned int cols, bool color, struct term_screen **ret);
void term_screen_free(struct term_screen *s);
void term_screen_freep(struct term_screen **s);

unsigned int term_screen_rows(const struct term_screen *s);
unsigned int term_screen_cols(const struct term_screen *s);

/* Another size; blank, and repainted whole. Return: 0, or -ENOMEM: it stays as it was. */
int term_screen_resize(struct term_screen *s, unsigned int rows, unsigned int cols);

/* Blanks what is drawn, and hides the cursor; each picture begins with it. */
void term_screen_clear(struct term_screen *s);

/* What the terminal shows is not known any more: the next picture is painted whole. */
void term_screen_forget(struct term_screen *s);

/**
 * term_screen_put() - draw a string
 * @s: the screen
 * @row, @col: where; nothing is drawn outside the screen
 * @style: enum term_style
 * @text: UTF-8; what must not reach a terminal is shown as '?', so escape hostile text before
 * @width: columns to fill: a longer text is cut, a shorter one followed by blanks in this style;
 *   0: as wide as the text
 *
 * Return: the column after it.
 */
unsigned int term_screen_put(struct term_screen *s, unsigned int row, unsigned int col,
                             unsigned int style, const char *text, unsigned int width);

/* Shows the cursor there. */
void term_screen_cursor(struct term_screen *s, unsigned int row, unsigned int col);

/**
 * term_screen_diff() - bytes that turn the last picture into this one
 * @s: the screen
 * @out: they are appended
 *
 * The terminal must be left to its defaults otherwise: style plain, no automatic wrapping.
 */
void term_screen_diff(struct term_screen *s, struct buf *out);
