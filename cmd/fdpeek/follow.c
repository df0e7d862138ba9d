/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fdpeek follow: what is received over unix sockets, as it happens. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "cli_stream.h"
#include "decode.h"
#include "fdpeek_verbs.h"
#include "fdq_follow.h"
#include "fdview.h"
#include "pcapng.h"
#include "timefmt.h"

enum {
    PRIORITY = -10,  /* a reader that waits for a processor behind those it follows loses events */
    FLOWS = 1 << 12, /* streams whose beginnings are remembered; a power of two */
};

struct follow_args {
    bool all;
    const char *path;
    int decode;
    const char *match;
    const char *file;
    uint64_t count;
    uint64_t timeout;
    uint64_t max_bytes;
};

static const struct follow_args follow_defaults = {.max_bytes = UINT64_MAX};

static const struct cli_opt follow_opts[] = {
    CLI_FLAG(struct follow_args, all, 'a', "all", "every unix socket"),
    CLI_STR(struct follow_args, path, 0, "path", "PATH",
            "only sockets that are bound there, and those connected to them; @name for an abstract "
            "one",
            .complete = CLI_COMPLETE_FILE),
    CLI_ENUM(struct follow_args, decode, 0, "decode", "PROTOCOL",
             "what to take the bytes for; with dbus or varlink nothing else is shown",
             decode_words),
    CLI_STR(struct follow_args, match, 0, "match", "KEY=VALUE,…",
            "only D-Bus messages with this type, sender, destination, path, interface, member or "
            "error_name"),
    CLI_STR(struct follow_args, file, 'O', "output-file", "FILE",
            "write a capture file for Wireshark (pcapng) and no rows; - is standard output",
            .complete = CLI_COMPLETE_FILE),
    CLI_U64(struct follow_args, count, 'N', "count", "COUNT", "end after COUNT events", .min = 1,
            .max = UINT64_MAX),
    CLI_SPAN(struct follow_args, timeout, 0, "timeout", "SEC",
             "end after so long; with status 1 when -N has not been reached"),
    CLI_SIZE(struct follow_args, max_bytes, 'm', "max-bytes", "BYTES",
             "cut each content that is shown; 0: none at all"),
    CLI_END,
};

struct follow_row {
    uint64_t time;
    const char *event;
    const char *reason;
    const char *kind;
    uint64_t inode;
    uint64_t peer;
    const char *path;
    int32_t pid;
    int32_t tid;
    const char *comm;
    int32_t sender_pid;
    uint64_t length;
    uint64_t n_fds;
    const char *protocol;
    const char *decoded;
    uint64_t skipped;
    struct out_bytes content;
    uint64_t count;
};

static const struct out_col follow_cols[] = {
    OUT_TIME(struct follow_row, time, "time", "when", .width = 15),
    OUT_STR(struct follow_row, event, "event", "recv; lost: nobody will receive it", .width = 5),
    OUT_STR(struct follow_row, kind, "kind", "stream, dgram or seqpacket", .flags = OUT_HIDDEN),
    OUT_U64(struct follow_row, inode, "inode", "of the receiving socket", .flags = OUT_HIDDEN),
    OUT_U64(struct follow_row, peer, "peer", "of the sending socket", .flags = OUT_HIDDEN),
    OUT_STR(struct follow_row, path, "path", "where one of the two is bound", .flags = OUT_SPARE,
            .width = 12),
    OUT_I32(struct follow_row, sender_pid, "sender_pid", "who sent it, or made the sending end",
            .heading = "FROM", .width = 7),
    OUT_I32(struct follow_row, pid, "pid", "who received it", .width = 7),
    OUT_I32(struct follow_row, tid, "tid", "its thread", .flags = OUT_HIDDEN, .width = 7),
    OUT_STR(struct follow_row, comm, "comm", "the receiving thread's name", .width = 12),
    OUT_SIZE(struct follow_row, length, "length", "bytes"),
    OUT_U64(struct follow_row, n_fds, "fd_count", "descriptors that came with it",
            .flags = OUT_HIDDEN),
    OUT_STR(struct follow_row, protocol, "protocol", "dbus or varlink, where it is recognised",
            .flags = OUT_JSON),
    OUT_VALUE(struct follow_row, decoded, "decoded",
              "the protocol's messages that end in these bytes, as fdpeek peek shows them",
              .flags = OUT_JSON),
    OUT_SIZE(struct follow_row, skipped, "skipped_bytes",
             "in front of the first decoded message: the rest of one that began before",
             .flags = OUT_JSON | OUT_OPTIONAL),
    OUT_STR(struct follow_row, reason, "reason", "of lost: unread, the socket was closed with it",
            .flags = OUT_JSON | OUT_OPTIONAL),
    OUT_U64(struct follow_row, count, "count", "of lost: how many",
            .flags = OUT_JSON | OUT_OPTIONAL),
    OUT_BYTES(struct follow_row, content, "content",
              "text if it is text, else <hex>; in JSON data_base64 and text", .flags = OUT_WIDE),
    OUT_END,
};

