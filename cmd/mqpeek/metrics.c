/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mqpeek metrics: OpenMetrics 1.0 text. It is built completely before it is written, so that a
 * scraper never reads half of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "escape.h"
#include "fileio.h"
#include "metrics_sysv.h"
#include "mqpeek_verbs.h"
#include "qcmd.h"
#include "queue_row.h"
#include "timefmt.h"

struct metrics_args {
    struct qcmd_common common;
    bool all_namespaces;
    const char *file;
};

static const struct cli_opt metrics_opts[] = {
    CLI_FLAG(struct metrics_args, all_namespaces, 'A', "all-namespaces",
             "queues of every IPC namespace, as list -A, with a label that tells which"),
    CLI_STR(struct metrics_args, file, 'O', "output-file", "FILE",
            "write to FILE, which appears whole or not at all", .complete = CLI_COMPLETE_FILE),
    CLI_END,
};

/**
 * struct family - a gauge with one sample for each queue
 * @name: its name without the prefix
 * @unit: the last word of the name, or NULL
 * @help: a sentence that describes it
 * @offset: offset of a uint64_t in struct queue_row; OUT_UNKNOWN_U64 in it gives no sample
 * @complete: offset of a bool in it; while that is false, a 0 only means that nothing was seen, and
 *   gives no sample; 0 for a number that is always exact
 */
struct family {
    const char *name;
    const char *unit;
    const char *help;
    size_t offset;
    size_t complete;
};

#define QUEUE(f) \
    (offsetof(struct queue_row, f) + 0 * sizeof((uint64_t *)0 == &((struct queue_row *)0)->f))

static const struct family families[] = {
    {"messages", NULL, "Messages waiting.", QUEUE(attr.curmsgs), 0},
    {"max_messages", NULL, "Most messages that fit.", QUEUE(attr.maxmsg), 0},
    {"bytes", "bytes", "Bytes waiting.", QUEUE(attr.bytes), 0},
    {"max_message_bytes", "bytes", "Largest message that fits.", QUEUE(attr.msgsize), 0},
    {"holders", NULL, "Open descriptors, as far as they are visible.", QUEUE(holders),
     offsetof(struct queue_row, holders_complete)},
    {"blocked_senders", NULL, "Threads blocked in mq_send(), as far as they are visible.",
     QUEUE(senders), offsetof(struct queue_row, waiters_complete)},
    {"blocked_receivers", NULL, "Threads blocked in mq_receive(), as far as they are visible.",
     QUEUE(receivers), offsetof(struct queue_row, waiters_complete)},
};

/*
 * The label's value: UTF-8, in which only \, " and newline are special. Bytes that are not
 * printable, or not UTF-8, are shown as \xHH, and a backslash as \\, so that no two names have one
 * value.
 */
static void add_label_value(struct buf *b, const char *s)
{
    size_t left = strlen(s), n;
    uint32_t cp;

    for (; left; s += n, left -= n) {
        n = esc_utf8_decode(s, left, &cp);
        if (n == 1 && *s == '\\') {
            buf_add_str(b, "\\\\\\\\");
        } else if (n == 1 && *s == '"') {
            buf_add_str(b, "\\\"");
        } else if (n == 1 && *s == '\n') {
            buf_add_str(b, "\\n");
        } else if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
            n = n ? n : 1;
            for (size_t i = 0; i < n; i++)
                buf_printf(b, "\\\\x%02x", (unsigned char)s[i]);
        } else {
            buf_add(b, s, n);
        }
    }
}

static void add_head(struct buf *b, const char *name, const char *unit, const char *help)
{
    buf_printf(b, "# HELP ipcbox_mqueue_%s %s\n# TYPE ipcbox_mqueue_%s gauge\n", name, help, name);
    if (unit)
        buf_printf(b, "# UNIT ipcbox_mqueue_%s %s\n", name, unit);
}

