/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The word that was meant: the one with the fewest letters to change, swap, add or leave out. */
#include <string.h>

#include "cli.h"

enum { WORD_MAX = 40 };

static size_t min3(size_t a, size_t b, size_t c)
{
    a = MIN(a, b);
    return MIN(a, c);
}

/* Optimal string alignment distance. */
static size_t distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    size_t row[3][WORD_MAX + 1];

    if (la > WORD_MAX || lb > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *now = row[i % 3], *last = row[(i - 1) % 3], *before = row[(i + 1) % 3];

        now[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = MIN(now[j], before[j - 2] + 1);
        }
    }
    return row[la % 3][lb];
}

const char *cli_nearest(const char *word, const char *const *words)
{
    size_t best = MAX(strlen(word) / 3, (size_t)1);
    const char *near = NULL;

    for (; *words; words++) {
        size_t d = distance(word, *words);

        if (d < best || (d == best && !near)) {
            best = d;
            near = *words;
        }
    }
    return near;
}
