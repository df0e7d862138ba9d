/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes hostile bytes harmless. */
#include "escape.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

size_t esc_utf8_decode(const void *data, size_t n, uint32_t *cp)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = data;
    uint32_t c = p[0];
    size_t len;

    if (c < 0x80) {
        *cp = c;
        return 1;
    }
    if (c >= 0xc2 && c < 0xe0)
        len = 2;
    else if (c >= 0xe0 && c < 0xf0)
        len = 3;
    else if (c >= 0xf0 && c < 0xf5)
        len = 4;
    else
        return 0;
    if (len > n)
        return 0;
    c &= 0x7fu >> len;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *cp = c;
    return len;
}

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/*
 * Sets a high bit in some byte if any byte of @v is zero. The position of the bit has no meaning.
 */
static uint64_t has_zero(uint64_t v)
{
    return (v - ONES) & ~v & HIGHS;
}

size_t esc_plain_run(const void *data, size_t n)
{
    const unsigned char *p = data;
    size_t i = 0;

    while (n - i >= 8) {
        uint64_t v;

        memcpy(&v, p + i, sizeof(v));
        if ((v & HIGHS) | has_zero(v ^ ONES * '"') | has_zero(v ^ ONES * '\\') |
            ((v - ONES * 0x20) & ~v & HIGHS))
            break;
        i += 8;
    }
    while (i < n && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

size_t esc_json_char(char out[ESC_JSON_MAX], const void *data, size_t n, bool *exact)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    static const char digits[] = "0123456789abcdef";
    uint32_t cp;
    size_t used = esc_utf8_decode(data, n, &cp);
    const char *at;

    if (!used || cp == 0) {
        *exact = false;
        memcpy(out, "\xef\xbf\xbd", 4);
        return used ? used : 1;
    }
    at = cp < 0x80 ? strchr(from, (int)cp) : NULL;
    if (at) {
        snprintf(out, ESC_JSON_MAX, "\\%c", to[at - from]);
    } else if (cp < 0x20) {
        memcpy(out, "\\u00", 4);
        out[4] = digits[cp >> 4];
        out[5] = digits[cp & 15];
        out[6] = '\0';
    } else {
        memcpy(out, data, used);
        out[used] = '\0';
    }
    return used;
}

bool esc_json(struct buf *b, const void *data, size_t n)
{
    const char *p = data;
    bool exact = true;

    buf_add_char(b, '"');
    while (n) {
        size_t used = esc_plain_run(p, n);
        char text[ESC_JSON_MAX];

        buf_add(b, p, used);
        if (used < n) {
            size_t more = esc_json_char(text, p + used, n - used, &exact);

            buf_add_str(b, text);
            used += more;
        }
        p += used;
        n -= used;
    }
    buf_add_char(b, '"');
    return exact;
}

bool esc_is_utf8(const void *data, size_t n)
{
    const char *p = data;
    uint32_t cp;

    for (size_t i = esc_plain_run(data, n), len; i < n; i += len) {
        len = esc_utf8_decode(p + i, n - i, &cp);
        if (!len || cp == 0)
            return false;
    }
    return true;
}

/*
 * Number of columns of a character, or -1 for one that must not reach a terminal as it is: control
 * characters, and marks that change the direction of text or hide it (general categories Cc, Cf,
 * Zl, Zp, and private and unassigned characters, to which the C library gives no width).
 */
static int cp_columns(uint32_t cp)
{
    int w;

    if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0xad)
        return -1;
    if (cp < 0x300)
        return 1;
    if ((cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
        (cp >= 0x2060 && cp <= 0x206f) || cp == 0x61c || cp == 0xfeff || cp >= 0xe0000)
        return -1;
    w = wcwidth((wchar_t)cp);
    return w;
}

bool esc_is_text(const void *data, size_t n)
{
    const char *p = data;
    uint32_t cp;

    for (size_t i = 0, len; i < n; i += len) {
        len = esc_utf8_decode(p + i, n - i, &cp);
        if (!len)
            return false;
        if (cp != '\t' && cp != '\n' && cp != '\r' && cp_columns(cp) < 0)
            return false;
    }
    return true;
}

static void escape_byte(struct buf *b, unsigned char c)
{
    switch (c) {
    case '\n':
        buf_add_str(b, "\\n");
        break;
    case '\t':
        buf_add_str(b, "\\t");
        break;
    case '\r':
        buf_add_str(b, "\\r");
        break;
    default:
        buf_printf(b, "\\x%02x", c);
    }
}

void esc_terminal(struct buf *b, const void *data, size_t n)
{
    const char *p = data;

    for (size_t i = 0, len; i < n; i += len) {
        uint32_t cp;

        len = esc_utf8_decode(p + i, n - i, &cp);
        if (!len) {
            escape_byte(b, (unsigned char)p[i]);
            len = 1;
        } else if (cp == '\\') {
            buf_add_str(b, "\\\\");
        } else if (cp_columns(cp) >= 0) {
            buf_add(b, p + i, len);
        } else if (cp < 0x80) {
            escape_byte(b, (unsigned char)cp);
        } else {
            buf_printf(b, "\\u{%x}", cp);
        }
    }
}

void esc_terminal_str(struct buf *b, const char *s)
{
    esc_terminal(b, s, strlen(s));
}

size_t esc_columns(const char *s, size_t n)
{
    size_t columns = 0;
    uint32_t cp;

    for (size_t i = 0, len; i < n; i += len) {
        int w = 1;

        len = esc_utf8_decode(s + i, n - i, &cp);
        if (len)
            w = cp_columns(cp);
        else
            len = 1;
        columns += w < 0 ? 0 : (size_t)w;
    }
    return columns;
}

size_t esc_fit(const char *s, size_t n, size_t columns)
{
    size_t used = 0, i = 0;
    uint32_t cp;

    while (i < n) {
        size_t len = esc_utf8_decode(s + i, n - i, &cp);
        int w = len ? cp_columns(cp) : 1;

        if (w > 0 && used + (size_t)w > columns)
            break;
        used += w < 0 ? 0 : (size_t)w;
        i += len ? len : 1;
    }
    return i;
}

void esc_hex(struct buf *b, const void *data, size_t n, size_t max)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < MIN(n, max); i++)
        buf_printf(b, i ? " %02x" : "%02x", p[i]);
}
