/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times in words. A time is nanoseconds in a u64: since 1970 (realtime) or a span. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NSEC_PER_SEC  UINT64_C(1000000000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_USEC UINT64_C(1000)

enum {
    TIMEFMT_RFC3339_SIZE = 40,
    TIMEFMT_SECONDS_SIZE = 24,
    TIMEFMT_SPAN_SIZE = 24,
};

static inline uint64_t timefmt_from_timespec(const struct timespec *ts)
{
    return (uint64_t)ts->tv_sec * NSEC_PER_SEC + (uint64_t)ts->tv_nsec;
}

static inline struct timespec timefmt_to_timespec(uint64_t ns)
{
    return (struct timespec){
        .tv_sec = (time_t)(ns / NSEC_PER_SEC),
        .tv_nsec = (long)(ns % NSEC_PER_SEC),
    };
}

/* Now, by the clock (CLOCK_REALTIME, CLOCK_MONOTONIC, …), in ns. */
uint64_t timefmt_now(clockid_t clock);

/* "2026-11-22T22:33:22.123456789Z", always in UTC, always nine decimals. Return: its length. */
size_t timefmt_rfc3339(char out[TIMEFMT_RFC3339_SIZE], uint64_t realtime_ns);

/*
 * The same back: "T" and "Z" upper case, up to nine decimals, no time before 1970 and no leap
 * second. Return: 0 or -EINVAL.
 */
int timefmt_parse_rfc3339(const char *s, uint64_t *realtime_ns);

/* A span as decimal seconds, "0.000000850", always nine decimals. Return: its length. */
size_t timefmt_seconds(char out[TIMEFMT_SECONDS_SIZE], uint64_t ns);

/* A span for eyes, two units at most: "0s", "850ns", "12.3ms", "42s", "3m12s", "5h02m", "12d3h". */
void timefmt_span(char out[TIMEFMT_SPAN_SIZE], uint64_t ns);
