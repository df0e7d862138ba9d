/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek metrics of System V queues. Their labels are numbers, so nothing has to be escaped. */
#include "metrics_sysv.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>

#include "cleanup.h"
#include "queue_row.h"
#include "sysv.h"
#include "timefmt.h"

/* A gauge with one sample a queue: a uint64_t in struct queue_row; OUT_UNKNOWN_U64: no sample. */
struct family {
    const char *name;
    const char *unit;
    const char *help;
    size_t offset;
};

#define QUEUE(f) \
    (offsetof(struct queue_row, f) + 0 * sizeof((uint64_t *)0 == &((struct queue_row *)0)->f))

static const struct family families[] = {
    {"messages", NULL, "Messages waiting.", QUEUE(attr.curmsgs)},
    {"bytes", "bytes", "Bytes waiting.", QUEUE(attr.bytes)},
    {"limit_bytes", "bytes", "Most bytes that fit, and most messages.", QUEUE(limit)},
    {"blocked_senders", NULL, "Threads blocked in msgsnd().", QUEUE(senders)},
    {"blocked_receivers", NULL, "Threads blocked in msgrcv().", QUEUE(receivers)},
};

static void add_head(struct buf *b, const char *name, const char *unit, const char *help)
{
    buf_printf(b, "# HELP ipcbox_sysv_%s %s\n# TYPE ipcbox_sysv_%s gauge\n", name, help, name);
    if (unit)
        buf_printf(b, "# UNIT ipcbox_sysv_%s %s\n", name, unit);
}

static void add_sample(struct buf *b, const char *name, const struct queue_row *row)
{
    buf_printf(b, "ipcbox_sysv_%s{queue=\"%s\"", name, row->name);
    if (row->key[0])
        buf_printf(b, ",key=\"%s\"", row->key);
    buf_add_char(b, '}');
}

static void add_families(struct buf *b, const struct queue_row *rows, size_t n)
{
    for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
        add_head(b, families[f].name, families[f].unit, families[f].help);
        for (size_t i = 0; i < n; i++) {
            const void *at = (const char *)&rows[i] + families[f].offset;
            uint64_t v = *(const uint64_t *)at;

            if (v == OUT_UNKNOWN_U64)
                continue;
            add_sample(b, families[f].name, &rows[i]);
            buf_printf(b, " %" PRIu64 "\n", v);
        }
    }
    add_head(b, "changed_timestamp_seconds", "seconds", "Last send, receive or change.");
    for (size_t i = 0; i < n; i++) {
        add_sample(b, "changed_timestamp_seconds", &rows[i]);
        buf_printf(b, " %" PRIu64 "\n", rows[i].attr.changed / NSEC_PER_SEC);
    }
}

static void add_value(struct buf *b, const char *name, const char *unit, const char *help,
                      uint64_t v)
{
    add_head(b, name, unit, help);
    if (v != UINT64_MAX)
        buf_printf(b, "ipcbox_sysv_%s %" PRIu64 "\n", name, v);
}

int metrics_sysv(struct buf *b, struct err *e)
{
    _cleanup_(sysv_set_freep) struct sysv_set *set = NULL;
    _cleanup_(freep) struct queue_row *rows = NULL;
    uint64_t now = timefmt_now(CLOCK_REALTIME);
    struct sysv_limits limits;
    int r = sysv_list(true, &set, e);

    if (r < 0)
        return r == -ENOSYS ? 0 : r;
    rows = calloc(set->n + 1, sizeof(*rows));
    if (!rows)
        return -ENOMEM;
    sysv_limits_read(&limits);
    for (size_t i = 0; i < set->n; i++)
        queue_row_fill_sysv(&rows[i], set, &set->v[i], limits.msgmax, now);
    add_families(b, rows, set->n);
    add_value(b, "queues", NULL, "System V queues of this IPC namespace.", set->n);
    add_value(b, "limit_queues", NULL, "kernel.msgmni.", limits.msgmni);
    add_value(b, "limit_message_bytes", "bytes", "kernel.msgmax.", limits.msgmax);
    add_value(b, "limit_new_queue_bytes", "bytes", "kernel.msgmnb.", limits.msgmnb);
    return buf_error(b);
}
