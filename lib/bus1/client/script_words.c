/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Splits a command of the script language into words. */
#include "script_words.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "macros.h"

void b1_words_done(struct b1_words *w)
{
    buf_done(&w->text);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads the characters after a backslash. Return: the position after them, or NULL. */
static const char *read_escape(const char *p, struct buf *out)
{
    static const char names[] = "ntr0\\\"", values[] = "\n\t\r\0\\\"";
    const char *at = *p ? strchr(names, *p) : NULL;

    if (at) {
        buf_add_char(out, values[at - names]);
        return p + 1;
    }
    if (*p != 'x' || hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0)
        return NULL;
    buf_add_char(out, (char)(hex_digit(p[1]) * 16 + hex_digit(p[2])));
    return p + 3;
}

/* Return: the position after the closing quote, or NULL. */
static const char *read_quoted(const char *p, struct buf *out, struct err *e)
{
    char quote = *p++;

    while (*p && *p != quote) {
        if (*p == '\\' && quote == '"') {
            p = read_escape(p + 1, out);
            if (!p) {
                err_set(e, -EINVAL, "\\n \\t \\r \\0 \\\\ \\\" \\xHH are known",
                        "an escape that is not known");
                return NULL;
            }
        } else {
            buf_add_char(out, *p++);
        }
    }
    if (*p == quote)
        return p + 1;
    err_set(e, -EINVAL, NULL, "a quote is not closed");
    return NULL;
}

static const char *read_word(const char *p, struct buf *out, struct err *e)
{
    while (p && *p && !strchr(" \t\r\n;", *p)) {
        if (*p == '"' || *p == '\'')
            p = read_quoted(p, out, e);
        else
            buf_add_char(out, *p++);
    }
    return p;
}

int b1_words_next(const char **text, struct b1_words *w, struct err *e)
{
    size_t start[B1_WORDS_MAX + 1] = {0};
    const char *p = *text;

    *w = (struct b1_words){0};
    for (;;) {
        p += strspn(p, " \t\r");
        if (*p == '#')
            p += strcspn(p, "\n");
        if (!*p || *p == '\n' || *p == ';')
            break;
        if (w->n == B1_WORDS_MAX)
            return err_set(e, -EINVAL, NULL, "more than %d words", B1_WORDS_MAX);
        p = read_word(p, &w->text, e);
        if (!p)
            return -EINVAL;
        w->v[w->n].len = w->text.len - start[w->n];
        buf_add_char(&w->text, '\0');
        start[++w->n] = w->text.len;
    }
    if (buf_error(&w->text) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < w->n; i++)
        w->v[i].s = w->text.data + start[i];
    *text = p;
    return 0;
}
