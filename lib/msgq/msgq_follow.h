/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every send and receive as it happens, or only counted. The kernel side filters, captures and
 * counts what it could not deliver; this side reads.
 *
 *     pmq_follow_new()        load the programs; nothing happens yet
 *     pmq_follow_add()        name a queue (not needed with .all); also later, while it runs
 *     msgq_follow_start()     attach: from here on the whole machine pays for it
 *     poll(msgq_follow_fd())  for POLLIN, together with whatever else is waited for
 *     msgq_follow_read()      visit what has come
 *     msgq_follow_stop()      detach; then msgq_follow_read() until it visits nothing more
 *     msgq_follow_free()
 *
 * Only successful calls are events. Nothing is lost unnoticed: seen + lost is what happened.
 */
#pragma once

#include <sys/types.h>

#include "msgq.h"

enum msgq_event_kind {
    MSGQ_EVENT_SEND,
    MSGQ_EVENT_RECEIVE,
    MSGQ_EVENT_LOST,      /* only @time and @count: so many events could not be recorded here */
    MSGQ_EVENT_UNCOVERED, /* a call by a 32-bit program, which is seen but cannot be decoded: @time,
                            @pid, @tid, @comm; one event a process */
    MSGQ_EVENT_REMOVE,    /* a System V queue was removed: who and which */
    MSGQ_EVENT_CHANGE,    /* its owner, mode or limit was set: also @known and what follows it */
};

enum msgq_event_order {
    MSGQ_ORDER_APPROXIMATE, /* @time was taken when the call returned */
    MSGQ_ORDER_EXACT,       /* @time was taken while the queue was locked for this message */
};

#define MSGQ_PRIO_UNKNOWN UINT32_MAX

/**
 * struct msgq_event - something that happened, borrowed for the time of a visit
 * @kind: what
 * @order: whether the order of @time is that of the queue
 * @time: when, ns since 1970
 * @sysv: it is a System V queue
 * @dev, @ino: the queue's identity: of System V the inode number of its IPC namespace, and its id;
 *   of POSIX as in the domain's attributes
 * @label: what to call the queue: as it was added, or with .all its name
 * @cookie: what pmq_follow_add() was given; NULL for a queue found through .all
 * @pid, @tid: who, in the caller's pid namespace; 0 when it is not visible there
 * @comm: the thread's name, hostile bytes included, ended by a NUL
 * @priority: MSGQ_PRIO_UNKNOWN where the receiver did not ask and the kernel does not tell
 * @type: of a System V message
 * @length: bytes of the message
 * @data: the first @captured bytes of it; fewer than @length if the limit was lower, or if the
 *   caller's memory could not be read any more
 * @captured: bytes at @data
 * @blocked: for how long the caller slept in the call, ns; 0: it did not; MSGQ_UNKNOWN: the call
 *   had begun before following did
 * @count: for MSGQ_EVENT_LOST
 * @known: the following are what the queue was after MSGQ_EVENT_CHANGE
 * @limit, @uid, @gid, @mode: as in struct sysv_attr
 */
struct msgq_event {
    enum msgq_event_kind kind;
    enum msgq_event_order order;
    uint64_t time;
    bool sysv;
    uint64_t dev;
    uint64_t ino;
    const char *label;
    void *cookie;
    pid_t pid;
    pid_t tid;
    char comm[16];
    uint32_t priority;
    int64_t type;
    uint64_t length;
    const void *data;
    size_t captured;
    uint64_t blocked;
    uint64_t count;
    bool known;
    uint64_t limit;
    uint32_t uid;
    uint32_t gid;
    uint32_t mode;
};

/*
 * A value other than 0 stops the reading after this event and is returned; after MSGQ_EVENT_LOST,
 * the event that tells of the loss is still visited.
 */
typedef int (*msgq_event_fn)(const struct msgq_event *ev, void *ctx);

struct msgq_follow;

/**
 * struct msgq_follow_opts - what to follow
 * @all: every queue of the caller's IPC namespace that the caller may open for reading, also those
 *   created later
 * @counters_only: no events: only the counters of msgq_follow_counters(). Cheaper
 * @send, @receive: which calls; both false means both
 * @pid: only calls of this process (in the caller's pid namespace); 0 for all
 * @capture: bytes of each payload to keep; 0 for none, UINT64_MAX for all
 * @ring_bytes: memory for events that wait to be read; 0 for the default (16 MiB)
 * @backend: "fexit", "tracepoint", or NULL for the first that works
 * @join: another follower, or NULL: reading that one then visits the events of both, in the order in
 *   which they were recorded, and this one is not read. It must be freed before the other
 */
struct msgq_follow_opts {
    bool all;
    bool counters_only;
    bool send;
    bool receive;
    pid_t pid;
    uint64_t capture;
    uint64_t ring_bytes;
    const char *backend;
    struct msgq_follow *join;
};

void msgq_follow_free(struct msgq_follow *f);
void msgq_follow_freep(struct msgq_follow **f);

/* Names for .backend and the list of backends, in order of preference, ended by NULL. */
extern const char *const msgq_follow_backends[];

/* "fexit" (knows all priorities, covers 32-bit callers, no cost for other calls) or "tracepoint".
 */
const char *msgq_follow_backend(const struct msgq_follow *f);

/* Why the preferred backend was passed over; "" when it was not. */
const char *msgq_follow_reason(const struct msgq_follow *f);

int msgq_follow_start(struct msgq_follow *f, struct err *e);

/* Becomes readable when msgq_follow_read() should be called, within some 10 ms of an event. */
int msgq_follow_fd(const struct msgq_follow *f);

/**
 * msgq_follow_read() - visit the events that have come, without waiting; when they are many, some
 * of them: the descriptor is readable again at once
 *
 * Return: 0, what @visit returned, or -errno with a reason. When @visit stopped it, the events that
 * remain are given by the next call.
 */
int msgq_follow_read(struct msgq_follow *f, msgq_event_fn visit, void *ctx, struct err *e);

/* Detaches at once. Events already recorded can still be read. */
void msgq_follow_stop(struct msgq_follow *f);

/* The same from a signal handler; msgq_follow_stop() remains to be called. */
void msgq_follow_cut(struct msgq_follow *f);

/**
 * struct msgq_follow_totals - the account so far
 * @events: sends and receives visited
 * @lost: sends and receives that were announced by MSGQ_EVENT_LOST; at most so many, where the
 * kernel did not run a program and nobody can tell for which call
 * @uncovered: calls by 32-bit programs that could not be decoded
 * @span: since msgq_follow_start(), until msgq_follow_stop(), ns
 */
struct msgq_follow_totals {
    uint64_t events;
    uint64_t lost;
    uint64_t uncovered;
    uint64_t span;
};

void msgq_follow_totals(const struct msgq_follow *f, struct msgq_follow_totals *out);

/**
 * struct msgq_counters - what one queue did since msgq_follow_start()
 * @sysv: it is a System V queue
 * @dev, @ino: the queue's identity: of System V the inode number of its IPC namespace, and its id;
 *   of POSIX as in the domain's attributes
 * @sent, @received: messages
 * @sent_bytes, @received_bytes: their payload
 * @send_blocked, @receive_blocked: how many of those calls had to sleep
 */
struct msgq_counters {
    uint64_t dev;
    uint64_t ino;
    uint64_t sent;
    uint64_t received;
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t send_blocked;
    uint64_t receive_blocked;
};

/* Looks up one queue's counters; they are all zero when nothing happened yet. 0 or -errno. */
int msgq_follow_counters(struct msgq_follow *f, uint64_t dev, uint64_t ino,
                         struct msgq_counters *out);
