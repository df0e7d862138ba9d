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
 * entry declares p, then its owner is dead; nobody will ever complete it, and all who look come to
 * the same verdict at any later time. A live entry that declares p may also be one that lost the
 * race for p, but only until its next instruction. (The order: intent is stored before tail moves,
 * and read after tail; it is overwritten only after seq is, and seq is read again after it.)
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

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chan_handle.h"
#include "macros.h"
#include "timefmt.h"

#define LOAD(p)        __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define LOAD_SC(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define STORE(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define STORE_SC(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)

enum {
    SPINS = 50,
    SPINS_LEAST = 2,
    SPINS_MOST = 1000, /* some 30 us, a few times what it takes to wake a process */
    PROBE_EVERY = 64,  /* waits */
    YIELDS = 2,
    STREAM = 8,   /* so many messages without waiting are a stream */
    LINGER = 128, /* some 2 us */
};

/* Longest sleeps: nothing to do; a claimed slot to watch, or a target to wait for; no room. */
#define SLEEP_IDLE (200 * NSEC_PER_MSEC)
#define SLEEP_BUSY (1 * NSEC_PER_MSEC)
#define SLEEP_FULL (100 * NSEC_PER_MSEC)

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Return: 0, also when nothing was to be waited for; -ETIMEDOUT; -EINTR after a signal. */
static int futex_sleep(uint32_t *word, uint32_t seen, uint32_t bits, uint64_t ns)
{
    struct timespec ts = timefmt_to_timespec(timefmt_now(CLOCK_MONOTONIC) + ns);

    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, &ts, NULL, bits) == 0 || errno == EAGAIN)
        return 0;
    return -errno;
}

static long futex_wake(uint32_t *word, uint32_t bits)
{
    __atomic_fetch_add(word, 1U, __ATOMIC_SEQ_CST);
    return syscall(SYS_futex, word, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, bits);
}

/* A full fence in every process that sends, see above. */
static void fence_senders(struct chan *c)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) < 0)
        STORE_SC(&c->ctl->fences, 1U);
}

static inline uint32_t futex_bit(int entry)
{
    return UINT32_C(1) << (entry % 32);
}

void chan_wake_all(struct chan_ctl *ctl)
{
    __atomic_exchange_n(&ctl->rbits, UINT64_C(0), __ATOMIC_SEQ_CST);
    __atomic_exchange_n(&ctl->wbits, UINT64_C(0), __ATOMIC_SEQ_CST);
    futex_wake(&ctl->rgen, FUTEX_BITSET_MATCH_ANY);
    futex_wake(&ctl->wgen, FUTEX_BITSET_MATCH_ANY);
}

static void wake_all_of(uint64_t *bits, uint32_t *word)
{
    if (__atomic_exchange_n(bits, UINT64_C(0), __ATOMIC_SEQ_CST))
        futex_wake(word, FUTEX_BITSET_MATCH_ANY);
}

static bool chan_broken(const struct chan *c)
{
    return guard_any_broken() && (guard_broken(c->data_file) || guard_broken(c->ctl_file));
}

static uint32_t *ring_word(const struct chan *c, size_t offset)
{
    return (uint32_t *)(void *)(c->data + offset);
}

static uint32_t *tail_word(const struct chan *c)
{
    return ring_word(c, offsetof(struct uring_ipc_ring, producer_tail));
}

/* The tail, in the 64 bits that positions are counted in here. Wrong, with nothing worse to follow
 * than a compare-and-swap that fails, when 2^31 messages pass between the two loads. */
static uint64_t tail_now(const struct chan *c)
{
    uint32_t low = LOAD_SC(tail_word(c));
    uint64_t near = LOAD(&c->ext->tail_near);

    return near + (uint64_t)(int64_t)(int32_t)(low - (uint32_t)near);
}

static void raise_to(uint64_t *word, uint64_t value)
{
    uint64_t seen = LOAD(word);

    while (seen < value && !__atomic_compare_exchange_n(word, &seen, value, true, __ATOMIC_ACQ_REL,
                                                        __ATOMIC_ACQUIRE))
        ;
}

/* ---- who is alive ---------------------------------------------------------------------------- */

