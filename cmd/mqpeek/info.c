/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek info: all that can be known of a queue. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "info_sysv.h"
#include "mqpeek_verbs.h"
#include "pmq_inspect.h"
#include "qcmd.h"
#include "queue_row.h"
#include "timefmt.h"
#include "waits.h"

struct info_args {
    struct qcmd_common common;
};

/**
 * struct info_row - what info says beyond a row of list
 * @waiters_from: "bpf" or "proc"
 * @waiters_reason: why BPF could not be asked, NULL when it was
 * @charged_user: whose account the queue is charged to, NULL when not known
 * @charged_estimated: it is the owner, which is nearly always the same
 * @charged_total: all that is charged to that user, NULL in the estimate
 */
struct info_row {
    struct queue_row queue;
    struct set_state state;
    const char *waiters_from;
    const char *waiters_reason;
    char charged_user[40];
    uint32_t charged_uid;
    bool charged_estimated;
    uint64_t charged_total;
};

#define INFO(type, field, ...) OUT_##type(struct info_row, field, __VA_ARGS__)

static const struct out_col info_cols[] = {
    INFO(STR, queue.name, "name", "queue; null for one whose name is not known"),
    INFO(CHARS, queue.reference, "reference", "the operand that leads to it"),
    INFO(BOOL, queue.attr.unlinked, "unlinked", "it has no name any more"),
    INFO(U64, queue.ipc_ns, "ipc_namespace", "inode number of its IPC namespace"),
    INFO(U64, queue.attr.curmsgs, "depth", "messages waiting", .heading = "MSGS"),
    INFO(U64, queue.attr.maxmsg, "maxmsg", "most messages", .heading = "MAX"),
    INFO(SIZE, queue.attr.msgsize, "msgsize", "largest message, bytes", .heading = "SIZE"),
    INFO(SIZE, queue.attr.bytes, "bytes", "bytes waiting"),
    INFO(CHARS, queue.owner, "owner", "owner's name, or number"),
    INFO(U32, queue.attr.uid, "uid", "owner"),
    INFO(U32, queue.attr.gid, "gid", "group"),
    INFO(MODE, queue.attr.mode, "mode", "permissions"),
    INFO(TIME, queue.attr.changed, "changed", "last send or receive, or its creation"),
    INFO(SPAN, queue.age, "age", "since then"),
    INFO(STR, queue.notify, "notify", "registered notification: signal, thread, none (SIGEV_NONE)"),
    INFO(U32, queue.notify_pid, "notify_pid",
         "process that registered it; null for one in another pid namespace"),
    INFO(U32, queue.notify_signo, "notify_signo", "its signal"),
    INFO(SIZE, queue.charged, "charged",
         "bytes charged to its creator's RLIMIT_MSGQUEUE, full or empty"),
    INFO(CHARS, charged_user, "charged_user", "whom it is charged to"),
    INFO(U32, charged_uid, "charged_uid", "whom it is charged to"),
    INFO(BOOL, charged_estimated, "charged_estimated",
         "that is the owner, who is nearly always the creator; BPF tells exactly"),
    INFO(SIZE, charged_total, "charged_total", "bytes charged to that user for all queues"),
    INFO(BOOL, state.holders_complete, "holders_complete", "no process can have it open unseen"),
    INFO(BOOL, state.waiters_complete, "waiters_complete", "no blocked thread is missing"),
    INFO(STR, waiters_from, "waiters_from", "where blocked threads were found: bpf or proc"),
    INFO(STR, waiters_reason, "waiters_reason", "why not through BPF", .flags = OUT_OPTIONAL),
    OUT_END,
};

struct holder_row {
    struct pmq_holder h;
    uint32_t pid;
    uint32_t fd;
    const char *access;
};

static const struct out_col holder_cols[] = {
    OUT_U32(struct holder_row, pid, "pid",
            "process that has it open; null for one outside of this pid namespace"),
    OUT_CHARS(struct holder_row, h.comm, "comm", "its name"),
    OUT_U32(struct holder_row, fd, "fd", "descriptor"),
    OUT_STR(struct holder_row, access, "access", "read, write, both, or path (O_PATH: neither)"),
    OUT_BOOL(struct holder_row, h.nonblock, "nonblock", "opened O_NONBLOCK"),
    OUT_END,
};

