/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus1 in memory only: peers, nodes, handles, and the messages between them. There is no I/O, and
 * no pointer into a client: the caller copies, before and after, what a system call would copy.
 *
 * Every function takes effect completely or not at all, at one instant, under the lock of the bus.
 * Messages are queued in the order of these instants, which is a total order. It respects
 * causality, even where processes communicate by other means than the bus.
 * causality, also through channels that the bus does not see.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct b1_bus;
struct b1_event;
struct b1_peer;
struct b1_packet;

/**
 * struct b1_limits - quotas, each a maximum
 * @peers: open peers of one user
 * @nodes: living nodes of one user
 * @handles: handles of one user, including those in waiting messages that the user sent
 * @messages: waiting messages that one user sent, one for each destination
 * @bytes: memory of waiting messages that one user sent; a multicast counts once
 * @message_bytes: data of one message
 * @batch: destinations, transfers or ids in one call
 */
struct b1_limits {
    uint64_t peers;
    uint64_t nodes;
    uint64_t handles;
    uint64_t messages;
    uint64_t bytes;
    uint64_t message_bytes;
    uint64_t batch;
};

/* The default limits. */
#define B1_LIMITS_DEFAULT                                                          \
    {                                                                              \
        .peers = 16384, .nodes = 1 << 18, .handles = 1 << 18, .messages = 1 << 18, \
        .bytes = UINT64_C(512) << 20, .message_bytes = 16 << 20, .batch = 16384,   \
    }

/**
 * struct b1_config - how a bus is made
 * @limits: the quotas
 * @defects: B1_DEFECT_*; only in a build for tests (bus_defects.h)
 * @on_message: called when a message joined a peer's queue, with the peer's @data of b1_peer_new().
 *   It is called under the lock of the bus: it must be quick and must not call back. May be NULL
 * @on_event: called for each event, in their order; under the same conditions. May be NULL
 * @ctx: first argument of both
 */
struct b1_config {
    struct b1_limits limits;
#ifdef BUS1_RFC_DEFECTS
    unsigned int defects;
#endif
    void (*on_message)(void *ctx, void *peer_data);
    void (*on_event)(void *ctx, const struct b1_event *ev);
    void *ctx;
};

int b1_bus_new(const struct b1_config *cfg, struct b1_bus **ret);

/* Frees the bus. All peers must have been closed. NULL is allowed. */
void b1_bus_free(struct b1_bus *bus);

const struct b1_limits *b1_bus_limits(const struct b1_bus *bus);

/**
 * b1_peer_new() - open a peer
 * @bus: the bus to open it on
 * @uid: the user that is charged
 * @data: handed to the callbacks and the snapshot
 * @ret: the peer, with one reference
 *
 * Return: 0, -EDQUOT or -ENOMEM.
 */
int b1_peer_new(struct b1_bus *bus, uint32_t uid, void *data, struct b1_peer **ret);

/*
 * Releases the peer's nodes and handles in one transaction, drops its queue, and drops the
 * reference of b1_peer_new(). Callers that hold another reference get only -ESHUTDOWN from now on.
 */
void b1_peer_close(struct b1_peer *peer);

struct b1_peer *b1_peer_ref(struct b1_peer *peer);
void b1_peer_unref(struct b1_peer *peer);

/* The serial number: unique on its bus, never reused, the first is 1. */
uint64_t b1_peer_serial(const struct b1_peer *peer);
struct b1_bus *b1_peer_bus(const struct b1_peer *peer);

/* The user whose quota is charged. */
uint32_t b1_peer_uid(const struct b1_peer *peer);

/* Tells whether a message waits. */
bool b1_peer_waiting(struct b1_peer *peer);

/*
 * The answer to poll(): as b1_peer_waiting(), except with B1_DEFECT_POLLIN. It is only a hint:
 * b1_recv_begin() tells for certain.
 */
bool b1_peer_readable(struct b1_peer *peer);

/* Tells whether an id is a handle of the peer. */
bool b1_peer_has_handle(struct b1_peer *peer, uint64_t id);

/**
 * struct b1_transfer - one element of a TRANSFER
 * @create: make a node
 * @src: the handle to copy; or, with @create, the new node's id, set by b1_transfer_begin()
 * @dst: the new handle's id in the other peer, set by b1_transfer_begin()
 */
struct b1_transfer {
    bool create;
    uint64_t src;
    uint64_t dst;
};

struct b1_transfer_op;

/**
 * b1_transfer_begin() - prepare new nodes and handles
 * @from: the peer whose handles are copied, and which will own the new nodes
 * @to: the peer that gets the new handles; may be @from
 * @v: the elements
 * @n: number of elements
 * @ret: for b1_transfer_commit() or b1_transfer_abort(), one of which must follow
 *
 * The ids are final, but nothing exists before the commit, so that the ids can be written to the
 * memory of a client first: if that fails, nothing has to be undone.
 *
 * Return: 0; -EBADRQC for an unknown handle, or one whose node is gone; -EDQUOT; -ENOMEM; -EXDEV
 * for peers of two buses; -ESHUTDOWN.
 */
int b1_transfer_begin(struct b1_peer *from, struct b1_peer *to, struct b1_transfer *v, size_t n,
                      struct b1_transfer_op **ret);

/*
 * Makes the nodes and handles exist. Releases @op in every case. Return: as b1_transfer_begin(),
 * because the bus may have changed in between.
 */
