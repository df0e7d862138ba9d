/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lib/base: numbers, escaping and base 64 of foreign bytes. */
#include <locale.h>

#include "base64.h"
#include "buf.h"
#include "cleanup.h"
#include "escape.h"
#include "fuzz.h"
#include "parse.h"

static void numbers(const char *s)
{
    uint64_t v = 0;
    uint32_t mode = 0;

    if (parse_u64(s, &v) == 0) {
        uint64_t w = 0;

        MUST(parse_u64_max(s, v, &w) == 0 && w == v);
        MUST(v == 0 || parse_u64_max(s, v - 1, &w) < 0);
    }
    parse_size(s, &v);
    parse_span(s, &v);
    MUST(parse_mode(s, &mode) < 0 || mode <= 0777);
}

/* What is shown on a terminal is text, and cutting it to a width keeps it within the width. */
static void escaping(const uint8_t *data, size_t size)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    size_t columns, cut;

    esc_terminal(&b, data, size);
    MUST(buf_error(&b) == 0);
    MUST(b.len >= size);
    for (size_t i = 0; i < b.len; i++)
        MUST((uint8_t)b.data[i] >= ' ' && b.data[i] != 0x7f);
    MUST(esc_is_text(b.data ? b.data : "", b.len));
    columns = esc_columns(buf_str(&b), b.len);
    cut = esc_fit(buf_str(&b), b.len, columns / 2);
    MUST(cut <= b.len && esc_columns(buf_str(&b), cut) <= columns / 2);
    MUST(esc_fit(buf_str(&b), b.len, columns) == b.len);
    if (esc_is_text(data, size))
        MUST(esc_is_utf8(data, size));
    buf_clear(&b);
    esc_hex(&b, data, size, 64);
}

static void base64(const uint8_t *data, size_t size)
{
    _cleanup_(freep) char *text = malloc(b64_encoded_size(size) + 1);
    _cleanup_(freep) uint8_t *back = malloc(b64_decoded_max(b64_encoded_size(size)) + 1);
    ssize_t n;

    MUST(text && back);
    b64_encode(text, data, size);
    MUST(b64_decode(back, text, b64_encoded_size(size)) == (ssize_t)size);
    MUST(size == 0 || memcmp(back, data, size) == 0);
    /* and what is decoded was in the only form there is */
    n = b64_decode(back, (const char *)data, size);
    if (n >= 0) {
        MUST(b64_encoded_size((size_t)n) == size);
        b64_encode(text, back, (size_t)n);
        MUST(size == 0 || memcmp(text, data, size) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *s = fuzz_string(data, size);

    setlocale(LC_CTYPE, "C.UTF-8");
    numbers(s);
    escaping(data, size);
    base64(data, size);
    free(s);
    return 0;
}
