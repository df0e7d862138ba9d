/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Aligned columns. The first rows are held back to find the widths; when they are many, what has
 * been seen decides for the rest, so that memory stays bounded.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "escape.h"
#include "out_internal.h"

enum {
    HELD_ROWS = 2000,
    HELD_BYTES = 512 * 1024,
    CELL_MAX = 64 * 1024, /* columns of a payload in a pipe; --raw and JSON have it all */
    GAP = 2,
    WIDE_LEAST = 8,   /* the least room for the wide column */
    WIDE_DECENT = 14, /* room for it that is worth leaving out others */
    WRAP_MIN = 16,    /* columns that a text in several lines keeps */
};

struct cell {
    size_t at; /* in held.data */
    size_t len;
    size_t columns;
};

struct table {
    const struct out_col *cols;
    size_t *pick;
    size_t n;
    size_t last; /* of them, the last that is shown */
    struct out_opts opts;
    bool stream;
    bool *left_out;
    bool fixed; /* widths are decided, the heading is out */
    size_t *widths;
    struct buf held;
    struct cell *cells; /* rows * n */
    size_t rows, rows_max;
};

static const struct out_col *column(const struct table *t, size_t i)
{
    return &t->cols[t->pick[i]];
}

static void heading(struct buf *b, const struct out_col *col)
{
    if (col->heading) {
        buf_add_str(b, col->heading);
        return;
    }
    for (const char *p = col->key; *p; p++)
        buf_add_char(b, *p == '_' ? ' ' : (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p));
}

static size_t heading_width(const struct out_col *col)
{
    return strlen(col->heading ? col->heading : col->key);
}

void table_free(struct table *t)
{
    if (!t)
        return;
    free(t->pick);
    free(t->widths);
    free(t->left_out);
    free(t->cells);
    buf_done(&t->held);
    free(t);
}

struct table *table_new(const struct out_col *cols, const size_t *pick, size_t n,
                        const struct out_opts *opts, unsigned int flags)
{
    struct table *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->cols = cols;
    t->n = n;
    t->last = n ? n - 1 : 0;
    t->opts = *opts;
    t->stream = flags & OUT_STREAM;
    t->pick = calloc(n + 1, sizeof(*t->pick));
    t->widths = calloc(n + 1, sizeof(*t->widths));
    t->left_out = calloc(n + 1, sizeof(*t->left_out));
    if (!t->pick || !t->widths || !t->left_out) {
        table_free(t);
        return NULL;
    }
    if (n)
        memcpy(t->pick, pick, n * sizeof(*pick));
    for (size_t i = 0; i < n; i++) {
        size_t head = opts->noheadings ? 0 : heading_width(column(t, i));

        t->widths[i] = t->stream ? MAX(head, (size_t)column(t, i)->width) : head;
    }
    t->rows_max = t->stream && !(flags & OUT_BATCH) ? 1 : HELD_ROWS;
    t->cells = calloc(t->rows_max * n + 1, sizeof(*t->cells));
    if (!t->cells) {
        table_free(t);
        return NULL;
    }
    return t;
}

/* Columns that all but the wide one take, with the gaps between all. */
static size_t narrow_width(const struct table *t, bool *wide)
{
    size_t used = 0;

    *wide = false;
    for (size_t i = 0; i < t->n; i++) {
        if (t->left_out[i])
            continue;
        if (column(t, i)->flags & OUT_WIDE)
            *wide = true;
        else
            used += t->widths[i] + (i == t->last ? 0 : GAP);
    }
    return used;
}

/* Columns that the wide column may use, when the terminal has an edge. */
static size_t wide_room(const struct table *t)
{
    bool wide;
    size_t used;

    if (!t->opts.width)
        return CELL_MAX;
    used = narrow_width(t, &wide);
    return used + WIDE_LEAST < t->opts.width ? t->opts.width - used : WIDE_LEAST;
}

/* A line that the terminal breaks in two is worse than a column less. */
static void leave_out(struct table *t)
{
    bool wide;

    if (!t->stream || !t->opts.width || t->opts.columns)
        return;
    for (size_t i = t->n; i-- > 0;) {
        if (narrow_width(t, &wide) + (wide ? WIDE_DECENT : 0) <= t->opts.width)
            break;
        t->left_out[i] = column(t, i)->flags & OUT_SPARE;
    }
    while (t->last && t->left_out[t->last])
        t->last--;
}

