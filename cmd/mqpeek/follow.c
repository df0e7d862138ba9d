/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek follow: every send and receive as it happens. */
#include "follow.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "cli_stream.h"
#include "mqpeek_verbs.h"
#include "qcmd.h"
#include "qfollow.h"
#include "timefmt.h"

enum {
    TERMINAL_CAPTURE = 4096, /* bytes of a message: no terminal shows more in a line */
    PRIORITY = -10, /* if it gets a processor later than those that it follows, it loses events */
};

struct follow_args {
    struct qcmd_common common;
    bool all;
    bool posix;
    bool sysv;
    bool send;
    bool receive;
    int32_t pid;
    struct cli_range priority;
    struct cli_range type;
    uint64_t count;
    uint64_t timeout;
    uint64_t max_bytes;
};

static const struct follow_args follow_defaults = {
    .common = {.max_snapshot = 64 * 1024 * 1024},
    .max_bytes = UINT64_MAX,
};

static const struct cli_opt follow_opts[] = {
    CLI_FLAG(struct follow_args, all, 'a', "all",
             "every queue that may be read, also those created later"),
    CLI_FLAG(struct follow_args, posix, 0, "posix", "with --all: only POSIX queues"),
    CLI_FLAG(struct follow_args, sysv, 0, "sysv", "with --all: only System V queues"),
    CLI_FLAG(struct follow_args, send, 0, "send", "only what is sent"),
    CLI_FLAG(struct follow_args, receive, 0, "recv", "only what is received"),
    CLI_PID(struct follow_args, pid, 0, "pid", "PID", "only calls of this process"),
    CLI_RANGE(struct follow_args, priority, 'p', "priority", "PRIO[:MAX]",
              "only messages with these priorities", .max = PMQ_PRIO_MAX - 1),
    CLI_RANGE(struct follow_args, type, 0, "type", "TYPE[:MAX]",
              "only messages of these types, of System V queues", .max = INT64_MAX),
    CLI_U64(struct follow_args, count, 'N', "count", "COUNT",
            "end after COUNT messages sent or received", .min = 1, .max = UINT64_MAX),
    CLI_SPAN(struct follow_args, timeout, 0, "timeout", "SEC",
             "end after so long; with status 1 when -N has not been reached"),
    CLI_SIZE(struct follow_args, max_bytes, 'm', "max-bytes", "BYTES",
             "cut each message's content; 0: none at all"),
    CLI_END,
};

struct follow_row {
    uint64_t time;
    const char *event;
    const char *queue;
    int32_t pid;
    int32_t tid;
    const char *comm;
    uint32_t priority;
    int64_t mtype;
    uint64_t length;
    uint64_t blocked;
    const char *order;
    struct out_bytes content;
    uint64_t count;
    int32_t exit_code;
    int32_t signal;
    uint32_t uid;
    uint32_t gid;
    uint32_t mode;
    uint64_t limit;
};

/* The columns before a message's priority or type, and those after it. */
#define COLS_CALL                                                                                  \
    OUT_TIME(struct follow_row, time, "time", "when", .width = 15),                                \
        OUT_STR(struct follow_row, event, "event",                                                 \
                "send or recv; else see the other kinds of event", .width = 6),                    \
        OUT_STR(struct follow_row, queue, "queue", "which", .width = 12),                          \
        OUT_I32(struct follow_row, pid, "pid", "process that called; null when it is not visible", \
                .width = 7),                                                                       \
        OUT_I32(struct follow_row, tid, "tid", "its thread", .flags = OUT_HIDDEN, .width = 7),     \
        OUT_STR(struct follow_row, comm, "comm", "the thread's name", .flags = OUT_SPARE,          \
                .width = 10)
#define COL_PRIORITY                                 \
    OUT_U32(struct follow_row, priority, "priority", \
            "of a POSIX message; null when the receiver did not ask and the kernel does not tell")
#define COL_MTYPE                                                                          \
    OUT_I64(struct follow_row, mtype, "mtype", "of a System V message", .heading = "TYPE", \
            .flags = OUT_OPTIONAL)