struct waiter_row {
    struct pmq_waiter w;
    uint32_t tid;
    uint32_t pid;
    const char *direction;
};

static const struct out_col waiter_cols[] = {
    OUT_U32(struct waiter_row, tid, "tid", "blocked thread; null for one that is not visible here"),
    OUT_U32(struct waiter_row, pid, "pid", "its process"),
    OUT_CHARS(struct waiter_row, w.comm, "comm", "the thread's name"),
    OUT_STR(struct waiter_row, direction, "direction", "send or recv"),
    OUT_SPAN(struct waiter_row, w.since, "blocked", "for how long; null when that is not known"),
    OUT_END,
};

static const char *access_name(int access)
{
    if (access & O_PATH)
        return "path";
    switch (access) {
    case O_RDONLY:
        return "read";
    case O_WRONLY:
        return "write";
    case O_RDWR:
        return "both";
    default:
        return NULL;
    }
}

static void show_holders(struct out *out, const struct pmq_info *q)
{
    out_list_begin(out, "holders", holder_cols, 0);
    for (size_t i = 0; i < q->n_holders; i++) {
        const struct pmq_holder *h = &q->holders[i];
        struct holder_row row = {
            .h = *h,
            .pid = h->pid ? (uint32_t)h->pid : OUT_UNKNOWN_U32,
            .fd = (uint32_t)h->fd,
            .access = access_name(h->access),
        };

        out_row(out, &row);
    }
    out_list_end(out);
}

static void show_waiters(struct out *out, const struct pmq_waiter *v, size_t n)
{
    out_list_begin(out, "waiters", waiter_cols, 0);
    for (size_t i = 0; i < n; i++) {
        struct waiter_row row = {
            .w = v[i],
            .tid = v[i].tid ? (uint32_t)v[i].tid : OUT_UNKNOWN_U32,
            .pid = v[i].pid ? (uint32_t)v[i].pid : OUT_UNKNOWN_U32,
            .direction = queue_row_direction(v[i].direction),
        };

        out_row(out, &row);
    }
    out_list_end(out);
}

/* ---- whom the blocked wait for ---- */

/* Above a table, or in its place. */
static void title(struct out *out, const char *what, size_t n, bool complete)
{
    if (out_get_headings(out))
        out_text(out, "\n%s:%s", what,
                 n          ? ""
                 : complete ? " none"
                            : " none that is visible to you");
}

/* The first whose process can be named. The others wait for the same, behind it. */
static const struct pmq_waiter *first_of(const struct pmq_waiter *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].pid && v[i].tid)
            return &v[i];
    return NULL;
}

/* A thread that has ended since it was found blocked has no chain: @ret stays as it is. */
static int look_at_chain(const struct pmq_waiter *w, struct wait_report **ret, struct err *e)
{
    const struct wait_opts opts = {.pids = &w->pid, .threads = &w->tid, .n = 1};
    int r = wait_look(&opts, ret, e);

    return r == -ESRCH ? 0 : r;
}

static bool is_blocked_on(const struct wait_report *chain, const struct pmq_attr *a)
{
    return chain && chain->n_chain && chain->chain[0].waits &&
           chain->chain[0].object.kind == WAIT_MQ && chain->chain[0].object.inode == a->ino;
}

/* Each thread of the chain, and whom it waits for. */
static void show_chain(struct cli_ctx *ctx, const struct pmq_info *q, const struct pmq_waiter *v,
                       size_t n)
{
    _cleanup_(wait_report_freep) struct wait_report *chain = NULL;
    const struct pmq_waiter *first = first_of(v, n);
    struct err e = ERR_INIT;
    int r = first ? look_at_chain(first, &chain, &e) : 0;
    size_t length = is_blocked_on(chain, &q->attr) ? chain->n_chain : 0;

    if (out_get_mode(ctx->out) != OUT_MODE_TABLE) {
        waits_threads_json(ctx->out, "chain", length ? chain->chain : NULL, length);
    } else if (length) {
        title(ctx->out, "who waits for whom", length, true);
        for (size_t i = 0; i < length; i++)
            waits_line(ctx->out, "", &chain->chain[i], true);
    }
    if (r < 0)
        cli_note(ctx, "whom the blocked threads wait for cannot be told: %s", err_text(&e, r));
}

