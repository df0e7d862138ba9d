// SPDX-License-Identifier: LGPL-2.1-or-later
/* Two pictures, the one that is shown and the one that is drawn; only the difference is sent. */
#include "termscreen.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "macros.h"

enum {
    SIZE_MAX_CELLS = 1000, /* rows, and columns */
    NEAR_CELLS = 4,        /* equal cells that are cheaper to send again than to jump over */
};

/* One column of one row: a character with its combining marks. */
struct cell {
    char text[13];
    uint8_t len;
    uint8_t style;
    uint8_t width; /* 1, 2, or 0: the second half of a wide character */
};

struct term_screen {
    unsigned int rows;
    unsigned int cols;
    bool color;
    bool known; /* the terminal shows @front */
    struct cell *front;
    struct cell *back;
    bool cursor; /* wanted */
    unsigned int cursor_row;
    unsigned int cursor_col;
    bool cursor_shown;
};

static const struct cell blank = {.text = " ", .len = 1, .width = 1};

static bool cell_equal(const struct cell *a, const struct cell *b)
{
    return a->len == b->len && a->style == b->style && a->width == b->width &&
           memcmp(a->text, b->text, a->len) == 0;
}

static void cells_blank(struct cell *cells, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cells[i] = blank;
}

int term_screen_resize(struct term_screen *s, unsigned int rows, unsigned int cols)
{
    struct cell *front, *back;
    size_t n;

    rows = MIN(MAX(rows, 1u), (unsigned int)SIZE_MAX_CELLS);
    cols = MIN(MAX(cols, 1u), (unsigned int)SIZE_MAX_CELLS);
    n = (size_t)rows * cols;
    front = malloc(n * sizeof(*front));
    back = malloc(n * sizeof(*back));
    if (!front || !back) {
        free(front);
        free(back);
        return -ENOMEM;
    }
    free(s->front);
    free(s->back);
    s->front = front;
    s->back = back;
    s->rows = rows;
    s->cols = cols;
    s->known = false;
    term_screen_clear(s);
    return 0;
}

int term_screen_new(unsigned int rows, unsigned int cols, bool color, struct term_screen **ret)
{
    struct term_screen *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->color = color;
    if (term_screen_resize(s, rows, cols) < 0) {
        free(s);
        return -ENOMEM;
    }
    *ret = s;
    return 0;
}

void term_screen_free(struct term_screen *s)
{
    if (!s)
        return;
    free(s->front);
    free(s->back);
    free(s);
}

void term_screen_freep(struct term_screen **s)
{
    term_screen_free(*s);
}

unsigned int term_screen_rows(const struct term_screen *s)
{
    return s->rows;
}

unsigned int term_screen_cols(const struct term_screen *s)
{
    return s->cols;
}

void term_screen_clear(struct term_screen *s)
{
    cells_blank(s->back, (size_t)s->rows * s->cols);
    s->cursor = false;
}

void term_screen_forget(struct term_screen *s)
{
    s->known = false;
}

/* A cell is about to be overwritten: no half of a wide character may stay behind. */
static void break_wide(struct cell *line, unsigned int cols, unsigned int col)
{
    if (line[col].width == 0 && col > 0)
        line[col - 1] = (struct cell){.text = " ", .len = 1, .width = 1, .style = line[col].style};
    if (line[col].width == 2 && col + 1 < cols)
        line[col + 1] = (struct cell){.text = " ", .len = 1, .width = 1, .style = line[col].style};
}

static void put_cell(struct cell *line, unsigned int cols, unsigned int col, const struct cell *c)
{
    break_wide(line, cols, col);
    if (c->width == 2) {
        break_wide(line, cols, col + 1);
        line[col + 1] = (struct cell){.width = 0, .style = c->style};
    }
    line[col] = *c;
}

/* The next character as a cell; @width is 0 for a combining mark. Return: bytes of it. */
static size_t next_cell(const char *p, size_t n, unsigned int style, struct cell *c)
{
    uint32_t cp;
    size_t len = esc_utf8_decode(p, n, &cp);
    size_t used = len ? len : 1;
    struct buf plain = BUF_INIT;

    *c = (struct cell){.text = "?", .len = 1, .width = 1, .style = (uint8_t)style};
    if (len == 1 && cp >= 0x20 && cp < 0x7f) {
        c->text[0] = *p;
        return used;
    }
    /* Harmless is what the escaping leaves as it is. */
    esc_terminal(&plain, p, used);
    if (len > 1 && buf_error(&plain) == 0 && plain.len == len && memcmp(plain.data, p, len) == 0) {
        memcpy(c->text, p, len);
        c->len = (uint8_t)len;
        c->width = (uint8_t)esc_columns(p, len);
    }
    buf_done(&plain);
    return used;
}

