/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A queue as a row, its holders, and finding what an operand names. */
#include "fdview.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "escape.h"

#define ROW(type, field, ...) OUT_##type(struct fdview_row, field, __VA_ARGS__)

const struct out_col fdview_cols[] = {
    ROW(CHARS, target, "target", "what names it on this tool's command line", .heading = "QUEUE"),
    ROW(STR, kind, "kind", "stream, dgram, seqpacket (unix sockets), pipe or fifo"),
    ROW(CHARS, bytes_shown, "bytes_shown", "unread; 5+ is 5 or more", .heading = "BYTES",
        .flags = OUT_TEXT),
    ROW(U64, inode, "inode", "number of the socket's or pipe's inode", .flags = OUT_HIDDEN),
    ROW(SIZE, bytes, "bytes", "unread; null when it is not known", .flags = OUT_JSON),
    ROW(BOOL, bytes_complete, "bytes_complete", "there are no more than that", .flags = OUT_JSON),
    ROW(U64, depth, "depth",
        "messages: datagrams, packets, or the kernel's buffers of a stream or pipe; null when it "
        "is not known",
        .heading = "MSGS"),
    ROW(SIZE, capacity, "capacity", "bytes that a pipe takes", .flags = OUT_HIDDEN),
    ROW(CHARS, reader, "reader", "who has it open for reading", .flags = OUT_TEXT),
    ROW(CHARS, blocked, "blocked", "threads that are blocked on it", .flags = OUT_TEXT),
    ROW(CHARS, writer, "from", "who can write to it", .flags = OUT_TEXT),
    ROW(U64, blocked_readers, "blocked_reader_count", "threads blocked in reading",
        .flags = OUT_HIDDEN),
    ROW(U64, blocked_writers, "blocked_writer_count", "threads blocked in writing",
        .flags = OUT_HIDDEN),
    ROW(U64, peer, "peer", "inode number of the socket at the other end", .flags = OUT_HIDDEN),
    ROW(STR, path, "path", "where it is bound, a FIFO's name; @ begins an abstract name"),
    ROW(BOOL, listening, "listening", "it accepts connections", .flags = OUT_HIDDEN),
    ROW(U64, pending, "pending_count", "connections that nobody has accepted yet",
        .flags = OUT_HIDDEN),
    ROW(VALUE, readers, "readers", "objects with pid, fd, comm and state (a letter, as in ps)",
        .flags = OUT_JSON),
    ROW(VALUE, writers, "writers", "the same of those who can write to it", .flags = OUT_JSON),
    OUT_END,
};

static void holders_json(struct buf *b, const struct fdq_holders *h)
{
    buf_add_char(b, '[');
    for (size_t i = 0; i < h->n; i++) {
        buf_printf(b, "%s{\"pid\":%d,\"fd\":%d,\"comm\":", i ? "," : "", (int)h->v[i].pid,
                   h->v[i].fd);
        esc_json(b, h->v[i].comm, strlen(h->v[i].comm));
        buf_add_str(b, ",\"state\":");
        esc_json(b, &h->v[i].state, 1);
        buf_add_char(b, '}');
    }
    buf_add_char(b, ']');
}

static void holders_words(char out[FDVIEW_WORDS], const struct fdq_holders *h)
{
    char more[24] = "";

    if (!h->n)
        return;
    if (h->n > 1)
        snprintf(more, sizeof(more), " +%zu", h->n - 1);
    snprintf(out, FDVIEW_WORDS, "%s[%d]%s%s", h->v[0].comm, (int)h->v[0].pid,
             h->v[0].state == 'T' ? " stopped" : "", more);
}

static void blocked_words(struct fdview_row *row)
{
    int n = 0;

    if (row->blocked_readers)
        n = snprintf(row->blocked, sizeof(row->blocked), "%" PRIu64 " reading%s",
                     row->blocked_readers, row->blocked_writers ? ", " : "");
    if (row->blocked_writers)
        snprintf(row->blocked + n, sizeof(row->blocked) - (size_t)n, "%" PRIu64 " writing",
                 row->blocked_writers);
}