static const struct out_col lost_cols[] = {
    OUT_TIME(struct follow_row, time, "time", "when it was noticed"),
    OUT_STR(struct follow_row, event, "event", "lost"),
    OUT_STR(struct follow_row, reason, "reason", "overrun: they could not be recorded"),
    OUT_U64(struct follow_row, count, "count", "messages that are not shown, at most"),
    OUT_END,
};

/* One direction of a connection. */
struct flow {
    uint64_t id;
    struct proto_stream stream;
};

struct follow {
    struct cli_ctx *ctx;
    const struct follow_args *args;
    struct fdq_follow *reader;
    struct decode_match match;
    struct flow *flows;
    struct decoded decoded;
    FILE *file;                    /* of the capture, or NULL */
    const struct fdq_event *event; /* the one being written there */
    struct cli_stream stream;
};

/* ---- streams ---- */

/* The stream of a sender; another that hashes alike is forgotten, and found again in its middle. */
static struct proto_stream *stream_of(struct follow *f, uint64_t id)
{
    struct flow *flow = &f->flows[(id * UINT64_C(0x9e3779b97f4a7c15) >> 40) & (FLOWS - 1)];

    if (flow->id != id) {
        proto_stream_done(&flow->stream);
        flow->stream.want = (enum proto_want)f->args->decode;
        flow->id = id;
    }
    return &flow->stream;
}

static void write_message(const struct proto_message *m, void *ctx)
{
    struct follow *f = ctx;

    if (f->file && m->kind == PROTO_DBUS)
        pcapng_packet(f->file, true, f->event->time, m->data, m->len, m->len);
}

/* Datagrams stand alone; of a stream nothing may be missing. */
static int decode(struct follow *f, const struct fdq_event *ev)
{
    struct proto_stream *s = stream_of(f, ev->flow);
    int r;

    f->event = ev;
    r = decode_feed(&f->decoded, s, ev->data, ev->captured);
    if (ev->captured < ev->length)
        proto_stream_gap(s, ev->length - ev->captured);
    return r;
}

static void lose_streams(struct follow *f)
{
    for (size_t i = 0; i < FLOWS; i++)
        if (f->flows[i].id)
            proto_stream_gap(&f->flows[i].stream, 0);
}

/* ---- rows ---- */

static bool at_path(const struct follow *f, const struct fdq_event *ev)
{
    const char *want = f->args->path;
    size_t n;

    if (!want)
        return true;
    n = strlen(want);
    if (*want == '@')
        return ev->path_len == n && !ev->path[0] && !memcmp(ev->path + 1, want + 1, n - 1);
    return ev->path_len >= n && !memcmp(ev->path, want, n) && (ev->path_len == n || !ev->path[n]);
}

/* The name as a string; in an abstract one zero bytes are '@'. */
static const char *path_text(const struct fdq_event *ev, char out[128])
{
    size_t n = ev->path_len && ev->path[0] ? strnlen(ev->path, ev->path_len) : ev->path_len;

    if (!n)
        return NULL;
    for (size_t i = 0; i < n; i++)
        out[i] = ev->path[i] ? ev->path[i] : '@';
    out[n] = '\0';
    return out;
}

static int32_t known(pid_t pid)
{
    return pid > 0 ? pid : OUT_UNKNOWN_I32;
}

