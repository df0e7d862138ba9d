/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of bus1 that lives with the document's bus and with the RFC's code, whose differences it
 * probes or avoids. It speaks the four ioctls only, through a device that is either a file or a bus
 * in this process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "bus.h"
#include "errinfo.h"

/**
 * struct b1_device - where peers come from
 * @open: a new peer: a descriptor, or -errno
 * @ioctl: 0 or more, or -errno
 * @poll: whether it may be worth to receive: 1, 0 after @timeout_ms (-1: none), or -errno
 * @close: ends a descriptor
 */
struct b1_device {
    int (*open)(void *ctx);
    int (*ioctl)(void *ctx, int fd, unsigned int cmd, void *arg);
    int (*poll)(void *ctx, int fd, int timeout_ms);
    void (*close)(void *ctx, int fd);
    void *ctx;
};

/* The device at @path, which must stay valid: /dev/bus1 or a served file. */
void b1_device_file(struct b1_device *dev, const char *path);

struct b1_embedded;

/* A bus in this process. b1_embedded_free() closes what is still open. */
int b1_embedded_new(const struct b1_config *cfg, struct b1_device *dev, struct b1_embedded **ret);
void b1_embedded_free(struct b1_embedded *m);
#ifdef BUS1_RFC_DEFECTS
/* How many calls were made after which a kernel with the RFC's code would not have come back. */
unsigned int b1_embedded_oopses(const struct b1_embedded *m);
#endif
/* The peer behind a descriptor, for looking; NULL if there is none. */
struct b1_peer *b1_embedded_peer(const struct b1_embedded *m, int fd);

/**
 * b1_probe() - ask a device which of the two it is
 * @single: set when arrays can hold one element only, which the RFC's code needs
 *
 * On a throw-away peer, with a TRANSFER that only a conforming bus takes.
 */
int b1_probe(const struct b1_device *dev, bool *single);

/* The meaning of a bus's error in words. @r: a negative errno of any call here. */
const char *b1_client_error(int r);

struct b1_client;

/**
 * b1_client_open() - a peer of one's own
 * @dev: the device, which must outlive it
 * @single: of b1_probe()
 */
int b1_client_open(const struct b1_device *dev, bool single, struct b1_client **ret);

/* A peer that somebody else opened: its ids are not known, so what is sent is not checked. */
int b1_client_adopt(const struct b1_device *dev, bool single, int fd, struct b1_client **ret);

/* Closes the descriptor too. NULL is fine. */
void b1_client_close(struct b1_client *c);
int b1_client_fd(const struct b1_client *c);

/* A new node of @c, with a handle in @to (which may be @c). */
int b1_client_node(struct b1_client *c, struct b1_client *to, uint64_t *node, uint64_t *handle);

/* A copy of @c's handle for @to. */
int b1_client_give(struct b1_client *c, struct b1_client *to, uint64_t handle, uint64_t *ret);

/* Nodes and handles, in one transaction. @e: why not. */
int b1_client_release(struct b1_client *c, const uint64_t *ids, size_t n, struct err *e);

/**
 * b1_client_send() - one message to several handles
 * @c: from
 * @to, @n: handles
 * @data, @len: what
 * @carry, @n_carry: handles that go along
 * @e: why not
 */
int b1_client_send(struct b1_client *c, const uint64_t *to, size_t n, const void *data, size_t len,
                   const uint64_t *carry, size_t n_carry, struct err *e);

/**
 * struct b1_received - a message; valid until the next one of the same client
 * @account: BUS1_INVALID when the bus does not say
 * @lost_ids: the bus garbled the ids of this many of the transfers, which are not in the array
 */
struct b1_received {
    uint64_t type;
    uint64_t id;
    uint64_t account;
    const void *data;
    size_t len;
    const uint64_t *transfers;
    size_t n_transfers;
    size_t lost_ids;
};

/* The next message. Return: 0; -EAGAIN when there is none. */
int b1_client_recv(struct b1_client *c, struct b1_received *m, struct err *e);

/* Waits up to @timeout_ms for a message and takes it. Return: also -ETIMEDOUT. */
int b1_client_wait(struct b1_client *c, int timeout_ms, struct b1_received *m, struct err *e);
