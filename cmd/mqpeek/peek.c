/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek peek: the messages of a queue, in receive order. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "mqpeek_verbs.h"
#include "qcmd.h"

struct peek_args {
    struct qcmd_common common;
    uint64_t count;
    struct cli_range index;
    struct cli_range priority;
    struct cli_range type;
    uint64_t preview;
    bool hex;
    bool text;
    bool raw;
    bool force;
};

static const struct peek_args peek_defaults = {
    .common = {.max_snapshot = 64 * 1024 * 1024},
    .count = UINT64_MAX,
    .preview = UINT64_MAX,
};

static const struct cli_opt peek_opts[] = {
    CLI_U64(struct peek_args, count, 'n', "count", "N", "at most N messages"),
    CLI_RANGE(struct peek_args, index, 'i', "index", "INDEX[:LAST]",
              "only these; 0 is received next"),
    CLI_RANGE(struct peek_args, priority, 'p', "priority", "PRIO[:MAX]",
              "only with these priorities", .max = PMQ_PRIO_MAX - 1),
    CLI_RANGE(struct peek_args, type, 0, "type", "TYPE[:MAX]",
              "only of these types, of System V queues", .max = INT64_MAX),
    CLI_SIZE(struct peek_args, preview, 'm', "max-bytes", "BYTES",
             "cut each message's content; 0: none at all"),
    CLI_FLAG(struct peek_args, hex, 0, "hex", "content as hexdump -C shows it"),
    CLI_FLAG(struct peek_args, text, 0, "text", "content as text, whole, its line breaks kept"),
    CLI_FLAG(struct peek_args, raw, 0, "raw", "the bytes as they are and nothing else, for pipes"),
    CLI_FLAG(struct peek_args, force, 0, "force",
             "let --backend drain take a queue that others use"),
    CLI_END,
};

struct peek_head {
    const char *queue;
    const char *kind;
    uint64_t id;
    char key[SYSV_KEY_SIZE];
    uint64_t limit;
    struct pmq_attr attr;
    const char *backend;
    const char *reason;
    bool consistent;
    const char *consistency;
    uint64_t tries;
    uint64_t taken;
    uint64_t total;
    uint64_t bytes;
};

static const struct out_col head_cols[] = {
    OUT_STR(struct peek_head, queue, "queue", "as it was asked for", .flags = OUT_JSON),
    OUT_CHARS(struct peek_head, attr.name, "name", "its name", .flags = OUT_JSON),
    OUT_STR(struct peek_head, kind, "kind", "posix or sysv", .flags = OUT_JSON),
    OUT_U64(struct peek_head, id, "id", "of a System V queue", .flags = OUT_JSON),
    OUT_CHARS(struct peek_head, key, "key", "of a System V queue; null for none",
              .flags = OUT_JSON),
    OUT_SIZE(struct peek_head, limit, "limit", "most bytes of a System V queue", .flags = OUT_JSON),
    OUT_BOOL(struct peek_head, attr.unlinked, "unlinked", "it has no name any more",
             .flags = OUT_JSON),
    OUT_U64(struct peek_head, attr.maxmsg, "maxmsg", "most messages", .heading = "MAX",
            .flags = OUT_JSON),
    OUT_SIZE(struct peek_head, attr.msgsize, "msgsize", "largest message, bytes", .heading = "SIZE",
             .flags = OUT_JSON),
    OUT_U64(struct peek_head, total, "depth", "messages in the queue; null when read in windows",
            .heading = "MSGS", .flags = OUT_JSON),
    OUT_SIZE(struct peek_head, bytes, "bytes", "their content", .flags = OUT_JSON),
    OUT_STR(struct peek_head, backend, "backend", "how it was read", .flags = OUT_JSON),
    OUT_STR(struct peek_head, reason, "backend_reason", "why no preferred backend was taken",
            .flags = OUT_JSON | OUT_OPTIONAL),
    OUT_BOOL(struct peek_head, consistent, "consistent", "the messages are of one moment",
             .flags = OUT_JSON),
    OUT_STR(struct peek_head, consistency, "consistency", "torn, verified, atomic or exclusive",
            .flags = OUT_JSON),
    OUT_U64(struct peek_head, tries, "try_count", "readings it took", .flags = OUT_JSON),
    OUT_TIME(struct peek_head, taken, "time", "when", .flags = OUT_JSON),
    OUT_END,
};

