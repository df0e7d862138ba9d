/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Using a message queue, of POSIX or of System V, in one way: make it, send, receive, ask how full
 * it is, change it, remove it. Everything happens with the rights of the caller's real user.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "errinfo.h"
#include "pmq.h"
#include "sysv.h"

/**
 * struct mqio_ref - how a user names a queue of either kind
 * @is_sysv: @sysv counts, else @posix
 */
struct mqio_ref {
    bool is_sysv;
    struct pmq_ref posix;
    struct sysv_ref sysv;
};

enum { MQIO_REF_SIZE = PMQ_REF_SIZE };

/* Return: 0, or what pmq_ref_parse() and sysv_ref_parse() return, with a reason. */
int mqio_ref_parse(const char *text, struct mqio_ref *out, struct err *e);
void mqio_ref_format(const struct mqio_ref *ref, char out[MQIO_REF_SIZE]);

/* ---- using ---- */

/**
 * struct mqio_message - a message
 * @data: the content, borrowed: of a received one until the next is received
 * @length: bytes
 * @priority: of POSIX
 * @mtype: of System V, 1 or more
 */
struct mqio_message {
    const void *data;
    size_t length;
    uint32_t priority;
    int64_t mtype;
};

/**
 * struct mqio_state - how full a queue is
 * @depth: messages
 * @max_depth: most messages; UINT64_MAX where only bytes count
 * @bytes: in the messages; UINT64_MAX where it is not known
 * @limit: most bytes; UINT64_MAX where only messages count
 */
struct mqio_state {
    uint64_t depth;
    uint64_t max_depth;
    uint64_t bytes;
    uint64_t limit;
};

/* A queue that is in use. */
struct mqio;

enum mqio_use {
    MQIO_SEND, /* takes the right to write */
    MQIO_RECV, /* takes the right to read */
    MQIO_LOOK, /* likewise */
};

/**
 * mqio_open() - begin to use a queue
 * @ref: which; one in another IPC namespace of System V makes the calling thread go there for good
 * @use: what for
 * @ret: the queue; close with mqio_close()
 * @e: why not
 *
 * Return: 0; -ENOENT, -EACCES, -ESRCH, ... with a reason.
 */
int mqio_open(const struct mqio_ref *ref, enum mqio_use use, struct mqio **ret, struct err *e);
void mqio_close(struct mqio *io);
void mqio_closep(struct mqio **io);

/* A descriptor to poll() for messages or room, or -1: then only time shows it. */
int mqio_fd(const struct mqio *io);

/* Bytes of the longest message that may be sent to it. */
uint64_t mqio_max_length(const struct mqio *io);

/**
 * mqio_send() - send a message
 * @m: with @priority or @mtype, whichever counts
 * @wait: while the queue is full; a signal ends it
 * @e: why not
 *
 * Return: 0; -EAGAIN (full), -EINTR, -EMSGSIZE (it will never fit), -ENOENT (removed), ...
 */
int mqio_send(struct mqio *io, const struct mqio_message *m, bool wait, struct err *e);

/**
 * struct mqio_want - which message to receive, of System V
 * @type: 0 for the next; N for the next of that type; -N for the lowest type up to N
 * @except: the next that is not of @type, which is above 0
 */
struct mqio_want {
    int64_t type;
    bool except;
};

/**
 * mqio_recv() - take a message
 * @want: NULL: the next
 * @m: it
 * @wait: while there is none; a signal ends it
 * @e: why not
 *
 * Return: 0; -EAGAIN (none), -EINTR, -ENOENT (removed), ... With an error nothing was taken.
 */
int mqio_recv(struct mqio *io, const struct mqio_want *want, struct mqio_message *m, bool wait,
              struct err *e);

/* Return: 0 or -errno, as above. */
int mqio_get_state(struct mqio *io, struct mqio_state *out, struct err *e);

/* ---- making, changing, removing ---- */

/**
 * struct mqio_make - what a new queue shall be
 * @ref: its name; of System V by key, or with @private
 * @private: of System V without a key
 * @mode: permission bits, as they are: no umask
 * @maxmsg, @msgsize: of POSIX; 0 for the system's default
 * @limit: of System V, bytes; UINT64_MAX for the system's default
 * @exist_ok: one that exists is taken as it is
 */
struct mqio_make {
    struct mqio_ref ref;
    bool private;
    uint32_t mode;
    uint64_t maxmsg;
    uint64_t msgsize;
    uint64_t limit;
    bool exist_ok;
};

/**
 * mqio_make() - make a queue
 * @make: which
 * @id: of System V: its id
 * @e: why not
 *
 * Return: 0, 1 for one that existed, or -errno with a reason; then there is none that was not
 * there.
 */
int mqio_make(const struct mqio_make *make, int *id, struct err *e);

/**
 * struct mqio_change - what to change; UINT32_MAX and UINT64_MAX leave it as it is
 */
struct mqio_change {
    uint32_t uid;
    uint32_t gid;
    uint32_t mode;
    uint64_t limit;
};

/* All of it or nothing. Return: 0 or -errno with a reason. */
int mqio_set(const struct mqio_ref *ref, const struct mqio_change *change, struct err *e);

/* Return: 0 or -errno with a reason. */
int mqio_remove(const struct mqio_ref *ref, struct err *e);