static void add_queue_labels(struct buf *b, const struct queue_row *row, bool all)
{
    buf_add_str(b, "{queue=\"");
    add_label_value(b, row->name);
    if (all)
        buf_printf(b, "\",ipc_namespace=\"%" PRIu64, row->ipc_ns);
    buf_add_str(b, "\"}");
}

static uint64_t sample_of(const struct family *f, const struct queue_row *row)
{
    const char *at = (const char *)row;
    uint64_t v = *(const uint64_t *)(const void *)(at + f->offset);

    return v == 0 && f->complete && !*(const bool *)(at + f->complete) ? OUT_UNKNOWN_U64 : v;
}

static void add_families(struct buf *b, const struct queue_row *rows, size_t n, bool all)
{
    for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
        add_head(b, families[f].name, families[f].unit, families[f].help);
        for (size_t i = 0; i < n; i++) {
            uint64_t v = sample_of(&families[f], &rows[i]);

            if (v == OUT_UNKNOWN_U64)
                continue;
            buf_printf(b, "ipcbox_mqueue_%s", families[f].name);
            add_queue_labels(b, &rows[i], all);
            buf_printf(b, " %" PRIu64 "\n", v);
        }
    }
    add_head(b, "changed_timestamp_seconds", "seconds", "Last send or receive, or the creation.");
    for (size_t i = 0; i < n; i++) {
        uint64_t t = rows[i].attr.changed;

        buf_add_str(b, "ipcbox_mqueue_changed_timestamp_seconds");
        add_queue_labels(b, &rows[i], all);
        buf_printf(b, " %" PRIu64 ".%03" PRIu64 "\n", t / NSEC_PER_SEC,
                   t % NSEC_PER_SEC / NSEC_PER_MSEC);
    }
}

/* By user number, because several users may have the same name. */
static void add_charges(struct buf *b, const struct pmq_usage *u, size_t n)
{
    add_head(b, "charged_bytes", "bytes",
             "Bytes charged for queues, full or empty, added up by owner (an estimate).");
    for (size_t i = 0; i < n; i++) {
        char user[40];

        queue_row_user(u[i].uid, user, sizeof(user));
        buf_printf(b, "ipcbox_mqueue_charged_bytes{uid=\"%" PRIu32 "\",user=\"", u[i].uid);
        add_label_value(b, user);
        buf_printf(b, "\"} %" PRIu64 "\n", u[i].charged);
    }
}

static void add_value(struct buf *b, const char *name, const char *unit, const char *help,
                      uint64_t v)
{
    add_head(b, name, unit, help);
    if (v == PMQ_UNLIMITED)
        buf_printf(b, "ipcbox_mqueue_%s +Inf\n", name);
    else if (v != PMQ_UNKNOWN)
        buf_printf(b, "ipcbox_mqueue_%s %" PRIu64 "\n", name, v);
}

static void add_limits(struct buf *b, const struct pmq_set *set)
{
    uint64_t own = 0, unlinked = 0;
    struct pmq_limits l;

    for (size_t i = 0; i < set->n; i++) {
        own += !set->v[i].ns_pid;
        unlinked += !set->v[i].ns_pid && set->v[i].attr.unlinked;
    }
    add_value(b, "queues", NULL, "Queues of this IPC namespace.", own);
    add_value(b, "unlinked_queues", NULL, "Of these, those without a name, which are still open.",
              unlinked);
    add_value(b, "holders_complete", NULL,
              "1 when no process can have a queue open unseen, else 0: holders are lower bounds.",
              set->holders_complete);
    add_value(b, "waiters_complete", NULL,
              "1 when no thread can be blocked unseen, else 0: blocked threads are lower bounds.",
              set->waiters_complete);
    if (pmq_limits_read(&l) < 0)
        return;
    add_value(b, "limit_queues", NULL, "fs.mqueue.queues_max.", l.queues_max);
    add_value(b, "limit_messages", NULL, "fs.mqueue.msg_max, for new queues.", l.msg_max);
    add_value(b, "limit_message_bytes", "bytes", "fs.mqueue.msgsize_max, for new queues.",
              l.msgsize_max);
    add_value(b, "limit_charged_bytes", "bytes",
              "RLIMIT_MSGQUEUE of the process that wrote this, for each user.", l.rlimit_soft);
}

