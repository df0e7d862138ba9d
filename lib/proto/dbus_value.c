/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Types and values of D-Bus. One function checks and writes: to check alone it writes nowhere. The
 * recursion ends at PROTO_DBUS_DEPTH containers, whatever the bytes say.
 */
#include "dbus_value.h"
#include "array.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "escape.h"

enum { SIGNATURE_MAX = 255, ARRAY_MAX = 1 << 26 };

/* ---- types ---- */

static bool is_basic(char c)
{
    return c && strchr("ybnqiuxtdsogh", c);
}

static size_t alignment(char c)
{
    switch (c) {
    case 'y':
    case 'g':
    case 'v':
        return 1;
    case 'n':
    case 'q':
        return 2;
    case 'x':
    case 't':
    case 'd':
    case '(':
    case '{':
        return 8;
    default:
        return 4;
    }
}

/* Behind the '(': one type or more, and ')'. */
static ssize_t struct_end(const char *sig, size_t n, size_t at, unsigned int depth)
{
    ssize_t next = (ssize_t)at;

    if (at >= n || sig[at] == ')')
        return -EBADMSG;
    while (next >= 0 && (size_t)next < n && sig[next] != ')')
        next = dbus_type_end(sig, n, (size_t)next, depth);
    return next < 0 || (size_t)next >= n ? -EBADMSG : next + 1;
}

/* Behind the '{': a basic type, a type, and '}'. */
static ssize_t entry_end(const char *sig, size_t n, size_t at, unsigned int depth)
{
    ssize_t next;

    if (at >= n || !is_basic(sig[at]))
        return -EBADMSG;
    next = dbus_type_end(sig, n, at + 1, depth);
    return next < 0 || (size_t)next >= n || sig[next] != '}' ? -EBADMSG : next + 1;
}

ssize_t dbus_type_end(const char *sig, size_t n, size_t at, unsigned int depth)
{
    if (at >= n || depth > PROTO_DBUS_DEPTH)
        return -EBADMSG;
    if (is_basic(sig[at]) || sig[at] == 'v')
        return (ssize_t)at + 1;
    if (sig[at] == '(')
        return struct_end(sig, n, at + 1, depth + 1);
    if (sig[at] != 'a')
        return -EBADMSG;
    if (at + 1 < n && sig[at + 1] == '{')
        return entry_end(sig, n, at + 2, depth + 1);
    return dbus_type_end(sig, n, at + 1, depth + 1);
}

bool dbus_signature_valid(const char *sig, size_t n)
{
    ssize_t at = 0;

    while (at >= 0 && (size_t)at < n)
        at = dbus_type_end(sig, n, (size_t)at, 0);
    return at >= 0 && n <= SIGNATURE_MAX;
}

/* ---- reading ---- */

int dbus_align(struct dbus_cursor *c, size_t to)
{
    while (c->at % to) {
        if (c->at >= c->n || c->data[c->at])
            return -EBADMSG;
        c->at++;
    }
    return 0;
}

/* An unsigned number of @size bytes. */
static int number(struct dbus_cursor *c, size_t size, uint64_t *v)
{
    uint64_t got = 0;

    if (dbus_align(c, size) < 0 || size > c->n - c->at)
        return -EBADMSG;
    for (size_t i = 0; i < size; i++)
        got = got << 8 | c->data[c->at + (c->big ? i : size - 1 - i)];
    c->at += size;
    *v = got;
    return 0;
}

int dbus_u32(struct dbus_cursor *c, uint32_t *v)
{
    uint64_t got;

    if (number(c, 4, &got) < 0)
        return -EBADMSG;
    *v = (uint32_t)got;
    return 0;
}

int dbus_byte(struct dbus_cursor *c, uint8_t *v)
{
    if (c->at >= c->n)
        return -EBADMSG;
    *v = c->data[c->at++];
    return 0;
}

