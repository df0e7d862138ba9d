/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Draws the table: columns that fit the width of the terminal, one row for each queue. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "escape.h"
#include "timefmt.h"
#include "top.h"

enum column {
    COL_NAME,
    COL_BAR,
    COL_DEPTH,
    COL_SPARK,
    COL_IN,
    COL_OUT,
    COL_HELD,
    COL_SENDERS,
    COL_RECEIVERS,
    COL_WAIT,
    N_COLS,
};

struct layout {
    unsigned int width[N_COLS]; /* 0: not shown */
};

static const unsigned int least_width[N_COLS] = {
    [COL_NAME] = 12, [COL_BAR] = 5,  [COL_DEPTH] = 9,   [COL_SPARK] = 6,     [COL_IN] = 7,
    [COL_OUT] = 7,   [COL_HELD] = 4, [COL_SENDERS] = 3, [COL_RECEIVERS] = 3, [COL_WAIT] = 7,
};

static const char *const headings[N_COLS] = {
    [COL_NAME] = "QUEUE",    [COL_BAR] = "FILL",  [COL_DEPTH] = "MESSAGES", [COL_SPARK] = "MINUTE",
    [COL_IN] = "IN/S",       [COL_OUT] = "OUT/S", [COL_HELD] = "HELD",      [COL_SENDERS] = "SND",
    [COL_RECEIVERS] = "RCV", [COL_WAIT] = "WAIT",
};

/* The column whose heading shows that the table is sorted by it. */
static const enum column sort_column[PMQ_WATCH_N_KEYS] = {
    [PMQ_WATCH_BY_FILL] = COL_BAR,    [PMQ_WATCH_BY_NAME] = COL_NAME,
    [PMQ_WATCH_BY_DEPTH] = COL_DEPTH, [PMQ_WATCH_BY_IN] = COL_IN,
    [PMQ_WATCH_BY_OUT] = COL_OUT,     [PMQ_WATCH_BY_BLOCKED] = COL_SENDERS,
    [PMQ_WATCH_BY_WAIT] = COL_WAIT,
};

static bool to_the_right(enum column c)
{
    return c != COL_NAME && c != COL_BAR && c != COL_SPARK;
}

/* ---- the width of the columns ---- */

static unsigned int total(const struct layout *l)
{
    unsigned int sum = 0;

    for (int c = 0; c < N_COLS; c++)
        sum += l->width[c] ? l->width[c] + (c != COL_NAME) : 0;
    return sum;
}

static void grow(struct layout *l, enum column c, unsigned int most, unsigned int cols)
{
    unsigned int used = total(l);

    if (l->width[c] && used < cols && l->width[c] < most)
        l->width[c] = MIN(most, l->width[c] + cols - used);
}

static struct layout make_layout(unsigned int cols, unsigned int longest_name,
                                 unsigned int longest_depth)
{
    /* Columns that are dropped when the width is short, the least important first. */
    static const enum column spare[] = {COL_SPARK, COL_BAR,       COL_HELD,    COL_WAIT, COL_OUT,
                                        COL_IN,    COL_RECEIVERS, COL_SENDERS, COL_DEPTH};
    struct layout l;

    memcpy(l.width, least_width, sizeof(l.width));
    l.width[COL_DEPTH] = MAX(l.width[COL_DEPTH], longest_depth);
    for (size_t i = 0; i < ARRAY_SIZE(spare) && total(&l) > cols; i++)
        l.width[spare[i]] = 0;
    l.width[COL_NAME] = MIN(l.width[COL_NAME], cols);
    /* Whole names come first: two that are cut may look the same. */
    grow(&l, COL_NAME, longest_name, cols);
    grow(&l, COL_BAR, 8, cols);
    grow(&l, COL_SPARK, PMQ_WATCH_SECONDS, cols);
    grow(&l, COL_BAR, 20, cols);
    grow(&l, COL_NAME, cols, cols);
    return l;
}

/* ---- cells ---- */

static void bar_text(char *out, size_t size, unsigned int width, uint64_t n, uint64_t max,
                     bool utf8)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    uint64_t parts = max ? MIN(n, max) * width * 8 / max : 0;
    size_t at = 0;

    if (n && !parts)
        parts = 1; /* a single message must be visible */
    if (!utf8)
        parts = n ? MAX(parts / 8 * 8, (uint64_t)8) : 0;
    out[0] = '\0';
    for (unsigned int i = 0; i < width && at + 8 < size; i++) {
        const char *cell = utf8 ? "·" : ".";

        if (parts >= 8)
            cell = utf8 ? "█" : "#";
        else if (parts)
            cell = eighths[parts];
        parts -= MIN(parts, (uint64_t)8);
        at += (size_t)snprintf(out + at, size - at, "%s", cell);
    }
}

