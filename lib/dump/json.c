/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One line of JSON, checked and indexed in a single pass. */
#include <errno.h>
#include <string.h>

#include "dump.h"
#include "dump_json.h"
#include "escape.h"

struct scan {
    const char *p;
    const char *end;
    const char *why;
};

static bool fail(struct scan *s, const char *why)
{
    if (!s->why)
        s->why = why;
    return false;
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n'))
        s->p++;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Bytes of the escape that begins at @p, or 0 when it is none. */
static size_t escape_size(const char *p, const char *end)
{
    if (end - p < 2)
        return 0;
    if (p[1] != 'u')
        return p[1] && strchr("\"\\/bfnrt", p[1]) ? 2 : 0;
    if (end - p < 6)
        return 0;
    for (int i = 2; i < 6; i++)
        if (hex_digit(p[i]) < 0)
            return 0;
    return 6;
}

/* From the opening quote to behind the closing one. */
static bool skip_string(struct scan *s, bool *escaped)
{
    const char *p = s->p + 1;

    *escaped = false;
    for (;;) {
        uint32_t cp;
        size_t n;

        p += esc_plain_run(p, (size_t)(s->end - p));
        if (p == s->end)
            return fail(s, "a string without an end");
        if (*p == '"')
            break;
        if (*p == '\\') {
            *escaped = true;
            n = escape_size(p, s->end);
            if (!n)
                return fail(s, "a wrong escape in a string");
        } else if ((unsigned char)*p < 0x20) {
            return fail(s, "a control character in a string");
        } else {
            n = esc_utf8_decode(p, (size_t)(s->end - p), &cp);
            if (!n)
                return fail(s, "bytes in a string that are no UTF-8");
        }
        p += n;
    }
    s->p = p + 1;
    return true;
}

static bool skip_digits(struct scan *s)
{
    const char *start = s->p;

    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return s->p > start ? true : fail(s, "a malformed number");
}

static bool skip_number(struct scan *s)
{
    const char *start;

    if (*s->p == '-')
        s->p++;
    start = s->p;
    if (!skip_digits(s))
        return false;
    if (*start == '0' && s->p - start > 1)
        return fail(s, "a number that begins with 0");
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!skip_digits(s))
            return false;
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        if (!skip_digits(s))
            return false;
    }
    return true;
}

static bool skip_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return fail(s, "a value that is no JSON");
    s->p += n;
    return true;
}

static bool skip_value(struct scan *s, unsigned int depth, enum json_type *type, bool *escaped);

/* "key": value, with the space around it; @m may be NULL for a member that nobody asks for. */
static bool skip_member(struct scan *s, unsigned int depth, struct json_member *m)
{
    enum json_type type;
    const char *start;
    bool escaped;

    skip_space(s);
    if (s->p == s->end || *s->p != '"')
        return fail(s, "a member without a name");
    start = s->p + 1;
    if (!skip_string(s, &escaped))
        return false;
    if (m) {
        m->key = start;
        m->key_len = (size_t)(s->p - 1 - start);
    }
    skip_space(s);
    if (s->p == s->end || *s->p != ':')
        return fail(s, "a name without a value");
    s->p++;
    skip_space(s);
    start = s->p;
    if (!skip_value(s, depth, &type, &escaped))
        return false;
    if (m) {
        bool quoted = type == JSON_STRING;

        /* The line is the caller's, who may write to it: scanning alone does not. */
        m->text = (char *)(uintptr_t)start + quoted;
        m->len = (size_t)(s->p - start) - (quoted ? 2 : 0);
        m->type = type;
        m->escaped = quoted && escaped;
    }
    return true;
}

/* The rest of an array or a nested object, from behind its opening bracket. */
static bool skip_items(struct scan *s, unsigned int depth, char close)
{
    enum json_type type;
    bool escaped;

    skip_space(s);
    if (s->p < s->end && *s->p == close) {
        s->p++;
        return true;
    }
    for (;;) {
        skip_space(s);
        if (close == '}' ? !skip_member(s, depth, NULL) : !skip_value(s, depth, &type, &escaped))
            return false;
        skip_space(s);
        if (s->p == s->end || (*s->p != ',' && *s->p != close))
            return fail(s, "an array or object without an end");
        if (*s->p++ == close)
            return true;
    }
}

static bool skip_value(struct scan *s, unsigned int depth, enum json_type *type, bool *escaped)
{
    *escaped = false;
    if (depth >= DUMP_DEPTH_MAX)
        return fail(s, "too many nested arrays and objects");
    if (s->p == s->end)
        return fail(s, "a missing value");
    switch (*s->p) {
    case '"':
        *type = JSON_STRING;
        return skip_string(s, escaped);
    case '{':
        *type = JSON_OBJECT;
        s->p++;
        return skip_items(s, depth + 1, '}');
    case '[':
        *type = JSON_ARRAY;
        s->p++;
        return skip_items(s, depth + 1, ']');
    case 't':
        *type = JSON_BOOL;
        return skip_word(s, "true");
    case 'f':
        *type = JSON_BOOL;
        return skip_word(s, "false");
    case 'n':
        *type = JSON_NULL;
        return skip_word(s, "null");
    default:
        *type = JSON_NUMBER;
        return skip_number(s);
    }
}

