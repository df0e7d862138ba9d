/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Builds the state before a recording began. A peer of our own, the helper, gets a handle to every
 * node and passes copies to the peers that had one; it sends the messages that waited, and its
 * releases cause the notifications that waited.
 *
 * Objects that were already released but still had effects are imitated. A node that was released
 * while messages to it waited is made, used and released. The node of a handle whose node was
 * released is owned by the helper.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bus1_abi.h"
#include "cleanup.h"
#include "macros.h"
#include "replay_private.h"

/* A node, and the helper's handle to it. */
struct node {
    uint64_t owner; /* 0: owned by the helper, for handles whose node was released */
    uint64_t id;    /* as recorded; for the helper's own nodes the present id */
    uint64_t now;
    uint64_t handle;
    /* the handle that its owner has released, but whose notification still waits; 0: none */
    uint64_t dropped;
    bool alive; /* it still exists in the recording */
    /* some peer has a handle, or the notification that none has any more is still waiting */
    bool wanted;
};

struct b1_replay_past {
    struct b1_event *events; /* NODE, HANDLE, WAITING; we own what they point to */
    size_t n;
    size_t cap;
    struct b1_client *helper;
    struct node *nodes;
    size_t n_nodes;
    size_t nodes_cap;
};

static int copy_list(const uint64_t **v, size_t n)
{
    uint64_t *copy = malloc((n + 1) * sizeof(*copy));

    if (!copy)
        return -ENOMEM;
    if (n)
        memcpy(copy, *v, n * sizeof(*copy));
    *v = copy;
    return 0;
}

int b1_replay_past_add(struct b1_replay *r, const struct b1_event *ev)
{
    struct b1_replay_past *p = r->past;
    struct b1_event *copy;
    char *data;

    if (!p) {
        p = r->past = calloc(1, sizeof(*p));
        if (!p)
            return -ENOMEM;
    }
    if (p->n == p->cap) {
        copy = reallocarray(p->events, p->cap ? p->cap * 2 : 64, sizeof(*copy));
        if (!copy)
            return -ENOMEM;
        p->events = copy;
        p->cap = p->cap ? p->cap * 2 : 64;
    }
    copy = &p->events[p->n];
    *copy = *ev;
    copy->ids = NULL;
    copy->data = NULL;
    if (copy_list(&copy->handles, ev->n_handles) < 0)
        return -ENOMEM;
    p->n++;
    if (!ev->data)
        return 0;
    data = malloc(ev->length + 1);
    if (!data)
        return -ENOMEM;
    memcpy(data, ev->data, ev->length);
    copy->data = data;
    return 0;
}

void b1_replay_past_free(struct b1_replay_past *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++) {
        free((void *)(uintptr_t)p->events[i].handles);
        free((void *)(uintptr_t)p->events[i].data);
    }
    b1_client_close(p->helper);
    free(p->events);
    free(p->nodes);
    free(p);
}

static struct node *node_find(const struct b1_replay_past *p, uint64_t owner, uint64_t id)
{
    for (size_t i = p->n_nodes; i-- > 0;)
        if (p->nodes[i].owner == owner && p->nodes[i].id == id)
            return &p->nodes[i];
    return NULL;
}

static int node_add(struct b1_replay_past *p, struct node n)
{
    struct node *v = p->nodes;

    if (p->n_nodes == p->nodes_cap) {
        v = reallocarray(v, p->nodes_cap ? p->nodes_cap * 2 : 64, sizeof(*v));
        if (!v)
            return -ENOMEM;
        p->nodes = v;
        p->nodes_cap = p->nodes_cap ? p->nodes_cap * 2 : 64;
    }
    v[p->n_nodes++] = n;
    return 0;
}

/* Makes a node of a recorded peer. */
static int node_make(struct b1_replay *r, uint64_t owner, uint64_t id, bool alive)
{
    struct node n = {.owner = owner, .id = id, .alive = alive};
    struct b1_replay_peer *peer = b1_replay_peer_find(r, owner);
    int k;

    if (!peer)
        return -EBADMSG;
    k = b1_client_node(peer->client, r->past->helper, &n.now, &n.handle);
    if (k == 0)
        k = b1_replay_id_add(peer, id, n.now);
    return k < 0 ? k : node_add(r->past, n);
}

