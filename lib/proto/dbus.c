/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A D-Bus message: its fixed header, its header fields, and its body as a whole. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "dbus_value.h"
#include "escape.h"

enum {
    FIXED = 16, /* bytes of the header in front of its fields, their length included */
    FIELDS_MAX = 1 << 26,
};

const char *proto_dbus_type_name(enum proto_dbus_type type)
{
    static const char *const names[] = {
        [PROTO_DBUS_CALL] = "method_call",
        [PROTO_DBUS_RETURN] = "method_return",
        [PROTO_DBUS_ERROR] = "error",
        [PROTO_DBUS_SIGNAL] = "signal",
    };

    return (size_t)type < ARRAY_SIZE(names) && names[type] ? names[type] : "invalid";
}

ssize_t proto_dbus_size(const void *data, size_t n)
{
    struct dbus_cursor c = {.data = data, .n = n};
    uint32_t body, serial, fields;
    uint64_t size;

    if ((n > 0 && c.data[0] != 'l' && c.data[0] != 'B') ||
        (n > 1 && (c.data[1] < PROTO_DBUS_CALL || c.data[1] > PROTO_DBUS_SIGNAL)) ||
        (n > 3 && c.data[3] != 1))
        return -EBADMSG;
    if (n < FIXED)
        return 0;
    c.big = c.data[0] == 'B';
    c.at = 4;
    if (dbus_u32(&c, &body) < 0 || dbus_u32(&c, &serial) < 0 || dbus_u32(&c, &fields) < 0)
        return -EBADMSG;
    size = FIXED + (((uint64_t)fields + 7) & ~UINT64_C(7)) + body;
    return serial && fields <= FIELDS_MAX && size <= PROTO_DBUS_MAX ? (ssize_t)size : -EBADMSG;
}

/* The header fields by their code: of which type, and where their value goes. */
static const struct field {
    char type;
    size_t offset;
} fields[] = {
    [1] = {'o', offsetof(struct proto_dbus, path)},
    [2] = {'s', offsetof(struct proto_dbus, interface)},
    [3] = {'s', offsetof(struct proto_dbus, member)},
    [4] = {'s', offsetof(struct proto_dbus, error_name)},
    [5] = {'u', offsetof(struct proto_dbus, reply_serial)},
    [6] = {'s', offsetof(struct proto_dbus, destination)},
    [7] = {'s', offsetof(struct proto_dbus, sender)},
    [8] = {'g', offsetof(struct proto_dbus, signature)},
    [9] = {'u', offsetof(struct proto_dbus, unix_fds)},
};

static int parse_field(struct dbus_cursor *c, struct proto_dbus *m)
{
    struct proto_text sig;
    const struct field *f;
    uint8_t code;
    void *to;

    if (dbus_align(c, 8) < 0 || dbus_byte(c, &code) < 0 || !code || dbus_text(c, 'g', &sig) < 0 ||
        dbus_type_end(sig.s, sig.n, 0, 0) != (ssize_t)sig.n)
        return -EBADMSG;
    if (code >= ARRAY_SIZE(fields))
        return dbus_value(c, sig.s, sig.n, 0, 1, NULL) < 0 ? -EBADMSG : 0;
    f = &fields[code];
    to = (char *)m + f->offset;
    if (sig.n != 1 || sig.s[0] != f->type)
        return -EBADMSG;
    return f->type == 'u' ? dbus_u32(c, to) : dbus_text(c, f->type, to);
}

/* What a message of each type must say. */
static bool has_needed(const struct proto_dbus *m)
{
    switch (m->type) {
    case PROTO_DBUS_CALL:
        return m->path.s && m->member.s;
    case PROTO_DBUS_SIGNAL:
        return m->path.s && m->member.s && m->interface.s;
    case PROTO_DBUS_ERROR:
        return m->reply_serial && m->error_name.s;
    case PROTO_DBUS_RETURN:
        return m->reply_serial;
    }
    return false;
}

static int parse_fields(struct dbus_cursor *c, struct proto_dbus *m)
{
    uint32_t len;
    size_t end;

    if (dbus_u32(c, &len) < 0 || len > c->n - c->at)
        return -EBADMSG;
    end = c->at + len;
    while (c->at < end)
        if (parse_field(c, m) < 0)
            return -EBADMSG;
    return c->at == end && dbus_align(c, 8) == 0 && has_needed(m) ? 0 : -EBADMSG;
}

