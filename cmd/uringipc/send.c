/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uringipc send: one message, or a message a line. */
#include <errno.h>
#include <inttypes.h>

#include "cleanup.h"
#include "feed.h"
#include "ucmd.h"

struct send_args {
    const char *file;
    bool lines;
    uint64_t timeout;
    uint64_t user_data;
    uint32_t target;
};

static const struct send_args send_defaults = {.timeout = CHAN_FOREVER};

static const struct cli_opt send_opts[] = {
    CLI_STR(struct send_args, file, 'f', "file", "FILE", "send what is in FILE",
            .complete = CLI_COMPLETE_FILE),
    CLI_FLAG(struct send_args, lines, 'l', "lines", "each line is a message, without its newline"),
    CLI_SPAN(struct send_args, timeout, 't', "timeout", "SEC",
             "give up when the channel stays full so long; 0: at once"),
    CLI_U32(struct send_args, target, 0, "target", "ID", "only for this subscriber (see info)"),
    CLI_U64(struct send_args, user_data, 0, "user-data", "N", "a number that goes with it"),
    CLI_END,
};

struct send_row {
    uint64_t messages;
    uint64_t bytes;
};

static const struct out_col send_cols[] = {
    OUT_U64(struct send_row, messages, "message_count", "sent", .heading = "MESSAGES",
            .flags = OUT_JSON),
    OUT_SIZE(struct send_row, bytes, "bytes", "in them", .flags = OUT_JSON),
    OUT_END,
};

struct sending {
    struct feed feed;
    const struct send_args *args;
    struct uipc *u;
};

static int send_one(struct feed *f, const void *data, size_t len, struct dump_record *rec)
{
    struct sending *s = container_of(f, struct sending, feed);
    uint64_t user_data = s->args->user_data;
    const char *ch = f->ctx->operands[0];
    struct err e = ERR_INIT;
    int r = 0;

    if (rec && dump_has(rec, "user_data"))
        r = dump_get_u64(rec, "user_data", UINT64_MAX, &user_data, &e);
    if (r < 0)
        return cli_fail(f->ctx, r, &e, "%s: stopped after %" PRIu64 " messages", ch, f->sent);
    r = uipc_send(s->u, data, len, user_data, s->args->target, s->args->timeout, &e);
    if (r == 0)
        return CLI_OK;
    if (feed_is_stream(f) && s->u->published)
        return cli_fail(f->ctx, r, &e, "%s: stopped behind line %" PRIu64, ch, f->sent + 1);
    if (feed_is_stream(f))
        return cli_fail(f->ctx, r, &e, "%s: line %" PRIu64 " is not sent, nor what follows", ch,
                        f->sent + 1);
    return cli_fail(f->ctx, r, &e, s->u->published ? "%s" : "%s: not sent", ch);
}

static int send_run(struct cli_ctx *ctx, const void *argp)
{
    const struct send_args *args = argp;
    _cleanup_(uipc_closep) struct uipc *u = NULL;
    struct sending s = {
        .feed = {.ctx = ctx, .file = args->file, .lines = args->lines, .send = send_one},
        .args = args,
    };
    struct uipc_info info;
    int r = feed_check(&s.feed);

    if (r == CLI_OK)
        r = ucmd_open(ctx, CHAN_SEND, &u);
    if (r != CLI_OK)
        return r;
    r = uipc_get_info(u, &info);
    if (r < 0)
        return cli_fail(ctx, r, NULL, "%s", ctx->operands[0]);
    s.u = u;
    s.feed.max = info.c.max_msg;
    r = feed_run(&s.feed);
    out_fields(ctx->out, send_cols, &(struct send_row){s.feed.sent, s.feed.bytes});
    return r;
}

static const struct cli_example send_examples[] = {
    {"uringipc send jobs hello", "one message"},
    {"seq 1000 | uringipc send jobs --lines", "a message a line"},
    {"uringipc send jobs -f picture.png", "a file, as one message"},
    {"uringipc recv jobs -f --jsonl | uringipc send copy --jsonl", "on to another channel"},
    {NULL, NULL},
};

const struct cli_verb uringipc_send_verb = {
    .name = "send",
    .operands = "CH [DATA|-]",
    .min_operands = 1,
    .max_operands = 2,
    .complete = CLI_COMPLETE_CHANNEL,
    .summary = "send a message, or one a line",
    .description =
        "Without DATA and --file the message is standard input. While the channel is full it "
        "waits. With --lines it stops at the first line that cannot be sent, and says which. With "
        "--jsonl "
        "and no DATA each line is a JSON object as recv --jsonl writes them: data_base64 or text, "
        "and user_data, count.\n"
        "\n"
        "--target: only this subscriber gets the message. In a multicast channel the other "
        "receivers wait until it has taken it. An embedded channel sends nothing to an unknown "
        "target; a kernel channel publishes the message and then says that there is no such "
        "target: do not send it again.",
    .examples = send_examples,
    .opts = send_opts,
    .args_size = sizeof(struct send_args),
    .defaults = &send_defaults,
    .cols = send_cols,
    .run = send_run,
};
