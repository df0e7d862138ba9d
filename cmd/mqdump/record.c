/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqdump record: the traffic of queues into a file. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cleanup.h"
#include "cli_stream.h"
#include "fileio.h"
#include "mqdump_verbs.h"
#include "msgdump.h"
#include "pmq_follow.h"
#include "privileges.h"
#include "qcmd.h"
#include "qfollow.h"
#include "timefmt.h"

struct record_args {
    struct qcmd_common common;
    const char *file;
    uint64_t duration;
    uint64_t count;
};

static const struct record_args record_defaults = {
    .common = {.max_snapshot = 64 * 1024 * 1024},
    .duration = CLI_FOREVER,
};

static const struct cli_opt record_opts[] = {
    CLI_STR(struct record_args, file, 'O', "output-file", "FILE",
            "write there, whole or not at all, instead of to standard output",
            .complete = CLI_COMPLETE_FILE),
    CLI_SPAN(struct record_args, duration, 0, "duration", "SEC", "stop after that time"),
    CLI_U64(struct record_args, count, 'N', "count", "COUNT", "stop after COUNT events", .min = 1,
            .max = UINT64_MAX),
    CLI_END,
};

struct recording {
    struct cli_ctx *ctx;
    const struct record_args *args;
    struct qfollow followers;
    unsigned int kinds; /* QFOLLOW_… */
    struct dump_writer *w;
    struct cli_stream stream;
};

static void put_traffic(struct dump_writer *w, const struct msgq_event *ev)
{
    dump_begin(w, "event");
    dump_put_str(w, "event", ev->kind == MSGQ_EVENT_SEND ? "send" : "recv");
    dump_put_time(w, "time", ev->time);
    dump_put_str(w, "order", ev->order == MSGQ_ORDER_EXACT ? "exact" : "approximate");
    dump_put_str(w, "queue", ev->label);
    if (ev->pid) {
        dump_put_u64(w, "pid", (uint64_t)ev->pid);
        dump_put_u64(w, "tid", (uint64_t)ev->tid);
    }
    dump_put_str(w, "comm", ev->comm);
    if (ev->sysv)
        dump_put_i64(w, "mtype", ev->type);
    else if (ev->priority != MSGQ_PRIO_UNKNOWN)
        dump_put_u64(w, "priority", ev->priority);
    if (ev->blocked != PMQ_UNKNOWN)
        dump_put_u64(w, "blocked_ns", ev->blocked);
    dump_put_payload(w, ev->data, ev->captured, ev->length);
    dump_end(w);
}

/* A System V queue was removed, or its owner, mode or limit set. */
static void put_control(struct dump_writer *w, const struct msgq_event *ev)
{
    dump_begin(w, ev->kind == MSGQ_EVENT_REMOVE ? "sysv_remove" : "sysv_change");
    dump_put_time(w, "time", ev->time);
    dump_put_str(w, "queue", ev->label);
    if (ev->pid) {
        dump_put_u64(w, "pid", (uint64_t)ev->pid);
        dump_put_u64(w, "tid", (uint64_t)ev->tid);
    }
    dump_put_str(w, "comm", ev->comm);
    if (ev->known) {
        dump_put_u64(w, "uid", ev->uid);
        dump_put_u64(w, "gid", ev->gid);
        dump_put_mode(w, "mode", ev->mode);
        dump_put_u64(w, "limit", ev->limit);
    }
    dump_end(w);
}

