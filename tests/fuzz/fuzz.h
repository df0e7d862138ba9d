/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a fuzz target is made of: it defines this function, which a crash in or a broken MUST()
 * ends. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What holds for every input, or abort. */
#define MUST(cond)                                                                    \
    do {                                                                              \
        if (!(cond)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                                  \
        }                                                                             \
    } while (0)

/* The input as a string of its own, to be freed. */
static inline char *fuzz_string(const uint8_t *data, size_t size)
{
    char *s = malloc(size + 1);

    MUST(s);
    memcpy(s, data, size);
    s[size] = '\0';
    return s;
}
