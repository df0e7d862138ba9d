/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In which order calls are told: the ends of those that overlap say little. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "macros.h"
#include "observe_private.h"
#include "timefmt.h"

enum {
    HOLD_NS = 1000 * 1000 * 1000, /* a call that hangs holds the others back so long */
    HOLD_BYTES = 64 << 20,
};

/* A call that waits for what it builds on; its memory follows. */
struct held {
    struct held *next;
    struct b1_monitor_event ev;
    size_t size;
};

int b1_observer_new(const struct b1_observer_opts *opts, struct b1_observer **ret)
{
    struct b1_observer *o = calloc(1, sizeof(*o));

    if (!o)
        return -ENOMEM;
    o->opts = *opts;
    o->last = &o->first;
    *ret = o;
    return 0;
}

static void held_drop(struct b1_observer *o, struct held **at)
{
    struct held *h = *at;

    *at = h->next;
    if (!*at)
        o->last = at;
    o->held_bytes -= h->size;
    free(h);
}

void b1_observer_free(struct b1_observer *o)
{
    if (!o)
        return;
    while (o->first)
        held_drop(o, &o->first);
    b1_mirror_done(&o->mirror);
    free(o->ids);
    free(o->handles);
    free(o);
}

uint64_t b1_observer_unseen(const struct b1_observer *o, enum b1_unseen why)
{
    return o->unseen[why];
}

static int hold(struct b1_observer *o, const struct b1_monitor_event *ev)
{
    size_t size = sizeof(struct held);
    struct held *h;
    char *at;

    for (size_t i = 0; i < B1_PARTS; i++)
        size += ev->part[i].len;
    h = malloc(size);
    if (!h)
        return -ENOMEM;
    *h = (struct held){.ev = *ev, .size = size};
    at = (char *)(h + 1);
    for (size_t i = 0; i < B1_PARTS; i++) {
        if (ev->part[i].len)
            memcpy(at, ev->part[i].data, ev->part[i].len);
        h->ev.part[i].data = at;
        at += ev->part[i].len;
    }
    *o->last = h;
    o->last = &h->next;
    o->held_bytes += size;
    return 0;
}

/* Whether one that waits, or is under way, may have needed what @ev releases. */
static bool is_needed(const struct b1_observer *o, const struct b1_monitor_event *ev)
{
    if (o->opts.oldest(o->opts.ctx) <= b1_observed_end(ev))
        return true;
    for (const struct held *h = o->first; h; h = h->next)
        if ((h->ev.cmd == BUS1_CMD_SEND || h->ev.cmd == BUS1_CMD_TRANSFER) &&
            h->ev.begun < b1_observed_end(ev))
            return true;
    return false;
}

static bool is_turn(struct b1_observer *o, const struct b1_monitor_event *ev, enum b1_rank rank)
{
    enum b1_rank own = b1_observed_rank(o, ev);

    return own == RANK_OTHER || rank == RANK_ANY || (own <= rank && !is_needed(o, ev));
}

/* One that can be told: of those that do not begin after the end of one that waits, the first that
 * ended. */
static struct held **ready(struct b1_observer *o, enum b1_rank rank)
{
    uint64_t until = UINT64_MAX;

    for (struct held **at = &o->first; *at; at = &(*at)->next) {
        const struct b1_monitor_event *ev = &(*at)->ev;

        if (ev->begun > until)
            continue;
        if (is_turn(o, ev, rank) && b1_observed_ready(o, ev))
            return at;
        until = MIN(until, b1_observed_end(ev));
    }
    return NULL;
}

/* Whether nothing that is under way can help the first of those that wait. */
static bool is_alone(const struct b1_observer *o)
{
    uint64_t end = b1_observed_end(&o->first->ev);

    return o->opts.oldest(o->opts.ctx) > end || o->held_bytes > HOLD_BYTES ||
           o->latest - end > HOLD_NS;
}

/* With none that is ready the first of all, when it cannot become so. */
static struct held **next_held(struct b1_observer *o, bool all)
{
    struct held **at = NULL;

    if (!o->first)
        return NULL;
    for (enum b1_rank rank = RANK_OTHER; !at && rank < RANK_ANY; rank++)
        at = ready(o, rank);
    if (!at && (all || is_alone(o)))
        at = ready(o, RANK_ANY);
    return at || !(all || is_alone(o)) ? at : &o->first;
}

static int settle(struct b1_observer *o, bool all)
{
    struct held **at;
    int r = 0;

    while (r == 0 && (at = next_held(o, all))) {
        struct held *h = *at;

        r = b1_observed_call(o, &h->ev);
        held_drop(o, at);
    }
    return r;
}

static bool is_bus1_call(uint32_t cmd)
{
    return cmd == BUS1_CMD_TRANSFER || cmd == BUS1_CMD_RELEASE || cmd == BUS1_CMD_SEND ||
           cmd == BUS1_CMD_RECV;
}

static int lost(struct b1_observer *o, const struct b1_monitor_event *ev)
{
    int r = settle(o, true);

    return r < 0 ? r
                 : b1_observed_tell(o, (struct b1_event){.kind = B1_EVENT_LOST,
                                                         .time = ev->time,
                                                         .count = ev->lost});
}

/* A call without an end: what it asked for is told, what came of it is not known. */
static int unfinished(struct b1_observer *o, const struct b1_monitor_event *ev)
{
    bool sending = ev->cmd == BUS1_CMD_SEND || ev->cmd == BUS1_CMD_RELEASE;

    if (ev->arg_read && sending)
        return b1_observed_call(o, ev);
    o->unseen[B1_UNSEEN_END]++;
    return 0;
}

int b1_observer_call(struct b1_observer *o, const struct b1_monitor_event *ev)
{
    int r = 0;

    if (ev->lost) {
        r = lost(o, ev);
    } else if (is_bus1_call(ev->cmd) && (!ev->ended || ev->died)) {
        r = unfinished(o, ev);
    } else if (is_bus1_call(ev->cmd) && b1_observed_success(ev)) {
        o->latest = MAX(o->latest, b1_observed_end(ev));
        if (!o->first && ev->cmd != BUS1_CMD_RELEASE && b1_observed_ready(o, ev))
            r = b1_observed_call(o, ev);
        else
            r = hold(o, ev);
    } else {
        o->latest = MAX(o->latest, ev->ended ? b1_observed_end(ev) : 0);
    }
    if (r == 0)
        r = settle(o, false);
    return r < 0 ? r : o->result;
}

int b1_observer_end(struct b1_observer *o)
{
    int r = settle(o, true);

    return r < 0 ? r : o->result;
}
