/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The document as a tree, written as it grows: what is open, where it goes, what to put between. */
#include "out.h"

#include <assert.h>
#include <ctype.h>
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
    buf_done(&l->prefixed);
    buf_done(&l->lists);
}

/* The object that a list belongs to. */
static struct level *owner(struct out *o)
{
    return &o->levels[o->depth - 2];
}

/* Whether JSON Lines are written, and no line is open: what comes is kept for a later one. */
static bool between_lines(const struct out *o)
{
    return o->opts.mode == OUT_MODE_JSONL && !o->record_open;
}

/*
 * Notes that the open object has a member of that name. A second one of the same name would make
 * an object that parsers read in different ways: it is a mistake in a verb's tables.
 */
static bool claim(struct out *o, const char *name)
{
    struct level *l = top(o);

    for (size_t i = 0; i < l->n_keys; i++)
        if (strcmp(l->keys[i], name) == 0) {
            assert(!"an object has a member twice");
            return false;
        }
    if (l->n_keys == KEYS_MAX)
        abort(); /* an object with more members than any has */
    l->keys[l->n_keys++] = name;
    return true;
}

/* The document's own bracket is written with its first member. */
static void start(struct out *o)
{
    if (o->started)
        return;
    o->started = true;
    if (o->opts.mode == OUT_MODE_JSON)
        emit(o, "{", 1);
}

/* ---- making one ---- */

int out_new(const struct out_opts *opts, struct out **ret)
{
    struct out *o = calloc(1, sizeof(*o));

    if (!o)
        return -ENOMEM;
    o->opts = *opts;
    push(o, LEVEL_DOCUMENT)->noun = "document";
    *ret = o;
    return 0;
}

void out_free(struct out *o)
{
    if (!o)
        return;
    while (o->depth)
        pop(o);
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

void out_name(struct out *o, const char *noun)
{
    o->levels[0].noun = noun;
}

/* ---- choosing columns ---- */

/* Whether a name that a user typed is that of a column: in any case, '_' and ' ' alike. */
static bool same_name(const char *column, const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = column[i] == ' ' ? '_' : column[i], d = name[i] == ' ' ? '_' : name[i];

        if (!c || tolower((unsigned char)c) != tolower((unsigned char)d))
            return false;
    }
    return column[n] == '\0';
}

static size_t find_column(const struct out_col *cols, const char *name, size_t n)
{
    size_t i = 0;

    while (cols[i].type != OUT_TYPE_END && !same_name(cols[i].key, name, n))
        i++;
    if (cols[i].type != OUT_TYPE_END)
        return i;
    for (i = 0; cols[i].type != OUT_TYPE_END; i++)
        if (cols[i].heading && same_name(cols[i].heading, name, n))
            break;
    return i;
}

const struct out_col *out_column(const struct out_col *cols, const char *name)
{
    const struct out_col *col = &cols[find_column(cols, name, strlen(name))];

    return col->type == OUT_TYPE_END ? NULL : col;
}

static void pick(struct level *l, size_t col, bool again)
{
    for (size_t i = 0; !again && i < l->n_pick; i++)
        if (l->pick[i] == col)
            return;
    if (l->n_pick < COLS_MAX)
        l->pick[l->n_pick++] = col;
}

/*
 * Picks each column that is named in "a,b"; stops at the first name that no column has. A table
 * may show a column @again, a JSON object may not.
 */
static int choose(const char *names, const struct out_col *cols, struct level *l, bool again,
                  const char **bad, size_t *bad_n)
{
    for (const char *p = names;; p++) {
        size_t n = strcspn(p, ",");
        size_t i = find_column(cols, p, n);

        if (cols[i].type == OUT_TYPE_END) {
            *bad = p;
            *bad_n = n;
            return -EINVAL;
        }
        if (l)
            pick(l, i, again);
        p += n;
        if (!*p)
            return 0;
    }
}

int out_columns_check(const char *columns, const struct out_col *cols, const char **bad, size_t *n)
{
    return choose(columns + (columns[0] == '+'), cols, NULL, false, bad, n);
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
    (void)choose(names + (names[0] == '+'), l->cols, l, table, &bad, &n);
}

/* ---- JSON ---- */

/* The name of a column's member. */
static const char *member_name(const struct out_col *col)
{
    return col->type == OUT_TYPE_BYTES ? "data_base64" : col->key;
}

static bool left_out(const struct out_col *col, const void *row)
{
    return col->flags & OUT_TEXT || (col->flags & OUT_OPTIONAL && value_unknown(col, row));
}

static void json_members(struct out *o, const struct out_col *cols, const void *row)
{
    for (size_t i = 0; cols && cols[i].type != OUT_TYPE_END; i++) {
        if (left_out(&cols[i], row) || !claim(o, member_name(&cols[i])))
            continue;
        separate(o);
        json_member(o, &cols[i], row, false);
    }
}

/* Those of an item that --output chose. */
static void json_picked_members(struct out *o, const struct level *list, const void *row)
{
    for (size_t i = 0; i < list->n_pick; i++) {
        const struct out_col *col = &list->cols[list->pick[i]];

        if (left_out(col, row) || !claim(o, member_name(col)))
            continue;
        separate(o);
        json_member(o, col, row, false);
    }
}