/*
 * Makes a node of the helper for a handle whose node was released. Its release causes the
 * notification.
 */
static int stand_in(struct b1_replay_past *p, uint64_t *handle, uint64_t *node)
{
    struct node n = {0};
    int k = b1_client_node(p->helper, p->helper, &n.now, &n.handle);

    *handle = n.handle;
    *node = n.now;
    return k;
}

/* Receives and drops a notification that only the building has caused. */
static int discard(struct b1_replay *r, uint64_t peer)
{
    struct b1_replay_peer *p = b1_replay_peer_find(r, peer);
    struct b1_received m;
    int k = p ? b1_client_recv(p->client, &m, NULL) : -EBADMSG;

    return k == -EAGAIN ? -EPROTO : k;
}

/* Tells whether a notification about @id waits for @peer. */
static bool is_waiting(const struct b1_replay_past *p, uint64_t peer, uint64_t type, uint64_t id)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct b1_event *ev = &p->events[i];

        if (ev->kind == B1_EVENT_WAITING && ev->peer == peer && ev->message_type == type &&
            ev->id == id)
            return true;
    }
    return false;
}

static bool has_handle(const struct b1_replay_past *p, uint64_t peer, uint64_t id)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->events[i].kind == B1_EVENT_HANDLE && p->events[i].peer == peer &&
            p->events[i].id == id)
            return true;
    return false;
}

/* Makes all nodes, including released ones to which a message still waits. */
static int build_nodes(struct b1_replay *r)
{
    struct b1_replay_past *p = r->past;
    int k = 0;

    for (size_t i = 0; i < p->n && k == 0; i++)
        if (p->events[i].kind == B1_EVENT_NODE)
            k = node_make(r, p->events[i].peer, p->events[i].id, true);
    for (size_t i = 0; i < p->n && k == 0; i++) {
        const struct b1_event *ev = &p->events[i];

        if (ev->kind == B1_EVENT_WAITING && ev->message_type != BUS1_MESSAGE_TYPE_NODE_RELEASE &&
            !node_find(p, ev->peer, ev->id))
            k = node_make(r, ev->peer, ev->id, false);
    }
    return k;
}

/* Makes a handle whose node was released: the peer has been notified of that, or will be. */
static int build_dead_handle(struct b1_replay *r, const struct b1_event *ev)
{
    struct b1_replay_peer *peer = b1_replay_peer_find(r, ev->peer);
    uint64_t handle, node, id;
    int k = stand_in(r->past, &handle, &node);

    if (k == 0)
        k = b1_client_give(r->past->helper, peer->client, handle, &id);
    if (k == 0)
        k = b1_replay_id_add(peer, ev->id, id);
    if (k < 0)
        return k;
    if (is_waiting(r->past, ev->peer, BUS1_MESSAGE_TYPE_NODE_RELEASE, ev->id))
        return node_add(r->past, (struct node){.owner = ev->peer, .id = ev->id, .now = node});
    k = b1_client_release(r->past->helper, (uint64_t[]){node}, 1, NULL);
    return k < 0 ? k : discard(r, ev->peer);
}

/* Makes such a handle where the peer has released it, but has not received the notification yet. */
static int build_dropped(struct b1_replay *r)
{
    struct b1_replay_past *p = r->past;
    int k = 0;

    for (size_t i = 0; i < p->n && k == 0; i++) {
        const struct b1_event *ev = &p->events[i];
        struct node *n;

        if (ev->kind != B1_EVENT_WAITING || ev->message_type != BUS1_MESSAGE_TYPE_NODE_RELEASE ||
            has_handle(p, ev->peer, ev->id))
            continue;
        k = build_dead_handle(r, ev);
        n = node_find(p, ev->peer, ev->id);
        if (k == 0 && n)
            n->dropped = ev->id;
    }
    return k;
}

