/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fdpeek info: all that can be known of a queue without its content. */
#include <stdlib.h>

#include "cleanup.h"
#include "fdpeek_verbs.h"
#include "fdq_peek.h"
#include "fdview.h"

struct holder_row {
    const struct fdq_holder *h;
    uint32_t pid;
    uint32_t fd;
    const char *comm;
    char state[2];
};

static const struct out_col holder_cols[] = {
    OUT_U32(struct holder_row, pid, "pid", "process that has it open"),
    OUT_U32(struct holder_row, fd, "fd", "descriptor"),
    OUT_STR(struct holder_row, comm, "comm", "its name"),
    OUT_CHARS(struct holder_row, state, "state", "as ps(1) shows it; T is stopped"),
    OUT_END,
};

struct thread_row {
    uint32_t pid;
    uint32_t tid;
    const char *comm;
    const char *direction;
    uint64_t since;
};

static const struct out_col thread_cols[] = {
    OUT_U32(struct thread_row, pid, "pid", "process"),
    OUT_U32(struct thread_row, tid, "tid", "its blocked thread"),
    OUT_STR(struct thread_row, comm, "comm", "the process's name"),
    OUT_STR(struct thread_row, direction, "direction", "send or recv"),
    OUT_SPAN(struct thread_row, since, "since", "for how long; null when that is not known"),
    OUT_END,
};

static void show_holders(struct out *out, const char *key, const char *title,
                         const struct fdq_holders *h)
{
    if (out_get_headings(out))
        out_text(out, "\n%s:%s", title, h->n ? "" : " none that can be seen");
    out_list_begin(out, key, holder_cols, 0);
    for (size_t i = 0; i < h->n; i++) {
        const struct holder_row row = {
            .pid = (uint32_t)h->v[i].pid,
            .fd = (uint32_t)h->v[i].fd,
            .comm = h->v[i].comm,
            .state = {h->v[i].state},
        };

        out_row(out, &row);
    }
    out_list_end(out);
}

static uint64_t blocked_for(int proc, const struct fdq_thread *t)
{
    uint64_t ns;

    return proc < 0 || proc_thread_since(proc, t->pid, t->tid, &ns) < 0 ? OUT_UNKNOWN_U64 : ns;
}

static void show_threads(struct out *out, const struct fdq_queue *q)
{
    _cleanup_(closep) int proc = q->n_threads ? proc_open(NULL) : -1;

    if (out_get_headings(out))
        out_text(out, "\nblocked:%s", q->n_threads ? "" : " none that can be seen");
    out_list_begin(out, "threads", thread_cols, 0);
    for (size_t i = 0; i < q->n_threads; i++) {
        const struct thread_row row = {
            .pid = (uint32_t)q->threads[i].pid,
            .tid = (uint32_t)q->threads[i].tid,
            .comm = q->threads[i].comm,
            .direction = q->threads[i].sends ? "send" : "recv",
            .since = blocked_for(proc, &q->threads[i]),
        };

        out_row(out, &row);
    }
    out_list_end(out);
}

struct passed_row {
    uint64_t index;
    const char *type;
    uint64_t inode;
    const char *name;
    uint32_t pid;
    uint32_t uid;
};

static const struct out_col passed_cols[] = {
    OUT_U64(struct passed_row, index, "index", "of the message with which it comes"),
    OUT_STR(struct passed_row, type, "type", "file, socket, pipe, …"),
    OUT_U64(struct passed_row, inode, "inode", "what it leads to"),
    OUT_STR(struct passed_row, name, "name", "last part of its path"),
    OUT_U32(struct passed_row, pid, "pid", "who sent it; null where the kernel did not note it"),
    OUT_U32(struct passed_row, uid, "uid", "the sender's user"),
    OUT_END,
};

static int on_message(const struct fdq_message *m, void *ctx)
{
    struct out *out = ctx;

    for (size_t i = 0; i < m->n_fds; i++) {
        const struct passed_row row = {
            .index = m->index,
            .type = fdview_type_name(m->fds[i].mode),
            .inode = m->fds[i].inode,
            .name = m->fds[i].name,
            .pid = m->pid ? (uint32_t)m->pid : OUT_UNKNOWN_U32,
            .uid = m->pid ? (uint32_t)m->uid : OUT_UNKNOWN_U32,
        };

        out_row(out, &row);
    }
    return 0;
}

/* Descriptors that wait in a socket; @p is NULL where only BPF could tell, and that cannot be used.
 */
