/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A command line of the script language in words. */
#pragma once

#include <stddef.h>

#include "buf.h"
#include "errinfo.h"

enum { B1_WORDS_MAX = 64 };

/* A word may hold any byte, also a NUL, and is followed by one that @len does not count. */
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
 * b1_words_next() - the words of the next command
 * @text: where it begins; set to where the following one does
 * @w: filled; release with b1_words_done()
 * @e: why not
 *
 * Words are separated by blanks. "…" knows \n \t \r \0 \\ \" and \xHH, '…' is taken as it is; a '#'
 * at the start of a word begins a comment.
 *
 * Return: 0, or -EINVAL.
 */
int b1_words_next(const char **text, struct b1_words *w, struct err *e);
