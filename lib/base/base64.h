/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Base 64 of RFC 4648, section 4: the standard alphabet, with padding. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Length of the text for @n bytes of data, without a NUL. */
static inline size_t b64_encoded_size(size_t n)
{
    return (n + 2) / 3 * 4;
}

/* Upper limit for the data in @n bytes of text. */
static inline size_t b64_decoded_max(size_t n)
{
    return n / 4 * 3;
}

/* Writes b64_encoded_size(@n) characters to @out, without a NUL. */
void b64_encode(char *out, const void *data, size_t n);

/**
 * b64_decode() - decode text
 * @out: room for b64_decoded_max(@n) bytes; may be @text itself
 * @text: the characters
 * @n: number of characters
 *
 * Only the canonical form is accepted: no white space, full padding, unused bits zero.
 *
 * Return: bytes written, or -EINVAL.
 */
ssize_t b64_decode(void *out, const char *text, size_t n);
