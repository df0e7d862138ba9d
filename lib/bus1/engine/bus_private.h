/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The insides of the engine, shared by its files only. All is guarded by the lock of the bus.
 *
 * A peer has one table of objects: its nodes, and its handles. A handle is on the list of the node
 * that it refers to until either is released. What can happen at most once in a life (the release
 * of a node as a handle sees it, the last handle as a node sees it) is announced by a message that
 * is part of the object, so that releasing never needs memory and cannot fail half-way.
 */
#pragma once

#include <assert.h>
#include <pthread.h>

#include "bus.h"
#include "bus1_abi.h"
#include "bus_defects.h"
#include "bus_event.h"

enum { B1_TABLE_INLINE = 4, B1_USER_BUCKETS = 64 };

struct b1_user {
    struct b1_user *next;
    uint32_t uid;
    size_t refs; /* peers, and packets that are charged */
    struct b1_usage use;
};

enum b1_kind { B1_NODE, B1_HANDLE };

/* Begins every node and handle. */
struct b1_obj {
    struct b1_obj *next;  /* in the bucket */
    struct b1_obj *older; /* of the same peer, by when they were made */
    struct b1_obj *newer;
    struct b1_peer *owner;
    uint64_t id;
    size_t refs; /* its table, and its message while that is queued or looked at */
    enum b1_kind kind;
    bool marked; /* is being released */
};

enum b1_msg_kind { B1_MSG_PACKET, B1_MSG_OBJ };

struct b1_msg {
    struct b1_msg *next;
    void *home; /* the packet or object that it is part of */
    uint64_t id;
    uint64_t account;
    uint64_t from;
    enum b1_msg_kind kind;
    uint32_t type; /* BUS1_MESSAGE_TYPE_* */
};

struct b1_node {
    struct b1_obj obj;
    struct b1_handle *handles;
    size_t n_handles;
    struct b1_node *next_empty;
    bool vanished; /* B1_DEFECT_HANDLE_RELEASE */
    struct b1_msg released;
};

struct b1_handle {
    struct b1_obj obj;
    struct b1_node *node; /* NULL once that is released */
    struct b1_handle *next;
    struct b1_handle **prev; /* what points here */
    struct b1_user *charged;
    bool in_message;
    bool release_seen;
    struct b1_msg released;
};

struct b1_packet {
    size_t refs; /* messages, and who looks at them */
    struct b1_user *charged;
    size_t size;
    size_t n_data;
    size_t n_msgs;
    size_t n_transfers;  /* of each message */
    uint64_t *transfers; /* ids of handles in the receivers' tables, message by message */
    uint8_t *data;
    struct b1_msg msgs[];
};

struct b1_peer {
    struct b1_bus *bus;
    struct b1_peer *next;
    struct b1_peer **prev;
    struct b1_user *user; /* NULL once closed */
    void *data;
    size_t refs;
    uint32_t uid;
    uint64_t serial;
    uint64_t last_id;
    bool closed;
    bool ever_queued;

    struct b1_obj **buckets;
    size_t mask;
    size_t n_objs;
    struct b1_obj *oldest;
    struct b1_obj *newest;
    struct b1_obj *inline_buckets[B1_TABLE_INLINE];

    struct b1_msg *head;
    struct b1_msg **tail;
    size_t n_queued;
    size_t n_bytes;
};

struct b1_bus {
    pthread_mutex_t lock;
    struct b1_config cfg;
    struct b1_peer *peers;
    uint64_t last_serial;
    struct b1_usage use;
    struct b1_user *users[B1_USER_BUCKETS];
};

static inline struct b1_node *b1_obj_node(struct b1_obj *o)
{
    return (struct b1_node *)o;
}

static inline struct b1_handle *b1_obj_handle(struct b1_obj *o)
{
    return (struct b1_handle *)o;
}

void b1_user_unref(struct b1_bus *bus, struct b1_user *u);

/* Charging: the user's count and the bus's move together. @field is one of struct b1_usage. */
#define b1_charge(bus, user, field, n)      \
    do {                                    \
        (bus)->use.field += (uint64_t)(n);  \
        (user)->use.field += (uint64_t)(n); \
    } while (0)
#define b1_uncharge(bus, user, field, n)                             \
    do {                                                             \
        assert((user)->use.field >= (n) && (bus)->use.field >= (n)); \
        (bus)->use.field -= (uint64_t)(n);                           \
        (user)->use.field -= (uint64_t)(n);                          \
    } while (0)

/* Tells whether the quota admits @n more for @user. */
#define b1_within(bus, user, field, n) b1_fits(bus, (user)->use.field, (bus)->cfg.limits.field, (n))

static inline bool b1_fits(const struct b1_bus *bus, uint64_t used, uint64_t limit, uint64_t n)
{
    return b1_bus_has(bus, B1_DEFECT_NO_ACCOUNT) || (used <= limit && n <= limit - used);
}

/* Tells of something that is about @p. */
static inline void b1_event_tell(const struct b1_peer *p, struct b1_event *ev)
{
    const struct b1_config *cfg = &p->bus->cfg;

    ev->peer = p->serial;
    ev->private = p->data;
    if (cfg->on_event)
        cfg->on_event(cfg->ctx, ev);
}

/* The table. The id comes from b1_id_new() of the same peer. */
uint64_t b1_id_new(struct b1_peer *p);
void b1_table_add(struct b1_peer *p, struct b1_obj *o);
void b1_table_del(struct b1_peer *p, struct b1_obj *o);
struct b1_obj *b1_table_find(const struct b1_peer *p, uint64_t id);
/* A handle that the peer has and may use, or NULL. */
struct b1_handle *b1_handle_find(const struct b1_peer *p, uint64_t id);
void b1_obj_unref(struct b1_obj *o);

/* A handle of @owner that refers to nothing yet, charged to nobody; free() undoes it. */
struct b1_handle *b1_handle_alloc(struct b1_peer *owner);
/* Makes it refer to @node and charges @charged. */
void b1_handle_link(struct b1_handle *h, struct b1_node *node, struct b1_user *charged);

/* Releases @objs, all of @p and marked, in one transaction. Overwrites the array. */
void b1_release_marked(struct b1_peer *p, struct b1_obj **objs, size_t n);
void b1_release_all(struct b1_peer *p);

/* Queues a message, with a reference of the queue's own. Return: false for a closed peer, which
 * takes none. */
bool b1_queue_add(struct b1_peer *to, struct b1_msg *m, const struct b1_peer *from);
void b1_queue_drop_all(struct b1_peer *p);
/* Removes what waits for node @id. */
void b1_queue_drop_node(struct b1_peer *p, uint64_t id);