static bool is_path(const char *s, size_t n)
{
    if (!n || s[0] != '/')
        return false;
    for (size_t i = 1; i < n; i++) {
        char x = s[i];
        bool word = (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || (x >= '0' && x <= '9') ||
                    x == '_';

        if (!word && (x != '/' || s[i - 1] == '/'))
            return false;
    }
    return n == 1 || s[n - 1] != '/';
}

int dbus_text(struct dbus_cursor *c, char kind, struct proto_text *out)
{
    uint64_t len = 0;
    const char *s;

    if (number(c, kind == 'g' ? 1 : 4, &len) < 0 || len >= c->n - c->at)
        return -EBADMSG;
    s = (const char *)c->data + c->at;
    if (s[len] || (kind == 'g' ? !dbus_signature_valid(s, len) : !esc_is_utf8(s, len)) ||
        (kind == 'o' && !is_path(s, len)))
        return -EBADMSG;
    c->at += len + 1;
    *out = (struct proto_text){s, len};
    return 0;
}

/* ---- values ---- */

static void add_double(struct buf *out, uint64_t bits)
{
    double d;

    memcpy(&d, &bits, sizeof(d));
    if (isfinite(d))
        buf_printf(out, "%.17g", d);
    else
        buf_add_str(out, "null");
}

static void add_number(struct buf *out, char type, uint64_t v)
{
    switch (type) {
    case 'b':
        buf_add_str(out, v ? "true" : "false");
        break;
    case 'n':
        buf_printf(out, "%d", (int16_t)v);
        break;
    case 'i':
        buf_printf(out, "%" PRId32, (int32_t)v);
        break;
    case 'x':
        buf_printf(out, "%" PRId64, (int64_t)v);
        break;
    case 'd':
        add_double(out, v);
        break;
    default:
        buf_printf(out, "%" PRIu64, v);
        break;
    }
}

/* @quoted: a number is a string, as a key of an object must be. */
static int basic(struct dbus_cursor *c, char type, bool quoted, struct buf *out)
{
    struct proto_text text;
    uint64_t v;

    if (type == 's' || type == 'o' || type == 'g') {
        if (dbus_text(c, type, &text) < 0)
            return -EBADMSG;
        if (out)
            esc_json(out, text.s, text.n);
        return 0;
    }
    if (number(c, alignment(type), &v) < 0 || (type == 'b' && v > 1))
        return -EBADMSG;
    if (!out)
        return 0;
    if (quoted)
        buf_add_char(out, '"');
    add_number(out, type, v);
    if (quoted)
        buf_add_char(out, '"');
    return 0;
}

static void add_if(struct buf *out, const char *text)
{
    if (out)
        buf_add_str(out, text);
}

static int variant(struct dbus_cursor *c, unsigned int depth, struct buf *out)
{
    struct proto_text sig;

    if (dbus_text(c, 'g', &sig) < 0 || dbus_type_end(sig.s, sig.n, 0, 0) != (ssize_t)sig.n)
        return -EBADMSG;
    return dbus_value(c, sig.s, sig.n, 0, depth + 1, out) < 0 ? -EBADMSG : 0;
}

static ssize_t structure(struct dbus_cursor *c, const char *sig, size_t n, size_t at,
                         unsigned int depth, struct buf *out)
{
    const size_t first = at + 1;
    ssize_t next = (ssize_t)first;

    if (dbus_align(c, 8) < 0)
        return -EBADMSG;
    add_if(out, "[");
    while (sig[next] != ')') {
        if ((size_t)next != first)
            add_if(out, ",");
        next = dbus_value(c, sig, n, (size_t)next, depth + 1, out);
        if (next < 0)
            return next;
    }
    add_if(out, "]");
    return next + 1;
}

/* The bytes of a dictionary's keys, to see whether one comes twice. */
struct span {
    const uint8_t *at;
    size_t n;
};

static int by_bytes(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    int r = memcmp(x->at, y->at, MIN(x->n, y->n));

    return r ? r : (x->n > y->n) - (x->n < y->n);
}

static bool any_twice(struct span *v, size_t n)
{
    array_sort(v, n, sizeof(*v), by_bytes);
    for (size_t i = 1; i < n; i++)
        if (by_bytes(&v[i - 1], &v[i]) == 0)
            return true;
    return false;
}

/* Reads the entries up to @end without writing. Return: 1, 0, -EBADMSG or -ENOMEM. */
static int has_twins(struct dbus_cursor c, size_t end, const char *sig, size_t n, size_t at,
                     unsigned int depth)
{
    _cleanup_(buf_done) struct buf spans = BUF_INIT;

    while (c.at < end) {
        struct span s;

        if (dbus_align(&c, 8) < 0 || dbus_align(&c, alignment(sig[at])) < 0)
            return -EBADMSG;
        s.at = c.data + c.at;
        if (basic(&c, sig[at], false, NULL) < 0)
            return -EBADMSG;
        s.n = (size_t)(c.data + c.at - s.at);
        buf_add(&spans, &s, sizeof(s));
        if (dbus_value(&c, sig, n, at + 1, depth, NULL) < 0)
            return -EBADMSG;
    }
    if (buf_error(&spans))
        return -ENOMEM;
    return any_twice((void *)spans.data, spans.len / sizeof(struct span));
}

/* One entry; @at is the key's type. */
static int entry(struct dbus_cursor *c, const char *sig, size_t n, size_t at, unsigned int depth,
                 bool pairs, struct buf *out)
{
    if (dbus_align(c, 8) < 0)
        return -EBADMSG;
    add_if(out, pairs ? "[" : "");
    if (basic(c, sig[at], !pairs, out) < 0)
        return -EBADMSG;
    add_if(out, pairs ? "," : ":");
    if (dbus_value(c, sig, n, at + 1, depth, out) < 0)
        return -EBADMSG;
    add_if(out, pairs ? "]" : "");
    return 0;
}

static ssize_t array(struct dbus_cursor *c, const char *sig, size_t n, size_t at,
                     unsigned int depth, struct buf *out)
{
    bool entries = sig[at + 1] == '{', pairs = false;
    ssize_t behind = dbus_type_end(sig, n, at, depth);
    uint32_t len;
    size_t end, first;

    if (behind < 0 || dbus_u32(c, &len) < 0 || len > ARRAY_MAX ||
        dbus_align(c, alignment(sig[at + 1])) < 0 || len > c->n - c->at)
        return -EBADMSG;
    first = c->at;
    end = first + len;
    if (entries && out) {
        int twins = has_twins(*c, end, sig, n, at + 2, depth + 1);

        if (twins < 0)
            return -EBADMSG;
        pairs = twins;
    }
    add_if(out, entries && !pairs ? "{" : "[");
    while (c->at < end) {
        if (c->at != first)
            add_if(out, ",");
        if (entries ? entry(c, sig, n, at + 2, depth + 1, pairs, out) < 0
                    : dbus_value(c, sig, n, at + 1, depth + 1, out) < 0)
            return -EBADMSG;
    }
    add_if(out, entries && !pairs ? "}" : "]");
    return c->at == end ? behind : -EBADMSG;
}

ssize_t dbus_value(struct dbus_cursor *c, const char *sig, size_t n, size_t at, unsigned int depth,
                   struct buf *out)
{
    if (at >= n || depth > PROTO_DBUS_DEPTH)
        return -EBADMSG;
    switch (sig[at]) {
    case 'a':
        return array(c, sig, n, at, depth, out);
    case '(':
        return structure(c, sig, n, at, depth, out);
    case 'v':
        return variant(c, depth, out) < 0 ? -EBADMSG : (ssize_t)at + 1;
    default:
        return is_basic(sig[at]) && basic(c, sig[at], false, out) == 0 ? (ssize_t)at + 1 : -EBADMSG;
    }
}
