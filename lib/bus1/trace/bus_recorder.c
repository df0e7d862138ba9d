/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sorts calls by the time at which they can have taken effect, and reports them as events. */
#include "bus_recorder.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "macros.h"
#include "timefmt.h"

enum {
    BUCKETS = 1024,
    IDS_MIN = 16,
    LATE_NS = 40 * 1000 * 1000,    /* a call may be visited up to this long after its end */
    STUCK_NS = 1000 * 1000 * 1000, /* a call that does not return delays the others this long */
    HELD_BYTES = 64 << 20,
};

/* A peer, identified by its file. */
struct peer {
    struct peer *next;
    struct b1_monitor_file file;
    uint64_t serial;
    bool closing;  /* its close is among the calls that are held back */
    bool closed;   /* its close was reported before its turn */
    uint64_t *ids; /* the ids that the peer was seen to get, ascending */
    size_t n_ids;
    size_t ids_cap;
    uint64_t max_id;  /* the highest id that a TRANSFER gave the peer */
    uint64_t max_end; /* end of that call, CLOCK_MONOTONIC */
};

/*
 * A call that has not been reported yet; its memory follows. Without @cmd it is the close of
 * @closed.
 */
struct held {
    struct held *prev;
    struct held *next;
    uint64_t key; /* CLOCK_MONOTONIC */
    struct b1_monitor_event ev;
    struct peer *closed;
    size_t size;
};

struct b1_recorder {
    struct b1_recorder_opts opts;
    struct peer *peers[BUCKETS];
    uint64_t last_serial;
    struct held *first;
    struct held *last;
    size_t held_bytes;
    uint64_t latest; /* latest end of a call so far */
    uint64_t unseen[B1_UNSEENS];
    struct b1_event_lists lists; /* lists of the event that is being reported */
    int result;                  /* the first value other than 0 that opts.event() returned */
};

int b1_recorder_new(const struct b1_recorder_opts *opts, struct b1_recorder **ret)
{
    struct b1_recorder *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    r->opts = *opts;
    *ret = r;
    return 0;
}

uint64_t b1_recorder_unseen(const struct b1_recorder *r, enum b1_unseen why)
{
    return r->unseen[why];
}

/* ---- calls that are held back, by their key ---- */

static void held_add(struct b1_recorder *r, struct held *h)
{
    struct held *before = r->last;

    while (before && before->key > h->key)
        before = before->prev;
    h->prev = before;
    h->next = before ? before->next : r->first;
    *(before ? &before->next : &r->first) = h;
    *(h->next ? &h->next->prev : &r->last) = h;
    r->held_bytes += h->size;
}

static void held_drop(struct b1_recorder *r)
{
    struct held *h = r->first;

    r->first = h->next;
    *(r->first ? &r->first->prev : &r->last) = NULL;
    r->held_bytes -= h->size;
    free(h);
}

static int hold(struct b1_recorder *r, const struct b1_monitor_event *ev, uint64_t key)
{
    size_t size = sizeof(struct held);
    struct held *h;
    char *at;

    for (size_t i = 0; i < B1_PARTS; i++)
        size += ev->part[i].len;
    h = malloc(size);
    if (!h)
        return -ENOMEM;
    *h = (struct held){.ev = *ev, .key = key, .size = size};
    at = (char *)(h + 1);
    for (size_t i = 0; i < B1_PARTS; i++) {
        if (ev->part[i].len)
            memcpy(at, ev->part[i].data, ev->part[i].len);
        h->ev.part[i].data = at;
        at += ev->part[i].len;
    }
    held_add(r, h);
    return 0;
}

static void peer_free(struct peer *p)
{
    free(p->ids);
    free(p);
}

void b1_recorder_free(struct b1_recorder *r)
{
    if (!r)
        return;
    while (r->first) {
        if (r->first->closed && r->first->closed->closed)
            peer_free(r->first->closed);
        held_drop(r);
    }
    assert(r->held_bytes == 0);
    for (size_t i = 0; i < BUCKETS; i++)
        while (r->peers[i]) {
            struct peer *p = r->peers[i];

            r->peers[i] = p->next;
            peer_free(p);
        }
    b1_event_lists_done(&r->lists);
    free(r);
}

