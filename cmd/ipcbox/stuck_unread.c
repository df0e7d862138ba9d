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

/* ---- whose queues ---- */

struct pids {
    pid_t *v; /* sorted, each once */
    size_t n, room;
};

/**
 * struct interest - whose queues are looked at
 * @findings: the processes of the findings
 * @all: those, and with a chain its end and what is stopped
 * @end: the last process of the chain; 0 for none
 */
struct interest {
    struct pids findings, all;
    pid_t end;
};

static void interest_done(struct interest *in)
{
    free(in->findings.v);
    free(in->all.v);
}

static int by_number(const void *a, const void *b)
{
    const pid_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static bool has_pid(const struct pids *p, pid_t pid)
{
    return p->n && bsearch(&pid, p->v, p->n, sizeof(pid), by_number);
}

static int add_pid(struct pids *p, pid_t pid)
{
    pid_t *at = pid ? ARRAY_MORE(p->v, p->n, p->room) : NULL;

    if (at)
        *at = pid;
    return at || !pid ? 0 : -ENOMEM;
}

static void sort_pids(struct pids *p)
{
    size_t kept = 0;

    array_sort(p->v, p->n, sizeof(*p->v), by_number);
    for (size_t i = 0; i < p->n; i++)
        if (!kept || p->v[kept - 1] != p->v[i])
            p->v[kept++] = p->v[i];
    p->n = kept;
}

static int add_findings(struct pids *p, const struct wait_report *r)
{
    int err = 0;

    for (size_t i = 0; i < r->n_findings && err == 0; i++) {
        const struct wait_finding *f = &r->findings[i];

        err = add_pid(p, f->stopped_pid);
        for (size_t k = 0; k < f->n && err == 0; k++)
            err = add_pid(p, f->threads[k].pid);
    }
    sort_pids(p);
    return err;
}

static int interest_make(struct interest *in, const struct wait_report *r)
{
    int err = add_findings(&in->findings, r);

    in->end = r->n_chain ? r->chain[r->n_chain - 1].pid : 0;
    for (size_t i = 0; i < in->findings.n && err == 0; i++)
        err = add_pid(&in->all, in->findings.v[i]);
    for (size_t i = 0; in->end && i < r->n_stopped && err == 0; i++)
        err = add_pid(&in->all, r->stopped[i]);
    if (err == 0)
        err = add_pid(&in->all, in->end);
    sort_pids(&in->all);
    return err;
}

/* ---- which queues ---- */

static const struct fdq_holder *holder_in_findings(const struct interest *in,
                                                   const struct fdq_holders *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (has_pid(&in->findings, h->v[i].pid))
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
static const struct fdq_holder *reader_of_interest(const struct interest *in,
                                                   const struct fdq_queue *q)
{
    const struct fdq_holder *reader = holder_in_findings(in, &q->readers);

    if (reader && holder_in_findings(in, &q->writers))
        return reader;
    return in->end && held_by(&q->writers, in->end) ? stopped_holder(&q->readers) : NULL;
}

/* Whether something may be unread in it that somebody waits for to be read. */
static bool is_of_interest(const struct fdq_queue *q, const void *ctx)
{
    return (q->bytes || !q->bytes_complete) && reader_of_interest(ctx, q);
}

/* The queues of interest, with how much is unread. */
static int scan_of(const struct interest *in, struct fdq_set **ret)
{
    int err = fdq_scan_processes(0, in->all.v, in->all.n, ret, NULL);

    if (err < 0)
        return err;
    fdq_set_keep(*ret, is_of_interest, in);
    return fdq_set_fill(*ret);
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

static int add_all(struct stuck_unread_list *out, const struct interest *in,
                   const struct fdq_set *set)
{
    const struct fdq_peek_opts opts = {0};
    _cleanup_(fdq_peeker_freep) struct fdq_peeker *p = NULL;
    int err = fdq_peeker_new(&opts, &p, NULL);

    for (size_t i = 0; err == 0 && i < set->n && out->n < MOST; i++) {
        const struct fdq_queue *q = &set->v[i];

        if (q->bytes && q->bytes != FDQ_UNKNOWN)
            err = add(out, p, q, reader_of_interest(in, q));
    }
    return err;
}

int stuck_unread_find(const struct wait_report *r, struct stuck_unread_list *out)
{
    _cleanup_(fdq_set_freep) struct fdq_set *set = NULL;
    _cleanup_(interest_done) struct interest in = {0};
    int err = interest_make(&in, r);

    if (err == 0 && in.all.n)
        err = scan_of(&in, &set);
    if (err == 0 && set && set->n)
        err = add_all(out, &in, set);
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
