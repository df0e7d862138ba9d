/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Between a domain's peek.bpf.c and walk.c: one request at a time in a shared variable, messages in
 * a shared map.
 *
 * The map's first half takes the first collection, the second half the second one. Each is a run of
 * records: the head, which begins with struct walk_record, then the payload padded with zeros to 8
 * bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The first fields; the rest of its head (struct walk_request) is the kernel's own, and only
 * compared. */
struct walk_record {
    uint64_t address; /* of the message in the kernel: a part of its identity, never shown */
    uint64_t length;
    uint64_t type; /* or priority */
};

enum walk_status {
    WALK_DONE,      /* the walk came to the end */
    WALK_ENOUGH,    /* as many messages as were asked for */
    WALK_FULL,      /* the next message did not fit */
    WALK_LOCKED,    /* somebody was changing the queue */
    WALK_MOVED,     /* what was read cannot be a queue at rest */
    WALK_NO_QUEUE,  /* the descriptor or identifier is not that of a queue */
    WALK_NOT_ASKED, /* nothing has run yet */
};

struct walk_collection {
    uint64_t status; /* enum walk_status */
    uint64_t bytes;  /* of records */
    uint64_t messages;
    uint64_t payload; /* bytes, without padding */
};

/* A domain's request begins with this. */
struct walk_request {
    /* in */
    uint64_t task;  /* for the locked walk: the task that may trigger it */
    uint64_t first; /* messages to pass over */
    uint64_t count; /* messages to collect at most */
    uint64_t room;  /* bytes for each collection, at most half the map */
    uint64_t heads; /* no payload */
    /* out */
    uint64_t status;   /* of the whole: WALK_DONE, or why there was no collection or why it fails */
    uint64_t maxmsg;   /* messages that the queue can hold */
    uint64_t msgsize;  /* bytes that a message can have */
    uint64_t messages; /* in the queue */
    uint64_t bytes;    /* their payload */
    uint64_t head;     /* bytes of a record without its payload */
    struct walk_collection got[2];
};

/* Read-only data, set before loading: the verifier needs constants to bound what is written. */
struct walk_config {
    uint64_t map_mask;  /* bytes of both halves - 1; a power of two - 1 */
    uint64_t page_mask; /* page size - 1 */
};

_Static_assert(sizeof(struct walk_record) == 24, "the same for both sides");
_Static_assert(offsetof(struct walk_request, status) == 40, "the same for both sides");
_Static_assert(offsetof(struct walk_request, got) == 88, "the same for both sides");
_Static_assert(sizeof(struct walk_request) == 152, "the same for both sides");
_Static_assert(sizeof(struct walk_config) == 16, "the same for both sides");
