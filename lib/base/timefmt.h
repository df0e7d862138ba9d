/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Formats and parses times. A time is nanoseconds in a u64: since 1970, or a duration. */
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

/* The present time of a clock (CLOCK_REALTIME, CLOCK_MONOTONIC, …), in ns. */
uint64_t timefmt_now(clockid_t clock);

/* Formats a time as "2026-11-22T22:33:22.123456789Z": UTC, nine decimals. Return: its length. */
size_t timefmt_rfc3339(char out[TIMEFMT_RFC3339_SIZE], uint64_t realtime_ns);

/*
 * Parses that format: "T" and "Z" in upper case, up to nine decimals; times before 1970 and leap
 * seconds are refused. Return: 0 or -EINVAL.
 */
int timefmt_parse_rfc3339(const char *s, uint64_t *realtime_ns);

/* Formats a duration as decimal seconds, "0.000000850", with nine decimals. Return: its length. */
size_t timefmt_seconds(char out[TIMEFMT_SECONDS_SIZE], uint64_t ns);

/*
 * Formats a duration for people, in at most two units: "0s", "850ns", "12.3ms", "42s", "3m12s",
 * "5h02m", "12d3h".
 */
void timefmt_span(char out[TIMEFMT_SPAN_SIZE], uint64_t ns);
