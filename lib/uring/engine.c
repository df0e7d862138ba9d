/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The embedded channel: sending, receiving, and surviving the death of anyone at any instruction.
 *
 * Positions count messages from 0 in 64 bits; position p lies in slot p mod entries. The tail is
 * the mapping's own word, of 32 bits; ext->tail_near, stored by each sender after it has moved the
 * tail, is at most some messages off and gives the upper bits.
 *
 * A slot, seen from position p, with seq the 32-bit word of its descriptor:
 *
 *     free       p == tail             seq tells of p - entries, or is 0
 *     claimed    p < tail              the same: a sender has won tail p -> p+1 by compare-and-swap
 *     marked     seq == p + 1 - 2^30   the sender is writing it; no position reads as complete
 *     complete   seq == p + 1
 *     lost       claimed or marked, and the sender is dead: it stays so until the ring comes round
 *
 * Who is alive. A handle that may send owns an entry of ext->senders, one that may receive an entry
 * of ctl->subs, by holding the kernel's lock on that byte of the file (an OFD lock). The lock goes
 * when the last thread of the process has stopped using its memory, however it died; no pid is
 * compared, so none can be mistaken when it is used again, seen from another namespace, or hidden.
 *
 * Who owns a slot. A sender stores intent = p + 1 in its entry, then tries the compare-and-swap.
 * Both dying before and dying after it leave a trace that errs on one side only: whoever owns slot
 * p declares p as long as it is not complete. So when p < tail, p is not complete, and no live
 * entry declares p, then its owner is dead: p will never be complete, and every process that looks
 * at it later finds the same. A live entry that declares p may also belong to a sender that lost
 * the race for p, but only until its next instruction. (The order: intent is stored before tail
 * moves, and read after tail; it is overwritten only after seq is, and seq is read again after it.)
 * An entry taken over from a dead sender may show the old intent for a moment; then it counts as
 * alive, and the verdict is a moment late.
 *
 * Receivers skip a lost slot, each for itself (they cannot write to the data file), and count it.
 * A sender that comes round to slot p claims it only when p - entries is complete or lost: two
 * senders are never in one slot, whatever the heads say.
 *
 * Room. A sender needs tail - head < entries for the head of every subscriber (unicast, broadcast)
 * or the common one (multicast). A subscriber that holds it back is reaped when its lock is free,
 * by whoever gets the lock. In a unicast channel its head survives in ctl->head: what it had not
 * received waits for the next one.
 *
 * Receiving is complete when head moves. In a multicast channel the message is copied first and
 * then won by compare-and-swap: killed before, it is still there; killed after, it was received.
 *
 * Hostile parties. Receivers write the control file: heads, ids, wake-up words. With wrong ones
 * they stall a channel or get messages overwritten; a reader notices (seq is looked at again after
 * the copy) and nobody reads anything torn. Senders write the data file too. They can send
 * garbage, but every number is bounded where it is used, and a file cut short raises no signal
 * (guard.h). A process that is stopped, not dead, between claim and completion is waited for.
 *
 * Waiting: look, spin a little (receivers), yield twice in a stream, then sleep on a futex.
 * Sleepers set their bit, look again, and sleep; whoever makes progress looks at the bits after it
 * (both sequentially consistent, so one of them sees the other), clears them and wakes. Senders are
 * woken when the ring is half empty. All sleeps are bounded, which heals what the death of a waker
 * leaves undone.
 *
 * The fence that a sender needs between a message and its look at the bits is what a message costs
 * most. So the receiver that is about to sleep does it for all senders, with membarrier(), between
 * its bit and its last look. Senders who could not register for that do their own, and all do when
 * a receiver cannot call it (ctl->fences).
 */
#include "engine.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "chan_words.h"