bool proto_dbus_plausible(const void *data, size_t n)
{
    enum { FIELDS_LIKELY = 1 << 16 };
    struct dbus_cursor c = {.data = data, .n = n};
    struct proto_dbus m = {0};
    uint32_t len;

    if (n < FIXED)
        return true;
    c.big = c.data[0] == 'B';
    m.type = (enum proto_dbus_type)c.data[1];
    c.at = FIXED - 4;
    if (dbus_u32(&c, &len) < 0)
        return false;
    if ((((uint64_t)len + 7) & ~UINT64_C(7)) > n - FIXED)
        return len <= FIELDS_LIKELY;
    c.at = FIXED - 4;
    return parse_fields(&c, &m) == 0;
}

/* The body, as JSON or only to check it. */
static int walk_body(const struct proto_dbus *m, struct buf *out)
{
    struct dbus_cursor c = {.data = m->body, .n = m->body_len, .big = m->big};
    ssize_t at = 0;

    while ((size_t)at < m->signature.n) {
        if (at && out)
            buf_add_char(out, ',');
        at = dbus_value(&c, m->signature.s, m->signature.n, (size_t)at, 0, out);
        if (at < 0)
            return -EBADMSG;
    }
    return c.at == c.n ? 0 : -EBADMSG;
}

int proto_dbus_parse(const void *data, size_t n, struct proto_dbus *out)
{
    struct dbus_cursor c = {.data = data, .n = n};
    struct proto_dbus m = {0};

    if (proto_dbus_size(data, n) != (ssize_t)n || n < FIXED)
        return -EBADMSG;
    c.big = m.big = c.data[0] == 'B';
    m.type = (enum proto_dbus_type)c.data[1];
    m.flags = c.data[2];
    c.at = 8;
    if (dbus_u32(&c, &m.serial) < 0 || parse_fields(&c, &m) < 0)
        return -EBADMSG;
    m.body = c.data + c.at;
    m.body_len = n - c.at;
    if (walk_body(&m, NULL) < 0)
        return -EBADMSG;
    *out = m;
    return 0;
}

/* ---- showing ---- */

static void text_member(struct buf *out, const char *key, const struct proto_text *t)
{
    buf_printf(out, ",\"%s\":", key);
    if (t->s)
        esc_json(out, t->s, t->n);
    else
        buf_add_str(out, "null");
}

void proto_dbus_json(const struct proto_dbus *m, struct buf *out)
{
    buf_printf(out, "{\"type\":\"%s\",\"serial\":%" PRIu32 ",\"reply_serial\":",
               proto_dbus_type_name(m->type), m->serial);
    if (m->reply_serial)
        buf_printf(out, "%" PRIu32, m->reply_serial);
    else
        buf_add_str(out, "null");
    text_member(out, "sender", &m->sender);
    text_member(out, "destination", &m->destination);
    text_member(out, "path", &m->path);
    text_member(out, "interface", &m->interface);
    text_member(out, "member", &m->member);
    text_member(out, "error_name", &m->error_name);
    buf_add_str(out, ",\"signature\":");
    esc_json(out, m->signature.s ? m->signature.s : "", m->signature.n);
    buf_add_str(out, ",\"body\":[");
    walk_body(m, out);
    buf_printf(out, "],\"unix_fds\":%" PRIu32 "}", m->unix_fds);
}

static void text_or_dash(struct buf *out, const struct proto_text *t)
{
    if (t->s)
        buf_add(out, t->s, t->n);
    else
        buf_add_char(out, '-');
}

void proto_dbus_line(const struct proto_dbus *m, struct buf *out)
{
    buf_printf(out, "%s #%" PRIu32, proto_dbus_type_name(m->type), m->serial);
    if (m->reply_serial)
        buf_printf(out, " to #%" PRIu32, m->reply_serial);
    buf_add_char(out, ' ');
    text_or_dash(out, &m->sender);
    buf_add_str(out, " -> ");
    text_or_dash(out, &m->destination);
    if (m->path.s) {
        buf_add_char(out, ' ');
        buf_add(out, m->path.s, m->path.n);
    }
    if (m->member.s || m->error_name.s)
        buf_add_char(out, ' ');
    if (m->interface.s) {
        buf_add(out, m->interface.s, m->interface.n);
        buf_add_char(out, '.');
    }
    if (m->member.s)
        buf_add(out, m->member.s, m->member.n);
    else if (m->error_name.s)
        buf_add(out, m->error_name.s, m->error_name.n);
    buf_add_str(out, " (");
    walk_body(m, out);
    buf_add_char(out, ')');
}
