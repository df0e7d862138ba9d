/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes and handles: making, passing on and releasing them, and the notifications that follow. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "bus_private.h"
#include "macros.h"

uint64_t b1_id_new(struct b1_peer *p)
{
    return ++p->last_id << 1 | BUS1_MANAGED;
}

/* Ids are a counter, so their low bits spread over the buckets by themselves. */
static struct b1_obj **bucket_of(const struct b1_peer *p, uint64_t id)
{
    return &p->buckets[(id >> 1) & p->mask];
}

/* Doubles the table. Without memory it stays as it is, which only makes it slower. */
static void table_grow(struct b1_peer *p)
{
    size_t n = (p->mask + 1) * 2;
    struct b1_obj **old = p->buckets, **v = calloc(n, sizeof(struct b1_obj *));

    if (!v)
        return;
    p->buckets = v;
    for (size_t i = 0; i < n / 2; i++) {
        struct b1_obj *o = old[i];

        while (o) {
            struct b1_obj *next = o->next;
            struct b1_obj **to = &v[(o->id >> 1) & (n - 1)];

            o->next = *to;
            *to = o;
            o = next;
        }
    }
    p->mask = n - 1;
    if (old != p->inline_buckets)
        free(old);
}

void b1_table_add(struct b1_peer *p, struct b1_obj *o)
{
    struct b1_obj **to;

    assert(o->owner == p && !b1_table_find(p, o->id));
    if (p->n_objs > p->mask)
        table_grow(p);
    to = bucket_of(p, o->id);
    o->next = *to;
    *to = o;
    o->older = p->newest;
    o->newer = NULL;
    *(p->newest ? &p->newest->newer : &p->oldest) = o;
    p->newest = o;
    p->n_objs++;
}

void b1_table_del(struct b1_peer *p, struct b1_obj *o)
{
    struct b1_obj **at = bucket_of(p, o->id);

    assert(p->n_objs > 0);
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    *(o->older ? &o->older->newer : &p->oldest) = o->newer;
    *(o->newer ? &o->newer->older : &p->newest) = o->older;
    p->n_objs--;
}

struct b1_obj *b1_table_find(const struct b1_peer *p, uint64_t id)
{
    struct b1_obj *o;

    for (o = *bucket_of(p, id); o; o = o->next)
        if (o->id == id)
            return o;
    return NULL;
}

struct b1_handle *b1_handle_find(const struct b1_peer *p, uint64_t id)
{
    struct b1_obj *o = b1_table_find(p, id);

    if (!o || o->kind != B1_HANDLE || b1_obj_handle(o)->in_message)
        return NULL;
    return b1_obj_handle(o);
}

bool b1_peer_has_handle(struct b1_peer *peer, uint64_t id)
{
    bool has;

    pthread_mutex_lock(&peer->bus->lock);
    has = b1_handle_find(peer, id);
    pthread_mutex_unlock(&peer->bus->lock);
    return has;
}

void b1_obj_unref(struct b1_obj *o)
{
    assert(o->refs > 0);
    if (--o->refs == 0)
        free(o);
}

struct b1_handle *b1_handle_alloc(struct b1_peer *owner)
{
    struct b1_handle *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    h->obj = (struct b1_obj){.owner = owner, .kind = B1_HANDLE, .refs = 1};
    h->released.kind = B1_MSG_OBJ;
    h->released.home = h;
    h->released.type = BUS1_MESSAGE_TYPE_NODE_RELEASE;
    return h;
}

static struct b1_node *node_alloc(struct b1_peer *owner)
{
    struct b1_node *n = calloc(1, sizeof(*n));

    if (!n)
        return NULL;
    n->obj = (struct b1_obj){.owner = owner, .kind = B1_NODE, .refs = 1};
    n->released.kind = B1_MSG_OBJ;
    n->released.home = n;
    n->released.type = BUS1_MESSAGE_TYPE_HANDLE_RELEASE;
    return n;
}

void b1_handle_link(struct b1_handle *h, struct b1_node *node, struct b1_user *charged)
{
    h->node = node;
    h->next = node->handles;
    h->prev = &node->handles;
    if (h->next)
        h->next->prev = &h->next;
    node->handles = h;
    node->n_handles++;
    h->charged = charged;
    charged->refs++;
    b1_charge(h->obj.owner->bus, charged, handles, 1);
}

static void handle_unlink(struct b1_handle *h)
{
    assert(h->node->n_handles > 0);
    *h->prev = h->next;
    if (h->next)
        h->next->prev = h->prev;
    h->node->n_handles--;
    h->node = NULL;
}

/*
 * Takes the object out of the peer's table. A message that still waits may keep the last reference.
 */
