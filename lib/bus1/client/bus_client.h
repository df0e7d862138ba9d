/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of bus1 that works both with the bus of the document and with the RFC's code, whose
 * differences it detects or avoids. It uses only the four ioctls, on a device that is either a file
 * or a bus in this process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "bus.h"
#include "errinfo.h"

/**
 * struct b1_device - the device that peers are opened on
 * @open: opens a peer. Return: a descriptor, or -errno
 * @ioctl: Return: 0 or more, or -errno
 * @poll: tells whether a message may be waiting. Return: 1, 0 after @timeout_ms (-1: no limit), or
 *   -errno
 * @close: closes a descriptor
 */
struct b1_device {
    int (*open)(void *ctx);
    int (*ioctl)(void *ctx, int fd, unsigned int cmd, void *arg);
    int (*poll)(void *ctx, int fd, int timeout_ms);
    void (*close)(void *ctx, int fd);
    void *ctx;
};

/* Uses the file @path, which must stay valid: /dev/bus1 or a served file. */
void b1_device_file(struct b1_device *dev, const char *path);

struct b1_embedded;

/* Makes a bus in this process. b1_embedded_free() closes peers that are still open. */
int b1_embedded_new(const struct b1_config *cfg, struct b1_device *dev, struct b1_embedded **ret);
void b1_embedded_free(struct b1_embedded *m);
#ifdef BUS1_RFC_DEFECTS
/* How many calls were made that would have crashed a kernel with the RFC's code. */
unsigned int b1_embedded_oopses(const struct b1_embedded *m);
#endif
/* The peer behind a descriptor, for inspection; NULL if there is none. */
struct b1_peer *b1_embedded_peer(const struct b1_embedded *m, int fd);

/**
 * b1_probe() - find out whether a device behaves like the document or like the RFC's code
 * @single: set when arrays can hold only one element, as in the RFC's code
 *
 * Opens a temporary peer, and calls a TRANSFER that only a conforming bus accepts.
 */
int b1_probe(const struct b1_device *dev, bool *single);

/* Describes an error of the bus in words. @r: a negative errno that any call here returned. */
const char *b1_client_error(int r);

struct b1_client;

/**
 * b1_client_open() - open a new peer
 * @dev: the device, which must outlive the client
 * @single: the result of b1_probe()
 */
int b1_client_open(const struct b1_device *dev, bool single, struct b1_client **ret);

/*
 * Uses a peer that somebody else opened. Its ids are not known, so ids that are sent are not
 * checked.
 */
int b1_client_adopt(const struct b1_device *dev, bool single, int fd, struct b1_client **ret);

/* Closes the descriptor too. NULL is allowed. */
void b1_client_close(struct b1_client *c);
int b1_client_fd(const struct b1_client *c);

/* Makes a node of @c, with a handle in @to (which may be @c). */
int b1_client_node(struct b1_client *c, struct b1_client *to, uint64_t *node, uint64_t *handle);

/* Makes a copy of @c's handle in @to. */
int b1_client_give(struct b1_client *c, struct b1_client *to, uint64_t handle, uint64_t *ret);

/* Releases nodes and handles in one transaction. @e: the reason of a failure. */
int b1_client_release(struct b1_client *c, const uint64_t *ids, size_t n, struct err *e);

/**
 * b1_client_send() - one message to several handles
 * @c: the sender
 * @to, @n: the destinations
 * @data, @len: the data
 * @carry, @n_carry: the handles that the message carries
 * @e: the reason of a failure
 */
int b1_client_send(struct b1_client *c, const uint64_t *to, size_t n, const void *data, size_t len,
                   const uint64_t *carry, size_t n_carry, struct err *e);

/**
 * struct b1_received - a message; valid until the next one of the same client
 * @account: BUS1_INVALID when the bus does not report it
 * @lost_ids: how many ids of transfers the bus corrupted; they are not in the array
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

/* Receives the next message. Return: 0; -EAGAIN when there is none. */
int b1_client_recv(struct b1_client *c, struct b1_received *m, struct err *e);

/* Waits up to @timeout_ms for a message and receives it. Return: also -ETIMEDOUT. */
int b1_client_wait(struct b1_client *c, int timeout_ms, struct b1_received *m, struct err *e);