/* ---- the caller's memory ---- */

/* Copies the @i-th element of a part to @to. Return: false if there is none. */
static bool element(const struct b1_monitor_event *ev, enum b1_part part, size_t i, void *to,
                    size_t size)
{
    const struct b1_memory *m = &ev->part[part];

    if (i >= m->len / size)
        return false;
    memcpy(to, (const char *)m->data + i * size, size);
    return true;
}

static uint64_t end_of(const struct b1_monitor_event *ev)
{
    return ev->ended ? ev->begun + ev->duration : UINT64_MAX;
}

static bool succeeded(const struct b1_monitor_event *ev)
{
    return ev->ended && !ev->died && ev->result >= 0 && ev->arg_read;
}

static int list_room(uint64_t **v, size_t *cap, size_t n)
{
    uint64_t *more;

    if (n <= *cap)
        return 0;
    more = reallocarray(*v, n, sizeof(*more));
    if (!more)
        return -ENOMEM;
    *v = more;
    *cap = n;
    return 0;
}

/* Takes the ids of a RELEASE, or the destinations of a SEND. */
static int take_ids(struct b1_recorder *r, const struct b1_monitor_event *ev, struct b1_event *out)
{
    const struct b1_memory *m = &ev->part[B1_PART_IDS];

    out->n_ids = m->len / sizeof(uint64_t);
    if (list_room(&r->lists.ids, &r->lists.ids_cap, out->n_ids) < 0)
        return -ENOMEM;
    if (out->n_ids)
        memcpy(r->lists.ids, m->data, out->n_ids * sizeof(uint64_t));
    out->ids = r->lists.ids;
    return 0;
}

/* Takes the ids of the handles that a message carries. */
static int take_handles(struct b1_recorder *r, const struct b1_monitor_event *ev, enum b1_part part,
                        struct b1_event *out)
{
    struct bus1_transfer t;

    out->n_handles = ev->part[part].len / sizeof(t);
    if (list_room(&r->lists.handles, &r->lists.handles_cap, out->n_handles) < 0)
        return -ENOMEM;
    for (size_t i = 0; element(ev, part, i, &t, sizeof(t)); i++)
        r->lists.handles[i] = t.id;
    out->handles = r->lists.handles;
    return 0;
}

/* ---- reporting ---- */

static void tell(struct b1_recorder *r, struct b1_event ev)
{
    int k;

    ev.outside = true;
    r->unseen[ev.unseen]++;
    k = r->opts.event(r->opts.ctx, &ev);
    if (k && !r->result)
        r->result = k;
}

static uint64_t time_of(const struct b1_monitor_event *ev)
{
    return ev->ended ? ev->time + ev->duration : ev->time;
}

/* ---- peers ---- */

/* The files of a served bus have distinct inode numbers; files of a device have only addresses. */
static struct peer **bucket_of(struct b1_recorder *r, const struct b1_monitor_file *f)
{
    return &r->peers[(f->is_device ? f->file >> 8 : f->ino) % BUCKETS];
}

static bool is_same(const struct b1_monitor_file *a, const struct b1_monitor_file *b)
{
    return a->dev == b->dev && a->ino == b->ino &&
           (!a->is_device || (a->file == b->file && a->object == b->object));
}

/*
 * Finds the peer of a file; a new one is reported first. @pid: the process that opened it; 0: not
 * known.
 */