static void obj_remove(struct b1_peer *p, struct b1_obj *o)
{
    /* A node has no handles left here, and a handle no node. */
    assert(o->kind == B1_HANDLE ? !b1_obj_handle(o)->node : !b1_obj_node(o)->n_handles);
    b1_table_del(p, o);
    if (o->kind == B1_HANDLE) {
        struct b1_user *u = TAKE_PTR(b1_obj_handle(o)->charged);

        b1_uncharge(p->bus, u, handles, 1);
        b1_user_unref(p->bus, u);
    } else {
        b1_uncharge(p->bus, p->user, nodes, 1);
    }
    b1_obj_unref(o);
}

/*
 * An extra notification: the RFC's code sends one for each handle. It is lost when memory is out.
 */
static void defect_notify(struct b1_node *node, const struct b1_peer *from)
{
    struct b1_packet *pk;

    if (b1_packet_new(0, 1, 0, &pk) < 0)
        return;
    pk->msgs[0].type = BUS1_MESSAGE_TYPE_HANDLE_RELEASE;
    pk->msgs[0].id = node->obj.id;
    if (!b1_queue_add(node->obj.owner, &pk->msgs[0], from))
        b1_packet_free(pk);
}

/*
 * Releases a handle. If it was the last one of its node, the node is added to @empty; whether its
 * owner is notified is decided when the whole transaction is known.
 */
static void handle_release(struct b1_peer *p, struct b1_handle *h, struct b1_node **empty)
{
    struct b1_node *node = h->node;

    if (node) {
        handle_unlink(h);
        if (b1_bus_has(p->bus, B1_DEFECT_HANDLE_RELEASE)) {
            if (!node->obj.marked)
                defect_notify(node, p);
        } else if (!node->n_handles && !node->obj.marked) {
            node->next_empty = *empty;
            *empty = node;
        }
    }
    obj_remove(p, &h->obj);
}

static void node_release(struct b1_peer *p, struct b1_node *node)
{
    while (node->handles) {
        struct b1_handle *h = node->handles;

        handle_unlink(h);
        h->released.id = h->obj.id;
        b1_queue_add(h->obj.owner, &h->released, p);
    }
    if (b1_bus_has(p->bus, B1_DEFECT_NODE_DROPS))
        b1_queue_drop_node(p, node->obj.id);
    obj_remove(p, &node->obj);
}

void b1_release_marked(struct b1_peer *p, struct b1_obj **objs, size_t n)
{
    struct b1_node *empty = NULL;

    /*
     * Handles go first, so that the release of a node sends no notification for a handle that is
     * released in the same transaction.
     */
    for (size_t i = 0; i < n; i++)
        if (objs[i]->kind == B1_HANDLE)
            handle_release(p, b1_obj_handle(TAKE_PTR(objs[i])), &empty);
    for (size_t i = 0; i < n; i++)
        if (objs[i])
            node_release(p, b1_obj_node(objs[i]));
    for (; empty; empty = empty->next_empty) {
        empty->released.id = empty->obj.id;
        b1_queue_add(empty->obj.owner, &empty->released, p);
    }
}

void b1_release_all(struct b1_peer *p)
{
    struct b1_node *empty = NULL;

    /*
     * Objects are released in the order of their making, so that the order of notifications does
     * not depend on the hash table.
     */
    for (struct b1_obj *o = p->oldest; o; o = o->newer)
        o->marked = true;
    for (struct b1_obj *o = p->oldest, *next; o; o = next) {
        next = o->newer;
        if (o->kind == B1_HANDLE)
            handle_release(p, b1_obj_handle(o), &empty);
    }
    while (p->oldest)
        node_release(p, b1_obj_node(p->oldest));
    for (; empty; empty = empty->next_empty) {
        empty->released.id = empty->obj.id;
        b1_queue_add(empty->obj.owner, &empty->released, p);
    }
}

static int release_locked(struct b1_peer *p, const uint64_t *ids, size_t n, struct b1_obj **objs)
{
    bool lenient = b1_bus_has(p->bus, B1_DEFECT_RELEASE_ZERO);
    size_t found = 0;

    if (p->closed)
        return -ESHUTDOWN;
    for (size_t i = 0; i < n; i++) {
        struct b1_obj *o = b1_table_find(p, ids[i]);
        bool known = o && !o->marked && !(o->kind == B1_HANDLE && b1_obj_handle(o)->in_message);

        if (!known && lenient)
            continue;
        if (!known) {
            while (found)
                objs[--found]->marked = false;
            return -EBADRQC;
        }
        o->marked = true;
        objs[found++] = o;
    }
    if (n)
        b1_event_tell(p, &(struct b1_event){.kind = B1_EVENT_RELEASE, .ids = ids, .n_ids = n});
    b1_release_marked(p, objs, found);
    return 0;
}

int b1_release(struct b1_peer *peer, const uint64_t *ids, size_t n)
{
    struct b1_obj *few[16], **objs = few;
    int r;

    if (n > peer->bus->cfg.limits.batch)
        return -EDQUOT;
    if (n > ARRAY_SIZE(few)) {
        objs = calloc(n, sizeof(struct b1_obj *));
        if (!objs)
            return -ENOMEM;
    }
    pthread_mutex_lock(&peer->bus->lock);
    r = release_locked(peer, ids, n, objs);
    pthread_mutex_unlock(&peer->bus->lock);
    if (objs != few)
        free(objs);
    return r;
}

