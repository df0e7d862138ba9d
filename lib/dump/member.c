/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The members of a record, each checked for what it should be. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "dump_reader.h"
#include "escape.h"
#include "parse.h"
#include "timefmt.h"

static const struct dump_line *line_of(const struct dump_record *rec)
{
    return (const struct dump_line *)rec;
}

_Static_assert(offsetof(struct dump_line, pub) == 0, "a record is the start of its line");

const struct json_member *dump_member(const struct dump_line *l, const char *key)
{
    size_t n = strlen(key);

    for (size_t i = 0; i < l->n; i++) {
        const struct json_member *m = &l->members[i];

        if (m->key_len == n && memcmp(m->key, key, n) == 0)
            return m->type == JSON_NULL ? NULL : m;
    }
    return NULL;
}

int dump_bad(const struct dump_record *rec, struct err *e, const char *fmt, ...)
{
    char why[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    return dump_bad_line(rec->line, e, "%s", why);
}

bool dump_has(const struct dump_record *rec, const char *key)
{
    return dump_member(line_of(rec), key) != NULL;
}

static int get(const struct dump_record *rec, const char *key, const struct json_member **m,
               struct err *e)
{
    *m = dump_member(line_of(rec), key);
    if (*m)
        return 0;
    dump_bad(rec, e, "\"%s\" is missing", key);
    if (e)
        e->code = -ENOENT;
    return -ENOENT;
}

/*
 * Digits only: JSON's fractions and exponents would make a u64 inexact. A string may hold them,
 * too, or be hexadecimal: a number beyond 2^53 is one.
 */
static int slice_u64(const char *text, size_t n, bool string, uint64_t *out)
{
    char digits[24];
    bool hex = string && n > 2 && text[0] == '0' && text[1] == 'x';

    if (!n || n >= sizeof(digits))
        return -EINVAL;
    for (size_t i = 0; i < n && !hex; i++)
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
    memcpy(digits, text, n);
    digits[n] = '\0';
    return parse_u64(digits, out);
}

int dump_get_u64(const struct dump_record *rec, const char *key, uint64_t max, uint64_t *out,
                 struct err *e)
{
    const struct json_member *m;
    uint64_t v;
    int r = get(rec, key, &m, e);

    if (r < 0)
        return r;
    if ((m->type != JSON_NUMBER && m->type != JSON_STRING) ||
        slice_u64(m->text, m->len, m->type == JSON_STRING, &v) < 0)
        return dump_bad(rec, e, "\"%s\" is no whole number", key);
    if (v > max)
        return dump_bad(rec, e, "\"%s\" is %" PRIu64 ", more than %" PRIu64, key, v, max);
    *out = v;
    return 0;
}

int dump_get_i64(const struct dump_record *rec, const char *key, int64_t *out, struct err *e)
{
    const struct json_member *m;
    uint64_t v;
    bool minus;
    int r = get(rec, key, &m, e);

    if (r < 0)
        return r;
    if (m->type == JSON_STRING) {
        r = dump_get_u64(rec, key, INT64_MAX, &v, e);
        *out = r == 0 ? (int64_t)v : *out;
        return r;
    }
    minus = m->type == JSON_NUMBER && m->text[0] == '-';
    if (m->type != JSON_NUMBER || slice_u64(m->text + minus, m->len - minus, false, &v) < 0 ||
        v > (uint64_t)INT64_MAX + minus)
        return dump_bad(rec, e, "\"%s\" is no whole number of 64 bits", key);
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return 0;
}

int dump_get_bool(const struct dump_record *rec, const char *key, bool *out, struct err *e)
{
    const struct json_member *m;
    int r = get(rec, key, &m, e);

    if (r < 0)
        return r;
    if (m->type != JSON_BOOL)
        return dump_bad(rec, e, "\"%s\" is neither true nor false", key);
    *out = m->text[0] == 't';
    return 0;
}

static int member_string(const struct dump_record *rec, const struct json_member *m,
                         const char *key, char *out, size_t size, struct err *e)
{
    ssize_t n = -EBADMSG;

    /* An escape never stands for more bytes than it has, so what is too long may be cut first. */
    if (m->type != JSON_STRING)
        return dump_bad(rec, e, "\"%s\" is no string", key);
    if (m->len >= 6 * size)
        return dump_bad(rec, e, "\"%s\" is too long", key);
    if (m->escaped) {
        char *copy = malloc(m->len);

        if (!copy)
            return -ENOMEM;
        n = json_unescape(copy, m->text, m->len);
        if (n >= 0 && (size_t)n < size)
            memcpy(out, copy, (size_t)n);
        free(copy);
    } else {
        n = (ssize_t)m->len;
        if ((size_t)n < size && n)
            memcpy(out, m->text, (size_t)n);
    }
    if (n < 0)
        return dump_bad(rec, e, "\"%s\" holds half a character", key);
    if ((size_t)n >= size)
        return dump_bad(rec, e, "\"%s\" is too long", key);
    if (memchr(out, '\0', (size_t)n))
        return dump_bad(rec, e, "\"%s\" holds U+0000", key);
    out[n] = '\0';
    return 0;
}

/* The exact bytes of a string that was no UTF-8. */
static int member_bytes(const struct dump_record *rec, const struct json_member *m, const char *key,
                        char *out, size_t size, struct err *e)
{
    char bytes[4096];
    ssize_t n;

    if (m->type != JSON_STRING || m->escaped || m->len > sizeof(bytes))
        return dump_bad(rec, e, "\"%s_base64\" is no base 64 of a name", key);
    n = b64_decode(bytes, m->text, m->len);
    if (n < 0 || memchr(bytes, '\0', (size_t)n))
        return dump_bad(rec, e, "\"%s_base64\" is no base 64 of a name", key);
    if ((size_t)n >= size)
        return dump_bad(rec, e, "\"%s_base64\" is too long", key);
    memcpy(out, bytes, (size_t)n);
    out[n] = '\0';
    return 0;
}

int dump_get_str(const struct dump_record *rec, const char *key, char *out, size_t size,
                 struct err *e)
{
    static const char suffix[] = "_base64";
    const struct json_member *m;
    char exact[64];
    int r;

    if (strlen(key) + sizeof(suffix) <= sizeof(exact)) {
        memcpy(stpcpy(exact, key), suffix, sizeof(suffix));
        m = dump_member(line_of(rec), exact);
        if (m)
            return member_bytes(rec, m, key, out, size, e);
    }
    r = get(rec, key, &m, e);
    if (r < 0)
        return r;
    return member_string(rec, m, key, out, size, e);
}

static int short_string(const struct dump_record *rec, const char *key, char *out, size_t size,
                        struct err *e)
{
    const struct json_member *m;
    int r = get(rec, key, &m, e);

    return r < 0 ? r : member_string(rec, m, key, out, size, e);
}

int dump_get_hex64(const struct dump_record *rec, const char *key, uint64_t *out, struct err *e)
{
    char text[24];
    int r = short_string(rec, key, text, sizeof(text), e);

    if (r < 0)
        return r;
    if (strncmp(text, "0x", 2) != 0 || parse_u64(text, out) < 0)
        return dump_bad(rec, e, "\"%s\" is no hexadecimal number", key);
    return 0;
}

int dump_get_mode(const struct dump_record *rec, const char *key, uint32_t *out, struct err *e)
{
    char text[8];
    uint32_t mode = 0;
    int r = short_string(rec, key, text, sizeof(text), e);

    if (r < 0)
        return r;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '7' || p - text > 4)
            return dump_bad(rec, e, "\"%s\" is no octal mode", key);
        mode = mode << 3 | (uint32_t)(*p - '0');
    }
    if (!text[0] || mode > 07777)
        return dump_bad(rec, e, "\"%s\" is no octal mode", key);
    *out = mode;
    return 0;
}

