/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqdump show: what is in a dump. */
#include <errno.h>
#include <string.h>

#include "mqdump_verbs.h"
#include "pmqdump.h"
#include "qcmd.h"

struct show_args {
    struct qcmd_common common;
    bool messages;
};

static const struct cli_opt show_opts[] = {
    CLI_FLAG(struct show_args, messages, 0, "messages", "each message instead of each queue"),
    CLI_END,
};

static const struct out_col head_cols[] = {
    OUT_CHARS(struct dump_header, kind, "kind", "queues, traffic, bus1 or channel"),
    OUT_CHARS(struct dump_header, tool, "tool", "who wrote it"),
    OUT_CHARS(struct dump_header, host, "host", "where"),
    OUT_CHARS(struct dump_header, kernel, "kernel", "its kernel"),
    OUT_TIME(struct dump_header, time, "time", "when"),
    OUT_CHARS(struct dump_header, backend, "backend", "how the data was read"),
    OUT_END,
};

struct show_row {
    struct pmqdump_queue queue;
    uint64_t messages;
    uint64_t bytes;
    uint64_t ipc_ns;
};

static const struct out_col show_cols[] = {
    OUT_CHARS(struct show_row, queue.name, "name", "queue name"),
    OUT_U64(struct show_row, messages, "messages", "messages in the dump"),
    OUT_U64(struct show_row, queue.maxmsg, "maxmsg", "most messages"),
    OUT_SIZE(struct show_row, queue.msgsize, "msgsize", "largest message, bytes"),
    OUT_SIZE(struct show_row, bytes, "bytes", "content of the messages"),
    OUT_U32(struct show_row, queue.uid, "uid", "owner"),
    OUT_U32(struct show_row, queue.gid, "gid", "group"),
    OUT_MODE(struct show_row, queue.mode, "mode", "permissions"),
    OUT_BOOL(struct show_row, queue.unlinked, "unlinked", "it had no name any more",
             .flags = OUT_HIDDEN),
    OUT_U64(struct show_row, ipc_ns, "ipc_ns", "IPC namespace, of dumps of several",
            .flags = OUT_HIDDEN),
    OUT_END,
};

struct message_row {
    const char *queue;
    uint64_t index;
    uint32_t priority;
    uint64_t length;
    struct out_bytes content;
};

static const struct out_col message_cols[] = {
    OUT_STR(struct message_row, queue, "queue", "its queue"),
    OUT_U64(struct message_row, index, "index", "0 is what mq_receive(3) would have returned next"),
    OUT_U32(struct message_row, priority, "priority", "of the message"),
    OUT_SIZE(struct message_row, length, "length", "bytes"),
    OUT_BYTES(struct message_row, content, "content",
              "text if it is text, else <hex>; in JSON data_base64 and text", .flags = OUT_WIDE),
    OUT_END,
};

struct type_row {
    const char *type;
    uint64_t records;
};

static const struct out_col type_cols[] = {
    OUT_STR(struct type_row, type, "type", "type of record"),
    OUT_U64(struct type_row, records, "records", "how many"),
    OUT_END,
};

struct show {
    struct cli_ctx *ctx;
    char **names;
    size_t n_names;
};

static bool is_wanted(const struct show *s, const char *name)
{
    for (size_t i = 0; i < s->n_names; i++)
        if (strcmp(s->names[i], name) == 0)
            return true;
    return s->n_names == 0;
}

static int show_message(void *ctx, const struct pmqdump_queue *q, const struct pmq_message *m,
                        struct err *e)
{
    const struct show *s = ctx;

    (void)e;
    if (is_wanted(s, q->name))
        out_row(s->ctx->out, &(const struct message_row){
                                 .queue = q->name,
                                 .index = m->index,
                                 .priority = m->priority,
                                 .length = m->length,
                                 .content = {m->data, m->length},
                             });
    return out_error(s->ctx->out) != 0;
}

