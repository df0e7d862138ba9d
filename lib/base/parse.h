/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers from text: the whole string must be the number, and it must fit. */
#pragma once

#include <stdint.h>

/* Decimal, or hexadecimal after 0x; no sign, no space. Return: 0, -EINVAL or -ERANGE. */
int parse_u64(const char *s, uint64_t *out);

/* As parse_u64(), within @max. */
int parse_u64_max(const char *s, uint64_t max, uint64_t *out);

/* Bytes: a number, then optionally K, M or G (powers of 1024), "B" or "iB" after it ignored. */
int parse_size(const char *s, uint64_t *out);

/* A span: decimal seconds ("1.5"), or with a unit: ns, us, ms, s, m, h. In nanoseconds. */
int parse_span(const char *s, uint64_t *ns);

/* Permission bits in octal, at most 0777. */
int parse_mode(const char *s, uint32_t *out);
