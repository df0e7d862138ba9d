/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of lib/out share: values, the table that is being filled, the writer. */
#pragma once

#include "buf.h"
#include "out.h"

enum {
    COLS_MAX = 64, /* columns of a list */
    KEYS_MAX = 80, /* members of an object: columns and lists */
    NAME_SIZE = 64,
    DEPTH_MAX = 8,
};

typedef const char *str_t;

enum level_kind { LEVEL_DOCUMENT, LEVEL_LIST, LEVEL_ITEM };

/**
 * struct kept - a member of an object around records, which each line repeats
 * @name: its key
 * @at, @len: `"key":value` in the object's @members
 * @prefixed_at, @prefixed_len: `"object_key":value` in its @prefixed, for records that have a
 *   member of that name themselves
 */
struct kept {
    const char *name;
    size_t at, len;
    size_t prefixed_at, prefixed_len;
};

struct level {
    enum level_kind kind;
    unsigned int flags;
    const struct out_col *cols; /* of a list's rows */
    size_t pick[COLS_MAX];
    size_t n_pick;
    bool filled;         /* something stands before the next member: a comma is needed */
    struct table *table; /* of a list, as a table */

    /* Of an object. */
    const char *noun; /* its name in one word; of a list its key */
    char item_noun[NAME_SIZE];
    const char *keys[KEYS_MAX]; /* the names that its members have */
    size_t n_keys;

    /* JSON Lines, of an object outside of records. */
    struct kept kept[KEYS_MAX];
    size_t n_kept;
    struct buf members, prefixed;
    struct buf lists; /* `"key":[…],…`: lists that hold no records */
    size_t text_at;   /* of a list: where it begins in the object's @lists */
    const struct out_col *record_cols;
    bool has_records; /* lines were written of it, or of what it contains */
    bool owed;        /* something of it is in no line yet */
};

struct out {
    struct out_opts opts;
    int error;
    struct level levels[DEPTH_MAX];
    size_t depth;        /* levels in use; the document is the first */
    struct buf *target;  /* where emit() writes; NULL for the stream */
    struct buf row;      /* a row in JSON, for the stream; a large one goes there in parts */
    bool record_open;    /* JSON Lines: inside a record */
    size_t record_depth; /* of the list that an item which is a record belongs to */
    bool started;
};

/* Whether the value is not known (see OUT_UNKNOWN_…). */
bool value_unknown(const struct out_col *col, const void *row);

/* Whether the column is aligned to the right. */
bool value_right(const struct out_col *col);

/*
 * The value as a table shows it, escaped. At most @max columns of a payload are looked at; longer
 * ones end in "…".
 */
void value_text(struct buf *b, const struct out_col *col, const void *row, size_t max);

/* As emit(), for what does not fit there. */
void emit_more(struct out *o, const void *data, size_t n);

/* Writes bytes to where the document goes at the moment; errors latch in @o. */
static inline void emit(struct out *o, const void *data, size_t n)
{
    struct buf *b = o->target;

    if (b && n < b->cap - b->len)
        buf_add(b, data, n);
    else
        emit_more(o, data, n);
}

static inline void emit_str(struct out *o, const char *s)
{
    emit(o, s, strlen(s));
}

/* Whether JSON is for eyes: on a terminal, as one document. */
bool out_pretty(const struct out *o);

/* Keeps the first error. */
void out_latch(struct out *o, int r);

/* `"key":value` of one column, with a comma before it when @comma; false when it was left out. */
bool json_member(struct out *o, const struct out_col *col, const void *row, bool comma);
void json_string(struct out *o, const void *data, size_t n);

/* The rows of one list, shown as a table. */
struct table;

/**
 * table_new() - begin a table
 * @cols: of the list
 * @pick: indices into @cols, in the order to show them
 * @n: how many
 * @opts: terminal, headings, colour
 * @flags: enum out_list_flags
 */
struct table *table_new(const struct out_col *cols, const size_t *pick, size_t n,
                        const struct out_opts *opts, unsigned int flags);
void table_free(struct table *t);

/* Adds a row; what can be shown already is appended to @text. Return: 0 or -ENOMEM. */
int table_row(struct table *t, const void *row, struct buf *text);

/* Appends the rows that were held back to gather widths. A table without rows shows nothing. */
int table_flush(struct table *t, struct buf *text);
