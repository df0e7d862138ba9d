/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus1 as pure memory: peers, nodes, handles, and the messages between them. No I/O and no pointer
 * into a client: what a system call would copy is copied by the caller, before and after.
 *
 * Every function takes effect at one instant, under the lock of the bus, or not at all. Messages
 * are queued in the order of these instants, which is therefore one total order: it respects
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
 * struct b1_limits - most of each thing
 * @peers: open peers of one user
 * @nodes: living nodes of one user
 * @handles: handles of one user, also those in waiting messages that the user sent
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

/* The limits of a bus that is made without others. */
#define B1_LIMITS_DEFAULT                                                          \
    {                                                                              \
        .peers = 16384, .nodes = 1 << 18, .handles = 1 << 18, .messages = 1 << 18, \
        .bytes = UINT64_C(512) << 20, .message_bytes = 16 << 20, .batch = 16384,   \
    }

/**
 * struct b1_config - how a bus is made
 * @limits: see there
 * @defects: B1_DEFECT_*; only in a build for tests (bus_defects.h)
 * @on_message: called when a message joined a peer's queue, with the peer's @data of b1_peer_new().
 *   Under the lock of the bus: must be quick and must not call back. May be NULL
 * @on_event: told of all that happens, in its order; as @on_message. May be NULL
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

/* All peers must have been closed. NULL is fine. */
void b1_bus_free(struct b1_bus *bus);

const struct b1_limits *b1_bus_limits(const struct b1_bus *bus);

/**
 * b1_peer_new() - open a peer
 * @bus: where
 * @uid: the user that is charged
 * @data: handed to the callbacks and the snapshot
 * @ret: the peer, with one reference
 *
 * Return: 0, -EDQUOT or -ENOMEM.
 */
int b1_peer_new(struct b1_bus *bus, uint32_t uid, void *data, struct b1_peer **ret);

/*
 * Releases the peer's nodes and handles in one transaction, drops its queue, and drops the
 * reference of b1_peer_new(). Whoever still holds another reference only gets -ESHUTDOWN.
 */
void b1_peer_close(struct b1_peer *peer);

struct b1_peer *b1_peer_ref(struct b1_peer *peer);
void b1_peer_unref(struct b1_peer *peer);

/* Unique on its bus, never reused, from 1. */
uint64_t b1_peer_serial(const struct b1_peer *peer);
struct b1_bus *b1_peer_bus(const struct b1_peer *peer);

/* The user that is charged. */
uint32_t b1_peer_uid(const struct b1_peer *peer);

/* Tells whether a message waits. */
bool b1_peer_waiting(struct b1_peer *peer);

/* What poll() says: as b1_peer_waiting(), but for B1_DEFECT_POLLIN. A hint for poll():
 * b1_recv_begin() decides. */
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
 * @from: whose handles are copied, whose nodes are made
 * @to: who gets the new handles; may be @from
 * @v: the elements
 * @n: how many
 * @ret: for b1_transfer_commit() or b1_transfer_abort(), one of which must follow
 *
 * The ids are final, but nothing exists before the commit: so that they can be written to a client
 * whose memory may fail.
 *
 * Return: 0; -EBADRQC for an unknown handle, or one whose node is gone; -EDQUOT; -ENOMEM; -EXDEV
 * for peers of two buses; -ESHUTDOWN.
 */
int b1_transfer_begin(struct b1_peer *from, struct b1_peer *to, struct b1_transfer *v, size_t n,
                      struct b1_transfer_op **ret);

/* Makes the nodes and handles exist. Releases @op in every case. Return: as b1_transfer_begin(),
 * since things may have changed meanwhile. */
int b1_transfer_commit(struct b1_transfer_op *op);
void b1_transfer_abort(struct b1_transfer_op *op);

/* b1_transfer_begin() and b1_transfer_commit() at once. */
int b1_transfer(struct b1_peer *from, struct b1_peer *to, struct b1_transfer *v, size_t n);

