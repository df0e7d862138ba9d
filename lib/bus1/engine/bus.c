/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus itself: its peers, and the users whose quotas are charged. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "bus_private.h"
#include "macros.h"

int b1_bus_new(const struct b1_config *cfg, struct b1_bus **ret)
{
    struct b1_bus *bus = calloc(1, sizeof(*bus));

    if (!bus)
        return -ENOMEM;
    bus->cfg = *cfg;
    pthread_mutex_init(&bus->lock, NULL);
    *ret = bus;
    return 0;
}

void b1_bus_free(struct b1_bus *bus)
{
    if (!bus)
        return;
    /* Each charge is returned by the peer or message that it was made for, and none is left. */
    assert(!bus->peers && !bus->use.peers && !bus->use.nodes && !bus->use.handles &&
           !bus->use.messages && !bus->use.bytes);
    pthread_mutex_destroy(&bus->lock);
    free(bus);
}

#ifdef BUS1_RFC_DEFECTS
bool b1_bus_has(const struct b1_bus *bus, unsigned int defect)
{
    return bus->cfg.defects & defect;
}
#endif

const struct b1_limits *b1_bus_limits(const struct b1_bus *bus)
{
    return &bus->cfg.limits;
}

void b1_bus_usage(struct b1_bus *bus, struct b1_usage *ret)
{
    pthread_mutex_lock(&bus->lock);
    *ret = bus->use;
    pthread_mutex_unlock(&bus->lock);
}

void b1_bus_at_rest(struct b1_bus *bus, void (*fn)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&bus->lock);
    fn(ctx);
    pthread_mutex_unlock(&bus->lock);
}

static struct b1_user *user_get(struct b1_bus *bus, uint32_t uid)
{
    struct b1_user **bucket = &bus->users[uid % B1_USER_BUCKETS];
    struct b1_user *u;

    for (u = *bucket; u; u = u->next)
        if (u->uid == uid)
            break;
    if (!u) {
        u = calloc(1, sizeof(*u));
        if (!u)
            return NULL;
        u->uid = uid;
        u->next = *bucket;
        *bucket = u;
    }
    u->refs++;
    return u;
}

void b1_user_unref(struct b1_bus *bus, struct b1_user *u)
{
    struct b1_user **at = &bus->users[u->uid % B1_USER_BUCKETS];

    assert(u->refs > 0);
    if (--u->refs)
        return;
    assert(!u->use.peers && !u->use.nodes && !u->use.handles && !u->use.messages && !u->use.bytes);
    while (*at != u)
        at = &(*at)->next;
    *at = u->next;
    free(u);
}

static int peer_admit(struct b1_bus *bus, struct b1_peer *p, uint32_t uid)
{
    struct b1_user *u = user_get(bus, uid);

    if (!u)
        return -ENOMEM;
    if (!b1_within(bus, u, peers, 1)) {
        b1_user_unref(bus, u);
        return -EDQUOT;
    }
    b1_charge(bus, u, peers, 1);
    p->user = u;
    p->uid = uid;
    p->serial = ++bus->last_serial;
    p->next = bus->peers;
    p->prev = &bus->peers;
    if (p->next)
        p->next->prev = &p->next;
    bus->peers = p;
    b1_event_tell(p, &(struct b1_event){.kind = B1_EVENT_OPEN, .uid = uid});
    return 0;
}

int b1_peer_new(struct b1_bus *bus, uint32_t uid, void *data, struct b1_peer **ret)
{
    struct b1_peer *p = calloc(1, sizeof(*p));
    int r;

    if (!p)
        return -ENOMEM;
    p->bus = bus;
    p->data = data;
    p->refs = 1;
    p->buckets = p->inline_buckets;
    p->mask = B1_TABLE_INLINE - 1;
    p->tail = &p->head;
    pthread_mutex_lock(&bus->lock);
    r = peer_admit(bus, p, uid);
    pthread_mutex_unlock(&bus->lock);
    if (r < 0) {
        free(p);
        return r;
    }
    *ret = p;
    return 0;
}

struct b1_peer *b1_peer_ref(struct b1_peer *peer)
{
    pthread_mutex_lock(&peer->bus->lock);
    peer->refs++;
    pthread_mutex_unlock(&peer->bus->lock);
    return peer;
}

void b1_peer_unref(struct b1_peer *peer)
{
    bool last;

    pthread_mutex_lock(&peer->bus->lock);
    assert(peer->refs > 0);
    last = --peer->refs == 0;
    pthread_mutex_unlock(&peer->bus->lock);
    if (!last)
        return;
    assert(peer->closed && !peer->head && !peer->n_queued && !peer->oldest && !peer->n_objs);
    free(peer);
}

void b1_peer_close(struct b1_peer *peer)
{
    struct b1_bus *bus = peer->bus;

    pthread_mutex_lock(&bus->lock);
    assert(!peer->closed);
    peer->closed = true;
    b1_event_tell(peer, &(struct b1_event){.kind = B1_EVENT_CLOSE});
    b1_release_all(peer);
    b1_queue_drop_all(peer);
    if (peer->buckets != peer->inline_buckets)
        free(peer->buckets);
    peer->buckets = peer->inline_buckets;
    peer->mask = B1_TABLE_INLINE - 1;
    *peer->prev = peer->next;
    if (peer->next)
        peer->next->prev = peer->prev;
    b1_uncharge(bus, peer->user, peers, 1);
    b1_user_unref(bus, TAKE_PTR(peer->user));
    pthread_mutex_unlock(&bus->lock);
    b1_peer_unref(peer);
}

uint64_t b1_peer_serial(const struct b1_peer *peer)
{
    return peer->serial;
}

struct b1_bus *b1_peer_bus(const struct b1_peer *peer)
{
    return peer->bus;
}

uint32_t b1_peer_uid(const struct b1_peer *peer)
{
    return peer->uid;
}

bool b1_peer_waiting(struct b1_peer *peer)
{
    bool r;

    pthread_mutex_lock(&peer->bus->lock);
    r = peer->head;
    pthread_mutex_unlock(&peer->bus->lock);
    return r;
}

bool b1_peer_readable(struct b1_peer *peer)
{
    bool r;

    pthread_mutex_lock(&peer->bus->lock);
    r = peer->head || (peer->ever_queued && b1_bus_has(peer->bus, B1_DEFECT_POLLIN));
    pthread_mutex_unlock(&peer->bus->lock);
    return r;
}
