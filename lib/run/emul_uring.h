/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files that emulate io_uring channels share. The program's rings stay the kernel's: the
 * supervisor looks at what is about to be submitted, does what the kernel cannot, and puts an
 * operation that the kernel has in its place.
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

/* An SQE that was replaced, so that the program's is put back before it is looked at again. */
struct shadow {
    struct io_uring_sqe theirs;
    struct io_uring_sqe ours;
    uint32_t position; /* in the submission queue, when it was replaced */
    bool used;
};

/* Where a ring was seen: a thread and its descriptor. */
struct sighting {
    pid_t tid;
    int fd;
};

/**
 * struct ring - a program's io_uring
 * @next: in the emulator's list
 * @refs: under the emulator's lock
 * @fd: the same open file, ours: of process @holder
 * @flags, @sq_entries, @off: as set up
 * @map, @map_size, @sqes, @sqes_size: the shared memory; NULL when the program has provided it
 * @their_map, @their_sqes: then where it is in the program
 * @seen: some of those that have it, newest first; under the emulator's lock
 * @missed: rounds in which nobody was found to have it
 * @lock: one submission at a time; before all locks of channels
 * @subs: its subscriptions
 * @shadows: one for each SQE, once one was replaced
 * @batch: room for a submission
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
    struct sighting seen[4];
    unsigned int missed;
    pthread_mutex_t lock;
    struct usub *subs;
    struct shadow *shadows;
    struct op *batch;
};

/* An io_uring_setup() whose descriptor has not been seen yet. */
struct pending {
    pid_t process; /* 0: not in use */
    int fd;        /* that it will get, as far as can be told */
    uint32_t entries;
    struct io_uring_params p;
    bool stripped; /* of SQPOLL */
};

enum { PENDING = 128, HINTS = 1024 };

struct uring_emulator {
    struct uchans chans;
    uint64_t tag; /* in SQEs of ours, to know them again */
    struct io_uring_params plain;
    struct io_uring_probe *probe; /* of this kernel */
    pthread_mutex_t lock;         /* of rings, pending, hints */
    struct ring *rings;
    struct pending pending[PENDING];
    unsigned int next_pending;
    unsigned int n_pending;
    struct hint {
        struct sighting at;
        struct ring *ring;
    } hints[HINTS];
    int proc;
    int wake; /* the keeper has something to do */
    bool stopping;
    pthread_t keeper;
    struct lanes *lanes;
};

/* ---- rings (uring_ring.c) ---- */

/* Notes an io_uring_setup() that the kernel is about to do. */
int ring_expect(struct uring_emulator *u, const struct call *c, const struct pending *p);

/* The caller's ring behind @fd, with a reference; NULL when that is none, or not known. */
struct ring *ring_find(struct uring_emulator *u, const struct call *c, int fd);
void ring_unref(struct uring_emulator *u, struct ring *r);

/* Whether @fd of the caller is an io_uring. Return: 1, 0, or -EBADF and the like. */
int ring_is(const struct call *c, int fd);

/* Whether there are rings; whether one has been set up and not been seen. */
bool rings_any(struct uring_emulator *u);
bool rings_pending(struct uring_emulator *u);

/* Whether a ring (or what was one) is where it was seen last. */
bool rings_alive(struct uring_emulator *u, const void *ring);

/* Ends the rings that nobody has any more; @now: without giving them another round. */
void rings_reap(struct uring_emulator *u, bool now);
void rings_free(struct uring_emulator *u);

/* ---- submissions (uring_sq.c) ---- */

/* Does what is to be done of the next @n SQEs. */
void ring_submit(struct uring_emulator *u, struct ring *r, const struct call *c, uint32_t n);

/* ---- operations that begin later (uring_lane.c) ---- */

int lanes_new(struct lanes **ret);
void lanes_free(struct uring_emulator *u);

/* Readable when something was sent later; then to be pumped. */
int lanes_fd(const struct uring_emulator *u);
void lanes_pump_all(struct uring_emulator *u);

/* Sends what waits for room in a channel. */
void lanes_pump(struct uring_emulator *u, struct uchan *chan);

/* A ring has gone. */
void lanes_forget(struct uring_emulator *u, const struct ring *r);

/*
 * Make of an SQE one that does the same when its turn comes. Return: 0; -EMSGSIZE or -ENOBUFS when
 * that cannot be done here.
 */
int lane_send(struct uring_emulator *u, struct ring *r, const struct call *c, struct uchan *chan,
              struct io_uring_sqe *sqe);
int lane_recv(const struct call *c, struct usub *sub, struct io_uring_sqe *sqe);

/* A message that was put aside for a RECV that was then cancelled. Return: as usub_recv(). */
int64_t inbox_recv(struct usub *sub, uint32_t cap, uchan_give_fn give, void *ctx);
void inbox_free(struct usub *sub);

/* ---- subscriptions ---- */

/* The subscription @id of a ring, or NULL. */
struct usub *ring_sub(const struct ring *r, uint32_t id);

/* Whether the caller may send (02) or receive (04). */
bool uchan_allowed(const struct call *c, const struct uchan *chan, uint32_t want);

/* A channel that can be found, with a reference: its owner has been looked for. */
struct uchan *uring_find_channel(struct uring_emulator *u, uint32_t id, uint64_t key);