static int show_queue(void *ctx, const struct pmqdump_queue *q, uint64_t messages, uint64_t bytes,
                      struct err *e)
{
    const struct show *s = ctx;

    (void)e;
    if (is_wanted(s, q->name))
        out_row(s->ctx->out, &(const struct show_row){
                                 .queue = *q,
                                 .messages = messages,
                                 .bytes = bytes,
                                 .ipc_ns = q->ipc_ns ? q->ipc_ns : OUT_UNKNOWN_U64,
                             });
    return out_error(s->ctx->out) != 0;
}

static int show_queues(struct show *s, const struct show_args *args, struct dump_reader *reader,
                       struct err *e)
{
    static const struct pmqdump_visitor queues = {.queue_end = show_queue};
    static const struct pmqdump_visitor messages = {.message = show_message};
    int r;

    if (args->messages)
        out_list_begin(s->ctx->out, "messages", message_cols, OUT_RECORDS);
    else
        out_list_begin(s->ctx->out, "queues", show_cols, OUT_RECORDS);
    r = pmqdump_walk(reader, args->messages ? &messages : &queues, s, e);
    out_list_end(s->ctx->out);
    return r;
}

static int show_types(struct show *s, struct dump_reader *reader, struct err *e)
{
    struct dump_record *rec;
    struct type_row row;
    int r;

    while ((r = dump_reader_next(reader, &rec, e)) > 0)
        ;
    out_list_begin(s->ctx->out, "types", type_cols, OUT_RECORDS);
    for (size_t i = 0; (row.type = dump_reader_count(reader, i, &row.records)); i++)
        out_row(s->ctx->out, &row);
    out_list_end(s->ctx->out);
    return r;
}

static int show_run(struct cli_ctx *ctx, const void *argp)
{
    const struct show_args *args = argp;
    const char *path = ctx->operands[0];
    struct show show = {
        .ctx = ctx,
        .names = ctx->operands + 1,
        .n_names = ctx->n_operands - 1,
    };
    _cleanup_(dump_reader_freep) struct dump_reader *reader = NULL;
    _cleanup_(cli_progress_end) struct cli_progress progress = {.ctx = NULL};
    struct dump_header head;
    struct err e = ERR_INIT;
    int r = dump_reader_open(path, 0, &reader, &e);

    if (r < 0)
        return cli_fail(ctx, r, &e, "%s", path);
    cli_progress_begin(ctx, "records", true, &progress);
    dump_reader_watch(reader, cli_progress_at, &progress);
    head = *dump_reader_header(reader);
    head.time = head.time ? head.time : OUT_UNKNOWN_U64;
    out_fields(ctx->out, head_cols, &head);
    if (strcmp(head.kind, PMQDUMP_KIND) == 0)
        r = show_queues(&show, args, reader, &e);
    else
        r = show_types(&show, reader, &e);
    return r < 0 ? cli_fail(ctx, r, &e, "%s", path) : CLI_OK;
}

static const struct cli_example show_examples[] = {
    {"mqdump show jobs.dump", "the queues in it"},
    {"mqdump show --messages jobs.dump /jobs", "the messages of /jobs"},
    {NULL, NULL},
};

static const struct cli_table show_tables[] = {
    {"", head_cols},
    {"messages", message_cols},
    {"types", type_cols},
    {NULL, NULL},
};

const struct cli_verb mqdump_show_verb = {
    .name = "show",
    .operands = "FILE [QUEUE…]",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_FILE,
    .summary = "show what is in a dump",
    .description =
        "Shows the queues of a dump, or with --messages their messages; of a dump of another kind "
        "how many records of which type it has. The dump is read as it is shown: damage is "
        "reported behind what comes before it. A FILE of - is standard input.",
    .examples = show_examples,
    .opts = show_opts,
    .args_size = sizeof(struct show_args),
    .cols = show_cols,
    .more_cols = show_tables,
    .run = show_run,
};