/* Whether no receiver stands in the way of claiming position @tail. */
static bool has_room(struct chan *c, uint64_t tail)
{
    uint32_t epoch = LOAD_SC(&c->ctl->epoch);

    if (epoch != c->epoch || tail - c->min_head >= c->map.entries) {
        c->epoch = epoch;
        c->min_head = chan_slowest(c, tail);
        __atomic_store_n(chan_ring_word(c, offsetof(struct uring_ipc_ring, consumer_head)),
                         (uint32_t)c->min_head, __ATOMIC_RELAXED);
    }
    return tail - c->min_head < c->map.entries;
}

/* Whether the slot for @tail can be written: its last message is complete, or (@lost) its sender
 * died. */
static bool slot_done(const struct chan *c, uint64_t tail, bool *lost)
{
    uint64_t before = tail - c->map.entries;
    uint32_t pid;

    *lost = false;
    if (tail < c->map.entries || ringmap_state(&c->map, (uint32_t)before) != RINGMAP_UNPUBLISHED)
        return true;
    if (chan_writer_alive(c, before, &pid))
        return false;
    *lost = ringmap_state(&c->map, (uint32_t)before) == RINGMAP_UNPUBLISHED;
    return true;
}

/* Return: 0; -ENOBUFS when there is no room; -EBUSY when the slot's last sender is not done. */
static int claim(struct chan *c, uint64_t *position)
{
    struct chan_sender *me = &c->ext->senders[c->sender];

    for (;;) {
        uint64_t tail = chan_tail(c);
        uint32_t expected = (uint32_t)tail;
        bool lost;

        if (!has_room(c, tail))
            return -ENOBUFS;
        if (!slot_done(c, tail, &lost))
            return chan_tail(c) == tail ? -EBUSY : -EAGAIN;
        STORE(&me->intent, tail + 1);
        assert(tail - c->min_head < c->map.entries);
        if (__atomic_compare_exchange_n(chan_tail_word(c), &expected, (uint32_t)tail + 1, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
            __atomic_store_n(&c->ext->tail_near, tail + 1, __ATOMIC_RELAXED);
            if (lost)
                __atomic_fetch_add(&c->ext->lost, UINT64_C(1), __ATOMIC_RELAXED);
            *position = tail;
            return 0;
        }
        STORE(&me->intent, UINT64_C(0));
    }
}

static void publish(struct chan *c, uint64_t position, const void *data, size_t len,
                    uint64_t user_data, uint32_t target)
{
    size_t slot = (size_t)(position & (c->map.entries - 1));
    struct uring_ipc_desc *d = (void *)(c->data +
                                        ringmap_desc_offset(c->map.entries, (uint32_t)position));
    uint32_t seq = (uint32_t)position + 1;

    __atomic_store_n(&d->seq, seq - CHAN_MARK, __ATOMIC_RELAXED);
    ringmap_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&d->offset, (uint64_t)slot * c->map.max_msg, __ATOMIC_RELAXED);
    __atomic_store_n(&d->len, (uint32_t)len, __ATOMIC_RELAXED);
    __atomic_store_n(&d->msg_id, seq - 1 + URING_IPC_FIRST_MSG_ID, __ATOMIC_RELAXED);
    __atomic_store_n(&d->sender_data, user_data, __ATOMIC_RELAXED);
    __atomic_store_n(&d->pad, target, __ATOMIC_RELAXED);
    ringmap_copy(c->data + c->map.data + slot * c->map.max_msg, data, len);
    if (c->fence || LOAD(&c->ctl->fences)) {
        STORE_SC(&d->seq, seq);
    } else {
        STORE(&d->seq, seq);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }
}

/* Wakes one of the competing receivers; if it was killed in its sleep, another. */
static void wake_one_receiver(struct chan *c, uint64_t bits, uint64_t position)
{
    while (bits) {
        uint64_t from = bits & (UINT64_MAX << (position % CHAN_SUBS)); /* take turns */
        int entry = __builtin_ctzll(from ? from : bits);
        uint64_t bit = UINT64_C(1) << entry;

        __atomic_fetch_and(&c->ctl->rbits, ~bit, __ATOMIC_SEQ_CST);
        if (chan_futex_wake(&c->ctl->rgen, chan_futex_bit(entry)) > 0)
            return;
        bits &= ~bit;
    }
}