struct b1_transfer_op {
    struct b1_peer *from;
    struct b1_peer *to;
    size_t n;
    struct {
        struct b1_node *node; /* a new one */
        uint64_t src;         /* otherwise the handle to copy */
        struct b1_handle *handle;
    } v[];
};

/* Checks that all handles to be copied exist, and that the quotas admit the new nodes and handles.
 */
static int transfer_check(const struct b1_transfer_op *op)
{
    struct b1_bus *bus = op->from->bus;
    size_t n_nodes = 0;

    if (op->from->closed || op->to->closed)
        return -ESHUTDOWN;
    for (size_t i = 0; i < op->n; i++) {
        struct b1_handle *h;

        if (op->v[i].node) {
            n_nodes++;
            continue;
        }
        h = b1_handle_find(op->from, op->v[i].src);
        if (!h || !h->node)
            return -EBADRQC;
    }
    if (!b1_within(bus, op->from->user, nodes, n_nodes) ||
        (op->n && !b1_within(bus, op->to->user, handles, op->n)))
        return -EDQUOT;
    return 0;
}

static void transfer_free(struct b1_transfer_op *op)
{
    for (size_t i = 0; i < op->n; i++) {
        free(op->v[i].node);
        free(op->v[i].handle);
    }
    b1_peer_unref(op->from);
    b1_peer_unref(op->to);
    free(op);
}

static int transfer_alloc(struct b1_peer *from, struct b1_peer *to, const struct b1_transfer *v,
                          size_t n, struct b1_transfer_op **ret)
{
    struct b1_transfer_op *op = calloc(1, sizeof(*op) + n * sizeof(op->v[0]));

    if (!op)
        return -ENOMEM;
    op->from = b1_peer_ref(from);
    op->to = b1_peer_ref(to);
    op->n = n;
    for (size_t i = 0; i < n; i++) {
        op->v[i].src = v[i].src;
        op->v[i].handle = b1_handle_alloc(to);
        op->v[i].node = v[i].create ? node_alloc(from) : NULL;
        if (!op->v[i].handle || (v[i].create && !op->v[i].node)) {
            transfer_free(op);
            return -ENOMEM;
        }
    }
    *ret = op;
    return 0;
}

int b1_transfer_begin(struct b1_peer *from, struct b1_peer *to, struct b1_transfer *v, size_t n,
                      struct b1_transfer_op **ret)
{
    struct b1_transfer_op *op;
    int r;

    if (from->bus != to->bus)
        return -EXDEV;
    if (n > from->bus->cfg.limits.batch)
        return -EDQUOT;
    r = transfer_alloc(from, to, v, n, &op);
    if (r < 0)
        return r;
    pthread_mutex_lock(&from->bus->lock);
    r = transfer_check(op);
    for (size_t i = 0; i < n && r == 0; i++) {
        if (op->v[i].node)
            v[i].src = op->v[i].node->obj.id = b1_id_new(from);
        v[i].dst = op->v[i].handle->obj.id = b1_id_new(to);
    }
    pthread_mutex_unlock(&from->bus->lock);
    if (r < 0) {
        transfer_free(op);
        return r;
    }
    *ret = op;
    return 0;
}

int b1_transfer_commit(struct b1_transfer_op *op)
{
    struct b1_bus *bus = op->from->bus;
    int r;

    pthread_mutex_lock(&bus->lock);
    r = transfer_check(op);
    for (size_t i = 0; i < op->n && r == 0; i++) {
        struct b1_handle *h = TAKE_PTR(op->v[i].handle);
        struct b1_node *node = TAKE_PTR(op->v[i].node);

        b1_event_tell(op->from, &(struct b1_event){
                                    .kind = B1_EVENT_TRANSFER,
                                    .other = op->to->serial,
                                    .id = node ? node->obj.id : op->v[i].src,
                                    .create = node != NULL,
                                    .handle = h->obj.id,
                                });
        if (node) {
            b1_table_add(op->from, &node->obj);
            b1_charge(bus, op->from->user, nodes, 1);
        } else {
            node = b1_handle_find(op->from, op->v[i].src)->node;
        }
        b1_table_add(op->to, &h->obj);
        b1_handle_link(h, node, op->to->user);
    }
    pthread_mutex_unlock(&bus->lock);
    transfer_free(op);
    return r;
}

void b1_transfer_abort(struct b1_transfer_op *op)
{
    transfer_free(op);
}

int b1_transfer(struct b1_peer *from, struct b1_peer *to, struct b1_transfer *v, size_t n)
{
    struct b1_transfer_op *op;
    int r = b1_transfer_begin(from, to, v, n, &op);

    return r < 0 ? r : b1_transfer_commit(op);
}
