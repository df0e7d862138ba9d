/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues over time: how deep they are and have been in the last minute, how much goes in and out,
 * who waits. A look now and then, without a thread and without keeping any queue open: an unlinked
 * queue must not live on because somebody watches it.
 *
 * Counts of messages are exact when there is somebody who counts them (pmq_follow.h). Without, they
 * are what the depth betrays from one look to the next: at least so many.
 */
#pragma once

#include "pmq.h"
#include "pmq_follow.h"
#include "pmq_inspect.h"

enum { PMQ_WATCH_SECONDS = 60 };

/**
 * struct pmq_watched - a queue that is watched
 * @attr: as last seen; @attr.bytes and @attr.notify are unknown
 * @known: its depth can be read; otherwise the counts below are unknown too
 * @holders: descriptors, as of the last look through all processes
 * @senders, @receivers: threads blocked, as of then or, with an inspector, as @attr
 * @holders_complete, @waiters_complete: nobody was hidden from that look
 * @oldest_wait: how long the first of them has been, ns; PMQ_UNKNOWN when nobody is or nobody
 *   knows: without an inspector
 * @sent, @received: messages in the last interval; PMQ_UNKNOWN before the first has ended
 * @interval: how long that was, ns
 * @used, @room: how full it is: messages of those that fit, or where only bytes count, bytes
 * @uncounted: messages of this queue are not counted: the caller may not read it
 */
struct pmq_watched {
    struct pmq_attr attr;
    bool known;
    size_t holders;
    unsigned int senders;
    unsigned int receivers;
    bool holders_complete;
    bool waiters_complete;
    uint64_t oldest_wait;
    uint64_t sent;
    uint64_t received;
    uint64_t interval;
    uint64_t used;
    uint64_t room;
    bool uncounted;
};

/* In @attr.dev of queues that are not of POSIX: those of pmq_more_fn. */
#define PMQ_WATCH_MORE (UINT64_C(1) << 63)

/*
 * Lists queues of another kind, with identities of their own: a new array of @n at @v, to be freed.
 * @waiters: also how many threads are blocked; else the last answer stays. Return: 0 or -errno.
 */
typedef int (*pmq_more_fn)(void *ctx, bool waiters, struct pmq_watched **v, size_t *n);

/* Counts what a queue has done so far, as msgq_follow_counters() does. Return: 0 or -errno. */
typedef int (*pmq_count_fn)(void *ctx, uint64_t dev, uint64_t ino, struct msgq_counters *out);

/**
 * struct pmq_watch_opts - how to watch
 * @sample: look at each queue's depth so often, ns
 * @scan: look through all processes so often, ns
 * @count: who counts messages; NULL for nobody
 * @count_ctx: for @count
 * @inspector: tells who is blocked and for how long; NULL: what /proc knows must do
 * @more, @more_ctx: lists queues of another kind; NULL for none
 * @only_more: no POSIX queues
 *
 * Where a look takes long (thousands of queues or processes) it is taken less often, so that
 * watching never uses more than some two percent of a processor.
 */
struct pmq_watch_opts {
    uint64_t sample;
    uint64_t scan;
    pmq_count_fn count;
    void *count_ctx;
    struct pmq_inspector *inspector;
    pmq_more_fn more;
    void *more_ctx;
    bool only_more;
};

struct pmq_watch;

int pmq_watch_new(const struct pmq_watch_opts *opts, struct pmq_watch **ret);
void pmq_watch_free(struct pmq_watch *w);
void pmq_watch_freep(struct pmq_watch **w);

/**
 * pmq_watch_look() - do what is due
 * @w: the watch
 * @now: CLOCK_MONOTONIC, ns
 * @next: when to come again, by the same clock
 * @e: why the queues could not be listed
 */
int pmq_watch_look(struct pmq_watch *w, uint64_t now, uint64_t *next, struct err *e);

/**
 * pmq_watch_interval() - end an interval and begin the next
 * @w: the watch
 * @now: CLOCK_MONOTONIC, ns
 *
 * Looks at the depths, and makes @sent and @received those of the interval that ends.
 */
int pmq_watch_interval(struct pmq_watch *w, uint64_t now, struct err *e);

/* What the last look through all processes could not see; "" for nothing. */
const char *pmq_watch_note(const struct pmq_watch *w);

/* Whether every queue with a name was listed then. */
bool pmq_watch_names_complete(const struct pmq_watch *w);

/* ---- what to show, and in which order ---- */

enum pmq_watch_key {
    PMQ_WATCH_BY_FILL, /* how full: messages of those that fit */
    PMQ_WATCH_BY_NAME,
    PMQ_WATCH_BY_DEPTH,
    PMQ_WATCH_BY_IN,
    PMQ_WATCH_BY_OUT,
    PMQ_WATCH_BY_BLOCKED,
    PMQ_WATCH_BY_WAIT,
    PMQ_WATCH_N_KEYS,
};

/* "fill", "name", "depth", "in", "out", "blocked", "wait", NULL: in the order of enum
 * pmq_watch_key. */
extern const char *const pmq_watch_key_names[];

/**
 * pmq_watch_select() - the queues to show
 * @w: the watch
 * @by: the order: the most first, names from a to z; equal ones by name
 * @reverse: the other way round
 * @filter: only those whose name contains it, whatever the case; "" for all
 * @v: the queues, valid until the next look
 *
 * Return: how many.
 */
size_t pmq_watch_select(struct pmq_watch *w, enum pmq_watch_key by, bool reverse,
                        const char *filter, const struct pmq_watched ***v);

/* Messages a second in a count over an interval; negative when it is not known. */
double pmq_watch_rate(uint64_t messages, uint64_t interval);

/**
 * pmq_watch_history() - the last minute, squeezed
 * @q: the queue
 * @out: @n values, the oldest first: the deepest the queue was in that part of the minute, in
 *   thousandths of what fits; -1 where it is not known
 * @n: how many parts, 1 to PMQ_WATCH_SECONDS
 */
void pmq_watch_history(const struct pmq_watched *q, int *out, size_t n);

/* The reference by which a queue can be opened. Return: 0, or -ENOENT when nobody has it open. */
int pmq_watch_ref(const struct pmq_watched *q, struct pmq_ref *out);
