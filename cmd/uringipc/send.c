/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uringipc send: one message, or a message a line. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "dump.h"
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
    OUT_U64(struct send_row, messages, "messages", "sent", .flags = OUT_JSON),
    OUT_SIZE(struct send_row, bytes, "bytes", "in them", .flags = OUT_JSON),
    OUT_END,
};

struct sending {
    struct cli_ctx *ctx;
    const struct send_args *args;
    struct uipc *u;
    uint32_t max_msg;
    uint64_t user_data;
    bool stream; /* a message a line, of text or of JSON */
    struct send_row done;
    struct cli_progress progress;
};

/* Return: CLI_OK, or the status of a reported error. */
static int send_one(struct sending *s, const void *data, size_t len)
{
    struct err e = ERR_INIT;
    int r = uipc_send(s->u, data, len, s->user_data, s->args->target, s->args->timeout, &e);
    const char *ch = s->ctx->operands[0];

    if (r == 0) {
        s->done.messages++;
        s->done.bytes += len;
        return CLI_OK;
    }
    if (s->stream && s->u->published)
        return cli_fail(s->ctx, r, &e, "%s: stopped behind line %" PRIu64, ch,
                        s->done.messages + 1);
    if (s->stream)
        return cli_fail(s->ctx, r, &e, "%s: line %" PRIu64 " is not sent, nor what follows", ch,
                        s->done.messages + 1);
    return cli_fail(s->ctx, r, &e, s->u->published ? "%s" : "%s: not sent", ch);
}

/* One object, as recv --jsonl writes it. */
static int send_object(struct sending *s, struct dump_object *object, char *line, size_t n)
{
    struct dump_payload data;
    struct dump_record *rec;
    struct err e = ERR_INIT;
    int r = dump_object_parse(object, line, n, &rec, &e);

    s->user_data = s->args->user_data;
    if (r == 0)
        r = dump_get_payload(rec, &data, &e);
    if (r == 0 && data.captured != data.length)
        r = dump_bad(rec, &e, "the message was cut");
    if (r == 0 && dump_has(rec, "user_data"))
        r = dump_get_u64(rec, "user_data", UINT64_MAX, &s->user_data, &e);
    if (r < 0) /* what a line lacks is no missing channel */
        return cli_fail(s->ctx, r == -ENOENT ? -EBADMSG : r, &e,
                        "%s: stopped after %" PRIu64 " messages", s->ctx->operands[0],
                        s->done.messages);
    return send_one(s, data.data, data.captured);
}

static int send_lines(struct sending *s, FILE *f, const char *name)
{
    _cleanup_(dump_object_freep) struct dump_object *object = NULL;
    _cleanup_(freep) char *line = NULL;
    size_t cap = 0;
    int r = CLI_OK;

    if (!s->args->lines && dump_object_new(&object) < 0)
        return cli_fail(s->ctx, -ENOMEM, NULL, "%s", name);
    cli_progress_begin(s->ctx, "messages", false, &s->progress);
    while (r == CLI_OK) {
        ssize_t n = getline(&line, &cap, f);

        if (n < 0)
            break;
        if (n > 0 && line[n - 1] == '\n')
            n--;
        r = object ? send_object(s, object, line, (size_t)n) : send_one(s, line, (size_t)n);
        cli_progress_at(&s->progress, s->done.messages, s->done.bytes);
    }
    cli_progress_end(&s->progress);
    if (r == CLI_OK && ferror(f))
        return cli_fail(s->ctx, -errno, NULL, "%s", name);
    return r;
}

static int send_whole(struct sending *s, FILE *f, const char *name)
{
    size_t cap = (size_t)s->max_msg + 1;
    _cleanup_(freep) char *data = malloc(cap);
    size_t n;

    if (!data)
        return cli_fail(s->ctx, -ENOMEM, NULL, "%s", name);
    n = fread(data, 1, cap, f);
    if (ferror(f))
        return cli_fail(s->ctx, -errno, NULL, "%s", name);
    if (n == cap)
        return cli_fail_status(
            s->ctx, CLI_FAILED,
            "%s: not sent: %s is longer than the %u bytes that the channel takes",
            s->ctx->operands[0], name, s->max_msg);
    return send_one(s, data, n);
}

static int send_stream(struct sending *s, const char *path)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    _cleanup_(fclosep) FILE *f = standard ? NULL : fopen(path, "re");
    FILE *in = standard ? stdin : f;

    if (!in)
        return cli_fail(s->ctx, -errno, NULL, "%s", path);
    return s->stream ? send_lines(s, in, name) : send_whole(s, in, name);
}

static int send_run(struct cli_ctx *ctx, const void *argp)
{
    const struct send_args *args = argp;
    _cleanup_(uipc_closep) struct uipc *u = NULL;
    struct sending s = {.ctx = ctx, .args = args};
    const char *data = ctx->n_operands > 1 ? ctx->operands[1] : NULL;
    struct uipc_info info;
    int r;

    if (args->file && data)
        return cli_usage(ctx, "DATA and --file exclude each other");
    if (data && args->lines && strcmp(data, "-") != 0)
        return cli_usage(ctx, "--lines is for --file and standard input");
    r = ucmd_open(ctx, CHAN_SEND, &u);
    if (r != CLI_OK)
        return r;
    r = uipc_get_info(u, &info);
    if (r < 0)
        return cli_fail(ctx, r, NULL, "%s", ctx->operands[0]);
    s.u = u;
    s.user_data = args->user_data;
    s.stream = args->lines ||
               (!(data && strcmp(data, "-") != 0) && out_get_mode(ctx->out) == OUT_MODE_JSONL);
    s.max_msg = info.c.max_msg;
    if (data && strcmp(data, "-") != 0)
        r = send_one(&s, data, strlen(data));
    else
        r = send_stream(&s, args->file ? args->file : "-");
    out_fields(ctx->out, send_cols, &s.done);
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
