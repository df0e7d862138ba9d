/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Marshaled D-Bus values. */
#pragma once

#include "proto.h"

/**
 * struct dbus_cursor - where in marshaled bytes
 * @data, @n: the bytes; alignment counts from their beginning
 * @at: the next
 * @big: big-endian
 */
struct dbus_cursor {
    const uint8_t *data;
    size_t n;
    size_t at;
    bool big;
};

/**
 * dbus_type_end() - where a single complete type ends
 * @sig, @n: a signature
 * @at: where the type begins
 * @depth: containers around it
 *
 * Return: the index behind it, or -EBADMSG.
 */
ssize_t dbus_type_end(const char *sig, size_t n, size_t at, unsigned int depth);

/* Whether it is a sequence of complete types, of 255 bytes at most. */
bool dbus_signature_valid(const char *sig, size_t n);

/**
 * dbus_value() - check one value, and write it as JSON
 * @c: moved behind the value
 * @sig, @n: its signature
 * @at: where in it
 * @depth: containers around it
 * @out: JSON is appended; NULL: it is only checked
 *
 * Return: the index in @sig behind its type, or -EBADMSG.
 */
ssize_t dbus_value(struct dbus_cursor *c, const char *sig, size_t n, size_t at, unsigned int depth,
                   struct buf *out);

/* Bytes of zeros up to a multiple of @to. */
int dbus_align(struct dbus_cursor *c, size_t to);

int dbus_u32(struct dbus_cursor *c, uint32_t *v);
int dbus_byte(struct dbus_cursor *c, uint8_t *v);

/* A string, object path (@kind 's', 'o') or signature ('g'), checked. */
int dbus_text(struct dbus_cursor *c, char kind, struct proto_text *out);
