/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking into queues whose messages the kernel keeps as struct msg_msg: POSIX and System V ones.
 * What the two kinds share is here: messages, snapshots, and how far a snapshot can be trusted. How
 * a queue is named, opened and asked is the business of lib/pmq and lib/sysv.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errinfo.h"

#define MSGQ_UNKNOWN UINT64_MAX

/**
 * struct msgq_message - one message, borrowed for the time of a visit
 * @index: 0 is the first in the queue's order
 * @priority: of a POSIX message
 * @type: of a System V message; for a POSIX one the same as @priority
 * @length: bytes
 * @data: the payload; NULL when only heads were asked for
 */
struct msgq_message {
    uint64_t index;
    uint32_t priority;
    int64_t type;
    size_t length;
    const void *data;
};

/* Called for each message in the queue's order. A value other than 0 stops the walk and is
 * returned. */
typedef int (*msgq_visit_fn)(const struct msgq_message *m, void *ctx);

/* How far a snapshot can be trusted to show one moment. */
enum msgq_consistency {
    MSGQ_TORN,      /* messages were moving: it may mix moments */
    MSGQ_VERIFIED,  /* two collections agreed to the byte, with an untouched queue between them */
    MSGQ_ATOMIC,    /* taken while the queue was locked */
    MSGQ_EXCLUSIVE, /* nobody else could touch the queue */
};

/* "torn", "verified", "atomic", "exclusive" */
const char *msgq_consistency_name(enum msgq_consistency c);

/**
 * struct msgq_peek_opts - how to peek; all zero: the whole queue, by whatever works
 * @backend: name, or NULL for the first that works; a named one never falls back
 * @force: let the drain backend take a queue that others use
 * @atomic: prefer a locked snapshot where the kernel allows one (touches the access time)
 * @heads: lengths and priorities only, no payload
 * @first: index of the first message that is wanted
 * @count: how many messages are wanted from there on; 0 for all
 * @max_snapshot: bytes that may be held at once; 0 for the default (64 MiB). A larger queue is read
 *   in windows and is MSGQ_TORN
 * @mq_syscall: number of mq_timedreceive2, 0 for the default (IPCBOX_MQ_SYSCALL, or 548)
 * @sample: a struct pmq_queue on which a backend may be tried (nothing in it changes); must outlive
 *   the making of the peeker. NULL: where one is needed, a queue of one byte is made and unlinked
 * at once
 */
struct msgq_peek_opts {
    const char *backend;
    bool force;
    bool atomic;
    bool heads;
    uint64_t first;
    uint64_t count;
    uint64_t max_snapshot;
    long mq_syscall;
    const void *sample;
};

/* A peeker: a backend that was chosen and loaded once, for any number of queues. */
struct msgq_peeker;

void msgq_peeker_free(struct msgq_peeker *p);
void msgq_peeker_freep(struct msgq_peeker **p);

/* The backend's name. */
const char *msgq_peeker_backend(const struct msgq_peeker *p);

/* Why a preferred backend was passed over; "" when the first was taken. */
const char *msgq_peeker_reason(const struct msgq_peeker *p);

/* One queue's messages at one moment. */
struct msgq_snapshot;

/**
 * struct msgq_snapshot_info - what is known before the first message is visited
 * @backend: who took it
 * @consistency: how far it is one moment
 * @tries: collections it took
 * @messages: how many were in the queue, asked for or not; MSGQ_UNKNOWN when it is read in windows
 * @bytes: their payload; MSGQ_UNKNOWN likewise, and where a part was asked for of a backend that
 * reads no more than that
 * @taken: when, ns since 1970
 */
struct msgq_snapshot_info {
    const char *backend;
    enum msgq_consistency consistency;
    unsigned int tries;
    uint64_t messages;
    uint64_t bytes;
    uint64_t taken;
};

/**
 * msgq_peek() - take a snapshot
 * @p: the peeker
 * @queue: the queue, as the peeker's domain knows it; must stay open as long as the snapshot
 * @ret: the snapshot; a peeker may have one at a time
 * @e: why not
 *
 * Callers use pmq_peek() or sysv_peek(), which know the type of @queue.
 */
int msgq_peek(struct msgq_peeker *p, const void *queue, struct msgq_snapshot **ret, struct err *e);
const struct msgq_snapshot_info *msgq_snapshot_info(const struct msgq_snapshot *s);

/* Visits messages in the queue's order. Return: 0, what @visit returned, or -errno with a reason.
 */
int msgq_snapshot_visit(struct msgq_snapshot *s, msgq_visit_fn visit, void *ctx, struct err *e);
void msgq_snapshot_free(struct msgq_snapshot *s);
void msgq_snapshot_freep(struct msgq_snapshot **s);
