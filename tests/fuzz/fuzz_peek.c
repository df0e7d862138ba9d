/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the BPF program has collected of a queue: it counts as messages only when it can be one. The
 * input is the counts, then the records.
 */
#include "fuzz.h"

#include "../../lib/pmq/backend_bpf.c"

struct seen {
    const struct bpf_state *s;
    const char *end;
    uint64_t n, payload, last;
};

static int visit(const struct pmq_message *m, void *ctx)
{
    struct seen *seen = ctx;

    MUST(m->index == seen->s->first + seen->n && m->priority <= seen->last);
    MUST(m->length <= (uint64_t)seen->s->attr.mq_msgsize);
    if (m->data)
        MUST((const char *)m->data + m->length <= seen->end);
    seen->last = m->priority;
    seen->payload += m->length;
    seen->n++;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pmq_peek_opts opts = {.heads = size && data[0] & 1};
    struct bpf_state s = {.opts = &opts, .attr = {.mq_maxmsg = 8, .mq_msgsize = 64}};
    struct peek_collection got = {0};
    struct seen seen = {.s = &s, .last = PMQ_PRIO_MAX};
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
    if (check_records(&s, records, &got)) {
        s.records = records;
        s.got = got;
        seen.end = records + got.bytes;
        MUST(visit_window(&s, visit, &seen) == 0);
        MUST(seen.n == got.messages && seen.payload == got.payload);
    }
    free(records);
    return 0;
}
