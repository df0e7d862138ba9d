/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The document as a tree, written as it grows: what is open, where it goes, what to put between. */
#include "out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "escape.h"
#include "out_internal.h"

enum { ROW_MAX = 64 << 10 }; /* bytes of a row that are gathered before the stream gets them */

/* ---- writing ---- */

void out_latch(struct out *o, int r)
{
    if (!o->error && r < 0)
        o->error = r;
}

static void write_stream(struct out *o, const void *data, size_t n)
{
    if (o->error || !n)
        return;
    /* Rows come by the million, from one thread: no lock for each piece of one. */
    if (fwrite_unlocked(data, 1, n, o->opts.stream) != n)
        out_latch(o, errno ? -errno : -EIO);
}

static void row_write(struct out *o)
{
    out_latch(o, buf_error(&o->row));
    write_stream(o, buf_str(&o->row), o->row.len);
    buf_clear(&o->row);
}

void emit_more(struct out *o, const void *data, size_t n)
{
    if (o->target == &o->row && o->row.len + n > ROW_MAX)
        row_write(o);
    if (!o->target || (o->target == &o->row && n > ROW_MAX)) {
        write_stream(o, data, n);
        return;
    }
    buf_add(o->target, data, n);
    out_latch(o, buf_error(o->target));
}

bool out_pretty(const struct out *o)
{
    return o->opts.tty && o->opts.mode == OUT_MODE_JSON;
}

static struct level *top(struct out *o)
{
    return &o->levels[o->depth - 1];
}

/* Before a member or a row: the comma, and on a terminal a line of its own. */
static void separate(struct out *o)
{
    struct level *l = top(o);

    if (l->filled)
        emit(o, ",", 1);
    l->filled = true;
    if (out_pretty(o)) {
        emit(o, "\n", 1);
        for (size_t i = 0; i < o->depth; i++)
            emit(o, "  ", 2);
    }
}

static void close_bracket(struct out *o, const char *bracket, bool filled)
{
    if (filled && out_pretty(o)) {
        emit(o, "\n", 1);
        for (size_t i = 0; i < o->depth; i++)
            emit(o, "  ", 2);
    }
    emit_str(o, bracket);
}

static struct level *push(struct out *o, enum level_kind kind)
{
    struct level *l;

    if (o->depth == DEPTH_MAX)
        abort(); /* a verb that nests deeper than any does */
    l = &o->levels[o->depth++];
    *l = (struct level){.kind = kind};
    return l;
}

static void pop(struct out *o)
{
    struct level *l = &o->levels[--o->depth];

    table_free(l->table);
    buf_done(&l->members);
}

/* The document's own bracket is written with its first member. */
static void start(struct out *o)
{
    if (o->started)
        return;
    o->started = true;
    if (o->opts.mode != OUT_MODE_TABLE)
        emit(o, "{", 1);
}

/* ---- making one ---- */

int out_new(const struct out_opts *opts, struct out **ret)
{
    struct out *o = calloc(1, sizeof(*o));

    if (!o)
        return -ENOMEM;
    o->opts = *opts;
    push(o, LEVEL_DOCUMENT);
    if (opts->mode == OUT_MODE_JSONL)
        o->target = &o->doc;
    *ret = o;
    return 0;
}

void out_free(struct out *o)
{
    if (!o)
        return;
    while (o->depth)
        pop(o);
    buf_done(&o->doc);
    buf_done(&o->row);
    free(o);
}

void out_freep(struct out **o)
{
    out_free(*o);
}

enum out_mode out_get_mode(const struct out *o)
{
    return o->opts.mode;
}

bool out_get_color(const struct out *o)
{
    return o->opts.color;
}

bool out_get_headings(const struct out *o)
{
    return !o->opts.noheadings;
}

/* ---- choosing columns ---- */

static size_t find_column(const struct out_col *cols, const char *name, size_t n)
{
    size_t i = 0;

    while (cols[i].type != OUT_TYPE_END &&
           (strlen(cols[i].key) != n || strncmp(cols[i].key, name, n) != 0))
        i++;
    return i;
}

