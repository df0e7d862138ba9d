/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line of JSON: is it a strict object, and where are its members? Nothing is copied and nothing
 * allocated.
 *
 * This is not cJSON, because a dump must be refused or read exactly, and cJSON 1.7 does neither: it
 * keeps numbers as doubles and not their text (a u64 changes), cuts a string at \u0000, and takes
 * bytes that are not UTF-8, control characters, and numbers such as 01. tests/unit/test_dump.c
 * shows each. Writing needs no library either: both writers escape with esc_json().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/**
 * struct json_member - a name and its value, as slices of the line
 * @key, @key_len: between the quotes, escapes and all
 * @text, @len: the value; of a string what is between the quotes
 * @type: of the value
 * @escaped: a string with at least one backslash
 */
struct json_member {
    const char *key;
    size_t key_len;
    char *text;
    size_t len;
    enum json_type type;
    bool escaped;
};

/**
 * json_scan_object() - check one object and find its members
 * @line: the text; modified by nobody here, but @members point into it
 * @n: its length; what follows the object may only be white space
 * @members: room for @max
 * @why: on failure, what is wrong
 *
 * Return: how many members; -EBADMSG.
 */
ssize_t json_scan_object(char *line, size_t n, struct json_member *members, size_t max,
                         const char **why);

/* Walks an array that was checked: the elements' text. */
bool json_array_next(const char **pos, const char *end, const char **text, size_t *len);

/**
 * json_unescape() - a string's bytes
 * @out: room for @n bytes; may be @text itself
 * @text, @n: a checked string, without its quotes
 *
 * Return: bytes; -EBADMSG for half a surrogate pair.
 */
ssize_t json_unescape(char *out, const char *text, size_t n);

/* Whether the string stands for exactly these bytes. */
bool json_string_equals(const char *text, size_t n, bool escaped, const char *data, size_t len);
