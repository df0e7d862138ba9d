/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqctl rm: removes queues, and says who still has them open. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "mqctl.h"

struct rm_row {
    const char *queue;
    bool holders_complete;
};

static const struct out_col rm_cols[] = {
    OUT_STR(struct rm_row, queue, "queue", "as it was asked for", .flags = OUT_JSON),
    OUT_BOOL(struct rm_row, holders_complete, "holders_complete",
             "every process could be looked at; of System V nobody holds a queue",
             .flags = OUT_JSON),
    OUT_END,
};

struct holder_row {
    uint32_t pid;
    int32_t fd;
    char comm[16];
};

static const struct out_col holder_cols[] = {
    OUT_U32(struct holder_row, pid, "pid", "process that still has it open", .flags = OUT_JSON),
    OUT_I32(struct holder_row, fd, "fd", "descriptor in it", .flags = OUT_JSON),
    OUT_CHARS(struct holder_row, comm, "comm", "its name", .flags = OUT_JSON),
    OUT_END,
};

/* The queue's identity, while it has a name. Who may not open it may still remove it. */
static bool identity(const struct mqio_ref *ref, struct pmq_attr *out)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;

    return !ref->is_sysv &&
           (pmq_queue_open(&ref->posix, PMQ_OPEN_READ, &q, NULL) == 0 ||
            pmq_queue_open(&ref->posix, PMQ_OPEN_SEND, &q, NULL) == 0) &&
           pmq_queue_attr_basic(q, out) == 0;
}

static void tell(struct cli_ctx *ctx, const char *queue, const struct pmq_info *q, bool complete)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    for (size_t i = 0; q && i < q->n_holders; i++)
        buf_printf(&b, "%s%.16s[%d] (descriptor %d)", i ? ", " : "", q->holders[i].comm,
                   (int)q->holders[i].pid, q->holders[i].fd);
    if (b.len)
        cli_note(ctx, "%s: still open in %s%s", queue, buf_str(&b),
                 complete ? "" : ", and maybe in processes that cannot be seen");
    else if (!complete)
        cli_note(ctx, "%s: processes that cannot be seen may still have it open", queue);
}

/* @ref is gone; @attr says which queue it was, if that is known. */
static void show(struct cli_ctx *ctx, const char *queue, const struct pmq_attr *attr, bool is_sysv)
{
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    const struct pmq_info *q = NULL;
    struct rm_row row = {.queue = queue, .holders_complete = is_sysv};

    if (attr && pmq_scan(PMQ_SCAN_HOLDERS | PMQ_SCAN_UNLINKED, 0, &set, NULL) == 0) {
        for (size_t i = 0; i < set->n; i++)
            if (set->v[i].attr.dev == attr->dev && set->v[i].attr.ino == attr->ino)
                q = &set->v[i];
        row.holders_complete = set->holders_complete;
    }
    out_item_begin(ctx->out, rm_cols, &row);
    out_list_begin(ctx->out, "holders", holder_cols, 0);
    for (size_t i = 0; out_get_mode(ctx->out) != OUT_MODE_TABLE && q && i < q->n_holders; i++) {
        struct holder_row h = {.pid = (uint32_t)q->holders[i].pid, .fd = q->holders[i].fd};

        memcpy(h.comm, q->holders[i].comm, sizeof(h.comm));
        out_row(ctx->out, &h);
    }
    out_list_end(ctx->out);
    out_item_end(ctx->out);
    if (out_get_mode(ctx->out) == OUT_MODE_TABLE)
        tell(ctx, queue, q, row.holders_complete);
}

static int rm_run(struct cli_ctx *ctx, const void *argp _unused_)
{
    out_list_begin(ctx->out, "queues", NULL, 0);
    for (size_t i = 0; i < ctx->n_operands; i++) {
        const char *queue = ctx->operands[i];
        struct pmq_attr attr;
        struct mqio_ref ref;
        struct err e = ERR_INIT;
        bool known;
        int r;

        if (mqctl_ref(ctx, queue, &ref) != CLI_OK)
            continue;
        known = identity(&ref, &attr);
        r = mqio_remove(&ref, &e);
        if (r == -EINVAL)
            (void)cli_usage(ctx, "%s: %s", queue, err_text(&e, r));
        else if (r < 0)
            (void)cli_fail(ctx, r, &e, "%s: not removed", queue);
        else
            show(ctx, queue, known ? &attr : NULL, ref.is_sysv);
    }
    out_list_end(ctx->out);
    return ctx->status;
}

static const struct cli_example rm_examples[] = {
    {"mqctl rm /jobs /copy", "two POSIX queues"},
    {"mqctl rm key:0x4d51", "a System V queue, with all that waits in it"},
    {NULL, NULL},
};

static const struct cli_table rm_tables[] = {
    {"queues", rm_cols},
    {"holders", holder_cols},
    {NULL, NULL},
};

const struct cli_verb mqctl_rm_verb = {
    .name = "rm",
    .operands = "QUEUE…",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_QUEUE,
    .summary = "remove queues",
    .description =
        "A POSIX queue loses its name, and is gone with its messages when the last process that "
        "has it open closes it: who that is, is told. A System V queue is gone at once, and "
        "whoever "
        "is blocked on it gets an error.",
    .examples = rm_examples,
    .more_cols = rm_tables,
    .run = rm_run,
};
