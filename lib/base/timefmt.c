/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times in words. */
#include "timefmt.h"

#include <inttypes.h>
#include <stdio.h>

uint64_t timefmt_now(clockid_t clock)
{
    struct timespec ts = {0};

    clock_gettime(clock, &ts);
    return timefmt_from_timespec(&ts);
}

void timefmt_rfc3339(char out[TIMEFMT_RFC3339_SIZE], uint64_t realtime_ns)
{
    time_t s = (time_t)(realtime_ns / NSEC_PER_SEC);
    struct tm tm = {0};
    size_t n;

    gmtime_r(&s, &tm);
    n = strftime(out, TIMEFMT_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, TIMEFMT_RFC3339_SIZE - n, ".%09uZ",
             (unsigned int)(realtime_ns % NSEC_PER_SEC));
}

void timefmt_span(char out[TIMEFMT_SPAN_SIZE], uint64_t ns)
{
    uint64_t s = ns / NSEC_PER_SEC;

    if (ns < NSEC_PER_USEC)
        snprintf(out, TIMEFMT_SPAN_SIZE, "%" PRIu64 "ns", ns);
    else if (ns < NSEC_PER_MSEC)
        snprintf(out, TIMEFMT_SPAN_SIZE, "%.1fus", (double)ns / 1e3);
    else if (ns < NSEC_PER_SEC)
        snprintf(out, TIMEFMT_SPAN_SIZE, "%.1fms", (double)ns / 1e6);
    else if (s < 60)
        snprintf(out, TIMEFMT_SPAN_SIZE, "%" PRIu64 "s", s);
    else if (s < 3600)
        snprintf(out, TIMEFMT_SPAN_SIZE, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, TIMEFMT_SPAN_SIZE, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(out, TIMEFMT_SPAN_SIZE, "%" PRIu64 "d%" PRIu64 "h", s / 86400, s / 3600 % 24);
}
