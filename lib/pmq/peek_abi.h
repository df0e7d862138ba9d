/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Between peek.bpf.c and backend_bpf.c: one request at a time in a shared variable, messages in a
 * shared map.
 *
 * The map's first half takes the first collection, the second half the second one. Each is a run of
 * records: struct peek_record, then the payload padded with zeros to 8 bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct peek_record {
    uint64_t address; /* of the message in the kernel: a part of its identity, never shown */
    uint64_t length;
    uint64_t priority;
};

enum peek_status {
    PEEK_DONE,      /* the walk came to the end */
    PEEK_FULL,      /* the next message did not fit */
    PEEK_LOCKED,    /* somebody was changing the queue */
    PEEK_MOVED,     /* what was read cannot be a queue at rest */
    PEEK_NO_QUEUE,  /* the descriptor is none of a queue */
    PEEK_NOT_ASKED, /* nothing has run yet */
};

struct peek_collection {
    uint64_t status; /* enum peek_status */
    uint64_t bytes;  /* of records */
    uint64_t messages;
    uint64_t payload; /* bytes, without padding */
};

struct peek_request {
    /* in */
    uint64_t task; /* for the locked walk: who may trigger it */
    uint64_t skip; /* messages to pass over */
    uint64_t room; /* bytes for each collection, at most half the map */
    uint32_t fd;
    uint32_t heads; /* no payload */
    /* out */
    uint64_t status; /* of the whole: PEEK_DONE, or why there was no collection or why it fails */
    uint64_t inode;
    uint64_t mode;
    uint64_t maxmsg;
    uint64_t msgsize;
    uint64_t curmsgs;
    uint64_t qsize;
    struct peek_collection got[2];
};

_Static_assert(sizeof(struct peek_record) == 24, "the same for both sides");
_Static_assert(offsetof(struct peek_request, fd) == 24, "the same for both sides");
_Static_assert(offsetof(struct peek_request, status) == 32, "the same for both sides");
_Static_assert(offsetof(struct peek_request, got) == 88, "the same for both sides");
_Static_assert(sizeof(struct peek_request) == 152, "the same for both sides");