static void wake_receivers(struct chan *c, uint32_t target, uint64_t position)
{
    uint64_t bits = LOAD_SC(&c->ctl->rbits);

    if (!bits)
        return;
    if (c->delivery == CHAN_MULTICAST && !target)
        wake_one_receiver(c, bits, position);
    else if (target && !(bits & (UINT64_C(1) << chan_sub_index(target))))
        return;
    else
        chan_wake_set(&c->ctl->rbits, &c->ctl->rgen);
}

static int send_once(struct chan *c, const void *data, size_t len, uint64_t user_data,
                     uint32_t target)
{
    struct chan_sender *me = &c->ext->senders[c->sender];
    uint64_t position;
    int r;

    if (target && !chan_sub_alive(c, target))
        return -ENOENT;
    do
        r = claim(c, &position);
    while (r == -EAGAIN);
    if (r < 0)
        return r;
    publish(c, position, data, len, user_data, target);
    __atomic_store_n(&me->sent, me->sent + 1, __ATOMIC_RELAXED);
    wake_receivers(c, target, position);
    return 0;
}

/* Sleeps until there may be room. Return: 0 or -EINTR. */
static int wait_for_room(struct chan *c, int why, uint64_t ns)
{
    uint64_t bit = UINT64_C(1) << c->sender;
    uint32_t gen;
    int r = 0;

    if (why == -EBUSY) {
        struct timespec ts = timefmt_to_timespec(MIN(ns, SLEEP_BUSY));

        return nanosleep(&ts, NULL) < 0 ? -errno : 0;
    }
    /* Receivers that sleep at messages for other subscribers must pass over them now. */
    chan_wake_set(&c->ctl->rbits, &c->ctl->rgen);
    gen = LOAD_SC(&c->ctl->wgen);
    __atomic_fetch_or(&c->ctl->wbits, bit, __ATOMIC_SEQ_CST);
    __atomic_store_n(&c->ext->senders[c->sender].forever, ns == CHAN_FOREVER, __ATOMIC_RELAXED);
    if (!has_room(c, chan_tail(c)) && !LOAD_SC(&c->ctl->destroyed))
        r = chan_sleep(&c->ctl->wgen, gen, chan_futex_bit(c->sender), MIN(ns, SLEEP_FULL));
    __atomic_fetch_and(&c->ctl->wbits, ~bit, __ATOMIC_SEQ_CST);
    return r == -ETIMEDOUT ? 0 : r;
}

int chan_send(struct chan *c, const void *data, size_t len, uint64_t user_data, uint32_t target,
              uint64_t timeout_ns)
{
    uint64_t deadline = 0;
    int yields = 0;

    if (!(c->access & CHAN_SEND))
        return -EACCES;
    if (len > c->map.max_msg)
        return -EMSGSIZE;
    assert(c->sender >= 0 && c->sender < CHAN_SENDERS);
    for (unsigned int tries = 0;; tries++) {
        uint64_t left;
        int r;

        if (LOAD(&c->ctl->destroyed) && chan_unlinked(c))
            return -EIDRM;
        r = send_once(c, data, len, user_data, target);
        if (chan_broken(c))
            return -EIO;
        if (r != -ENOBUFS && r != -EBUSY)
            return r;
        if (r == -EBUSY && tries < SPINS) {
            chan_relax();
            continue;
        }
        /* Full: let the receivers run. Looking at their heads again and again would slow them down.
         */
        if (yields < YIELDS && timeout_ns) {
            yields++;
            sched_yield();
            continue;
        }
        if (chan_reap(c, chan_tail(c), c->map.entries))
            continue;
        if (chan_unlinked(c))
            return -EIDRM;
        left = chan_time_left(&deadline, timeout_ns);
        if (left == 0)
            return timeout_ns ? -ETIMEDOUT : -ENOBUFS;
        r = wait_for_room(c, r, left);
        if (r < 0)
            return r;
    }
}
