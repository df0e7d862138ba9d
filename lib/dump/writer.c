/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing a dump: a line is built in a buffer, counted into the CRC, and given to the stream. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <zlib.h>

#include "base64.h"
#include "buf.h"
#include "cleanup.h"
#include "dump.h"
#include "dump_crc.h"
#include "escape.h"
#include "timefmt.h"

struct dump_writer {
    FILE *stream;
    struct buf line;
    struct dump_tally tally;
    size_t type; /* of the open record, in the tally */
    int error;
    uint64_t bytes;
    dump_watch_fn watch;
    void *watch_ctx;
};

static void put_key(struct dump_writer *w, const char *key)
{
    if (w->line.len > 1)
        buf_add_char(&w->line, ',');
    buf_add_char(&w->line, '"');
    buf_add_str(&w->line, key);
    buf_add(&w->line, "\":", 2);
}

static void put_base64(struct buf *b, const void *data, size_t n)
{
    char *at;

    buf_add_char(b, '"');
    at = buf_extend(b, b64_encoded_size(n));
    if (at)
        b64_encode(at, data, n);
    buf_add_char(b, '"');
}

/* Tools that edit dumps read numbers as doubles, which are exact up to 2^53: more is a string. */
static void put_u64(struct buf *b, uint64_t value)
{
    buf_printf(b, value > UINT64_C(1) << 53 ? "\"%" PRIu64 "\"" : "%" PRIu64, value);
}

void dump_put_str(struct dump_writer *w, const char *key, const char *value)
{
    put_key(w, key);
    if (esc_json(&w->line, value, strlen(value)))
        return;
    buf_printf(&w->line, ",\"%s_base64\":", key);
    put_base64(&w->line, value, strlen(value));
}

void dump_put_u64(struct dump_writer *w, const char *key, uint64_t value)
{
    put_key(w, key);
    put_u64(&w->line, value);
}

void dump_put_i64(struct dump_writer *w, const char *key, int64_t value)
{
    if (value >= 0) {
        dump_put_u64(w, key, (uint64_t)value);
        return;
    }
    put_key(w, key);
    buf_printf(&w->line, "%" PRId64, value);
}

void dump_put_bool(struct dump_writer *w, const char *key, bool value)
{
    put_key(w, key);
    buf_add_str(&w->line, value ? "true" : "false");
}

void dump_put_hex64(struct dump_writer *w, const char *key, uint64_t value)
{
    put_key(w, key);
    buf_printf(&w->line, "\"0x%" PRIx64 "\"", value);
}

void dump_put_mode(struct dump_writer *w, const char *key, uint32_t mode)
{
    put_key(w, key);
    buf_printf(&w->line, "\"%04o\"", mode & 07777);
}

void dump_put_time(struct dump_writer *w, const char *key, uint64_t realtime_ns)
{
    char text[TIMEFMT_RFC3339_SIZE];

    timefmt_rfc3339(text, realtime_ns);
    put_key(w, key);
    buf_printf(&w->line, "\"%s\"", text);
}

void dump_put_u64_array(struct dump_writer *w, const char *key, const uint64_t *v, size_t n)
{
    put_key(w, key);
    buf_add_char(&w->line, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(&w->line, ',');
        put_u64(&w->line, v[i]);
    }
    buf_add_char(&w->line, ']');
}

void dump_put_payload(struct dump_writer *w, const void *data, size_t captured, uint64_t length)
{
    dump_put_u64(w, "length", length);
    put_key(w, "data_base64");
    put_base64(&w->line, data, captured);
    if (captured == length && captured <= DUMP_TEXT_MAX && esc_is_utf8(data, captured)) {
        put_key(w, "text");
        (void)esc_json(&w->line, data, captured); /* it is UTF-8 */
    }
}

static void latch(struct dump_writer *w, int r)
{
    if (!w->error)
        w->error = r;
}

static void write_line(struct dump_writer *w)
{
    buf_add(&w->line, "}\n", 2);
    latch(w, buf_error(&w->line));
    if (!w->error && w->line.len > DUMP_LINE_MAX)
        latch(w, -EMSGSIZE);
    if (w->error)
        return;
    errno = 0;
    if (fwrite(w->line.data, 1, w->line.len, w->stream) != w->line.len)
        latch(w, errno ? -errno : -EIO);
    w->tally.crc = dump_crc(w->tally.crc, w->line.data, w->line.len);
    w->bytes += w->line.len;
}

void dump_begin(struct dump_writer *w, const char *type)
{
    int r = dump_tally_type(&w->tally, type, strlen(type), &w->type);

    if (r < 0)
        latch(w, r);
    buf_clear(&w->line);
    buf_add_char(&w->line, '{');
    put_key(w, "type");
    buf_printf(&w->line, "\"%s\"", type);
}

void dump_end(struct dump_writer *w)
{
    write_line(w);
    if (w->error)
        return;
    dump_tally_add(&w->tally, w->type);
    if (w->watch)
        w->watch(w->watch_ctx, w->tally.records, w->bytes);
}

void dump_writer_watch(struct dump_writer *w, dump_watch_fn watch, void *ctx)
{
    w->watch = watch;
    w->watch_ctx = ctx;
}

static void write_header(struct dump_writer *w, uint64_t version, const char *kind,
                         const char *tool, const char *backend)
{
    struct utsname un;

    buf_add_char(&w->line, '{');
    put_key(w, "type");
    buf_add_str(&w->line, "\"header\",\"format\":\"ipcbox-dump\"");
    dump_put_u64(w, "version", version);
    dump_put_str(w, "kind", kind);
    dump_put_str(w, "tool", tool);
    if (uname(&un) == 0) {
        dump_put_str(w, "kernel", un.release);
        dump_put_str(w, "host", un.nodename);
    }
    dump_put_time(w, "time", timefmt_now(CLOCK_REALTIME));
    if (backend)
        dump_put_str(w, "backend", backend);
    write_line(w);
}

int dump_writer_new_version(FILE *stream, uint64_t version, const char *kind, const char *tool,
                            const char *backend, struct dump_writer **ret)
{
    _cleanup_(dump_writer_freep) struct dump_writer *w = calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    w->stream = stream;
    write_header(w, version, kind, tool, backend);
    if (w->error)
        return w->error;
    *ret = TAKE_PTR(w);
    return 0;
}

int dump_writer_new(FILE *stream, const char *kind, const char *tool, const char *backend,
                    struct dump_writer **ret)
{
    return dump_writer_new_version(stream, DUMP_VERSION, kind, tool, backend, ret);
}

int dump_writer_flush(struct dump_writer *w)
{
    errno = 0;
    if (!w->error && fflush(w->stream) != 0)
        latch(w, errno ? -errno : -EIO);
    return w->error;
}

int dump_writer_error(const struct dump_writer *w)
{
    return w->error;
}

int dump_writer_finish(struct dump_writer *w)
{
    if (w->error)
        return w->error;
    buf_clear(&w->line);
    dump_tally_end_line(&w->tally, &w->line);
    latch(w, buf_error(&w->line));
    errno = 0;
    if (!w->error && fwrite(w->line.data, 1, w->line.len, w->stream) != w->line.len)
        latch(w, errno ? -errno : -EIO);
    return dump_writer_flush(w);
}

void dump_writer_free(struct dump_writer *w)
{
    if (!w)
        return;
    buf_done(&w->line);
    free(w);
}

void dump_writer_freep(struct dump_writer **w)
{
    dump_writer_free(*w);
}