static void json_picked(struct out *o, const struct level *l, const void *row, bool comma)
{
    for (size_t i = 0; i < l->n_pick; i++)
        comma |= json_member(o, &l->cols[l->pick[i]], row, comma);
}

static bool is_member(const struct out_col *cols, const char *name)
{
    for (size_t i = 0; cols && cols[i].type != OUT_TYPE_END; i++)
        if (!(cols[i].flags & OUT_TEXT) && strcmp(member_name(&cols[i]), name) == 0)
            return true;
    return false;
}

/* Whether what stands inside of an object has a member of that name, too. */
static bool is_inside(const struct out *o, size_t level, const struct out_col *cols,
                      const char *name)
{
    for (size_t i = level + 1; i < o->depth; i++)
        for (size_t k = 0; k < o->levels[i].n_kept; k++)
            if (strcmp(o->levels[i].kept[k].name, name) == 0)
                return true;
    return is_member(cols, name);
}

/*
 * Puts the members of the open objects in a line, with the object's name before those that the
 * record has itself. @cols are the record's. Return: whether there was anything.
 */
static bool put_kept(struct out *o, const struct out_col *cols)
{
    bool any = false;

    for (size_t i = 0; i < o->depth; i++) {
        const struct level *l = &o->levels[i];

        for (size_t k = 0; k < l->n_kept; k++) {
            const struct kept *m = &l->kept[k];
            bool inside = is_inside(o, i, cols, m->name);

            if (any)
                emit(o, ",", 1);
            if (inside)
                emit(o, buf_str(&l->prefixed) + m->prefixed_at, m->prefixed_len);
            else
                emit(o, buf_str(&l->members) + m->at, m->len);
            any = true;
        }
    }
    return any;
}

/* Opens a line and puts in it what stands around the record. Return: whether there was anything. */
static bool record_begin(struct out *o, const struct out_col *cols)
{
    for (size_t i = 0; i < o->depth; i++)
        o->levels[i].has_records = true;
    o->record_open = true;
    o->target = &o->row;
    emit(o, "{", 1);
    return put_kept(o, cols);
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
    o->target = NULL;
}

/* Keeps members for the lines that follow. Those after the records come in a line of their own. */
static void keep(struct out *o, const struct out_col *cols, const void *row)
{
    struct level *l = top(o);

    l->owed |= l->has_records;
    for (size_t i = 0; cols && cols[i].type != OUT_TYPE_END; i++) {
        struct kept m = {.name = member_name(&cols[i])};
        char name[NAME_SIZE];
        struct out_col renamed = cols[i];

        if (left_out(&cols[i], row) || !claim(o, m.name))
            continue;
        snprintf(name, sizeof(name), "%s_%s", l->noun, cols[i].key);
        renamed.key = name;
        m.at = l->members.len;
        m.prefixed_at = l->prefixed.len;
        o->target = &l->members;
        json_member(o, &cols[i], row, false);
        o->target = &l->prefixed;
        json_member(o, &renamed, row, false);
        m.len = l->members.len - m.at;
        m.prefixed_len = l->prefixed.len - m.prefixed_at;
        l->kept[l->n_kept++] = m;
    }
    o->target = NULL;
}

/* A record's columns as null, in the line of an object that has no records. */
static void put_nulls(struct out *o, const struct out_col *cols, bool comma)
{
    struct level none = {.cols = cols, .flags = OUT_RECORDS};

    pick_columns(o, &none);
    for (size_t i = 0; i < none.n_pick; i++) {
        const struct out_col *col = &cols[none.pick[i]];

        if (col->flags & (OUT_TEXT | OUT_OPTIONAL))
            continue;
        emit_str(o, comma ? ",\"" : "\"");
        emit_str(o, member_name(col));
        emit_str(o, "\":null");
        comma = true;
    }
}

/*
 * Ends an object of JSON Lines: when its records did not carry all of it, a line has its members,
 * its other lists, and null for what a record would have.
 */
