/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which message went from which peer to which, as the servers of buses report it. */
#include "bus_messages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bus_traffic.h"
#include "cleanup.h"
#include "served_bus.h"

enum { BUCKETS = 1024 };

/* A peer of a bus, by its serial number. */
struct peer {
    struct peer *next;
    uint64_t serial;
    uint64_t ino;
    uint64_t pid;
};

struct bus {
    struct bus *next;
    char *dir;
    uint64_t dev;
    struct b1_traffic *traffic; /* NULL: we may not listen to it, or it has ended */
    struct peer *peers[BUCKETS];
    /* serial of the closing peer, which the events that follow its close still need */
    uint64_t closed;
};

/* Messages that were read and not shown yet, oldest first. */
struct pending {
    struct pending *next;
    struct b1_delivery m;
    uint64_t handles[];
};

struct watched {
    struct watched *next;
    uint64_t dev;
    uint64_t ino;
};

struct b1_messages {
    struct b1_messages_opts opts;
    int epoll;
    int mounts;
    struct bus *buses;
    struct bus *reading;
    struct pending *first;
    struct pending **last;
    struct watched *watched[BUCKETS];
    uint64_t lost;
};

/* ---- peers ---- */

static struct peer *peer_find(struct bus *bus, uint64_t serial)
{
    struct peer *p = bus->peers[serial % BUCKETS];

    while (p && p->serial != serial)
        p = p->next;
    return p;
}

static int peer_add(struct bus *bus, const struct b1_event *ev)
{
    struct peer **bucket = &bus->peers[ev->peer % BUCKETS], *p = malloc(sizeof(*p));

    if (!p)
        return -ENOMEM;
    *p = (struct peer){.next = *bucket, .serial = ev->peer, .ino = ev->ino, .pid = ev->pid};
    *bucket = p;
    return 0;
}

static void peer_remove(struct bus *bus, uint64_t serial)
{
    for (struct peer **at = &bus->peers[serial % BUCKETS]; *at; at = &(*at)->next)
        if ((*at)->serial == serial) {
            struct peer *p = *at;

            *at = p->next;
            free(p);
            return;
        }
}

static void bus_end(struct bus *bus)
{
    b1_traffic_close(TAKE_PTR(bus->traffic));
    for (size_t i = 0; i < BUCKETS; i++)
        while (bus->peers[i])
            peer_remove(bus, bus->peers[i]->serial);
}

/* ---- buses ---- */

static int add_mount(void *ctx, const struct b1_mount *m)
{
    struct b1_messages *b = ctx;
    struct epoll_event ev = {.events = EPOLLIN};
    struct bus *bus;

    if (b->opts.dev && m->dev != b->opts.dev)
        return 0;
    for (bus = b->buses; bus; bus = bus->next)
        if (bus->dev == m->dev)
            return 0;
    bus = calloc(1, sizeof(*bus));
    if (!bus)
        return -ENOMEM;
    bus->dev = m->dev;
    bus->dir = strdup(m->dir);
    bus->next = b->buses;
    b->buses = bus;
    if (!bus->dir)
        return -ENOMEM;
    /* The bus of another user, or one that is just ending. */
    if (b1_traffic_open(m->dir, false, &bus->traffic) < 0)
        return 0;
    return epoll_ctl(b->epoll, EPOLL_CTL_ADD, b1_traffic_fd(bus->traffic), &ev) < 0 ? -errno : 0;
}

int b1_messages_look(struct b1_messages *b)
{
    return b1_mounts_visit(add_mount, b);
}

int b1_messages_mounts_fd(const struct b1_messages *b)
{
    return b->mounts;
}

int b1_messages_new(const struct b1_messages_opts *opts, struct b1_messages **ret)
{
    struct b1_messages *b = calloc(1, sizeof(*b));
    int r = 0;

    if (!b)
        return -ENOMEM;
    b->opts = *opts;
    b->last = &b->first;
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    b->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (b->epoll < 0 || b->mounts < 0)
        r = -errno;
    if (r == 0)
        r = b1_messages_look(b);
    if (r < 0) {
        b1_messages_free(b);
        return r;
    }
    *ret = b;
    return 0;
}

static void pending_drop(struct b1_messages *b)
{
    struct pending *p = b->first;

    b->first = p->next;
    if (!b->first)
        b->last = &b->first;
    free(p);
}

