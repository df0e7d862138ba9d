/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages: sending one to all of its destinations, queueing it, and receiving it. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "bus_private.h"
#include "macros.h"

static struct b1_packet *packet_of(const struct b1_msg *m)
{
    return m->kind == B1_MSG_PACKET ? m->home : NULL;
}

int b1_packet_new(size_t n_data, size_t n_destinations, size_t n_transfers, struct b1_packet **ret)
{
    struct b1_packet *p;
    size_t n_ids, size, ids_size, msgs_size;

    if (__builtin_mul_overflow(n_destinations, n_transfers, &n_ids) ||
        __builtin_mul_overflow(n_ids, sizeof(uint64_t), &ids_size) ||
        __builtin_mul_overflow(n_destinations, sizeof(struct b1_msg), &msgs_size) ||
        __builtin_add_overflow(msgs_size, ids_size, &size) ||
        __builtin_add_overflow(size, n_data, &size) ||
        __builtin_add_overflow(size, sizeof(*p), &size))
        return -ENOMEM;
    p = malloc(size);
    if (!p)
        return -ENOMEM;
    *p = (struct b1_packet){
        .size = size,
        .n_data = n_data,
        .n_msgs = n_destinations,
        .n_transfers = n_transfers,
    };
    p->transfers = (uint64_t *)&p->msgs[n_destinations];
    p->data = (uint8_t *)&p->transfers[n_ids];
    for (size_t i = 0; i < n_destinations; i++) {
        p->msgs[i].home = p;
        p->msgs[i].kind = B1_MSG_PACKET;
        p->msgs[i].type = BUS1_MESSAGE_TYPE_USER;
    }
    *ret = p;
    return 0;
}

void *b1_packet_data(struct b1_packet *p)
{
    return p->data;
}

void b1_packet_free(struct b1_packet *p)
{
    free(p);
}

static uint64_t *transfers_of(const struct b1_msg *m)
{
    const struct b1_packet *p = packet_of(m);

    return p ? p->transfers + (size_t)(m - p->msgs) * p->n_transfers : NULL;
}

static void packet_unref(struct b1_bus *bus, struct b1_packet *p)
{
    assert(p->refs > 0);
    if (--p->refs)
        return;
    if (p->charged) {
        b1_uncharge(bus, p->charged, bytes, p->size);
        b1_user_unref(bus, p->charged);
    }
    free(p);
}

static void msg_ref(struct b1_msg *m)
{
    if (m->kind == B1_MSG_PACKET)
        packet_of(m)->refs++;
    else
        ((struct b1_obj *)m->home)->refs++;
}

static void msg_unref(struct b1_bus *bus, struct b1_msg *m)
{
    if (m->kind == B1_MSG_PACKET)
        packet_unref(bus, packet_of(m));
    else
        b1_obj_unref(m->home);
}

static size_t msg_bytes(const struct b1_msg *m)
{
    const struct b1_packet *p = packet_of(m);

    return p ? p->n_data : 0;
}

static void event_message(enum b1_event_kind kind, const struct b1_peer *to, const struct b1_msg *m)
{
    const struct b1_packet *p = packet_of(m);

    b1_event_tell(to, &(struct b1_event){
                          .kind = kind,
                          .other = m->from,
                          .message_type = m->type,
                          .id = m->id,
                          .account = m->account,
                          .handles = transfers_of(m),
                          .n_handles = p ? p->n_transfers : 0,
                          .length = msg_bytes(m),
                      });
}

bool b1_queue_add(struct b1_peer *to, struct b1_msg *m, const struct b1_peer *from)
{
    struct b1_bus *bus = to->bus;
    struct b1_packet *p = packet_of(m);

    if (to->closed)
        return false;
    m->from = from->serial;
    m->account = b1_bus_has(bus, B1_DEFECT_NO_ACCOUNT) ? BUS1_INVALID : from->user->uid;
    m->next = NULL;
    msg_ref(m);
    if (p && p->charged)
        b1_charge(bus, p->charged, messages, 1);
    *to->tail = m;
    to->tail = &m->next;
    to->n_queued++;
    to->n_bytes += msg_bytes(m);
    to->ever_queued = true;
    if (bus->cfg.on_event)
        event_message(B1_EVENT_MESSAGE, to, m);
    if (bus->cfg.on_message)
        bus->cfg.on_message(bus->cfg.ctx, to->data);
    return true;
}