/* Makes the handles whose node was released, and notes which nodes are referred to. */
static int build_dead_handles(struct b1_replay *r)
{
    struct b1_replay_past *p = r->past;
    int k = 0;

    for (size_t i = 0; i < p->n && k == 0; i++) {
        const struct b1_event *ev = &p->events[i];
        struct node *n;

        if (ev->kind != B1_EVENT_HANDLE)
            continue;
        n = ev->other ? node_find(p, ev->other, ev->node) : NULL;
        if (ev->other && !n)
            return -EBADMSG;
        if (n)
            n->wanted = true;
        else if (!ev->waiting)
            k = build_dead_handle(r, ev);
    }
    return k;
}

/*
 * Releases the helper's handles to nodes that no peer refers to any more, where the owner has
 * received the notification.
 */
static int build_orphans(struct b1_replay *r)
{
    struct b1_replay_past *p = r->past;
    int k = 0;

    for (size_t i = 0; i < p->n_nodes && k == 0; i++) {
        struct node *n = &p->nodes[i];

        if (!n->alive || n->wanted ||
            is_waiting(p, n->owner, BUS1_MESSAGE_TYPE_HANDLE_RELEASE, n->id))
            continue;
        k = b1_client_release(p->helper, &n->handle, 1, NULL);
        if (k == 0)
            k = discard(r, n->owner);
        n->handle = BUS1_INVALID;
    }
    return k;
}

/* ---- waiting messages ---- */

/* Finds the helper's handle for a handle that a waiting message carries as @id. */
static int carried(struct b1_replay *r, uint64_t peer, uint64_t id, uint64_t *handle)
{
    struct b1_replay_past *p = r->past;
    uint64_t node;
    int k;

    for (size_t i = 0; i < p->n; i++) {
        const struct b1_event *ev = &p->events[i];
        const struct node *n;

        if (ev->kind != B1_EVENT_HANDLE || ev->peer != peer || ev->id != id)
            continue;
        n = ev->other ? node_find(p, ev->other, ev->node) : NULL;
        if (n) {
            *handle = n->handle;
            return 0;
        }
        k = stand_in(p, handle, &node);
        return k < 0 ? k : node_add(p, (struct node){.owner = peer, .id = id, .now = node});
    }
    return -EBADMSG;
}

static int send_waiting(struct b1_replay *r, const struct b1_event *ev, struct err *e)
{
    _cleanup_(freep) uint64_t *carry = calloc(ev->n_handles + 1, sizeof(*carry));
    struct b1_replay_past *p = r->past;
    const struct node *n;
    int k = 0;

    if (!carry)
        return -ENOMEM;
    if (ev->length && !ev->data)
        return err_set(e, -EBADMSG, NULL, "the recording lacks the data of a message");
    for (size_t i = 0; i < ev->n_handles && k == 0; i++)
        k = carried(r, ev->peer, ev->handles[i], &carry[i]);
    n = node_find(p, ev->peer, ev->id);
    if (k < 0 || !n)
        return k < 0 ? k : -EBADMSG;
    return b1_client_send(p->helper, &n->handle, 1, ev->data, ev->length, carry, ev->n_handles, e);
}

/* Causes a notification that was waiting: the helper releases its node or handle. */
static int release_waiting(struct b1_replay *r, const struct b1_event *ev)
{
    struct node *n = node_find(r->past, ev->peer, ev->id);
    bool of_node = ev->message_type == BUS1_MESSAGE_TYPE_NODE_RELEASE;

    if (!n)
        return -EBADMSG;
    return b1_client_release(r->past->helper, of_node ? &n->now : &n->handle, 1, NULL);
}

static int build_waiting(struct b1_replay *r, const struct b1_event *ev, struct err *e)
{
    struct b1_replay_blob *blob = NULL;
    int k = ev->message_type == BUS1_MESSAGE_TYPE_USER ? send_waiting(r, ev, e)
                                                       : release_waiting(r, ev);

    if (k == 0)
        k = b1_replay_blob_new(ev->data, ev->length, &blob);
    if (k == 0)
        k = b1_replay_expect(b1_replay_peer_find(r, ev->peer), ev, blob);
    if (blob && --blob->refs == 0)
        free(blob);
    return k;
}

