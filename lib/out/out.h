/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One description of the columns, three ways to show a row: a table for eyes, one JSON document, or
 * one JSON object a line.
 *
 * A document is a tree of members, lists and items:
 *
 *     out_fields(o, cols, row)                  members of the object that is open
 *     out_list_begin(o, "queues", cols, flags)  a named list …
 *         out_row(o, row)                       … of rows, all of the same columns,
 *         out_item_begin(o, cols, row)          … or of items, which hold members
 *             out_list_begin(…)                 and lists of their own
 *         out_item_end(o)
 *     out_list_end(o)
 *     out_finish(o)                             closes the document, flushes, tells the first error
 *
 * In JSON that is what is written, in this order, row by row: nothing grows with the number of
 * rows. As JSON Lines each row or item of the list that has OUT_RECORDS is one line; the members of
 * the objects around it are put into each line, so that a line stands alone. Where the record has a
 * member of that name itself, the outer one is called after its object: "dump_time". An object
 * without records, or with other lists beside them, gets a line of its own: its members and those
 * lists, and null for what a record would have. As a table, members are "key: value" lines and a
 * list is a table of aligned columns.
 *
 * No object has two members of one name: a column that is chosen twice comes once in JSON, and
 * assert() finds a verb whose tables disagree.
 *
 * Every string is escaped for where it goes. The first failed write latches and silences all later
 * ones; out_finish() returns it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "macros.h"

/* A value that is not known: null in JSON, "-" in a table. A NULL string means the same. */
#define OUT_UNKNOWN_U64 UINT64_MAX
#define OUT_UNKNOWN_U32 UINT32_MAX
#define OUT_UNKNOWN_I64 INT64_MIN
#define OUT_UNKNOWN_I32 INT32_MIN
#define OUT_UNKNOWN_F64 __builtin_nan("")

/**
 * struct out_bytes - a payload
 * @data: the bytes, borrowed
 * @len: how many
 * @whole: of how many they are the beginning: where that is more, a table ends them with "…". 0
 *   when they are all
 */
struct out_bytes {
    const void *data;
    size_t len;
    uint64_t whole;
};

enum out_type {
    OUT_TYPE_END,
    OUT_TYPE_STR,   /* const char *; NULL is unknown */
    OUT_TYPE_CHARS, /* char[], a string inside the row; "" is unknown */
    OUT_TYPE_U64,
    OUT_TYPE_U32,
    OUT_TYPE_I64,
    OUT_TYPE_I32,
    OUT_TYPE_F64, /* double; for rates, three decimals at most */
    OUT_TYPE_BOOL,
    OUT_TYPE_HEX64, /* uint64_t; "0x1f", in JSON a string: keys and ids may pass 2^53 */
    OUT_TYPE_MODE,  /* uint32_t, permission bits; "0640", in JSON a string */
    OUT_TYPE_TIME,  /* uint64_t, ns since 1970; RFC 3339. In a table: local time of day */
    OUT_TYPE_SPAN,  /* uint64_t, ns; "3m12s", in JSON decimal seconds */
    OUT_TYPE_SIZE,  /* uint64_t, bytes; an exact number */
    OUT_TYPE_BYTES, /* struct out_bytes; a preview, in JSON data_base64 and, when it is UTF-8, text
                     */
    OUT_TYPE_VALUE, /* const char *; one JSON value as its own text, without line breaks; NULL is
                       unknown. Only with OUT_JSON */
};

enum out_col_flags {
    OUT_HIDDEN = 1 << 0,   /* not in the table unless asked for with --output; always in JSON */
    OUT_WIDE = 1 << 1,     /* takes the room that is left, and is cut at the terminal's edge */
    OUT_JSON = 1 << 2,     /* never in the table */
    OUT_OPTIONAL = 1 << 3, /* in JSON left out instead of null when unknown */
    OUT_KNOWN = 1 << 4,    /* a number that is always known: all its values count */
    OUT_DATE = 1 << 5,     /* of a time: the day too, and whole seconds; for what may be old */
    OUT_SPARE = 1 << 6,    /* left out of a stream's table where the terminal is too narrow for all,
                              unless asked for with --output */
    OUT_WRAP = 1 << 7,     /* goes on in further lines where the terminal is too narrow */
    OUT_TEXT = 1 << 8,     /* never in JSON, which has the same in other members */
};