/* A combining mark joins the character before it, as long as there is room. */
static void join_mark(struct cell *line, unsigned int start, unsigned int col,
                      const struct cell *mark)
{
    struct cell *c;

    if (col == start)
        return;
    c = &line[col - 1];
    if (c->width == 0 && col - 1 > start)
        c--;
    if (c->len + mark->len > sizeof(c->text))
        return;
    memcpy(c->text + c->len, mark->text, mark->len);
    c->len = (uint8_t)(c->len + mark->len);
}

unsigned int term_screen_put(struct term_screen *s, unsigned int row, unsigned int col,
                             unsigned int style, const char *text, unsigned int width)
{
    size_t n = strlen(text);
    unsigned int start = col, end = s->cols;
    struct cell c, *line;

    if (!s->color)
        style &= ~(unsigned int)TERM_COLOR_MASK;
    if (row >= s->rows || col >= s->cols)
        return col;
    if (width && width < end - col)
        end = col + width;
    line = s->back + (size_t)row * s->cols;
    for (size_t i = 0; i < n;) {
        i += next_cell(text + i, n - i, style, &c);
        if (c.width == 0) {
            join_mark(line, start, col, &c);
            continue;
        }
        if (col + c.width > end)
            break;
        put_cell(line, s->cols, col, &c);
        col += c.width;
    }
    if (!width)
        return col;
    for (c = blank, c.style = (uint8_t)style; col < end; col++)
        put_cell(line, s->cols, col, &c);
    return col;
}

void term_screen_cursor(struct term_screen *s, unsigned int row, unsigned int col)
{
    s->cursor = true;
    s->cursor_row = MIN(row, s->rows - 1);
    s->cursor_col = MIN(col, s->cols - 1);
}

static void add_style(struct buf *out, unsigned int style)
{
    buf_add_str(out, "\033[0");
    if (style & TERM_BOLD)
        buf_add_str(out, ";1");
    if (style & TERM_DIM)
        buf_add_str(out, ";2");
    if (style & TERM_UNDERLINE)
        buf_add_str(out, ";4");
    if (style & TERM_REVERSE)
        buf_add_str(out, ";7");
    if (style & TERM_COLOR_MASK)
        buf_printf(out, ";3%u", style & TERM_COLOR_MASK);
    buf_add_char(out, 'm');
}

static void diff_row(struct term_screen *s, unsigned int row, unsigned int *style, struct buf *out)
{
    const struct cell *back = s->back + (size_t)row * s->cols;
    const struct cell *front = s->front + (size_t)row * s->cols;
    unsigned int at = UINT32_MAX; /* column of the terminal's cursor, when it is in this row */

    for (unsigned int col = 0; col < s->cols; col++) {
        unsigned int from = col;

        if (cell_equal(&back[col], &front[col]))
            continue;
        if (back[col].width == 0)
            continue; /* comes with its first half */
        if (at != UINT32_MAX && at < col && col - at <= NEAR_CELLS)
            from = at;
        if (at != from)
            buf_printf(out, "\033[%u;%uH", row + 1, from + 1);
        for (unsigned int i = from; i <= col; i++) {
            if (back[i].width == 0)
                continue;
            if (back[i].style != *style)
                add_style(out, back[i].style);
            *style = back[i].style;
            buf_add(out, back[i].text, back[i].len);
        }
        at = col + back[col].width;
    }
}

void term_screen_diff(struct term_screen *s, struct buf *out)
{
    size_t cells = (size_t)s->rows * s->cols;
    unsigned int style = TERM_PLAIN;
    bool hide = s->cursor_shown || !s->known;

    if (hide)
        buf_add_str(out, "\033[?25l");
    s->cursor_shown = false;
    if (!s->known) {
        buf_add_str(out, "\033[0m\033[2J");
        cells_blank(s->front, cells);
        s->known = true;
    }
    for (unsigned int row = 0; row < s->rows; row++)
        diff_row(s, row, &style, out);
    if (style != TERM_PLAIN)
        buf_add_str(out, "\033[0m");
    memcpy(s->front, s->back, cells * sizeof(*s->front));
    if (s->cursor) {
        buf_printf(out, "\033[%u;%uH\033[?25h", s->cursor_row + 1, s->cursor_col + 1);
        s->cursor_shown = true;
    }
}
