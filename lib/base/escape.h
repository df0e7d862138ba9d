/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hostile bytes made harmless: what comes from a queue, a name or a process is written to a
 * terminal only through here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/**
 * esc_utf8_decode() - read one character
 * @data: bytes
 * @n: how many there are, at least 1
 * @cp: the code point, on success
 *
 * Overlong forms, surrogates and what lies past U+10FFFF are refused.
 *
 * Return: bytes used (1 to 4), or 0 when no valid character begins here.
 */
size_t esc_utf8_decode(const void *data, size_t n, uint32_t *cp);

/**
 * esc_plain_run() - how much stands for itself in a JSON string
 * @data: bytes
 * @n: how many
 *
 * Return: bytes before the first that needs a look: a quote, a backslash, a control below 0x20, or
 * what is no ASCII.
 */
size_t esc_plain_run(const void *data, size_t n);

enum { ESC_JSON_MAX = 8 };

/**
 * esc_json_char() - one character as a JSON string has it
 * @out: its text, which ends with a NUL
 * @data, @n: where it begins; @n is not 0
 * @exact: set to false for U+0000 and for a byte that is not UTF-8, which become U+FFFD
 *
 * Return: bytes of @data that it took.
 */
size_t esc_json_char(char out[ESC_JSON_MAX], const void *data, size_t n, bool *exact);

/* Appends a JSON string with its quotes. Return: whether it stands for exactly these bytes. */
bool esc_json(struct buf *b, const void *data, size_t n);

/* Whether the bytes are UTF-8 without U+0000: what JSON may call text. */
bool esc_is_utf8(const void *data, size_t n);

/*
 * Whether a person would call it text: UTF-8 in which nothing but tab, newline and carriage return
 * needs an escape. Empty is text.
 */
bool esc_is_text(const void *data, size_t n);

/**
 * esc_terminal() - append what a terminal may see
 * @b: where to
 * @data: bytes of any kind
 * @n: how many
 *
 * Printable UTF-8 is kept. Control characters, line and direction marks, invisible characters,
 * a backslash and bytes that are no UTF-8 become \\n, \\t, \\r, \\\\, \\xHH or \\u{HHHH}.
 */
void esc_terminal(struct buf *b, const void *data, size_t n);

/* The same for a string. */
void esc_terminal_str(struct buf *b, const char *s);

/* Columns that a string (as esc_terminal() makes it) takes on a terminal. */
size_t esc_columns(const char *s, size_t n);

/* How many bytes of the string fit into @columns. */
size_t esc_fit(const char *s, size_t n, size_t columns);

/* Appends "de ad be ef", at most @max bytes of @data. */
void esc_hex(struct buf *b, const void *data, size_t n, size_t max);