static void put_cell(const struct table *t, size_t i, const char *s, size_t len, size_t columns,
                     struct buf *text)
{
    const struct out_col *col = column(t, i);
    size_t width = t->widths[i];
    const char *cut = "";

    if (t->left_out[i])
        return;
    if (col->flags & OUT_WIDE && t->opts.width && columns > wide_room(t)) {
        len = esc_fit(s, len, wide_room(t) - 1);
        columns = esc_columns(s, len) + 1;
        cut = "…";
    }
    if (value_right(col) && columns < width)
        buf_add_repeat(text, ' ', width - columns);
    buf_add(text, s, len);
    buf_add_str(text, cut);
    if (i == t->last)
        return;
    if (!value_right(col) && columns < width)
        buf_add_repeat(text, ' ', width - columns);
    buf_add_repeat(text, ' ', GAP);
}

/* ---- texts in several lines ---- */

/* Takes columns from the widest of the texts that may be wrapped until the row fits. */
static void narrow(struct table *t)
{
    size_t total = t->n ? (t->n - 1) * GAP : 0;

    for (size_t i = 0; i < t->n; i++)
        total += t->widths[i];
    while (t->opts.width && total > t->opts.width) {
        size_t *widest = NULL;

        for (size_t i = 0; i < t->n; i++)
            if (column(t, i)->flags & OUT_WRAP && t->widths[i] > WRAP_MIN &&
                (!widest || t->widths[i] > *widest))
                widest = &t->widths[i];
        if (!widest)
            return;
        --*widest;
        total--;
    }
}

/* Bytes of a text that go into one line: up to a space, if there is one. */
static size_t line_of(const char *s, size_t n, size_t width)
{
    size_t fit = esc_fit(s, n, width), k = fit;

    if (fit == n)
        return n;
    while (k && s[k] != ' ')
        k--;
    return k ? k : fit;
}

/* A row as so many lines as its longest wrapped text takes. */
static void put_lines(const struct table *t, const struct cell *cells, struct buf *text)
{
    size_t done[COLS_MAX] = {0};
    bool more, again = false;

    do {
        more = false;
        for (size_t k = 0; k < t->n; k++) {
            const char *s = buf_str(&t->held) + cells[k].at + done[k];
            size_t left = cells[k].len - done[k], len = left;

            if (column(t, k)->flags & OUT_WRAP && t->opts.width)
                len = line_of(s, left, t->widths[k]);
            put_cell(t, k, s, len, len == cells[k].len ? cells[k].columns : esc_columns(s, len),
                     text);
            done[k] += len + (len < left && s[len] == ' ');
            more |= done[k] < cells[k].len;
        }
        while (again && text->data[text->len - 1] == ' ')
            text->len--;
        buf_add_char(text, '\n');
        again = true;
    } while (more);
}

static void put_heading(const struct table *t, struct buf *text)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    if (t->opts.noheadings)
        return;
    if (t->opts.color)
        buf_add_str(text, "\033[1m");
    for (size_t i = 0; i < t->n; i++) {
        buf_clear(&b);
        heading(&b, column(t, i));
        put_cell(t, i, buf_str(&b), b.len, b.len, text);
        buf_inherit_error(text, &b);
    }
    if (t->opts.color)
        buf_add_str(text, "\033[0m");
    buf_add_char(text, '\n');
}

int table_flush(struct table *t, struct buf *text)
{
    if (t->rows && !t->fixed) {
        t->fixed = true;
        for (size_t row = 0; row < t->rows; row++)
            for (size_t k = 0; k < t->n; k++)
                t->widths[k] = MAX(t->widths[k], t->cells[row * t->n + k].columns);
        leave_out(t);
        narrow(t);
        put_heading(t, text);
    }
    for (size_t row = 0; row < t->rows; row++)
        put_lines(t, &t->cells[row * t->n], text);
    t->rows = 0;
    buf_clear(&t->held);
    return buf_error(text) ? buf_error(text) : buf_error(&t->held);
}

int table_row(struct table *t, const void *row, struct buf *text)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct out_col *col = column(t, i);
        struct cell *c = &t->cells[t->rows * t->n + i];

        c->at = t->held.len;
        value_text(&t->held, col, row, t->opts.width ? t->opts.width : CELL_MAX);
        c->len = t->held.len - c->at;
        c->columns = esc_columns(buf_str(&t->held) + c->at, c->len);
    }
    t->rows++;
    if (t->rows == t->rows_max || t->held.len > HELD_BYTES)
        return table_flush(t, text);
    return buf_error(&t->held);
}
