/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files "traffic" and "record": the events of the bus as they happen, for the server's user and
 * root. Each open file has its own buffer; events that do not fit are counted, and the reader is
 * told the number.
 *
 * The engine reports an event under the lock of the bus, so that the order is exact. A read never
 * waits: it returns what is there, and poll() says when there is more.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "bus_event.h"
#include "macros.h"
#include "serve_private.h"
#include "timefmt.h"

enum { TAP_MAX = 64 << 20, TAP_COMPACT = 1 << 20 };

struct b1_tap {
    struct b1_tap *next;
    struct b1_serve *s;
    bool whole; /* with what existed before, and with the data */
    struct buf text;
    size_t start; /* of the text that has not been read */
    size_t end;   /* of the text that may be read: the end of a transaction */
    uint64_t lost;
    struct fuse_pollhandle *ph;
};

/* This thread has written events since the last b1_taps_wake(). */
static __thread bool told;

static void tap_write(struct b1_tap *t, const struct b1_event *ev)
{
    size_t before = t->text.len;
    struct b1_event lost = {.kind = B1_EVENT_LOST, .time = ev->time, .count = t->lost};

    if (t->lost)
        b1_event_write(&t->text, &lost, false);
    b1_event_write(&t->text, ev, t->whole);
    if (!buf_error(&t->text) && t->text.len - t->start <= TAP_MAX) {
        t->lost = 0;
        return;
    }
    t->lost++;
    t->text.error = 0;
    t->text.len = MIN(before, t->text.len);
    if (t->text.data)
        t->text.data[t->text.len] = '\0';
}

/* Adds the file number and the process of a peer, by which a user can identify it. */
static void add_identity(struct b1_event *ev)
{
    const struct b1_file *f = ev->private;

    if (ev->kind != B1_EVENT_OPEN && ev->kind != B1_EVENT_PEER)
        return;
    ev->ino = f->ino;
    ev->pid = (uint64_t)f->pid;
}

void b1_tap_event(void *ctx, const struct b1_event *event)
{
    struct b1_serve *s = ctx;
    struct b1_event ev;

    if (!atomic_load_explicit(&s->n_taps, memory_order_relaxed))
        return;
    ev = *event;
    ev.time = timefmt_now(CLOCK_REALTIME);
    add_identity(&ev);
    pthread_mutex_lock(&s->tap_lock);
    for (struct b1_tap *t = s->taps; t; t = t->next)
        tap_write(t, &ev);
    pthread_mutex_unlock(&s->tap_lock);
    told = true;
}

void b1_taps_wake(struct b1_serve *s)
{
    if (!told)
        return;
    told = false;
    for (;;) {
        struct fuse_pollhandle *ph = NULL;

        pthread_mutex_lock(&s->tap_lock);
        for (struct b1_tap *t = s->taps; t && !ph; t = t->next)
            if (t->ph && t->text.len > t->start)
                ph = TAKE_PTR(t->ph);
        pthread_mutex_unlock(&s->tap_lock);
        if (!ph)
            return;
        fuse_lowlevel_notify_poll(ph);
        fuse_pollhandle_destroy(ph);
    }
}

/* ---- what exists at the opening; the lock of the bus is held ---- */

struct snapshot {
    struct b1_tap *tap;
    uint64_t peer;
    uint64_t time;
};

static void snapshot_add(struct snapshot *n, struct b1_event ev)
{
    ev.time = n->time;
    add_identity(&ev);
    tap_write(n->tap, &ev);
}

static bool snapshot_peer(void *ctx, uint64_t serial, uint32_t uid, void *data,
                          size_t n_messages _unused_, size_t n_bytes _unused_)
{
    struct snapshot *n = ctx;

    n->peer = serial;
    snapshot_add(
        n, (struct b1_event){.kind = B1_EVENT_PEER, .peer = serial, .uid = uid, .private = data});
    return n->tap->whole;
}

static void snapshot_node(void *ctx, uint64_t id, size_t n_handles _unused_)
{
    struct snapshot *n = ctx;

    snapshot_add(n, (struct b1_event){.kind = B1_EVENT_NODE, .peer = n->peer, .id = id});
}

