/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses numbers. */
#include "parse.h"

#include <errno.h>
#include <string.h>

#include "macros.h"
#include "timefmt.h"

/* Parses digits at *@s, and moves it after them. */
static int digits(const char **s, unsigned int base, uint64_t *out)
{
    const char *p = *s;
    uint64_t v = 0;

    for (;; p++) {
        unsigned int d;

        if (*p >= '0' && *p <= '9')
            d = (unsigned int)(*p - '0');
        else if (base == 16 && strchr("abcdefABCDEF", *p) && *p)
            d = (unsigned int)((*p | 0x20) - 'a') + 10;
        else
            break;
        if (d >= base)
            break;
        if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
            return -ERANGE;
    }
    if (p == *s)
        return -EINVAL;
    *s = p;
    *out = v;
    return 0;
}

static int number(const char **s, uint64_t *out)
{
    if ((*s)[0] == '0' && ((*s)[1] == 'x' || (*s)[1] == 'X')) {
        *s += 2;
        return digits(s, 16, out);
    }
    return digits(s, 10, out);
}

int parse_u64(const char *s, uint64_t *out)
{
    return parse_u64_max(s, UINT64_MAX, out);
}

int parse_u64_max(const char *s, uint64_t max, uint64_t *out)
{
    uint64_t v;
    int r = number(&s, &v);

    if (r < 0)
        return r;
    if (*s)
        return -EINVAL;
    if (v > max)
        return -ERANGE;
    *out = v;
    return 0;
}

int parse_size(const char *s, uint64_t *out)
{
    unsigned int shift = 0;
    uint64_t v;
    int r = number(&s, &v);

    if (r < 0)
        return r;
    switch (*s) {
    case 'k':
    case 'K':
        shift = 10;
        break;
    case 'm':
    case 'M':
        shift = 20;
        break;
    case 'g':
    case 'G':
        shift = 30;
        break;
    }
    s += shift != 0;
    if (*s && strcmp(s, "B") && !(shift && !strcmp(s, "iB")))
        return -EINVAL;
    if (v > UINT64_MAX >> shift)
        return -ERANGE;
    *out = v << shift;
    return 0;
}

int parse_span(const char *s, uint64_t *ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        {"", NSEC_PER_SEC},         {"s", NSEC_PER_SEC}, {"ms", NSEC_PER_MSEC},
        {"us", NSEC_PER_USEC},      {"ns", 1},           {"m", 60 * NSEC_PER_SEC},
        {"h", 3600 * NSEC_PER_SEC},
    };
    uint64_t whole = 0, frac = 0, scale = 1;
    int r = *s == '.' ? 0 : digits(&s, 10, &whole);

    if (r < 0)
        return r;
    if (*s == '.') {
        const char *start = ++s;

        for (; *s >= '0' && *s <= '9'; s++)
            if (scale < NSEC_PER_SEC) {
                frac = frac * 10 + (uint64_t)(*s - '0');
                scale *= 10;
            }
        if (s == start)
            return -EINVAL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        uint64_t v;

        if (strcmp(s, units[i].name))
            continue;
        if (__builtin_mul_overflow(whole, units[i].ns, &v) ||
            __builtin_add_overflow(v, (uint64_t)((unsigned __int128)frac * units[i].ns / scale),
                                   &v))
            return -ERANGE;
        *ns = v;
        return 0;
    }
    return -EINVAL;
}

int parse_mode(const char *s, uint32_t *out)
{
    uint64_t v;
    int r = digits(&s, 8, &v);

    if (r < 0)
        return r;
    if (*s)
        return -EINVAL;
    if (v > 0777)
        return -ERANGE;
    *out = (uint32_t)v;
    return 0;
}
