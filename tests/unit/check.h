/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a unit test needs: CHECK() reports where and goes on, so that one run shows all that is
 * wrong; check_done() is what main() returns.
 */
#pragma once

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int check_count;
static int check_failed;

#define CHECK(cond)                                                            \
    do {                                                                       \
        check_count++;                                                         \
        if (!(cond)) {                                                         \
            check_failed++;                                                    \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond); \
        }                                                                      \
    } while (0)

/* Where only reaching the line is wrong. */
#define CHECK_FAIL(text)                                          \
    do {                                                          \
        check_count++;                                            \
        check_failed++;                                           \
        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, text); \
    } while (0)

#define CHECK_INT(got, want)                                                                   \
    do {                                                                                       \
        int64_t got_ = (int64_t)(got), want_ = (int64_t)(want);                                \
        check_count++;                                                                         \
        if (got_ != want_) {                                                                   \
            check_failed++;                                                                    \
            fprintf(stderr, "%s:%d: %s is %" PRId64 ", not %" PRId64 "\n", __FILE__, __LINE__, \
                    #got, got_, want_);                                                        \
        }                                                                                      \
    } while (0)

#define CHECK_STR(got, want)                                                               \
    do {                                                                                   \
        const char *got_ = (got), *want_ = (want);                                         \
        check_count++;                                                                     \
        if (!got_ || strcmp(got_, want_) != 0) {                                           \
            check_failed++;                                                                \
            fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #got, \
                    got_ ? got_ : "(null)", want_);                                        \
        }                                                                                  \
    } while (0)

/* The exit status: 0 when something was checked and nothing failed. */
static inline int check_done(void)
{
    printf("%d checks, %d failed\n", check_count, check_failed);
    return check_failed || !check_count;
}