/* Calls for each name in "a,b"; stops at the first that is no column. */
static int choose(const char *names, const struct out_col *cols, struct level *l, const char **bad,
                  size_t *bad_n)
{
    for (const char *p = names;; p++) {
        size_t n = strcspn(p, ",");
        size_t i = find_column(cols, p, n);

        if (cols[i].type == OUT_TYPE_END) {
            *bad = p;
            *bad_n = n;
            return -EINVAL;
        }
        if (l && l->n_pick < COLS_MAX)
            l->pick[l->n_pick++] = i;
        p += n;
        if (!*p)
            return 0;
    }
}

int out_columns_check(const char *columns, const struct out_col *cols, const char **bad, size_t *n)
{
    return choose(columns + (columns[0] == '+'), cols, NULL, bad, n);
}

static void pick_columns(const struct out *o, struct level *l)
{
    const char *names = l->flags & OUT_RECORDS ? o->opts.columns : NULL;
    bool table = o->opts.mode == OUT_MODE_TABLE;
    const char *bad;
    size_t n;

    if (!names || names[0] == '+')
        for (size_t i = 0; l->cols[i].type != OUT_TYPE_END && l->n_pick < COLS_MAX; i++)
            if (!table || !(l->cols[i].flags & (OUT_HIDDEN | OUT_JSON)))
                l->pick[l->n_pick++] = i;
    if (!names || (names[0] == '+' && !table))
        return;
    (void)choose(names + (names[0] == '+'), l->cols, l, &bad, &n);
}

/* ---- JSON ---- */

static void json_members(struct out *o, const struct out_col *cols, const void *row)
{
    for (size_t i = 0; cols && cols[i].type != OUT_TYPE_END; i++) {
        if (cols[i].flags & OUT_TEXT ||
            (value_unknown(&cols[i], row) && cols[i].flags & OUT_OPTIONAL))
            continue;
        separate(o);
        json_member(o, &cols[i], row, false);
    }
}

static void json_picked(struct out *o, const struct level *l, const void *row, bool comma)
{
    for (size_t i = 0; i < l->n_pick; i++)
        comma |= json_member(o, &l->cols[l->pick[i]], row, comma);
}

/* Opens a line and puts in it what stands around the record. Return: whether there was anything. */
static bool record_begin(struct out *o)
{
    bool any = false;

    o->record_open = true;
    o->target = &o->row;
    emit(o, "{", 1);
    for (size_t i = 0; i < o->depth; i++) {
        if (!o->levels[i].members.len)
            continue;
        if (any)
            emit(o, ",", 1);
        emit(o, o->levels[i].members.data, o->levels[i].members.len);
        any = true;
    }
    return any;
}

static void stream_flush(struct out *o)
{
    if (!o->error && fflush(o->opts.stream) != 0)
        out_latch(o, -errno);
}

/* Whether a row must not wait for the next. */
static bool flush_each(const struct level *l)
{
    return (l->flags & (OUT_STREAM | OUT_BATCH)) == OUT_STREAM;
}

static void record_end(struct out *o)
{
    emit(o, "}\n", 2);
    row_write(o);
    if (flush_each(top(o)))
        stream_flush(o);
    o->record_open = false;
    o->target = &o->doc;
}

/* Members outside of records, kept for the records that follow. */
static void remember(struct out *o, const struct out_col *cols, const void *row)
{
    struct level *l = top(o);
    struct buf *saved = o->target;

    if (o->opts.mode != OUT_MODE_JSONL || o->record_open)
        return;
    o->target = &l->members;
    for (size_t i = 0; cols && cols[i].type != OUT_TYPE_END; i++)
        json_member(o, &cols[i], row, l->members.len > 0);
    o->target = saved;
}

/* ---- tables ---- */

static void write_text(struct out *o, struct buf *b)
{
    out_latch(o, buf_error(b));
    write_stream(o, buf_str(b), b->len);
}

