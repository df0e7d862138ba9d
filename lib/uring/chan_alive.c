/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which senders and receivers of a channel are alive, and how far the slowest receiver is. */
#include <assert.h>

#include "chan_words.h"

bool chan_writer_alive(const struct chan *c, uint64_t position, uint32_t *pid)
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

bool chan_sub_alive(const struct chan *c, uint32_t id)
{
    uint32_t i = chan_sub_index(id);

    if (id == 0 || LOAD(&c->ctl->subs[i].id) != id)
        return false;
    return id == c->sub_id || chan_lock_held(c->ctl_fd, i);
}

void chan_sub_end(struct chan *c, struct chan_sub *s)
{
    if (c->delivery == CHAN_UNICAST)
        chan_raise(&c->ctl->head, MIN(LOAD(&s->head), chan_tail(c)));
    STORE_SC(&s->id, 0U);
    STORE(&s->pid, 0U);
}

bool chan_reap(struct chan *c, uint64_t tail, uint64_t lag)
{
    bool reaped = false;

    for (uint32_t i = 0; i < chan_sub_limit(c); i++) {
        struct chan_sub *s = &c->ctl->subs[i];

        if ((int)i == c->sub || LOAD(&s->id) == 0 || tail - LOAD(&s->head) < lag)
            continue;
        if (chan_lock_held(c->ctl_fd, i) || !chan_lock(c->ctl_fd, i))
            continue;
        if (LOAD(&s->id) != 0) {
            chan_sub_end(c, s);
            reaped = true;
        }
        chan_unlock(c->ctl_fd, i);
    }
    return reaped;
}

uint64_t chan_slowest(const struct chan *c, uint64_t tail)
{
    uint64_t most = 0, lag;
    bool any = false;

    if (c->delivery != CHAN_MULTICAST) {
        for (uint32_t i = 0; i < chan_sub_limit(c); i++) {
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
    assert(most <= c->map.entries); /* whatever the heads say */
    return tail - most;
}
