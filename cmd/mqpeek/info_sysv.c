/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mqpeek info of a System V queue: which threads wait for which messages, whose message can never
 * fit, and which processes sent and received last.
 */
#include "info_sysv.h"

#include <inttypes.h>
#include <time.h>

#include "queue_row.h"
#include "timefmt.h"

struct sysv_row {
    struct queue_row queue;
    uint32_t cuid, cgid;
    char creator[40];
    uint64_t stime, rtime, ctime;
    uint32_t lspid, lrpid;
    bool waiters_complete;
};

#define INFO(type, field, ...) OUT_##type(struct sysv_row, field, __VA_ARGS__)

const struct out_col info_sysv_cols[] = {
    INFO(STR, queue.name, "name", "the operand that leads to it"),
    INFO(STR, queue.kind, "kind", "sysv"),
    INFO(U64, queue.id, "id", "its id"),
    INFO(CHARS, queue.key, "key", "its key; null for none (IPC_PRIVATE)"),
    INFO(U64, queue.ipc_ns, "ipc_namespace", "inode number of its IPC namespace"),
    INFO(U64, queue.attr.curmsgs, "depth", "messages waiting", .heading = "MSGS"),
    INFO(SIZE, queue.attr.bytes, "bytes", "bytes waiting"),
    INFO(SIZE, queue.limit, "limit", "most bytes, and most messages (msg_qbytes)"),
    INFO(SIZE, queue.attr.msgsize, "msgsize", "largest message, bytes (msgmax)", .heading = "SIZE"),
    INFO(CHARS, queue.owner, "owner", "owner's name, or number"),
    INFO(U32, queue.attr.uid, "uid", "owner"),
    INFO(U32, queue.attr.gid, "gid", "group"),
    INFO(CHARS, creator, "creator", "creator's name, or number"),
    INFO(U32, cuid, "cuid", "creator"),
    INFO(U32, cgid, "cgid", "creator's group"),
    INFO(MODE, queue.attr.mode, "mode", "permissions"),
    INFO(TIME, stime, "send_time", "last send; null for none"),
    INFO(U32, lspid, "lspid", "process that sent last; null for none, or one outside"),
    INFO(TIME, rtime, "recv_time", "last receive; null for none"),
    INFO(U32, lrpid, "lrpid", "process or thread that received last; null likewise"),
    INFO(TIME, ctime, "change_time", "its creation, or last change of attributes"),
    INFO(SPAN, queue.age, "age", "since the latest of the three"),
    INFO(BOOL, waiters_complete, "waiters_complete", "no blocked thread is missing"),
    OUT_END,
};

struct sysv_waiter_row {
    struct sysv_waiter w;
    uint32_t tid, pid;
    const char *direction;
    char wants[32];
    bool fits;
};

const struct out_col info_sysv_waiter_cols[] = {
    OUT_U32(struct sysv_waiter_row, tid, "tid",
            "blocked thread; null for one that is not visible here"),
    OUT_U32(struct sysv_waiter_row, pid, "pid", "its process"),
    OUT_CHARS(struct sysv_waiter_row, w.comm, "comm", "the thread's name"),
    OUT_STR(struct sysv_waiter_row, direction, "direction", "send or recv"),
    OUT_CHARS(struct sysv_waiter_row, wants, "wants",
              "of a receiver: any, equal N, not N, up to N"),
    OUT_SIZE(struct sysv_waiter_row, w.size, "length", "bytes of its message, or its buffer"),
    OUT_BOOL(struct sysv_waiter_row, fits, "fits",
             "false: its message is larger than the queue's limit, and never fits"),
    OUT_SPAN(struct sysv_waiter_row, w.since, "blocked", "for how long; null when not known"),
    OUT_END,
};

static uint64_t moment(uint64_t t)
{
    return t ? t : OUT_UNKNOWN_U64;
}

static uint32_t known_pid(pid_t pid)
{
    return pid ? (uint32_t)pid : OUT_UNKNOWN_U32;
}

static void fill(struct sysv_row *row, const struct sysv_info *info)
{
    const struct sysv_attr *a = &info->attr;
    const struct sysv_set set = {.ipc_ns = sysv_own_ipc_ns()};
    struct sysv_limits limits;

    sysv_limits_read(&limits);
    queue_row_fill_sysv(&row->queue, &set, info, limits.msgmax, timefmt_now(CLOCK_REALTIME));
    row->cuid = a->cuid;
    row->cgid = a->cgid;
    queue_row_user(a->cuid, row->creator, sizeof(row->creator));
    row->stime = moment(a->stime);
    row->rtime = moment(a->rtime);
    row->ctime = moment(a->ctime);
    row->lspid = known_pid(a->lspid);
    row->lrpid = known_pid(a->lrpid);
    row->waiters_complete = info->waiters_complete;
}

/*
 * A message without bytes still counts as one, because the limit also bounds the number of
 * messages.
 */
static bool fits(const struct sysv_waiter *w, const struct sysv_attr *a)
{
    return !w->sends || (w->size <= a->limit && a->limit > 0);
}

static void show_waiters(struct out *out, const struct sysv_info *info)
{
    out_list_begin(out, "waiters", info_sysv_waiter_cols, 0);
    for (size_t i = 0; i < info->n_waiters; i++) {
        const struct sysv_waiter *w = &info->waiters[i];
        struct sysv_waiter_row row = {
            .w = *w,
            .tid = known_pid(w->tid),
            .pid = known_pid(w->pid),
            .direction = w->sends ? "send" : "recv",
            .fits = fits(w, &info->attr),
        };

        if (!w->sends)
            sysv_want_format(w, row.wants, sizeof(row.wants));
        out_row(out, &row);
    }
    out_list_end(out);
}

int info_sysv(struct cli_ctx *ctx, const struct sysv_queue *q)
{
    struct sysv_info info;
    struct sysv_row row;
    struct err e = ERR_INIT;
    int r = sysv_info_get(q, &info, &e);

    if (r < 0)
        return cli_fail(ctx, r, &e, "%s: cannot look into it", q->label);
    fill(&row, &info);
    out_item_begin(ctx->out, info_sysv_cols, &row);
    if (out_get_headings(ctx->out))
        out_text(ctx->out, "\nblocked:%s",
                 info.n_waiters          ? ""
                 : info.waiters_complete ? " none"
                                         : " none that is visible to you");
    show_waiters(ctx->out, &info);
    out_item_end(ctx->out);
    for (size_t i = 0; i < info.n_waiters; i++)
        if (!fits(&info.waiters[i], &info.attr))
            cli_note(ctx,
                     "%s: the message of %s[%d] has %" PRIu64 " bytes and never fits: the limit is "
                     "%" PRIu64 " (mqctl set --limit)",
                     q->label, info.waiters[i].comm, (int)info.waiters[i].pid, info.waiters[i].size,
                     info.attr.limit);
    if (!info.waiters_complete)
        cli_note(ctx, "%s: blocked threads may be missing: not every thread could be looked at",
                 q->label);
    sysv_info_done(&info);
    return CLI_OK;
}