/* ---- finding it among all ---- */

/* This process has it open, too, to look at it. */
static void forget_self(struct pmq_info *q)
{
    size_t kept = 0;

    for (size_t i = 0; i < q->n_holders; i++)
        if (q->holders[i].pid != getpid())
            q->holders[kept++] = q->holders[i];
    q->n_holders = kept;
}

/* How the verb looks: a scan, of every namespace only when a queue lies in another one; and BPF. */
struct info_scan {
    struct pmq_set *set;
    bool all;
    struct pmq_inspector *inspector; /* NULL: @why not */
    struct err why;
    int error;
};

static struct pmq_info *find(const struct pmq_set *set, const struct pmq_attr *a)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->v[i].attr.dev == a->dev && set->v[i].attr.ino == a->ino)
            return &set->v[i];
    return NULL;
}

static int scan_for(struct info_scan *s, const struct pmq_attr *a, struct pmq_info **ret,
                    struct err *e)
{
    const unsigned int flags = PMQ_SCAN_HOLDERS | PMQ_SCAN_WAITERS | PMQ_SCAN_UNLINKED |
                               PMQ_SCAN_KERNEL;
    int r = s->set ? 0 : pmq_scan(flags, 0, &s->set, e);

    if (r < 0)
        return r;
    *ret = find(s->set, a);
    if (*ret || s->all)
        return 0;
    pmq_set_free(TAKE_PTR(s->set));
    s->all = true;
    r = pmq_scan(flags | PMQ_SCAN_ALL_NAMESPACES, 0, &s->set, e);
    if (r == 0)
        *ret = find(s->set, a);
    return r;
}

/* ---- the verb ---- */

/* What BPF knows better: who waits, and since when; and whose account pays. */
static void add_inspected(struct info_row *row, const struct pmq_inspect *in)
{
    uint64_t senders = 0;

    row->waiters_from = "bpf";
    row->state.waiters_complete = in->waiters_complete;
    for (size_t i = 0; i < in->n_waiters; i++)
        senders += in->waiters[i].direction == PMQ_SEND;
    row->queue.senders = senders;
    row->queue.receivers = in->n_waiters - senders;
    row->charged_estimated = false;
    row->charged_uid = in->charged_uid;
    row->charged_total = in->charged_bytes == PMQ_UNKNOWN ? OUT_UNKNOWN_U64 : in->charged_bytes;
}

static void show(struct cli_ctx *ctx, struct info_row *row, const struct pmq_info *q,
                 const struct pmq_inspect *in)
{
    queue_row_user(row->charged_uid, row->charged_user, sizeof(row->charged_user));
    out_item_begin(ctx->out, info_cols, row);
    title(ctx->out, "open in", q->n_holders, row->state.holders_complete);
    show_holders(ctx->out, q);
    if (in) {
        title(ctx->out, "blocked", in->n_waiters, in->waiters_complete);
        show_waiters(ctx->out, in->waiters, in->n_waiters);
        show_chain(ctx, q, in->waiters, in->n_waiters);
    } else {
        title(ctx->out, "blocked", q->n_waiters, row->state.waiters_complete);
        show_waiters(ctx->out, q->waiters, q->n_waiters);
        show_chain(ctx, q, q->waiters, q->n_waiters);
    }
    out_item_end(ctx->out);
}

