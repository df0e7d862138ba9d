/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Formats and parses times. */
#include "timefmt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "decimal.h"

uint64_t timefmt_now(clockid_t clock)
{
    struct timespec ts = {0};

    clock_gettime(clock, &ts);
    return timefmt_from_timespec(&ts);
}

/*
 * Copies date and time of the second. Events of the same second follow one another, so it is
 * cached.
 */
static size_t whole_second(char *out, time_t s)
{
    static _Thread_local char text[TIMEFMT_RFC3339_SIZE];
    static _Thread_local size_t n;
    static _Thread_local time_t kept;

    if (!n || s != kept) {
        struct tm tm = {0};

        gmtime_r(&s, &tm);
        n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
        kept = s;
    }
    memcpy(out, text, n);
    return n;
}

static size_t nanoseconds(char *out, uint64_t ns)
{
    out[0] = '.';
    decimal_padded(out + 1, ns % NSEC_PER_SEC, 9);
    return 10;
}

size_t timefmt_rfc3339(char out[TIMEFMT_RFC3339_SIZE], uint64_t realtime_ns)
{
    size_t n = whole_second(out, (time_t)(realtime_ns / NSEC_PER_SEC));

    n += nanoseconds(out + n, realtime_ns);
    out[n++] = 'Z';
    out[n] = '\0';
    return n;
}

size_t timefmt_seconds(char out[TIMEFMT_SECONDS_SIZE], uint64_t ns)
{
    size_t n = decimal_u64(out, ns / NSEC_PER_SEC);

    n += nanoseconds(out + n, ns);
    out[n] = '\0';
    return n;
}

/* Parses "YYYY-MM-DDTHH:MM:SS" to seconds. A date that mktime() would correct is refused. */
static int parse_seconds(const char *s, uint64_t *seconds)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    struct tm tm, want;
    time_t t;

    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != form[i])
            return -EINVAL;
    want = (struct tm){
        .tm_year = (s[0] - '0') * 1000 + (s[1] - '0') * 100 + (s[2] - '0') * 10 + s[3] - '0' - 1900,
        .tm_mon = (s[5] - '0') * 10 + s[6] - '0' - 1,
        .tm_mday = (s[8] - '0') * 10 + s[9] - '0',
        .tm_hour = (s[11] - '0') * 10 + s[12] - '0',
        .tm_min = (s[14] - '0') * 10 + s[15] - '0',
        .tm_sec = (s[17] - '0') * 10 + s[18] - '0',
    };
    tm = want;
    t = timegm(&tm);
    if (t < 0 || tm.tm_mon != want.tm_mon || tm.tm_mday != want.tm_mday ||
        tm.tm_hour != want.tm_hour || tm.tm_min != want.tm_min || tm.tm_sec != want.tm_sec)
        return -EINVAL;
    *seconds = (uint64_t)t;
    return 0;
}

int timefmt_parse_rfc3339(const char *s, uint64_t *realtime_ns)
{
    uint64_t seconds, ns = 0;

    if (parse_seconds(s, &seconds) < 0)
        return -EINVAL;
    s += 19;
    if (*s == '.') {
        uint64_t unit = NSEC_PER_SEC / 10;

        s++;
        if (*s < '0' || *s > '9')
            return -EINVAL;
        for (; *s >= '0' && *s <= '9'; s++, unit /= 10) {
            if (!unit)
                return -EINVAL;
            ns += (uint64_t)(*s - '0') * unit;
        }
    }
    if (s[0] != 'Z' || s[1])
        return -EINVAL;
    if (__builtin_mul_overflow(seconds, NSEC_PER_SEC, &seconds) ||
        __builtin_add_overflow(seconds, ns, &seconds))
        return -EINVAL;
    *realtime_ns = seconds;
    return 0;
}

void timefmt_span(char out[TIMEFMT_SPAN_SIZE], uint64_t ns)
{
    uint64_t s = ns / NSEC_PER_SEC;

    if (ns == 0)
        snprintf(out, TIMEFMT_SPAN_SIZE, "0s");
    else if (ns < NSEC_PER_USEC)
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