#define COLS_CONTENT                                                                 \
    OUT_SIZE(struct follow_row, length, "length", "bytes", .flags = OUT_SPARE),      \
        OUT_SPAN(struct follow_row, blocked, "blocked",                              \
                 "how long the call slept; null when it began before following did", \
                 .flags = OUT_SPARE),                                                \
        OUT_STR(struct follow_row, order, "order",                                   \
                "exact: that of the queue; approximate: that of the calls' ends",    \
                .flags = OUT_HIDDEN),                                                \
        OUT_BYTES(struct follow_row, content, "content",                             \
                  "text if it is text, else <hex>; in JSON data_base64 and text",    \
                  .flags = OUT_WIDE)

/* All columns; when queues of one kind are followed, only the columns of that kind are shown. */
static const struct out_col follow_cols[] = {
    COLS_CALL, COL_PRIORITY, COL_MTYPE, COLS_CONTENT, OUT_END,
};
static const struct out_col posix_cols[] = {COLS_CALL, COL_PRIORITY, COLS_CONTENT, OUT_END};
static const struct out_col sysv_cols[] = {COLS_CALL, COL_MTYPE, COLS_CONTENT, OUT_END};

/* The members of other kinds of events, in JSON. */
static const struct out_col lost_cols[] = {
    OUT_TIME(struct follow_row, time, "time", "when it was noticed"),
    OUT_STR(struct follow_row, event, "event", "lost"),
    OUT_U64(struct follow_row, count, "count", "messages sent or received that are not shown"),
    OUT_END,
};

static const struct out_col uncovered_cols[] = {
    OUT_TIME(struct follow_row, time, "time", "when"),
    OUT_STR(struct follow_row, event, "event",
            "uncovered: a 32-bit program, whose calls cannot be shown; once a process"),
    OUT_I32(struct follow_row, pid, "pid", "its process"),
    OUT_I32(struct follow_row, tid, "tid", "its thread"),
    OUT_STR(struct follow_row, comm, "comm", "the thread's name"),
    OUT_END,
};

static const struct out_col name_cols[] = {
    OUT_TIME(struct follow_row, time, "time", "when"),
    OUT_STR(struct follow_row, event, "event", "create or unlink"),
    OUT_STR(struct follow_row, queue, "queue", "which"),
    OUT_END,
};

static const struct out_col remove_cols[] = {
    OUT_TIME(struct follow_row, time, "time", "when"),
    OUT_STR(struct follow_row, event, "event", "remove: of a System V queue"),
    OUT_STR(struct follow_row, queue, "queue", "which"),
    OUT_I32(struct follow_row, pid, "pid", "process that removed it"),
    OUT_I32(struct follow_row, tid, "tid", "its thread"),
    OUT_STR(struct follow_row, comm, "comm", "the thread's name"),
    OUT_END,
};

static const struct out_col change_cols[] = {
    OUT_TIME(struct follow_row, time, "time", "when"),
    OUT_STR(struct follow_row, event, "event",
            "change: owner, mode or limit of a System V queue were set"),
    OUT_STR(struct follow_row, queue, "queue", "which"),
    OUT_I32(struct follow_row, pid, "pid", "process that set them"),
    OUT_I32(struct follow_row, tid, "tid", "its thread"),
    OUT_STR(struct follow_row, comm, "comm", "the thread's name"),
    OUT_U32(struct follow_row, uid, "uid", "its owner then; null when it was gone by then"),
    OUT_U32(struct follow_row, gid, "gid", "its group"),
    OUT_MODE(struct follow_row, mode, "mode", "its permissions"),
    OUT_SIZE(struct follow_row, limit, "limit", "the most bytes that it takes"),
    OUT_END,
};

static const struct out_col exit_cols[] = {
    OUT_TIME(struct follow_row, time, "time", "when"),
    OUT_STR(struct follow_row, event, "event", "exit: a process that had the queue open has ended"),
    OUT_STR(struct follow_row, queue, "queue", "which"),
    OUT_I32(struct follow_row, pid, "pid", "the process"),
    OUT_STR(struct follow_row, comm, "comm", "its name"),
    OUT_I32(struct follow_row, exit_code, "exit_code",
            "what it returned; null if a signal ended it"),
    OUT_I32(struct follow_row, signal, "signal", "what ended it; null if it returned"),
    OUT_END,
};

struct follow {
    struct cli_ctx *ctx;
    const struct follow_args *args;
    struct qfollow followers;
    struct follow_notices *notices;
    unsigned int kinds;        /* QFOLLOW_… */
    uint64_t unknown_priority; /* messages that -p left out because their priority is not known */
    struct cli_stream stream;
};