int b1_transfer_commit(struct b1_transfer_op *op);
void b1_transfer_abort(struct b1_transfer_op *op);

/* Calls b1_transfer_begin() and b1_transfer_commit(). */
int b1_transfer(struct b1_peer *from, struct b1_peer *to, struct b1_transfer *v, size_t n);

/**
 * b1_release() - release nodes and handles in one transaction
 * @peer: the owner of the ids
 * @ids: nodes and handles, in any order
 * @n: number of ids
 *
 * Return: 0; -EBADRQC when an id is unknown or is given twice: then nothing was released;
 * -ENOMEM; -ESHUTDOWN.
 */
int b1_release(struct b1_peer *peer, const uint64_t *ids, size_t n);

/**
 * b1_packet_new() - allocate a message
 * @n_data: bytes of data
 * @n_destinations: how many destinations it will have
 * @n_transfers: how many handles it carries
 * @ret: the packet, with undefined data
 */
int b1_packet_new(size_t n_data, size_t n_destinations, size_t n_transfers, struct b1_packet **ret);
void *b1_packet_data(struct b1_packet *p);
/* Frees a packet that was not sent. NULL is allowed. */
void b1_packet_free(struct b1_packet *p);

/**
 * b1_send() - one message to all destinations, or to none
 * @peer: the sender
 * @p: the packet; the bus takes it over on success, the caller keeps it on failure
 * @destinations: handles of the sender, as many as the packet was made for
 * @transfers: handles of the sender, likewise; each destination gets its own copies
 * @errors: when not NULL: set to the error of each destination, 0 or a negative errno
 *
 * Return: 0; -EBADRQC for an unknown handle or one whose node is gone; -EDQUOT; -ENOMEM;
 * -ESHUTDOWN.
 */
int b1_send(struct b1_peer *peer, struct b1_packet *p, const uint64_t *destinations,
            const uint64_t *transfers, int32_t *errors);

/**
 * struct b1_view - a waiting message, borrowed
 * @type: BUS1_MESSAGE_TYPE_*
 * @id: the receiver's node that it was sent to; for NODE_RELEASE the receiver's handle
 * @account: the user who caused it, or BUS1_INVALID
 * @from: serial of the peer that caused it
 * @data: its data
 * @n_data: length of the data
 * @transfers: ids that the receiver will know after b1_recv_commit()
 * @n_transfers: number of ids
 * @msg: private
 */
struct b1_view {
    uint64_t type;
    uint64_t id;
    uint64_t account;
    uint64_t from;
    const void *data;
    size_t n_data;
    const uint64_t *transfers;
    size_t n_transfers;
    struct b1_msg *msg;
};

/**
 * b1_recv_begin() - look at the oldest message
 * @peer: the peer whose queue is read
 * @v: the message, valid until b1_recv_commit() or b1_recv_abort(), one of which must follow
 *
 * Return: 0; -EAGAIN when nothing waits; -ESHUTDOWN.
 */
int b1_recv_begin(struct b1_peer *peer, struct b1_view *v);

/*
 * Takes the message off the queue. Return: 0; -EAGAIN when another thread took it first for the
 * same peer: begin again; -ESHUTDOWN. @v is invalid afterwards in every case.
 */
int b1_recv_commit(struct b1_peer *peer, struct b1_view *v);

/* Leaves the message on the queue. */
void b1_recv_abort(struct b1_peer *peer, struct b1_view *v);

/* Totals of one user or of the whole bus. */
struct b1_usage {
    uint64_t peers;
    uint64_t nodes;
    uint64_t handles;
    uint64_t messages;
    uint64_t bytes;
};

void b1_bus_usage(struct b1_bus *bus, struct b1_usage *ret);

/* Calls @fn between two transactions, under the lock of the bus. @fn must not call the engine. */
void b1_bus_at_rest(struct b1_bus *bus, void (*fn)(void *ctx), void *ctx);

/**
 * struct b1_visit - callbacks that are shown the state of the bus
 * @peer: a peer; return false to skip its nodes, handles and messages
 * @node: a node of that peer: its id, and the living handles that refer to it
 * @handle: a handle of that peer: its id; the serial of the node's owner and the node's id, or 0
 *   and 0 when the node has been released; whether the handle is still in a waiting message
 * @message: a waiting message, oldest first
 * @end: called last, before the lock is released
 * @ctx: first argument of all
 *
 * All are called under the lock of the bus and must not call the engine. Each may be NULL.
 */
struct b1_visit {
    bool (*peer)(void *ctx, uint64_t serial, uint32_t uid, void *data, size_t n_messages,
                 size_t n_bytes);
    void (*node)(void *ctx, uint64_t id, size_t n_handles);
    void (*handle)(void *ctx, uint64_t id, uint64_t owner, uint64_t node, bool in_message);
    void (*message)(void *ctx, const struct b1_view *v);
    void (*end)(void *ctx);
    void *ctx;
};

/* Visits every peer of the bus; all that is shown is of one instant. */
void b1_bus_visit(struct b1_bus *bus, const struct b1_visit *visit);

/**
 * b1_queue_pin() - get all messages that wait for a peer now, oldest first
 * @peer: the peer whose queue is read
 * @ret: the messages, valid until b1_queue_unpin() even when they are received meanwhile
 * @n: number of messages
 */
int b1_queue_pin(struct b1_peer *peer, struct b1_view **ret, size_t *n);
void b1_queue_unpin(struct b1_peer *peer, struct b1_view *v, size_t n);
