/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek top: shows all queues repeatedly; on a terminal as a live table, else as snapshots. */
#include "top.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mqpeek_verbs.h"
#include "qcmd.h"
#include "timefmt.h"

enum top_rates { RATES_AUTO, RATES_COUNTED, RATES_SAMPLED };

static const char *const rates_names[] = {"auto", "counted", "sampled", NULL};

struct top_args {
    struct qcmd_common common;
    bool batch;
    uint64_t delay;
    uint64_t count;
    int sort;
    bool reverse;
    bool posix;
    bool sysv;
    const char *filter;
    int rates;
};

static const struct top_args top_defaults = {
    .common = {.max_snapshot = 64 * 1024 * 1024},
    .delay = NSEC_PER_SEC,
    .filter = "",
};

static const struct cli_opt top_opts[] = {
    CLI_FLAG(struct top_args, batch, 'b', "batch",
             "write snapshots, also on a terminal; so it does by itself in a pipe"),
    CLI_SPAN(struct top_args, delay, 'd', "delay", "SEC",
             "time between two pictures or snapshots; default 1", .min = NSEC_PER_SEC / 10,
             .max = 3600 * NSEC_PER_SEC),
    CLI_U64(struct top_args, count, 'N', "count", "COUNT", "end after COUNT snapshots", .min = 1,
            .max = UINT64_MAX),
    CLI_ENUM(struct top_args, sort, 0, "sort", NULL, "the order of the queues",
             pmq_watch_key_names),
    CLI_FLAG(struct top_args, reverse, 'r', "reverse", "the other way round"),
    CLI_STR(struct top_args, filter, 0, "filter", "TEXT", "only queues with TEXT in their name"),
    CLI_FLAG(struct top_args, posix, 0, "posix", "only POSIX queues"),
    CLI_FLAG(struct top_args, sysv, 0, "sysv", "only System V queues"),
    CLI_ENUM(struct top_args, rates, 0, "rates", NULL,
             "count messages in the kernel, or guess from the depth; auto: count if possible",
             rates_names),
    CLI_END,
};

struct top_row {
    uint64_t time;
    const char *queue;
    char label[TOP_NAME_SIZE];
    uint64_t messages;
    uint64_t max_messages;
    double in_rate;
    double out_rate;
    uint64_t sent;
    uint64_t received;
    uint64_t interval;
    const char *rates;
    uint64_t senders;
    uint64_t receivers;
    uint64_t oldest_wait;
    uint64_t holders;
    bool unlinked;
};

static const struct out_col top_cols[] = {
    OUT_TIME(struct top_row, time, "time", "when the snapshot was taken", .width = 15),
    OUT_CHARS(struct top_row, label, "queue", "its name, and whether it has lost it",
              .heading = "NAME", .flags = OUT_TEXT, .width = 12),
    OUT_STR(struct top_row, queue, "name", "of the queue", .flags = OUT_HIDDEN),
    OUT_U64(struct top_row, messages, "depth", "messages waiting", .heading = "MSGS", .width = 5),
    OUT_U64(struct top_row, max_messages, "maxmsg",
            "messages that fit; null of System V, where bytes count", .heading = "MAX", .width = 5),
    OUT_F64(struct top_row, in_rate, "in_per_second", "messages sent to it, a second",
            .heading = "IN/S", .width = 7),
    OUT_F64(struct top_row, out_rate, "out_per_second", "messages received from it, a second",
            .heading = "OUT/S", .width = 7),
    OUT_U64(struct top_row, sent, "sent", "messages sent to it since the last snapshot",
            .flags = OUT_HIDDEN),
    OUT_U64(struct top_row, received, "received",
            "messages received from it since the last snapshot", .flags = OUT_HIDDEN),
    OUT_SPAN(struct top_row, interval, "interval", "time since the last snapshot",
             .flags = OUT_HIDDEN),
    OUT_U64(struct top_row, senders, "sender_count", "threads blocked in mq_send()",
            .heading = "SEND"),
    OUT_U64(struct top_row, receivers, "receiver_count", "threads blocked in mq_receive()",
            .heading = "RECV"),
    OUT_SPAN(struct top_row, oldest_wait, "oldest_wait",
             "for how long the first of them has been blocked", .heading = "WAIT", .width = 6),
    OUT_STR(struct top_row, rates, "rates",
            "counted: exact; sampled: at least so many, from the depth", .flags = OUT_SPARE,
            .width = 7),
    OUT_U64(struct top_row, holders, "holder_count", "descriptors that are open on it",
            .heading = "HELD", .flags = OUT_HIDDEN),
    OUT_BOOL(struct top_row, unlinked, "unlinked", "it has no name any more", .flags = OUT_HIDDEN),
    OUT_END,
};