/* ---- rows ---- */

static struct follow_row empty_row(uint64_t time, const char *event)
{
    return (struct follow_row){
        .time = time,
        .event = event,
        .pid = OUT_UNKNOWN_I32,
        .tid = OUT_UNKNOWN_I32,
        .priority = OUT_UNKNOWN_U32,
        .mtype = OUT_UNKNOWN_I64,
        .length = OUT_UNKNOWN_U64,
        .blocked = OUT_UNKNOWN_U64,
        .count = OUT_UNKNOWN_U64,
        .exit_code = OUT_UNKNOWN_I32,
        .signal = OUT_UNKNOWN_I32,
        .uid = OUT_UNKNOWN_U32,
        .gid = OUT_UNKNOWN_U32,
        .mode = OUT_UNKNOWN_U32,
        .limit = OUT_UNKNOWN_U64,
    };
}

static int32_t visible(pid_t pid)
{
    return pid > 0 ? pid : OUT_UNKNOWN_I32;
}

/*
 * Shows an event that is not a message: in JSON as an object with its own members, in a table as a
 * row with text.
 */
static void show_special(struct follow *f, const struct out_col *cols, struct follow_row *row,
                         const char *words)
{
    if (out_get_mode(f->ctx->out) == OUT_MODE_TABLE) {
        row->content = (struct out_bytes){.data = words, .len = strlen(words)};
        out_row(f->ctx->out, row);
        return;
    }
    out_item_begin(f->ctx->out, cols, row);
    out_item_end(f->ctx->out);
}

static void show_notice(struct follow *f, const struct follow_notice *notice)
{
    struct follow_row row = empty_row(notice->time, notice->event);
    char words[64] = "";

    row.queue = notice->queue;
    if (!notice->pid) {
        show_special(f, name_cols, &row, "");
        return;
    }
    row.pid = notice->pid;
    row.comm = notice->comm;
    if (WIFEXITED(notice->status)) {
        row.exit_code = WEXITSTATUS(notice->status);
        snprintf(words, sizeof(words), "status %d", row.exit_code);
    } else {
        row.signal = WTERMSIG(notice->status);
        snprintf(words, sizeof(words), "signal %d", row.signal);
    }
    show_special(f, exit_cols, &row, words);
}

static void show_notices(struct follow *f, uint64_t until)
{
    const struct follow_notice *notice;

    while ((notice = follow_notices_take(f->notices, until)))
        show_notice(f, notice);
}

/* Shows that a System V queue was removed or changed. */
static void show_control(struct follow *f, const struct msgq_event *ev)
{
    bool removed = ev->kind == MSGQ_EVENT_REMOVE;
    struct follow_row row = empty_row(ev->time, removed ? "remove" : "change");
    char words[96] = "";

    row.queue = ev->label;
    row.pid = visible(ev->pid);
    row.tid = visible(ev->tid);
    row.comm = ev->comm;
    if (ev->known) {
        row.uid = ev->uid;
        row.gid = ev->gid;
        row.mode = ev->mode;
        row.limit = ev->limit;
        snprintf(words, sizeof(words),
                 "owner %" PRIu32 ":%" PRIu32 ", mode %04" PRIo32 ", limit %" PRIu64, ev->uid,
                 ev->gid, ev->mode, ev->limit);
    }
    show_special(f, removed ? remove_cols : change_cols, &row, words);
}

static bool wanted(struct follow *f, const struct msgq_event *ev)
{
    const struct cli_range *range = ev->sysv ? &f->args->type : &f->args->priority;

    if (!range->set)
        return true;
    if (ev->sysv)
        return (uint64_t)ev->type >= range->first && (uint64_t)ev->type <= range->last;
    if (ev->priority == MSGQ_PRIO_UNKNOWN) {
        f->unknown_priority++;
        return false;
    }
    return ev->priority >= range->first && ev->priority <= range->last;
}

