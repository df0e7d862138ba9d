/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqdump show: what is in a dump. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mqdump_verbs.h"
#include "msgdump.h"
#include "qcmd.h"
#include "sysvdump_walk.h"

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
    OUT_TIME(struct dump_header, time, "time", "when", .flags = OUT_DATE),
    OUT_CHARS(struct dump_header, backend, "backend", "how the data was read"),
    OUT_END,
};

struct show_row {
    struct msgdump_queue queue;
    uint64_t messages;
    uint64_t bytes;
    uint64_t ipc_ns;
    bool consistent;
    uint64_t id;
    char key[SYSV_KEY_SIZE];
    uint64_t limit;
};

static const struct out_col show_cols[] = {
    OUT_CHARS(struct show_row, queue.name, "name", "queue name"),
    OUT_U64(struct show_row, messages, "depth", "messages in the dump", .heading = "MSGS"),
    OUT_U64(struct show_row, queue.maxmsg, "maxmsg", "most messages", .heading = "MAX"),
    OUT_SIZE(struct show_row, queue.msgsize, "msgsize", "largest message, bytes",
             .heading = "SIZE"),
    OUT_SIZE(struct show_row, bytes, "bytes", "content of the messages"),
    OUT_U32(struct show_row, queue.uid, "uid", "owner"),
    OUT_U32(struct show_row, queue.gid, "gid", "group"),
    OUT_MODE(struct show_row, queue.mode, "mode", "permissions"),
    OUT_BOOL(struct show_row, queue.unlinked, "unlinked", "it had no name any more",
             .flags = OUT_HIDDEN),
    OUT_BOOL(struct show_row, consistent, "consistent", "read at one moment", .flags = OUT_HIDDEN),
    OUT_U64(struct show_row, ipc_ns, "ipc_namespace", "IPC namespace, of dumps of several",
            .flags = OUT_HIDDEN),
    OUT_U64(struct show_row, id, "id", "of a System V queue", .flags = OUT_HIDDEN | OUT_OPTIONAL),
    OUT_CHARS(struct show_row, key, "key", "of a System V queue",
              .flags = OUT_HIDDEN | OUT_OPTIONAL),
    OUT_SIZE(struct show_row, limit, "limit", "most bytes of a System V queue",
             .flags = OUT_HIDDEN | OUT_OPTIONAL),
    OUT_END,
};

struct message_row {
    const char *queue;
    uint64_t index;
    uint32_t priority;
    int64_t mtype;
    uint64_t length;
    struct out_bytes content;
};

#define COLS_BEFORE                                           \
    OUT_STR(struct message_row, queue, "queue", "its queue"), \
        OUT_U64(struct message_row, index, "index", "0 is what would have been received next")
#define COL_PRIORITY OUT_U32(struct message_row, priority, "priority", "of a POSIX message")
#define COL_MTYPE                                                                           \
    OUT_I64(struct message_row, mtype, "mtype", "of a System V message", .heading = "TYPE", \
            .flags = OUT_OPTIONAL)
#define COLS_BEHIND                                                               \
    OUT_SIZE(struct message_row, length, "length", "bytes"),                      \
        OUT_BYTES(struct message_row, content, "content",                         \
                  "text if it is text, else <hex>; in JSON data_base64 and text", \
                  .flags = OUT_WIDE)

/* A dump of POSIX queues alone has no types. */
static const struct out_col message_cols[] = {
    COLS_BEFORE, COL_PRIORITY, COL_MTYPE, COLS_BEHIND, OUT_END,
};
static const struct out_col posix_message_cols[] = {
    COLS_BEFORE,
    COL_PRIORITY,
    COLS_BEHIND,
    OUT_END,
};

struct event_row {
    char event[8];
    uint64_t time;
    char queue[PMQ_NAME_MAX + 2];
    uint64_t pid;
    char comm[64];
    uint64_t priority;
    int64_t mtype;
    uint64_t length;
    struct out_bytes content;
};

static const struct out_col event_cols[] = {
    OUT_CHARS(struct event_row, event, "event", "send or recv"),
    OUT_TIME(struct event_row, time, "time", "when"),
    OUT_CHARS(struct event_row, queue, "queue", "its queue"),
    OUT_U64(struct event_row, pid, "pid", "of whom"),
    OUT_CHARS(struct event_row, comm, "comm", "the command's name"),
    OUT_U64(struct event_row, priority, "priority", "of a POSIX message"),
    OUT_I64(struct event_row, mtype, "mtype", "of a System V message", .heading = "TYPE",
            .flags = OUT_HIDDEN | OUT_OPTIONAL),
    OUT_SIZE(struct event_row, length, "length", "bytes"),
    OUT_BYTES(struct event_row, content, "content",
              "text if it is text, else <hex>; in JSON data_base64 and text", .flags = OUT_WIDE),
    OUT_END,
};

struct type_row {
    const char *type;
    uint64_t records;
};

