/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data that was sent to the processes of a report and that they have not read. A request in the
 * socket of a stopped service is why its clients wait, though a live bus daemon may stand between
 * them.
 */
#include "stuck_unread.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "fdq_peek.h"
#include "proto.h"

enum { MOST = 16 }; /* queues that are told */

#define ROW struct stuck_unread

const struct out_col stuck_unread_cols[] = {
    OUT_CHARS(ROW, target, "target", "what fdpeek calls the queue"),
    OUT_I32(ROW, pid, "pid", "who should read it"),
    OUT_STR(ROW, comm, "comm", "that process's name"),
    OUT_CHARS(ROW, state, "state", "its state, a letter as in ps"),
    OUT_SIZE(ROW, bytes, "bytes", "unread"),
    OUT_STR(ROW, message, "message", "the first message, where D-Bus or Varlink is recognised"),
    OUT_END,
};

static bool in_findings(const struct wait_report *r, pid_t pid)
{
    for (size_t i = 0; i < r->n_findings; i++) {
        if (r->findings[i].stopped_pid == pid)
            return true;
        for (size_t k = 0; k < r->findings[i].n; k++)
            if (r->findings[i].threads[k].pid == pid)
                return true;
    }
    return false;
}

static const struct fdq_holder *holder_in_findings(const struct wait_report *r,
                                                   const struct fdq_holders *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (in_findings(r, h->v[i].pid))
            return &h->v[i];
    return NULL;
}

static const struct fdq_holder *stopped_holder(const struct fdq_holders *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->v[i].state == 'T' || h->v[i].state == 't')
            return &h->v[i];
    return NULL;
}

static bool held_by(const struct fdq_holders *h, pid_t pid)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->v[i].pid == pid)
            return true;
    return false;
}

/* The reader on whom somebody waits, or NULL. */
static const struct fdq_holder *reader_of_interest(const struct wait_report *r,
                                                   const struct fdq_queue *q)
{
    const struct fdq_holder *reader = holder_in_findings(r, &q->readers);

    if (q->bytes == FDQ_UNKNOWN || !q->bytes)
        return NULL;
    if (reader && holder_in_findings(r, &q->writers))
        return reader;
    if (r->n_chain && held_by(&q->writers, r->chain[r->n_chain - 1].pid))
        return stopped_holder(&q->readers);
    return NULL;
}

/* ---- the first message ---- */

struct first {
    struct proto_stream stream;
    struct buf line;
};

static int on_message(const struct proto_message *m, void *ctx)
{
    struct first *f = ctx;

    if (f->line.len)
        return 0;
    if (m->kind == PROTO_DBUS)
        proto_dbus_line(m->dbus, &f->line);
    else if (m->kind == PROTO_VARLINK)
        buf_add_str(&f->line, m->json);
    return 0;
}

static int on_part(const struct fdq_message *m, void *ctx)
{
    struct first *f = ctx;
    int r = proto_stream_feed(&f->stream, m->data, m->length, on_message, f);

    return r < 0 ? r : f->line.len > 0;
}

static char *first_message(struct fdq_peeker *p, const struct fdq_queue *q)
{
    struct fdq_peek_info info;
    struct first f = {0};
    char *text = NULL;

    if (fdq_is_socket(q->kind) && fdq_peek(p, q, &info, NULL) == 0 &&
        fdq_peek_visit(p, on_part, &f) >= 0 && f.line.len)
        text = buf_steal(&f.line);
    proto_stream_done(&f.stream);
    buf_done(&f.line);
    return text;
}

static int add(struct stuck_unread_list *l, struct fdq_peeker *p, const struct fdq_queue *q,
               const struct fdq_holder *reader)
{
    struct stuck_unread *u = ARRAY_MORE(l->v, l->n, l->room);

    if (!u)
        return -ENOMEM;
    fdq_target_of(q, u->target);
    u->pid = reader->pid;
    memcpy(u->comm_text, reader->comm, sizeof(u->comm_text));
    u->state[0] = reader->state;
    u->bytes = q->bytes;
    u->message_text = first_message(p, q);
    return 0;
}

static bool is_worth_looking(const struct wait_report *r)
{
    return r->n_findings || r->n_chain;
}

int stuck_unread_find(const struct wait_report *r, struct stuck_unread_list *out)
{
    const struct fdq_peek_opts opts = {0};
    _cleanup_(fdq_set_freep) struct fdq_set *set = NULL;
    _cleanup_(fdq_peeker_freep) struct fdq_peeker *p = NULL;
    int err = is_worth_looking(r) ? fdq_scan(FDQ_SCAN_FILL, 0, &set, NULL) : 0;

    if (err == 0 && set)
        err = fdq_peeker_new(&opts, &p, NULL);
    for (size_t i = 0; err == 0 && set && i < set->n && out->n < MOST; i++) {
        const struct fdq_holder *reader = reader_of_interest(r, &set->v[i]);

        if (reader)
            err = add(out, p, &set->v[i], reader);
    }
    for (size_t i = 0; i < out->n; i++) { /* the array does not move any more */
        out->v[i].comm = out->v[i].comm_text;
        out->v[i].message = out->v[i].message_text;
    }
    return err;
}

void stuck_unread_done(struct stuck_unread_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].message_text);
    free(l->v);
}