/* Removes the message at *@at from the queue, and drops the queue's reference. */
static void queue_del(struct b1_peer *p, struct b1_msg **at)
{
    struct b1_msg *m = *at;
    struct b1_packet *pk = packet_of(m);

    assert(p->n_queued > 0 && p->n_bytes >= msg_bytes(m));
    *at = m->next;
    if (!*at)
        p->tail = at;
    p->n_queued--;
    p->n_bytes -= msg_bytes(m);
    if (pk && pk->charged)
        b1_uncharge(p->bus, pk->charged, messages, 1);
    msg_unref(p->bus, m);
}

void b1_queue_drop_all(struct b1_peer *p)
{
    while (p->head)
        queue_del(p, &p->head);
}

/* Releases the handles that a dropped message carried. */
static void transfers_drop(struct b1_peer *p, const struct b1_msg *m)
{
    const struct b1_packet *pk = packet_of(m);

    for (size_t i = 0; pk && i < pk->n_transfers; i++) {
        struct b1_obj *o = b1_table_find(p, transfers_of(m)[i]);

        if (o)
            b1_release_marked(p, &o, 1);
    }
}

void b1_queue_drop_node(struct b1_peer *p, uint64_t id)
{
    for (struct b1_msg **at = &p->head; *at;) {
        if ((*at)->type != BUS1_MESSAGE_TYPE_USER || (*at)->id != id) {
            at = &(*at)->next;
            continue;
        }
        transfers_drop(p, *at);
        queue_del(p, at);
    }
}

static bool send_vanishes(const struct b1_peer *p, const struct b1_handle *h)
{
    if (!h->node)
        return b1_bus_has(p->bus, B1_DEFECT_SEND_CLOSED) && !h->release_seen;
    return h->node->vanished;
}

/*
 * Finds the handles of all destinations; each is kept in the message until the message is queued.
 */
static int send_lookup(struct b1_peer *p, struct b1_packet *pk, const uint64_t *destinations,
                       const uint64_t *transfers, int32_t *errors)
{
    int r = 0;

    for (size_t i = 0; i < pk->n_msgs; i++) {
        struct b1_handle *h = b1_handle_find(p, destinations[i]);
        bool bad = !h || (!h->node && !send_vanishes(p, h));

        if (errors)
            errors[i] = bad ? -EBADRQC : 0;
        if (bad)
            r = -EBADRQC;
        pk->msgs[i].home = h;
    }
    for (size_t i = 0; i < pk->n_transfers; i++) {
        struct b1_handle *h = b1_handle_find(p, transfers[i]);

        if (!h || !h->node)
            return -EBADRQC;
    }
    return r;
}

static int send_admit(const struct b1_peer *p, const struct b1_packet *pk)
{
    struct b1_bus *bus = p->bus;

    if (!b1_within(bus, p->user, messages, pk->n_msgs) ||
        !b1_within(bus, p->user, bytes, pk->size) ||
        !b1_within(bus, p->user, handles, pk->n_msgs * pk->n_transfers))
        return -EDQUOT;
    for (size_t i = 0; pk->n_transfers && i < pk->n_msgs; i++) {
        const struct b1_handle *h = pk->msgs[i].home;

        /* A user who already has too many handles is not sent more. */
        if (h->node && h->node->obj.owner != p &&
            !b1_within(bus, h->node->obj.owner->user, handles, 0))
            return -EDQUOT;
    }
    return 0;
}

/* Allocates the copies of the handles for all destinations, chained by obj.next. */
static int send_alloc(struct b1_peer *p, const struct b1_packet *pk, struct b1_obj **ret)
{
    struct b1_obj *chain = NULL;

    for (size_t i = 0; i < pk->n_msgs * pk->n_transfers; i++) {
        struct b1_handle *h = b1_handle_alloc(p);

        if (!h) {
            while (chain) {
                struct b1_obj *o = chain;

                chain = o->next;
                free(o);
            }
            return -ENOMEM;
        }
        h->obj.next = chain;
        chain = &h->obj;
    }
    *ret = chain;
    return 0;
}

