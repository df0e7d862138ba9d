/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words of a bash command line. Nothing here expands anything: a dollar is a dollar. */
#include "shell_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "escape.h"
#include "macros.h"

/* ---- reading ---- */

struct reader {
    struct shell_line *out;
    struct buf word;
    enum shell_quote quote;
    bool begun; /* the word has begun: '' is a word, too */
};

static void words_drop(struct shell_line *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->words[i]);
    l->n = 0;
}

void shell_line_done(struct shell_line *l)
{
    words_drop(l);
    free(l->words);
    *l = (struct shell_line){.n = 0};
}

static int end_word(struct reader *r)
{
    char **words = reallocarray(r->out->words, r->out->n + 1, sizeof(*words));

    if (!words)
        return -ENOMEM;
    r->out->words = words;
    words[r->out->n] = strdup(buf_str(&r->word));
    if (!words[r->out->n] || buf_error(&r->word))
        return -ENOMEM;
    r->out->n++;
    buf_clear(&r->word);
    r->begun = false;
    return 0;
}

/* An unquoted character. Return: bytes used, or -ENOMEM. */
static int read_bare(struct reader *r, const char *s)
{
    if (strchr(" \t\n<>", *s))
        return r->begun && end_word(r) < 0 ? -ENOMEM : 1;
    if (strchr(";|&()", *s)) {
        buf_clear(&r->word);
        words_drop(r->out);
        r->begun = false;
        return 1;
    }
    r->begun = true;
    if (*s == '\\') {
        buf_add(&r->word, s + 1, s[1] ? 1 : 0);
        return s[1] ? 2 : 1;
    }
    if (*s == '$' && (s[1] == '\'' || s[1] == '"')) {
        r->quote = s[1] == '"' ? SHELL_DOUBLE : SHELL_ANSI;
        return 2;
    }
    if (*s == '\'' || *s == '"') {
        r->quote = *s == '"' ? SHELL_DOUBLE : SHELL_SINGLE;
        return 1;
    }
    buf_add_char(&r->word, *s);
    return 1;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* A backslash in $'…'; of the numbers only \xHH, which is what shell_quote() writes. */
static int read_ansi_escape(struct reader *r, const char *s)
{
    static const char from[] = "abeEfnrtv", to[] = "\a\b\033\033\f\n\r\t\v";
    const char *letter = s[1] ? strchr(from, s[1]) : NULL;
    int high = s[1] == 'x' ? hex_digit(s[2]) : -1;
    int low = high >= 0 ? hex_digit(s[3]) : -1;

    if (low >= 0) {
        if (high || low) /* no word holds a zero byte */
            buf_add_char(&r->word, (char)(high * 16 + low));
        return 4;
    }
    if (letter)
        buf_add_char(&r->word, to[letter - from]);
    else
        buf_add(&r->word, s + 1, s[1] ? 1 : 0);
    return s[1] ? 2 : 1;
}

/* A character in quotes. Return: bytes used. */
static int read_quoted(struct reader *r, const char *s)
{
    if (*s == (r->quote == SHELL_DOUBLE ? '"' : '\'')) {
        r->quote = SHELL_BARE;
        return 1;
    }
    if (*s == '\\' && r->quote == SHELL_ANSI)
        return read_ansi_escape(r, s);
    if (*s == '\\' && r->quote == SHELL_DOUBLE && s[1] && strchr("$`\"\\", s[1])) {
        buf_add_char(&r->word, s[1]);
        return 2;
    }
    buf_add_char(&r->word, *s);
    return 1;
}

int shell_line_read(const char *line, size_t replaced, struct shell_line *ret)
{
    _cleanup_(shell_line_done) struct shell_line l = {.n = 0};
    struct reader r = {.out = &l, .word = BUF_INIT};
    size_t len = strlen(line);
    size_t mark = len - MIN(len, replaced);
    size_t at = 0;
    int n = 0;

    while (n >= 0) {
        if (at <= mark) { /* also where an escaped character straddles the mark */
            l.kept = r.word.len;
            l.quote = r.quote;
        } else if (r.word.len < l.kept) { /* that word has ended: nothing of the last one stays */
            l.kept = 0;
            l.quote = SHELL_BARE;
        }
        if (!line[at])
            break;
        n = r.quote == SHELL_BARE ? read_bare(&r, line + at) : read_quoted(&r, line + at);
        at += n > 0 ? (size_t)n : 0;
    }
    if (n >= 0)
        n = end_word(&r);
    buf_done(&r.word);
    if (n < 0)
        return n;
    *ret = l;
    l = (struct shell_line){.n = 0};
    return 0;
}

/* ---- quoting ---- */

/* Bytes of the character that begins here if a terminal shows it as it is, else 0. */
static size_t shown(const char *s)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    uint32_t cp;
    size_t n = esc_utf8_decode(s, strlen(s), &cp);

    if (*s == '\\')
        return 1;
    esc_terminal(&b, s, n);
    return n && b.len == n && !memcmp(b.data, s, n) ? n : 0;
}

/* A byte that needs $'\xHH', which cannot stand within other quotes. */
static void quote_byte(struct buf *b, unsigned char c, enum shell_quote in)
{
    static const char *const around[] = {
        [SHELL_BARE] = "", [SHELL_SINGLE] = "'", [SHELL_DOUBLE] = "\"", [SHELL_ANSI] = NULL};

    if (in == SHELL_ANSI)
        buf_printf(b, "\\x%02x", c);
    else
        buf_printf(b, "%s$'\\x%02x'%s", around[in], c, around[in]);
}

/* A character of ASCII that a terminal shows. */
static void quote_char(struct buf *b, char c, enum shell_quote in)
{
    bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
                 strchr("/_.-+,:=@%", c);

    if (plain)
        buf_add_char(b, c);
    else if (in == SHELL_SINGLE && c == '\'')
        buf_add_str(b, "'\\''");
    else if (in == SHELL_DOUBLE && c == '!')
        buf_add_str(b, "\"'!'\"");
    else if (in == SHELL_BARE || (in == SHELL_DOUBLE && strchr("$`\"\\", c)) ||
             (in == SHELL_ANSI && strchr("'\\", c)))
        buf_printf(b, "\\%c", c);
    else
        buf_add_char(b, c);
}

void shell_quote(struct buf *b, const char *text, enum shell_quote in)
{
    const char close = in == SHELL_DOUBLE ? '"' : '\'';
    size_t begin = b->len;

    while (*text) {
        size_t n = shown(text);

        if (!n)
            quote_byte(b, (unsigned char)*text, in);
        else if (n == 1)
            quote_char(b, *text, in);
        else
            buf_add(b, text, n);
        text += n ? n : 1;
    }
    /* readline closes the quotes, but not where it finds the same character already. */
    if (in != SHELL_BARE && b->len > begin && b->data[b->len - 1] == close)
        buf_add_char(b, close);
}
