/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Declarations that only the files of the engine share. The lock of the bus guards everything.
 *
 * Each peer has one table of objects: its nodes and its handles. A handle is on the list of the
 * node that it refers to until either is released. Two notifications can be sent at most once for
 * an object: that its node was released (for a handle), and that its last handle was released (for
 * a node). Their message is part of the object, so that releasing never needs memory and cannot
 * fail half-way.
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
    size_t refs; /* peers, and packets that are charged to the user */
    struct b1_usage use;
};

enum b1_kind { B1_NODE, B1_HANDLE };

/* The common head of nodes and handles. */
struct b1_obj {
    struct b1_obj *next;  /* in the hash bucket */
    struct b1_obj *older; /* of the same peer, in the order of their making */
    struct b1_obj *newer;
    struct b1_peer *owner;
    uint64_t id;
    size_t refs; /* from its table, and from its message while that is queued or viewed */
    enum b1_kind kind;
    bool marked; /* is being released */
};

enum b1_msg_kind { B1_MSG_PACKET, B1_MSG_OBJ };

struct b1_msg {
    struct b1_msg *next;
    void *home; /* the packet or object that the message is part of */
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
    struct b1_node *node; /* NULL once the node is released */
    struct b1_handle *next;
    struct b1_handle **prev; /* the pointer that points to this handle */
    struct b1_user *charged;
    bool in_message;
    bool release_seen;
    struct b1_msg released;
};

struct b1_packet {
    size_t refs; /* from messages, and from those who view them */
    struct b1_user *charged;
    size_t size;
    size_t n_data;
    size_t n_msgs;
    size_t n_transfers;  /* number of handles in each message */
    uint64_t *transfers; /* ids of handles in the receivers' tables, message by message */
    uint8_t *data;
    struct b1_msg msgs[];
};

struct b1_peer {
    struct b1_bus *bus;
    struct b1_peer *next;
    struct b1_peer **prev;
    struct b1_user *user; /* NULL once the peer is closed */
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

/*
 * Charges a quota: the user's count and the bus's count change together. @field is a member of
 * struct b1_usage.
 */
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

/* Reports an event that concerns @p. */
static inline void b1_event_tell(const struct b1_peer *p, struct b1_event *ev)
{
    const struct b1_config *cfg = &p->bus->cfg;

    ev->peer = p->serial;
    ev->private = p->data;
    if (cfg->on_event)
        cfg->on_event(cfg->ctx, ev);
}

/* The table of objects. The id comes from b1_id_new() of the same peer. */
uint64_t b1_id_new(struct b1_peer *p);
void b1_table_add(struct b1_peer *p, struct b1_obj *o);
void b1_table_del(struct b1_peer *p, struct b1_obj *o);
struct b1_obj *b1_table_find(const struct b1_peer *p, uint64_t id);
/* Finds a handle that the peer has received. Return: NULL if there is none. */
struct b1_handle *b1_handle_find(const struct b1_peer *p, uint64_t id);
void b1_obj_unref(struct b1_obj *o);

/*
 * Allocates a handle of @owner that refers to no node and is not charged yet; free() undoes this.
 */
struct b1_handle *b1_handle_alloc(struct b1_peer *owner);
/* Makes the handle refer to @node and charges @charged for it. */
void b1_handle_link(struct b1_handle *h, struct b1_node *node, struct b1_user *charged);

/*
 * Releases @objs, which all belong to @p and are marked, in one transaction. Overwrites the array.
 */
void b1_release_marked(struct b1_peer *p, struct b1_obj **objs, size_t n);
void b1_release_all(struct b1_peer *p);

/*
 * Queues a message and takes a reference to it. Return: false for a closed peer: no reference is
 * taken then.
 */
bool b1_queue_add(struct b1_peer *to, struct b1_msg *m, const struct b1_peer *from);
void b1_queue_drop_all(struct b1_peer *p);
/* Removes the messages that wait for node @id. */
void b1_queue_drop_node(struct b1_peer *p, uint64_t id);
