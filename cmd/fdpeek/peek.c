/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fdpeek peek: what waits in sockets and pipes, in the order in which it will be read. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "decode.h"
#include "escape.h"
#include "fdpeek_verbs.h"
#include "fdq_peek.h"
#include "fdview.h"

struct peek_args {
    bool peer;
    int decode;
    uint64_t count;
    uint64_t max_bytes;
    bool hex;
    bool text;
    bool raw;
};

static const struct peek_args peek_defaults = {.count = UINT64_MAX, .max_bytes = UINT64_MAX};

static const struct cli_opt peek_opts[] = {
    CLI_FLAG(struct peek_args, peer, 0, "peer",
             "of a socket, what the other end has not read yet: what this end sent"),
    CLI_ENUM(struct peek_args, decode, 0, "decode", "PROTOCOL", "what to take the bytes for",
             decode_words),
    CLI_U64(struct peek_args, count, 'n', "count", "N", "at most N messages of each queue"),
    CLI_SIZE(struct peek_args, max_bytes, 'm', "max-bytes", "BYTES",
             "cut each message's content; 0: none at all"),
    CLI_FLAG(struct peek_args, hex, 0, "hex", "content as hexdump -C shows it"),
    CLI_FLAG(struct peek_args, text, 0, "text", "content as text, whole, its line breaks kept"),
    CLI_FLAG(struct peek_args, raw, 0, "raw", "the bytes as they are and nothing else, for pipes"),
    CLI_END,
};

struct head_row {
    char target[FDQ_TARGET_SIZE];
    const char *kind;
    uint64_t inode;
    uint64_t bytes;
    uint64_t depth;
    uint64_t capacity;
    uint64_t peer;
    const char *path;
    bool consistent;
    bool complete;
    const char *backend;
    const char *note;
    uint64_t tries;
};

#define HEAD(type, field, ...) OUT_##type(struct head_row, field, __VA_ARGS__, .flags = OUT_JSON)

static const struct out_col head_cols[] = {
    HEAD(CHARS, target, "target", "what names it on this tool's command line"),
    HEAD(STR, kind, "kind", "stream, dgram, seqpacket, pipe or fifo"),
    HEAD(U64, inode, "inode", "number of the socket's or pipe's inode"),
    HEAD(SIZE, bytes, "bytes", "unread, as far as it was seen (complete)"),
    HEAD(U64, depth, "depth", "messages; null where the backend does not see their borders"),
    HEAD(SIZE, capacity, "capacity", "bytes that a pipe takes"),
    HEAD(U64, peer, "peer", "inode number of the socket at the other end"),
    HEAD(STR, path, "path", "where it is bound, a FIFO's name"),
    HEAD(BOOL, consistent, "consistent", "the messages are of one moment"),
    HEAD(BOOL, complete, "complete", "nothing that waits is missing"),
    HEAD(STR, backend, "backend", "how it was read: bpf, recv or tee"),
    HEAD(STR, note, "note", "what is missing, and why"),
    HEAD(U64, tries, "tries", "readings it took"),
    OUT_END,
};

struct message_row {
    uint64_t index;
    uint64_t length;
    uint32_t pid;
    uint32_t uid;
    uint64_t n_fds;
    bool oob;
    const char *fds;
    struct out_bytes content;
    const char *protocol;
    const char *decoded;
    uint64_t skipped;
};

static const struct out_col message_cols[] = {
    OUT_U64(struct message_row, index, "index", "0 is read next"),
    OUT_SIZE(struct message_row, length, "length", "bytes that wait"),
    OUT_U32(struct message_row, pid, "pid",
            "who sent it; null where the kernel notes it only for receivers with SO_PASSCRED"),
    OUT_U32(struct message_row, uid, "uid", "the sender's user", .flags = OUT_HIDDEN),
    OUT_U64(struct message_row, n_fds, "fd_count", "descriptors that come with it",
            .heading = "FDS"),
    OUT_BOOL(struct message_row, oob, "oob", "it is out-of-band data", .flags = OUT_JSON),
    OUT_VALUE(
        struct message_row, fds, "fds",
        "objects with inode, type (file, socket, …) and name; of descriptors that come with it",
        .flags = OUT_JSON),
    OUT_STR(struct message_row, protocol, "protocol", "dbus or varlink, where it is recognised",
            .flags = OUT_JSON),
    OUT_VALUE(
        struct message_row, decoded, "decoded",
        "the protocol's messages that end in these bytes: for D-Bus objects with type, serial, "
        "reply_serial, sender, destination, path, interface, member, error_name, signature, "
        "body and unix_fds; for Varlink the call or reply itself",
        .flags = OUT_JSON),
    OUT_SIZE(struct message_row, skipped, "skipped_bytes",
             "in front of the first decoded message: the rest of one that began before",
             .flags = OUT_JSON | OUT_OPTIONAL),
    OUT_BYTES(struct message_row, content, "content",
              "text if it is text, else <hex>; in JSON data_base64 and text", .flags = OUT_WIDE),
    OUT_END,
};

