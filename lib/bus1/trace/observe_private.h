/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The insides of an observer, shared by its files only. */
#pragma once

#include "bus_recorder.h"
#include "mirror.h"

struct held;

struct b1_observer {
    struct b1_observer_opts opts;
    struct b1_mirror mirror;
    struct held *first;
    struct held **last;
    size_t held_bytes;
    uint64_t latest; /* end of a call */
    uint64_t unseen[B1_UNSEENS];
    uint64_t *ids; /* for an event */
    size_t ids_cap;
    uint64_t *handles;
    size_t handles_cap;
    int result; /* the first of opts.event() */
};

/*
 * Who comes first of calls that overlapped, and have all succeeded: those that may have needed what
 * others released; then who released handles, since that is told only while the node is there.
 */
enum b1_rank { RANK_OTHER, RANK_HANDLES, RANK_NODES, RANK_ANY };

enum b1_rank b1_observed_rank(struct b1_observer *o, const struct b1_monitor_event *ev);

/* When a call ended, CLOCK_MONOTONIC; UINT64_MAX when it did not. */
uint64_t b1_observed_end(const struct b1_monitor_event *ev);
bool b1_observed_success(const struct b1_monitor_event *ev);

/* Tells an event, and counts it. Return: 0 or -errno. */
int b1_observed_tell(struct b1_observer *o, struct b1_event ev);

/* Whether all is known that a call builds on; what it does, in any case. */
bool b1_observed_ready(struct b1_observer *o, const struct b1_monitor_event *ev);
int b1_observed_call(struct b1_observer *o, const struct b1_monitor_event *ev);
