/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses numbers: the whole string must be the number, and it must fit. */
#pragma once

#include <stdint.h>

/*
 * Parses a decimal number, or a hexadecimal one after 0x; no sign, no space. Return: 0, -EINVAL or
 * -ERANGE.
 */
int parse_u64(const char *s, uint64_t *out);

/* As parse_u64(), with the maximum @max. */
int parse_u64_max(const char *s, uint64_t max, uint64_t *out);

/*
 * Parses bytes: a number, then optionally K, M or G (powers of 1024), which may be followed by "B"
 * or "iB".
 */
int parse_size(const char *s, uint64_t *out);

/* Parses a duration: decimal seconds ("1.5"), or with a unit: ns, us, ms, s, m, h. Result in ns. */
int parse_span(const char *s, uint64_t *ns);

/* Parses permission bits in octal, at most 0777. */
int parse_mode(const char *s, uint32_t *out);