int dump_get_time(const struct dump_record *rec, const char *key, uint64_t *out, struct err *e)
{
    char text[48];
    int r = short_string(rec, key, text, sizeof(text), e);

    if (r < 0)
        return r;
    if (timefmt_parse_rfc3339(text, out) < 0)
        return dump_bad(rec, e, "\"%s\" is no time", key);
    return 0;
}

int dump_get_u64_array(const struct dump_record *rec, const char *key, uint64_t *out, size_t max,
                       size_t *n, struct err *e)
{
    const struct json_member *m;
    const char *pos, *text;
    size_t len, count = 0;
    bool string;
    int r = get(rec, key, &m, e);

    if (r < 0)
        return r;
    if (m->type != JSON_ARRAY)
        return dump_bad(rec, e, "\"%s\" is no array", key);
    pos = m->text;
    while (json_array_next(&pos, m->text + m->len, &text, &len)) {
        if (count == max)
            return dump_bad(rec, e, "\"%s\" has more than %zu elements", key, max);
        string = len >= 2 && text[0] == '"';
        if (slice_u64(text + string, len - 2 * string, string, &out[count++]) < 0)
            return dump_bad(rec, e, "\"%s\" holds what is no whole number", key);
    }
    *n = count;
    return 0;
}

/* ---- payload ---- */

/* Whether "text" is what the bytes are; a payload without it agrees. */
static bool text_agrees(const struct json_member *text, const void *data, size_t n)
{
    return !text || (text->type == JSON_STRING &&
                     json_string_equals(text->text, text->len, text->escaped, data, n));
}

static int decode_payload(struct dump_line *l, struct dump_payload *p, struct err *e)
{
    const struct json_member *b64 = dump_member(l, "data_base64"), *text = dump_member(l, "text");
    ssize_t n;

    if (b64) {
        if (b64->type != JSON_STRING || b64->escaped)
            return dump_bad(&l->pub, e, "\"data_base64\" is no base 64");
        n = b64_decode(b64->text, b64->text, b64->len);
        if (n < 0)
            return dump_bad(&l->pub, e, "\"data_base64\" is no base 64");
        p->data = b64->text;
        if (!text_agrees(text, p->data, (size_t)n))
            return dump_bad(&l->pub, e,
                            "\"text\" is not what \"data_base64\" holds (delete one of them)");
    } else {
        if (!text)
            return dump_bad(&l->pub, e, "\"data_base64\" is missing");
        if (text->type != JSON_STRING)
            return dump_bad(&l->pub, e, "\"text\" is no string");
        n = json_unescape(text->text, text->text, text->len);
        if (n < 0)
            return dump_bad(&l->pub, e, "\"text\" holds half a character");
        p->data = text->text;
    }
    p->captured = (size_t)n;
    return 0;
}

int dump_get_payload(struct dump_record *rec, struct dump_payload *out, struct err *e)
{
    struct dump_line *l = (struct dump_line *)rec;
    struct dump_payload p = {0};
    int r;

    if (l->decoded) {
        *out = l->payload;
        return 0;
    }
    r = decode_payload(l, &p, e);
    if (r < 0)
        return r;
    p.length = p.captured;
    if (dump_has(rec, "length")) {
        r = dump_get_u64(rec, "length", UINT64_MAX, &p.length, e);
        if (r < 0)
            return r;
    }
    if (p.length < p.captured)
        return dump_bad(rec, e, "\"length\" is %" PRIu64 ", but the payload has %zu bytes",
                        p.length, p.captured);
    l->payload = p;
    l->decoded = true;
    *out = p;
    return 0;
}