static void spark_text(char *out, size_t size, unsigned int width, const struct pmq_watched *q,
                       bool utf8)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const ascii[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
    int levels[PMQ_WATCH_SECONDS];
    size_t at = 0;

    width = MIN(width, (unsigned int)PMQ_WATCH_SECONDS);
    pmq_watch_history(q, levels, width);
    out[0] = '\0';
    for (unsigned int i = 0; i < width && at + 8 < size; i++) {
        /* The lowest step is reserved for the empty queue. */
        int step = levels[i] > 0 ? 1 + levels[i] * 6 / 1000 : 0;
        const char *cell = levels[i] < 0 ? " " : utf8 ? blocks[step] : ascii[step];

        at += (size_t)snprintf(out + at, size - at, "%s", cell);
    }
}

/* Formats a rate in at most seven columns: "0.3", "123", "12.3k". A "+" means "at least". */
static void rate_text(char *out, size_t size, uint64_t messages, uint64_t interval, bool at_least)
{
    static const char units[] = " kMG";
    double rate = pmq_watch_rate(messages, interval);
    const char *more = at_least ? "+" : "";
    size_t unit = 0;

    if (rate < 0) {
        snprintf(out, size, "-");
        return;
    }
    while (rate >= 999.5 && unit < 3) {
        rate /= 1000;
        unit++;
    }
    if (unit)
        snprintf(out, size, "%.*f%c%s", rate < 99.95, rate, units[unit], more);
    else
        snprintf(out, size, "%.*f%s", rate > 0 && rate < 9.95, rate, more);
}

/* Formats a count in at most three columns. A "+" means "at least". */
static void few_text(char *out, size_t size, size_t n, bool complete)
{
    if (n > 999)
        snprintf(out, size, "1k+");
    else if (complete)
        snprintf(out, size, "%zu", n);
    else
        snprintf(out, size, "%zu+", MIN(n, (size_t)99));
}

static unsigned int fill_style(const struct pmq_watched *q)
{
    uint64_t percent = q->room ? q->used * 100 / q->room : 0;

    return percent >= 90 ? TERM_RED : percent >= 50 ? TERM_YELLOW : TERM_GREEN;
}

void top_name(char out[TOP_NAME_SIZE], const struct pmq_watched *q)
{
    snprintf(out, TOP_NAME_SIZE, "%s%s", q->attr.name[0] ? q->attr.name : "(no name)",
             q->attr.unlinked ? " (unlinked)" : "");
}

static void name_text(char *out, size_t size, const struct pmq_watched *q)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    char name[TOP_NAME_SIZE];

    top_name(name, q);
    esc_terminal_str(&b, name);
    snprintf(out, size, "%s", buf_str(&b));
}

/* A System V queue is limited by bytes, so only the number of its messages is shown. */
static void depth_text(char *out, size_t size, const struct pmq_watched *q)
{
    if (q->attr.maxmsg == PMQ_UNKNOWN)
        snprintf(out, size, "%" PRIu64, q->attr.curmsgs);
    else
        snprintf(out, size, "%" PRIu64 "/%" PRIu64, q->attr.curmsgs, q->attr.maxmsg);
}

static unsigned int cell_text(const struct top *t, const struct pmq_watched *q, enum column c,
                              unsigned int width, bool utf8, char *out, size_t size)
{
    snprintf(out, size, "-");
    switch (c) {
    case COL_NAME:
        name_text(out, size, q);
        break;
    case COL_BAR:
        if (!q->known)
            break;
        bar_text(out, size, width, q->used, q->room, utf8);
        return fill_style(q);
    case COL_DEPTH:
        if (q->known)
            depth_text(out, size, q);
        break;
    case COL_SPARK:
        spark_text(out, size, width, q, utf8);
        return TERM_CYAN;
    case COL_IN:
        rate_text(out, size, q->sent, q->interval, !top_counts(t));
        break;
    case COL_OUT:
        rate_text(out, size, q->received, q->interval, !top_counts(t));
        break;
    case COL_HELD:
        few_text(out, size, q->holders, q->holders_complete);
        break;
    case COL_SENDERS:
        few_text(out, size, q->senders, q->waiters_complete);
        return q->senders ? TERM_RED | TERM_BOLD : TERM_PLAIN;
    case COL_RECEIVERS:
        few_text(out, size, q->receivers, q->waiters_complete);
        break;
    case COL_WAIT:
        if (q->oldest_wait != PMQ_UNKNOWN)
            timefmt_span(out, q->oldest_wait);
        break;
    case N_COLS:
        break;
    }
    return TERM_PLAIN;
}

