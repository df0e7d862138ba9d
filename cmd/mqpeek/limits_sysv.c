/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek limits sysv: why msgget(), msgsnd() and msgrcv() fail, in figures. */
#include "limits_sysv.h"

#include <inttypes.h>
#include <stdio.h>

#include "cleanup.h"
#include "sysv.h"

/**
 * struct row - the limits of the IPC namespace, and how far they are used
 * @queue_count, @message_count, @bytes: of all queues together
 * @full_count: queues in which no further message of one byte fits
 * @fullest: the queue nearest to its limit, "" when there is none
 */
struct row {
    struct sysv_limits l;
    uint64_t queue_count;
    uint64_t message_count;
    uint64_t bytes;
    uint64_t full_count;
    char fullest[SYSV_REF_SIZE];
};

const struct out_col limits_sysv_cols[] = {
    OUT_U64(struct row, l.msgmni, "msgmni", "kernel.msgmni: most queues"),
    OUT_SIZE(struct row, l.msgmax, "msgmax", "kernel.msgmax: largest message, bytes"),
    OUT_SIZE(struct row, l.msgmnb, "msgmnb", "kernel.msgmnb: limit of a new queue, bytes"),
    OUT_U64(struct row, queue_count, "queue_count", "in this IPC namespace", .heading = "QUEUES"),
    OUT_U64(struct row, message_count, "message_count", "in all of them", .heading = "MESSAGES"),
    OUT_SIZE(struct row, bytes, "bytes", "bytes waiting"),
    OUT_U64(struct row, full_count, "full_count", "queues with no room for a message of a byte"),
    OUT_CHARS(struct row, fullest, "fullest", "the queue nearest to its limit"),
    OUT_END,
};

struct error_row {
    const char *error;
    const char *result;
    const char *why;
    const char *remedy;
};

const struct out_col limits_sysv_error_cols[] = {
    OUT_STR(struct error_row, error, "error", "errno of msgget(2), msgsnd(2), msgrcv(2)"),
    OUT_STR(struct error_row, result, "result",
            "ok, fails or unknown, now; depends: on the message or the caller"),
    OUT_STR(struct error_row, why, "why", "the figures", .flags = OUT_WRAP),
    OUT_STR(struct error_row, remedy, "remedy", "what to change; null when ok", .flags = OUT_WRAP),
    OUT_END,
};

static void add_up(struct row *row, const struct sysv_set *set)
{
    double most = -1;

    for (size_t i = 0; i < set->n; i++) {
        const struct sysv_attr *a = &set->v[i].attr;
        double share = a->limit ? (double)a->bytes / (double)a->limit : 1;

        row->queue_count++;
        row->message_count += a->depth;
        row->bytes += a->bytes;
        row->full_count += a->bytes >= a->limit || a->depth >= a->limit;
        if (share > most) {
            most = share;
            snprintf(row->fullest, sizeof(row->fullest), "sysv:%d", a->id);
        }
    }
}

static void tell(struct out *out, const char *error, const char *result, const char *why,
                 const char *remedy)
{
    const struct error_row row = {error, result, why, remedy};

    out_row(out, &row);
}

static void judge_queues(struct out *out, const struct row *row)
{
    bool fails = row->queue_count >= row->l.msgmni;
    char why[160];

    snprintf(why, sizeof(why),
             "msgget: %" PRIu64 " of %" PRIu64 " queues (msgmni) are in use in this IPC namespace",
             row->queue_count, row->l.msgmni);
    tell(out, "ENOSPC",
         row->l.msgmni == UINT64_MAX ? "unknown"
         : fails                     ? "fails"
                                     : "ok",
         why, fails ? "mqctl rm what nobody needs, or raise kernel.msgmni" : NULL);
}

static void judge_room(struct out *out, const struct row *row)
{
    char why[256];

    snprintf(why, sizeof(why),
             "msgsnd with IPC_NOWAIT: %" PRIu64 " of %" PRIu64
             " queues are full. A queue's limit (msg_qbytes, %" PRIu64
             " for a new one) bounds both its bytes and its messages",
             row->full_count, row->queue_count, row->l.msgmnb);
    tell(out, "EAGAIN", row->full_count ? "fails" : "ok", why,
         row->full_count ? "receive, or mqctl set --limit; mqpeek info tells who waits" : NULL);
}

static void judge_rest(struct out *out, const struct row *row)
{
    char why[256];

    snprintf(why, sizeof(why),
             "a message above %" PRIu64 " bytes (msgmax), a type below 1, or an id that does not "
             "exist (any more)",
             row->l.msgmax);
    tell(out, "EINVAL", "depends", why, "raise kernel.msgmax; mqpeek list shows the ids");
    tell(out, "E2BIG", "depends",
         "msgrcv: the message is longer than the receiver's buffer; it stays in the queue",
         "a larger buffer, or MSG_NOERROR, which cuts the message");
    tell(out, "EIDRM", "depends", "the queue was removed while the call waited", NULL);
    tell(out, "EACCES", "depends", "the queue's mode does not let the caller in",
         "mqctl set --mode, as its owner");
}

int limits_sysv(struct cli_ctx *ctx)
{
    _cleanup_(sysv_set_freep) struct sysv_set *set = NULL;
    struct row row = {.queue_count = 0};
    bool table = out_get_mode(ctx->out) == OUT_MODE_TABLE;
    struct err e = ERR_INIT;
    int r = sysv_list(false, &set, &e);

    if (r < 0)
        return cli_fail(ctx, r, &e, "cannot list System V queues");
    sysv_limits_read(&row.l);
    add_up(&row, set);
    if (!table) /* in lines of JSON, the object with the figures comes first */
        out_fields(ctx->out, limits_sysv_cols, &row);
    out_list_begin(ctx->out, "errors", limits_sysv_error_cols, OUT_RECORDS);
    judge_queues(ctx->out, &row);
    judge_room(ctx->out, &row);
    judge_rest(ctx->out, &row);
    out_list_end(ctx->out);
    if (table) {
        out_text(ctx->out, "%s", "");
        out_fields(ctx->out, limits_sysv_cols, &row);
    }
    return CLI_OK;
}
