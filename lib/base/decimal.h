/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Formats decimal numbers faster than printf(), for output of millions of rows. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { DECIMAL_MAX = 20 }; /* digits of a u64 */

/* Writes exactly @width digits, with leading zeros; higher digits are dropped. */
static inline void decimal_padded(char *out, uint64_t v, size_t width)
{
    for (; width; v /= 10)
        out[--width] = (char)('0' + v % 10);
}

/* Return: number of digits written; no NUL is added. */
static inline size_t decimal_u64(char out[DECIMAL_MAX], uint64_t v)
{
    size_t n = 1;

    for (uint64_t rest = v / 10; rest; rest /= 10)
        n++;
    decimal_padded(out, v, n);
    return n;
}