/* Whether the owner of a claimed position may still complete it; if not, its pid when known. */
static bool writer_alive(const struct chan *c, uint64_t position, uint32_t *pid)
{
    for (int i = 0; i < CHAN_SENDERS; i++) {
        const struct chan_sender *s = &c->ext->senders[i];

        if (i == c->sender || LOAD(&s->intent) != position + 1)
            continue;
        if (chan_lock_held(c->data_fd, (uint32_t)i))
            return true;
        *pid = LOAD(&s->pid);
    }
    return false;
}

static uint32_t sub_limit(const struct chan *c)
{
    return MIN(LOAD(&c->ctl->sub_limit), (uint32_t)CHAN_SUBS);
}

/* Whether a subscriber id is one that somebody holds. */
static bool sub_alive(const struct chan *c, uint32_t id)
{
    uint32_t i = chan_sub_index(id);

    if (id == 0 || LOAD(&c->ctl->subs[i].id) != id)
        return false;
    return id == c->sub_id || chan_lock_held(c->ctl_fd, i);
}

/* Ends a subscription whose lock we hold. Killed at any point, it can be done again. */
static void sub_end(struct chan *c, struct chan_sub *s)
{
    if (c->delivery == CHAN_UNICAST)
        raise_to(&c->ctl->head, MIN(LOAD(&s->head), tail_now(c)));
    STORE_SC(&s->id, 0U);
    STORE(&s->pid, 0U);
}

/* Reaps dead subscribers that are @lag or more behind. Return: whether there was one. */
static bool reap(struct chan *c, uint64_t tail, uint64_t lag)
{
    bool reaped = false;

    for (uint32_t i = 0; i < sub_limit(c); i++) {
        struct chan_sub *s = &c->ctl->subs[i];

        if ((int)i == c->sub || LOAD(&s->id) == 0 || tail - LOAD(&s->head) < lag)
            continue;
        if (chan_lock_held(c->ctl_fd, i) || !chan_lock(c->ctl_fd, i))
            continue;
        if (LOAD(&s->id) != 0) {
            sub_end(c, s);
            reaped = true;
        }
        chan_unlock(c->ctl_fd, i);
    }
    return reaped;
}

/* ---- room ------------------------------------------------------------------------------------ */

/* The position of the slowest receiver, at most @tail. Heads that cannot be are not heeded. */
static uint64_t slowest(const struct chan *c, uint64_t tail)
{
    uint64_t most = 0, lag;
    bool any = false;

    if (c->delivery != CHAN_MULTICAST) {
        for (uint32_t i = 0; i < sub_limit(c); i++) {
            const struct chan_sub *s = &c->ctl->subs[i];

            if (LOAD_SC(&s->id) == 0)
                continue;
            any = true;
            lag = tail - LOAD_SC(&s->head);
            if (lag <= c->map.entries && lag > most)
                most = lag;
        }
    }
    if (!any && c->delivery != CHAN_BROADCAST) {
        lag = tail - LOAD_SC(&c->ctl->head);
        if (lag <= c->map.entries)
            most = lag;
    }
    return tail - most;
}

/* Whether position @tail may be claimed as far as receivers are concerned. */
static bool has_room(struct chan *c, uint64_t tail)
{
    uint32_t epoch = LOAD_SC(&c->ctl->epoch);

    if (epoch != c->epoch || tail - c->min_head >= c->map.entries) {
        c->epoch = epoch;
        c->min_head = slowest(c, tail);
        __atomic_store_n(ring_word(c, offsetof(struct uring_ipc_ring, consumer_head)),
                         (uint32_t)c->min_head, __ATOMIC_RELAXED);
    }
    return tail - c->min_head < c->map.entries;
}

