/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqctl send: one message, or a message a line. */
#include <errno.h>
#include <inttypes.h>

#include "cleanup.h"
#include "feed.h"
#include "mqctl.h"
#include "waker.h"

struct send_args {
    const char *file;
    bool lines;
    uint64_t timeout;
    uint32_t priority;
    uint64_t type;
};

static const struct send_args send_defaults = {
    .timeout = CLI_FOREVER,
    .priority = UINT32_MAX,
    .type = UINT64_MAX,
};

static const struct cli_opt send_opts[] = {
    CLI_U32(struct send_args, priority, 'p', "priority", "PRIO", "of a POSIX message (0)",
            .max = PMQ_PRIO_MAX - 1),
    CLI_U64(struct send_args, type, 0, "type", "N", "of a System V message (1)", .min = 1,
            .max = INT64_MAX),
    CLI_STR(struct send_args, file, 'f', "file", "FILE", "send what is in FILE",
            .complete = CLI_COMPLETE_FILE),
    CLI_FLAG(struct send_args, lines, 'l', "lines", "each line is a message, without its newline"),
    CLI_SPAN(struct send_args, timeout, 't', "timeout", "SEC",
             "wait no longer than that in all while the queue is full; 0: not at all"),
    CLI_END,
};

struct send_row {
    uint64_t message_count;
    uint64_t bytes;
};

static const struct out_col send_cols[] = {
    OUT_U64(struct send_row, message_count, "message_count", "messages sent", .flags = OUT_JSON),
    OUT_SIZE(struct send_row, bytes, "bytes", "in them", .flags = OUT_JSON),
    OUT_END,
};

struct sending {
    struct feed feed;
    const struct send_args *args;
    struct mqio *io;
    bool is_sysv;
    bool begun;               /* to wait */
    struct cli_stream stream; /* for how long it waits */
};

/* The first that finds the queue full begins to wait: who need not wait is spared the preparation.
 */
static int send_patiently(struct sending *s, const struct mqio_message *m, struct err *e)
{
    int r = mqio_send(s->io, m, false, e);

    if (r == -EAGAIN && !s->begun && s->args->timeout > 0) {
        s->stream = (struct cli_stream){.ctx = s->feed.ctx, .timeout = s->args->timeout};
        if (mqctl_wait_begin(&s->stream) != CLI_OK)
            return -ECANCELED;
        s->begun = true;
    }
    while ((r == -EAGAIN || r == -EINTR) && s->begun && !cli_interrupted() &&
           !cli_stream_is_late(&s->stream)) {
        waker_listen(true);
        r = mqio_send(s->io, m, true, e);
        waker_listen(false);
    }
    return r;
}

/* What a JSON object says of its message counts, else the options. */
static int fill(const struct sending *s, const struct dump_record *rec, struct mqio_message *m,
                struct err *e)
{
    uint64_t priority;
    int r = 0;

    m->priority = s->args->priority == UINT32_MAX ? 0 : s->args->priority;
    m->mtype = s->args->type == UINT64_MAX ? 1 : (int64_t)s->args->type;
    if (rec && s->is_sysv && dump_has(rec, "mtype")) {
        r = dump_get_i64(rec, "mtype", &m->mtype, e);
        if (r == 0 && m->mtype < 1)
            return dump_bad(rec, e, "\"mtype\" is below 1");
    }
    if (rec && !s->is_sysv && dump_has(rec, "priority")) {
        r = dump_get_u64(rec, "priority", PMQ_PRIO_MAX - 1, &priority, e);
        m->priority = r == 0 ? (uint32_t)priority : 0;
    }
    return r;
}

static int send_one(struct feed *f, const void *data, size_t len, struct dump_record *rec)
{
    struct sending *s = container_of(f, struct sending, feed);
    struct mqio_message m = {.data = data, .length = len};
    const char *queue = f->ctx->operands[0];
    struct err e = ERR_INIT;
    int r = fill(s, rec, &m, &e);

    r = r < 0 ? r : send_patiently(s, &m, &e);
    if (r == 0)
        return CLI_OK;
    if (r == -ECANCELED)
        return f->ctx->status;
    if (r == -EINTR || (r == -EAGAIN && s->begun))
        err_set(&e, -EAGAIN, NULL,
                cli_interrupted() ? "interrupted while the queue was full"
                                  : "the queue stayed full");
    if (feed_is_stream(f))
        r = cli_fail(f->ctx, r, &e, "%s: line %" PRIu64 " is not sent, nor what follows", queue,
                     f->sent + 1);
    else
        r = cli_fail(f->ctx, r, &e, "%s: not sent", queue);
    return cli_interrupted() ? cli_interrupted_status() : r;
}

static int send_run(struct cli_ctx *ctx, const void *argp)
{
    const struct send_args *args = argp;
    _cleanup_(mqio_closep) struct mqio *io = NULL;
    struct sending s = {
        .feed = {.ctx = ctx, .file = args->file, .lines = args->lines, .send = send_one},
        .args = args,
    };
    struct mqio_ref ref;
    int r = feed_check(&s.feed);

    if (r == CLI_OK)
        r = mqctl_open(ctx, MQIO_SEND, &ref, &io);
    if (r != CLI_OK)
        return r;
    if (ref.is_sysv ? args->priority != UINT32_MAX : args->type != UINT64_MAX)
        return cli_usage(ctx, ref.is_sysv ? "--priority is for POSIX queues, a System V message "
                                            "has a --type"
                                          : "--type is for System V queues, a POSIX message has a "
                                            "--priority");
    s.io = io;
    s.is_sysv = ref.is_sysv;
    s.feed.max = mqio_max_length(io);
    r = feed_run(&s.feed);
    out_fields(ctx->out, send_cols, &(struct send_row){s.feed.sent, s.feed.bytes});
    return r;
}

static const struct cli_example send_examples[] = {
    {"mqctl send /jobs 'deploy web-7'", "one message"},
    {"mqctl send -p 9 /jobs 'page the operator'", "an urgent one"},
    {"mqctl send --type 5 sysv:61 hello", "a System V message of type 5"},
    {"seq 1000 | mqctl send /jobs --lines", "a message a line"},
    {"mqpeek --jsonl /jobs | mqctl send /copy --jsonl", "what waits in one queue, into another"},
    {NULL, NULL},
};

const struct cli_verb mqctl_send_verb = {
    .name = "send",
    .operands = "QUEUE [DATA|-]",
    .min_operands = 1,
    .max_operands = 2,
    .complete = CLI_COMPLETE_QUEUE,
    .summary = "send a message, or one a line",
    .description =
        "Without DATA and --file the message is standard input. While the queue is full it waits; "
        "a message that can never fit is refused. With --lines it stops at the first line that "
        "cannot be sent, and says which. With --jsonl and no DATA each line is a JSON object as "
        "mqctl recv and mqpeek write them: data_base64 or text, and priority or mtype count.",
    .examples = send_examples,
    .opts = send_opts,
    .args_size = sizeof(struct send_args),
    .defaults = &send_defaults,
    .cols = send_cols,
    .run = send_run,
};