/**
 * b1_release() - release nodes and handles in one transaction
 * @peer: whose
 * @ids: nodes and handles, in any order
 * @n: how many
 *
 * Return: 0; -EBADRQC when an id is unknown or comes twice, and then nothing was released;
 * -ENOMEM; -ESHUTDOWN.
 */
int b1_release(struct b1_peer *peer, const uint64_t *ids, size_t n);

/**
 * b1_packet_new() - room for a message
 * @n_data: bytes of data
 * @n_destinations: how many will get it
 * @n_transfers: handles it carries
 * @ret: the packet, with undefined data
 */
int b1_packet_new(size_t n_data, size_t n_destinations, size_t n_transfers, struct b1_packet **ret);
void *b1_packet_data(struct b1_packet *p);
/* For a packet that was not sent. NULL is fine. */
void b1_packet_free(struct b1_packet *p);

/**
 * b1_send() - one message to all destinations, or to none
 * @peer: the sender
 * @p: the packet; belongs to the bus on success and stays the caller's on failure
 * @destinations: handles of the sender, as many as the packet was made for
 * @transfers: handles of the sender, likewise; each destination gets its own copies
 * @errors: when not NULL: what each destination contributed, 0 or a negative errno
 *
 * Return: 0; -EBADRQC for an unknown handle or one whose node is gone; -EDQUOT; -ENOMEM;
 * -ESHUTDOWN.
 */
int b1_send(struct b1_peer *peer, struct b1_packet *p, const uint64_t *destinations,
            const uint64_t *transfers, int32_t *errors);

/**
 * struct b1_view - a waiting message, borrowed
 * @type: BUS1_MESSAGE_TYPE_*
 * @id: the node it came to, or the handle for NODE_RELEASE
 * @account: user of who caused it, or BUS1_INVALID
 * @from: serial of the peer that caused it
 * @data: its bytes
 * @n_data: how many
 * @transfers: ids that the receiver will know after b1_recv_commit()
 * @n_transfers: how many
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
 * @peer: whose queue
 * @v: the message, valid until b1_recv_commit() or b1_recv_abort(), one of which must follow
 *
 * Return: 0; -EAGAIN when nothing waits; -ESHUTDOWN.
 */
int b1_recv_begin(struct b1_peer *peer, struct b1_view *v);

/*
 * Takes it off the queue. Return: 0; -EAGAIN when another receiver of the same peer took it first:
 * begin again; -ESHUTDOWN. @v ends in every case.
 */
int b1_recv_commit(struct b1_peer *peer, struct b1_view *v);

/* Leaves it where it is. */
void b1_recv_abort(struct b1_peer *peer, struct b1_view *v);

/* Totals, of one user or of the bus. */
struct b1_usage {
    uint64_t peers;
    uint64_t nodes;
    uint64_t handles;
    uint64_t messages;
    uint64_t bytes;
};

void b1_bus_usage(struct b1_bus *bus, struct b1_usage *ret);

/* Calls @fn between two transactions, under the lock of the bus: it must not call back. */
void b1_bus_at_rest(struct b1_bus *bus, void (*fn)(void *ctx), void *ctx);

/**
 * struct b1_visit - a look at the bus as it stands
 * @peer: a peer begins; false skips what it has
 * @node: a node of it: its id, and the living handles that refer to it
 * @handle: a handle of it: its id; serial of the node's owner and the node's id, or 0 and 0 when
 * the node is gone; whether it is still in a waiting message
 * @message: a waiting message, oldest first
 * @end: after all of that, before anything else happens
 * @ctx: first argument of all
 *
 * All are called under the lock of the bus and must not call back. A callback may be NULL.
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

/* Every peer of the bus, at one instant. */
void b1_bus_visit(struct b1_bus *bus, const struct b1_visit *visit);

/**
 * b1_queue_pin() - all that waits for a peer, oldest first, as it is now
 * @peer: whose queue
 * @ret: the messages, valid until b1_queue_unpin() even when they are received meanwhile
 * @n: how many
 */
int b1_queue_pin(struct b1_peer *peer, struct b1_view **ret, size_t *n);
void b1_queue_unpin(struct b1_peer *peer, struct b1_view *v, size_t n);
