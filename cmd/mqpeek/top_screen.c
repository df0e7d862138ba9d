/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The full screen: handles the keys, and reads and draws when it is time. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "escape.h"
#include "timefmt.h"
#include "top.h"

struct screen {
    struct top *top;
    struct term *term;
    struct top_table table;
    struct top_detail *detail; /* NULL: the table is shown */
    bool help;
    bool leave;
    size_t page; /* number of queues that fit on the screen */
    char filter_before[TOP_FILTER_MAX];
};

static const char *const help_lines[] = {
    "up down, k j        choose a queue (PgUp, PgDn, Home, End too)",
    "Enter               open it: holders, blocked threads, messages",
    "Esc, Backspace, q   back to the table",
    "",
    "s, S                sort by the next, the previous column",
    "r                   the other way round",
    "/                   filter by a part of the name; Esc clears it",
    "space, p            pause: read nothing, change nothing",
    "+, -                longer or shorter between two pictures",
    "q, Ctrl-C           leave",
    "",
    "IN/S and OUT/S are exact where messages are counted in the kernel;",
    "12+ is a guess from the depth: at least so many.",
    "SND and RCV are threads blocked in mq_send() and mq_receive(),",
    "WAIT is for how long the first of them has been.",
};

static void draw_help(struct screen *s)
{
    struct term_screen *p = term_get_screen(s->term);
    unsigned int rows = term_screen_rows(p);

    term_screen_put(p, 0, 0, TERM_REVERSE, "mqpeek top: keys", term_screen_cols(p));
    for (unsigned int i = 0; i < ARRAY_SIZE(help_lines) && i + 2 < rows; i++)
        term_screen_put(p, i + 1, 1, TERM_PLAIN, help_lines[i], 0);
    term_screen_put(p, rows - 1, 0, TERM_DIM, "any key: back", 0);
}

static int draw(struct screen *s)
{
    term_screen_clear(term_get_screen(s->term));
    if (s->help)
        draw_help(s);
    else if (s->detail)
        top_detail_draw(s->detail, s->term, s->table.paused);
    else
        s->page = top_draw_table(s->top, &s->table, s->term);
    return term_show(s->term);
}

/* ---- keys ---- */

static void close_detail(struct screen *s)
{
    top_detail_free(s->detail);
    s->detail = NULL;
}

static void filter_add(char *filter, uint32_t key)
{
    size_t n = strlen(filter);

    if (key < ' ' || key > '~' || n + 1 >= TOP_FILTER_MAX)
        return;
    filter[n] = (char)key;
    filter[n + 1] = '\0';
}

static void filter_key(struct screen *s, uint32_t key)
{
    char *filter = s->top->filter;

    switch (key) {
    case TERM_KEY_ENTER:
        s->table.typing = false;
        break;
    case TERM_KEY_ESC:
        memcpy(filter, s->filter_before, TOP_FILTER_MAX);
        s->table.typing = false;
        break;
    case TERM_KEY_BACKSPACE:
        if (*filter)
            filter[strlen(filter) - 1] = '\0';
        break;
    case 'U' & 0x1f:
        filter[0] = '\0';
        break;
    default:
        filter_add(filter, key);
    }
}

static void detail_key(struct screen *s, uint32_t key)
{
    long page = (long)term_screen_rows(term_get_screen(s->term)) - 2;

    switch (key) {
    case 'q':
    case TERM_KEY_ESC:
    case TERM_KEY_BACKSPACE:
    case TERM_KEY_LEFT:
        close_detail(s);
        break;
    case TERM_KEY_UP:
    case 'k':
        top_detail_scroll(s->detail, -1);
        break;
    case TERM_KEY_DOWN:
    case 'j':
        top_detail_scroll(s->detail, 1);
        break;
    case TERM_KEY_PAGE_UP:
        top_detail_scroll(s->detail, -page);
        break;
    case TERM_KEY_PAGE_DOWN:
        top_detail_scroll(s->detail, page);
        break;
    case TERM_KEY_HOME:
        top_detail_scroll(s->detail, -(1L << 30));
        break;
    case TERM_KEY_END:
        top_detail_scroll(s->detail, 1L << 30);
        break;
    default:
        break;
    }
}

/* Moves the selection to a row, and so to the queue in it. */
static void select_place(struct screen *s, size_t place)
{
    const struct pmq_watched **v;
    size_t n = pmq_watch_select(s->top->watch, s->top->by, s->top->reverse, s->top->filter, &v);

    if (!n)
        return;
    s->table.selected = MIN(place, n - 1);
    s->table.selected_dev = v[s->table.selected]->attr.dev;
    s->table.selected_ino = v[s->table.selected]->attr.ino;
}

