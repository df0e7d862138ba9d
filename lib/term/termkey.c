// SPDX-License-Identifier: LGPL-2.1-or-later
/* Keys from bytes: ECMA-48 control sequences as xterm, the Linux console, screen and rxvt send. */
#include "termkey.h"

#include "escape.h"

enum { SEQUENCE_MAX = 32 }; /* longer ones are no key, and are dropped */

static uint32_t key_of_letter(unsigned char c)
{
    switch (c) {
    case 'A':
        return TERM_KEY_UP;
    case 'B':
        return TERM_KEY_DOWN;
    case 'C':
        return TERM_KEY_RIGHT;
    case 'D':
        return TERM_KEY_LEFT;
    case 'H':
        return TERM_KEY_HOME;
    case 'F':
        return TERM_KEY_END;
    case 'M':
        return TERM_KEY_ENTER; /* of the keypad */
    case 'P':
        return TERM_KEY_F1;
    default:
        return TERM_KEY_NONE;
    }
}

/* The number of "CSI number ~". */
static uint32_t key_of_number(unsigned int number)
{
    switch (number) {
    case 1:
    case 7:
        return TERM_KEY_HOME;
    case 2:
        return TERM_KEY_INSERT;
    case 3:
        return TERM_KEY_DELETE;
    case 4:
    case 8:
        return TERM_KEY_END;
    case 5:
        return TERM_KEY_PAGE_UP;
    case 6:
        return TERM_KEY_PAGE_DOWN;
    case 11:
        return TERM_KEY_F1;
    default:
        return TERM_KEY_NONE;
    }
}

/* After "ESC [": parameters, intermediates, a final byte. */
static size_t decode_csi(const unsigned char *p, size_t n, bool final, uint32_t *key)
{
    unsigned int number = 0;
    bool counting = true;
    size_t i = 2;

    *key = TERM_KEY_NONE;
    if (n > 3 && p[2] == '[') { /* the Linux console: CSI [ A is F1 */
        if (p[3] == 'A')
            *key = TERM_KEY_F1;
        return 4;
    }
    if (n == 3 && p[2] == '[')
        return final ? n : 0;
    for (; i < n && i < SEQUENCE_MAX; i++) {
        if (p[i] >= 0x40 && p[i] <= 0x7e)
            break;
        if (p[i] < 0x20 || p[i] > 0x7e)
            return i; /* broken off: what comes is read anew */
        if (p[i] < '0' || p[i] > '9')
            counting = false;
        else if (counting)
            number = number * 10 + (p[i] - '0');
        if (number > 1000)
            counting = false;
    }
    if (i == SEQUENCE_MAX)
        return i;
    if (i == n)
        return final ? n : 0;
    *key = p[i] == '~' ? key_of_number(number) : p[i] == 'P' ? TERM_KEY_NONE : key_of_letter(p[i]);
    return i + 1;
}

static size_t decode_escape(const unsigned char *p, size_t n, bool final, uint32_t *key)
{
    if (n == 1) {
        *key = TERM_KEY_ESC;
        return final ? 1 : 0;
    }
    if (p[1] == '[')
        return decode_csi(p, n, final, key);
    if (p[1] == 'O') {
        if (n == 2) {
            *key = TERM_KEY_NONE;
            return final ? 2 : 0;
        }
        *key = key_of_letter(p[2]);
        return 3;
    }
    *key = TERM_KEY_ESC; /* typed fast, or Alt with a key: both keys count */
    return 1;
}

/* Whether the bytes begin a character that is not all there. */
static bool utf8_incomplete(const unsigned char *p, size_t n)
{
    size_t want = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

    if (p[0] < 0xc2 || p[0] > 0xf4 || n >= want)
        return false;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return false;
    return true;
}

size_t term_key_decode(const void *data, size_t n, bool final, uint32_t *key)
{
    const unsigned char *p = data;
    size_t used;

    if (p[0] == 0x1b)
        return decode_escape(p, n, final, key);
    if (p[0] == '\n' || p[0] == '\b') {
        *key = p[0] == '\n' ? TERM_KEY_ENTER : TERM_KEY_BACKSPACE;
        return 1;
    }
    used = esc_utf8_decode(p, n, key);
    if (used)
        return used;
    *key = TERM_KEY_NONE;
    return utf8_incomplete(p, n) && !final ? 0 : 1;
}
