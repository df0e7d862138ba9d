/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls on a bus (bus_monitor.h) as events (bus_event.h): a recording of a bus that does not
 * tell of itself.
 *
 * A call takes effect somewhere between its beginning and its end, so that ends come in another
 * order than effects: a message can be received before its sender's call has ended. An event is
 * told when all that it builds on was told; it is held back while a call that had begun before its
 * end can still bring that.
 *
 * What only the bus knows is missing: what there was before; a peer that is closed, until somebody
 * is told of it; the order of calls that overlap.
 */
#pragma once

#include "bus_event.h"
#include "bus_monitor.h"

struct b1_observer;

/**
 * struct b1_observer_opts - how to observe
 * @rfc: the bus is the RFC's: its notifications tell something else, and no closing is concluded
 * @event: told of each event, which is borrowed; another value than 0 is kept for the caller
 * @oldest: as b1_monitor_oldest()
 * @ctx: first argument of both
 */
struct b1_observer_opts {
    bool rfc;
    int (*event)(void *ctx, const struct b1_event *ev);
    uint64_t (*oldest)(void *ctx);
    void *ctx;
};

int b1_observer_new(const struct b1_observer_opts *opts, struct b1_observer **ret);
/* NULL is fine. What is held back is dropped. */
void b1_observer_free(struct b1_observer *o);

/**
 * b1_observer_call() - a call, or a loss, in the order of the ends
 *
 * Return: 0; what @event returned first when that is not 0; -ENOMEM.
 */
int b1_observer_call(struct b1_observer *o, const struct b1_monitor_event *ev);

/* Tells what is held back when nothing more will come. Return: as b1_observer_call(). */
int b1_observer_end(struct b1_observer *o);

/* How many events could not be explained, by enum b1_unseen. */
uint64_t b1_observer_unseen(const struct b1_observer *o, enum b1_unseen why);
