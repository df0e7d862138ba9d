/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Receiving from a channel, and how long a receiver looks before it sleeps. */
#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>

#include "chan_words.h"

/* Wakes senders when the ring has become half empty. */
static void wake_senders(struct chan *c)
{
    uint64_t tail;

    if (!LOAD_SC(&c->ctl->wbits))
        return;
    tail = chan_tail(c);
    if (tail - chan_slowest(c, tail) <= c->map.entries / 2)
        chan_wake_set(&c->ctl->wbits, &c->ctl->wgen);
}

/* Whether a head is at a quarter of the ring: so often it is checked whether senders sleep. */
static bool at_quarter(const struct chan *c, uint64_t head)
{
    return (head & (MAX(c->map.entries / 4, 1U) - 1)) == 0;
}

/* Moves past a position. Return: false when another receiver of a multicast channel was faster. */
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
 * Moves on to the oldest message that is still there when @head cannot be right: the ring has come
 * round since, or another process wrote nonsense there. Return: whether it moved.
 */
static bool resync(struct chan *c, uint64_t head, struct chan_got *got)
{
    uint64_t tail = chan_tail(c);
    uint64_t entries = c->map.entries;
    uint64_t to = head > tail ? tail : tail - entries;

    if (head <= tail && tail - head <= entries)
        return false;
    /* There is a message where no sender has been yet: it is the tail that is wrong, and going back
     * to it would never end. */
    if (head > tail && ringmap_state(&c->map, (uint32_t)tail) != RINGMAP_UNPUBLISHED)
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

/* Whether the message is for another subscriber, which has to take it first. */
static bool for_other_alive(const struct chan *c, const struct ringmap_msg *msg)
{
    return c->delivery == CHAN_MULTICAST && msg->target != c->sub_id &&
           chan_sub_alive(c, msg->target);
}

enum {
    TRY_AGAIN = 1, /* a message was passed over: look again at once */
    TRY_SLEEP = 2, /* there is no message */
    TRY_BUSY = 3,  /* the next message is being written, or is for another subscriber */
};

/* Looks at a slot that is not complete. */
static int try_unpublished(struct chan *c, uint64_t head, bool recover, struct chan_got *got)
{
    uint32_t pid = 0;

    if (chan_tail(c) <= head)
        return TRY_SLEEP;
    if (!recover || chan_writer_alive(c, head, &pid) ||
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
        chan_wake_set(&c->ctl->rbits, &c->ctl->rgen); /* the others waited for us to take it */
    assert(c->delivery == CHAN_MULTICAST || c->head == head + 1);
    got->position = head;
    c->fresh = false;
    c->run++;
    me = &c->ctl->subs[c->sub];
    __atomic_store_n(&me->received, __atomic_load_n(&me->received, __ATOMIC_RELAXED) + 1,
                     __ATOMIC_RELAXED);
    return 0;
}

/* Whether there seems to be a message; cheap enough to be asked in a loop. */
static bool seems_ready(const struct chan *c)
{
    uint64_t head = c->delivery == CHAN_MULTICAST ? LOAD(&c->ctl->head) : c->head;

    return ringmap_state(&c->map, (uint32_t)head) != RINGMAP_UNPUBLISHED;
}

/* How often to look the next time, after the @i-th look found a message. */
static int spins_after(const struct chan *c, int i)
{
    int wanted = MIN(MAX(4 * i, SPINS), c->spins_most);

    return wanted > c->spins ? wanted : c->spins - (c->spins - wanted) / 8;
}

/*
 * Waits for a while without looking. In a stream more messages are about to come, and a receiver
 * that takes each as soon as it is there takes the cache line away that the sender is writing.
 */
static void linger(const struct chan *c)
{
    for (uint32_t i = MIN((uint32_t)LINGER, c->map.entries / 8); i > 0; i--)
        chan_relax();
}

/*
 * Spins, and yields the processor when messages have been coming in a stream: the sender may only
 * need the processor to send more. A receiver that waits for an answer does not yield, for on a
 * busy machine a yield lets all other processes run first.
 *
 * How long to spin for an answer is learnt. After spinning in vain it is half as long the next
 * time: where the other side must be woken first, spinning only keeps it from the processor. But
 * two processes that answer each other from two processors need never sleep; they find that out
 * because now and then one of them spins as long as it takes to wake the other. Return: whether
 * there seems to be a message.
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
        chan_relax();
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

    chan_wake_set(&c->ctl->wbits, &c->ctl->wgen); /* we have read everything, so there is room */
    __atomic_fetch_or(&c->ctl->rbits, bit, __ATOMIC_SEQ_CST);
    if (ns)
        chan_fence_senders(c);
    r = recv_once(c, buf, cap, true, got);
    if (r == TRY_SLEEP || r == TRY_BUSY) {
        uint64_t most = r == TRY_BUSY ? SLEEP_BUSY : SLEEP_IDLE;

        __atomic_store_n(&c->ctl->subs[c->sub].forever, c->patient || ns == CHAN_FOREVER,
                         __ATOMIC_RELAXED);
        /* A process that destroys a channel sets this word, unless it is killed in between. */
        if (r == TRY_SLEEP && (c->idle || LOAD_SC(&c->ctl->destroyed)) && chan_unlinked(c))
            r = -EIDRM;
        else if (ns == 0)
            r = -EAGAIN;
        else
            r = chan_sleep(&c->ctl->rgen, gen, chan_futex_bit(c->sub), MIN(ns, most));
        c->idle = r == -ETIMEDOUT;
        if (c->idle)
            r = 0;
        if (r == 0)
            r = TRY_AGAIN;
    }
    __atomic_fetch_and(&c->ctl->rbits, ~bit, __ATOMIC_SEQ_CST);
    return r;
}

void chan_patient(struct chan *c)
{
    c->patient = true;
}

int chan_recv(struct chan *c, void *buf, size_t cap, struct chan_got *got, uint64_t timeout_ns)
{
    uint64_t deadline = 0;

    if (!(c->access & CHAN_RECV))
        return -EACCES;
    assert(c->sub >= 0 && c->sub < CHAN_SUBS && chan_sub_index(c->sub_id) == (uint32_t)c->sub);
    got->lost = 0;
    got->lost_pid = 0;
    for (;;) {
        int r = recv_once(c, buf, cap, false, got);

        if (r == TRY_SLEEP || r == TRY_BUSY) {
            if (timeout_ns && spin(c))
                r = TRY_AGAIN;
            else
                r = recv_or_sleep(c, buf, cap, got, chan_time_left(&deadline, timeout_ns));
        }
        if (chan_broken(c))
            return -EIO;
        if (r == -EAGAIN && timeout_ns)
            return -ETIMEDOUT;
        if (r != TRY_AGAIN)
            return r;
    }
}