static void text_members(struct out *o, const struct out_col *cols, const void *row)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    size_t width = 0;

    if (o->opts.noheadings)
        return;
    for (size_t i = 0; cols && cols[i].type != OUT_TYPE_END; i++)
        if (!(cols[i].flags & (OUT_JSON | OUT_HIDDEN)))
            width = MAX(width, strlen(cols[i].heading ? cols[i].heading : cols[i].key));
    for (size_t i = 0; cols && cols[i].type != OUT_TYPE_END; i++) {
        const char *name = cols[i].heading ? cols[i].heading : cols[i].key;
        size_t start = b.len;

        if (cols[i].flags & (OUT_JSON | OUT_HIDDEN))
            continue;
        buf_add_str(&b, name);
        for (; !cols[i].heading && start < b.len; start++)
            if (b.data[start] == '_')
                b.data[start] = ' ';
        buf_add_char(&b, ':');
        buf_add_repeat(&b, ' ', width - strlen(name) + 1);
        value_text(&b, &cols[i], row, 4096);
        buf_add_char(&b, '\n');
    }
    write_text(o, &b);
}

/* ---- the tree ---- */

void out_fields(struct out *o, const struct out_col *cols, const void *row)
{
    if (o->error)
        return;
    start(o);
    if (o->opts.mode == OUT_MODE_TABLE) {
        text_members(o, cols, row);
        return;
    }
    remember(o, cols, row);
    json_members(o, cols, row);
}

void out_list_begin(struct out *o, const char *key, const struct out_col *cols, unsigned int flags)
{
    struct level *l;

    start(o);
    o->had_records |= (flags & OUT_RECORDS) != 0;
    if (o->opts.mode != OUT_MODE_TABLE) {
        separate(o);
        json_string(o, key, strlen(key));
        emit_str(o, out_pretty(o) ? ": [" : ":[");
    }
    l = push(o, LEVEL_LIST);
    l->cols = cols;
    l->flags = flags;
    if (!cols)
        return;
    pick_columns(o, l);
    if (o->opts.mode == OUT_MODE_TABLE) {
        l->table = table_new(cols, l->pick, l->n_pick, &o->opts, flags);
        if (!l->table)
            out_latch(o, -ENOMEM);
    }
}

/* A row of a list inside a document, or inside a record. */
static void json_row(struct out *o, const struct level *l, const void *row)
{
    bool alone = !o->target;

    if (alone)
        o->target = &o->row;
    separate(o);
    emit(o, "{", 1);
    json_picked(o, l, row, false);
    emit(o, "}", 1);
    if (!alone)
        return;
    row_write(o);
    o->target = NULL;
    if (flush_each(l))
        stream_flush(o);
}

void out_row(struct out *o, const void *row)
{
    struct level *l = top(o);

    if (o->error)
        return;
    if (o->opts.mode == OUT_MODE_TABLE) {
        _cleanup_(buf_done) struct buf b = BUF_INIT;

        out_latch(o, table_row(l->table, row, &b));
        write_text(o, &b);
        if (flush_each(l))
            stream_flush(o);
        return;
    }
    if (o->opts.mode == OUT_MODE_JSONL && l->flags & OUT_RECORDS && !o->record_open) {
        json_picked(o, l, row, record_begin(o));
        record_end(o);
        return;
    }
    json_row(o, l, row);
}

void out_list_end(struct out *o)
{
    struct level *l = top(o);
    bool filled = l->filled;

    if (l->table) {
        _cleanup_(buf_done) struct buf b = BUF_INIT;

        out_latch(o, table_flush(l->table, &b));
        write_text(o, &b);
    }
    pop(o);
    if (o->opts.mode != OUT_MODE_TABLE)
        close_bracket(o, "]", filled);
}

void out_item_begin(struct out *o, const struct out_col *cols, const void *row)
{
    struct level *list = top(o);
    bool record = o->opts.mode == OUT_MODE_JSONL && list->flags & OUT_RECORDS && !o->record_open;
    bool comma = false;

    if (o->opts.mode == OUT_MODE_TABLE) {
        push(o, LEVEL_ITEM);
        text_members(o, cols, row);
        return;
    }
    if (record) {
        comma = record_begin(o);
    } else {
        separate(o);
        emit(o, "{", 1);
    }
    push(o, LEVEL_ITEM)->filled = comma;
    remember(o, cols, row);
    json_members(o, cols, row);
}