/* Whether the slot for @tail is done with the position before; @lost when that died unfinished. */
static bool slot_done(const struct chan *c, uint64_t tail, bool *lost)
{
    uint64_t before = tail - c->map.entries;
    uint32_t pid;

    *lost = false;
    if (tail < c->map.entries || ringmap_state(&c->map, (uint32_t)before) != RINGMAP_UNPUBLISHED)
        return true;
    if (writer_alive(c, before, &pid))
        return false;
    *lost = ringmap_state(&c->map, (uint32_t)before) == RINGMAP_UNPUBLISHED;
    return true;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Return: 0; -ENOBUFS when there is no room; -EBUSY when the slot's last sender is not done. */
static int claim(struct chan *c, uint64_t *position)
{
    struct chan_sender *me = &c->ext->senders[c->sender];

    for (;;) {
        uint64_t tail = tail_now(c);
        uint32_t expected = (uint32_t)tail;
        bool lost;

        if (!has_room(c, tail))
            return -ENOBUFS;
        if (!slot_done(c, tail, &lost))
            return tail_now(c) == tail ? -EBUSY : -EAGAIN;
        STORE(&me->intent, tail + 1);
        if (__atomic_compare_exchange_n(tail_word(c), &expected, (uint32_t)tail + 1, false,
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

/* One of those who compete; when it died asleep, the next. */
static void wake_one_receiver(struct chan *c, uint64_t bits, uint64_t position)
{
    while (bits) {
        uint64_t from = bits & (UINT64_MAX << (position % CHAN_SUBS)); /* take turns */
        int entry = __builtin_ctzll(from ? from : bits);
        uint64_t bit = UINT64_C(1) << entry;

        __atomic_fetch_and(&c->ctl->rbits, ~bit, __ATOMIC_SEQ_CST);
        if (futex_wake(&c->ctl->rgen, futex_bit(entry)) > 0)
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
        wake_all_of(&c->ctl->rbits, &c->ctl->rgen);
}

static int send_once(struct chan *c, const void *data, size_t len, uint64_t user_data,
                     uint32_t target)
{
    struct chan_sender *me = &c->ext->senders[c->sender];
    uint64_t position;
    int r;

    if (target && !sub_alive(c, target))
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
    /* Who sleeps before messages for others only must pass them now. */
    wake_all_of(&c->ctl->rbits, &c->ctl->rgen);
    gen = LOAD_SC(&c->ctl->wgen);
    __atomic_fetch_or(&c->ctl->wbits, bit, __ATOMIC_SEQ_CST);
    if (!has_room(c, tail_now(c)) && !LOAD_SC(&c->ctl->destroyed))
        r = futex_sleep(&c->ctl->wgen, gen, futex_bit(c->sender), MIN(ns, SLEEP_FULL));
    __atomic_fetch_and(&c->ctl->wbits, ~bit, __ATOMIC_SEQ_CST);
    return r == -ETIMEDOUT ? 0 : r;
}

/* What is left until the deadline; 0 when it has passed. */
static uint64_t time_left(uint64_t *deadline, uint64_t timeout)
{
    uint64_t now;

    if (timeout == CHAN_FOREVER || timeout == 0)
        return timeout;
    now = timefmt_now(CLOCK_MONOTONIC);
    if (!*deadline)
        *deadline = now + timeout < now ? UINT64_MAX : now + timeout;
    return *deadline > now ? *deadline - now : 0;
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
            cpu_relax();
            continue;
        }
        /* Full: receivers need the processor, and each look at their heads costs them a miss. */
        if (yields < YIELDS && timeout_ns) {
            yields++;
            sched_yield();
            continue;
        }
        if (reap(c, tail_now(c), c->map.entries))
            continue;
        if (chan_unlinked(c))
            return -EIDRM;
        left = time_left(&deadline, timeout_ns);
        if (left == 0)
            return timeout_ns ? -ETIMEDOUT : -ENOBUFS;
        r = wait_for_room(c, r, left);
        if (r < 0)
            return r;
    }
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* Wakes senders when the ring has become half empty. */
static void wake_senders(struct chan *c)
{
    uint64_t tail;

    if (!LOAD_SC(&c->ctl->wbits))
        return;
    tail = tail_now(c);
    if (tail - slowest(c, tail) <= c->map.entries / 2)
        wake_all_of(&c->ctl->wbits, &c->ctl->wgen);
}

/* Whether a head has passed a quarter of the ring: often enough to look for senders. */
static bool at_quarter(const struct chan *c, uint64_t head)
{
    return (head & (MAX(c->map.entries / 4, 1U) - 1)) == 0;
}

/* Moves past a position. Return: whether it was ours to move past. */
static bool advance(struct chan *c, uint64_t position)
{
    uint64_t expected = position;

    if (c->delivery == CHAN_MULTICAST) {
        if (!__atomic_compare_exchange_n(&c->ctl->head, &expected, position + 1, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            return false;
    } else {
        c->head = position + 1;
        if (c->hold)
            return true;
        if (!at_quarter(c, c->head)) {
            STORE(&c->ctl->subs[c->sub].head, c->head);
            return true;
        }
        STORE_SC(&c->ctl->subs[c->sub].head, c->head);
    }
    if (at_quarter(c, position + 1))
        wake_senders(c);
    return true;
}

void chan_hold(struct chan *c)
{
    c->hold = c->delivery != CHAN_MULTICAST;
}

void chan_commit(struct chan *c)
{
    if (!c->hold)
        return;
    STORE_SC(&c->ctl->subs[c->sub].head, c->head);
    wake_senders(c);
}

static void count_lost(struct chan *c, struct chan_got *got, uint64_t n, uint32_t pid)
{
    struct chan_sub *me = &c->ctl->subs[c->sub];

    got->lost += n;
    got->lost_pid = pid;
    __atomic_fetch_add(&me->lost, n, __ATOMIC_RELAXED);
}

/*
 * When @head cannot be: the ring has come round since, or someone wrote nonsense there. Moves on to
 * what is still there. Return: whether it did.
 */
static bool resync(struct chan *c, uint64_t head, struct chan_got *got)
{
    uint64_t tail = tail_now(c);
    uint64_t entries = c->map.entries;
    uint64_t to = head > tail ? tail : tail - entries;

    if (head <= tail && tail - head <= entries)
        return false;
    if (c->delivery == CHAN_MULTICAST) {
        if (!__atomic_compare_exchange_n(&c->ctl->head, &head, to, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_RELAXED))
            return true;
    } else {
        c->head = to;
        STORE_SC(&c->ctl->subs[c->sub].head, to);
    }
    if (!c->fresh && to > head)
        count_lost(c, got, to - head, 0);
    return true;
}

/* Whether the message at hand is to be left for the subscriber that it is for. */
static bool for_other_alive(const struct chan *c, const struct ringmap_msg *msg)
{
    return c->delivery == CHAN_MULTICAST && msg->target != c->sub_id && sub_alive(c, msg->target);
}

enum {
    TRY_AGAIN = 1, /* something was passed over: look at once */
    TRY_SLEEP = 2, /* nothing there */
    TRY_BUSY = 3,  /* something is there, but not yet, or not for us */
};

/* A slot that is claimed and not complete. */
static int try_unpublished(struct chan *c, uint64_t head, bool recover, struct chan_got *got)
{
    uint32_t pid = 0;

    if (tail_now(c) <= head)
        return TRY_SLEEP;
    if (!recover || writer_alive(c, head, &pid) ||
        ringmap_state(&c->map, (uint32_t)head) != RINGMAP_UNPUBLISHED)
        return TRY_BUSY;
    if (advance(c, head))
        count_lost(c, got, 1, pid);
    return TRY_AGAIN;
}

/* Looks at the next position. Return: 0 with a message, -errno, or TRY_... */
static int recv_once(struct chan *c, void *buf, size_t cap, bool recover, struct chan_got *got)
{
    uint64_t head = c->delivery == CHAN_MULTICAST ? LOAD_SC(&c->ctl->head) : c->head;
    int r = ringmap_read(&c->map, (uint32_t)head, buf, cap, &got->msg);
    struct chan_sub *me;
    bool targeted;

    if (r == -EAGAIN)
        return resync(c, head, got) ? TRY_AGAIN : try_unpublished(c, head, recover, got);
    if (r == -ESTALE &&
        (resync(c, head, got) || (c->delivery == CHAN_MULTICAST && LOAD_SC(&c->ctl->head) != head)))
        return TRY_AGAIN; /* in a multicast channel: another was faster */
    if (r < 0) {
        if (advance(c, head))
            count_lost(c, got, 1, 0);
        return -EBADMSG;
    }
    targeted = got->msg.target != 0;
    if (targeted && got->msg.target != c->sub_id) {
        if (for_other_alive(c, &got->msg))
            return TRY_BUSY;
        if (advance(c, head) && c->delivery == CHAN_MULTICAST)
            count_lost(c, got, 1, 0);
        return TRY_AGAIN;
    }
    if (got->msg.len > cap)
        return -EMSGSIZE;
    if (!advance(c, head))
        return TRY_AGAIN;
    if (targeted && c->delivery == CHAN_MULTICAST)
        wake_all_of(&c->ctl->rbits, &c->ctl->rgen); /* they waited for us to take it */
    got->position = head;
    c->fresh = false;
    c->run++;
    me = &c->ctl->subs[c->sub];
    __atomic_store_n(&me->received, __atomic_load_n(&me->received, __ATOMIC_RELAXED) + 1,
                     __ATOMIC_RELAXED);
    return 0;
}

/* Whether a look is worth while: cheap, for spinning. */
static bool seems_ready(const struct chan *c)
{
    uint64_t head = c->delivery == CHAN_MULTICAST ? LOAD(&c->ctl->head) : c->head;

    return ringmap_state(&c->map, (uint32_t)head) != RINGMAP_UNPUBLISHED;
}

/* How often to look the next time, when the @i-th look helped: longer, or by and by less. */
static int spins_after(const struct chan *c, int i)
{
    int wanted = MIN(MAX(4 * i, SPINS), c->spins_most);

    return wanted > c->spins ? wanted : c->spins - (c->spins - wanted) / 8;
}

/*
 * Looks at nothing for a while: in a stream more is about to come, and who takes each message as
 * soon as it is there takes from the sender, each time, the memory that it is writing.
 */
static void linger(const struct chan *c)
{
    for (uint32_t i = MIN((uint32_t)LINGER, c->map.entries / 8); i > 0; i--)
        cpu_relax();
}

/*
 * Spins, and yields when messages have been coming in a stream: the sender may only need the
 * processor to send more. One who waits for an answer sleeps at once, for on a busy machine a yield
 * costs everybody else's turn.
 *
 * How long to spin for an answer is learnt: in vain, half as long the next time, down to hardly
 * any, for where the other side must be woken first it only keeps it from the processor. But two
 * who answer each other from two processors never need to sleep, and find that out when one of them
 * now and then waits as long as waking the other takes. Return: whether something seems to be
 * there.
 */
static bool spin(struct chan *c)
{
    bool stream = c->run >= STREAM;
    bool probe = !stream && c->spins_most > SPINS && ++c->waits % PROBE_EVERY == 0;
    int budget = probe ? c->spins_most : stream ? SPINS : c->spins;

    c->run = 0;
    if (stream)
        linger(c);
    for (int i = 0; i < budget; i++) {
        if (seems_ready(c)) {
            c->spins = spins_after(c, i);
            return true;
        }
        cpu_relax();
    }
    if (!probe && !stream)
        c->spins = MAX(c->spins / 2, SPINS_LEAST);
    for (int i = 0; stream && i < YIELDS; i++) {
        sched_yield();
        if (seems_ready(c))
            return true;
    }
    return false;
}

/* Sets our bit, looks again, sleeps. Return: as recv_once(), or TRY_AGAIN after sleeping. */
static int recv_or_sleep(struct chan *c, void *buf, size_t cap, struct chan_got *got, uint64_t ns)
{
    uint64_t bit = UINT64_C(1) << c->sub;
    uint32_t gen = LOAD_SC(&c->ctl->rgen);
    int r;

    wake_all_of(&c->ctl->wbits, &c->ctl->wgen); /* whatever senders think, there is room */
    __atomic_fetch_or(&c->ctl->rbits, bit, __ATOMIC_SEQ_CST);
    fence_senders(c);
    r = recv_once(c, buf, cap, true, got);
    if (r == TRY_SLEEP || r == TRY_BUSY) {
        uint64_t most = r == TRY_BUSY ? SLEEP_BUSY : SLEEP_IDLE;

        /* Whoever destroys a channel says so, unless it is killed in between. */
        if (r == TRY_SLEEP && (c->idle || LOAD_SC(&c->ctl->destroyed)) && chan_unlinked(c))
            r = -EIDRM;
        else if (ns == 0)
            r = -EAGAIN;
        else
            r = futex_sleep(&c->ctl->rgen, gen, futex_bit(c->sub), MIN(ns, most));
        c->idle = r == -ETIMEDOUT;
        if (c->idle)
            r = 0;
        if (r == 0)
            r = TRY_AGAIN;
    }
    __atomic_fetch_and(&c->ctl->rbits, ~bit, __ATOMIC_SEQ_CST);
    return r;
}

int chan_recv(struct chan *c, void *buf, size_t cap, struct chan_got *got, uint64_t timeout_ns)
{
    uint64_t deadline = 0;

    if (!(c->access & CHAN_RECV))
        return -EACCES;
    got->lost = 0;
    got->lost_pid = 0;
    for (;;) {
        int r = recv_once(c, buf, cap, false, got);

        if (r == TRY_SLEEP || r == TRY_BUSY) {
            if (timeout_ns && spin(c))
                r = TRY_AGAIN;
            else
                r = recv_or_sleep(c, buf, cap, got, time_left(&deadline, timeout_ns));
        }
        if (chan_broken(c))
            return -EIO;
        if (r == -EAGAIN && timeout_ns)
            return -ETIMEDOUT;
        if (r != TRY_AGAIN)
            return r;
    }
}

/* ---- coming and going ------------------------------------------------------------------------ */

int chan_join_senders(struct chan *c)
{
    for (uint32_t i = 0; i < CHAN_SENDERS; i++) {
        struct chan_sender *s = &c->ext->senders[i];

        if (!chan_lock(c->data_fd, i))
            continue;
        STORE(&s->intent, UINT64_C(0));
        __atomic_store_n(&s->sent, UINT64_C(0), __ATOMIC_RELAXED);
        STORE(&s->pid, (uint32_t)getpid());
        c->sender = (int)i;
        c->fence = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) < 0;
        return 0;
    }
    return -EUSERS;
}

/* Where a new receiver begins. */
static uint64_t first_position(const struct chan *c)
{
    uint64_t tail = tail_now(c);

    if (c->delivery == CHAN_BROADCAST)
        return tail - MIN(tail, (uint64_t)c->map.entries);
    return slowest(c, tail);
}

/* Whether this process may run beside another. */
static bool several_processors(void)
{
    cpu_set_t set;

    /* More than the set holds are several. */
    return sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) > 1;
}

static void subscribe(struct chan *c, struct chan_sub *s, uint32_t entry)
{
    uint32_t generation;
    uint32_t limit = LOAD(&c->ctl->sub_limit);

    if (LOAD(&s->id) != 0)
        sub_end(c, s);
    generation = (LOAD(&s->generation) + 1) % (UINT32_MAX / CHAN_SUBS);
    if (generation == 0)
        generation = 1;
    STORE(&s->generation, generation);
    __atomic_store_n(&s->received, UINT64_C(0), __ATOMIC_RELAXED);
    __atomic_store_n(&s->lost, UINT64_C(0), __ATOMIC_RELAXED);
    STORE(&s->pid, (uint32_t)getpid());
    c->sub = (int)entry;
    c->sub_id = generation * CHAN_SUBS + entry;
    c->fresh = true;
    c->spins = SPINS;
    c->spins_most = several_processors() ? SPINS_MOST : SPINS;
    fence_senders(c);
    c->head = first_position(c);
    STORE_SC(&s->head, c->head);
    while (limit <= entry && !__atomic_compare_exchange_n(&c->ctl->sub_limit, &limit, entry + 1,
                                                          true, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
        ;
    STORE_SC(&s->id, c->sub_id);
    /* Senders that have not seen the id yet may pass us: recv_once() finds out. */
    __atomic_fetch_add(&c->ctl->epoch, 1U, __ATOMIC_SEQ_CST);
}

int chan_join_subs(struct chan *c)
{
    for (uint32_t i = 0; i < CHAN_SUBS; i++) {
        if (!chan_lock(c->ctl_fd, i))
            continue;
        subscribe(c, &c->ctl->subs[i], i);
        return 0;
    }
    return -EUSERS;
}

void chan_leave(struct chan *c)
{
    if (c->sender >= 0) {
        STORE(&c->ext->senders[c->sender].intent, UINT64_C(0));
        STORE(&c->ext->senders[c->sender].pid, 0U);
        chan_unlock(c->data_fd, (uint32_t)c->sender);
    }
    if (c->sub >= 0) {
        __atomic_fetch_and(&c->ctl->rbits, ~(UINT64_C(1) << c->sub), __ATOMIC_SEQ_CST);
        sub_end(c, &c->ctl->subs[c->sub]);
        chan_unlock(c->ctl_fd, (uint32_t)c->sub);
        wake_all_of(&c->ctl->wbits, &c->ctl->wgen);
        /* A message that was for us, or that we were woken for, is now for the others. */
        wake_all_of(&c->ctl->rbits, &c->ctl->rgen);
    }
}

/* ---- looking --------------------------------------------------------------------------------- */

uint32_t chan_sub_id(const struct chan *c)
{
    return c->sub_id;
}

int chan_look(struct chan *c, struct ringmap *map, uint64_t *from, uint64_t *to)
{
    uint64_t tail = tail_now(c);
    uint64_t first = slowest(c, tail);
    bool receivers = false;

    for (uint32_t i = 0; i < sub_limit(c); i++)
        receivers = receivers || (LOAD(&c->ctl->subs[i].id) && chan_lock_held(c->ctl_fd, i));
    if (c->delivery == CHAN_BROADCAST && !receivers)
        first = tail - MIN(tail, (uint64_t)c->map.entries);
    if (chan_broken(c))
        return -EIO;
    *map = c->map;
    *from = first;
    *to = tail;
    return 0;
}

struct peer_count {
    uint32_t senders;
    uint32_t receivers;
    uint32_t pids[CHAN_SENDERS + CHAN_SUBS];
    uint32_t processes;
};

static int count_peer(const struct chan_peer *peer, void *ctx)
{
    struct peer_count *n = ctx;

    if (peer->id)
        n->receivers++;
    else
        n->senders++;
    for (uint32_t i = 0; i < n->processes; i++)
        if (n->pids[i] == peer->pid)
            return 0;
    n->pids[n->processes++] = peer->pid;
    return 0;
}

int chan_get_info(struct chan *c, struct chan_info *info)
{
    const struct chan_ext *ext = c->ext;
    struct chan_info got = {
        .id = ext->id,
        .key = ext->key,
        .delivery = c->delivery,
        .entries = c->map.entries,
        .max_msg = c->map.max_msg,
        .mode = c->mode,
        .uid = c->uid,
        .gid = c->gid,
        .creator = ext->creator,
        .created_ns = ext->created_ns,
        .lost = LOAD(&ext->lost),
        .destroyed = chan_unlinked(c),
    };
    struct peer_count n = {0};
    struct ringmap map;
    uint64_t from;
    int r;

    memcpy(got.name, ext->name, sizeof(got.name) - 1);
    chan_visit_peers(c, count_peer, &n);
    r = chan_look(c, &map, &from, &got.tail);
    if (r < 0)
        return r;
    got.waiting = got.tail - from;
    got.senders = n.senders;
    got.receivers = n.receivers;
    got.processes = n.processes;
    *info = got;
    return 0;
}

int chan_visit_peers(struct chan *c, int (*visit)(const struct chan_peer *peer, void *ctx),
                     void *ctx)
{
    int r = 0;

    for (int i = 0; i < CHAN_SENDERS && r == 0; i++) {
        const struct chan_sender *s = &c->ext->senders[i];
        struct chan_peer peer = {.pid = LOAD(&s->pid), .fd = -1, .count = LOAD(&s->sent)};

        if (i == c->sender || chan_lock_held(c->data_fd, (uint32_t)i))
            r = visit(&peer, ctx);
    }
    for (int i = 0; i < CHAN_SUBS && r == 0; i++) {
        const struct chan_sub *s = &c->ctl->subs[i];
        struct chan_peer peer = {
            .pid = LOAD(&s->pid),
            .fd = -1,
            .id = LOAD(&s->id),
            .position = c->delivery == CHAN_MULTICAST ? LOAD(&c->ctl->head) : LOAD(&s->head),
            .count = LOAD(&s->received),
            .lost = LOAD(&s->lost),
        };

        if (peer.id && (i == c->sub || chan_lock_held(c->ctl_fd, (uint32_t)i)))
            r = visit(&peer, ctx);
    }
    return chan_broken(c) && r == 0 ? -EIO : r;
}
