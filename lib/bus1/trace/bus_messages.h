/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The served buses' own view, beside the calls: which message went from which peer to which. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct b1_messages;

/**
 * struct b1_delivery - a message that joined a queue, borrowed
 * @time: when, ns since 1970
 * @bus: directory of the bus
 * @dev: its device number
 * @from, @from_pid: file number of the peer that caused it, and the process that opened that peer;
 *   UINT64_MAX where that peer was closed before we listened
 * @to, @to_pid: the same of the peer that gets it
 * @type: BUS1_MESSAGE_TYPE_*
 * @id: the node that it came to; of a NODE_RELEASE the handle
 * @account: the user that is charged for it, or BUS1_INVALID
 * @length: bytes of data
 * @handles, @n_handles: handles that come along, by their ids at the receiver
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
 * @some: only messages from or to peers of b1_messages_peer()
 * @message: told of a message by b1_messages_show()
 * @lost: told at once that the server of a bus could not keep @count events for us
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
 * Listens to the buses that there are, and to those that will be. A bus of another user does not
 * tell; that is no error. Return: 0 or -errno.
 */
int b1_messages_new(const struct b1_messages_opts *opts, struct b1_messages **ret);
void b1_messages_free(struct b1_messages *b);

/* Readable when b1_messages_read() should be called. */
int b1_messages_fd(const struct b1_messages *b);
/* POLLPRI, once a change, when b1_messages_look() should be called: there may be another bus. */
int b1_messages_mounts_fd(const struct b1_messages *b);
int b1_messages_look(struct b1_messages *b);
/* Takes in what has happened. Return: 0 or -ENOMEM. */
int b1_messages_read(struct b1_messages *b);

/* With @some: a peer that counts. Return: 0 or -ENOMEM. */
int b1_messages_peer(struct b1_messages *b, uint64_t dev, uint64_t ino);

/* Tells of what was taken in and happened before @time. Return: how many messages were told. */
uint64_t b1_messages_show(struct b1_messages *b, uint64_t time);

/* How many events servers could not keep for us. */
uint64_t b1_messages_lost(const struct b1_messages *b);