void out_item_end(struct out *o)
{
    bool filled = top(o)->filled;

    pop(o);
    if (o->opts.mode == OUT_MODE_TABLE)
        return;
    if (o->opts.mode == OUT_MODE_JSONL && top(o)->flags & OUT_RECORDS)
        record_end(o);
    else
        close_bracket(o, "}", filled);
}

/* ---- beside the tree ---- */

/* Line breaks are the caller's when @split; everything else may have come from anywhere. */
static void write_lines(struct out *o, const char *fmt, va_list ap, bool split) _printf_(2, 0);
static void write_lines(struct out *o, const char *fmt, va_list ap, bool split)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    _cleanup_(freep) char *line = NULL;

    if (o->opts.mode != OUT_MODE_TABLE)
        return;
    start(o);
    out_flush(o);
    if (vasprintf(&line, fmt, ap) < 0) {
        line = NULL;
        out_latch(o, -ENOMEM);
        return;
    }
    for (char *p = line, *next; p; p = next) {
        next = split ? strchr(p, '\n') : NULL;
        if (next)
            *next++ = '\0';
        esc_terminal_str(&b, p);
        buf_add_char(&b, '\n');
    }
    write_text(o, &b);
}

void out_text(struct out *o, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    write_lines(o, fmt, ap, true);
    va_end(ap);
}

void out_line(struct out *o, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    write_lines(o, fmt, ap, false);
    va_end(ap);
}

void out_raw(struct out *o, const void *data, size_t n)
{
    o->started = true;
    write_stream(o, data, n);
}

void out_hexdump(struct out *o, const void *data, size_t n)
{
    const unsigned char *p = data;
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    bool squeezed = false;

    if (o->opts.mode != OUT_MODE_TABLE)
        return;
    start(o);
    out_flush(o);
    for (size_t at = 0; at < n; at += 16) {
        size_t k = MIN(n - at, (size_t)16);
        bool again = at && k == 16 && !memcmp(p + at, p + at - 16, 16);

        if (again && !squeezed)
            write_stream(o, "*\n", 2);
        squeezed = again;
        if (again)
            continue;
        buf_clear(&b);
        buf_printf(&b, "%08zx ", at);
        for (size_t i = 0; i < 16; i++) {
            buf_add_str(&b, i == 8 ? " " : "");
            if (i < k)
                buf_printf(&b, " %02x", p[at + i]);
            else
                buf_add_str(&b, "   ");
        }
        buf_add_str(&b, "  |");
        for (size_t i = 0; i < k; i++)
            buf_add_char(&b, p[at + i] >= 0x20 && p[at + i] < 0x7f ? (char)p[at + i] : '.');
        buf_add_str(&b, "|\n");
        write_text(o, &b);
    }
    if (!n)
        return;
    buf_clear(&b);
    buf_printf(&b, "%08zx\n", n);
    write_text(o, &b);
}

void out_flush(struct out *o)
{
    for (size_t i = 0; i < o->depth; i++) {
        _cleanup_(buf_done) struct buf b = BUF_INIT;

        if (!o->levels[i].table)
            continue;
        out_latch(o, table_flush(o->levels[i].table, &b));
        write_text(o, &b);
    }
    stream_flush(o);
}

void out_sync(struct out *o)
{
    stream_flush(o);
}

int out_error(const struct out *o)
{
    return o->error;
}

bool out_started(const struct out *o)
{
    return o->started;
}

int out_finish(struct out *o)
{
    start(o);
    while (o->depth > 1) {
        if (top(o)->kind == LEVEL_LIST)
            out_list_end(o);
        else
            out_item_end(o);
    }
    if (o->depth == 1) {
        bool filled = top(o)->filled;

        pop(o);
        if (o->opts.mode != OUT_MODE_TABLE) {
            close_bracket(o, "}", filled);
            emit(o, "\n", 1);
        }
        /* Without records the document as a whole is the one line. */
        if (o->opts.mode == OUT_MODE_JSONL && !o->had_records && filled)
            write_stream(o, buf_str(&o->doc), o->doc.len);
    }
    stream_flush(o);
    return o->error;
}
