/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Splits a command of the script language into words. */
#pragma once

#include <stddef.h>

#include "buf.h"
#include "errinfo.h"

enum { B1_WORDS_MAX = 64 };

/* A word may hold any byte, even a NUL. It is followed by a NUL that @len does not count. */
struct b1_word {
    char *s;
    size_t len;
};

struct b1_words {
    struct b1_word v[B1_WORDS_MAX];
    size_t n;
    struct buf text;
};

void b1_words_done(struct b1_words *w);

/**
 * b1_words_next() - split the next command into words
 * @text: its beginning; set to the beginning of the command after it
 * @w: set to the words; release with b1_words_done()
 * @e: the reason of a failure
 *
 * Words are separated by blanks. "…" knows \n \t \r \0 \\ \" and \xHH, '…' is taken as it is; a '#'
 * at the start of a word begins a comment.
 *
 * Return: 0, or -EINVAL.
 */
int b1_words_next(const char **text, struct b1_words *w, struct err *e);
