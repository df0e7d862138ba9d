/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Turns the calls on a bus (bus_monitor.h) into events (bus_event.h). This records a bus that does
 * not report its own events.
 *
 * A call takes effect at some moment between its beginning and its end. A message cannot be
 * received before its SEND began, and what a RELEASE takes away could be used until the RELEASE
 * ended. So a SEND or TRANSFER is recorded at the time of its beginning, a RECV or RELEASE at the
 * time of its end: in this order each call finds the ids that it needs. The order of calls that
 * overlapped is a guess.
 *
 * Only the bus itself knows what there was before the recording, and when a peer was closed. An
 * open is recorded where a peer is first seen, a close where its file is found to be gone.
 */
#pragma once

#include "bus_event.h"
#include "bus_monitor.h"

struct b1_recorder;

/**
 * struct b1_recorder_opts - how to record
 * @event: called with each event, which is borrowed. The first value other than 0 that it returns
 *   is kept for the caller
 * @oldest: as b1_monitor_oldest()
 * @is_open: as b1_monitor_is_open()
 * @now: CLOCK_MONOTONIC
 * @ctx: first argument of all
 */
struct b1_recorder_opts {
    int (*event)(void *ctx, const struct b1_event *ev);
    uint64_t (*oldest)(void *ctx);
    bool (*is_open)(void *ctx, const struct b1_monitor_file *file);
    uint64_t (*now)(void *ctx);
    void *ctx;
};

int b1_recorder_new(const struct b1_recorder_opts *opts, struct b1_recorder **ret);
/* Frees the recorder. Events that it still holds back are dropped. NULL is allowed. */
void b1_recorder_free(struct b1_recorder *r);

/* Takes in a call, or a loss, as the monitor reports it. Return: 0 or -ENOMEM. */
int b1_recorder_call(struct b1_recorder *r, const struct b1_monitor_event *ev);

/**
 * b1_recorder_settle() - report the events that no later event can precede any more
 * @until: CLOCK_MONOTONIC: all calls that ended before this time have been taken in
 *
 * Return: 0; the first value other than 0 that @event returned; -ENOMEM.
 */
int b1_recorder_settle(struct b1_recorder *r, uint64_t until);

/* Looks for peers that were closed. Return: 0 or -ENOMEM. */
int b1_recorder_look(struct b1_recorder *r);

/* Reports the remaining events, when no more calls will come. Return: as b1_recorder_settle(). */
int b1_recorder_end(struct b1_recorder *r);

/* How many events could not be recorded whole, by enum b1_unseen. */
uint64_t b1_recorder_unseen(const struct b1_recorder *r, enum b1_unseen why);