static int peer_of(struct b1_recorder *r, const struct b1_monitor_event *ev,
                   const struct b1_monitor_file *f, uint64_t pid, struct peer **ret)
{
    struct peer **bucket = bucket_of(r, f), *p = *bucket;

    while (p && !is_same(&p->file, f))
        p = p->next;
    *ret = p;
    if (p)
        return 0;
    *ret = p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    *p = (struct peer){.next = *bucket, .file = *f, .serial = ++r->last_serial};
    *bucket = p;
    tell(r, (struct b1_event){
                .kind = B1_EVENT_OPEN,
                .time = time_of(ev),
                .peer = p->serial,
                .ino = f->is_device ? BUS1_INVALID : f->ino,
                .pid = pid ? pid : BUS1_INVALID,
                .uid = BUS1_INVALID,
                .private = f,
            });
    return 0;
}

static void peer_close(struct b1_recorder *r, struct peer *p, uint64_t time)
{
    struct peer **at = bucket_of(r, &p->file);

    assert(!p->closed);
    tell(r, (struct b1_event){.kind = B1_EVENT_CLOSE, .time = time, .peer = p->serial});
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    p->closed = true;
    if (!p->closing)
        peer_free(p);
}

/* Reports a close that was held back. */
static void close_held(struct b1_recorder *r, struct peer *p, uint64_t time)
{
    assert(p->closing);
    p->closing = false;
    if (p->closed)
        peer_free(p);
    else
        peer_close(r, p, time);
}

