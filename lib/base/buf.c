/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A growing array of bytes. */
#include "buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf)BUF_INIT;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

char *buf_extend(struct buf *b, size_t n)
{
    char *at;

    if (b->error)
        return NULL;
    if (n > SIZE_MAX / 2 - b->len) {
        b->error = -ENOMEM;
        return NULL;
    }
    if (b->len + n + 1 > b->cap) {
        size_t cap = MAX(b->cap + b->cap / 2, (size_t)64);
        char *data;

        cap = MAX(cap, b->len + n + 1);
        data = realloc(b->data, cap);

        if (!data) {
            b->error = -ENOMEM;
            return NULL;
        }
        b->data = data;
        b->cap = cap;
    }
    at = b->data + b->len;
    b->len += n;
    b->data[b->len] = '\0';
    return at;
}

void buf_add_more(struct buf *b, const void *data, size_t n)
{
    char *at = buf_extend(b, n);

    if (at && n)
        memcpy(at, data, n);
}

void buf_add_repeat(struct buf *b, char c, size_t n)
{
    char *at = buf_extend(b, n);

    if (at)
        memset(at, c, n);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;
    char *at;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->error = -ENOMEM;
        return;
    }
    at = buf_extend(b, (size_t)n);
    if (!at)
        return;
    va_start(ap, fmt);
    vsnprintf(at, (size_t)n + 1, fmt, ap);
    va_end(ap);
}

const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_steal(struct buf *b)
{
    char *data;

    if (!b->error && !b->data)
        buf_extend(b, 0);
    if (b->error) {
        buf_done(b);
        return NULL;
    }
    data = b->data;
    *b = (struct buf)BUF_INIT;
    return data;
}

int buf_error(const struct buf *b)
{
    return b->error;
}

void buf_inherit_error(struct buf *b, const struct buf *from)
{
    if (!b->error)
        b->error = from->error;
}