static void show_passed(struct out *out, struct fdq_peeker *p, const struct fdq_queue *q)
{
    struct fdq_peek_info info;
    bool known = p && fdq_is_socket(q->kind) && fdq_peek(p, q, &info, NULL) == 0;

    if (!fdq_is_socket(q->kind))
        return;
    if (out_get_headings(out))
        out_text(out, "\npassed descriptors:%s", known ? "" : " not known");
    out_list_begin(out, "passed", passed_cols, 0);
    if (known)
        fdq_peek_visit(p, on_message, out);
    out_list_end(out);
}

/* As in a listing, but with its holders as tables of their own. */
static const struct out_col info_cols[] = {
    OUT_CHARS(struct fdview_row, target, "target", "what names it on this tool's command line"),
    OUT_STR(struct fdview_row, kind, "kind", "stream, dgram, seqpacket, pipe or fifo"),
    OUT_U64(struct fdview_row, inode, "inode", "number of the socket's or pipe's inode"),
    OUT_SIZE(struct fdview_row, bytes, "bytes", "unread; null when it is not known"),
    OUT_BOOL(struct fdview_row, bytes_complete, "bytes_complete", "there are no more than that"),
    OUT_U64(struct fdview_row, depth, "depth", "messages; null when it is not known",
            .heading = "MSGS"),
    OUT_SIZE(struct fdview_row, capacity, "capacity", "bytes that a pipe takes"),
    OUT_U64(struct fdview_row, blocked_readers, "blocked_reader_count",
            "threads blocked in reading"),
    OUT_U64(struct fdview_row, blocked_writers, "blocked_writer_count",
            "threads blocked in writing"),
    OUT_U64(struct fdview_row, peer, "peer", "inode number of the socket at the other end"),
    OUT_STR(struct fdview_row, path, "path", "where it is bound, a FIFO's name"),
    OUT_BOOL(struct fdview_row, listening, "listening", "it accepts connections"),
    OUT_U64(struct fdview_row, pending, "pending_count",
            "connections that nobody has accepted yet"),
    OUT_END,
};

static void show(struct cli_ctx *ctx, struct fdq_peeker *p, const struct fdq_queue *q)
{
    struct fdview_row row;

    fdview_row_fill(&row, q);
    out_item_begin(ctx->out, info_cols, &row);
    fdview_row_done(&row);
    show_holders(ctx->out, "readers", "readers", &q->readers);
    show_holders(ctx->out, "writers", "writers", &q->writers);
    show_threads(ctx->out, q);
    show_passed(ctx->out, p, q);
    out_item_end(ctx->out);
}

static int info_run(struct cli_ctx *ctx, const void *argp _unused_)
{
    const struct fdq_peek_opts heads = {.backend = "bpf", .heads = true};
    _cleanup_(fdq_peeker_freep) struct fdq_peeker *p = NULL;
    _cleanup_(fdq_set_freep) struct fdq_set *set = NULL;
    struct err e = ERR_INIT;
    int r = fdview_check(ctx);

    if (r != CLI_OK)
        return r;
    r = fdq_scan(FDQ_SCAN_THREADS | FDQ_SCAN_FILL, 0, &set, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "cannot look for queues");
    if (fdq_backend_probe("bpf", NULL) == 0)
        (void)fdq_peeker_new(&heads, &p, NULL);
    fdview_tell_state(ctx, set);
    out_list_begin(ctx->out, "queues", NULL, OUT_RECORDS);
    for (size_t i = 0; i < ctx->n_operands && !out_error(ctx->out); i++) {
        _cleanup_(freep) struct fdq_queue **found = NULL;
        size_t n;

        if (fdview_find(ctx, ctx->operands[i], set, &found, &n) != CLI_OK)
            continue;
        for (size_t k = 0; k < n; k++) {
            if ((i || k) && out_get_headings(ctx->out))
                out_text(ctx->out, "%s", "");
            show(ctx, p, found[k]);
        }
    }
    out_list_end(ctx->out);
    return ctx->status;
}

static const struct cli_example info_examples[] = {
    {"fdpeek info 4711:5", "who reads and writes what process 4711 has open as descriptor 5"},
    {"fdpeek info /run/dbus/system_bus_socket -J | jq '.queues[].readers[].comm'",
     "who serves a socket"},
    {NULL, NULL},
};

static const struct cli_table info_tables[] = {
    {"", fdview_state_cols},
    {"queues", info_cols},
    {"readers", holder_cols},
    {"writers", holder_cols},
    {"threads", thread_cols},
    {"passed", passed_cols},
    {NULL, NULL},
};

const struct cli_verb fdpeek_info_verb = {
    .name = "info",
    .operands = "TARGET…",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_PID,
    .summary = "who reads and writes a queue, and who is blocked",
    .description = "Shows a queue's fill, who has it open for reading, who can write to it, and "
                   "the threads that are blocked on it, and which descriptors wait in a socket to "
                   "be received.",
    .examples = info_examples,
    .more_cols = info_tables,
    .run = info_run,
};