static void send_transfers(struct b1_peer *p, struct b1_msg *m, struct b1_peer *to,
                           const uint64_t *transfers, size_t n, struct b1_obj **chain)
{
    uint64_t *ids = transfers_of(m);

    for (size_t i = 0; i < n; i++) {
        struct b1_node *node = b1_handle_find(p, transfers[i])->node;
        struct b1_handle *h = b1_obj_handle(*chain);

        *chain = h->obj.next;
        h->obj.owner = to;
        h->obj.id = ids[i] = b1_id_new(to);
        h->in_message = true;
        b1_table_add(to, &h->obj);
        b1_handle_link(h, node, p->user);
    }
}

static int send_locked(struct b1_peer *p, struct b1_packet *pk, const uint64_t *destinations,
                       const uint64_t *transfers, int32_t *errors)
{
    struct b1_obj *chain = NULL;
    int r;

    if (p->closed)
        return -ESHUTDOWN;
    r = send_lookup(p, pk, destinations, transfers, errors);
    if (r == 0)
        r = send_admit(p, pk);
    if (r == 0)
        r = send_alloc(p, pk, &chain);
    if (r < 0)
        return r;
    pk->refs = 1;
    pk->charged = p->user;
    p->user->refs++;
    b1_charge(p->bus, p->user, bytes, pk->size);
    if (p->bus->cfg.on_event)
        b1_event_tell(p, &(struct b1_event){
                             .kind = B1_EVENT_SEND,
                             .ids = destinations,
                             .n_ids = pk->n_msgs,
                             .handles = transfers,
                             .n_handles = pk->n_transfers,
                             .data = pk->data,
                             .length = pk->n_data,
                         });
    for (size_t i = 0; i < pk->n_msgs; i++) {
        struct b1_msg *m = &pk->msgs[i];
        struct b1_handle *h = m->home;

        m->home = pk;
        if (send_vanishes(p, h))
            continue;
        m->id = h->node->obj.id;
        send_transfers(p, m, h->node->obj.owner, transfers, pk->n_transfers, &chain);
        b1_queue_add(h->node->obj.owner, m, p);
    }
    packet_unref(p->bus, pk);
    while (chain) { /* what is left belonged to destinations that no longer exist */
        struct b1_obj *o = chain;

        chain = o->next;
        free(o);
    }
    return 0;
}

int b1_send(struct b1_peer *peer, struct b1_packet *p, const uint64_t *destinations,
            const uint64_t *transfers, int32_t *errors)
{
    const struct b1_limits *l = &peer->bus->cfg.limits;
    int r;

    if (p->n_data > l->message_bytes || p->n_msgs > l->batch || p->n_transfers > l->batch)
        return -EDQUOT;
    pthread_mutex_lock(&peer->bus->lock);
    r = send_locked(peer, p, destinations, transfers, errors);
    pthread_mutex_unlock(&peer->bus->lock);
    return r;
}

static void view_fill(struct b1_msg *m, struct b1_view *v)
{
    const struct b1_packet *p = packet_of(m);

    *v = (struct b1_view){
        .type = m->type,
        .id = m->id,
        .account = m->account,
        .from = m->from,
        .data = p ? p->data : NULL,
        .n_data = p ? p->n_data : 0,
        .transfers = transfers_of(m),
        .n_transfers = p ? p->n_transfers : 0,
        .msg = m,
    };
}

int b1_recv_begin(struct b1_peer *peer, struct b1_view *v)
{
    int r = 0;

    pthread_mutex_lock(&peer->bus->lock);
    if (peer->closed)
        r = -ESHUTDOWN;
    else if (!peer->head)
        r = -EAGAIN;
    else {
        view_fill(peer->head, v);
        msg_ref(peer->head);
    }
    pthread_mutex_unlock(&peer->bus->lock);
    return r;
}

/* Applies the effects of receiving a message, other than removing it from the queue. */
static void recv_effects(struct b1_peer *p, struct b1_view *v)
{
    for (size_t i = 0; i < v->n_transfers; i++) {
        struct b1_obj *o = b1_table_find(p, v->transfers[i]);
        struct b1_handle *h = b1_obj_handle(o);

        assert(o && o->kind == B1_HANDLE && h->in_message);
        h->in_message = false;
        b1_uncharge(p->bus, h->charged, handles, 1);
        b1_user_unref(p->bus, h->charged);
        h->charged = p->user;
        p->user->refs++;
        b1_charge(p->bus, p->user, handles, 1);
    }
    if (v->type == BUS1_MESSAGE_TYPE_NODE_RELEASE)
        ((struct b1_handle *)v->msg->home)->release_seen = true;
    if (v->type == BUS1_MESSAGE_TYPE_HANDLE_RELEASE &&
        b1_bus_has(p->bus, B1_DEFECT_HANDLE_RELEASE)) {
        struct b1_obj *o = b1_table_find(p, v->id);

        if (o && o->kind == B1_NODE)
            b1_obj_node(o)->vanished = true;
        b1_queue_drop_node(p, v->id);
    }
}