/* ---- reading ---- */

static int count_queue(void *ctx, uint64_t dev, uint64_t ino, struct msgq_counters *out)
{
    const struct top *t = ctx;

    if (dev & PMQ_WATCH_MORE)
        return msgq_follow_counters(t->counters.sysv, dev & ~PMQ_WATCH_MORE, ino, out);
    return msgq_follow_counters(t->counters.posix, dev, ino, out);
}

static int open_counters(struct top *t)
{
    const struct msgq_follow_opts opts = {.all = true, .counters_only = true};
    int r = qfollow_new(t->kinds, &opts, &t->counters, &t->why);

    if (r == 0)
        r = qfollow_start(&t->counters, &t->why);
    if (r < 0)
        qfollow_done(&t->counters);
    return r;
}

/*
 * Converts a System V queue. Its fill level is that of its bytes or of its messages, whichever is
 * higher.
 */
static struct pmq_watched watched_sysv(const struct sysv_info *q, uint64_t ipc_ns)
{
    const struct sysv_attr *a = &q->attr;
    struct pmq_watched w = {
        .attr =
            {
                .dev = PMQ_WATCH_MORE | ipc_ns,
                .ino = (uint64_t)a->id,
                .curmsgs = a->depth,
                .maxmsg = PMQ_UNKNOWN,
                .bytes = a->bytes,
                .uid = a->uid,
                .gid = a->gid,
                .mode = a->mode,
            },
        .known = true,
        .used = MAX(a->bytes, a->depth),
        .room = a->limit,
        .oldest_wait = PMQ_UNKNOWN,
        .waiters_complete = q->waiters_complete,
        .uncounted = sysv_may_read(a->id, NULL) < 0,
    };

    for (size_t i = 0; i < q->n_waiters; i++)
        if (q->waiters[i].sends)
            w.senders++;
        else
            w.receivers++;
    snprintf(w.attr.name, sizeof(w.attr.name), "sysv:%d", a->id);
    return w;
}

static int list_sysv(void *ctx _unused_, bool waiters, struct pmq_watched **v, size_t *n)
{
    _cleanup_(sysv_set_freep) struct sysv_set *set = NULL;
    struct pmq_watched *list;
    int r = sysv_list(waiters, &set, NULL);

    if (r < 0)
        return r == -ENOMEM ? r : 0;
    list = calloc(set->n + 1, sizeof(*list));
    if (!list)
        return -ENOMEM;
    for (size_t i = 0; i < set->n; i++)
        list[i] = watched_sysv(&set->v[i], set->ipc_ns);
    *v = list;
    *n = set->n;
    return 0;
}

static int top_begin(struct top *t, const struct top_args *args)
{
    struct pmq_watch_opts opts = {.sample = NSEC_PER_SEC / 4, .scan = 3 * NSEC_PER_SEC};
    struct err e = ERR_INIT;
    uint64_t next;
    int r;

    if (args->rates != RATES_SAMPLED) {
        r = open_counters(t);
        if (r < 0 && args->rates == RATES_COUNTED)
            return cli_fail(t->ctx, r, &t->why, "cannot count messages");
    } else {
        err_set(&t->why, -ECANCELED, NULL, "as told by --rates");
    }
    /* If this fails, the threads that /proc shows as blocked are used. */
    if (pmq_inspector_new(&t->inspector, NULL) == 0)
        opts.inspector = t->inspector;
    if (top_counts(t)) {
        opts.sample = NSEC_PER_SEC; /* without counters only the depths can be sampled */
        opts.count = count_queue;
        opts.count_ctx = t;
    }
    if (t->kinds & QFOLLOW_SYSV)
        opts.more = list_sysv;
    opts.only_more = !(t->kinds & QFOLLOW_POSIX);
    r = pmq_watch_new(&opts, &t->watch);
    if (r == 0)
        r = pmq_watch_look(t->watch, timefmt_now(CLOCK_MONOTONIC), &next, &e);
    if (r == 0)
        r = pmq_watch_interval(t->watch, timefmt_now(CLOCK_MONOTONIC), &e);
    if (r == 0)
        r = pmq_keep_privileges(true); /* the view of one queue reads its messages */
    return r < 0 ? cli_fail(t->ctx, r, &e, "cannot watch queues") : CLI_OK;
}

