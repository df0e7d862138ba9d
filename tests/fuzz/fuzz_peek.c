/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the BPF program has collected of a queue: it counts as messages only when it can be one. The
 * input is the counts, then the records.
 */
#include "fuzz.h"

#include "../../lib/msgq/walk.c"

enum { PRIORITY_MAX = 32767 };

struct seen {
    const struct msgq_walk *s;
    const char *end;
    uint64_t n, payload, last;
};

static int visit(const struct msgq_message *m, void *ctx)
{
    struct seen *seen = ctx;

    MUST(m->index == seen->s->first + seen->n && m->priority <= seen->last);
    MUST(m->length <= seen->s->limits.msgsize);
    if (m->data)
        MUST((const char *)m->data + m->length <= seen->end);
    seen->last = m->priority;
    seen->payload += m->length;
    seen->n++;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct msgq_peek_opts opts = {.heads = size && data[0] & 1};
    struct msgq_walk s = {
        .opts = &opts,
        .limits = {.messages = 8, .msgsize = 64, .type = PRIORITY_MAX, .by_type = true},
    };
    struct walk_collection got = {0};
    struct seen seen = {.s = &s, .last = PRIORITY_MAX};
    char *records;

    if (size < 8)
        return 0;
    got.messages = data[1];
    got.bytes = (uint64_t)(data[2] | data[3] << 8);
    got.payload = (uint64_t)(data[4] | data[5] << 8);
    size -= 8;
    if (got.bytes > size)
        return 0;
    records = malloc(got.bytes ? got.bytes : 1);
    MUST(records);
    memcpy(records, data + 8, got.bytes);
    if (check_records(&s, records, sizeof(struct walk_record), &got)) {
        s.head = sizeof(struct walk_record);
        s.records = records;
        s.got = got;
        seen.end = records + got.bytes;
        MUST(visit_window(&s, visit, &seen) == 0);
        MUST(seen.n == got.messages && seen.payload == got.payload);
    }
    free(records);
    return 0;
}
