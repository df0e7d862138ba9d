/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * D-Bus and Varlink out of a stream: the input in pieces, the length of each in its first byte.
 * What is shown of a message is strict JSON, and the same for the same bytes in one piece.
 */
#include "cleanup.h"
#include "dump_json.h"
#include "escape.h"
#include "fuzz.h"
#include "proto.h"

struct sum {
    size_t n;
    uint64_t bytes;
};

static void is_json(const struct buf *json)
{
    struct json_member members[16];
    const char *why = NULL;

    MUST(!memchr(json->data, '\n', json->len));
    MUST(esc_is_utf8(json->data, json->len));
    MUST(json_scan_object(json->data, json->len, members, 16, &why) >= 0);
}

static int on_message(const struct proto_message *m, void *ctx)
{
    _cleanup_(buf_done) struct buf json = BUF_INIT, line = BUF_INIT;
    struct proto_dbus again;
    struct sum *sum = ctx;

    sum->n++;
    sum->bytes += m->len + m->skipped;
    if (m->kind == PROTO_DBUS) {
        MUST(proto_dbus_size(m->data, m->len) == (ssize_t)m->len);
        MUST(proto_dbus_parse(m->data, m->len, &again) == 0);
        proto_dbus_json(m->dbus, &json);
        proto_dbus_line(m->dbus, &line);
    } else {
        MUST(m->kind == PROTO_VARLINK);
        buf_add_str(&json, m->json);
    }
    is_json(&json);
    return 0;
}

static void feed(struct proto_stream *s, const uint8_t *data, size_t n, struct sum *sum)
{
    void *exact = malloc(n ? n : 1); /* of its exact size, for the sanitizer */

    MUST(exact);
    memcpy(exact, data, n);
    MUST(proto_stream_feed(s, exact, n, on_message, sum) == 0);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proto_stream pieces = {0}, one = {0};
    struct sum a = {0}, b = {0};
    size_t step;

    if (size < 2)
        return 0;
    pieces.want = one.want = data[0] % 4;
    step = (size_t)data[1] + 1;
    for (size_t at = 2; at < size; at += step)
        feed(&pieces, data + at, step < size - at ? step : size - at, &a);
    feed(&one, data + 2, size - 2, &b);
    /* In one piece more may be seen: what is too long to wait for is not waited for. */
    MUST(a.n <= b.n);
    MUST(a.bytes <= size && b.bytes <= size);
    MUST(proto_stream_pending(&one) <= size);
    proto_stream_gap(&one, 5);
    MUST(proto_stream_pending(&one) == 0);
    proto_stream_done(&pieces);
    proto_stream_done(&one);
    return 0;
}
