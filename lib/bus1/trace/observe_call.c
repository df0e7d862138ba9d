/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a call means is told by the mirror, which the call then changes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "macros.h"
#include "observe_private.h"

/* ---- the caller's memory ---- */

uint64_t b1_observed_end(const struct b1_monitor_event *ev)
{
    return ev->ended ? ev->begun + ev->duration : UINT64_MAX;
}

bool b1_observed_success(const struct b1_monitor_event *ev)
{
    return ev->ended && !ev->died && ev->result >= 0 && ev->arg_read;
}

/* The @i-th element of a part, or false. */
static bool element(const struct b1_monitor_event *ev, enum b1_part part, size_t i, void *to,
                    size_t size)
{
    const struct b1_memory *m = &ev->part[part];

    if (i >= m->len / size)
        return false;
    memcpy(to, (const char *)m->data + i * size, size);
    return true;
}

static size_t transfers_in(const struct b1_monitor_event *ev, enum b1_part part)
{
    return ev->part[part].len / sizeof(struct bus1_transfer);
}

static bool id_at(const struct b1_monitor_event *ev, size_t i, uint64_t *id)
{
    return element(ev, B1_PART_IDS, i, id, sizeof(*id));
}

/* The id of a handle that goes along. */
static bool carried_at(const struct b1_monitor_event *ev, enum b1_part part, size_t i, uint64_t *id)
{
    struct bus1_transfer t;

    if (!element(ev, part, i, &t, sizeof(t)))
        return false;
    *id = t.id;
    return true;
}

/* ---- telling ---- */

int b1_observed_tell(struct b1_observer *o, struct b1_event ev)
{
    int r;

    ev.outside = true;
    o->unseen[ev.unseen]++;
    r = o->opts.event(o->opts.ctx, &ev);
    if (r && !o->result)
        o->result = r;
    return r < 0 ? r : 0;
}

static uint64_t time_of(const struct b1_monitor_event *ev)
{
    return ev->ended ? ev->time + ev->duration : ev->time;
}

/* A served peer has a number of its own, a device's peers are told by their files. */
static struct b1_mirror_peer *peer_find(struct b1_observer *o, const struct b1_monitor_file *f)
{
    return b1_mirror_peer_find(&o->mirror, f->dev, f->ino, f->is_device ? f->file : 0);
}

/* @pid: 0: not known */
static int peer_of(struct b1_observer *o, const struct b1_monitor_event *ev,
                   const struct b1_monitor_file *f, uint64_t pid, struct b1_mirror_peer **ret)
{
    struct b1_mirror_peer *p = peer_find(o, f);

    *ret = p;
    if (p)
        return 0;
    *ret = p = b1_mirror_peer_new(&o->mirror, f->dev, f->ino, f->is_device ? f->file : 0);
    if (!p)
        return -ENOMEM;
    return b1_observed_tell(o, (struct b1_event){
                                   .kind = B1_EVENT_OPEN,
                                   .time = time_of(ev),
                                   .peer = p->serial,
                                   .ino = f->is_device ? BUS1_INVALID : f->ino,
                                   .pid = pid ? pid : BUS1_INVALID,
                                   .uid = BUS1_INVALID,
                                   .private = f,
                               });
}

static int tell_close(struct b1_observer *o, const struct b1_monitor_event *ev,
                      struct b1_mirror_peer *p)
{
    uint64_t serial = p->serial;

    b1_mirror_peer_close(&o->mirror, p);
    return b1_observed_tell(
        o, (struct b1_event){.kind = B1_EVENT_CLOSE, .time = time_of(ev), .peer = serial});
}

/*
 * The file of a peer that was closed can lie where that one's lay. Ids never come twice: one that
 * is not above those of earlier calls is of a new peer.
 */
static int peer_given(struct b1_observer *o, const struct b1_monitor_event *ev,
                      const struct b1_monitor_file *f, uint64_t pid, uint64_t id,
                      struct b1_mirror_peer **p)
{
    int r = 0;

    if (f->is_device && id <= (*p)->max_id && ev->begun > (*p)->max_end) {
        r = tell_close(o, ev, *p);
        if (r == 0)
            r = peer_of(o, ev, f, pid, p);
    }
    if (r == 0 && id > (*p)->max_id) {
        (*p)->max_id = id;
        (*p)->max_end = b1_observed_end(ev);
    }
    return r;
}