static bool decoded_only(const struct follow *f)
{
    return f->args->match || f->args->decode == PROTO_WANT_DBUS ||
           f->args->decode == PROTO_WANT_VARLINK;
}

/* In a table a line for each message that was decoded. */
static void show_rows(struct follow *f, struct follow_row *row)
{
    const char *line = buf_str(&f->decoded.lines);

    if (out_get_mode(f->ctx->out) != OUT_MODE_TABLE || !f->decoded.n) {
        out_row(f->ctx->out, row);
        return;
    }
    for (size_t i = 0; i < f->decoded.n; i++) {
        row->content = (struct out_bytes){.data = line, .len = strlen(line)};
        out_row(f->ctx->out, row);
        line += strlen(line) + 1;
    }
}

static void show(struct follow *f, const struct fdq_event *ev)
{
    char path[128];
    bool unread = ev->kind == FDQ_EVENT_UNREAD;
    struct follow_row row = {
        .time = ev->time,
        .event = unread ? "lost" : "recv",
        .reason = unread ? "unread" : NULL,
        .count = unread ? 1 : OUT_UNKNOWN_U64,
        .kind = fdq_kind_name(ev->queue),
        .inode = ev->inode ? ev->inode : OUT_UNKNOWN_U64,
        .peer = ev->peer ? ev->peer : OUT_UNKNOWN_U64,
        .path = path_text(ev, path),
        .pid = known(ev->pid),
        .tid = known(ev->tid),
        .comm = ev->comm,
        .sender_pid = known(ev->sender_pid),
        .length = ev->length,
        .n_fds = ev->n_fds,
        .protocol = f->decoded.n ? proto_kind_name(f->decoded.kind) : NULL,
        .decoded = decode_json(&f->decoded),
        .skipped = f->decoded.skipped ? f->decoded.skipped : OUT_UNKNOWN_U64,
    };

    if (f->args->max_bytes)
        row.content = (struct out_bytes){ev->data, MIN(ev->captured, f->args->max_bytes), ev->length};
    show_rows(f, &row);
}

static void show_lost(struct follow *f, const struct fdq_event *ev)
{
    struct follow_row row = {
        .time = ev->time,
        .event = "lost",
        .reason = "overrun",
        .count = ev->count,
    };

    if (f->file)
        return;
    if (out_get_mode(f->ctx->out) == OUT_MODE_TABLE) {
        out_flush(f->ctx->out);
        cli_note(f->ctx, "%" PRIu64 " messages could not be recorded", ev->count);
        return;
    }
    out_item_begin(f->ctx->out, lost_cols, &row);
    out_item_end(f->ctx->out);
}

/* Bytes of no protocol that is known, into the capture file; D-Bus is there already. */
static void write_rest(struct follow *f, const struct fdq_event *ev)
{
    if (!decoded_only(f) && stream_of(f, ev->flow)->kind != PROTO_DBUS)
        pcapng_packet(f->file, false, ev->time, ev->data, ev->captured, ev->length);
}

static int on_event(const struct fdq_event *ev, void *ctx)
{
    struct follow *f = ctx;
    int r;

    f->stream.seen++;
    if (ev->kind == FDQ_EVENT_LOST) {
        lose_streams(f);
        show_lost(f, ev);
        return out_error(f->ctx->out) < 0;
    }
    if (!at_path(f, ev))
        return 0;
    r = decode(f, ev);
    if (r < 0)
        return r;
    if (f->file)
        write_rest(f, ev);
    if (decoded_only(f) && !f->decoded.n)
        return 0;
    if (!f->file)
        show(f, ev);
    f->stream.done++;
    return cli_stream_is_done(&f->stream) || out_error(f->ctx->out) < 0 ||
           (f->file && ferror(f->file));
}

/* ---- the stream ---- */

static size_t sources(void *verb, struct pollfd *p)
{
    const struct follow *f = verb;

    *p = (struct pollfd){.fd = fdq_follow_fd(f->reader), .events = POLLIN};
    return 1;
}