/* ---- snapshots ---- */

static uint64_t unless(bool unknown, uint64_t n)
{
    return unknown ? OUT_UNKNOWN_U64 : n;
}

static double rate(uint64_t messages, uint64_t interval)
{
    double r = pmq_watch_rate(messages, interval);

    return r < 0 ? OUT_UNKNOWN_F64 : r;
}

static void snapshot_row(const struct top *t, const struct pmq_watched *q, uint64_t now)
{
    struct top_row row = {
        .time = now,
        .queue = q->attr.name[0] ? q->attr.name : NULL,
        .messages = unless(!q->known, q->attr.curmsgs),
        .max_messages = unless(!q->known, q->attr.maxmsg),
        .in_rate = rate(q->sent, q->interval),
        .out_rate = rate(q->received, q->interval),
        .sent = q->sent,
        .received = q->received,
        .interval = q->interval,
        .rates = top_counts(t) ? "counted" : "sampled",
        .senders = unless(!q->senders && !q->waiters_complete, q->senders),
        .receivers = unless(!q->receivers && !q->waiters_complete, q->receivers),
        .oldest_wait = q->oldest_wait,
        .holders = unless(q->attr.dev & PMQ_WATCH_MORE || (!q->holders && !q->holders_complete),
                          q->holders),
        .unlinked = q->attr.unlinked,
    };

    top_name(row.label, q);
    out_row(t->ctx->out, &row);
}

static void show_snapshot(struct top *t)
{
    uint64_t taken = timefmt_now(CLOCK_REALTIME);
    const struct pmq_watched **v;
    size_t n = pmq_watch_select(t->watch, t->by, t->reverse, t->filter, &v);

    for (size_t i = 0; i < n; i++)
        snapshot_row(t, v[i], taken);
    out_flush(t->ctx->out);
    t->stream.done++;
}

/* Samples the queues as often as is due, until the interval is over. */
static int read_batch(void *verb, const struct pollfd *p, struct err *e)
{
    struct top *t = verb;
    uint64_t now = timefmt_now(CLOCK_MONOTONIC), next;
    int r;

    if (!p)
        return 0; /* an interval that was cut short is not shown */
    if (now >= t->interval_end) {
        t->interval_end = MAX(t->interval_end + t->delay, now);
        r = pmq_watch_interval(t->watch, now, e);
        if (r < 0)
            return r;
        show_snapshot(t);
    }
    r = pmq_watch_look(t->watch, now, &next, e);
    t->stream.next = MIN(next, t->interval_end);
    return r;
}

static int top_batch(struct top *t)
{
    static const struct cli_stream_ops ops = {.read = read_batch};
    uint64_t now = timefmt_now(CLOCK_MONOTONIC);
    struct err e = ERR_INIT;
    int r;

    if (top_counts(t))
        cli_note(t->ctx, "rates are counted in the kernel (BPF, %s)",
                 msgq_follow_backend(qfollow_reader(&t->counters)));
    else
        cli_note(t->ctx, "rates are at least what is shown, guessed from the depth: %s",
                 err_text(&t->why, -EOPNOTSUPP));
    if (pmq_watch_note(t->watch)[0])
        cli_note(t->ctx, "%s", pmq_watch_note(t->watch));
    t->stream.ops = &ops;
    t->stream.next = now;
    t->interval_end = now + t->delay;
    out_list_begin(t->ctx->out, "queues", top_cols, OUT_RECORDS | OUT_STREAM | OUT_BATCH);
    r = cli_stream_run(&t->stream, &e);
    out_list_end(t->ctx->out);
    return r < 0 ? cli_fail(t->ctx, r, &e, "cannot watch queues") : cli_stream_status(&t->stream);
}