/*
 * Finds the message that carries a handle; a handle that is in no message belongs to the first
 * event.
 */
static size_t carrier_of(const struct b1_event *v, size_t from, size_t to, uint64_t id)
{
    for (size_t i = from; i < to; i++)
        for (size_t k = 0; k < v[i].n_handles; k++)
            if (v[i].handles[k] == id)
                return i;
    return from;
}

/*
 * Builds one peer from events @from to @to: its handles in their order, those in waiting messages
 * together with their messages. A release of a node later notifies its handles in this order.
 */
static int build_peer(struct b1_replay *r, size_t from, size_t to, struct err *e)
{
    const struct b1_event *v = r->past->events;
    struct b1_replay_peer *peer = b1_replay_peer_find(r, v[from].peer);
    size_t next = from; /* next message of the queue */
    int k = 0;

    for (size_t i = from; i < to && k == 0; i++) {
        const struct node *n;
        size_t carrier;
        uint64_t id;

        if (v[i].kind != B1_EVENT_HANDLE || !v[i].other)
            continue;
        n = node_find(r->past, v[i].other, v[i].node);
        carrier = v[i].waiting ? carrier_of(v, from, to, v[i].id) + 1 : 0;
        for (; next < carrier && k == 0; next++)
            if (v[next].kind == B1_EVENT_WAITING)
                k = build_waiting(r, &v[next], e);
        if (!n || v[i].waiting || k < 0)
            continue;
        k = b1_client_give(r->past->helper, peer->client, n->handle, &id);
        if (k == 0)
            k = b1_replay_id_add(peer, v[i].id, id);
    }
    for (; next < to && k == 0; next++)
        if (v[next].kind == B1_EVENT_WAITING)
            k = build_waiting(r, &v[next], e);
    return k;
}

static int build_peers(struct b1_replay *r, struct err *e)
{
    const struct b1_replay_past *p = r->past;
    int k = 0;

    for (size_t i = 0, end; i < p->n && k == 0; i = end) {
        for (end = i + 1; end < p->n && p->events[end].peer == p->events[i].peer; end++)
            ;
        k = build_peer(r, i, end, e);
    }
    return k;
}

/*
 * Releases the nodes that were released before, now that the messages that wait for them are sent.
 */
static int release_gone(struct b1_replay *r)
{
    struct b1_replay_past *p = r->past;
    int k = 0;

    for (size_t i = 0; i < p->n_nodes && k == 0; i++) {
        const struct node *n = &p->nodes[i];
        struct b1_replay_peer *peer = b1_replay_peer_find(r, n->owner);

        uint64_t id;

        /*
         * Only nodes of recorded peers are released here: those of the helper have no handle here.
         */
        if (!n->alive && n->handle && peer)
            k = b1_client_release(peer->client, &n->now, 1, NULL);
        if (n->dropped && b1_replay_id_find(peer, n->dropped, &id))
            k = b1_client_release(peer->client, &id, 1, NULL);
    }
    return k;
}

int b1_replay_past_build(struct b1_replay *r, struct err *e)
{
    struct b1_replay_past *p = r->past;
    int k;

    if (!p)
        return 0;
    for (size_t i = 0; i < p->n; i++)
        if (!b1_replay_peer_find(r, p->events[i].peer))
            return -EBADMSG;
    k = b1_client_open(&r->dev, r->single, &p->helper);
    if (k == 0)
        k = build_nodes(r);
    if (k == 0)
        k = build_dead_handles(r);
    if (k == 0)
        k = build_dropped(r);
    if (k == 0)
        k = build_orphans(r);
    if (k == 0)
        k = build_peers(r, e);
    if (k == 0)
        k = release_gone(r);
    if (k < 0)
        return err_set(e, k, NULL, "cannot make what there was at the beginning: %s",
                       err_text(e, k));
    /*
     * The helper's handles are released too. Each node has another handle, or nobody is to be
     * notified.
     */
    b1_replay_past_free(TAKE_PTR(r->past));
    return 0;
}
