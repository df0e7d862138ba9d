/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two files of an embedded channel, as its processes share them.
 *
 * ID ("data"): the mapping of uring_ipc_abi.h, then, at the next page, struct chan_ext. Receivers
 * map it read-only, so that a process that may only receive can change nothing in it.
 * ID.ctl ("control"): struct chan_ctl, which everybody writes who may send or receive.
 *
 * Fields that change are accessed only by the __atomic builtins.
 */
#pragma once

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHAN_VERSION = 2,
    CHAN_SENDERS = 64, /* handles that may send, and the same for receiving: bits of a u64 */
    CHAN_SUBS = 64,
    CHAN_LINE = 128, /* two cache lines, since processors fetch them in pairs */
};

#define CHAN_EXT_MAGIC UINT64_C(0x3174786563706962) /* "bipcext1" */
#define CHAN_CTL_MAGIC UINT64_C(0x316c746363706962) /* "bipcctl1" */

/* A handle that may send. Its owner holds the lock on this byte of the data file. */
struct chan_sender {
    alignas(64) uint64_t intent; /* position + 1 that it may be claiming or writing; 0: none */
    uint64_t sent;
    uint32_t pid;     /* for people; 0: not in use */
    uint32_t forever; /* for people: it last went to sleep without a timeout */
};

struct chan_ext {
    uint64_t magic;
    uint32_t version;
    uint32_t id;
    uint64_t key;
    uint64_t created_ns;                   /* CLOCK_REALTIME */
    uint32_t delivery;                     /* enum chan_delivery */
    uint32_t creator;                      /* pid */
    char name[64];                         /* what the key was made from; "": nothing */
    alignas(CHAN_LINE) uint64_t tail_near; /* positions ever claimed, or nearly so many */
    uint64_t lost;                         /* slots found whose sender died while it wrote them */
    alignas(CHAN_LINE) struct chan_sender senders[CHAN_SENDERS];
};

/* A handle that may receive. Its owner holds the lock on this byte of the control file. */
struct chan_sub {
    alignas(CHAN_LINE) uint64_t head; /* next position it wants (unicast, broadcast) */
    uint32_t id;                      /* subscriber id; 0: not subscribed */
    uint32_t generation;              /* of the id, counts up with each use of the entry */
    uint32_t pid;                     /* for people */
    uint32_t forever;                 /* for people: it last went to sleep without a timeout */
    uint64_t received;
    uint64_t lost;
};

struct chan_ctl {
    uint64_t magic;
    uint32_t version;
    uint32_t id;
    alignas(CHAN_LINE) uint32_t destroyed; /* a hint to look whether the name has gone */
    uint32_t epoch;                        /* changes when someone subscribes: senders look again */
    uint32_t sub_limit;                    /* entries of subs from here on were never used */
    uint32_t fences;                       /* a receiver has no membarrier(): senders must fence */
    alignas(CHAN_LINE) uint64_t rbits;     /* which of subs sleep */
    uint32_t rgen;                         /* what receivers sleep on */
    alignas(CHAN_LINE) uint64_t wbits;     /* which of the senders sleep */
    uint32_t wgen;                         /* what senders sleep on */
    alignas(CHAN_LINE) uint64_t head;      /* multicast: next position; unicast: first unreceived */
    struct chan_sub subs[CHAN_SUBS];
};

/* Processes of different builds share them. */
#define CHAN_AT(type, field, off) \
    _Static_assert(offsetof(type, field) == (off), #type "." #field " is at " #off)

CHAN_AT(struct chan_sender, intent, 0);
CHAN_AT(struct chan_sender, sent, 8);
CHAN_AT(struct chan_sender, pid, 16);
CHAN_AT(struct chan_sender, forever, 20);
_Static_assert(sizeof(struct chan_sender) == 64, "a sender is a cache line");
CHAN_AT(struct chan_ext, magic, 0);
CHAN_AT(struct chan_ext, version, 8);
CHAN_AT(struct chan_ext, id, 12);
CHAN_AT(struct chan_ext, key, 16);
CHAN_AT(struct chan_ext, created_ns, 24);
CHAN_AT(struct chan_ext, delivery, 32);
CHAN_AT(struct chan_ext, creator, 36);
CHAN_AT(struct chan_ext, name, 40);
CHAN_AT(struct chan_ext, tail_near, 128);
CHAN_AT(struct chan_ext, lost, 136);
CHAN_AT(struct chan_ext, senders, 256);
_Static_assert(sizeof(struct chan_ext) == 256 + CHAN_SENDERS * 64, "no room is left over");
CHAN_AT(struct chan_sub, head, 0);
CHAN_AT(struct chan_sub, id, 8);
CHAN_AT(struct chan_sub, generation, 12);
CHAN_AT(struct chan_sub, pid, 16);
CHAN_AT(struct chan_sub, forever, 20);
CHAN_AT(struct chan_sub, received, 24);
CHAN_AT(struct chan_sub, lost, 32);
_Static_assert(sizeof(struct chan_sub) == CHAN_LINE, "a subscriber is a pair of cache lines");
CHAN_AT(struct chan_ctl, magic, 0);
CHAN_AT(struct chan_ctl, version, 8);
CHAN_AT(struct chan_ctl, id, 12);
CHAN_AT(struct chan_ctl, destroyed, 128);
CHAN_AT(struct chan_ctl, epoch, 132);
CHAN_AT(struct chan_ctl, sub_limit, 136);
CHAN_AT(struct chan_ctl, fences, 140);
CHAN_AT(struct chan_ctl, rbits, 256);
CHAN_AT(struct chan_ctl, rgen, 264);
CHAN_AT(struct chan_ctl, wbits, 384);
CHAN_AT(struct chan_ctl, wgen, 392);
CHAN_AT(struct chan_ctl, head, 512);
CHAN_AT(struct chan_ctl, subs, 640);

/* How far behind its final value seq is while a sender writes the slot: so far that it is behind
 * for every position that anyone may look for in this slot, and not 2^31, where signs turn. */
#define CHAN_MARK (UINT32_C(1) << 30)

/* Subscriber ids name their entry, and are not used again for 2^26 uses of it. */
static inline uint32_t chan_sub_index(uint32_t id)
{
    return id % CHAN_SUBS;
}