static const struct out_col type_cols[] = {
    OUT_STR(struct type_row, type, "type", "type of record"),
    OUT_U64(struct type_row, records, "record_count", "how many", .heading = "RECORDS"),
    OUT_END,
};

struct show {
    struct cli_ctx *ctx;
    char **names;
    size_t n_names;
    bool *found; /* for each of the names */
    bool messages;
    struct sysvdump_state sysv;
};

/* A name may be given without its slash. */
static bool is_wanted(const struct show *s, const char *name)
{
    for (size_t i = 0; i < s->n_names; i++)
        if (strcmp(s->names[i], name + (s->names[i][0] != '/')) == 0)
            return true;
    return s->n_names == 0;
}

static void end_sysv(struct show *s);

static int find_queue(void *ctx, const struct msgdump_queue *q, struct err *e)
{
    struct show *s = ctx;

    (void)e;
    end_sysv(s);
    for (size_t i = 0; i < s->n_names; i++)
        s->found[i] = s->found[i] || strcmp(s->names[i], q->name + (s->names[i][0] != '/')) == 0;
    return 0;
}

static void tell_missing(const struct show *s)
{
    for (size_t i = 0; i < s->n_names; i++)
        if (!s->found[i])
            cli_fail_status(s->ctx, CLI_NOT_FOUND, "%s is not in the dump", s->names[i]);
}

static int show_message(void *ctx, const struct msgdump_queue *q, const struct msgq_message *m,
                        struct err *e)
{
    const struct show *s = ctx;

    (void)e;
    if (is_wanted(s, q->name))
        out_row(s->ctx->out, &(const struct message_row){
                                 .queue = q->name,
                                 .index = m->index,
                                 .priority = m->priority,
                                 .mtype = OUT_UNKNOWN_I64,
                                 .length = m->length,
                                 .content = {.data = m->data, .len = m->length},
                             });
    return out_error(s->ctx->out) != 0;
}

static int show_queue(void *ctx, const struct msgdump_queue *q, uint64_t messages, uint64_t bytes,
                      struct err *e)
{
    const struct show *s = ctx;

    (void)e;
    if (is_wanted(s, q->name))
        out_row(s->ctx->out, &(const struct show_row){
                                 .queue = *q,
                                 .messages = messages,
                                 .bytes = bytes,
                                 .consistent = !q->torn,
                                 .ipc_ns = q->ipc_ns ? q->ipc_ns : OUT_UNKNOWN_U64,
                                 .id = OUT_UNKNOWN_U64,
                                 .limit = OUT_UNKNOWN_U64,
                             });
    return out_error(s->ctx->out) != 0;
}

/* ---- System V queues ---- */

static const char *sysv_name(const struct show *s, char out[SYSV_REF_SIZE])
{
    sysv_ref_format(&(struct sysv_ref){.id = s->sysv.item.attr.id}, out);
    return out;
}

/* Whether the name is one of those that are wanted, which are then found. */
static bool take_name(struct show *s, const char *name)
{
    bool wanted = s->n_names == 0;

    for (size_t i = 0; i < s->n_names; i++)
        if (strcmp(s->names[i], name) == 0)
            wanted = s->found[i] = true;
    return wanted;
}

/* A queue is shown when its last message has been read. */
static void end_sysv(struct show *s)
{
    const struct sysv_attr *a = &s->sysv.item.attr;
    struct show_row row = {
        .queue = {.maxmsg = OUT_UNKNOWN_U64, .msgsize = OUT_UNKNOWN_U64, .mode = a->mode},
        .messages = a->depth,
        .bytes = a->bytes,
        .consistent = !s->sysv.item.torn,
        .ipc_ns = OUT_UNKNOWN_U64,
        .id = (uint64_t)a->id,
        .limit = a->limit,
    };
    char name[SYSV_REF_SIZE];

    if (!s->sysv.open)
        return;
    s->sysv.open = false;
    row.queue.uid = a->uid;
    row.queue.gid = a->gid;
    snprintf(row.queue.name, sizeof(row.queue.name), "%s", sysv_name(s, name));
    sysv_key_format(a->key, row.key);
    if (take_name(s, name) && !s->messages)
        out_row(s->ctx->out, &row);
}

static int show_sysv_message(void *ctx, const struct msgq_message *m, struct err *e)
{
    struct show *s = ctx;
    char name[SYSV_REF_SIZE];
    struct message_row row = {
        .queue = sysv_name(s, name),
        .index = m->index,
        .priority = OUT_UNKNOWN_U32,
        .mtype = m->type,
        .length = m->length,
        .content = {.data = m->data, .len = m->length},
    };

    (void)e;
    if (s->messages && take_name(s, name))
        out_row(s->ctx->out, &row);
    return 0;
}