struct peek_row {
    uint64_t index;
    uint32_t priority;
    int64_t mtype;
    uint64_t length;
    struct out_bytes content;
};

#define COL_INDEX    OUT_U64(struct peek_row, index, "index", "0 is what is received next")
#define COL_PRIORITY OUT_U32(struct peek_row, priority, "priority", "of a POSIX message")
#define COL_MTYPE \
    OUT_I64(struct peek_row, mtype, "mtype", "of a System V message", .heading = "TYPE")
#define COL_LENGTH OUT_SIZE(struct peek_row, length, "length", "bytes")
#define COL_CONTENT                                \
    OUT_BYTES(struct peek_row, content, "content", \
              "text if it is text, else <hex>; in JSON data_base64 and text", .flags = OUT_WIDE)

/* All columns; those for one kind of queue are shown only for queues of that kind. */
static const struct out_col peek_cols[] = {
    COL_INDEX, COL_PRIORITY, COL_MTYPE, COL_LENGTH, COL_CONTENT, OUT_END,
};
static const struct out_col posix_cols[] = {
    COL_INDEX, COL_PRIORITY, COL_LENGTH, COL_CONTENT, OUT_END,
};
static const struct out_col sysv_cols[] = {
    COL_INDEX, COL_MTYPE, COL_LENGTH, COL_CONTENT, OUT_END,
};

/* State of a visit of messages: where they are written, and what has been shown. */
struct peek_walk {
    struct cli_ctx *ctx;
    const struct peek_args *args;
    bool is_sysv;
    uint64_t shown;
    uint64_t visited;
    uint64_t bytes;
    struct cli_progress progress;
};

static bool in_range(const struct cli_range *range, uint64_t v)
{
    return !range->set || (v >= range->first && v <= range->last);
}

/*
 * Shows the content with its own line breaks; the output escapes other control characters. A NUL
 * would end the text.
 */
static void show_text(struct out *out, const struct out_bytes *content)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    const char *p = content->data;

    for (size_t i = 0; i < content->len; i++)
        if (p[i])
            buf_add_char(&b, p[i]);
        else
            buf_add_str(&b, "␀");
    out_text(out, "%s", buf_str(&b));
}

static void show(struct peek_walk *w, const struct peek_row *row)
{
    struct out *out = w->ctx->out;

    if (w->args->raw) {
        out_raw(out, row->content.data, row->content.len);
        return;
    }
    if (out_get_mode(out) != OUT_MODE_TABLE || !(w->args->hex || w->args->text)) {
        out_row(out, row);
        return;
    }
    if (out_get_headings(out))
        out_text(out, "[%" PRIu64 "] %s %" PRId64 ", %" PRIu64 " bytes", row->index,
                 w->is_sysv ? "type" : "priority", w->is_sysv ? row->mtype : row->priority,
                 row->length);
    if (!row->content.data)
        return;
    if (w->args->hex)
        out_hexdump(out, row->content.data, row->content.len);
    else
        show_text(out, &row->content);
}

/* Return: 1 when no more messages are wanted. */
static int visit(const struct msgq_message *m, void *argp)
{
    struct peek_walk *w = argp;
    struct peek_row row = {
        .index = m->index,
        .priority = w->is_sysv ? OUT_UNKNOWN_U32 : m->priority,
        .mtype = w->is_sysv ? m->type : OUT_UNKNOWN_I64,
        .length = m->length,
    };

    w->visited++;
    w->bytes += m->length;
    cli_progress_at(&w->progress, w->visited, w->bytes);
    if (w->shown == w->args->count || (w->args->index.set && m->index > w->args->index.last))
        return 1;
    if (!in_range(&w->args->index, m->index) || !in_range(&w->args->priority, m->priority) ||
        !in_range(&w->args->type, (uint64_t)m->type))
        return 0;
    if (m->data && w->args->preview > 0)
        row.content = (struct out_bytes){m->data, MIN(m->length, (size_t)w->args->preview),
                                         m->length};
    show(w, &row);
    w->shown++;
    return out_error(w->ctx->out) != 0;
}

