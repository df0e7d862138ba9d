/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uringipc peek and monitor: the messages in a channel, and new ones, without receiving them. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "cleanup.h"
#include "timefmt.h"
#include "ucmd.h"

struct peek_args {
    uint64_t count;
    uint64_t preview;
    bool all;
    bool hex;
    bool raw;
};

static const struct peek_args peek_defaults = {.count = UINT64_MAX, .preview = UINT64_MAX};

static const struct cli_opt peek_opts[] = {
    CLI_U64(struct peek_args, count, 'n', "count", "N", "at most N messages"),
    CLI_SIZE(struct peek_args, preview, 'm', "max-bytes", "BYTES", "cut each message's content"),
    CLI_FLAG(struct peek_args, all, 'a', "all",
             "also those that were received and are still there"),
    CLI_FLAG(struct peek_args, hex, 0, "hex", "content as hexdump -C shows it"),
    CLI_FLAG(struct peek_args, raw, 0, "raw", "the bytes as they are and nothing else, for pipes"),
    CLI_END,
};

static const struct out_col peek_cols[] = {
    OUT_U64(struct ucmd_msg, position, "position", "its number in the channel", .width = 10),
    OUT_U64(struct ucmd_msg, msg_id, "msg_id", "as the channel numbers it", .flags = OUT_HIDDEN),
    OUT_U32(struct ucmd_msg, target, "target", "subscriber it was sent to; 0: to all",
            .flags = OUT_HIDDEN),
    OUT_HEX64(struct ucmd_msg, user_data, "user_data", "the sender's number",
              .flags = OUT_HIDDEN | OUT_KNOWN),
    OUT_SIZE(struct ucmd_msg, length, "length", "bytes", .width = 8),
    OUT_BYTES(struct ucmd_msg, content, "content",
              "text if it is text, else <hex>; in JSON data_base64 and text", .flags = OUT_WIDE),
    OUT_END,
};

struct peek_head {
    const char *channel;
    const char *backend;
    uint64_t from;
    uint64_t to;
};

static const struct out_col head_cols[] = {
    OUT_STR(struct peek_head, channel, "channel", "as it was asked for", .flags = OUT_JSON),
    OUT_STR(struct peek_head, backend, "backend", "kernel or embedded", .flags = OUT_JSON),
    OUT_U64(struct peek_head, from, "from", "first position looked at", .flags = OUT_JSON),
    OUT_U64(struct peek_head, to, "to", "position of the next message that will be sent",
            .flags = OUT_JSON),
    OUT_END,
};

static void show(struct cli_ctx *ctx, const struct peek_args *args, const struct ucmd_msg *row)
{
    if (args->raw) {
        out_raw(ctx->out, row->content.data, row->content.len);
    } else if (args->hex && out_get_mode(ctx->out) == OUT_MODE_TABLE) {
        out_text(ctx->out, "[%" PRIu64 "] %" PRIu64 " bytes", row->position, row->length);
        out_hexdump(ctx->out, row->content.data, row->content.len);
    } else {
        out_row(ctx->out, row);
    }
}

/* The messages of @from to @to that are complete. Return: how many were not. */
static uint64_t show_all(struct cli_ctx *ctx, const struct peek_args *args,
                         const struct ringmap *map, uint64_t from, uint64_t to, char *buf)
{
    uint64_t shown = 0, missed = 0;

    for (; from < to && shown < args->count && !out_error(ctx->out); from++) {
        struct ringmap_msg msg;
        struct ucmd_msg row;

        if (ringmap_read(map, (uint32_t)from, buf, map->max_msg, &msg) < 0) {
            missed++;
            continue;
        }
        ucmd_msg_fill(&row, &msg, buf, args->preview);
        row.position = from;
        show(ctx, args, &row);
        shown++;
    }
    return missed;
}

static int peek_run(struct cli_ctx *ctx, const void *argp)
{
    const struct peek_args *args = argp;
    _cleanup_(uipc_closep) struct uipc *u = NULL;
    _cleanup_(freep) char *buf = NULL;
    struct peek_head head = {0};
    struct ringmap map;
    uint64_t missed;
    int r;

    if (args->raw && (args->hex || out_get_mode(ctx->out) != OUT_MODE_TABLE))
        return cli_usage(ctx, "--raw, --hex and JSON exclude each other");
    if (args->raw && isatty(STDOUT_FILENO))
        return cli_usage(ctx, "--raw writes bytes as they are: send them to a pipe or a file");
    r = ucmd_open(ctx, CHAN_LOOK, &u);
    if (r != CLI_OK)
        return r;
    r = uipc_look(u, &map, &head.from, &head.to);
    buf = r == 0 ? malloc(map.max_msg) : NULL;
    if (r < 0 || !buf)
        return cli_fail(ctx, r < 0 ? r : -ENOMEM, NULL, "%s: cannot peek", ctx->operands[0]);
    if (args->all)
        head.from = head.to - (uint32_t)((uint32_t)head.to - ringmap_oldest(&map));
    head.channel = ctx->operands[0];
    head.backend = u->ops->name;
    if (!args->raw) {
        out_fields(ctx->out, head_cols, &head);
        out_list_begin(ctx->out, "messages", peek_cols, OUT_RECORDS);
    }
    missed = show_all(ctx, args, &map, head.from, head.to, buf);
    if (!args->raw)
        out_list_end(ctx->out);
    if (missed)
        cli_note(ctx,
                 "%s: %" PRIu64 " messages are not shown: they are being written, were "
                 "received and overwritten meanwhile, or lost with their sender",
                 ctx->operands[0], missed);
    return CLI_OK;
}