static void show_traffic(struct follow *f, const struct msgq_event *ev)
{
    struct follow_row row = {
        .time = ev->time,
        .event = ev->kind == MSGQ_EVENT_SEND ? "send" : "recv",
        .queue = ev->label,
        .pid = visible(ev->pid),
        .tid = visible(ev->tid),
        .comm = ev->comm,
        .priority = ev->priority == MSGQ_PRIO_UNKNOWN ? OUT_UNKNOWN_U32 : ev->priority,
        .mtype = ev->sysv ? ev->type : OUT_UNKNOWN_I64,
        .length = ev->length,
        .blocked = ev->blocked,
        .order = ev->order == MSGQ_ORDER_EXACT ? "exact" : "approximate",
        .content = {.data = ev->data ? ev->data : "",
                    .len = ev->captured,
                    .whole = ev->length == OUT_UNKNOWN_U64 ? 0 : ev->length},
    };

    out_row(f->ctx->out, &row);
    f->stream.done++;
}

static int on_event(const struct msgq_event *ev, void *ctx)
{
    struct follow *f = ctx;
    struct follow_row row;
    char words[64];
    int r = 0;

    f->stream.seen++;
    if (ev->kind == MSGQ_EVENT_SEND || ev->kind == MSGQ_EVENT_RECEIVE)
        r = follow_notices_learn(f->notices, ev);
    show_notices(f, ev->time);
    row = empty_row(ev->time, "lost");
    switch (ev->kind) {
    case MSGQ_EVENT_SEND:
    case MSGQ_EVENT_RECEIVE:
        if (r == 0 && wanted(f, ev))
            show_traffic(f, ev);
        break;
    case MSGQ_EVENT_LOST:
        row.count = ev->count;
        snprintf(words, sizeof(words), "%llu messages", (unsigned long long)ev->count);
        show_special(f, lost_cols, &row, words);
        break;
    case MSGQ_EVENT_UNCOVERED:
        row.event = "uncovered";
        row.pid = visible(ev->pid);
        row.tid = visible(ev->tid);
        row.comm = ev->comm;
        show_special(f, uncovered_cols, &row, "32-bit program");
        break;
    case MSGQ_EVENT_REMOVE:
    case MSGQ_EVENT_CHANGE:
        show_control(f, ev);
        break;
    }
    if (r < 0)
        return r;
    return cli_stream_is_done(&f->stream) || out_error(f->ctx->out) < 0;
}

/* ---- the stream ---- */

static size_t sources(void *verb, struct pollfd *p)
{
    const struct follow *f = verb;
    int fds[2];
    size_t n = follow_notices_fds(f->notices, fds);

    for (size_t i = 0; i < n; i++)
        p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    p[n++] = (struct pollfd){.fd = msgq_follow_fd(qfollow_reader(&f->followers)), .events = POLLIN};
    return n;
}

static int read_all(void *verb, const struct pollfd *p _unused_, struct err *e)
{
    struct follow *f = verb;
    int r = follow_notices_read(f->notices, e);

    if (r == 0)
        r = msgq_follow_read(qfollow_reader(&f->followers), on_event, f, e);
    if (r == 0)
        show_notices(f, timefmt_now(CLOCK_REALTIME));
    out_flush(f->ctx->out);
    return r;
}

static void stop(void *verb)
{
    struct follow *f = verb;

    qfollow_stop(&f->followers);
}

/*
 * When the reader of our output has stopped reading, only this process may be delayed by it, not
 * the senders and receivers of the whole machine: detach.
 */
static void cut(void *verb)
{
    struct follow *f = verb;

    qfollow_cut(&f->followers);
}

static const struct cli_stream_ops follow_ops = {
    .sources = sources,
    .read = read_all,
    .stop = stop,
    .cut = cut,
};

static int follow_status(struct follow *f)
{
    struct msgq_follow_totals t;

    qfollow_totals(&f->followers, &t);
    if (f->unknown_priority)
        cli_note(f->ctx, "%llu receives left out: their priority is not known",
                 (unsigned long long)f->unknown_priority);
    if (t.uncovered)
        cli_note(f->ctx, "%llu calls of 32-bit programs are not shown",
                 (unsigned long long)t.uncovered);
    cli_note(f->ctx, "%llu events, %llu lost, %.1f seconds", (unsigned long long)t.events,
             (unsigned long long)t.lost, (double)t.span / (double)NSEC_PER_SEC);
    return MAX(cli_stream_status(&f->stream), t.lost ? CLI_FAILED : CLI_OK);
}

/* ---- starting ---- */

