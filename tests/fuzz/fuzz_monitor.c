/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of the ring buffer of `b1ctl monitor`: a sequence, each after its length in two bytes.
 * And the lines in which a served bus tells its events, when the first byte is odd.
 */
#include "fuzz.h"

#include "../../lib/bus1/trace/bus_monitor.c"

#include "bus_recorder.h"

static struct b1_recorder *recorder;

static int visit(const struct b1_monitor_event *ev, void *ctx)
{
    unsigned int *sum = ctx;

    MUST(b1_recorder_call(recorder, ev) == 0);
    if (ev->begun % 3 == 0)
        MUST(b1_recorder_look(recorder) == 0);
    MUST(b1_recorder_settle(recorder, 0) == 0);
    if (ev->lost)
        return 0;
    MUST(memchr(ev->comm, '\0', sizeof(ev->comm)));
    for (size_t i = 0; i < B1_PARTS; i++)
        for (size_t k = 0; k < ev->part[i].len; k++)
            *sum += ((const uint8_t *)ev->part[i].data)[k];
    return *sum % 256 == 255;
}

struct job {
    struct b1_monitor *monitor;
    struct b1_event_lists lists;
    uint64_t now;
};

/* What is recorded can be written, and read again. */
static int on_event(void *ctx, const struct b1_event *ev)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    struct job *job = ctx;
    struct b1_event again;

    b1_event_write(&text, ev, true);
    MUST(buf_error(&text) == 0 && text.len > 0);
    text.data[--text.len] = '\0';
    MUST(b1_event_parse(text.data, &job->lists, &again) == 0);
    MUST(again.kind == ev->kind && again.unseen == ev->unseen && again.outside);
    return 0;
}

static uint64_t oldest(void *ctx)
{
    const struct job *job = ctx;

    return b1_monitor_oldest(job->monitor);
}

static bool is_open(void *ctx _unused_, const struct b1_monitor_file *file)
{
    return file->file % 2;
}

static uint64_t now(void *ctx)
{
    struct job *job = ctx;

    return job->now += 1000 * 1000;
}

static void records(const uint8_t *data, size_t size)
{
    struct b1_monitor *m = calloc(1, sizeof(*m));
    struct job job = {.monitor = m};
    const struct b1_recorder_opts opts = {
        .event = on_event, .oldest = oldest, .is_open = is_open, .now = now, .ctx = &job};
    unsigned int sum = 0;

    MUST(m);
    MUST(b1_recorder_new(&opts, &recorder) == 0);
    m->visit = visit;
    m->ctx = &sum;
    while (size >= 2) {
        size_t n = MIN((size_t)(data[0] | data[1] << 8), size - 2);
        void *record = malloc(n ? n : 1); /* of its exact size, for the sanitizer */

        MUST(record);
        memcpy(record, data + 2, n);
        on_record(m, record, n);
        free(record);
        data += 2 + n;
        size -= 2 + n;
    }
    b1_monitor_unfinished(m, visit, &sum);
    for (size_t i = 0; i < BUCKETS; i++)
        MUST(!m->calls[i]);
    MUST(b1_recorder_end(recorder) == 0);
    b1_recorder_free(recorder);
    b1_event_lists_done(&job.lists);
    free(m);
}

/* What is written is read again as the same. */
static void line(const uint8_t *data, size_t size)
{
    _cleanup_(buf_done) struct buf once = BUF_INIT, twice = BUF_INIT;
    struct b1_event_lists lists = {0}, again = {0};
    char *text = fuzz_string(data, size), *copy;
    struct b1_event ev;

    if (b1_event_parse(text, &lists, &ev) == 0) {
        b1_event_write(&once, &ev, true);
        MUST(buf_error(&once) == 0 && once.len > 0 && once.data[once.len - 1] == '\n');
        copy = fuzz_string((const uint8_t *)once.data, once.len - 1);
        MUST(b1_event_parse(copy, &again, &ev) == 0);
        b1_event_write(&twice, &ev, true);
        MUST(once.len == twice.len && !memcmp(once.data, twice.data, once.len));
        free(copy);
    }
    b1_event_lists_done(&lists);
    b1_event_lists_done(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (data[0] & 1)
        line(data + 1, size - 1);
    else
        records(data + 1, size - 1);
    return 0;
}