/**
 * struct out_col - one column
 * @key: JSON key and name for --output: lower case, words joined by '_'
 * @heading: in the table, and another name for --output; NULL for @key in capitals
 * @help: a phrase for --help and the man page
 * @type: how to read and show the field
 * @offset: of the field in the row
 * @flags: enum out_col_flags
 * @width: columns to reserve in a stream, where later rows are not known yet; 0 for the heading's
 * @exact: of an OUT_U64, where a bool lies in the row: while that is false the number is a lower
 *   bound, and a table shows it with a "+"; 0 for a number that is always exact
 */
struct out_col {
    const char *key;
    const char *heading;
    const char *help;
    enum out_type type;
    size_t offset;
    unsigned int flags;
    unsigned int width;
    size_t exact;
};

/* The offset of a field, if it has that type; else it does not compile. */
#define OUT_FIELD(T, f, ctype) \
    (offsetof(T, f) + 0 * sizeof(_Generic(&((T *)0)->f, ctype * : (char)0)))
#define OUT_COL(T, f, ctype, kind, key_, help_, ...)                                      \
    {                                                                                     \
        .key = (key_), .help = (help_), .type = (kind), .offset = OUT_FIELD(T, f, ctype), \
        __VA_ARGS__                                                                       \
    }

/* .OUT_EXACT(struct, field): its member that tells whether the number is exact */
#define OUT_EXACT(T, f) exact = OUT_FIELD(T, f, bool)

/* OUT_xxx(struct, field, "key", "help"[, .heading = …, .flags = …, .width = …]) */
#define OUT_STR(T, f, k, h, ...)   OUT_COL(T, f, const char *, OUT_TYPE_STR, k, h, __VA_ARGS__)
#define OUT_U64(T, f, k, h, ...)   OUT_COL(T, f, uint64_t, OUT_TYPE_U64, k, h, __VA_ARGS__)
#define OUT_U32(T, f, k, h, ...)   OUT_COL(T, f, uint32_t, OUT_TYPE_U32, k, h, __VA_ARGS__)
#define OUT_I64(T, f, k, h, ...)   OUT_COL(T, f, int64_t, OUT_TYPE_I64, k, h, __VA_ARGS__)
#define OUT_I32(T, f, k, h, ...)   OUT_COL(T, f, int32_t, OUT_TYPE_I32, k, h, __VA_ARGS__)
#define OUT_F64(T, f, k, h, ...)   OUT_COL(T, f, double, OUT_TYPE_F64, k, h, __VA_ARGS__)
#define OUT_BOOL(T, f, k, h, ...)  OUT_COL(T, f, bool, OUT_TYPE_BOOL, k, h, __VA_ARGS__)
#define OUT_HEX64(T, f, k, h, ...) OUT_COL(T, f, uint64_t, OUT_TYPE_HEX64, k, h, __VA_ARGS__)
#define OUT_MODE(T, f, k, h, ...)  OUT_COL(T, f, uint32_t, OUT_TYPE_MODE, k, h, __VA_ARGS__)
#define OUT_TIME(T, f, k, h, ...)  OUT_COL(T, f, uint64_t, OUT_TYPE_TIME, k, h, __VA_ARGS__)
#define OUT_SPAN(T, f, k, h, ...)  OUT_COL(T, f, uint64_t, OUT_TYPE_SPAN, k, h, __VA_ARGS__)
#define OUT_SIZE(T, f, k, h, ...)  OUT_COL(T, f, uint64_t, OUT_TYPE_SIZE, k, h, __VA_ARGS__)
#define OUT_VALUE(T, f, k, h, ...) OUT_COL(T, f, const char *, OUT_TYPE_VALUE, k, h, __VA_ARGS__)
/* Gives "data_base64" and "text" in JSON whatever its key, which serves --output. */
#define OUT_BYTES(T, f, k, h, ...) \
    OUT_COL(T, f, struct out_bytes, OUT_TYPE_BYTES, k, h, __VA_ARGS__)
