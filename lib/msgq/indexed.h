/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the backends share that read a queue by index, in several calls: collecting, reading
 * everything a second time to see that nothing moved, and windows for a queue that is too large to
 * hold.
 */
#pragma once

#include "buf.h"
#include "msgq_backend.h"

/**
 * struct msgq_collected - one message of a collection
 * @offset: of its payload in the collection's data
 * @length: bytes
 * @type: or priority, as the kernel told
 */
struct msgq_collected {
    size_t offset;
    size_t length;
    int64_t type;
};

/* Messages one after the other; @data latches what memory could not hold. */
struct msgq_collection {
    struct buf data;
    struct msgq_collected *v;
    size_t n;
    size_t cap;
};

/**
 * msgq_collection_add() - begin one more message
 * @c: the collection; its payload is what is added to @c->data from now on
 * @type: of the message, or its priority
 *
 * Return: 0 or -ENOMEM.
 */
int msgq_collection_add(struct msgq_collection *c, int64_t type);

/* Takes what was added to the data since as the last message's payload. */
void msgq_collection_end(struct msgq_collection *c);

/* Forgets the last message. */
void msgq_collection_drop(struct msgq_collection *c);

struct msgq_indexed;

/**
 * typedef msgq_fetch_fn - read messages from an index on
 * @x: the reader: the queue, its largest message, a scratch buffer
 * @index: first
 * @c: where to add them
 *
 * Return: 1 when at least one was added; 0 when the queue ends before @index; -EAGAIN when the
 * queue changed too often meanwhile (then nothing was added); -errno.
 */
typedef int (*msgq_fetch_fn)(struct msgq_indexed *x, uint64_t index, struct msgq_collection *c,
                             struct err *e);

/**
 * struct msgq_moment - what tells that a queue was left alone, as far as that can be seen without
 * touching it
 * @messages: how many there are
 * @bytes: their payload; MSGQ_UNKNOWN where asking would leave a trace
 * @changed: times and the like, in the domain's own way
 */
struct msgq_moment {
    uint64_t messages;
    uint64_t bytes;
    uint64_t changed[4];
};

/**
 * struct msgq_indexed_kind - what depends on the kind of queue
 * @begin: fill in @x's handle, msgsize and maxmsg for @queue. Return: 0 or -errno
 * @look: what it is now; every byte of @m is compared. Return: 0 or -errno
 */
struct msgq_indexed_kind {
    int (*begin)(struct msgq_indexed *x, const void *queue);
    int (*look)(const void *queue, struct msgq_moment *m);
};

/**
 * struct msgq_indexed - the state of such a backend
 * @kind, @fetch: the domain's and the backend's part
 * @opts: as the peeker got them
 * @number: of the system call, where it has one
 * @max: bytes that may be held
 * @handle, @msgsize, @maxmsg: the queue of this snapshot: its descriptor or identifier, limits
 * @want: at most so many messages are asked for in this fetch
 * @scratch, @scratch_size: at least @msgsize bytes, for fetch
 * @all: the snapshot
 * @some: what is compared with it; the window
 * @windows: too large: visit reads again, window by window
 */
struct msgq_indexed {
    const struct msgq_indexed_kind *kind;
    msgq_fetch_fn fetch;
    const struct msgq_peek_opts *opts;
    long number;
    uint64_t max;
    int handle;
    size_t msgsize;
    uint64_t maxmsg;
    uint64_t want;
    char *scratch;
    size_t scratch_size;
    struct msgq_collection all;
    struct msgq_collection some;
    bool windows;
};

/* Tries that a fetch makes by itself before it says -EAGAIN. */
enum { MSGQ_FETCH_TRIES = 64 };

int msgq_indexed_open(const struct msgq_indexed_kind *kind, const struct msgq_peek_opts *opts,
                      msgq_fetch_fn fetch, struct msgq_indexed **ret);
int msgq_indexed_snapshot(void *state, const void *queue, struct msgq_snapshot_info *info,
                          struct err *e);
int msgq_indexed_visit(void *state, msgq_visit_fn visit, void *ctx, struct err *e);
void msgq_indexed_release(void *state);
void msgq_indexed_close(void *state);
