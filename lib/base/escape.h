/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes hostile bytes harmless. Text from a queue, a name or a process is written to a terminal
 * only through these functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/**
 * esc_utf8_decode() - read one character
 * @data: bytes
 * @n: number of bytes, at least 1
 * @cp: the code point, on success
 *
 * Overlong forms, surrogates and values above U+10FFFF are refused.
 *
 * Return: bytes used (1 to 4), or 0 when no valid character begins here.
 */
size_t esc_utf8_decode(const void *data, size_t n, uint32_t *cp);

/**
 * esc_plain_run() - count bytes that need no escape in a JSON string
 * @data: bytes
 * @n: number of bytes
 *
 * Return: number of bytes before the first that needs attention: a quote, a backslash, a control
 * character below 0x20, or a byte that is not ASCII.
 */
size_t esc_plain_run(const void *data, size_t n);

enum { ESC_JSON_MAX = 8 };

/**
 * esc_json_char() - write one character as in a JSON string
 * @out: its text, with a NUL
 * @data, @n: bytes that begin with the character; @n is not 0
 * @exact: set to false for U+0000 and for a byte that is not UTF-8, which become U+FFFD
 *
 * Return: number of bytes of @data that the character uses.
 */
size_t esc_json_char(char out[ESC_JSON_MAX], const void *data, size_t n, bool *exact);

/* Appends a JSON string with its quotes. Return: whether it represents exactly these bytes. */
bool esc_json(struct buf *b, const void *data, size_t n);

/* Tells whether the bytes are UTF-8 without U+0000, which JSON can represent as text. */
bool esc_is_utf8(const void *data, size_t n);

/*
 * Tells whether the bytes are readable text: UTF-8 in which only tabs, newlines and carriage
 * returns would be escaped. An empty string is text.
 */
bool esc_is_text(const void *data, size_t n);

/**
 * esc_terminal() - append bytes in a form that is safe for a terminal
 * @b: the buffer
 * @data: any bytes
 * @n: number of bytes
 *
 * Printable UTF-8 is kept. Control characters, line and direction marks, invisible characters,
 * a backslash and bytes that are no UTF-8 become \\n, \\t, \\r, \\\\, \\xHH or \\u{HHHH}.
 */
void esc_terminal(struct buf *b, const void *data, size_t n);

/* The same for a string. */
void esc_terminal_str(struct buf *b, const char *s);

/* Number of columns that a string (from esc_terminal()) takes on a terminal. */
size_t esc_columns(const char *s, size_t n);

/* Number of bytes of the string that fit into @columns. */
size_t esc_fit(const char *s, size_t n, size_t columns);

/* Appends "de ad be ef", for at most @max bytes of @data. */
void esc_hex(struct buf *b, const void *data, size_t n, size_t max);