static void snapshot_handle(void *ctx, uint64_t id, uint64_t owner, uint64_t node, bool in_message)
{
    struct snapshot *n = ctx;

    snapshot_add(n, (struct b1_event){.kind = B1_EVENT_HANDLE,
                                      .peer = n->peer,
                                      .id = id,
                                      .other = owner,
                                      .node = node,
                                      .waiting = in_message});
}

static void snapshot_message(void *ctx, const struct b1_view *v)
{
    struct snapshot *n = ctx;

    snapshot_add(n, (struct b1_event){.kind = B1_EVENT_WAITING,
                                      .peer = n->peer,
                                      .other = v->from,
                                      .message_type = v->type,
                                      .id = v->id,
                                      .account = v->account,
                                      .handles = v->transfers,
                                      .n_handles = v->n_transfers,
                                      .data = v->data,
                                      .length = v->n_data});
}

static void snapshot_end(void *ctx)
{
    struct snapshot *n = ctx;
    struct b1_serve *s = n->tap->s;

    snapshot_add(n, (struct b1_event){.kind = B1_EVENT_BEGIN});
    pthread_mutex_lock(&s->tap_lock);
    n->tap->next = s->taps;
    s->taps = n->tap;
    atomic_fetch_add(&s->n_taps, 1);
    pthread_mutex_unlock(&s->tap_lock);
}

int b1_tap_open(struct b1_serve *s, bool whole, struct b1_tap **ret)
{
    struct b1_tap *t = calloc(1, sizeof(*t));
    struct snapshot n = {.tap = t, .time = timefmt_now(CLOCK_REALTIME)};
    const struct b1_visit visit = {.peer = snapshot_peer,
                                   .node = snapshot_node,
                                   .handle = snapshot_handle,
                                   .message = snapshot_message,
                                   .end = snapshot_end,
                                   .ctx = &n};

    if (!t)
        return -ENOMEM;
    t->s = s;
    t->whole = whole;
    b1_bus_visit(s->bus, &visit);
    *ret = t;
    return 0;
}

void b1_tap_close(struct b1_tap *t)
{
    struct b1_serve *s = t->s;

    pthread_mutex_lock(&s->tap_lock);
    for (struct b1_tap **at = &s->taps; *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            break;
        }
    atomic_fetch_sub(&s->n_taps, 1);
    pthread_mutex_unlock(&s->tap_lock);
    if (t->ph)
        fuse_pollhandle_destroy(t->ph);
    buf_done(&t->text);
    free(t);
}

static void mark_end(void *ctx)
{
    struct b1_tap *t = ctx;

    pthread_mutex_lock(&t->s->tap_lock);
    t->end = t->text.len;
    pthread_mutex_unlock(&t->s->tap_lock);
}

void b1_tap_read(struct b1_tap *t, fuse_req_t req, size_t size)
{
    struct b1_serve *s = t->s;
    size_t n;

    b1_bus_at_rest(s->bus, mark_end, t);
    pthread_mutex_lock(&s->tap_lock);
    n = MIN(size, t->end - t->start);
    fuse_reply_buf(req, n ? t->text.data + t->start : NULL, n);
    t->start += n;
    if (t->start == t->text.len) {
        /* Gives back the memory that a burst of events needed. */
        if (t->text.cap > TAP_COMPACT)
            buf_done(&t->text);
        buf_clear(&t->text);
        t->start = t->end = 0;
    } else if (t->start > TAP_COMPACT && t->start > t->text.len / 2) {
        memmove(t->text.data, t->text.data + t->start, t->text.len - t->start);
        t->text.len -= t->start;
        t->end -= t->start;
        t->text.data[t->text.len] = '\0';
        t->start = 0;
    }
    pthread_mutex_unlock(&s->tap_lock);
}

void b1_tap_poll(struct b1_tap *t, fuse_req_t req, struct fuse_pollhandle *ph)
{
    struct fuse_pollhandle *old = NULL;
    bool readable;

    pthread_mutex_lock(&t->s->tap_lock);
    readable = t->text.len > t->start;
    if (ph) {
        old = t->ph;
        t->ph = ph;
    }
    pthread_mutex_unlock(&t->s->tap_lock);
    if (old)
        fuse_pollhandle_destroy(old);
    fuse_reply_poll(req, readable ? POLLIN | POLLRDNORM : 0u);
}