static void put_cell(struct term_screen *p, unsigned int row, unsigned int col, unsigned int width,
                     enum column c, unsigned int style, const char *text)
{
    size_t n = strlen(text), columns = esc_columns(text, n);
    unsigned int at = col;

    term_screen_put(p, row, col, style, "", width);
    if (to_the_right(c) && columns < width)
        at += width - (unsigned int)columns;
    term_screen_put(p, row, at, style, text, col + width - at);
}

/* ---- drawing ---- */

static void draw_queue(const struct top *t, const struct layout *l, struct term *term,
                       unsigned int row, const struct pmq_watched *q, bool selected)
{
    struct term_screen *p = term_get_screen(term);
    char text[1024 + PMQ_NAME_MAX];
    unsigned int col = 0;

    if (selected)
        term_screen_put(p, row, 0, TERM_REVERSE, "", term_screen_cols(p));
    for (int c = 0; c < N_COLS; c++) {
        unsigned int style;

        if (!l->width[c])
            continue;
        style = cell_text(t, q, (enum column)c, l->width[c], term_is_utf8(term), text,
                          sizeof(text));
        /* The bars keep their colours: reversed, a full bar would look empty. */
        if (selected && c != COL_BAR && c != COL_SPARK)
            style = TERM_REVERSE;
        put_cell(p, row, col, l->width[c], (enum column)c, style, text);
        col += l->width[c] + 1;
    }
}

static void draw_headings(const struct top *t, const struct layout *l, struct term *term,
                          unsigned int row)
{
    struct term_screen *p = term_get_screen(term);
    const char *arrow = t->reverse ? "^" : "v";
    unsigned int col = 0;

    for (int c = 0; c < N_COLS; c++) {
        bool sorted = sort_column[t->by] == (enum column)c;
        char text[32];

        if (!l->width[c])
            continue;
        snprintf(text, sizeof(text), "%s%s", headings[c], sorted ? arrow : "");
        /* The arrow must not be cut off. */
        if (strlen(text) > l->width[c])
            snprintf(text, sizeof(text), "%.*s%s", (int)l->width[c] - 1, headings[c], arrow);
        put_cell(p, row, col, l->width[c], (enum column)c,
                 TERM_BOLD | (sorted ? TERM_UNDERLINE : TERM_PLAIN), text);
        col += l->width[c] + 1;
    }
}

static void draw_title(const struct top *t, const struct top_table *table, struct term_screen *p,
                       const struct pmq_watched *const *v, size_t n, size_t page)
{
    uint64_t messages = 0, blocked = 0;
    char text[256], part[64] = "";

    for (size_t i = 0; i < n; i++) {
        messages += v[i]->known ? v[i]->attr.curmsgs : 0;
        blocked += v[i]->senders + v[i]->receivers;
    }
    if (n > page && page)
        snprintf(part, sizeof(part), "%zu-%zu of ", table->first + 1, table->first + page);
    snprintf(text, sizeof(text),
             "%s%s%zu queue%s, %" PRIu64 " message%s, %" PRIu64 " blocked, every %gs",
             table->paused ? "PAUSED  " : "", part, n, n == 1 ? "" : "s", messages,
             messages == 1 ? "" : "s", blocked, (double)t->delay / (double)NSEC_PER_SEC);
    term_screen_put(p, 0, 0, TERM_REVERSE, text, term_screen_cols(p));
}

/* Writes @text on at most @most lines, broken at blanks. Return: number of lines. */
static unsigned int put_lines(struct term_screen *p, unsigned int row, unsigned int most,
                              unsigned int style, const char *text)
{
    size_t cols = term_screen_cols(p);
    unsigned int n_lines = 0;

    for (; *text && n_lines < most; n_lines++) {
        size_t n = esc_fit(text, strlen(text), cols);
        char line[1024];

        if (text[n])
            for (size_t at = n; at > 0; at--)
                if (text[at] == ' ') {
                    n = at;
                    break;
                }
        n = MIN(n, sizeof(line) - 1);
        snprintf(line, sizeof(line), "%.*s", (int)n, text);
        term_screen_put(p, row + n_lines, 0, style, line, (unsigned int)cols);
        text += n;
        text += *text == ' ';
    }
    return n_lines;
}