void b1_messages_free(struct b1_messages *b)
{
    if (!b)
        return;
    while (b->buses) {
        struct bus *bus = b->buses;

        b->buses = bus->next;
        bus_end(bus);
        free(bus->dir);
        free(bus);
    }
    while (b->first)
        pending_drop(b);
    for (size_t i = 0; i < BUCKETS; i++)
        while (b->watched[i]) {
            struct watched *w = b->watched[i];

            b->watched[i] = w->next;
            free(w);
        }
    closep(&b->epoll);
    closep(&b->mounts);
    free(b);
}

int b1_messages_fd(const struct b1_messages *b)
{
    return b->epoll;
}

/* ---- watched peers ---- */

static struct watched *watched_find(const struct b1_messages *b, uint64_t dev, uint64_t ino)
{
    struct watched *w = b->watched[ino % BUCKETS];

    while (w && (w->ino != ino || w->dev != dev))
        w = w->next;
    return w;
}

int b1_messages_peer(struct b1_messages *b, uint64_t dev, uint64_t ino)
{
    struct watched *w;

    if (!b->opts.some || watched_find(b, dev, ino))
        return 0;
    w = malloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct watched){b->watched[ino % BUCKETS], dev, ino};
    b->watched[ino % BUCKETS] = w;
    return 0;
}

/* ---- messages ---- */

static int pending_add(struct b1_messages *b, const struct b1_event *ev)
{
    struct bus *bus = b->reading;
    const struct peer *from = peer_find(bus, ev->other), *to = peer_find(bus, ev->peer);
    struct pending *p = malloc(sizeof(*p) + ev->n_handles * sizeof(p->handles[0]));

    if (!p)
        return -ENOMEM;
    if (ev->n_handles)
        memcpy(p->handles, ev->handles, ev->n_handles * sizeof(p->handles[0]));
    p->next = NULL;
    p->m = (struct b1_delivery){
        .time = ev->time,
        .bus = bus->dir,
        .dev = bus->dev,
        .from = from ? from->ino : UINT64_MAX,
        .from_pid = from ? from->pid : UINT64_MAX,
        .to = to ? to->ino : UINT64_MAX,
        .to_pid = to ? to->pid : UINT64_MAX,
        .type = ev->message_type,
        .id = ev->id,
        .account = ev->account,
        .length = ev->length,
        .handles = p->handles,
        .n_handles = ev->n_handles,
    };
    *b->last = p;
    b->last = &p->next;
    return 0;
}

static int on_event(const struct b1_event *ev, void *ctx)
{
    struct b1_messages *b = ctx;
    struct bus *bus = b->reading;

    if (ev->kind != B1_EVENT_MESSAGE && bus->closed) {
        peer_remove(bus, bus->closed);
        bus->closed = 0;
    }
    switch (ev->kind) {
    case B1_EVENT_PEER:
    case B1_EVENT_OPEN:
        return peer_add(bus, ev);
    case B1_EVENT_CLOSE:
        bus->closed = ev->peer;
        return 0;
    case B1_EVENT_MESSAGE:
        return pending_add(b, ev);
    case B1_EVENT_LOST:
        b->lost += ev->count;
        b->opts.lost(b->opts.ctx, ev->time, ev->count, bus->dir);
        return 0;
    default:
        return 0;
    }
}

int b1_messages_read(struct b1_messages *b)
{
    int r = 0;

    for (struct bus *bus = b->buses; bus && r == 0; bus = bus->next) {
        if (!bus->traffic)
            continue;
        b->reading = bus;
        r = b1_traffic_read(bus->traffic, on_event, b);
        if (r < 0 && r != -ENOMEM) { /* the server of this bus has ended */
            bus_end(bus);
            r = 0;
        }
    }
    return r;
}

uint64_t b1_messages_show(struct b1_messages *b, uint64_t time)
{
    uint64_t n = 0;

    while (b->first && b->first->m.time <= time) {
        const struct b1_delivery *m = &b->first->m;

        if (!b->opts.some || watched_find(b, m->dev, m->from) || watched_find(b, m->dev, m->to)) {
            b->opts.message(b->opts.ctx, m);
            n++;
        }
        pending_drop(b);
    }
    return n;
}

uint64_t b1_messages_lost(const struct b1_messages *b)
{
    return b->lost;
}