static int show_sysv(void *ctx, struct dump_record *rec, struct err *e)
{
    static const struct sysvdump_visitor visitor = {.message = show_sysv_message};
    struct show *s = ctx;
    int r;

    if (strcmp(rec->type, "sysv_queue") == 0)
        end_sysv(s);
    r = sysvdump_take(&s->sysv, rec, &visitor, s, e);
    return r < 0 ? r : out_error(s->ctx->out) != 0;
}

static int show_queues(struct show *s, const struct show_args *args, struct dump_reader *reader,
                       struct err *e)
{
    static const struct msgdump_visitor queues = {
        .queue = find_queue, .queue_end = show_queue, .other = show_sysv};
    static const struct msgdump_visitor messages = {
        .queue = find_queue, .message = show_message, .other = show_sysv};
    bool both = dump_reader_header(reader)->version == DUMP_VERSION_SYSV;
    int r;

    s->messages = args->messages;
    s->found = calloc(s->n_names + 1, sizeof(*s->found));
    if (!s->found)
        return -ENOMEM;
    if (args->messages)
        out_list_begin(s->ctx->out, "messages", both ? message_cols : posix_message_cols,
                       OUT_RECORDS);
    else
        out_list_begin(s->ctx->out, "queues", show_cols, OUT_RECORDS);
    r = msgdump_walk(reader, args->messages ? &messages : &queues, s, e);
    end_sysv(s);
    out_list_end(s->ctx->out);
    if (r == 0)
        tell_missing(s);
    free(s->found);
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

static void get_u64(const struct dump_record *rec, const char *key, uint64_t *out)
{
    if (dump_get_u64(rec, key, UINT64_MAX, out, NULL) < 0)
        *out = OUT_UNKNOWN_U64;
}

/* What is missing or odd is shown as unknown: it is for replay to refuse. */
static int read_event(struct dump_record *rec, struct event_row *row, struct err *e)
{
    struct dump_payload payload = {0};
    int r = 0;

    (void)dump_get_str(rec, "event", row->event, sizeof(row->event), NULL);
    (void)dump_get_str(rec, "queue", row->queue, sizeof(row->queue), NULL);
    (void)dump_get_str(rec, "comm", row->comm, sizeof(row->comm), NULL);
    if (dump_get_time(rec, "time", &row->time, NULL) < 0)
        row->time = OUT_UNKNOWN_U64;
    get_u64(rec, "pid", &row->pid);
    get_u64(rec, "priority", &row->priority);
    if (dump_get_i64(rec, "mtype", &row->mtype, NULL) < 0)
        row->mtype = OUT_UNKNOWN_I64;
    if (dump_has(rec, "data_base64") || dump_has(rec, "text"))
        r = dump_get_payload(rec, &payload, e);
    row->length = payload.data ? payload.length : OUT_UNKNOWN_U64;
    row->content = (struct out_bytes){payload.data, payload.captured, payload.length};
    return r;
}

static int show_events(struct show *s, struct dump_reader *reader, struct err *e)
{
    struct dump_record *rec;
    int r;

    out_list_begin(s->ctx->out, "events", event_cols, OUT_RECORDS);
    while ((r = dump_reader_next(reader, &rec, e)) > 0) {
        struct event_row row = {0};

        if (strcmp(rec->type, "event") != 0)
            continue;
        r = read_event(rec, &row, e);
        if (r < 0)
            break;
        if (is_wanted(s, row.queue))
            out_row(s->ctx->out, &row);
        if (out_error(s->ctx->out))
            break;
    }
    out_list_end(s->ctx->out);
    return MIN(r, 0);
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
    out_name(ctx->out, "dump");
    out_fields(ctx->out, head_cols, &head);
    if (strcmp(head.kind, MSGDUMP_KIND) == 0)
        r = show_queues(&show, args, reader, &e);
    else if (args->messages && strcmp(head.kind, MSGDUMP_KIND_TRAFFIC) == 0)
        r = show_events(&show, reader, &e);
    else
        r = show_types(&show, reader, &e);
    return r < 0 ? cli_fail(ctx, r, &e, "%s", path) : ctx->status;
}

static const struct cli_example show_examples[] = {
    {"mqdump show jobs.dump", "the queues in it"},
    {"mqdump show --messages jobs.dump /jobs", "the messages of /jobs"},
    {"mqdump show --messages jobs.traffic", "what mqdump record saw"},
    {NULL, NULL},
};

static const struct cli_table show_tables[] = {
    {"", head_cols}, {"messages", message_cols}, {"events", event_cols}, {"types", type_cols},
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
        "Shows the queues of a dump, or with --messages their messages; of recorded traffic with "
        "--messages each send and receive. Of dumps of other kinds it shows how many records of "
        "which type there are. The dump is read as it is shown: damage is "
        "reported behind what comes before it. A FILE of - is standard input.",
    .examples = show_examples,
    .opts = show_opts,
    .args_size = sizeof(struct show_args),
    .cols = show_cols,
    .more_cols = show_tables,
    .run = show_run,
};
