/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uringipc recv: messages out of a channel. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "cleanup.h"
#include "timefmt.h"
#include "ucmd.h"

struct recv_args {
    uint64_t count;
    bool follow;
    uint64_t timeout;
    bool lines;
    bool raw;
};

static const struct recv_args recv_defaults = {.timeout = CHAN_FOREVER};

static const struct cli_opt recv_opts[] = {
    CLI_U64(struct recv_args, count, 'N', "count", "COUNT", "so many messages (1)", .min = 1,
            .max = UINT64_MAX),
    CLI_FLAG(struct recv_args, follow, 'f', "follow", "until the channel ends, or interrupted"),
    CLI_SPAN(struct recv_args, timeout, 't', "timeout", "SEC", "wait no longer than that in all"),
    CLI_FLAG(struct recv_args, lines, 'l', "lines",
             "content only, a line each: the default unless on a terminal"),
    CLI_FLAG(struct recv_args, raw, 0, "raw", "the bytes as they are and nothing else"),
    CLI_END,
};

static const struct out_col recv_cols[] = {
    OUT_U64(struct ucmd_msg, position, "position",
            "its number in the channel; kernel channels that "
            "are multicast tell none",
            .width = 10),
    OUT_U64(struct ucmd_msg, msg_id, "msg_id", "as the channel numbers it", .flags = OUT_HIDDEN),
    OUT_U32(struct ucmd_msg, target, "target", "subscriber it was sent to; 0: to all",
            .flags = OUT_HIDDEN),
    OUT_HEX64(struct ucmd_msg, user_data, "user_data",
              "the sender's number; 0 where the position is not known",
              .flags = OUT_HIDDEN | OUT_KNOWN),
    OUT_U64(struct ucmd_msg, lost, "lost",
            "messages before it whose sender died while it wrote them, or that were overwritten",
            .flags = OUT_HIDDEN),
    OUT_SIZE(struct ucmd_msg, length, "length", "bytes", .width = 8),
    OUT_BYTES(struct ucmd_msg, content, "content",
              "text if it is text, else <hex>; in JSON data_base64 and text", .flags = OUT_WIDE),
    OUT_END,
};

enum { HELD_MAX = 64 };

/**
 * struct receiving - a recv on its way
 * @held: messages written to the output and not yet flushed: the channel keeps them until then
 */
struct receiving {
    struct cli_ctx *ctx;
    const struct recv_args *args;
    struct uipc *u;
    char *buf;
    size_t cap;
    struct cli_stream stream;
    uint32_t held;
    uint32_t held_max;
    bool lines;
};

static void show(struct receiving *rc, const struct chan_got *got)
{
    struct out *out = rc->ctx->out;
    struct ucmd_msg row;

    if (got->lost) {
        if (got->lost_pid)
            cli_note(rc->ctx, "%s: %" PRIu64 " messages lost: process %u died while it sent",
                     rc->ctx->operands[0], got->lost, got->lost_pid);
        else
            cli_note(rc->ctx, "%s: %" PRIu64 " messages lost", rc->ctx->operands[0], got->lost);
    }
    if (rc->args->raw || rc->lines) {
        out_raw(out, rc->buf, got->msg.len);
        if (rc->lines)
            out_raw(out, "\n", 1);
        return;
    }
    ucmd_msg_fill(&row, &got->msg, rc->buf, UINT64_MAX);
    row.position = got->position;
    row.lost = got->lost;
    out_row(out, &row);
}

/* Only when the output has been flushed may the channel forget the messages. */
static int let_go(struct receiving *rc)
{
    out_flush(rc->ctx->out);
    if (out_error(rc->ctx->out) < 0)
        return out_error(rc->ctx->out);
    uipc_commit(rc->u);
    rc->held = 0;
    return 0;
}

/* One message, or the end. Return: 0 or -errno. */
static int next(struct receiving *rc, struct chan_got *got, struct err *e)
{
    const uint64_t slice = 200 * NSEC_PER_MSEC; /* a signal may come just before the sleep */
    int r = uipc_recv(rc->u, rc->buf, rc->cap, got, 0, e);

    if (r == -EAGAIN && rc->held) {
        r = let_go(rc);
        r = r < 0 ? r : -EAGAIN;
    }
    while (r == -EAGAIN || r == -ETIMEDOUT) {
        if (cli_interrupted())
            return -EINTR;
        if (ucmd_reader_gone())
            return -EPIPE;
        if (cli_stream_is_late(&rc->stream))
            return -ETIMEDOUT;
        r = uipc_recv(rc->u, rc->buf, rc->cap, got, cli_stream_left(&rc->stream, slice), e);
    }
    return r;
}

