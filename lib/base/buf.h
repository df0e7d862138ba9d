/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A growing array of bytes. After the first failed allocation all further calls do nothing, so the
 * caller needs to check only once, at the end, with buf_error().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "macros.h"

/**
 * struct buf - bytes that grow
 * @data: the bytes, followed by a NUL that @len does not count; NULL if nothing was written yet
 * @len: bytes in use
 * @cap: bytes allocated
 * @error: 0, or -ENOMEM once an allocation has failed
 *
 * An all-zero structure is an empty buffer. Release with buf_done() (or _cleanup_(buf_done)).
 */
struct buf {
    char *data;
    size_t len;
    size_t cap;
    int error;
};

#define BUF_INIT \
    {            \
        0        \
    }

void buf_done(struct buf *b);

/* Empties the buffer, but keeps its memory and the error. */
void buf_clear(struct buf *b);

/**
 * buf_extend() - make room for more
 * @b: the buffer
 * @n: bytes that will be written
 *
 * Return: where to write @n bytes, which count as content already (undefined until written), or
 * NULL when memory is out.
 */
char *buf_extend(struct buf *b, size_t n);

/* The slow path of buf_add(): allocates more room. */
void buf_add_more(struct buf *b, const void *data, size_t n);

static inline void buf_add(struct buf *b, const void *data, size_t n)
{
    if (!n || n >= b->cap - b->len || b->error) {
        buf_add_more(b, data, n);
        return;
    }
    memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
}

static inline void buf_add_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

static inline void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_add_repeat(struct buf *b, char c, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) _printf_(2, 3);

/* The content as a string; "" when empty. */
const char *buf_str(const struct buf *b);

/* The content as a string that the caller frees, or NULL when memory ran out; @b is empty then. */
char *buf_steal(struct buf *b);

/* 0, or -ENOMEM when anything is missing. */
int buf_error(const struct buf *b);
/* Takes over the error of @from, for content that was made from it. */
void buf_inherit_error(struct buf *b, const struct buf *from);
