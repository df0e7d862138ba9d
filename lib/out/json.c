/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One value as JSON, written exactly and piece by piece: it may be large. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "cleanup.h"
#include "decimal.h"
#include "escape.h"
#include "out_internal.h"
#include "timefmt.h"

#define FIELD(ctype) (*(const ctype *)(const void *)((const char *)row + col->offset))

/* What JSON cannot hold becomes U+FFFD: json_member() adds the bytes. */
void json_string(struct out *o, const void *data, size_t n)
{
    const char *p = data;
    bool exact;

    emit(o, "\"", 1);
    while (n) {
        size_t used = esc_plain_run(p, n);
        char text[ESC_JSON_MAX];

        emit(o, p, used);
        p += used;
        n -= used;
        if (!n)
            break;
        used = esc_json_char(text, p, n, &exact);
        emit_str(o, text);
        p += used;
        n -= used;
    }
    emit(o, "\"", 1);
}

static void base64(struct out *o, const void *data, size_t n)
{
    enum { CHUNK = 3 * 4096 };
    const char *p = data;
    char text[CHUNK / 3 * 4];

    emit(o, "\"", 1);
    while (n) {
        size_t k = MIN(n, (size_t)CHUNK);

        b64_encode(text, p, k);
        emit(o, text, b64_encoded_size(k));
        p += k;
        n -= k;
    }
    emit(o, "\"", 1);
}

static void key(struct out *o, const char *name, const char *suffix, bool comma)
{
    if (comma)
        emit_str(o, out_pretty(o) ? ", " : ",");
    emit(o, "\"", 1);
    emit_str(o, name);
    emit_str(o, suffix);
    emit_str(o, out_pretty(o) ? "\": " : "\":");
}

/* A string that may hold bytes which JSON cannot: then "KEY_base64" has them all. */
static void string_member(struct out *o, const char *name, const char *s)
{
    json_string(o, s, strlen(s));
    if (!esc_is_utf8(s, strlen(s))) {
        key(o, name, "_base64", true);
        base64(o, s, strlen(s));
    }
}

static void payload_members(struct out *o, const struct out_bytes *b, bool comma)
{
    key(o, "data_base64", "", comma);
    base64(o, b->data, b->len);
    if (esc_is_utf8(b->data, b->len)) {
        key(o, "text", "", true);
        json_string(o, b->data, b->len);
    }
}

static void number(struct out *o, const char *fmt, ...) _printf_(2, 3);

static void number(struct out *o, const char *fmt, ...)
{
    char text[48];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    emit_str(o, text);
}

static void unsigned_number(struct out *o, uint64_t v)
{
    char text[DECIMAL_MAX];
    /* Most readers keep numbers as doubles, which are exact up to 2^53: more is a string. */
    const char *quote = v > UINT64_C(1) << 53 ? "\"" : "";

    emit_str(o, quote);
    emit(o, text, decimal_u64(text, v));
    emit_str(o, quote);
}

static void signed_number(struct out *o, int64_t v)
{
    if (v >= 0)
        unsigned_number(o, (uint64_t)v);
    else
        number(o, v < -(INT64_C(1) << 53) ? "\"%" PRId64 "\"" : "%" PRId64, v);
}

static void time_text(struct out *o, uint64_t ns)
{
    char text[TIMEFMT_RFC3339_SIZE + 2] = "\"";
    size_t n = 1 + timefmt_rfc3339(text + 1, ns);

    text[n++] = '"';
    emit(o, text, n);
}

bool json_member(struct out *o, const struct out_col *col, const void *row, bool comma)
{
    char seconds[TIMEFMT_SECONDS_SIZE];

    if (col->flags & OUT_TEXT)
        return false;
    if (value_unknown(col, row)) {
        if (col->flags & OUT_OPTIONAL)
            return false;
        key(o, col->type == OUT_TYPE_BYTES ? "data_base64" : col->key, "", comma);
        emit_str(o, "null");
        return true;
    }
    if (col->type == OUT_TYPE_BYTES) {
        payload_members(o, &FIELD(struct out_bytes), comma);
        return true;
    }
    key(o, col->key, "", comma);
    switch (col->type) {
    case OUT_TYPE_STR:
        string_member(o, col->key, FIELD(str_t));
        break;
    case OUT_TYPE_CHARS:
        string_member(o, col->key, &FIELD(char));
        break;
    case OUT_TYPE_U64:
    case OUT_TYPE_SIZE:
        unsigned_number(o, FIELD(uint64_t));
        break;
    case OUT_TYPE_U32:
        unsigned_number(o, FIELD(uint32_t));
        break;
    case OUT_TYPE_I64:
        signed_number(o, FIELD(int64_t));
        break;
    case OUT_TYPE_I32:
        signed_number(o, FIELD(int32_t));
        break;
    case OUT_TYPE_F64:
        number(o, "%.3f", FIELD(double));
        break;
    case OUT_TYPE_BOOL:
        emit_str(o, FIELD(bool) ? "true" : "false");
        break;
    case OUT_TYPE_HEX64:
        number(o, "\"0x%" PRIx64 "\"", FIELD(uint64_t));
        break;
    case OUT_TYPE_MODE:
        number(o, "\"%04o\"", FIELD(uint32_t));
        break;
    case OUT_TYPE_TIME:
        time_text(o, FIELD(uint64_t));
        break;
    case OUT_TYPE_SPAN:
        emit(o, seconds, timefmt_seconds(seconds, FIELD(uint64_t)));
        break;
    case OUT_TYPE_VALUE:
        emit_str(o, FIELD(str_t));
        break;
    case OUT_TYPE_BYTES:
    case OUT_TYPE_END:
        break;
    }
    return true;
}