static int build(struct buf *b, const struct pmq_set *set, bool all, struct err *e)
{
    struct queue_row *rows = calloc(set->n + 1, sizeof(*rows));
    _cleanup_(freep) struct pmq_usage *usage = NULL;
    uint64_t now = timefmt_now(CLOCK_REALTIME);
    size_t n = 0, users = 0;
    int r = rows ? pmq_usage_estimate(set, &usage, &users) : -ENOMEM;

    for (size_t i = 0; i < set->n && r == 0; i++) {
        /* Without a name, two such queues could not be told apart. */
        if (set->v[i].attr.unlinked || !set->v[i].attr.name[0])
            continue;
        queue_row_fill(&rows[n++], set, &set->v[i], now);
    }
    if (r == 0) {
        add_families(b, rows, n, all);
        add_charges(b, usage, users);
        add_limits(b, set);
        r = metrics_sysv(b, e);
    }
    if (r == 0) {
        buf_add_str(b, "# EOF\n");
        r = buf_error(b);
    }
    free(rows);
    return r;
}

static int write_file(const char *path, const struct buf *b)
{
    _cleanup_(file_out_closep) struct file_out *f = NULL;
    int r = file_out_open(path, 0644, &f);

    if (r < 0)
        return r;
    /* A write error is kept by the stream, and the commit reports it. */
    (void)fwrite(b->data, 1, b->len, file_out_stream(f));
    return file_out_commit(f);
}

static int metrics_run(struct cli_ctx *ctx, const void *argp)
{
    const struct metrics_args *args = argp;
    unsigned int flags = PMQ_SCAN_HOLDERS | PMQ_SCAN_WAITERS | PMQ_SCAN_UNLINKED | PMQ_SCAN_KERNEL;
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    struct err e = ERR_INIT;
    int r = pmq_scan(args->all_namespaces ? flags | PMQ_SCAN_ALL_NAMESPACES : flags, 0, &set, &e);

    if (r == 0)
        r = build(&b, set, args->all_namespaces, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "cannot list queues");
    if (!args->file) {
        out_raw(ctx->out, b.data, b.len);
    } else {
        r = write_file(args->file, &b);
        if (r < 0)
            return cli_fail_write(ctx, r, args->file);
    }
    qcmd_tell_journals(ctx, set);
    if (set->note[0])
        cli_note(ctx, "%s", set->note);
    return CLI_OK;
}

static const struct cli_example metrics_examples[] = {
    {"mqpeek metrics -q -O /var/lib/prometheus/node-exporter/mqueue.prom",
     "for node_exporter's textfile collector, from a timer"},
    {NULL, NULL},
};

const struct cli_verb mqpeek_metrics_verb = {
    .name = "metrics",
    .summary = "state of all queues as OpenMetrics text",
    .description =
        "Writes OpenMetrics 1.0 text: by queue ipcbox_mqueue_messages, _max_messages, _bytes, "
        "_max_message_bytes, _holders, _blocked_senders, _blocked_receivers and "
        "_changed_timestamp_seconds; by user _charged_bytes; _queues, _unlinked_queues and the "
        "limits. System V queues of this IPC namespace have ipcbox_sysv_messages, _bytes, "
        "_limit_bytes, _blocked_senders, _blocked_receivers and _changed_timestamp_seconds, with "
        "the labels queue and key. What is not known has no sample; while _holders_complete or "
        "_waiters_complete is 0, a number of holders or blocked threads is a lower bound, and "
        "there "
        "is none where none was seen.\n"
        "\n"
        "With -O the file is replaced in one step, so that a collector never reads half of it.",
    .examples = metrics_examples,
    .opts = metrics_opts,
    .args_size = sizeof(struct metrics_args),
    .flags = CLI_OWN_OUTPUT,
    .run = metrics_run,
};
