/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every send and receive as it happens, or only counted. The kernel side filters, captures and
 * counts what it could not deliver; this side reads.
 *
 *     pmq_follow_new()       load the programs; nothing happens yet
 *     pmq_follow_add()       name a queue (not needed with .all); also later, while it runs
 *     pmq_follow_start()     attach: from here on the whole machine pays for it
 *     poll(pmq_follow_fd())  for POLLIN, together with whatever else is waited for
 *     pmq_follow_read()      visit what has come
 *     pmq_follow_stop()      detach; then pmq_follow_read() until it visits nothing more
 *     pmq_follow_free()
 *
 * Only successful calls are events. Nothing is lost unnoticed: seen + lost is what happened.
 */
#pragma once

#include "pmq.h"

enum pmq_event_kind {
    PMQ_EVENT_SEND,
    PMQ_EVENT_RECEIVE,
    PMQ_EVENT_LOST,      /* only @time and @count: so many events could not be recorded here */
    PMQ_EVENT_UNCOVERED, /* a call by a 32-bit program, which is seen but cannot be decoded: @time,
                            @pid, @tid, @comm; one event a process */
};

enum pmq_event_order {
    PMQ_ORDER_APPROXIMATE, /* @time was taken when the call returned */
    PMQ_ORDER_EXACT,       /* @time was taken while the queue was locked for this message */
};

#define PMQ_PRIO_UNKNOWN UINT32_MAX

/**
 * struct pmq_event - something that happened, borrowed for the time of a visit
 * @kind: what
 * @order: whether the order of @time is that of the queue
 * @time: when, ns since 1970
 * @dev, @ino: the queue's identity, as in struct pmq_attr
 * @label: what to call the queue: as it was added, or with .all its name
 * @cookie: what pmq_follow_add() was given; NULL for a queue found through .all
 * @pid, @tid: who, in the caller's pid namespace; 0 when it is not visible there
 * @comm: the thread's name, hostile bytes included, ended by a NUL
 * @priority: PMQ_PRIO_UNKNOWN where the receiver did not ask and the kernel does not tell
 * @length: bytes of the message
 * @data: the first @captured bytes of it; fewer than @length if the limit was lower, or if the
 *   caller's memory could not be read any more
 * @captured: bytes at @data
 * @blocked: for how long the caller slept in the call, ns; 0: it did not; PMQ_UNKNOWN: the call
 *   had begun before following did
 * @count: for PMQ_EVENT_LOST
 */
struct pmq_event {
    enum pmq_event_kind kind;
    enum pmq_event_order order;
    uint64_t time;
    uint64_t dev;
    uint64_t ino;
    const char *label;
    void *cookie;
    pid_t pid;
    pid_t tid;
    char comm[16];
    uint32_t priority;
    uint64_t length;
    const void *data;
    size_t captured;
    uint64_t blocked;
    uint64_t count;
};

/*
 * A value other than 0 stops the reading after this event and is returned; after PMQ_EVENT_LOST,
 * the event that tells of the loss is still visited.
 */
typedef int (*pmq_event_fn)(const struct pmq_event *ev, void *ctx);

/**
 * struct pmq_follow_opts - what to follow
 * @all: every queue of the caller's IPC namespace that the caller may open for reading, also those
 *   created later
 * @counters_only: no events: only the counters of pmq_follow_counters(). Cheaper
 * @send, @receive: which calls; both false means both
 * @pid: only calls of this process (in the caller's pid namespace); 0 for all
 * @capture: bytes of each payload to keep; 0 for none, UINT64_MAX for all
 * @ring_bytes: memory for events that wait to be read; 0 for the default (16 MiB)
 * @backend: "fexit", "tracepoint", or NULL for the first that works
 */
struct pmq_follow_opts {
    bool all;
    bool counters_only;
    bool send;
    bool receive;
    pid_t pid;
    uint64_t capture;
    uint64_t ring_bytes;
    const char *backend;
};

struct pmq_follow;

/**
 * pmq_follow_new() - load what is needed
 * @opts: copied
 * @ret: the follower
 * @e: why not, with what would help
 *
 * Return: 0; -EPERM (privilege missing), -EOPNOTSUPP (kernel or build lacks it), -EINVAL (no such
 * backend), -ENOMEM, …
 */
int pmq_follow_new(const struct pmq_follow_opts *opts, struct pmq_follow **ret, struct err *e);
void pmq_follow_free(struct pmq_follow *f);
void pmq_follow_freep(struct pmq_follow **f);

/* Whether following can work here and now. Return: 0, or -errno with a reason and a remedy. */
int pmq_follow_probe(const char *backend, struct err *e);

/* Names for .backend and the list of backends, in order of preference, ended by NULL. */
extern const char *const pmq_follow_backends[];

/* "fexit" (knows all priorities, covers 32-bit callers, no cost for other calls) or "tracepoint".
 */
const char *pmq_follow_backend(const struct pmq_follow *f);

/* Why the preferred backend was passed over; "" when it was not. */
const char *pmq_follow_reason(const struct pmq_follow *f);

/**
 * pmq_follow_add() - follow a queue
 * @q: the queue, open for reading: that is the caller's right to see its traffic. It may be closed
 *   afterwards
 * @cookie: given back in each of its events
 *
 * Not together with .all.
 *
 * Return: 0; -ENOSPC when there are too many (4096); …
 */
int pmq_follow_add(struct pmq_follow *f, const struct pmq_queue *q, void *cookie, struct err *e);

int pmq_follow_start(struct pmq_follow *f, struct err *e);

/* Becomes readable when pmq_follow_read() should be called, within some 10 ms of an event. */
int pmq_follow_fd(const struct pmq_follow *f);

/**
 * pmq_follow_read() - visit the events that have come, without waiting; when they are many, some
 * of them: the descriptor is readable again at once
 *
 * Return: 0, what @visit returned, or -errno with a reason. When @visit stopped it, the events that
 * remain are given by the next call.
 */
int pmq_follow_read(struct pmq_follow *f, pmq_event_fn visit, void *ctx, struct err *e);

/* Detaches at once. Events already recorded can still be read. */
void pmq_follow_stop(struct pmq_follow *f);

/* The same from a signal handler; pmq_follow_stop() remains to be called. */
void pmq_follow_cut(struct pmq_follow *f);

/**
 * struct pmq_follow_totals - the account so far
 * @events: sends and receives visited
 * @lost: sends and receives that were announced by PMQ_EVENT_LOST; at most so many, where the
 * kernel did not run a program and nobody can tell for which call
 * @uncovered: calls by 32-bit programs that could not be decoded
 * @span: since pmq_follow_start(), until pmq_follow_stop(), ns
 */
struct pmq_follow_totals {
    uint64_t events;
    uint64_t lost;
    uint64_t uncovered;
    uint64_t span;
};

void pmq_follow_totals(const struct pmq_follow *f, struct pmq_follow_totals *out);

/**
 * struct pmq_counters - what one queue did since pmq_follow_start()
 * @dev, @ino: the queue's identity, as in struct pmq_attr
 * @sent, @received: messages
 * @sent_bytes, @received_bytes: their payload
 * @send_blocked, @receive_blocked: how many of those calls had to sleep
 */
struct pmq_counters {
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
int pmq_follow_counters(struct pmq_follow *f, uint64_t dev, uint64_t ino, struct pmq_counters *out);