/* The state of showing one queue. */
struct peek_walk {
    struct cli_ctx *ctx;
    const struct peek_args *args;
    struct proto_stream stream;
    struct decoded decoded;
};

static void fds_json(struct buf *b, const struct fdq_message *m)
{
    buf_add_char(b, '[');
    for (size_t i = 0; i < m->n_fds; i++) {
        buf_printf(b, "%s{\"inode\":%" PRIu64 ",\"type\":\"%s\",\"name\":", i ? "," : "",
                   m->fds[i].inode, fdview_type_name(m->fds[i].mode));
        esc_json(b, m->fds[i].name, strlen(m->fds[i].name));
        buf_add_char(b, '}');
    }
    buf_add_char(b, ']');
}

/* The content with its own line breaks; the output escapes the rest. A NUL would end it. */
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

/* A line for each decoded message; the first has what is known of the bytes in which they end. */
static void show_lines(struct peek_walk *w, struct message_row *row)
{
    const char *line = buf_str(&w->decoded.lines);

    for (size_t i = 0; i < w->decoded.n; i++) {
        row->content = (struct out_bytes){.data = line, .len = strlen(line)};
        out_row(w->ctx->out, row);
        row->length = OUT_UNKNOWN_U64;
        line += strlen(line) + 1;
    }
}

static void show_row(struct peek_walk *w, struct message_row *row)
{
    struct out *out = w->ctx->out;

    if (out_get_mode(out) == OUT_MODE_TABLE && w->decoded.n && !w->args->hex && !w->args->text) {
        show_lines(w, row);
        return;
    }
    if (out_get_mode(out) != OUT_MODE_TABLE || !(w->args->hex || w->args->text)) {
        out_row(out, row);
        return;
    }
    if (out_get_headings(out))
        out_text(out, "[%" PRIu64 "] %" PRIu64 " bytes", row->index, row->length);
    if (!row->content.data)
        return;
    if (w->args->hex)
        out_hexdump(out, row->content.data, row->content.len);
    else
        show_text(out, &row->content);
}

static int decode(struct peek_walk *w, const struct fdq_message *m, struct message_row *row)
{
    struct decoded *d = &w->decoded;
    int r = decode_feed(d, &w->stream, m->data, m->length);

    row->protocol = d->n ? proto_kind_name(d->kind) : NULL;
    row->decoded = decode_json(d);
    row->skipped = d->skipped ? d->skipped : OUT_UNKNOWN_U64;
    if (d->skipped)
        cli_note(w->ctx,
                 "%" PRIu64 " bytes in front of message #%" PRIu64
                 " are the rest of one that was read in part",
                 d->skipped, m->index);
    return r;
}

/* Return: 1 when nothing more is wanted. */
static int on_message(const struct fdq_message *m, void *ctx)
{
    struct peek_walk *w = ctx;
    _cleanup_(buf_done) struct buf fds = BUF_INIT;
    struct message_row row = {
        .index = m->index,
        .length = m->length,
        .pid = m->pid ? (uint32_t)m->pid : OUT_UNKNOWN_U32,
        .uid = m->pid ? (uint32_t)m->uid : OUT_UNKNOWN_U32,
        .n_fds = m->n_fds,
        .oob = m->oob,
        .skipped = OUT_UNKNOWN_U64,
    };
    int r = 0;

    if (m->index >= w->args->count)
        return 1;
    if (w->args->raw) {
        out_raw(w->ctx->out, m->data, MIN(m->length, w->args->max_bytes));
        return out_error(w->ctx->out) != 0;
    }
    fds_json(&fds, m);
    row.fds = buf_error(&fds) ? NULL : buf_str(&fds);
    if (m->data && w->args->max_bytes)
        row.content = (struct out_bytes){m->data, MIN(m->length, w->args->max_bytes), m->length};
    if (!m->oob)
        r = decode(w, m, &row);
    show_row(w, &row);
    return r < 0 ? r : out_error(w->ctx->out) != 0;
}

static void show_head(struct cli_ctx *ctx, const struct head_row *h)
{
    char size[64] = "";

    if (!out_get_headings(ctx->out))
        return;
    if (h->capacity != OUT_UNKNOWN_U64)
        snprintf(size, sizeof(size), " of %" PRIu64, h->capacity);
    out_line(ctx->out, "%s: %s%s%s, %" PRIu64 "%s%s bytes unread (%s%s)", h->target, h->kind,
             h->path ? " " : "", h->path ? h->path : "", h->bytes, h->complete ? "" : "+", size,
             h->backend, h->consistent ? "" : ", torn");
}

