/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the shared words of a channel are read and written, for the files of the engine: engine.c
 * explains the algorithm and sends, chan_recv.c receives, chan_alive.c tells who is alive,
 * chan_wait.c sleeps and wakes, chan_peer.c joins and leaves.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "chan_handle.h"
#include "macros.h"
#include "timefmt.h"

#define LOAD(p)        __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define LOAD_SC(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define STORE(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define STORE_SC(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)

/* How to wait. */
enum {
    SPINS = 50,
    SPINS_LEAST = 2,
    SPINS_MOST = 1000, /* some 30 us, a few times what it takes to wake a process */
    PROBE_EVERY = 64,  /* waits */
    YIELDS = 2,
    STREAM = 8,   /* so many messages without waiting are a stream */
    LINGER = 128, /* some 2 us */
};

/* Longest sleeps: for any message; for a slot being written or a target; for room. */
#define SLEEP_IDLE (200 * NSEC_PER_MSEC)
#define SLEEP_BUSY (1 * NSEC_PER_MSEC)
#define SLEEP_FULL (100 * NSEC_PER_MSEC)

static inline void chan_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline uint32_t chan_futex_bit(int entry)
{
    return UINT32_C(1) << (entry % 32);
}

static inline bool chan_broken(const struct chan *c)
{
    return guard_any_broken() && (guard_broken(c->data_file) || guard_broken(c->ctl_file));
}

static inline uint32_t *chan_ring_word(const struct chan *c, size_t offset)
{
    return (uint32_t *)(void *)(c->data + offset);
}

static inline uint32_t *chan_tail_word(const struct chan *c)
{
    return chan_ring_word(c, offsetof(struct uring_ipc_ring, producer_tail));
}

/* The tail, in the 64 bits that positions are counted in here. Wrong, with nothing worse to follow
 * than a compare-and-swap that fails, when 2^31 messages pass between the two loads. It would not
 * fail for a sender that was stopped before it while a multiple of exactly 2^32 passed. */
static inline uint64_t chan_tail(const struct chan *c)
{
    uint32_t low = LOAD_SC(chan_tail_word(c));
    uint64_t near = LOAD(&c->ext->tail_near);

    return near + (uint64_t)(int64_t)(int32_t)(low - (uint32_t)near);
}

static inline void chan_raise(uint64_t *word, uint64_t value)
{
    uint64_t seen = LOAD(word);

    while (seen < value && !__atomic_compare_exchange_n(word, &seen, value, true, __ATOMIC_ACQ_REL,
                                                        __ATOMIC_ACQUIRE))
        ;
}

static inline uint32_t chan_sub_limit(const struct chan *c)
{
    return MIN(LOAD(&c->ctl->sub_limit), (uint32_t)CHAN_SUBS);
}

/* Whether the owner of a claimed position may still complete it; if not, its pid when known. */
bool chan_writer_alive(const struct chan *c, uint64_t position, uint32_t *pid);

/* Whether a subscriber id is one that somebody holds. */
bool chan_sub_alive(const struct chan *c, uint32_t id);

/* Ends a subscription whose lock we hold. If we are killed meanwhile it can be done again. */
void chan_sub_end(struct chan *c, struct chan_sub *s);

/* Reaps dead subscribers that are @lag or more behind. Return: whether there was one. */
bool chan_reap(struct chan *c, uint64_t tail, uint64_t lag);

/* The position of the slowest receiver, at most @tail. Heads that cannot be are not heeded. */
uint64_t chan_slowest(const struct chan *c, uint64_t tail);

/* Return: 0, also when nothing was to be waited for; -ETIMEDOUT; -EINTR after a signal. */
int chan_sleep(uint32_t *word, uint32_t seen, uint32_t bits, uint64_t ns);

/* Return: how many were woken. */
long chan_futex_wake(uint32_t *word, uint32_t bits);

/* Wakes everyone whose bit is set. */
void chan_wake_set(uint64_t *bits, uint32_t *word);

/* A full fence in every process that sends, see engine.c. */
void chan_fence_senders(struct chan *c);

/* What is left until the deadline, which is set the first time; 0 when it has passed. */
uint64_t chan_time_left(uint64_t *deadline, uint64_t timeout);