/* The index of an id, or the index at which it is to be inserted. */
static size_t id_place(const struct peer *p, uint64_t id)
{
    size_t low = 0, high = p->n_ids;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (p->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/*
 * Tells whether the recording has seen a peer get an id. It has not seen ids that are older than
 * itself.
 */
static bool is_known(const struct peer *p, uint64_t id)
{
    size_t at = id_place(p, id);

    return at < p->n_ids && p->ids[at] == id;
}

/* Notes that a peer got an id. */
static int peer_gets(struct peer *p, uint64_t id)
{
    size_t at;

    if (is_known(p, id))
        return 0;
    if (p->n_ids == p->ids_cap &&
        list_room(&p->ids, &p->ids_cap, MAX(p->ids_cap * 2, (size_t)IDS_MIN)) < 0)
        return -ENOMEM;
    at = id_place(p, id);
    memmove(p->ids + at + 1, p->ids + at, (p->n_ids++ - at) * sizeof(*p->ids));
    p->ids[at] = id;
    return 0;
}

/*
 * Notes that a TRANSFER gave a peer an id. Such ids grow: an id that is not above those of earlier
 * calls belongs to a new peer, whose file has the address that a closed one had. @known: the id can
 * be replayed.
 */
static int peer_given(struct b1_recorder *r, const struct b1_monitor_event *ev, struct peer **peer,
                      uint64_t id, bool known)
{
    struct b1_monitor_file file = (*peer)->file;
    int k = 0;

    if (file.is_device && id <= (*peer)->max_id && ev->begun > (*peer)->max_end) {
        peer_close(r, *peer, time_of(ev));
        k = peer_of(r, ev, &file, 0, peer);
    }
    if (k == 0 && id > (*peer)->max_id) {
        (*peer)->max_id = id;
        (*peer)->max_end = end_of(ev);
    }
    return k == 0 && known ? peer_gets(*peer, id) : k;
}

/* ---- the calls ---- */

static int do_transfer(struct b1_recorder *r, const struct b1_monitor_event *ev, struct peer *p)
{
    const struct b1_monitor_file *other = ev->arg.transfer.to == BUS1_INVALID ? &ev->file : &ev->to;
    struct bus1_transfer src, after, dst;
    struct peer *to;
    int k = 0;

    for (size_t i = 0; i < ev->arg.transfer.n_transfers && k == 0; i++) {
        struct b1_event out = {.kind = B1_EVENT_TRANSFER, .time = time_of(ev)};

        if (!other->dev || !element(ev, B1_PART_TRANSFERS, i, &src, sizeof(src)) ||
            !element(ev, B1_PART_TRANSFERS_AFTER, i, &after, sizeof(after)) ||
            !element(ev, B1_PART_NEW_HANDLES, i, &dst, sizeof(dst))) {
            r->unseen[B1_UNSEEN_MEMORY]++;
            return 0;
        }
        out.create = src.flags == BUS1_TRANSFER_FLAG_CREATE;
        out.id = out.create ? after.id : src.id;
        out.handle = dst.id;
        if (out.create)
            k = peer_given(r, ev, &p, out.id, true);
        out.unseen = is_known(p, out.id) ? B1_UNSEEN_NOTHING : B1_UNSEEN_ID;
        /* the next call may close the peer, if the caller's memory held false ids */
        out.peer = p->serial;
        if (k == 0)
            k = peer_of(r, ev, other, 0, &to);
        if (k == 0)
            k = peer_given(r, ev, &to, dst.id, !out.unseen);
        if (k < 0)
            return k;
        out.other = to->serial;
        tell(r, out);
    }
    return k;
}

/* Why a RELEASE or SEND cannot be replayed as it is, if there is a reason. */
static enum b1_unseen is_unseen(const struct peer *p, const struct b1_monitor_event *ev,
                                const struct b1_event *out, uint64_t n_ids, uint64_t n_handles)
{
    if (!succeeded(ev))
        return B1_UNSEEN_END;
    if (out->n_ids < n_ids || out->n_handles < n_handles)
        return B1_UNSEEN_MEMORY;
    for (size_t i = 0; i < out->n_ids; i++)
        if (!is_known(p, out->ids[i]))
            return B1_UNSEEN_ID;
    for (size_t i = 0; i < out->n_handles; i++)
        if (!is_known(p, out->handles[i]))
            return B1_UNSEEN_ID;
    return B1_UNSEEN_NOTHING;
}

static int do_release(struct b1_recorder *r, const struct b1_monitor_event *ev, struct peer *p)
{
    struct b1_event out = {.kind = B1_EVENT_RELEASE, .time = time_of(ev), .peer = p->serial};

    if (!ev->arg.release.n_ids)
        return 0;
    if (take_ids(r, ev, &out) < 0)
        return -ENOMEM;
    out.unseen = is_unseen(p, ev, &out, ev->arg.release.n_ids, 0);
    tell(r, out);
    return 0;
}

static int do_send(struct b1_recorder *r, const struct b1_monitor_event *ev, struct peer *p)
{
    struct b1_event out = {.kind = B1_EVENT_SEND, .time = time_of(ev), .peer = p->serial};
    const struct b1_memory *data = &ev->part[B1_PART_DATA];
    struct bus1_message m = {0};
    bool whole = element(ev, B1_PART_MESSAGE, 0, &m, sizeof(m));

    if (!ev->arg.send.n_destinations)
        return 0;
    if (take_ids(r, ev, &out) < 0 || take_handles(r, ev, B1_PART_TRANSFERS, &out) < 0)
        return -ENOMEM;
    out.length = data->len;
    out.data = data->len ? data->data : "";
    out.unseen = is_unseen(p, ev, &out, ev->arg.send.n_destinations, m.n_transfers);
    if (out.unseen != B1_UNSEEN_END && (!whole || out.length < m.n_data))
        out.unseen = B1_UNSEEN_MEMORY;
    tell(r, out);
    return 0;
}

static int do_receive(struct b1_recorder *r, const struct b1_monitor_event *ev, struct peer *p)
{
    struct b1_event out = {.kind = B1_EVENT_RECV, .time = time_of(ev), .peer = p->serial};
    const struct b1_memory *data = &ev->part[B1_PART_DATA_AFTER];
    struct bus1_metadata meta = {0};
    struct bus1_message m = {0};
    int k = take_handles(r, ev, B1_PART_TRANSFERS_AFTER, &out);

    if (!element(ev, B1_PART_MESSAGE_AFTER, 0, &m, sizeof(m)) ||
        !element(ev, B1_PART_METADATA, 0, &meta, sizeof(meta)) || out.n_handles != m.n_transfers ||
        data->len != m.n_data)
        out.unseen = B1_UNSEEN_MEMORY;
    else if (!is_known(p, meta.id))
        out.unseen = B1_UNSEEN_ID;
    for (size_t i = 0; i < out.n_handles && k == 0 && !out.unseen; i++)
        k = peer_gets(p, out.handles[i]);
    if (k < 0)
        return k;
    out.message_type = m.type;
    out.id = meta.id;
    out.account = meta.account;
    out.length = data->len;
    out.data = data->len ? data->data : "";
    tell(r, out);
    return 0;
}

static int tell_call(struct b1_recorder *r, const struct b1_monitor_event *ev)
{
    struct peer *p;
    int k = peer_of(r, ev, &ev->file, (uint64_t)MAX(ev->pid, 0), &p);

    if (k < 0)
        return k;
    switch (ev->cmd) {
    case BUS1_CMD_TRANSFER:
        return do_transfer(r, ev, p);
    case BUS1_CMD_RELEASE:
        return do_release(r, ev, p);
    case BUS1_CMD_SEND:
        return do_send(r, ev, p);
    default:
        assert(ev->cmd == BUS1_CMD_RECV);
        return do_receive(r, ev, p);
    }
}

/* ---- in order ---- */

/* Reports all events with a key below @bound, and the oldest ones while memory is short. */
static int tell_until(struct b1_recorder *r, uint64_t bound)
{
    int k = 0;

    while (k == 0 && !r->result && r->first &&
           (r->first->key < bound || r->held_bytes > HELD_BYTES)) {
        struct held *h = r->first;

        if (h->closed)
            close_held(r, h->closed, h->ev.time);
        else
            k = tell_call(r, &h->ev);
        held_drop(r);
    }
    return k < 0 ? k : r->result;
}

static int lost(struct b1_recorder *r, const struct b1_monitor_event *ev)
{
    int k = tell_until(r, UINT64_MAX);

    if (k >= 0)
        tell(r, (struct b1_event){.kind = B1_EVENT_LOST, .time = ev->time, .count = ev->lost});
    return MIN(k, 0);
}

int b1_recorder_call(struct b1_recorder *r, const struct b1_monitor_event *ev)
{
    bool early = ev->cmd == BUS1_CMD_SEND || ev->cmd == BUS1_CMD_TRANSFER;
    bool bus1 = early || ev->cmd == BUS1_CMD_RELEASE || ev->cmd == BUS1_CMD_RECV;

    if (ev->lost)
        return lost(r, ev);
    if (ev->ended)
        r->latest = MAX(r->latest, end_of(ev));
    if (!bus1 || (ev->ended && !ev->died && !succeeded(ev)))
        return 0;
    if (succeeded(ev))
        return hold(r, ev, early ? ev->begun : end_of(ev));
    /* The call did not end: its arguments are recorded, its result is not known. */
    if (ev->arg_read && (ev->cmd == BUS1_CMD_SEND || ev->cmd == BUS1_CMD_RELEASE))
        return hold(r, ev, ev->begun);
    r->unseen[B1_UNSEEN_END]++;
    return 0;
}

int b1_recorder_settle(struct b1_recorder *r, uint64_t until)
{
    uint64_t oldest = r->opts.oldest(r->opts.ctx);

    until = MAX(until, r->latest);
    until -= MIN(until, (uint64_t)LATE_NS);
    if (oldest < until)
        until = MAX(oldest, until - MIN(until, (uint64_t)STUCK_NS));
    return tell_until(r, until);
}

int b1_recorder_look(struct b1_recorder *r)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct peer *p = r->peers[i]; p; p = p->next) {
            struct held *h;

            if (p->closing || r->opts.is_open(r->opts.ctx, &p->file))
                continue;
            h = calloc(1, sizeof(*h));
            if (!h)
                return -ENOMEM;
            h->key = r->opts.now(r->opts.ctx);
            h->ev.time = timefmt_now(CLOCK_REALTIME);
            h->closed = p;
            p->closing = true;
            h->size = sizeof(*h);
            held_add(r, h);
        }
    return 0;
}

int b1_recorder_end(struct b1_recorder *r)
{
    return tell_until(r, UINT64_MAX);
}