static void fill_head(struct head_row *h, const struct fdq_queue *q,
                      const struct fdq_peek_info *info)
{
    *h = (struct head_row){
        .kind = fdq_kind_name(q->kind),
        .inode = q->inode,
        .bytes = info->bytes,
        .depth = info->depth,
        .capacity = info->capacity,
        .peer = q->peer ? q->peer : OUT_UNKNOWN_U64,
        .path = q->path,
        .consistent = info->consistent,
        .complete = info->complete,
        .backend = info->backend,
        .note = info->note[0] ? info->note : NULL,
        .tries = info->tries,
    };
    fdq_target_of(q, h->target);
}

/* A queue that nobody visible has open is somebody else's. */
static int explain(int r, const struct fdq_set *set, const struct fdq_queue *q, struct err *e)
{
    if (r != -ESRCH || q->readers.n || !set->processes_hidden)
        return r;
    *e = (struct err)ERR_INIT;
    return err_set(e, -EPERM, getuid() ? "run as root, or as their user" : NULL,
                   "only processes that may not be looked at have it open");
}

static int peek_queue(struct cli_ctx *ctx, const struct peek_args *args, struct fdq_peeker *p,
                      const struct fdq_set *set, const struct fdq_queue *q, bool many)
{
    struct peek_walk w = {
        .ctx = ctx,
        .args = args,
        .stream = {.want = (enum proto_want)args->decode},
    };
    struct fdq_peek_info info;
    struct err e = ERR_INIT;
    struct head_row head;
    char target[FDQ_TARGET_SIZE];
    int r = fdq_peek(p, q, &info, &e);

    fdq_target_of(q, target);
    if (r < 0)
        return cli_fail(ctx, explain(r, set, q, &e), &e, "%s: cannot peek", target);
    /* A process or path can have many queues: the empty ones are not shown. */
    if (many && !info.bytes && !info.depth && info.complete)
        return CLI_OK;
    if (!info.consistent)
        cli_note(ctx, "%s: the messages may be of several moments", target);
    if (info.note[0])
        cli_note(ctx, "%s: %s", target, info.note);
    if (!args->raw) {
        fill_head(&head, q, &info);
        out_item_begin(ctx->out, head_cols, &head);
        show_head(ctx, &head);
        out_list_begin(ctx->out, "messages", message_cols, OUT_RECORDS);
    }
    r = fdq_peek_visit(p, on_message, &w);
    if (!args->raw) {
        out_list_end(ctx->out);
        out_item_end(ctx->out);
    }
    if (w.stream.kind != PROTO_NONE && proto_stream_pending(&w.stream))
        cli_note(ctx, "%s: the last %zu bytes begin a message that is not whole yet", target,
                 proto_stream_pending(&w.stream));
    proto_stream_done(&w.stream);
    decode_done(&w.decoded);
    return r < 0 ? cli_fail(ctx, r, NULL, "%s: cannot read on", target) : CLI_OK;
}

/* The queue that an operand means, or with --peer the one that its socket sends into. */
static const struct fdq_queue *meant(struct cli_ctx *ctx, const struct peek_args *args,
                                     const struct fdq_set *set, const struct fdq_queue *q)
{
    const struct fdq_queue *other;

    if (!args->peer)
        return q;
    other = q->sends_to ? fdq_set_find(set, 0, q->sends_to) : NULL;
    if (!other) {
        char target[FDQ_TARGET_SIZE];

        fdq_target_of(q, target);
        cli_fail_status(ctx, CLI_NOT_FOUND, "%s: there is no other end that can be seen", target);
    }
    return other;
}

static void peek_operand(struct cli_ctx *ctx, const struct peek_args *args, struct fdq_peeker *p,
                         const struct fdq_set *set, const char *operand)
{
    _cleanup_(freep) struct fdq_queue **found = NULL;
    size_t n = 0;

    if (fdview_find(ctx, operand, set, &found, &n) != CLI_OK)
        return;
    for (size_t i = 0; i < n && !out_error(ctx->out); i++) {
        const struct fdq_queue *q = meant(ctx, args, set, found[i]);

        if (q && !(n > 1 && !q->bytes && q->bytes_complete && !q->depth))
            (void)peek_queue(ctx, args, p, set, q, n > 1);
    }
}

