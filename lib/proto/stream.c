/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From pieces of a stream to whole messages. Where no message begins, one byte after the other is
 * passed over until one does; what begins like a message and is not whole waits for more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "proto.h"

/* What may wait for the rest of it while it is not known that it is a message at all. */
enum { UNPROVEN_MAX = 1 << 20, LINE_MAX_SASL = 16384 };

const char *proto_kind_name(enum proto_kind kind)
{
    static const char *const names[] = {
        [PROTO_NONE] = NULL,
        [PROTO_DBUS] = "dbus",
        [PROTO_VARLINK] = "varlink",
    };

    return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : NULL;
}

void proto_stream_done(struct proto_stream *s)
{
    buf_done(&s->pending);
    *s = (struct proto_stream){.want = s->want};
}

void proto_stream_gap(struct proto_stream *s, uint64_t n)
{
    s->skipped += s->pending.len + n;
    buf_clear(&s->pending);
}

size_t proto_stream_pending(const struct proto_stream *s)
{
    return s->pending.len;
}

/* A step's result: bytes that are done with, or what they cannot be yet. */
enum { WAIT = 0, NOTHING = -1 };

struct feeding {
    struct proto_stream *s;
    proto_message_fn visit;
    void *ctx;
    int result;
};

static void deliver(struct feeding *f, struct proto_message *m)
{
    int r;

    m->skipped = f->s->skipped;
    f->s->skipped = 0;
    f->s->kind = m->kind;
    r = f->visit(m, f->ctx);
    if (r && !f->result)
        f->result = r;
}

static ssize_t try_dbus(struct feeding *f, const char *p, size_t n)
{
    struct proto_dbus dbus;
    struct proto_message m = {.kind = PROTO_DBUS, .dbus = &dbus, .data = p};
    ssize_t size = proto_dbus_size(p, n);

    if (size < 0)
        return NOTHING;
    if (size == 0 || (size_t)size > n) {
        /* Behind a whole message there is one; anywhere else it may only look so. */
        bool proven = f->s->kind == PROTO_DBUS && !f->s->skipped;

        return proven || (size <= UNPROVEN_MAX && proto_dbus_plausible(p, n)) ? WAIT : NOTHING;
    }
    if (proto_dbus_parse(p, (size_t)size, &dbus) < 0)
        return NOTHING;
    m.len = (size_t)size;
    deliver(f, &m);
    return size;
}

static ssize_t try_varlink(struct feeding *f, const char *p, size_t n)
{
    const char *end = p[0] == '{' ? memchr(p, '\0', n) : NULL;
    _cleanup_(buf_done) struct buf json = BUF_INIT;
    _cleanup_(freep) char *copy = NULL;
    struct proto_message m = {.kind = PROTO_VARLINK, .data = p};

    if (p[0] != '{')
        return NOTHING;
    if (!end)
        return n < (f->s->kind == PROTO_VARLINK ? PROTO_VARLINK_MAX : UNPROVEN_MAX) ? WAIT
                                                                                    : NOTHING;
    m.len = (size_t)(end - p);
    copy = malloc(m.len + 1);
    if (!copy)
        return NOTHING;
    memcpy(copy, p, m.len + 1);
    if (proto_varlink_parse(copy, m.len, &json) < 0)
        return NOTHING;
    m.json = buf_str(&json);
    deliver(f, &m);
    return (ssize_t)m.len + 1;
}

/* A D-Bus connection begins with lines of text, the client's first with a zero byte in front. */
static ssize_t try_sasl(const char *p, size_t n)
{
    static const char *const words[] = {"AUTH",     "CANCEL", "BEGIN",
                                        "DATA",     "ERROR",  "NEGOTIATE_UNIX_FD",
                                        "REJECTED", "OK",     "AGREE_UNIX_FD"};
    size_t zero = p[0] == '\0';
    const char *line = p + zero, *end;

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        size_t len = strlen(words[i]);

        if (memcmp(line, words[i], MIN(len, n - zero)))
            continue;
        if (n - zero <= len)
            return WAIT;
        end = memchr(line, '\n', n - zero);
        if (strchr(" \r", line[len]) && (end || n < LINE_MAX_SASL))
            return end ? end - p + 1 : WAIT;
    }
    return NOTHING;
}

static ssize_t step(struct feeding *f, const char *p, size_t n)
{
    enum proto_want want = f->s->want;
    ssize_t r = NOTHING;

    if (want != PROTO_WANT_VARLINK && f->s->kind != PROTO_VARLINK) {
        r = try_dbus(f, p, n);
        if (r == NOTHING && !f->s->skipped)
            r = try_sasl(p, n);
    }
    if (r == NOTHING && want != PROTO_WANT_DBUS && f->s->kind != PROTO_DBUS)
        r = try_varlink(f, p, n);
    return r;
}

/* The first byte of a D-Bus message or a Varlink one. */
static bool may_begin(char c)
{
    return c == 'l' || c == 'B' || c == '{';
}

int proto_stream_feed(struct proto_stream *s, const void *data, size_t n, proto_message_fn visit,
                      void *ctx)
{
    struct feeding f = {.s = s, .visit = visit, .ctx = ctx};
    size_t at = 0;

    if (s->want == PROTO_WANT_NONE)
        return 0;
    buf_add(&s->pending, data, n);
    if (buf_error(&s->pending))
        return -ENOMEM;
    while (at < s->pending.len) {
        ssize_t used = step(&f, s->pending.data + at, s->pending.len - at);

        if (used == WAIT)
            break;
        if (used != NOTHING) {
            at += (size_t)used;
            continue;
        }
        do {
            s->skipped++;
            at++;
        } while (at < s->pending.len && !may_begin(s->pending.data[at]));
    }
    memmove(s->pending.data, s->pending.data + at, s->pending.len - at);
    s->pending.len -= at;
    return f.result;
}