/* Return: how many lines it used, at most a quarter of the screen. */
static unsigned int draw_rates(const struct top *t, struct term_screen *p, unsigned int row)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    const char *note = pmq_watch_note(t->watch);

    if (top_counts(t)) {
        buf_printf(&b, "rates: counted in the kernel (BPF, %s)",
                   msgq_follow_backend(qfollow_reader(&t->counters)));
    } else {
        buf_add_str(&b, "rates: sampled, at least: ");
        esc_terminal_str(&b, err_text(&t->why, t->why.code));
        if (t->why.remedy[0]) {
            buf_add_str(&b, ": ");
            esc_terminal_str(&b, t->why.remedy);
        }
    }
    if (note[0]) {
        buf_add_str(&b, "; ");
        esc_terminal_str(&b, note);
    }
    return put_lines(p, row, MAX(term_screen_rows(p) / 6, 1u), TERM_DIM, buf_str(&b));
}

static void draw_foot(const struct top *t, const struct top_table *table, struct term_screen *p)
{
    unsigned int row = term_screen_rows(p) - 1, col;

    if (table->typing || t->filter[0]) {
        col = term_screen_put(p, row, 0, TERM_BOLD, "filter: ", 0);
        col = term_screen_put(p, row, col, TERM_PLAIN, t->filter, 0);
        if (table->typing)
            term_screen_cursor(p, row, col);
        else
            term_screen_put(p, row, col + 2, TERM_DIM, "Esc clears", 0);
        return;
    }
    term_screen_put(p, row, 0, TERM_DIM,
                    "q quit  ? help  / filter  s sort  r reverse  space pause  Enter open", 0);
}

/* When there are no queues: writes the reason, on as many lines as it needs. */
static void draw_none(const struct top *t, struct term_screen *p, unsigned int row, size_t rows)
{
    const char *note = pmq_watch_names_complete(t->watch) ? "" : pmq_watch_note(t->watch);

    if (t->filter[0]) {
        term_screen_put(p, row, 0, TERM_PLAIN, "no queue has that in its name", 0);
        return;
    }
    term_screen_put(p, row, 0, TERM_PLAIN,
                    note[0] ? "no queue can be seen:" : "there are no queues", 0);
    put_lines(p, row + 1, (unsigned int)rows - 1, TERM_PLAIN, note);
}

/*
 * Keeps the selection on its queue when that moves in the table. If the queue is gone, the row at
 * the same place is selected.
 */
static void keep_selection(struct top_table *table, const struct pmq_watched *const *v, size_t n,
                           size_t page)
{
    if (!n) {
        table->selected = table->first = 0;
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (v[i]->attr.ino == table->selected_ino && v[i]->attr.dev == table->selected_dev)
            table->selected = i;
    table->selected = MIN(table->selected, n - 1);
    if (table->selected || table->selected_ino) {
        table->selected_dev = v[table->selected]->attr.dev;
        table->selected_ino = v[table->selected]->attr.ino;
    }
    if (table->selected < table->first)
        table->first = table->selected;
    if (page && table->selected >= table->first + page)
        table->first = table->selected - page + 1;
    if (table->first + page > n)
        table->first = n > page ? n - page : 0;
}

size_t top_draw_table(struct top *t, struct top_table *table, struct term *term)
{
    struct term_screen *p = term_get_screen(term);
    unsigned int rows = term_screen_rows(p), head = rows >= 8 ? 3 : rows >= 4 ? 2 : 0;
    unsigned int foot = rows >= 6 || table->typing;
    unsigned int longest_name = 0, longest_depth = 0;
    const struct pmq_watched **v;
    size_t n = pmq_watch_select(t->watch, t->by, t->reverse, t->filter, &v);
    struct layout layout;
    char text[1024 + PMQ_NAME_MAX];
    size_t page;

    if (head == 3)
        head = 2 + draw_rates(t, p, 1);
    page = rows > head + foot ? rows - head - foot : 0;
    keep_selection(table, v, n, page);
    for (size_t i = 0; i < n; i++) {
        name_text(text, sizeof(text), v[i]);
        longest_name = MAX(longest_name, (unsigned int)esc_columns(text, strlen(text)));
        depth_text(text, sizeof(text), v[i]);
        longest_depth = MAX(longest_depth, (unsigned int)strlen(text));
    }
    layout = make_layout(term_screen_cols(p), longest_name, longest_depth);
    if (head)
        draw_title(t, table, p, v, n, page);
    if (head)
        draw_headings(t, &layout, term, head - 1);
    for (size_t i = table->first; i < n && i - table->first < page; i++)
        draw_queue(t, &layout, term, head + (unsigned int)(i - table->first), v[i],
                   i == table->selected);
    if (!n && page)
        draw_none(t, p, head, page);
    if (foot)
        draw_foot(t, table, p);
    return page;
}

const struct pmq_watched *top_selected(struct top *t, const struct top_table *table)
{
    const struct pmq_watched **v;
    size_t n = pmq_watch_select(t->watch, t->by, t->reverse, t->filter, &v);

    return table->selected < n ? v[table->selected] : NULL;
}