void fdview_row_fill(struct fdview_row *row, const struct fdq_queue *q)
{
    *row = (struct fdview_row){
        .kind = fdq_kind_name(q->kind),
        .inode = q->inode,
        .bytes = q->bytes,
        .bytes_complete = q->bytes_complete,
        .depth = q->depth,
        .capacity = q->capacity,
        .blocked_readers = fdq_blocked(q, false),
        .blocked_writers = fdq_blocked(q, true),
        .peer = q->peer ? q->peer : OUT_UNKNOWN_U64,
        .path = q->path,
        .listening = q->listening,
        .pending = q->pending,
    };
    fdq_target_of(q, row->target);
    snprintf(row->bytes_shown, sizeof(row->bytes_shown), "%" PRIu64 "%s",
             q->bytes == FDQ_UNKNOWN ? 0 : q->bytes, q->bytes_complete ? "" : "+");
    holders_words(row->reader, &q->readers);
    holders_words(row->writer, &q->writers);
    blocked_words(row);
    holders_json(&row->readers_text, &q->readers);
    holders_json(&row->writers_text, &q->writers);
    row->readers = buf_error(&row->readers_text) ? NULL : buf_str(&row->readers_text);
    row->writers = buf_error(&row->writers_text) ? NULL : buf_str(&row->writers_text);
}

void fdview_row_done(struct fdview_row *row)
{
    buf_done(&row->readers_text);
    buf_done(&row->writers_text);
}

const struct out_col fdview_state_cols[] = {
    OUT_BOOL(struct fdview_state, holders_complete, "holders_complete",
             "every process could be looked at", .flags = OUT_JSON),
    OUT_U64(struct fdview_state, processes_hidden, "processes_hidden",
            "processes whose descriptors may not be seen", .flags = OUT_JSON),
    OUT_END,
};

void fdview_tell_state(struct cli_ctx *ctx, const struct fdq_set *set)
{
    struct fdview_state state = {
        .holders_complete = !set->processes_hidden,
        .processes_hidden = set->processes_hidden,
    };

    out_fields(ctx->out, fdview_state_cols, &state);
    if (set->processes_hidden)
        cli_note(ctx,
                 "the descriptors of %" PRIu64 " process%s may not be seen: what only %s open is "
                 "missing%s",
                 set->processes_hidden, set->processes_hidden == 1 ? "" : "es",
                 set->processes_hidden == 1 ? "it has" : "they have",
                 getuid() == 0 ? "" : " (run as root)");
    if (set->namespaces_hidden)
        cli_note(ctx, "the sockets of %" PRIu64 " other network namespaces could not be listed",
                 set->namespaces_hidden);
}

int fdview_check(struct cli_ctx *ctx)
{
    for (size_t i = 0; i < ctx->n_operands; i++) {
        struct err e = ERR_INIT;
        struct fdq_target t;
        int r = fdq_target_parse(ctx->operands[i], &t, &e);

        if (r < 0)
            return cli_bad_operand(ctx, ctx->operands[i], "queue", r, &e);
    }
    return CLI_OK;
}

int fdview_find(struct cli_ctx *ctx, const char *operand, const struct fdq_set *set,
                struct fdq_queue ***found, size_t *n)
{
    struct err e = ERR_INIT;
    struct fdq_target t;
    int r = fdq_target_parse(operand, &t, &e);
    struct fdq_queue **v;
    ssize_t got;

    if (r < 0)
        return cli_bad_operand(ctx, operand, "queue", r, &e);
    v = calloc(set->n + 1, sizeof(struct fdq_queue *));
    if (!v)
        return cli_fail(ctx, -ENOMEM, NULL, "%s", operand);
    got = fdq_target_find(&t, set, v, set->n, &e);
    if (got < 0) {
        free(v);
        return cli_fail(ctx, (int)got, &e, "%s", operand);
    }
    *found = v;
    *n = (size_t)got;
    return CLI_OK;
}

const char *fdview_type_name(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "file";
    case S_IFDIR:
        return "directory";
    case S_IFSOCK:
        return "socket";
    case S_IFIFO:
        return "pipe";
    case S_IFCHR:
        return "char_device";
    case S_IFBLK:
        return "block_device";
    case S_IFLNK:
        return "link";
    default:
        return "other";
    }
}