static int read_some(void *verb, const struct pollfd *p _unused_, struct err *e)
{
    struct follow *f = verb;
    int r = fdq_follow_read(f->reader, on_event, f, e);

    if (!f->file)
        out_flush(f->ctx->out);
    else if (fflush(f->file) == EOF && r >= 0)
        r = -errno;
    return r;
}

static void stop(void *verb)
{
    const struct follow *f = verb;

    fdq_follow_stop(f->reader);
}

/* A reader that has stopped reading keeps this process, not the whole machine. */
static void cut(void *verb)
{
    const struct follow *f = verb;

    fdq_follow_cut(f->reader);
}

static const struct cli_stream_ops follow_ops = {
    .sources = sources,
    .read = read_some,
    .stop = stop,
    .cut = cut,
};

static int follow_status(struct follow *f)
{
    struct fdq_follow_totals t;

    fdq_follow_totals(f->reader, &t);
    cli_note(f->ctx, "%" PRIu64 " events, %" PRIu64 " shown, %" PRIu64 " lost", t.events,
             f->stream.done, t.lost);
    return MAX(cli_stream_status(&f->stream), t.lost ? CLI_FAILED : CLI_OK);
}

/* ---- beginning ---- */

static int add_targets(struct follow *f)
{
    _cleanup_(fdq_set_freep) struct fdq_set *set = NULL;
    struct err e = ERR_INIT;
    int r = fdq_scan(0, 0, &set, &e);

    if (r < 0)
        return cli_fail(f->ctx, r, &e, "cannot look for queues");
    for (size_t i = 0; i < f->ctx->n_operands; i++) {
        _cleanup_(freep) struct fdq_queue **found = NULL;
        struct fdq_target t;
        size_t n;
        int status = fdview_find(f->ctx, f->ctx->operands[i], set, &found, &n);

        if (status != CLI_OK)
            return status;
        if (fdq_target_parse(f->ctx->operands[i], &t, NULL) == 0 && t.kind == FDQ_TARGET_PID)
            r = fdq_follow_pid(f->reader, t.pid);
        for (size_t k = 0; k < n && r == 0; k++) {
            if (!fdq_is_socket(found[k]->kind) && t.kind != FDQ_TARGET_PID)
                return cli_fail_status(f->ctx, CLI_UNSUPPORTED,
                                       "%s: pipes cannot be followed, only sockets",
                                       f->ctx->operands[i]);
            r = fdq_follow_inode(f->reader, found[k]->inode);
        }
        if (r < 0)
            return cli_fail(f->ctx, r, NULL, "%s: cannot follow", f->ctx->operands[i]);
    }
    return CLI_OK;
}

static int begin(struct follow *f)
{
    const struct fdq_follow_opts opts = {
        .all = f->args->all || f->args->path,
        .capture = UINT64_MAX,
    };
    struct err e = ERR_INIT;
    int r = fdq_follow_new(&opts, &f->reader, &e), status;

    if (r < 0)
        return cli_fail(f->ctx, r, &e, "cannot follow");
    status = f->ctx->n_operands ? add_targets(f) : CLI_OK;
    if (status != CLI_OK)
        return status;
    f->flows = calloc(FLOWS, sizeof(*f->flows));
    if (!f->flows)
        return cli_fail(f->ctx, -ENOMEM, NULL, "cannot follow");
    (void)setpriority(PRIO_PROCESS, 0, PRIORITY); /* where permitted */
    r = cli_stream_begin(&f->stream);
    if (r == 0)
        r = fdq_follow_start(f->reader, &e);
    /* To put a file into its place may take what it took to open it. */
    if (r == 0 && !f->file)
        r = fdq_keep_privileges();
    return r < 0 ? cli_fail(f->ctx, r, &e, "cannot follow") : CLI_OK;
}

static void end(struct follow *f)
{
    cli_stream_end();
    fdq_follow_free(f->reader);
    for (size_t i = 0; f->flows && i < FLOWS; i++)
        proto_stream_done(&f->flows[i].stream);
    free(f->flows);
    decode_done(&f->decoded);
}