static int add_posix(struct follow *f, const char *operand)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    struct err e = ERR_INIT;
    int r = qcmd_open(f->ctx, operand, PMQ_OPEN_READ, &q);

    if (r != CLI_OK)
        return r;
    r = pmq_follow_add(f->followers.posix, q, NULL, &e);
    if (r == 0)
        r = follow_notices_add(f->notices, q);
    else if (r == -EEXIST)
        r = 0; /* it was named twice, or by two names */
    return r < 0 ? cli_fail(f->ctx, r, &e, "%s: cannot follow", operand) : CLI_OK;
}

static int add_queues(struct follow *f)
{
    for (size_t i = 0; i < f->ctx->n_operands; i++) {
        const char *operand = f->ctx->operands[i];
        int r = sysv_ref_is(operand) ? qfollow_add_sysv(f->ctx, &f->followers, operand)
                                     : add_posix(f, operand);

        if (r != CLI_OK)
            return r;
    }
    return CLI_OK;
}

static uint64_t capture(const struct follow *f)
{
    if (f->args->max_bytes != UINT64_MAX)
        return f->args->max_bytes;
    if (out_get_mode(f->ctx->out) == OUT_MODE_TABLE && isatty(STDOUT_FILENO))
        return TERMINAL_CAPTURE;
    return UINT64_MAX;
}

static int begin(struct follow *f)
{
    const struct msgq_follow_opts opts = {
        .all = f->args->all,
        .send = f->args->send,
        .receive = f->args->receive,
        .pid = f->args->pid,
        .capture = capture(f),
        .backend = f->ctx->backend,
    };
    struct msgq_follow *reader;
    struct err e = ERR_INIT;
    int r;

    if (f->args->pid && kill(f->args->pid, 0) < 0 && errno == ESRCH) {
        err_set(&e, -ESRCH, NULL, "there is no process %d", (int)f->args->pid);
        return cli_fail(f->ctx, -ESRCH, &e, "cannot follow");
    }
    r = qfollow_new(f->kinds, &opts, &f->followers, &e);
    if (r < 0)
        return cli_fail(f->ctx, r, &e, "cannot follow");
    if (f->kinds & QFOLLOW_POSIX)
        r = follow_notices_new(f->ctx, f->followers.posix, f->args->all, &f->notices);
    if (r < 0)
        return cli_fail(f->ctx, r, NULL, "cannot follow");
    r = add_queues(f);
    if (r != CLI_OK)
        return r;
    reader = qfollow_reader(&f->followers);
    if (msgq_follow_reason(reader)[0])
        cli_note(f->ctx, "following with %s%s: %s", msgq_follow_backend(reader),
                 strcmp(msgq_follow_backend(reader), "tracepoint")
                     ? ""
                     : ", while every system call of the machine takes 0.1 to 0.3 us longer",
                 msgq_follow_reason(reader));
    (void)setpriority(PRIO_PROCESS, 0, PRIORITY); /* if that is permitted */
    r = cli_stream_begin(&f->stream);
    if (r == 0)
        r = follow_notices_read(f->notices, &e);
    if (r == 0)
        r = qfollow_start(&f->followers, &e);
    if (r == 0)
        r = pmq_keep_privileges(false);
    return r < 0 ? cli_fail(f->ctx, r, &e, "cannot follow") : CLI_OK;
}

/* Which kinds of queues are followed. Only these calls become slower. */
static unsigned int kinds_of(const struct cli_ctx *ctx, const struct follow_args *args)
{
    unsigned int kinds = QFOLLOW_POSIX;

    if (!args->all)
        return qfollow_kinds(ctx);
    if (!args->posix && !args->priority.set && sysv_supported())
        kinds |= QFOLLOW_SYSV;
    return args->sysv || args->type.set ? QFOLLOW_SYSV : kinds;
}

static int check(struct cli_ctx *ctx, const struct follow_args *args, unsigned int kinds)
{
    if (args->all && ctx->n_operands)
        return cli_usage(ctx, "--all and a QUEUE exclude each other");
    if (!args->all && !ctx->n_operands)
        return cli_usage(ctx, "follow which QUEUE? (--all: every one)");
    if ((args->posix || args->sysv) && !args->all)
        return cli_usage(ctx, "--posix and --sysv are for --all");
    if (args->posix && args->sysv)
        return cli_usage(ctx, "--posix and --sysv exclude each other");
    if (args->priority.set && (args->type.set || args->sysv || (kinds & QFOLLOW_SYSV)))
        return cli_usage(ctx, "--priority is for POSIX queues, --type for those of System V");
    if (args->type.set && (args->posix || (kinds & QFOLLOW_POSIX)))
        return cli_usage(ctx, "--type is for System V queues, --priority for those of POSIX");
    return CLI_OK;
}