int b1_recv_commit(struct b1_peer *peer, struct b1_view *v)
{
    struct b1_bus *bus = peer->bus;
    int r = 0;

    pthread_mutex_lock(&bus->lock);
    if (peer->closed)
        r = -ESHUTDOWN;
    else if (peer->head != v->msg)
        r = -EAGAIN;
    else {
        if (bus->cfg.on_event)
            event_message(B1_EVENT_RECV, peer, peer->head);
        queue_del(peer, &peer->head);
        recv_effects(peer, v);
    }
    msg_unref(bus, v->msg);
    pthread_mutex_unlock(&bus->lock);
    return r;
}

/* Gives the receiver new ids at each try, as the RFC's code does when it copies them out. */
static void defect_new_ids(struct b1_peer *p, struct b1_view *v)
{
    uint64_t *ids = transfers_of(v->msg);

    for (size_t i = 0; i < v->n_transfers; i++) {
        struct b1_obj *o = b1_table_find(p, ids[i]);

        b1_table_del(p, o);
        o->id = ids[i] = b1_id_new(p);
        b1_table_add(p, o);
    }
}

void b1_recv_abort(struct b1_peer *peer, struct b1_view *v)
{
    struct b1_bus *bus = peer->bus;

    pthread_mutex_lock(&bus->lock);
    if (b1_bus_has(bus, B1_DEFECT_NO_SIZES) && peer->head == v->msg)
        defect_new_ids(peer, v);
    msg_unref(bus, v->msg);
    pthread_mutex_unlock(&bus->lock);
}

int b1_queue_pin(struct b1_peer *peer, struct b1_view **ret, size_t *n)
{
    struct b1_view *v;
    size_t i = 0;

    pthread_mutex_lock(&peer->bus->lock);
    v = calloc(peer->n_queued + 1, sizeof(*v));
    for (struct b1_msg *m = peer->head; m && v; m = m->next) {
        view_fill(m, &v[i++]);
        msg_ref(m);
    }
    pthread_mutex_unlock(&peer->bus->lock);
    if (!v)
        return -ENOMEM;
    *ret = v;
    *n = i;
    return 0;
}

void b1_queue_unpin(struct b1_peer *peer, struct b1_view *v, size_t n)
{
    pthread_mutex_lock(&peer->bus->lock);
    for (size_t i = 0; i < n; i++)
        msg_unref(peer->bus, v[i].msg);
    pthread_mutex_unlock(&peer->bus->lock);
    free(v);
}

static void visit_peer(struct b1_peer *p, const struct b1_visit *visit)
{
    struct b1_view v;

    if (visit->peer &&
        !visit->peer(visit->ctx, p->serial, p->user->uid, p->data, p->n_queued, p->n_bytes))
        return;
    for (struct b1_obj *o = p->oldest; o; o = o->newer) {
        struct b1_handle *h = b1_obj_handle(o);

        if (o->kind == B1_NODE) {
            if (visit->node)
                visit->node(visit->ctx, o->id, b1_obj_node(o)->n_handles);
        } else if (visit->handle) {
            visit->handle(visit->ctx, o->id, h->node ? h->node->obj.owner->serial : 0,
                          h->node ? h->node->obj.id : 0, h->in_message);
        }
    }
    for (struct b1_msg *m = p->head; m && visit->message; m = m->next) {
        view_fill(m, &v);
        visit->message(visit->ctx, &v);
    }
}

void b1_bus_visit(struct b1_bus *bus, const struct b1_visit *visit)
{
    pthread_mutex_lock(&bus->lock);
    for (struct b1_peer *p = bus->peers; p; p = p->next)
        visit_peer(p, visit);
    if (visit->end)
        visit->end(visit->ctx);
    pthread_mutex_unlock(&bus->lock);
}