static int check(struct cli_ctx *ctx, const struct peek_args *args)
{
    if (args->hex + args->text + args->raw > 1)
        return cli_usage(ctx, "--hex, --text and --raw exclude each other");
    if (args->raw && out_get_mode(ctx->out) != OUT_MODE_TABLE)
        return cli_usage(ctx, "--raw and JSON exclude each other");
    if (args->raw && isatty(STDOUT_FILENO))
        return cli_usage(ctx, "--raw writes bytes as they are: send them to a pipe or a file");
    return fdview_check(ctx);
}

/*
 * The process that all operands name, where nothing need be known of others: MSG_PEEK would have to
 * know who is blocked in sending. 0: all processes are to be looked at.
 */
static pid_t only_process(const struct cli_ctx *ctx, const struct peek_args *args)
{
    pid_t only = 0;

    if (args->peer || (ctx->backend && strcmp(ctx->backend, "bpf")) ||
        fdq_backend_probe("bpf", NULL) < 0)
        return 0;
    for (size_t i = 0; i < ctx->n_operands; i++) {
        struct fdq_target t;

        if (fdq_target_parse(ctx->operands[i], &t, NULL) < 0 || !t.pid || (only && t.pid != only))
            return 0;
        only = t.pid;
    }
    return only;
}

static int peek_run(struct cli_ctx *ctx, const void *argp)
{
    const struct peek_args *args = argp;
    const struct fdq_peek_opts opts = {.backend = ctx->backend};
    _cleanup_(fdq_peeker_freep) struct fdq_peeker *p = NULL;
    _cleanup_(fdq_set_freep) struct fdq_set *set = NULL;
    struct err e = ERR_INIT;
    int r = check(ctx, args);

    if (r != CLI_OK)
        return r;
    r = fdq_peeker_new(&opts, &p, &e);
    if (r < 0)
        return r == -EINVAL ? cli_usage(ctx, "%s", err_text(&e, r))
                            : cli_fail(ctx, r, &e, "cannot peek");
    r = fdq_scan(FDQ_SCAN_THREADS, only_process(ctx, args), &set, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "cannot look for queues");
    if (!args->raw)
        out_list_begin(ctx->out, "queues", NULL, 0);
    for (size_t i = 0; i < ctx->n_operands && !out_error(ctx->out); i++)
        peek_operand(ctx, args, p, set, ctx->operands[i]);
    if (!args->raw)
        out_list_end(ctx->out);
    return ctx->status;
}

static const struct cli_example peek_examples[] = {
    {"fdpeek 4711:5", "what process 4711 has not read yet from its descriptor 5"},
    {"fdpeek 4711:5 --peer", "what it has sent there that the other end has not read"},
    {"fdpeek -J 4711 | jq '.queues[].messages[].decoded[]? | select(.type == \"method_call\")'",
     "D-Bus calls that a service has not read"},
    {"fdpeek pipe:[81234] --raw | xxd", "a pipe's bytes"},
    {"fdpeek -J 4711 | jq '.queues[] | {target, bytes}'", "all that waits for a process"},
    {NULL, NULL},
};

static const struct cli_table peek_tables[] = {
    {"queues", head_cols},
    {"messages", message_cols},
    {NULL, NULL},
};

const struct cli_verb fdpeek_peek_verb = {
    .name = "peek",
    .operands = "TARGET…",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_PID,
    .summary = "show what waits in sockets and pipes",
    .description =
        "Shows what the readers of a queue have not read yet, in the order in which they will. "
        "Nothing is taken, and nobody wakes up. A message is a datagram, a packet, or one of the "
        "buffers in which the kernel keeps a stream's bytes, mostly one for each write.\n"
        "\n"
        "At a listening socket: what clients have sent that nobody has accepted yet.\n"
        "\n"
        "Backends: bpf reads every queue, twice, and compares every byte, until the two are equal. "
        "Without BPF, recv (MSG_PEEK) shows a stream up to the first out-of-band byte or passed "
        "descriptor and of other sockets the first message, where that disturbs nothing; tee shows "
        "pipes that somebody visible has open for reading. These two duplicate the descriptor for "
        "a moment.\n"
        "\n"
        "D-Bus and Varlink are recognised, and each message is shown where it ends: also one that "
        "spans several buffers. Of a stream whose first message was read in part, decoding begins "
        "with the next, and says so. In a D-Bus body an array of dictionary entries is an object "
        "with strings as keys (an array of pairs when a key comes twice), a structure is an array, "
        "a variant is the value in it.\n"
        "\n"
        "TCP sockets are not shown.",
    .examples = peek_examples,
    .opts = peek_opts,
    .args_size = sizeof(struct peek_args),
    .defaults = &peek_defaults,
    .cols = message_cols,
    .more_cols = peek_tables,
    .run = peek_run,
};