static bool is_duplicate(const struct json_member *members, size_t n)
{
    const struct json_member *m = &members[n];

    for (size_t i = 0; i < n; i++)
        if (members[i].key_len == m->key_len && memcmp(members[i].key, m->key, m->key_len) == 0)
            return true;
    return false;
}

static bool scan_members(struct scan *s, struct json_member *members, size_t max, size_t *n)
{
    skip_space(s);
    if (s->p < s->end && *s->p == '}') {
        s->p++;
        return true;
    }
    for (;;) {
        if (*n == max)
            return fail(s, "too many members");
        if (!skip_member(s, 1, &members[*n]))
            return false;
        if (is_duplicate(members, *n))
            return fail(s, "the same member twice");
        ++*n;
        skip_space(s);
        if (s->p == s->end || (*s->p != ',' && *s->p != '}'))
            return fail(s, "an object without an end");
        if (*s->p++ == '}')
            return true;
    }
}

ssize_t json_scan_object(char *line, size_t n, struct json_member *members, size_t max,
                         const char **why)
{
    struct scan s = {.p = line, .end = line + n};
    size_t count = 0;

    skip_space(&s);
    if (s.p == s.end || *s.p != '{') {
        *why = "no JSON object";
        return -EBADMSG;
    }
    s.p++;
    if (!scan_members(&s, members, max, &count)) {
        *why = s.why;
        return -EBADMSG;
    }
    skip_space(&s);
    if (s.p != s.end) {
        *why = "something behind the JSON object";
        return -EBADMSG;
    }
    return (ssize_t)count;
}

bool json_array_next(const char **pos, const char *end, const char **text, size_t *len)
{
    struct scan s = {.p = *pos, .end = end};
    enum json_type type;
    bool escaped;

    skip_space(&s);
    if (s.p < s.end && (*s.p == '[' || *s.p == ','))
        s.p++;
    skip_space(&s);
    if (s.p == s.end || *s.p == ']')
        return false;
    *text = s.p;
    if (!skip_value(&s, 1, &type, &escaped))
        return false;
    *len = (size_t)(s.p - *text);
    *pos = s.p;
    return true;
}

static uint32_t hex4(const char *p)
{
    return (uint32_t)(hex_digit(p[0]) << 12 | hex_digit(p[1]) << 8 | hex_digit(p[2]) << 4 |
                      hex_digit(p[3]));
}

static size_t utf8_encode(char *out, uint32_t cp)
{
    size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;

    if (n == 1) {
        out[0] = (char)cp;
        return 1;
    }
    for (size_t i = n - 1; i; i--, cp >>= 6)
        out[i] = (char)(0x80 | (cp & 0x3f));
    out[0] = (char)((0xf00 >> n & 0xff) | cp);
    return n;
}

/* One character of a checked string: the bytes it stands for, at most 4, and how many it took. */
static ssize_t unescape_one(const char *p, const char *end, char out[4], size_t *used)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t cp;

    if (*p != '\\') {
        out[0] = *p;
        *used = 1;
        return 1;
    }
    if (p[1] != 'u') {
        out[0] = to[strchr(from, p[1]) - from];
        *used = 2;
        return 1;
    }
    cp = hex4(p + 2);
    *used = 6;
    if (cp >= 0xd800 && cp < 0xe000) {
        uint32_t low;

        if (cp >= 0xdc00 || end - p < 12 || p[6] != '\\' || p[7] != 'u')
            return -EBADMSG;
        low = hex4(p + 8);
        if (low < 0xdc00 || low >= 0xe000)
            return -EBADMSG;
        cp = 0x10000 + ((cp - 0xd800) << 10 | (low - 0xdc00));
        *used = 12;
    }
    return (ssize_t)utf8_encode(out, cp);
}

ssize_t json_unescape(char *out, const char *text, size_t n)
{
    const char *end = text + n;
    size_t len = 0;

    while (text < end) {
        char bytes[4];
        size_t used;
        ssize_t k = unescape_one(text, end, bytes, &used);

        if (k < 0)
            return k;
        memcpy(out + len, bytes, (size_t)k);
        len += (size_t)k;
        text += used;
    }
    return (ssize_t)len;
}

bool json_string_equals(const char *text, size_t n, bool escaped, const char *data, size_t len)
{
    const char *end = text + n;

    if (!escaped)
        return n == len && (!n || memcmp(text, data, n) == 0);
    while (text < end) {
        const char *stop = memchr(text, '\\', (size_t)(end - text));
        size_t run = (size_t)((stop ? stop : end) - text);
        char bytes[4];
        size_t used;
        ssize_t k;

        if (run > len || (run && memcmp(text, data, run) != 0))
            return false;
        text += run;
        data += run;
        len -= run;
        if (!stop)
            break;
        k = unescape_one(text, end, bytes, &used);
        if (k < 0 || (size_t)k > len || memcmp(bytes, data, (size_t)k) != 0)
            return false;
        text += used;
        data += k;
        len -= (size_t)k;
    }
    return len == 0;
}
