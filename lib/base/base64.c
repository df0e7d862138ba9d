/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Base 64 of RFC 4648, section 4. */
#include "base64.h"

#include <errno.h>
#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void b64_encode(char *out, const void *data, size_t n)
{
    const unsigned char *p = data;

    for (; n >= 3; n -= 3, p += 3, out += 4) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];

        out[0] = alphabet[v >> 18];
        out[1] = alphabet[v >> 12 & 63];
        out[2] = alphabet[v >> 6 & 63];
        out[3] = alphabet[v & 63];
    }
    if (n) {
        uint32_t v = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);

        out[0] = alphabet[v >> 18];
        out[1] = alphabet[v >> 12 & 63];
        out[2] = n == 2 ? alphabet[v >> 6 & 63] : '=';
        out[3] = '=';
    }
}

/* Value of a character plus one; 0 for a character that is not in the alphabet. */
static const unsigned char values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

/* Decodes the last group of four, which may be padded. Return: number of bytes, or -EINVAL. */
static ssize_t decode_last(unsigned char *p, const char *text)
{
    int pad = text[3] != '=' ? 0 : text[2] == '=' ? 2 : 1;
    uint32_t v = 0;

    for (int k = 0; k < 4; k++) {
        unsigned int d = k >= 4 - pad ? 1 : values[(unsigned char)text[k]];

        if (!d)
            return -EINVAL;
        v = v << 6 | (d - 1);
    }
    if ((pad == 1 && v & 0xff) || (pad == 2 && v & 0xffff))
        return -EINVAL;
    for (int k = 0; k < 3 - pad; k++)
        p[k] = (unsigned char)(v >> (16 - 8 * k));
    return 3 - pad;
}

ssize_t b64_decode(void *out, const char *text, size_t n)
{
    const unsigned char *in = (const unsigned char *)text;
    unsigned char *p = out;
    ssize_t last;

    if (n % 4)
        return -EINVAL;
    if (!n)
        return 0;
    for (; n > 4; n -= 4, in += 4, p += 3) {
        unsigned int a = values[in[0]], b = values[in[1]], c = values[in[2]], d = values[in[3]];
        uint32_t v = ((a - 1) & 63) << 18 | ((b - 1) & 63) << 12 | ((c - 1) & 63) << 6 | (d - 1);

        if (!a || !b || !c || !d)
            return -EINVAL;
        p[0] = (unsigned char)(v >> 16);
        p[1] = (unsigned char)(v >> 8);
        p[2] = (unsigned char)v;
    }
    last = decode_last(p, (const char *)in);
    return last < 0 ? last : p - (unsigned char *)out + last;
}