static int receive(struct receiving *rc)
{
    const char *ch = rc->ctx->operands[0];

    while (!cli_stream_is_done(&rc->stream) && !cli_interrupted()) {
        struct err e = ERR_INIT;
        struct chan_got got = {0};
        int r = next(rc, &got, &e);

        if (out_error(rc->ctx->out) < 0 || r == -EPIPE)
            return CLI_OK; /* cli reports a failed write; a reader that has gone is no failure */
        rc->stream.ended = r == -EIDRM && rc->args->follow;
        if (r == -EINTR || r == -ETIMEDOUT || rc->stream.ended)
            break;
        if (r == -EBADMSG) {
            cli_fail(rc->ctx, r, &e, "%s", ch);
            continue;
        }
        if (r < 0)
            return cli_fail(rc->ctx, r, &e, "%s: cannot receive", ch);
        show(rc, &got);
        rc->stream.done++;
        if (++rc->held >= rc->held_max && let_go(rc) < 0)
            return CLI_OK;
    }
    (void)let_go(rc);
    return rc->stream.ended ? CLI_OK : cli_stream_status(&rc->stream);
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
    _cleanup_(uipc_closep) struct uipc *u = NULL;
    _cleanup_(freep) char *buf = NULL;
    struct receiving rc = {.ctx = ctx, .args = args};
    struct uipc_info info;
    int r = check(ctx, args);

    if (r == CLI_OK)
        r = ucmd_open(ctx, CHAN_RECV, &u);
    if (r != CLI_OK)
        return r;
    r = uipc_get_info(u, &info);
    rc.buf = buf = r == 0 ? malloc(info.c.max_msg) : NULL;
    if (r < 0 || !buf)
        return cli_fail(ctx, r < 0 ? r : -ENOMEM, NULL, "%s", ctx->operands[0]);
    rc.u = u;
    rc.cap = info.c.max_msg;
    rc.stream = (struct cli_stream){
        .ctx = ctx,
        .subject = ctx->operands[0],
        .what = "messages",
        .timeout = args->timeout,
        .wanted = args->count || args->follow ? args->count : 1,
    };
    rc.held_max = MAX(MIN(info.c.entries / 4, (uint32_t)HELD_MAX), 1U);
    rc.lines = out_get_mode(ctx->out) == OUT_MODE_TABLE && !args->raw &&
               (args->lines || !isatty(STDOUT_FILENO));
    if (args->timeout == CHAN_FOREVER)
        uipc_patient(u);
    uipc_hold(u);
    r = cli_stream_begin(&rc.stream); /* what has been received is written out before the end */
    if (r < 0)
        return cli_fail(ctx, r, NULL, "cannot catch signals");
    if (!args->raw && !rc.lines)
        out_list_begin(ctx->out, "messages", recv_cols, OUT_RECORDS | OUT_STREAM | OUT_BATCH);
    r = receive(&rc);
    if (!args->raw && !rc.lines)
        out_list_end(ctx->out);
    return MAX(r, ctx->status);
}

static const struct cli_example recv_examples[] = {
    {"uringipc recv jobs", "the next message"},
    {"uringipc recv jobs --follow --lines | sort", "all until the channel is destroyed"},
    {"uringipc recv jobs --timeout 5 --raw >file", "one message, byte by byte, within 5 seconds"},
    {NULL, NULL},
};

const struct cli_verb uringipc_recv_verb = {
    .name = "recv",
    .operands = "CH",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_CHANNEL,
    .summary = "receive messages",
    .description =
        "Receives one message, or --count, or with --follow all until the channel is destroyed. "
        "On a terminal and in JSON messages are shown with their position; anywhere else content "
        "only, a line each.\n"
        "\n"
        "A receiver gets the messages that are there, and those that come: in a unicast channel "
        "those that no receiver has got yet, in a broadcast channel all that have not been "
        "overwritten, in a multicast channel those that no other receiver takes first. An embedded "
        "unicast channel keeps a message until it has been written to standard output, so that "
        "none "
        "is lost when the output fails; after a kill -9 some messages may come twice.\n"
        "\n"
        "Kernel channels differ. A receiver that attaches after more messages have passed than the "
        "ring holds would never get any, and would hold up the senders of a broadcast channel: it "
        "is refused. A multicast channel takes it; where ipcbox cannot tell the way of delivery it "
        "attaches, and detaches as soon as it finds out. Nothing wakes a receiver: it looks at the "
        "channel's memory, at most 20 ms apart. A message that has been received is no longer in "
        "the channel. The end of a channel is noticed within a second.",
    .examples = recv_examples,
    .opts = recv_opts,
    .args_size = sizeof(struct recv_args),
    .defaults = &recv_defaults,
    .cols = recv_cols,
    .flags = CLI_STREAM,
    .run = recv_run,
};
