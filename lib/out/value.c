/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One value as text. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "escape.h"
#include "out_internal.h"
#include "timefmt.h"

static const void *field(const struct out_col *col, const void *row)
{
    return (const char *)row + col->offset;
}

#define FIELD(ctype) (*(const ctype *)field(col, row))

bool value_unknown(const struct out_col *col, const void *row)
{
    if (col->flags & OUT_KNOWN)
        return false;
    switch (col->type) {
    case OUT_TYPE_STR:
    case OUT_TYPE_VALUE:
        return FIELD(str_t) == NULL;
    case OUT_TYPE_CHARS:
        return *(const char *)field(col, row) == '\0';
    case OUT_TYPE_U64:
    case OUT_TYPE_TIME:
    case OUT_TYPE_SPAN:
    case OUT_TYPE_SIZE:
        return FIELD(uint64_t) == OUT_UNKNOWN_U64;
    case OUT_TYPE_U32:
    case OUT_TYPE_MODE:
        return FIELD(uint32_t) == OUT_UNKNOWN_U32;
    case OUT_TYPE_I64:
        return FIELD(int64_t) == OUT_UNKNOWN_I64;
    case OUT_TYPE_I32:
        return FIELD(int32_t) == OUT_UNKNOWN_I32;
    case OUT_TYPE_F64:
        return isnan(FIELD(double));
    case OUT_TYPE_BYTES:
        return FIELD(struct out_bytes).data == NULL;
    case OUT_TYPE_BOOL:
    case OUT_TYPE_HEX64:
    case OUT_TYPE_END:
        break;
    }
    return false;
}

bool value_right(const struct out_col *col)
{
    switch (col->type) {
    case OUT_TYPE_U64:
    case OUT_TYPE_U32:
    case OUT_TYPE_I64:
    case OUT_TYPE_I32:
    case OUT_TYPE_SIZE:
    case OUT_TYPE_SPAN:
    case OUT_TYPE_F64:
        return true;
    default:
        return false;
    }
}

/* Text if a person would read it as text, else "<de ad be ef>". */
static void preview(struct buf *b, const struct out_bytes *bytes, size_t max)
{
    /* A character takes four bytes at most, a shown byte one column at least. */
    size_t n = MIN(bytes->len, max > SIZE_MAX / 4 ? SIZE_MAX : max * 4);
    const char *data = bytes->data;

    if (bytes->len == 0) {
        buf_add_str(b, bytes->whole ? "…" : "(empty)");
        return;
    }
    /* Do not let the cut fall into a character. */
    for (size_t back = 0; n < bytes->len && back < 3 && n > 0; back++)
        if (((unsigned char)data[n] & 0xc0) == 0x80)
            n--;
    if (esc_is_text(data, n)) {
        esc_terminal(b, data, n);
    } else {
        n = MIN(n, max / 3 + 1);
        buf_add_char(b, '<');
        esc_hex(b, data, bytes->len, n);
        if (n >= bytes->whole && n == bytes->len)
            buf_add_char(b, '>');
    }
    if (n < bytes->len || n < bytes->whole)
        buf_add_str(b, "…");
}

/* The time of day here, to the microsecond: what happened just now is what tables show. */
static void time_of_day(struct buf *b, uint64_t ns)
{
    time_t s = (time_t)(ns / NSEC_PER_SEC);
    struct tm tm = {0};

    localtime_r(&s, &tm);
    buf_printf(b, "%02d:%02d:%02d.%06" PRIu64, tm.tm_hour, tm.tm_min, tm.tm_sec,
               ns % NSEC_PER_SEC / NSEC_PER_USEC);
}

static void date_and_time(struct buf *b, uint64_t ns)
{
    time_t s = (time_t)(ns / NSEC_PER_SEC);
    struct tm tm = {0};
    char text[40];

    localtime_r(&s, &tm);
    buf_add(b, text, strftime(text, sizeof(text), "%F %T", &tm));
}

void value_text(struct buf *b, const struct out_col *col, const void *row, size_t max)
{
    char span[TIMEFMT_SPAN_SIZE];

    if (value_unknown(col, row)) {
        buf_add_char(b, '-');
        return;
    }
    switch (col->type) {
    case OUT_TYPE_STR:
    case OUT_TYPE_VALUE:
        esc_terminal_str(b, FIELD(str_t));
        break;
    case OUT_TYPE_CHARS:
        esc_terminal_str(b, field(col, row));
        break;
    case OUT_TYPE_U64:
    case OUT_TYPE_SIZE:
        buf_printf(b, "%" PRIu64, FIELD(uint64_t));
        if (col->exact && !*(const bool *)((const char *)row + col->exact))
            buf_add_char(b, '+');
        break;
    case OUT_TYPE_U32:
        buf_printf(b, "%" PRIu32, FIELD(uint32_t));
        break;
    case OUT_TYPE_I64:
        buf_printf(b, "%" PRId64, FIELD(int64_t));
        break;
    case OUT_TYPE_I32:
        buf_printf(b, "%" PRId32, FIELD(int32_t));
        break;
    case OUT_TYPE_F64:
        buf_printf(b, "%.1f", FIELD(double));
        break;
    case OUT_TYPE_BOOL:
        buf_add_str(b, FIELD(bool) ? "yes" : "no");
        break;
    case OUT_TYPE_HEX64:
        buf_printf(b, "0x%" PRIx64, FIELD(uint64_t));
        break;
    case OUT_TYPE_MODE:
        buf_printf(b, "%04o", FIELD(uint32_t));
        break;
    case OUT_TYPE_TIME:
        if (col->flags & OUT_DATE)
            date_and_time(b, FIELD(uint64_t));
        else
            time_of_day(b, FIELD(uint64_t));
        break;
    case OUT_TYPE_SPAN:
        timefmt_span(span, FIELD(uint64_t));
        buf_add_str(b, span);
        break;
    case OUT_TYPE_BYTES:
        preview(b, field(col, row), max);
        break;
    case OUT_TYPE_END:
        break;
    }
}