/* What a handle of a peer leads to; foreign nodes for what nobody knows. */
static struct b1_mirror_node *leads_to(struct b1_mirror_peer *p, uint64_t id)
{
    const struct b1_mirror_slot *s = b1_mirror_slot_find(p, id);

    return s && (s->is_handle || s->node->foreign) ? s->node : NULL;
}

/* Whether it can be used: what was told before may have released it. */
static enum b1_unseen usable(struct b1_mirror_peer *p, uint64_t id)
{
    const struct b1_mirror_node *n = leads_to(p, id);

    if (!n || n->foreign)
        return B1_UNSEEN_ID;
    return n->gone ? B1_UNSEEN_ORDER : B1_UNSEEN_NOTHING;
}

static int add_foreign(struct b1_mirror_peer *p, uint64_t id, bool is_handle)
{
    struct b1_mirror_node *n = b1_mirror_node_new(NULL, 0);
    int r = !n          ? -ENOMEM
            : is_handle ? b1_mirror_add_handle(p, id, n, false)
                        : b1_mirror_add_node(p, id, n);

    b1_mirror_node_unref(n);
    return r;
}

static int room(uint64_t **v, size_t *cap, size_t n)
{
    uint64_t *more;

    if (n < *cap)
        return 0;
    more = reallocarray(*v, n + 64, sizeof(*more));
    if (!more)
        return -ENOMEM;
    *v = more;
    *cap = n + 64;
    return 0;
}

/* The lists of an event, out of the parts of a call. */
static int take_ids(struct b1_observer *o, const struct b1_monitor_event *ev, struct b1_event *out)
{
    size_t n = ev->part[B1_PART_IDS].len / sizeof(uint64_t);
    int r = room(&o->ids, &o->ids_cap, n);

    if (r < 0)
        return r;
    if (n)
        memcpy(o->ids, ev->part[B1_PART_IDS].data, n * sizeof(uint64_t));
    out->ids = o->ids;
    out->n_ids = n;
    return 0;
}

static int take_handles(struct b1_observer *o, const struct b1_monitor_event *ev, enum b1_part part,
                        struct b1_event *out)
{
    size_t n = transfers_in(ev, part);
    int r = room(&o->handles, &o->handles_cap, n);

    for (size_t i = 0; i < n && r == 0; i++)
        (void)carried_at(ev, part, i, &o->handles[i]); /* it is there */
    out->handles = o->handles;
    out->n_handles = n;
    return r;
}

/* ---- TRANSFER ---- */

static const struct b1_monitor_file *other_file(const struct b1_monitor_event *ev)
{
    return ev->arg.transfer.to == BUS1_INVALID ? &ev->file : &ev->to;
}

static bool can_transfer(struct b1_mirror_peer *p, const struct b1_monitor_event *ev)
{
    struct bus1_transfer t;

    for (size_t i = 0; element(ev, B1_PART_TRANSFERS, i, &t, sizeof(t)); i++)
        if (t.flags != BUS1_TRANSFER_FLAG_CREATE && !leads_to(p, t.id))
            return false;
    return true;
}

static int transfer_one(struct b1_observer *o, const struct b1_monitor_event *ev,
                        struct b1_mirror_peer *p, struct b1_mirror_peer *to, bool create,
                        uint64_t id, uint64_t handle)
{
    struct b1_event out = {.kind = B1_EVENT_TRANSFER,
                           .time = time_of(ev),
                           .peer = p->serial,
                           .other = to->serial,
                           .id = id,
                           .create = create,
                           .handle = handle};
    struct b1_mirror_node *n = create ? b1_mirror_node_new(p, id) : leads_to(p, id);
    int r = 0;

    if (create && !n)
        return -ENOMEM;
    if (create)
        r = b1_mirror_add_node(p, id, n);
    else
        out.unseen = usable(p, id);
    if (r == 0)
        r = out.unseen ? add_foreign(to, handle, true) : b1_mirror_add_handle(to, handle, n, false);
    if (create)
        b1_mirror_node_unref(n);
    return r < 0 ? r : b1_observed_tell(o, out);
}

static int do_transfer(struct b1_observer *o, const struct b1_monitor_event *ev,
                       struct b1_mirror_peer *p)
{
    const struct b1_monitor_file *other = other_file(ev);
    struct b1_mirror_peer *to;
    struct bus1_transfer src, after, dst;
    int r;

