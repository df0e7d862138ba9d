/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mqctl recv: messages out of a queue. A message that was taken is written out before the next is
 * taken, so that whatever ends this, at most one message is lost: the one that was taken last.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "mqctl.h"
#include "parse.h"
#include "waker.h"

struct recv_args {
    uint64_t count;
    bool follow;
    uint64_t timeout;
    bool lines;
    bool raw;
    const char *type;
};

static const struct recv_args recv_defaults = {.timeout = CLI_FOREVER};

static const struct cli_opt recv_opts[] = {
    CLI_U64(struct recv_args, count, 'N', "count", "COUNT", "so many messages (1)", .min = 1,
            .max = UINT64_MAX),
    CLI_FLAG(struct recv_args, follow, 'f', "follow",
             "until interrupted, or until the queue is removed"),
    CLI_SPAN(struct recv_args, timeout, 't', "timeout", "SEC",
             "wait no longer than that in all; 0: not at all"),
    CLI_FLAG(struct recv_args, lines, 'l', "lines",
             "content only, a line each: the default unless on a terminal"),
    CLI_FLAG(struct recv_args, raw, 0, "raw", "the bytes as they are and nothing else"),
    CLI_STR(struct recv_args, type, 0, "type", "N",
            "of System V: only type N; -N: the lowest type up to N; !N: any other type"),
    CLI_END,
};

struct recv_row {
    uint32_t priority;
    int64_t mtype;
    uint64_t length;
    struct out_bytes content;
};

static const struct out_col recv_cols[] = {
    OUT_U32(struct recv_row, priority, "priority", "of a POSIX message", .flags = OUT_OPTIONAL),
    OUT_I64(struct recv_row, mtype, "mtype", "of a System V message", .heading = "TYPE",
            .flags = OUT_OPTIONAL),
    OUT_SIZE(struct recv_row, length, "length", "bytes", .width = 8),
    OUT_BYTES(struct recv_row, content, "content",
              "text if it is text, else <hex>; in JSON data_base64 and text", .flags = OUT_WIDE),
    OUT_END,
};

struct receiving {
    struct cli_ctx *ctx;
    const struct recv_args *args;
    struct mqio *io;
    struct mqio_want want;
    struct cli_stream stream;
    bool is_sysv;
    bool lines;
    bool piped;    /* the output has a reader, who may go away */
    bool watching; /* whether it does */
};

/* ---- a reader that goes away ---- */

