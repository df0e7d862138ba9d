/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes that a keyboard sends, made into keys. Knows nothing of terminals, only of bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key is a Unicode code point, or one of these, which lie past the last of them. */
enum term_key {
    TERM_KEY_TAB = '\t',
    TERM_KEY_ENTER = '\r',
    TERM_KEY_ESC = 0x1b,
    TERM_KEY_BACKSPACE = 0x7f,
    TERM_KEY_NONE = 0x110000, /* nothing: a timeout, or bytes that are no key */
    TERM_KEY_UP,
    TERM_KEY_DOWN,
    TERM_KEY_RIGHT,
    TERM_KEY_LEFT,
    TERM_KEY_HOME,
    TERM_KEY_END,
    TERM_KEY_PAGE_UP,
    TERM_KEY_PAGE_DOWN,
    TERM_KEY_INSERT,
    TERM_KEY_DELETE,
    TERM_KEY_F1,
    TERM_KEY_REDRAW, /* the size has changed, or the screen was lost: draw again */
};

/**
 * term_key_decode() - take the first key from what has been read
 * @data: bytes, at least one
 * @n: how many
 * @final: no more will follow soon: an incomplete sequence is not waited for
 * @key: the key; TERM_KEY_NONE for a sequence that is complete but means nothing here
 *
 * Cursor keys are known in both forms (CSI and SS3) and with modifiers, which are dropped. A byte
 * that is no UTF-8 is TERM_KEY_NONE.
 *
 * Return: bytes used, or 0 when more are needed (never when @final).
 */
size_t term_key_decode(const void *data, size_t n, bool final, uint32_t *key);
