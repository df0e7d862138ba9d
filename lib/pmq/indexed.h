/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the backends share that read a queue by index, in several calls: collecting, reading it all
 * a second time to see that nothing moved, and windows for a queue that is too large to hold.
 */
#pragma once

#include "buf.h"
#include "pmq_backend.h"

/**
 * struct pmq_collected - one message of a collection
 * @offset: of its payload in the collection's data
 * @length: bytes
 * @priority: as the kernel told
 */
struct pmq_collected {
    size_t offset;
    uint32_t length;
    uint32_t priority;
};

/* Messages one after the other; @data latches what memory could not hold. */
struct pmq_collection {
    struct buf data;
    struct pmq_collected *v;
    size_t n;
    size_t cap;
};

/**
 * pmq_collection_add() - begin one more message
 * @c: the collection; its payload is what is added to @c->data from now on
 * @priority: of the message
 *
 * Return: 0, -ENOMEM, or -EPROTO for a priority that no message can have.
 */
int pmq_collection_add(struct pmq_collection *c, uint32_t priority);

/* Takes what was added to the data since as the last message's payload. */
void pmq_collection_end(struct pmq_collection *c);

/* Forgets the last message. */
void pmq_collection_drop(struct pmq_collection *c);

struct pmq_indexed;

/**
 * typedef pmq_fetch_fn - read messages from an index on
 * @x: the reader: the queue, its largest message, a scratch buffer
 * @index: first
 * @c: where to add them
 *
 * Return: 1 when at least one was added; 0 when the queue ends before @index; -EAGAIN when the
 * queue changed too often meanwhile (then nothing was added); -errno.
 */
typedef int (*pmq_fetch_fn)(struct pmq_indexed *x, uint64_t index, struct pmq_collection *c,
                            struct err *e);

/**
 * struct pmq_indexed - the state of such a backend
 * @fetch: reads
 * @number: of the system call, where it has one
 * @heads: payloads are not handed out
 * @max: bytes that may be held
 * @fd, @msgsize, @maxmsg: the queue of this snapshot
 * @scratch, @scratch_size: at least @msgsize bytes, for fetch
 * @all: the snapshot
 * @some: what is compared with it; the window
 * @windows: too large: visit reads again, window by window
 */
struct pmq_indexed {
    pmq_fetch_fn fetch;
    long number;
    bool heads;
    uint64_t max;
    int fd;
    size_t msgsize;
    uint64_t maxmsg;
    char *scratch;
    size_t scratch_size;
    struct pmq_collection all;
    struct pmq_collection some;
    bool windows;
};

/* Tries that a fetch makes by itself before it says -EAGAIN. */
enum { PMQ_FETCH_TRIES = 64 };

int pmq_indexed_open(const struct pmq_peek_opts *opts, pmq_fetch_fn fetch,
                     struct pmq_indexed **ret);
int pmq_indexed_snapshot(void *state, const struct pmq_queue *q, struct pmq_snapshot_info *info,
                         struct err *e);
int pmq_indexed_visit(void *state, pmq_visit_fn visit, void *ctx, struct err *e);
void pmq_indexed_release(void *state);
void pmq_indexed_close(void *state);

/**
 * pmq_sample() - a queue to try a call on
 * @opts: its sample is taken
 * @own: receives a descriptor that the caller closes, when there was no sample; else -1
 * @e: why there is none
 *
 * Return: the descriptor to use, or -errno.
 */
int pmq_sample(const struct pmq_peek_opts *opts, int *own, struct err *e);