    for (size_t i = 0; i < ev->arg.transfer.n_transfers; i++) {
        bool whole = element(ev, B1_PART_TRANSFERS, i, &src, sizeof(src)) &&
                     element(ev, B1_PART_TRANSFERS_AFTER, i, &after, sizeof(after)) &&
                     element(ev, B1_PART_NEW_HANDLES, i, &dst, sizeof(dst)) && other->dev;
        bool create = whole && src.flags == BUS1_TRANSFER_FLAG_CREATE;

        if (!whole) {
            o->unseen[B1_UNSEEN_MEMORY]++;
            return 0;
        }
        r = create ? peer_given(o, ev, &ev->file, (uint64_t)ev->pid, after.id, &p) : 0;
        if (r == 0)
            r = peer_of(o, ev, other, 0, &to);
        if (r == 0)
            r = peer_given(o, ev, other, 0, dst.id, &to);
        if (r == 0)
            r = transfer_one(o, ev, p, to, create, create ? after.id : src.id, dst.id);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- RELEASE ---- */

static bool has_ids(struct b1_mirror_peer *p, const struct b1_monitor_event *ev)
{
    uint64_t id;

    for (size_t i = 0; id_at(ev, i, &id); i++)
        if (!b1_mirror_slot_find(p, id))
            return false;
    return true;
}

static int do_release(struct b1_observer *o, const struct b1_monitor_event *ev,
                      struct b1_mirror_peer *p)
{
    struct b1_event out = {.kind = B1_EVENT_RELEASE, .time = time_of(ev), .peer = p->serial};
    int r = take_ids(o, ev, &out);

    if (r < 0 || !ev->arg.release.n_ids)
        return r;
    if (!b1_observed_success(ev))
        out.unseen = B1_UNSEEN_END;
    else if (out.n_ids < ev->arg.release.n_ids)
        out.unseen = B1_UNSEEN_MEMORY;
    for (size_t i = 0; i < out.n_ids && !out.unseen; i++) {
        const struct b1_mirror_slot *s = b1_mirror_slot_find(p, out.ids[i]);

        if (!s || s->node->foreign)
            out.unseen = B1_UNSEEN_ID;
    }
    r = b1_observed_tell(o, out);
    for (size_t i = 0; i < out.n_ids && b1_observed_success(ev); i++)
        b1_mirror_release(p, o->ids[i]);
    return r;
}

/* ---- SEND ---- */

static bool can_send(struct b1_mirror_peer *p, const struct b1_monitor_event *ev)
{
    uint64_t id;

    for (size_t i = 0; carried_at(ev, B1_PART_TRANSFERS, i, &id); i++)
        if (!leads_to(p, id))
            return false;
    for (size_t i = 0; id_at(ev, i, &id); i++)
        if (!leads_to(p, id))
            return false;
    return true;
}

/* Into the queues of the nodes that are known. */
static int queue(const struct b1_event *out, struct b1_mirror_peer *p)
{
    _cleanup_(freep) struct b1_mirror_node **carried = calloc(out->n_handles + 1,
                                                              sizeof(struct b1_mirror_node *));
    uint64_t hash = b1_mirror_hash(out->data, out->length);
    bool unseen = false;
    int r = carried ? 0 : -ENOMEM;

    for (size_t i = 0; i < out->n_handles && r == 0; i++) {
        if (!leads_to(p, out->handles[i]))
            r = add_foreign(p, out->handles[i], true);
        carried[i] = leads_to(p, out->handles[i]);
        unseen |= usable(p, out->handles[i]) != B1_UNSEEN_NOTHING;
    }
    for (size_t i = 0; i < out->n_ids && r == 0; i++)
        if (!usable(p, out->ids[i]))
            r = b1_mirror_send(leads_to(p, out->ids[i]), hash, out->length, unseen, carried,
                               out->n_handles);
    return r;
}

static int do_send(struct b1_observer *o, const struct b1_monitor_event *ev,
                   struct b1_mirror_peer *p)
{
    struct b1_event out = {.kind = B1_EVENT_SEND, .time = time_of(ev), .peer = p->serial};
    struct bus1_message m = {0};
    int r = take_ids(o, ev, &out);

    if (r == 0)
        r = take_handles(o, ev, B1_PART_TRANSFERS, &out);
    if (r < 0 || !ev->arg.send.n_destinations)
        return r;
    (void)element(ev, B1_PART_MESSAGE, 0, &m, sizeof(m)); /* else it is all 0 */
    out.length = ev->part[B1_PART_DATA].len;
    out.data = out.length ? ev->part[B1_PART_DATA].data : "";
    for (size_t i = 0; i < out.n_ids + out.n_handles; i++)
        out.unseen = MAX(out.unseen,
                         usable(p, i < out.n_ids ? out.ids[i] : out.handles[i - out.n_ids]));
    if (out.n_ids < ev->arg.send.n_destinations || out.n_handles < m.n_transfers ||
        out.length < m.n_data || !ev->part[B1_PART_MESSAGE].len)
        out.unseen = B1_UNSEEN_MEMORY;
    if (!b1_observed_success(ev))
        out.unseen = B1_UNSEEN_END;
    r = b1_observed_tell(o, out);
    return r == 0 && (!out.unseen || out.unseen == B1_UNSEEN_ID) ? queue(&out, p) : r;
}

/* ---- RECV ---- */

struct received {
    struct bus1_message m;
    struct bus1_metadata meta;
    uint64_t hash;
    bool whole;
    bool too_early;                   /* its cause was, and must have been before something else */
    struct b1_mirror_node *node;      /* what the id leads to, or NULL */
    struct b1_mirror_message **match; /* of a user's message */
};

static void received_fill(struct b1_mirror_peer *p, const struct b1_monitor_event *ev,
                          struct received *in)
{
    const struct b1_memory *data = &ev->part[B1_PART_DATA_AFTER];
    const struct b1_mirror_slot *slot;

    *in = (struct received){0};
    in->whole = element(ev, B1_PART_MESSAGE_AFTER, 0, &in->m, sizeof(in->m)) &&
                element(ev, B1_PART_METADATA, 0, &in->meta, sizeof(in->meta)) &&
                transfers_in(ev, B1_PART_TRANSFERS_AFTER) == in->m.n_transfers &&
                data->len == in->m.n_data;
    if (!in->whole)
        return;
    slot = b1_mirror_slot_find(p, in->meta.id);
    in->node = slot ? slot->node : NULL;
    in->too_early = slot && slot->too_early;
    if (!in->node || in->node->foreign || in->m.type != BUS1_MESSAGE_TYPE_USER)
        return;
    in->hash = b1_mirror_hash(data->data, data->len);
    in->match = b1_mirror_match(in->node, in->hash, data->len, in->m.n_transfers);
}

/* Whether the mirror explains what was received. */
static bool is_explained(const struct received *in)
{
    if (!in->node || in->node->foreign)
        return false;
    switch (in->m.type) {
    case BUS1_MESSAGE_TYPE_NODE_RELEASE:
        return in->node->gone && !in->too_early;
    case BUS1_MESSAGE_TYPE_HANDLE_RELEASE:
        return !in->node->handles && !in->node->told;
    default:
        return in->match;
    }
}

static bool can_receive(struct b1_mirror_peer *p, const struct b1_monitor_event *ev)
{
    struct received in;

    received_fill(p, ev, &in);
    /* Of what is foreign nobody will know more. */
    return !in.whole || (in.node && in.node->foreign) || is_explained(&in);
}

/* A peer that has a handle to @n, or a message that carries one. */
static bool has_handle(const struct b1_mirror_peer *p, const struct b1_mirror_node *n)
{
    for (size_t i = 0; i < p->n_slots; i++) {
        const struct b1_mirror_slot *s = &p->slots[i];

        if (s->is_handle) {
            if (s->node == n && !s->released)
                return true;
            continue;
        }
        for (const struct b1_mirror_message *m = s->node->sent; m; m = m->next)
            for (size_t k = 0; k < m->n_carried; k++)
                if (m->carried[k] == n)
                    return true;
    }
    return false;
}

/* A notification of what nobody released: who could have, has been closed. */
static int conclude_closed(struct b1_observer *o, const struct b1_monitor_event *ev,
                           struct b1_mirror_peer *p, struct received *in)
{
    int r = 0;

    if (o->opts.rfc || !in->node || in->node->foreign || in->node->gone ||
        in->m.type == BUS1_MESSAGE_TYPE_USER)
        return 0;
    if (in->m.type == BUS1_MESSAGE_TYPE_NODE_RELEASE)
        return in->node->owner != p ? tell_close(o, ev, in->node->owner) : 0;
    for (size_t i = 0; i < B1_MIRROR_BUCKETS; i++)
        for (struct b1_mirror_peer *at = o->mirror.peers[i], *next; at && r == 0; at = next) {
            next = at->next;
            if (at != p && has_handle(at, in->node))
                r = tell_close(o, ev, at);
        }
    return r;
}

/* What came along is the receiver's now. */
static int keep_handles(struct b1_mirror_peer *p, const struct b1_event *out, struct received *in)
{
    int r = 0;

    /* What cannot be done again leads nowhere. */
    bool known = in->match && !(*in->match)->unseen;

    for (size_t i = 0; i < out->n_handles && r == 0; i++)
        r = known ? b1_mirror_add_handle(p, out->handles[i], (*in->match)->carried[i], true)
                  : add_foreign(p, out->handles[i], true);
    if (in->match)
        b1_mirror_message_drop(in->node, in->match, known);
    return r;
}

static int do_receive(struct b1_observer *o, const struct b1_monitor_event *ev,
                      struct b1_mirror_peer *p)
{
    const struct b1_memory *data = &ev->part[B1_PART_DATA_AFTER];
    struct b1_event out = {.kind = B1_EVENT_RECV, .time = time_of(ev), .peer = p->serial};
    struct received in;
    int r = take_handles(o, ev, B1_PART_TRANSFERS_AFTER, &out);

    received_fill(p, ev, &in);
    if (r == 0 && in.whole && !is_explained(&in)) {
        r = conclude_closed(o, ev, p, &in);
        received_fill(p, ev, &in);
    }
    if (r < 0)
        return r;
    out.message_type = in.m.type;
    out.id = in.meta.id;
    out.account = in.meta.account;
    out.length = data->len;
    out.data = data->len ? data->data : "";
    if (!in.whole)
        out.unseen = B1_UNSEEN_MEMORY;
    else if (!in.node || in.node->foreign || (in.match && (*in.match)->unseen))
        out.unseen = B1_UNSEEN_ID;
    else if (!is_explained(&in))
        out.unseen = in.too_early || in.node->told ? B1_UNSEEN_ORDER : B1_UNSEEN_CAUSE;
    r = keep_handles(p, &out, &in);
    if (r == 0 && in.whole && in.m.type != BUS1_MESSAGE_TYPE_USER)
        b1_mirror_told(p, in.meta.id);
    return r < 0 ? r : b1_observed_tell(o, out);
}

/* ---- any of them ---- */

bool b1_observed_ready(struct b1_observer *o, const struct b1_monitor_event *ev)
{
    struct b1_mirror_peer none = {0}, *p = peer_find(o, &ev->file);

    if (!p)
        p = &none;
    switch (ev->cmd) {
    case BUS1_CMD_TRANSFER:
        return can_transfer(p, ev);
    case BUS1_CMD_RELEASE:
        return has_ids(p, ev);
    case BUS1_CMD_SEND:
        return can_send(p, ev);
    default:
        return can_receive(p, ev);
    }
}

int b1_observed_call(struct b1_observer *o, const struct b1_monitor_event *ev)
{
    struct b1_mirror_peer *p;
    int r = peer_of(o, ev, &ev->file, (uint64_t)MAX(ev->pid, 0), &p);

    if (r < 0)
        return r;
    switch (ev->cmd) {
    case BUS1_CMD_TRANSFER:
        return do_transfer(o, ev, p);
    case BUS1_CMD_RELEASE:
        return do_release(o, ev, p);
    case BUS1_CMD_SEND:
        return do_send(o, ev, p);
    default:
        return do_receive(o, ev, p);
    }
}

enum b1_rank b1_observed_rank(struct b1_observer *o, const struct b1_monitor_event *ev)
{
    struct b1_mirror_peer *p = peer_find(o, &ev->file);
    uint64_t id;

    if (ev->cmd != BUS1_CMD_RELEASE)
        return RANK_OTHER;
    for (size_t i = 0; p && id_at(ev, i, &id); i++) {
        const struct b1_mirror_slot *s = b1_mirror_slot_find(p, id);

        if (s && !s->is_handle)
            return RANK_NODES;
    }
    return RANK_HANDLES;
}