static int follow_run(struct cli_ctx *ctx, const void *argp)
{
    const struct follow_args *args = argp;
    struct follow f = {.ctx = ctx, .args = args, .kinds = kinds_of(ctx, args)};
    struct err e = ERR_INIT;
    int r, status = check(ctx, args, f.kinds);

    if (status)
        return status;
    f.stream = (struct cli_stream){
        .ctx = ctx,
        .ops = &follow_ops,
        .verb = &f,
        .what = "messages",
        .timeout = args->timeout ? args->timeout : CLI_FOREVER,
        .period = NSEC_PER_SEC, /* how often to look for processes that have the queues open */
        .wanted = args->count,
    };
    if (args->all && (f.kinds & QFOLLOW_POSIX))
        qcmd_tell_journals(ctx, NULL);
    status = begin(&f);
    if (status == CLI_OK) {
        out_list_begin(ctx->out, "events",
                       f.kinds == QFOLLOW_POSIX  ? posix_cols
                       : f.kinds == QFOLLOW_SYSV ? sysv_cols
                                                 : follow_cols,
                       OUT_RECORDS | OUT_STREAM | OUT_BATCH);
        r = cli_stream_run(&f.stream, &e);
        out_list_end(ctx->out);
        status = follow_status(&f);
        if (r < 0)
            status = cli_fail(ctx, r, &e, "cannot go on");
    }
    cli_stream_end();
    follow_notices_free(f.notices);
    qfollow_done(&f.followers);
    return status;
}

static const struct cli_example follow_examples[] = {
    {"mqpeek follow /jobs", "who sends what to /jobs, and who takes it"},
    {"mqpeek follow --all -J | jq -c 'select(.event==\"send\")'",
     "everything that is sent to any queue, as JSON Lines"},
    {"mqpeek follow sysv:61 --type 5", "messages of type 5 in a System V queue"},
    {"mqpeek follow /jobs --recv -N 1 --timeout 60", "wait for the next message to be taken"},
    {NULL, NULL},
};

static const struct cli_table follow_tables[] = {
    {.key = "lost", .cols = lost_cols},
    {.key = "uncovered", .cols = uncovered_cols},
    {.key = "create, unlink", .cols = name_cols},
    {.key = "exit", .cols = exit_cols},
    {.key = "remove", .cols = remove_cols},
    {.key = "change", .cols = change_cols},
    {NULL, NULL},
};

const struct cli_verb mqpeek_follow_verb = {
    .name = "follow",
    .operands = "QUEUE…",
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_QUEUE,
    .summary = "every send and receive as it happens",
    .description =
        "Shows each message as it is sent and as it is received, until Ctrl-C, -N or --timeout. "
        "Only calls that succeed count. Also: processes that had a queue open and end (as root), "
        "and queues that are created and unlinked; a queue that was named is followed again when "
        "it is created again. Calls that end at the same moment on two processors may be shown in "
        "either order, each with its time.\n\n"
        "Of a System V queue also its removal and each change of owner, mode or limit are shown; "
        "a call that only looks (MSG_COPY) takes nothing and is not. Without root the right to "
        "read is looked at again with each call. A queue that is made again has another id.\n\n"
        "What could not be recorded is counted and shown as an event of its own, lost; then the "
        "exit status is 1. The totals are on standard error at the end. So that little is lost it "
        "runs "
        "with a higher priority (nice -10) where permitted.\n\n"
        "Following needs BPF. Where the kernel allows trampolines only calls on message queues "
        "become slower; elsewhere every system call of the machine does by a fraction of a "
        "microsecond, and 32-bit programs' calls on POSIX queues are reported but not shown.",
    .examples = follow_examples,
    .opts = follow_opts,
    .args_size = sizeof(struct follow_args),
    .defaults = &follow_defaults,
    .cols = follow_cols,
    .more_cols = follow_tables,
    .flags = CLI_STREAM,
    .run = follow_run,
};