static void show_head(struct cli_ctx *ctx, const struct peek_head *head)
{
    if (!out_get_headings(ctx->out))
        return;
    if (head->total == PMQ_UNKNOWN)
        out_line(ctx->out, "%s: too large for one snapshot, read in windows (%s, %s)", head->queue,
                 head->backend, head->consistency);
    else if (head->total == 0)
        out_line(ctx->out, "%s: empty (%s, %s)", head->queue, head->backend, head->consistency);
    else if (head->id != PMQ_UNKNOWN && head->bytes == PMQ_UNKNOWN)
        out_line(ctx->out, "%s: %" PRIu64 " messages (%s, %s)", head->queue, head->total,
                 head->backend, head->consistency);
    else if (head->id != PMQ_UNKNOWN)
        out_line(ctx->out, "%s: %" PRIu64 " messages, %" PRIu64 " of %" PRIu64 " bytes (%s, %s)",
                 head->queue, head->total, head->bytes, head->limit, head->backend,
                 head->consistency);
    else if (head->bytes == PMQ_UNKNOWN)
        out_line(ctx->out, "%s: %" PRIu64 " of %" PRIu64 " messages (%s, %s)", head->queue,
                 head->total, head->attr.maxmsg, head->backend, head->consistency);
    else
        out_line(ctx->out, "%s: %" PRIu64 " of %" PRIu64 " messages, %" PRIu64 " bytes (%s, %s)",
                 head->queue, head->total, head->attr.maxmsg, head->bytes, head->backend,
                 head->consistency);
}

static int no_message(struct cli_ctx *ctx, const struct peek_args *args,
                      const struct peek_head *head)
{
    if (head->total == PMQ_UNKNOWN)
        return cli_fail_status(ctx, CLI_FAILED, "%s: there is no message %" PRIu64, head->queue,
                               args->index.first);
    return cli_fail_status(ctx, CLI_FAILED, "%s: there is no message %" PRIu64 ", it has %" PRIu64,
                           head->queue, args->index.first, head->total);
}

static int walk(struct cli_ctx *ctx, const struct peek_args *args, struct msgq_snapshot *s,
                const struct peek_head *head)
{
    struct peek_walk w = {.ctx = ctx, .args = args, .is_sysv = head->id != PMQ_UNKNOWN};
    struct err e = ERR_INIT;
    int r;

    if (!args->raw) {
        out_item_begin(ctx->out, head_cols, head);
        show_head(ctx, head);
        out_list_begin(ctx->out, "messages", w.is_sysv ? sysv_cols : posix_cols, OUT_RECORDS);
    }
    cli_progress_begin(ctx, "messages", true, &w.progress);
    r = msgq_snapshot_visit(s, visit, &w, &e);
    cli_progress_end(&w.progress);
    if (!args->raw) {
        out_list_end(ctx->out);
        out_item_end(ctx->out);
    }
    if (r < 0)
        return cli_fail(ctx, r, &e, "%s: cannot read on", head->queue);
    return args->index.set && w.visited == 0 ? no_message(ctx, args, head) : CLI_OK;
}

/* Shows the snapshot, if there is one. @r: the result of pmq_peek() or sysv_peek(). */
static int show_snapshot(struct cli_ctx *ctx, const struct peek_args *args, struct msgq_peeker *p,
                         struct msgq_snapshot *s, struct peek_head *head)
{
    const struct msgq_snapshot_info *info = msgq_snapshot_info(s);

    head->backend = msgq_peeker_backend(p);
    head->reason = msgq_peeker_reason(p)[0] ? msgq_peeker_reason(p) : NULL;
    head->consistency = msgq_consistency_name(info->consistency);
    head->consistent = info->consistency != MSGQ_TORN;
    head->tries = info->tries;
    head->taken = info->taken;
    head->total = info->messages;
    head->bytes = info->bytes;
    if (!head->consistent)
        cli_note(ctx, "%s: the messages may be of several moments: others could use the queue",
                 head->queue);
    return walk(ctx, args, s, head);
}

