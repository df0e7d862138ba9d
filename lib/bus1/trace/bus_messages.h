/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which message went from which peer to which, as the servers of buses report it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct b1_messages;

/**
 * struct b1_delivery - a message that joined a queue, borrowed
 * @time: when it joined the queue, ns since 1970
 * @bus: directory of the bus
 * @dev: its device number
 * @from, @from_pid: file number of the peer that caused it, and the process that opened that peer;
 *   UINT64_MAX where that peer was closed before listening began
 * @to, @to_pid: the same of the receiving peer
 * @type: BUS1_MESSAGE_TYPE_*
 * @id: the receiver's node that it was sent to; for a NODE_RELEASE the receiver's handle
 * @account: the user that is charged for it, or BUS1_INVALID
 * @length: bytes of data
 * @handles, @n_handles: the handles that it carries, by their ids at the receiver
 */
struct b1_delivery {
    uint64_t time;
    const char *bus;
    uint64_t dev;
    uint64_t from;
    uint64_t from_pid;
    uint64_t to;
    uint64_t to_pid;
    uint64_t type;
    uint64_t id;
    uint64_t account;
    uint64_t length;
    const uint64_t *handles;
    size_t n_handles;
};

/**
 * struct b1_messages_opts - what to listen to
 * @dev: only the bus with this device number; 0: all
 * @some: only messages from or to peers that were added with b1_messages_peer()
 * @message: called for each message by b1_messages_show()
 * @lost: called at once when the server of a bus had no room for @count of our events
 * @ctx: first argument of both
 */
struct b1_messages_opts {
    uint64_t dev;
    bool some;
    void (*message)(void *ctx, const struct b1_delivery *m);
    void (*lost)(void *ctx, uint64_t time, uint64_t count, const char *bus);
    void *ctx;
};

/*
 * Listens to the buses that exist, and to those that appear later. A bus of another user does not
 * let us listen; that is not an error. Return: 0 or -errno.
 */
int b1_messages_new(const struct b1_messages_opts *opts, struct b1_messages **ret);
void b1_messages_free(struct b1_messages *b);

/* The descriptor is readable when b1_messages_read() should be called. */
int b1_messages_fd(const struct b1_messages *b);
/*
 * The descriptor has POLLPRI, once a change, when b1_messages_look() should be called: a bus may
 * have been mounted.
 */
int b1_messages_mounts_fd(const struct b1_messages *b);
int b1_messages_look(struct b1_messages *b);
/* Reads the events that have happened. Return: 0 or -ENOMEM. */
int b1_messages_read(struct b1_messages *b);

/* With @some: adds a peer whose messages are wanted. Return: 0 or -ENOMEM. */
int b1_messages_peer(struct b1_messages *b, uint64_t dev, uint64_t ino);

/* Shows the messages that were read and happened before @time. Return: how many were shown. */
uint64_t b1_messages_show(struct b1_messages *b, uint64_t time);

/* How many of our events servers had no room for. */
uint64_t b1_messages_lost(const struct b1_messages *b);