/* Return: 1 when there are enough, or nothing more can be written. */
static int write_event(const struct msgq_event *ev, void *ctx)
{
    struct recording *r = ctx;

    r->stream.seen++;
    switch (ev->kind) {
    case MSGQ_EVENT_SEND:
    case MSGQ_EVENT_RECEIVE:
        put_traffic(r->w, ev);
        r->stream.done++;
        break;
    case MSGQ_EVENT_REMOVE:
    case MSGQ_EVENT_CHANGE:
        put_control(r->w, ev);
        break;
    case MSGQ_EVENT_LOST:
    case MSGQ_EVENT_UNCOVERED:
        dump_begin(r->w, ev->kind == MSGQ_EVENT_LOST ? "lost" : "uncovered");
        dump_put_time(r->w, "time", ev->time);
        if (ev->kind == MSGQ_EVENT_LOST)
            dump_put_u64(r->w, "count", ev->count);
        dump_end(r->w);
        break;
    }
    return cli_stream_is_done(&r->stream) || dump_writer_error(r->w) < 0;
}

static size_t sources(void *verb, struct pollfd *p)
{
    const struct recording *r = verb;

    *p = (struct pollfd){.fd = msgq_follow_fd(qfollow_reader(&r->followers)), .events = POLLIN};
    return 1;
}

static int read_some(void *verb, const struct pollfd *p _unused_, struct err *e)
{
    struct recording *r = verb;
    int k = msgq_follow_read(qfollow_reader(&r->followers), write_event, r, e), flushed = 0;

    if (k >= 0)
        flushed = dump_writer_flush(r->w);
    return flushed < 0 ? flushed : k;
}

static void stop(void *verb)
{
    struct recording *r = verb;

    qfollow_stop(&r->followers);
}

/* A reader that has stopped reading keeps this process, not the whole machine. */
static void cut(void *verb)
{
    struct recording *r = verb;

    qfollow_cut(&r->followers);
}

static const struct cli_stream_ops record_ops = {
    .sources = sources,
    .read = read_some,
    .stop = stop,
    .cut = cut,
};

static int add_posix(struct recording *r, const char *operand)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    struct err e = ERR_INIT;
    int k;

    if (qcmd_open(r->ctx, operand, PMQ_OPEN_READ, &q) != CLI_OK)
        return r->ctx->status;
    k = pmq_follow_add(r->followers.posix, q, NULL, &e);
    return k < 0 ? cli_fail(r->ctx, k, &e, "%s: cannot follow", operand) : CLI_OK;
}

static int add_queues(struct recording *r)
{
    int k = CLI_OK;

    for (size_t i = 0; i < r->ctx->n_operands && k == CLI_OK; i++) {
        const char *operand = r->ctx->operands[i];

        k = sysv_ref_is(operand) ? qfollow_add_sysv(r->ctx, &r->followers, operand)
                                 : add_posix(r, operand);
    }
    return k;
}

static void tell_totals(const struct recording *r)
{
    struct msgq_follow_totals t;

    qfollow_totals(&r->followers, &t);
    cli_note(r->ctx, "%" PRIu64 " events recorded", r->stream.done);
    if (t.lost)
        cli_note(r->ctx, "%" PRIu64 " events came too fast and are lost; the dump has the places",
                 t.lost);
    if (t.uncovered)
        cli_note(r->ctx, "%" PRIu64 " calls of 32-bit programs could not be recorded", t.uncovered);
}

/* Of what cannot be finished, what was recorded stays beside the file. */
static int finish(struct recording *r, struct file_out *out)
{
    struct cli_ctx *ctx = r->ctx;
    int k = dump_writer_finish(r->w);
    const char *partial;

    if (k == 0 && out)
        k = file_out_commit(out);
    if (k == -EPIPE)
        return ctx->status;
    if (k < 0) {
        cli_fail_write(ctx, k, r->args->file);
        partial = out ? file_out_keep(out) : NULL;
        if (partial)
            cli_note(ctx, "what was recorded is in %s (mqdump seal --partial makes it whole)",
                     partial);
        return ctx->status;
    }
    tell_totals(r);
    /* The end of --duration is as good an end as --count. */
    return cli_interrupted() ? cli_stream_status(&r->stream) : CLI_OK;
}

