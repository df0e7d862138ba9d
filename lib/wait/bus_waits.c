/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waits for messages of a served bus (b1ctl serve), whose clients poll files of its mount. A file
 * of the bus says which peers have handles to whose nodes. A message or a notification can come to
 * a peer from the peers that have handles to its nodes, and from the peers to whose nodes it has
 * handles.
 *
 * A server that is stopped does not answer. Therefore the file is read by a separate thread, which
 * is abandoned when the answer does not come.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buf.h"
#include "cleanup.h"
#include "look.h"
#include "served_bus.h"

enum { PATIENCE_SEC = 1 };

/* A peer, or a handle of the peer @holder to a node of the peer @owner. */
struct bus_peer {
    uint64_t serial, ino;
};

struct bus_handle {
    uint64_t holder, owner;
};

struct bus {
    dev_t dev;
    char *dir;
    bool known; /* all of it could be read */
    bool whole;
    struct bus_peer *peers;
    size_t n_peers, peers_room;
    struct bus_handle *handles;
    size_t n_handles, handles_room;
};

/* ---- reading ---- */

/* State shared with the reading thread; the last of the two to finish frees it. */
struct reading {
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    char *dir;
    struct buf text;
    int result;
    bool done, left;
};

static void reading_free(struct reading *r)
{
    buf_done(&r->text);
    free(r->dir);
    free(r);
}

static void *read_debug(void *arg)
{
    struct reading *r = arg;
    struct buf text = BUF_INIT;
    int result = b1_debug_read(r->dir, 0, &text);
    bool left;

    pthread_mutex_lock(&r->lock);
    r->text = text;
    r->result = result;
    r->done = true;
    left = r->left;
    pthread_cond_signal(&r->done_cond);
    pthread_mutex_unlock(&r->lock);
    if (left)
        reading_free(r);
    return NULL;
}

static struct reading *reading_new(const char *dir)
{
    struct reading *r = calloc(1, sizeof(*r));

    if (r)
        r->dir = strdup(dir);
    if (!r || !r->dir) {
        free(r);
        return NULL;
    }
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->done_cond, NULL);
    return r;
}

/* Return: 0, -ETIMEDOUT, the error of the bus, or -ENOMEM. */
static int read_in_time(const char *dir, struct buf *out)
{
    struct reading *r = reading_new(dir);
    struct timespec until;
    pthread_t thread;
    bool done;
    int result;

    if (!r || pthread_create(&thread, NULL, read_debug, r)) {
        if (r)
            reading_free(r);
        return -ENOMEM;
    }
    pthread_detach(thread);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_SEC;
    pthread_mutex_lock(&r->lock);
    while (!r->done && pthread_cond_timedwait(&r->done_cond, &r->lock, &until) != ETIMEDOUT)
        ;
    done = r->done;
    result = done ? r->result : -ETIMEDOUT;
    r->left = !done;
    if (done) {
        *out = r->text;
        r->text = (struct buf)BUF_INIT;
    }
    pthread_mutex_unlock(&r->lock);
    if (done)
        reading_free(r);
    return result;
}

static int on_record(void *ctx, const struct b1_record *rec)
{
    struct bus *b = ctx;

    if (rec->kind == B1_RECORD_USAGE) {
        b->whole = true;
    } else if (rec->kind == B1_RECORD_PEER) {
        struct bus_peer *p = ARRAY_MORE(b->peers, b->n_peers, b->peers_room);

        if (!p)
            return -ENOMEM;
        *p = (struct bus_peer){rec->serial, rec->ino};
    } else if (rec->kind == B1_RECORD_HANDLE && b->n_peers) {
        struct bus_handle *h = ARRAY_MORE(b->handles, b->n_handles, b->handles_room);

        if (!h)
            return -ENOMEM;
        *h = (struct bus_handle){b->peers[b->n_peers - 1].serial, rec->owner};
    }
    return 0;
}

static void read_bus(struct bus *b)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;

    b->known = read_in_time(b->dir, &text) == 0 && text.len &&
               b1_debug_parse(text.data, on_record, b) == 0 && b->whole;
}

static int on_bus(void *ctx, const struct b1_mount *m)
{
    struct graph *g = ctx;
    struct bus *b = ARRAY_MORE(g->buses, g->n_buses, g->buses_room);

    if (!b)
        return -ENOMEM;
    *b = (struct bus){.dev = m->dev, .dir = strdup(m->dir)};
    if (!b->dir)
        return -ENOMEM;
    read_bus(b);
    return 0;
}

void graph_buses_done(struct graph *g)
{
    for (size_t i = 0; i < g->n_buses; i++) {
        free(g->buses[i].dir);
        free(g->buses[i].peers);
        free(g->buses[i].handles);
    }
    free(g->buses);
}

static const struct bus *bus_of(struct graph *g, uint64_t dev)
{
    if (!g->buses_read && b1_mounts_visit(on_bus, g) == -ENOMEM)
        g->error = -ENOMEM;
    g->buses_read = true;
    for (size_t i = 0; i < g->n_buses; i++)
        if (g->buses[i].dev == dev)
            return &g->buses[i];
    return NULL;
}

/* ---- who can send ---- */

static const struct bus_peer *peer_by_ino(const struct bus *b, uint64_t ino)
{
    for (size_t i = 0; i < b->n_peers; i++)
        if (b->peers[i].ino == ino)
            return &b->peers[i];
    return NULL;
}

/* Adds every process that has the peer's file open. */
static void add_peer(const struct look *l, const struct bus *b, uint64_t serial)
{
    for (size_t i = 0; i < b->n_peers; i++) {
        const uint32_t *at;
        size_t n;

        if (b->peers[i].serial != serial)
            continue;
        at = graph_holders(l->g, FD_FILE, b->dev, b->peers[i].ino, &n);
        if (!n)
            look_live(l, "a peer of the bus that is held where it cannot be seen");
        for (size_t k = 0; k < n; k++)
            look_add_waker(l, l->g->fds[at[k]].process);
    }
}

static char *name_of(const struct bus *b, uint64_t ino)
{
    _cleanup_(buf_done) struct buf name = BUF_INIT;

    buf_printf(&name, "peer %llu of bus %s", (unsigned long long)ino, b->dir);
    return buf_steal(&name);
}

bool look_bus(const struct look *l, const struct descriptor *d)
{
    const struct bus *b = bus_of(l->g, d->dev);
    const struct bus_peer *p;

    if (!b || !look_add(l, WAIT_BUS1, d->dev, d->inode, d->fd))
        return b != NULL;
    look_latest(l)->name = name_of(b, d->inode);
    if (!look_latest(l)->name)
        l->g->error = -ENOMEM;
    p = peer_by_ino(b, d->inode);
    if (!b->known || !p) {
        look_live(l, "a bus that does not tell everything");
        return true;
    }
    for (size_t i = 0; i < b->n_handles; i++) {
        const struct bus_handle *h = &b->handles[i];

        if (h->owner == p->serial)
            add_peer(l, b, h->holder);
        else if (h->holder == p->serial && h->owner)
            add_peer(l, b, h->owner);
    }
    return true;
}