static int peek_queue(struct cli_ctx *ctx, const struct peek_args *args, struct msgq_peeker *p,
                      const struct pmq_queue *q)
{
    _cleanup_(msgq_snapshot_freep) struct msgq_snapshot *s = NULL;
    struct peek_head head = {
        .queue = pmq_queue_label(q),
        .kind = "posix",
        .id = OUT_UNKNOWN_U64,
        .limit = OUT_UNKNOWN_U64,
    };
    struct err e = ERR_INIT;
    int r = pmq_queue_attr_basic(q, &head.attr);

    if (r == 0)
        r = pmq_peek(p, q, &s, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "%s: cannot peek", head.queue);
    return show_snapshot(ctx, args, p, s, &head);
}

static int peek_sysv(struct cli_ctx *ctx, const struct peek_args *args, struct msgq_peeker *p,
                     const struct sysv_queue *q)
{
    _cleanup_(msgq_snapshot_freep) struct msgq_snapshot *s = NULL;
    struct peek_head head = {.queue = q->label, .kind = "sysv", .id = (uint64_t)q->id};
    struct sysv_limits limits;
    struct sysv_attr attr;
    struct err e = ERR_INIT;
    int r = sysv_stat(q->id, &attr, &e);

    if (r == 0)
        r = sysv_peek(p, q, &s, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "%s: cannot peek", head.queue);
    sysv_limits_read(&limits);
    head.attr = (struct pmq_attr){.maxmsg = PMQ_UNKNOWN, .msgsize = limits.msgmax};
    snprintf(head.attr.name, sizeof(head.attr.name), "sysv:%d", q->id);
    head.limit = attr.limit;
    sysv_key_format(attr.key, head.key);
    return show_snapshot(ctx, args, p, s, &head);
}

static int check(struct cli_ctx *ctx, const struct peek_args *args)
{
    if (args->hex + args->text + args->raw > 1)
        return cli_usage(ctx, "--hex, --text and --raw exclude each other");
    if (args->raw && out_get_mode(ctx->out) != OUT_MODE_TABLE)
        return cli_usage(ctx, "--raw and JSON exclude each other");
    if (args->raw && isatty(STDOUT_FILENO))
        return cli_usage(ctx, "--raw writes bytes as they are: send them to a pipe or a file");
    if (args->priority.set && args->type.set)
        return cli_usage(ctx, "--priority is for POSIX queues, --type for those of System V");
    if (args->force && (!ctx->backend || strcmp(ctx->backend, "drain")))
        return cli_usage(ctx, "--force is for --backend drain only");
    return CLI_OK;
}

/*
 * How many messages have to be read: all of them when a priority is asked for, since any message
 * could have it.
 */
static uint64_t needed(const struct peek_args *args)
{
    uint64_t count = args->priority.set || args->type.set ? UINT64_MAX : args->count;

    if (args->index.set && args->index.last - args->index.first < UINT64_MAX)
        count = MIN(count, args->index.last - args->index.first + 1);
    return MAX(count, UINT64_C(1));
}

/* The peekers for operands, each made when the first operand of its kind comes. */
struct peekers {
    struct msgq_peek_opts *opts;
    struct msgq_peeker *posix;
    struct msgq_peeker *sysv;
};

static int peek_operand_sysv(struct cli_ctx *ctx, const struct peek_args *args, struct peekers *p,
                             const char *operand)
{
    struct sysv_there there;
    struct sysv_queue q;
    int r;

    if (args->priority.set)
        return cli_usage(ctx, "%s: a System V message has a --type", operand);
    r = qcmd_open_sysv(ctx, operand, &q, &there);
    if (r != CLI_OK)
        return r;
    if (!p->sysv)
        r = qcmd_peeker_sysv(ctx, &args->common, p->opts, &p->sysv);
    if (r == CLI_OK)
        r = peek_sysv(ctx, args, p->sysv, &q);
    sysv_leave(&there);
    return r;
}