static int record_stream(struct recording *r, struct file_out *out)
{
    _cleanup_(cli_progress_end) struct cli_progress progress = {.ctx = NULL};
    struct cli_ctx *ctx = r->ctx;
    struct err e = ERR_INIT;
    int k = cli_stream_begin(&r->stream);

    if (k == 0)
        k = dump_writer_new_version(out ? file_out_stream(out) : stdout,
                                    r->kinds & QFOLLOW_SYSV ? DUMP_VERSION_SYSV : DUMP_VERSION,
                                    MSGDUMP_KIND_TRAFFIC, ctx->applet->name,
                                    msgq_follow_backend(qfollow_reader(&r->followers)), &r->w);
    if (k == 0) {
        cli_progress_begin(ctx, "records", !out, &progress);
        dump_writer_watch(r->w, cli_progress_at, &progress);
    }
    if (k == 0)
        k = qfollow_start(&r->followers, &e);
    if (k == 0 && out)
        (void)file_out_keep(out);
    if (k == 0) /* with the header it can be made whole, whatever happens */
        k = dump_writer_flush(r->w);
    /* What is left is to put the file in its place. */
    if (k == 0 && out)
        k = privileges_keep(PRIVILEGE(CAP_DAC_OVERRIDE) | PRIVILEGE(CAP_FOWNER), 0);
    else if (k == 0)
        k = privileges_keep(0, 0);
    if (k == 0)
        k = cli_stream_run(&r->stream, &e);
    if (k == 0 || (r->w && dump_writer_error(r->w) == k))
        return finish(r, out);
    return cli_fail(ctx, k, &e, "cannot record");
}

static void recording_done(struct recording *r)
{
    dump_writer_free(r->w);
    cli_stream_end();
    qfollow_done(&r->followers);
}

static int record_run(struct cli_ctx *ctx, const void *argp)
{
    const struct record_args *args = argp;
    const struct msgq_follow_opts opts = {.capture = UINT64_MAX, .backend = ctx->backend};
    _cleanup_(recording_done) struct recording r = {
        .ctx = ctx, .args = args, .kinds = qfollow_kinds(ctx)};
    _cleanup_(file_out_closep) struct file_out *out = NULL;
    struct err e = ERR_INIT;
    int k = qfollow_new(r.kinds, &opts, &r.followers, &e);

    if (k < 0)
        return cli_fail(ctx, k, &e, "cannot record");
    r.stream = (struct cli_stream){
        .ctx = ctx,
        .ops = &record_ops,
        .verb = &r,
        .what = "events",
        .timeout = args->duration,
        .period = CLI_FOREVER,
        .wanted = args->count,
    };
    if (add_queues(&r) != CLI_OK)
        return ctx->status;
    if (args->file) {
        k = file_out_open_long(args->file, 0600, &out);
        if (k < 0)
            return cli_fail_write(ctx, k, args->file);
    }
    return record_stream(&r, out);
}

static const struct cli_example record_examples[] = {
    {"mqdump record /jobs -O jobs.traffic --duration 1h", "an hour of /jobs"},
    {"mqdump record sysv:61 -N 100 -O 61.traffic", "100 events of a System V queue"},
    {NULL, NULL},
};

const struct cli_verb mqdump_record_verb = {
    .name = "record",
    .operands = "QUEUE…",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_QUEUE,
    .summary = "record what is sent and received",
    .description =
        "Writes every successful send and receive, with its content, until it is interrupted "
        "(Ctrl-C), --duration is over, or --count is reached. Records of type \"event\"; \"order\" "
        "tells whether the order of the times is that of the queue (exact) or that in which the "
        "calls returned (approximate). A record of type \"lost\" counts events that came too "
        "fast. Of System V queues events have \"mtype\" instead of a priority, and there are "
        "records of type \"sysv_remove\" and \"sysv_change\"; such a dump is of version 2.",
    .examples = record_examples,
    .opts = record_opts,
    .args_size = sizeof(struct record_args),
    .defaults = &record_defaults,
    .flags = CLI_OWN_OUTPUT,
    .run = record_run,
};