static const struct cli_example peek_examples[] = {
    {"uringipc peek jobs", "what waits to be received"},
    {"uringipc peek pid:4711:5", "of the kernel channel that process 4711 has as descriptor 5"},
    {NULL, NULL},
};

static const struct cli_table peek_tables[] = {{"", head_cols}, {NULL, NULL}};

const struct cli_verb uringipc_peek_verb = {
    .name = "peek",
    .operands = "CH",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_CHANNEL,
    .summary = "show what is in a channel, receive nothing",
    .description =
        "Reads the channel's memory: nothing is received, and neither senders nor receivers are "
        "disturbed. To a kernel channel that no process of ours has open ipcbox attaches for a "
        "moment as a sender, which holds up nobody; the channel's mode must let it send. In a "
        "kernel "
        "channel that is broadcast up to 16 messages may be shown that all receivers have got "
        "already, for the kernel updates the channel's memory only now and then.",
    .examples = peek_examples,
    .opts = peek_opts,
    .args_size = sizeof(struct peek_args),
    .defaults = &peek_defaults,
    .cols = peek_cols,
    .more_cols = peek_tables,
    .run = peek_run,
};

/* ---- monitor --------------------------------------------------------------------------------- */

struct monitor_args {
    uint64_t count;
    uint64_t timeout;
    bool backlog;
};

static const struct monitor_args monitor_defaults = {.timeout = CHAN_FOREVER};

static const struct cli_opt monitor_opts[] = {
    CLI_U64(struct monitor_args, count, 'N', "count", "COUNT", "until so many messages were seen"),
    CLI_SPAN(struct monitor_args, timeout, 't', "timeout", "SEC", "no longer than that"),
    CLI_FLAG(struct monitor_args, backlog, 'b', "backlog", "begin with what is there"),
    CLI_END,
};

static const struct out_col monitor_cols[] = {
    OUT_TIME(struct ucmd_msg, time, "time", "when it was seen", .width = 15),
    OUT_U64(struct ucmd_msg, position, "position", "its number in the channel", .width = 10),
    OUT_U64(struct ucmd_msg, lost, "missed",
            "messages before it that were overwritten before they were seen, or lost",
            .flags = OUT_HIDDEN),
    OUT_U64(struct ucmd_msg, msg_id, "msg_id", "as the channel numbers it", .flags = OUT_HIDDEN),
    OUT_U32(struct ucmd_msg, target, "target", "subscriber it was sent to; 0: to all",
            .flags = OUT_HIDDEN),
    OUT_HEX64(struct ucmd_msg, user_data, "user_data", "the sender's number",
              .flags = OUT_HIDDEN | OUT_KNOWN),
    OUT_SIZE(struct ucmd_msg, length, "length", "bytes", .width = 8),
    OUT_BYTES(struct ucmd_msg, content, "content",
              "text if it is text, else <hex>; in JSON data_base64 and text", .flags = OUT_WIDE),
    OUT_END,
};

static void show_seen(struct ucmd_watch *w, const struct ucmd_msg *row)
{
    if (row->lost)
        cli_note(w->ctx, "%s: %" PRIu64 " messages missed", w->ctx->operands[0], row->lost);
    out_row(w->ctx->out, row);
}

static int monitor_run(struct cli_ctx *ctx, const void *argp)
{
    const struct monitor_args *args = argp;
    _cleanup_(uipc_closep) struct uipc *u = NULL;
    struct ucmd_watch w = {.ctx = ctx, .show = show_seen, .to_stdout = true, .count = args->count};
    int r = ucmd_open(ctx, CHAN_LOOK, &u);

    if (r != CLI_OK)
        return r;
    w.u = u;
    w.timeout = args->timeout;
    w.backlog = args->backlog;
    out_list_begin(ctx->out, "messages", monitor_cols, OUT_RECORDS | OUT_STREAM);
    out_flush(ctx->out);
    r = ucmd_watch(&w);
    out_list_end(ctx->out);
    return r;
}

const struct cli_verb uringipc_monitor_verb = {
    .name = "monitor",
    .operands = "CH",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_CHANNEL,
    .summary = "watch messages without receiving them",
    .description =
        "Watches the channel's memory. When messages are sent faster than they can be shown some "
        "are missed, and counted. Ends when the channel is destroyed, and with a kernel channel "
        "that "
        "was named as pid:PID:FD also when that process no longer has it open.",
    .opts = monitor_opts,
    .args_size = sizeof(struct monitor_args),
    .defaults = &monitor_defaults,
    .cols = monitor_cols,
    .flags = CLI_STREAM,
    .run = monitor_run,
};