static int go(struct follow *f)
{
    struct err e = ERR_INIT;
    int r, status = begin(f);

    if (status == CLI_OK) {
        if (f->file)
            pcapng_begin(f->file);
        r = cli_stream_run(&f->stream, &e);
        status = follow_status(f);
        /* A reader of the capture that leaves has seen enough. */
        if (r < 0 && !(f->file && r == -EPIPE))
            status = cli_fail(f->ctx, r, &e, "cannot go on");
    }
    end(f);
    return status;
}

/* The capture file is whole also when something was lost. */
static int write_capture(FILE *file, void *arg, bool *whole)
{
    struct follow *f = arg;

    f->file = file;
    *whole = true;
    return go(f);
}

static int check(struct cli_ctx *ctx, const struct follow_args *args)
{
    const struct decode_match match = {.text = args->match};

    if ((args->all || args->path) && ctx->n_operands)
        return cli_usage(ctx, "a TARGET and --all or --path exclude each other");
    if (!args->all && !args->path && !ctx->n_operands)
        return cli_usage(ctx, "follow which TARGET? (--all: every unix socket)");
    if (args->match && args->decode != PROTO_WANT_AUTO && args->decode != PROTO_WANT_DBUS)
        return cli_usage(ctx, "--match is for D-Bus");
    if (decode_match_check(ctx, &match) != CLI_OK)
        return CLI_USAGE;
    return fdview_check(ctx);
}

static int follow_run(struct cli_ctx *ctx, const void *argp)
{
    const struct follow_args *args = argp;
    struct follow f = {.ctx = ctx, .args = args, .match = {.text = args->match}};
    int status = check(ctx, args);

    if (status != CLI_OK)
        return status;
    f.stream = (struct cli_stream){
        .ctx = ctx,
        .ops = &follow_ops,
        .verb = &f,
        .what = "events",
        .timeout = args->timeout ? args->timeout : CLI_FOREVER,
        .period = NSEC_PER_SEC,
        .wanted = args->count,
    };
    f.decoded.match = &f.match;
    if (args->file) {
        f.decoded.raw = write_message;
        f.decoded.raw_ctx = &f;
        return cli_write_file(ctx, strcmp(args->file, "-") ? args->file : NULL, 0600, write_capture,
                              &f);
    }
    out_list_begin(ctx->out, "events", follow_cols, OUT_RECORDS | OUT_STREAM | OUT_BATCH);
    status = go(&f);
    out_list_end(ctx->out);
    return status;
}

static const struct cli_example follow_examples[] = {
    {"fdpeek follow --all --decode dbus", "every D-Bus message on the machine, live"},
    {"fdpeek follow 4711 --match member=Put", "calls of Put from and to process 4711"},
    {"fdpeek follow --path /run/systemd/journal/socket", "what is logged"},
    {"fdpeek follow --all --decode dbus -O bus.pcapng", "a capture that Wireshark opens"},
    {NULL, NULL},
};

static const struct cli_table follow_tables[] = {
    {"lost", lost_cols},
    {NULL, NULL},
};

const struct cli_verb fdpeek_follow_verb = {
    .name = "follow",
    .operands = "TARGET…",
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_PID,
    .summary = "what is received over unix sockets, live",
    .description =
        "Shows each message, or buffer of a stream, when its receiver is done with it, until "
        "Ctrl-C, "
        "-N or --timeout. A PID or socket is followed in both directions. It is for root.\n"
        "\n"
        "D-Bus and Varlink are decoded as fdpeek peek does. A message to a bus is received twice: "
        "by "
        "the bus, and by its destination. A stream that was joined in the middle of a message is "
        "decoded from the next one on, and skipped_bytes says how much is in front of it.\n"
        "\n"
        "What a socket was closed with, unread, is an event lost with the reason unread. What "
        "could "
        "not be recorded is counted, and is an event lost with the reason overrun; then the exit "
        "status is 1. The totals are on standard error at the end.\n"
        "\n"
        "Pipes and TCP sockets cannot be followed.",
    .examples = follow_examples,
    .opts = follow_opts,
    .args_size = sizeof(struct follow_args),
    .defaults = &follow_defaults,
    .cols = follow_cols,
    .more_cols = follow_tables,
    .flags = CLI_STREAM,
    .run = follow_run,
};