static int top_live(struct top *t)
{
    struct term *term = NULL;
    struct err e = ERR_INIT, why = ERR_INIT;
    int r = term_open(STDOUT_FILENO, t->ctx->color, &term, &why);

    if (r < 0) {
        err_set(&e, r, "use --batch", "%s", err_text(&why, r));
        return cli_fail(t->ctx, r, &e, "cannot draw a live table");
    }
    r = top_screen(t, term, &e);
    term_close(term); /* restore the terminal before writing messages */
    return r < 0 ? cli_fail(t->ctx, r, &e, "cannot go on") : CLI_OK;
}

static int top_run(struct cli_ctx *ctx, const void *argp)
{
    const struct top_args *args = argp;
    bool batch = args->batch || args->count || !isatty(STDOUT_FILENO) ||
                 out_get_mode(ctx->out) != OUT_MODE_TABLE;
    struct top t = {
        .ctx = ctx,
        .peek =
            {
                .backend = ctx->backend,
                .max_snapshot = args->common.max_snapshot,
                .mq_syscall = (long)args->common.mq_syscall,
            },
        .delay = args->delay,
        .by = (enum pmq_watch_key)args->sort,
        .reverse = args->reverse,
    };
    int status, r;

    t.stream = (struct cli_stream){
        .ctx = ctx,
        .verb = &t,
        .what = "snapshots",
        .timeout = CLI_FOREVER,
        .period = CLI_FOREVER,
        .wanted = args->count,
    };

    if (strlen(args->filter) >= sizeof(t.filter))
        return cli_usage(ctx, "--filter is longer than %zu bytes", sizeof(t.filter) - 1);
    memcpy(t.filter, args->filter, strlen(args->filter) + 1);
    if (args->posix && args->sysv)
        return cli_usage(ctx, "--posix and --sysv exclude each other");
    t.kinds = args->sysv ? 0 : QFOLLOW_POSIX;
    if (args->sysv || (!args->posix && sysv_supported()))
        t.kinds |= QFOLLOW_SYSV;
    qcmd_tell_journals(ctx, NULL);
    status = top_begin(&t, args);
    r = status == CLI_OK ? cli_stream_begin(&t.stream) : 0;
    if (r < 0)
        status = cli_fail(ctx, r, NULL, "cannot catch signals");
    if (status == CLI_OK)
        status = batch ? top_batch(&t) : top_live(&t);
    pmq_watch_free(t.watch);
    pmq_inspector_free(t.inspector);
    qfollow_done(&t.counters);
    return status;
}

static const struct cli_example top_examples[] = {
    {"mqpeek top", "watch all queues; ? shows the keys"},
    {"mqpeek top -b -d 5 -J", "every queue every five seconds, one JSON object a line"},
    {"mqpeek top -b -N 1 --sort blocked", "which queues hold somebody up"},
    {NULL, NULL},
};

const struct cli_verb mqpeek_top_verb = {
    .name = "top",
    .summary = "watch all queues live: depth, rates, who is blocked",
    .description =
        "On a terminal: a table that is drawn again every second, with a bar for how full each "
        "queue is and the last minute as a small curve. Space pauses it, / filters by name, Enter "
        "opens a queue with its holders and messages, ? lists the keys, q leaves.\n\n"
        "Messages in and out are counted in the kernel where BPF may be used. Elsewhere they are "
        "guessed from how the depth changes, four times a second: at least so many, which is shown "
        "as 12+.\n\n"
        "Threads that are blocked are seen at every look where BPF may be used, with how long they "
        "have been. Elsewhere they are looked for in /proc every three seconds, as holders always "
        "are; /proc does not tell for how long. No queue is kept open.\n\n"
        "System V queues are in the same table. They are as full as their bytes, or their "
        "messages, make them (mqctl set --limit), nobody holds them, and who is blocked on them is "
        "looked for in /proc.",
    .examples = top_examples,
    .opts = top_opts,
    .args_size = sizeof(struct top_args),
    .defaults = &top_defaults,
    .cols = top_cols,
    .flags = CLI_STREAM,
    .run = top_run,
};
