/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files that emulate io_uring channels share. The program's rings stay the kernel's. The
 * supervisor looks at the operations that are about to be submitted, does those on channels itself,
 * and puts operations that the kernel knows in their place.
 */
#pragma once

#include <linux/io_uring.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "run_internal.h"
#include "uring_chan.h"

/* Of linux/io_uring.h, where the system's is older. */
enum {
    RING_SETUP_NO_MMAP = 1 << 14,            /* 6.5 */
    RING_SETUP_REGISTERED_FD_ONLY = 1 << 15, /* 6.5 */
    RING_SETUP_NO_SQARRAY = 1 << 16,         /* 6.6 */
    RING_SETUP_KNOWN = (1 << 19) - 1,        /* up to CQE_MIXED (6.18): whose layout is known */
    RING_SETUP_CQE_MIXED = 1 << 18,
    RING_NOP_INJECT_RESULT = 1 << 0, /* 6.10 */
    RING_REGISTER_RESIZE = 33,       /* 6.13 */
    RING_REGISTER_QUERY = 35,        /* 6.18 */
};

/* An SQE that was replaced, and what the program had written, to be put back before its next use.
 */
struct replaced {
    struct io_uring_sqe theirs;
    struct io_uring_sqe ours;
    uint32_t position; /* in the submission queue, when it was replaced */
    bool used;
};

/* A thread and a descriptor of it that is of a ring. */
struct ring_place {
    pid_t tid;
    int fd;
};

/**
 * struct ring - a program's io_uring
 * @next: in the emulator's list
 * @refs: under the emulator's lock
 * @fd: the supervisor's descriptor of it; @holder is the supervisor's pid
 * @flags, @sq_entries, @off: as set up
 * @map, @map_size, @sqes, @sqes_size: the shared memory; NULL when it is the program's own
 * @their_map, @their_sqes: in that case its addresses in the program
 * @seen: some places where it was found, newest first; under the emulator's lock
 * @missed: how often in a row no process was found to have it
 * @lock: held during a submission; taken before all locks of channels
 * @subs: its subscriptions
 * @replaced: an entry for each SQE, allocated when one is replaced for the first time
 * @batch: the SQEs of a submission, while it is looked at
 */
struct ring {
    struct ring *next;
    unsigned int refs;
    int fd;
    pid_t holder;
    uint32_t flags;
    uint32_t sq_entries;
    struct io_sqring_offsets off;
    unsigned char *map;
    size_t map_size;
    unsigned char *sqes;
    size_t sqes_size;
    uint64_t their_map;
    uint64_t their_sqes;
    struct ring_place seen[4];
    unsigned int missed;
    pthread_mutex_t lock;
    struct usub *subs;
    struct replaced *replaced;
    struct op *batch;
};

/* An io_uring_setup() whose descriptor has not been seen yet. */
struct pending {
    pid_t process; /* 0: not in use */
    int fd;        /* the number that it will probably get */
    uint32_t entries;
    struct io_uring_params p;
    bool stripped; /* the flag SQPOLL was taken away */
};

enum { PENDING = 128, HINTS = 1024 };

struct uring_emulator {
    struct uchans chans;
    uint64_t tag; /* marks SQEs that the supervisor wrote */
    struct io_uring_params plain;
    struct io_uring_probe *probe; /* what this kernel supports */
    pthread_mutex_t lock;         /* protects rings, pending and hints */
    struct ring *rings;
    struct pending pending[PENDING];
    unsigned int next_pending;
    unsigned int n_pending;
    struct hint {
        struct ring_place at;
        struct ring *ring;
    } hints[HINTS];
    int proc;
    int wake; /* an eventfd: the background thread has something to do */
    bool stopping;
    pthread_t background;
    struct deferred *deferred;
};

/* ---- rings (uring_ring.c) ---- */

/* Remembers an io_uring_setup() that the kernel is about to do. Return: 0 or -errno. */
int ring_expect(struct uring_emulator *u, const struct call *c, const struct pending *p);

/* The ring that the caller's descriptor @fd is of, with a reference; NULL when it is of none. */
struct ring *ring_find(struct uring_emulator *u, const struct call *c, int fd);
void ring_unref(struct uring_emulator *u, struct ring *r);

/* Whether @fd of the caller is an io_uring. Return: 1, 0, or -EBADF and the like. */
int ring_is(const struct call *c, int fd);

/* Whether there are rings; whether one was set up whose descriptor has not been seen yet. */
bool rings_any(struct uring_emulator *u);
bool rings_pending(struct uring_emulator *u);

/* Whether a ring that may have ended is still where it was seen last. */
bool rings_alive(struct uring_emulator *u, const void *ring);

/* Ends the rings that no process has any more; @now: without waiting for a second look. */
void rings_reap(struct uring_emulator *u, bool now);
void rings_free(struct uring_emulator *u);

/* ---- submissions (uring_sq.c) ---- */

/* Does the operations on channels among the next @n SQEs. */
void ring_submit(struct uring_emulator *u, struct ring *r, const struct call *c, uint32_t n);

/* ---- operations that begin later (uring_deferred.c) ---- */

int deferred_new(struct deferred **ret);
void deferred_free(struct uring_emulator *u);

/* A descriptor that is readable when a deferred message waits; deferred_flush_all() sends it. */
int deferred_fd(const struct uring_emulator *u);
void deferred_flush_all(struct uring_emulator *u);

/* Sends what waits for room in a channel. */
void deferred_flush(struct uring_emulator *u, struct uchan *chan);

/* Told that a ring has gone. */
void deferred_forget(struct uring_emulator *u, const struct ring *r);

/*
 * Turn an SQE into one that the kernel can do when its turn comes, with the same effect. Return: 0;
 * -EMSGSIZE or -ENOBUFS when there is no socket that could carry the message.
 */
int defer_send(struct uring_emulator *u, struct ring *r, const struct call *c, struct uchan *chan,
               struct io_uring_sqe *sqe);
int defer_recv(const struct call *c, struct usub *sub, struct io_uring_sqe *sqe);

/* Receives a message whose RECV was deferred and then cancelled. Return: as usub_recv(). */
int64_t deferred_recv(struct usub *sub, uint32_t cap, uchan_give_fn give, void *ctx);
void deferred_recv_free(struct usub *sub);

/* ---- subscriptions ---- */

/* The subscription @id of a ring, or NULL. */
struct usub *ring_sub(const struct ring *r, uint32_t id);

/* Whether the caller may send (02) or receive (04). */
bool uchan_allowed(const struct call *c, const struct uchan *chan, uint32_t want);

/* The channel with this id or key, with a reference, if its owner still exists; or NULL. */
struct uchan *uring_find_channel(struct uring_emulator *u, uint32_t id, uint64_t key);