static bool has_reader(void)
{
    struct stat st;

    return fstat(STDOUT_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

static bool reader_gone(const struct receiving *rc)
{
    struct pollfd p = {.fd = STDOUT_FILENO};

    return rc->piped && poll(&p, 1, 0) > 0 && p.revents & POLLERR;
}

static void *watch_reader(void *unused)
{
    struct pollfd p = {.fd = STDOUT_FILENO};

    while (poll(&p, 1, -1) < 0 && errno == EINTR)
        ;
    if (p.revents & POLLERR)
        waker_now(NULL);
    return unused;
}

/*
 * A message that is taken when nobody reads any more would be lost. So what blocks for the next one
 * is told when the reader goes, by a thread, since there is no call that waits for both.
 */
static void begin_watching(struct receiving *rc)
{
    pthread_t thread;
    sigset_t all, old;

    rc->watching = true;
    if (!rc->piped)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&thread, NULL, watch_reader, NULL) == 0)
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- receiving ---- */

/* Return: 0 or -errno, -EPIPE when nobody reads on. */
static int next(struct receiving *rc, struct mqio_message *m, struct err *e)
{
    int r;

    if (reader_gone(rc))
        return -EPIPE;
    r = mqio_recv(rc->io, &rc->want, m, false, e);
    if (r == -EAGAIN && rc->args->timeout > 0 && !rc->watching)
        begin_watching(rc);
    while (r == -EAGAIN || r == -EINTR) {
        if (cli_interrupted())
            return -EINTR;
        if (reader_gone(rc))
            return -EPIPE;
        if (cli_stream_is_late(&rc->stream))
            return -ETIMEDOUT;
        waker_listen(true);
        r = mqio_recv(rc->io, &rc->want, m, true, e);
        waker_listen(false);
    }
    return r;
}

static void show(const struct receiving *rc, const struct mqio_message *m)
{
    struct out *out = rc->ctx->out;
    const struct recv_row row = {
        .priority = rc->is_sysv ? OUT_UNKNOWN_U32 : m->priority,
        .mtype = rc->is_sysv ? m->mtype : OUT_UNKNOWN_I64,
        .length = m->length,
        .content = {.data = m->data, .len = m->length},
    };

    if (!rc->args->raw && !rc->lines) {
        out_row(out, &row);
        return;
    }
    out_raw(out, m->data, m->length);
    if (rc->lines)
        out_raw(out, "\n", 1);
}

static int ended(const struct receiving *rc, int r, const struct err *e)
{
    const char *queue = rc->ctx->operands[0];

    if (r == -EPIPE)
        return CLI_OK;
    if (r == -EINTR || r == -ETIMEDOUT)
        return cli_stream_status(&rc->stream);
    if (r == -ENOENT && !rc->stream.wanted) {
        cli_note(rc->ctx, "%s: %s", queue, err_text(e, r));
        return CLI_OK;
    }
    return cli_fail(rc->ctx, r, e, "%s: cannot receive", queue);
}

static int receive(struct receiving *rc)
{
    while (!cli_stream_is_done(&rc->stream)) {
        struct mqio_message m;
        struct err e = ERR_INIT;
        int r = cli_interrupted() ? -EINTR : next(rc, &m, &e);

        if (r < 0)
            return ended(rc, r, &e);
        show(rc, &m);
        rc->stream.done++;
        out_flush(rc->ctx->out);
        if (out_error(rc->ctx->out) < 0) {
            rc->ctx->done = "the message that was taken last is lost";
            return CLI_OK;
        }
    }
    return CLI_OK;
}

/* ---- the verb ---- */

static int parse_type(struct cli_ctx *ctx, const char *text, struct mqio_want *out)
{
    bool lowest = *text == '-', except = *text == '!';
    uint64_t v;

    if (parse_u64_max(text + (lowest || except), INT64_MAX, &v) < 0 || (v == 0 && except))
        return cli_usage(ctx, "--type is N, -N or !N, not \"%s\"", text);
    out->type = lowest ? -(int64_t)v : (int64_t)v;
    out->except = except;
    return CLI_OK;
}

static int check(struct cli_ctx *ctx, const struct recv_args *args)
{
    bool json = out_get_mode(ctx->out) != OUT_MODE_TABLE;

    if (args->raw && args->lines)
        return cli_usage(ctx, "--raw and --lines exclude each other");
    if ((args->raw || args->lines) && json)
        return cli_usage(ctx, "--raw, --lines and JSON exclude each other");
    if ((args->raw || args->lines) && isatty(STDOUT_FILENO))
        return cli_usage(ctx, "--raw and --lines write bytes as they are: send them to a pipe or a "
                              "file");
    return CLI_OK;
}

static int recv_run(struct cli_ctx *ctx, const void *argp)
{
    const struct recv_args *args = argp;
    _cleanup_(mqio_closep) struct mqio *io = NULL;
    struct receiving rc = {.ctx = ctx, .args = args};
    bool rows;
    struct mqio_ref ref;
    int r = check(ctx, args);

    if (r == CLI_OK && args->type)
        r = parse_type(ctx, args->type, &rc.want);
    if (r == CLI_OK)
        r = mqctl_open(ctx, MQIO_RECV, &ref, &io);
    if (r != CLI_OK)
        return r;
    if (args->type && !ref.is_sysv)
        return cli_usage(ctx, "--type is for System V queues");
    rc.io = io;
    rc.is_sysv = ref.is_sysv;
    rc.piped = has_reader();
    rc.stream = (struct cli_stream){
        .ctx = ctx,
        .subject = ctx->operands[0],
        .what = "messages",
        .timeout = args->timeout,
        .wanted = args->count || args->follow ? args->count : 1,
    };
    rows = out_get_mode(ctx->out) != OUT_MODE_TABLE ||
           (!args->raw && !args->lines && isatty(STDOUT_FILENO));
    rc.lines = !rows && !args->raw;
    r = mqctl_wait_begin(&rc.stream);
    if (r != CLI_OK)
        return r;
    if (rows)
        out_list_begin(ctx->out, "messages", recv_cols, OUT_RECORDS | OUT_STREAM);
    r = receive(&rc);
    if (rows)
        out_list_end(ctx->out);
    return r;
}

static const struct cli_example recv_examples[] = {
    {"mqctl recv /jobs", "take the next message"},
    {"mqctl recv -N 100 -t 5 /jobs", "a hundred, within 5 seconds"},
    {"mqctl recv --follow --jsonl /jobs | jq .text", "all, until interrupted"},
    {"mqctl recv --type 5 --raw sysv:61 >file", "the next of type 5, byte by byte"},
    {NULL, NULL},
};

const struct cli_verb mqctl_recv_verb = {
    .name = "recv",
    .operands = "QUEUE",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_QUEUE,
    .summary = "receive messages: take them out of the queue",
    .description =
        "Receives one message, or --count, or with --follow all that come until it is interrupted "
        "or the queue is removed. On a terminal and in JSON messages are shown with their priority "
        "or type; anywhere else content only, a line each.\n"
        "\n"
        "Each message is written out before the next is taken: whatever ends it, at most the "
        "message that was taken last is lost. While the reader of its output has gone it takes "
        "none. To look at messages without taking them there is mqpeek.",
    .examples = recv_examples,
    .opts = recv_opts,
    .args_size = sizeof(struct recv_args),
    .defaults = &recv_defaults,
    .cols = recv_cols,
    .flags = CLI_STREAM,
    .run = recv_run,
};