static int info_queue(struct cli_ctx *ctx, struct info_scan *s, const struct pmq_queue *queue)
{
    const char *label = pmq_queue_label(queue);
    _cleanup_(pmq_inspect_freep) struct pmq_inspect *in = NULL;
    struct pmq_info alone = {.known = true};
    struct pmq_info *q = NULL;
    struct err e = ERR_INIT, why = ERR_INIT;
    struct info_row row = {.waiters_from = "proc", .charged_total = OUT_UNKNOWN_U64};
    int r = pmq_queue_attr(queue, &alone.attr);

    if (r == 0)
        r = scan_for(s, &alone.attr, &q, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "%s: cannot look into it", label);
    if (!q)
        q = &alone; /* nobody visible holds it, and its namespace cannot be listed */
    forget_self(q);
    queue_row_fill(&row.queue, s->set, q, timefmt_now(CLOCK_REALTIME));
    row.state = set_state_of(s->set);
    row.charged_estimated = true;
    row.charged_uid = q->attr.uid;
    r = s->inspector ? pmq_inspector_look(s->inspector, queue, &in, &why) : s->error;
    if (r == 0)
        add_inspected(&row, in);
    else
        row.waiters_reason = err_text(s->inspector ? &why : &s->why, r);
    show(ctx, &row, q, in);
    if (!row.state.holders_complete || !row.state.waiters_complete)
        cli_note(ctx, "%s: %s", label,
                 s->set->note[0] ? s->set->note : "blocked threads may be missing");
    return CLI_OK;
}

static int info_operand(struct cli_ctx *ctx, struct info_scan *s, size_t i)
{
    const char *operand = ctx->operands[i];
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    struct sysv_there there = {-1};
    struct sysv_queue sysv;
    bool is_sysv = sysv_ref_is(operand);
    int r = is_sysv ? qcmd_open_sysv(ctx, operand, &sysv, &there)
                    : qcmd_open(ctx, operand, PMQ_OPEN_READ, &q);

    if (r != CLI_OK)
        return r;
    if (i && out_get_headings(ctx->out))
        out_text(ctx->out, "%s", "");
    r = is_sysv ? info_sysv(ctx, &sysv) : info_queue(ctx, s, q);
    sysv_leave(&there);
    return r;
}

static int info_run(struct cli_ctx *ctx, const void *argp _unused_)
{
    struct info_scan s = {.why = ERR_INIT};

    s.error = pmq_inspector_new(&s.inspector, &s.why);
    out_list_begin(ctx->out, "queues", NULL, OUT_RECORDS);
    for (size_t i = 0; i < ctx->n_operands && !out_error(ctx->out); i++)
        (void)info_operand(ctx, &s, i);
    out_list_end(ctx->out);
    pmq_set_free(s.set);
    pmq_inspector_free(s.inspector);
    return ctx->status;
}

static const struct cli_example info_examples[] = {
    {"mqpeek info /jobs", "all of /jobs"},
    {"mqpeek info -J /jobs | jq -r '.queues[].waiters[].pid'", "processes that it blocks"},
    {NULL, NULL},
};

static const struct cli_table info_tables[] = {
    {"queues", info_cols},
    {"holders", holder_cols},
    {"waiters", waiter_cols},
    {"chain", waits_thread_cols},
    {NULL, NULL},
};

const struct cli_verb mqpeek_info_verb = {
    .name = "info",
    .operands = "QUEUE…",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_QUEUE,
    .summary = "holders, blocked threads, notification, cost",
    .description =
        "Shows the attributes of a queue, the processes that have it open, the threads that are "
        "blocked in mq_send(3) or mq_receive(3) (with BPF: in the order in which they will be "
        "served, and for how long they have waited), the registered notification, and the memory "
        "that it is charged, to whom.\n"
        "\n"
        "Where a thread is blocked, it follows the first of them: who could wake it, what that "
        "process in turn waits for, and so on. ipcbox stuck tells whether any of it can go on.\n"
        "\n"
        "Of a System V queue it shows the last sender and receiver, the creator, which message "
        "each "
        "blocked receiver waits for, and senders whose message is larger than the queue's limit: "
        "they wait for ever.\n"
        "\n"
        "Without BPF blocked threads are found in /proc, which does not tell for how long, and "
        "the user who is charged is taken to be the owner.",
    .examples = info_examples,
    .args_size = sizeof(struct info_args),
    .cols = NULL,
    .more_cols = info_tables,
    .run = info_run,
};