static void object_line(struct out *o)
{
    struct level *l = top(o);
    bool comma;

    if ((l->has_records && !l->owed) || (!l->n_kept && !l->lists.len))
        return;
    comma = record_begin(o, l->record_cols);
    if (l->record_cols)
        put_nulls(o, l->record_cols, comma);
    if (l->lists.len) {
        if (comma || l->record_cols)
            emit(o, ",", 1);
        emit(o, buf_str(&l->lists), l->lists.len);
    }
    record_end(o);
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
            width = MAX(width, strlen(cols[i].key));
    for (size_t i = 0; cols && cols[i].type != OUT_TYPE_END; i++) {
        size_t start = b.len;

        if (cols[i].flags & (OUT_JSON | OUT_HIDDEN))
            continue;
        buf_add_str(&b, cols[i].key);
        for (; start < b.len; start++)
            if (b.data[start] == '_')
                b.data[start] = ' ';
        buf_add_char(&b, ':');
        buf_add_repeat(&b, ' ', width - strlen(cols[i].key) + 1);
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
    if (between_lines(o))
        keep(o, cols, row);
    else
        json_members(o, cols, row);
}

static void json_list_begin(struct out *o, const char *key)
{
    struct level *l = top(o);

    if (!claim(o, key))
        return;
    if (between_lines(o)) {
        o->target = &l->lists;
        if (l->lists.len)
            emit(o, ",", 1);
    } else {
        separate(o);
    }
    json_string(o, key, strlen(key));
    emit_str(o, out_pretty(o) ? ": [" : ":[");
    if (between_lines(o))
        o->target = NULL;
}

void out_list_begin(struct out *o, const char *key, const struct out_col *cols, unsigned int flags)
{
    size_t lists_len = top(o)->lists.len;
    struct level *l;

    start(o);
    if (o->opts.mode != OUT_MODE_TABLE)
        json_list_begin(o, key);
    l = push(o, LEVEL_LIST);
    l->cols = cols;
    l->flags = flags;
    l->noun = key;
    l->text_at = lists_len;
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
    bool alone = !o->target && !between_lines(o);
    struct buf *saved = o->target;

    if (alone)
        o->target = &o->row;
    else if (between_lines(o))
        o->target = &owner(o)->lists;
    separate(o);
    emit(o, "{", 1);
    json_picked(o, l, row, false);
    emit(o, "}", 1);
    o->target = saved;
    if (!alone)
        return;
    row_write(o);
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
    if (between_lines(o) && l->flags & OUT_RECORDS) {
        json_picked(o, l, row, record_begin(o, l->cols));
        record_end(o);
        return;
    }
    json_row(o, l, row);
}

/*
 * Ends a list outside of records: one of records, or around records, has gone out in lines; any
 * other is kept for the line of its object.
 */
static void list_end_between_lines(struct out *o)
{
    struct level *l = top(o), *object = owner(o);

    if (l->flags & OUT_RECORDS) {
        object->record_cols = l->cols;
        object->owed |= !l->has_records && l->cols && !(l->flags & OUT_STREAM);
        object->has_records = true;
    }
    if (l->flags & OUT_RECORDS || l->has_records || (!l->cols && !l->filled)) {
        object->lists.len = l->text_at;
        return;
    }
    buf_add_char(&object->lists, ']');
    object->owed = true;
    out_latch(o, buf_error(&object->lists));
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
    if (between_lines(o)) {
        list_end_between_lines(o);
        pop(o);
        return;
    }
    pop(o);
    if (o->opts.mode != OUT_MODE_TABLE)
        close_bracket(o, "]", filled);
}

void out_item_begin(struct out *o, const struct out_col *cols, const void *row)
{
    struct level *list = top(o), *item;
    bool comma = false;

    if (o->opts.mode == OUT_MODE_TABLE) {
        push(o, LEVEL_ITEM);
        text_members(o, cols, row);
        return;
    }
    if (between_lines(o) && !(list->flags & OUT_RECORDS)) {
        item = push(o, LEVEL_ITEM);
        /* Its name is the list's without the s of the plural. */
        snprintf(item->item_noun, sizeof(item->item_noun), "%.*s", (int)strlen(list->noun) - 1,
                 list->noun);
        item->noun = item->item_noun;
        keep(o, cols, row);
        return;
    }
    if (between_lines(o)) {
        comma = record_begin(o, cols);
        o->record_depth = o->depth;
    } else {
        separate(o);
        emit(o, "{", 1);
    }
    item = push(o, LEVEL_ITEM);
    item->filled = comma;
    list = &o->levels[o->depth - 2];
    if (cols && cols == list->cols && list->flags & OUT_RECORDS)
        json_picked_members(o, list, row);
    else
        json_members(o, cols, row);
}

/* Ends an item outside of records: a line of its own, or a part of the list that is kept. */
static void item_end_between_lines(struct out *o)
{
    struct level *item = top(o), *list = &o->levels[o->depth - 2];
    struct buf *text = &o->levels[o->depth - 3].lists;

    if (item->has_records) {
        object_line(o);
        return;
    }
    buf_add_str(text, list->filled ? ",{" : "{");
    for (size_t i = 0; i < item->n_kept; i++) {
        if (i)
            buf_add_char(text, ',');
        buf_add(text, buf_str(&item->members) + item->kept[i].at, item->kept[i].len);
    }
    if (item->members.len && item->lists.len)
        buf_add_char(text, ',');
    buf_add(text, buf_str(&item->lists), item->lists.len);
    buf_add_char(text, '}');
    list->filled = true;
    out_latch(o, buf_error(text));
}

void out_item_end(struct out *o)
{
    bool filled = top(o)->filled;

    if (between_lines(o))
        item_end_between_lines(o);
    pop(o);
    if (o->opts.mode == OUT_MODE_TABLE || between_lines(o))
        return;
    if (o->opts.mode == OUT_MODE_JSONL && o->depth == o->record_depth)
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

        if (o->opts.mode == OUT_MODE_JSONL)
            object_line(o);
        pop(o);
        if (o->opts.mode == OUT_MODE_JSON) {
            close_bracket(o, "}", filled);
            emit(o, "\n", 1);
        }
    }
    stream_flush(o);
    return o->error;
}