static bool move_key(struct screen *s, uint32_t key)
{
    size_t at = s->table.selected, page = MAX(s->page, (size_t)1);

    switch (key) {
    case TERM_KEY_UP:
    case 'k':
        select_place(s, at ? at - 1 : 0);
        return true;
    case TERM_KEY_DOWN:
    case 'j':
        select_place(s, at + 1);
        return true;
    case TERM_KEY_PAGE_UP:
        select_place(s, at > page ? at - page : 0);
        return true;
    case TERM_KEY_PAGE_DOWN:
        select_place(s, at + page);
        return true;
    case TERM_KEY_HOME:
        select_place(s, 0);
        return true;
    case TERM_KEY_END:
        select_place(s, SIZE_MAX);
        return true;
    default:
        return false;
    }
}

static int open_selected(struct screen *s)
{
    const struct pmq_watched *q = top_selected(s->top, &s->table);

    return q ? top_detail_new(s->top, q, &s->detail) : 0;
}

static int table_key(struct screen *s, uint32_t key)
{
    struct top *t = s->top;

    if (move_key(s, key))
        return 0;
    switch (key) {
    case 'q':
        s->leave = true;
        break;
    case TERM_KEY_ENTER:
        return open_selected(s);
    case 's':
        t->by = (t->by + 1) % PMQ_WATCH_N_KEYS;
        break;
    case 'S':
        t->by = (t->by + PMQ_WATCH_N_KEYS - 1) % PMQ_WATCH_N_KEYS;
        break;
    case 'r':
        t->reverse = !t->reverse;
        break;
    case '/':
        memcpy(s->filter_before, t->filter, sizeof(t->filter));
        s->table.typing = true;
        break;
    case TERM_KEY_ESC:
        t->filter[0] = '\0';
        break;
    case '+':
        t->delay = MIN(t->delay * 2, 3600 * NSEC_PER_SEC);
        break;
    case '-':
        t->delay = MAX(t->delay / 2, NSEC_PER_SEC / 10);
        break;
    default:
        break;
    }
    return 0;
}

static int handle_key(struct screen *s, uint32_t key)
{
    if (key == TERM_KEY_NONE || key == TERM_KEY_REDRAW)
        return 0;
    if (s->help) {
        s->help = false;
        return 0;
    }
    if (s->table.typing) {
        filter_key(s, key);
        return 0;
    }
    if (key == '?' || key == 'h' || key == TERM_KEY_F1) {
        s->help = true;
        return 0;
    }
    if (key == ' ' || key == 'p') {
        s->table.paused = !s->table.paused;
        return 0;
    }
    if (s->detail) {
        detail_key(s, key);
        return 0;
    }
    return table_key(s, key);
}

/* ---- time ---- */

/* Reads what is due. Return: 1 when there is new data to show. */
static int read_due(struct screen *s, uint64_t now, uint64_t *refresh, uint64_t *look,
                    struct err *e)
{
    int r;

    if (s->table.paused)
        return 0;
    if (now < *refresh) {
        if (now < *look)
            return 0;
        return pmq_watch_look(s->top->watch, now, look, e);
    }
    /* After a delay, e.g. when the program was stopped, missed refreshes are not made up for. */
    *refresh = now - *refresh < s->top->delay ? *refresh + s->top->delay : now + s->top->delay;
    r = pmq_watch_interval(s->top->watch, now, e);
    if (r == 0)
        r = pmq_watch_look(s->top->watch, now, look, e);
    if (r == 0 && s->detail)
        top_detail_refresh(s->detail);
    return r < 0 ? r : 1;
}

static int screen_loop(struct screen *s, struct err *e)
{
    uint64_t now = timefmt_now(CLOCK_MONOTONIC);
    uint64_t refresh = now + s->top->delay, look = now;
    uint64_t delay = s->top->delay;
    bool dirty = true;

    while (!s->leave && !cli_interrupted()) {
        uint32_t key = TERM_KEY_NONE;
        uint64_t wake;
        int r;

        now = timefmt_now(CLOCK_MONOTONIC);
        if (delay != s->top->delay)
            refresh = now + s->top->delay;
        delay = s->top->delay;
        r = read_due(s, now, &refresh, &look, e);
        if (r < 0)
            return r;
        if (r > 0 || dirty)
            if ((r = draw(s)) < 0)
                return r;
        wake = s->table.paused ? now + NSEC_PER_SEC : MIN(refresh, look);
        now = timefmt_now(CLOCK_MONOTONIC);
        r = term_wait_key(s->term, wake > now ? wake - now : 0, &key);
        if (r < 0)
            return r;
        dirty = key != TERM_KEY_NONE;
        r = handle_key(s, key);
        if (r < 0)
            return r;
    }
    return 0;
}

int top_screen(struct top *t, struct term *term, struct err *e)
{
    struct screen s = {.top = t, .term = term};
    int r = screen_loop(&s, e);

    close_detail(&s);
    return r;
}