/* The field is an array of char that holds a string. */
#define OUT_CHARS(T, f, k, h, ...)                                                                   \
    {                                                                                                \
        .key = (k), .help = (h), .type = OUT_TYPE_CHARS,                                           \
        .offset = offsetof(T, f) + 0 * sizeof(_Generic(&((T *)0)->f[0], char * : (char)0)),        \
        __VA_ARGS__ \
    }
#define OUT_END              \
    {                        \
        .type = OUT_TYPE_END \
    }

enum out_mode { OUT_MODE_TABLE, OUT_MODE_JSON, OUT_MODE_JSONL };

/**
 * struct out_opts - how to show
 * @mode: table, JSON document or JSON Lines
 * @stream: where to
 * @columns: --output: "a,b" chooses, "+a,b" adds to the default; NULL for the default. It applies
 *   to the list with OUT_RECORDS
 * @noheadings: no heading line, no "key: value" members around a table
 * @color: escape sequences may be used
 * @tty: @stream is a terminal: JSON gets line breaks, long cells are cut at @width
 * @width: columns of the terminal; 0 for no limit
 */
struct out_opts {
    enum out_mode mode;
    FILE *stream;
    const char *columns;
    bool noheadings;
    bool color;
    bool tty;
    unsigned int width;
};

enum out_list_flags {
    OUT_RECORDS = 1 << 0, /* what the verb is about: --output and JSON Lines apply here */
    OUT_STREAM = 1 << 1,  /* rows come over time: each is shown and flushed at once */
    OUT_BATCH = 1 << 2,   /* with OUT_STREAM: rows wait until out_flush(), which is called when no
                             more are there */
};

struct out;

/* Return: 0, -ENOMEM. @opts is copied, but for the stream and the string it points to. */
int out_new(const struct out_opts *opts, struct out **ret);
void out_free(struct out *o);
void out_freep(struct out **o);

enum out_mode out_get_mode(const struct out *o);
bool out_get_color(const struct out *o);

/* Whether headings and what stands around a table are wanted. */
bool out_get_headings(const struct out *o);

/* Names the object that the document is, in one word, e.g. "dump". @noun is borrowed. */
void out_name(struct out *o, const char *noun);

/**
 * out_columns_check() - whether --output names columns that exist, in any case
 * @columns: the option's text
 * @cols: the table
 * @bad: on failure, the first name that is in no column; @n its length
 *
 * Return: 0 or -EINVAL.
 */
int out_columns_check(const char *columns, const struct out_col *cols, const char **bad, size_t *n);

/* The column that a user calls by its key or heading, in any case; NULL for none. */
const struct out_col *out_column(const struct out_col *cols, const char *name);

void out_fields(struct out *o, const struct out_col *cols, const void *row);
void out_list_begin(struct out *o, const char *key, const struct out_col *cols, unsigned int flags);
void out_row(struct out *o, const void *row);
void out_list_end(struct out *o);
/*
 * An item's columns are given with it. @cols may be NULL for an item without members of its own.
 * Its members are shown in a table as "key: value" lines.
 */
void out_item_begin(struct out *o, const struct out_col *cols, const void *row);
void out_item_end(struct out *o);

/* A line of text in a table, nothing in JSON (which must have it as a member). No newline needed.
 */
void out_text(struct out *o, const char *fmt, ...) _printf_(2, 3);

/* The same for exactly one line: line breaks in it are escaped too. For what holds names. */
void out_line(struct out *o, const char *fmt, ...) _printf_(2, 3);

/* Bytes as they are, in every mode: for --raw, where nothing else is written. */
void out_raw(struct out *o, const void *data, size_t n);

/* A dump of bytes as hexdump -C makes it, in a table only. */
void out_hexdump(struct out *o, const void *data, size_t n);

/* Writes out what is held back, e.g. rows whose widths are being gathered. */
void out_flush(struct out *o);

/* Gives the stream what is complete; rows whose widths are being gathered stay back. */
void out_sync(struct out *o);

/* Whether the document has any content yet. */
bool out_started(const struct out *o);

/* The first error so far: 0 or -errno. -EPIPE means that the reader has gone. */
int out_error(const struct out *o);

/* Ends the document. Return: as out_error(). */
int out_finish(struct out *o);
