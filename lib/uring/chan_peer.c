/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Joining a channel and leaving it; what it contains, and who has it open. */
#include <assert.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chan_words.h"

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
        assert(c->sender < 0);
        c->sender = (int)i;
        c->fence = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) < 0;
        return 0;
    }
    return -EUSERS;
}

/* Where a new receiver begins. */
static uint64_t first_position(const struct chan *c)
{
    uint64_t tail = chan_tail(c);

    if (c->delivery == CHAN_BROADCAST)
        return tail - MIN(tail, (uint64_t)c->map.entries);
    return chan_slowest(c, tail);
}

/* Whether this process may run beside another. */
static bool several_processors(void)
{
    cpu_set_t set;

    /* It fails where there are more processors than the set holds. */
    return sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) > 1;
}

static void subscribe(struct chan *c, struct chan_sub *s, uint32_t entry)
{
    uint32_t generation;
    uint32_t limit = LOAD(&c->ctl->sub_limit);

    if (LOAD(&s->id) != 0)
        chan_sub_end(c, s);
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
    chan_fence_senders(c);
    c->head = first_position(c);
    STORE_SC(&s->head, c->head);
    while (limit <= entry && !__atomic_compare_exchange_n(&c->ctl->sub_limit, &limit, entry + 1,
                                                          true, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
        ;
    STORE_SC(&s->id, c->sub_id);
    /* Senders that have not seen the id yet may overwrite what we want: recv_once() notices. */
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
        chan_sub_end(c, &c->ctl->subs[c->sub]);
        chan_unlock(c->ctl_fd, (uint32_t)c->sub);
        chan_wake_set(&c->ctl->wbits, &c->ctl->wgen);
        /* A message that was for us, or that we were woken for, must be taken by another receiver.
         */
        chan_wake_set(&c->ctl->rbits, &c->ctl->rgen);
    }
}

/* ---- looking --------------------------------------------------------------------------------- */

uint32_t chan_sub_id(const struct chan *c)
{
    return c->sub_id;
}

int chan_look(struct chan *c, struct ringmap *map, uint64_t *from, uint64_t *to)
{
    uint64_t tail = chan_tail(c);
    uint64_t first = chan_slowest(c, tail);
    bool receivers = false;

    for (uint32_t i = 0; i < chan_sub_limit(c); i++)
        receivers = receivers || (LOAD(&c->ctl->subs[i].id) && chan_lock_held(c->ctl_fd, i));
    if (c->delivery == CHAN_BROADCAST && !receivers)
        first = tail - MIN(tail, (uint64_t)c->map.entries);
    if (chan_broken(c))
        return -EIO;
    assert(tail - first <= c->map.entries);
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