static int peek_operand(struct cli_ctx *ctx, const struct peek_args *args, struct peekers *p,
                        const char *operand)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    int r;

    if (sysv_ref_is(operand))
        return peek_operand_sysv(ctx, args, p, operand);
    if (args->type.set)
        return cli_usage(ctx, "%s: a POSIX message has a --priority", operand);
    r = qcmd_open(ctx, operand, PMQ_OPEN_READ, &q);
    if (r == CLI_OK && !p->posix)
        r = qcmd_peeker(ctx, &args->common, q, p->opts, &p->posix);
    return r == CLI_OK ? peek_queue(ctx, args, p->posix, q) : r;
}

static int peek_run(struct cli_ctx *ctx, const void *argp)
{
    const struct peek_args *args = argp;
    struct msgq_peek_opts opts = {
        .force = args->force,
        .heads = args->preview == 0,
        .first = args->index.set ? args->index.first : 0,
        .count = needed(args),
    };
    struct peekers p = {.opts = &opts};
    int status = check(ctx, args);

    if (status)
        return status;
    if (ctx->backend && !strcmp(ctx->backend, "drain"))
        cli_note(ctx, "drain receives every message and sends it again: meanwhile others can find "
                      "the queue empty, or get ahead of what is put back");
    if (!args->raw)
        out_list_begin(ctx->out, "queues", NULL, 0);
    for (size_t i = 0; i < ctx->n_operands && !out_error(ctx->out); i++)
        (void)peek_operand(ctx, args, &p, ctx->operands[i]);
    msgq_peeker_free(p.posix);
    msgq_peeker_free(p.sysv);
    if (!args->raw)
        out_list_end(ctx->out);
    return ctx->status;
}

static const struct cli_example peek_examples[] = {
    {"mqpeek /jobs", "the messages of /jobs"},
    {"mqpeek /jobs -i 0 --raw | xxd", "the next message, byte by byte"},
    {"mqpeek -J /jobs | jq -r '.queues[].messages[] | select(.priority > 5) | .text'",
     "texts of the urgent ones"},
    {"mqpeek sysv:61 --type 5", "messages of type 5 in a System V queue"},
    {"mqpeek pid:4711:5", "the queue that process 4711 has open as descriptor 5"},
    {NULL, NULL},
};

static const struct cli_table peek_tables[] = {
    {"queues", head_cols},
    {"messages", peek_cols},
    {NULL, NULL},
};

const struct cli_verb mqpeek_peek_verb = {
    .name = "peek",
    .operands = "QUEUE…",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_QUEUE,
    .summary = "show the messages of queues, in receive order",
    .description =
        "Shows each queue's messages in the order in which mq_receive(3) would return them. "
        "Nothing in the queue changes.\n"
        "\n"
        "The first line and the JSON tell how far the messages are of one moment: verified (read "
        "twice, equal to the byte, the queue untouched between), atomic (read while the queue was "
        "locked), exclusive (nobody else had it open), torn (messages were moving).\n"
        "\n"
        "In a table content is shown as text if it is text, else as hexadecimal bytes; what a "
        "terminal could take for a command is escaped. JSON and --raw have all bytes.\n"
        "\n"
        "A System V queue's messages are in the order of sending; a receiver may pick by their "
        "type. "
        "They are read by bpf, or by copy (msgrcv(2) with MSG_COPY, which takes no privilege, and "
        "time that grows with the square of their number).\n"
        "\n"
        "Backends, in the order in which they are tried: bpf (Linux 5.10 or later), then syscall, "
        "fcntl, ioctl (patched kernels). --backend drain is taken only when named: it receives "
        "every message "
        "and sends it again. While it does, a receiver can find the queue empty; it refuses a "
        "queue that somebody else has open or where that cannot be known, and one with a "
        "registered notification, unless --force is given. It keeps a journal: should it be "
        "killed, mqpeek recover puts everything back.",
    .examples = peek_examples,
    .opts = peek_opts,
    .args_size = sizeof(struct peek_args),
    .defaults = &peek_defaults,
    .cols = peek_cols,
    .more_cols = peek_tables,
    .run = peek_run,
};
