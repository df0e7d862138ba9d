/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues over time. Two looks of different cost: the depth of the queues that are known, often; and
 * all processes, for new queues, holders and who is blocked, seldom.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "array.h"
#include "pmq_watch.h"
#include "timefmt.h"

enum {
    SHARE = 100,       /* a look may take a hundredth of the time until the next */
    STALE_SECONDS = 3, /* after so long without a look nobody knows how deep it was */
};

struct entry {
    struct pmq_watched q;
    struct pmq_ref ref;
    bool openable;
    bool found;            /* in the listing that is being merged */
    uint64_t depth_before; /* at the last look; PMQ_UNKNOWN */
    uint64_t rises;        /* since the interval began */
    uint64_t falls;
    struct msgq_counters counted; /* when the interval began */
    bool has_counted;
    uint64_t second;                     /* of the last look; 0: none yet */
    uint64_t deepest[PMQ_WATCH_SECONDS]; /* by second modulo; PMQ_UNKNOWN */
};

struct pmq_watch {
    struct pmq_watch_opts opts;
    struct entry **v; /* by identity */
    size_t n;
    const struct pmq_watched **selected;
    uint64_t next_sample;
    uint64_t next_scan;
    uint64_t interval_began;
    bool any_interval;
    bool names_complete;
    char note[sizeof(((struct pmq_set *)0)->note)];
};

const char *const pmq_watch_key_names[] = {
    "fill", "name", "depth", "in", "out", "blocked", "wait", NULL,
};

int pmq_watch_new(const struct pmq_watch_opts *opts, struct pmq_watch **ret)
{
    struct pmq_watch *w = calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    w->opts = *opts;
    *ret = w;
    return 0;
}

void pmq_watch_free(struct pmq_watch *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i]);
    free(w->v);
    free(w->selected);
    free(w);
}

void pmq_watch_freep(struct pmq_watch **w)
{
    pmq_watch_free(*w);
}

const char *pmq_watch_note(const struct pmq_watch *w)
{
    return w->note;
}

bool pmq_watch_names_complete(const struct pmq_watch *w)
{
    return w->names_complete;
}

/* ---- depth ---- */

static void remember_depth(struct entry *e, uint64_t depth, uint64_t now)
{
    uint64_t second = now / NSEC_PER_SEC;
    uint64_t *slot = &e->deepest[second % PMQ_WATCH_SECONDS];
    uint64_t gap = second - e->second;

    if (e->second && gap) {
        uint64_t last = e->deepest[e->second % PMQ_WATCH_SECONDS];

        for (uint64_t i = 1; i <= gap && i <= PMQ_WATCH_SECONDS; i++)
            e->deepest[(second - gap + i) % PMQ_WATCH_SECONDS] = gap <= STALE_SECONDS ? last
                                                                                      : PMQ_UNKNOWN;
    }
    if (e->second != second || *slot == PMQ_UNKNOWN || depth > *slot)
        *slot = depth;
    e->second = second;
}

/* @used: see struct pmq_watched */
static void saw_depth(struct entry *e, uint64_t depth, uint64_t used, uint64_t now)
{
    uint64_t before = e->depth_before;

    if (before != PMQ_UNKNOWN && depth > before)
        e->rises += depth - before;
    if (before != PMQ_UNKNOWN && depth < before)
        e->falls += before - depth;
    e->depth_before = depth;
    remember_depth(e, used, now);
}

static void saw_waiters(struct pmq_watched *q, const struct pmq_waiter *v, size_t n)
{
    q->senders = q->receivers = 0;
    q->oldest_wait = PMQ_UNKNOWN;
    for (size_t i = 0; i < n; i++) {
        if (v[i].direction == PMQ_SEND)
            q->senders++;
        else
            q->receivers++;
        if (v[i].since == PMQ_UNKNOWN)
            continue;
        if (q->oldest_wait == PMQ_UNKNOWN || v[i].since > q->oldest_wait)
            q->oldest_wait = v[i].since;
    }
}

static void inspect(struct entry *e, const struct pmq_queue *queue, struct pmq_inspector *inspector)
{
    _cleanup_(pmq_inspect_freep) struct pmq_inspect *in = NULL;

    if (pmq_inspector_look(inspector, queue, &in, NULL) < 0)
        return; /* what the processes tell stays */
    saw_waiters(&e->q, in->waiters, in->n_waiters);
    e->q.waiters_complete = in->waiters_complete;
}

/* Opened for this look only. A queue that has gone stays until the next listing. */
static void look_at(struct entry *e, struct pmq_inspector *inspector, uint64_t now)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *queue = NULL;
    struct pmq_attr attr;

    if (!e->openable || pmq_queue_open(&e->ref, PMQ_OPEN_READ, &queue, NULL) < 0 ||
        pmq_queue_attr_basic(queue, &attr) < 0)
        return;
    if (attr.dev != e->q.attr.dev || attr.ino != e->q.attr.ino)
        return; /* another one under the same name */
    e->q.known = true;
    e->q.attr = attr;
    e->q.used = attr.curmsgs;
    e->q.room = attr.maxmsg;
    saw_depth(e, attr.curmsgs, attr.curmsgs, now);
    if (inspector)
        inspect(e, queue, inspector);
}

static struct entry *find(const struct pmq_watch *w, const struct pmq_attr *attr);

/* What was listed of another kind, with the threads blocked as of the last full look. */
static void take_more(struct entry *e, const struct pmq_watched *q, bool waiters)
{
    e->q.attr = q->attr;
    e->q.known = q->known;
    e->q.used = q->used;
    e->q.room = q->room;
    e->q.uncounted = q->uncounted;
    if (!waiters)
        return;
    e->q.senders = q->senders;
    e->q.receivers = q->receivers;
    e->q.waiters_complete = q->waiters_complete;
    e->q.oldest_wait = q->oldest_wait;
}

static void sample_more(struct pmq_watch *w, uint64_t now)
{
    struct pmq_watched *v = NULL;
    size_t n = 0;

    if (!w->opts.more || w->opts.more(w->opts.more_ctx, false, &v, &n) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        struct entry *e = find(w, &v[i].attr);

        if (!e)
            continue; /* it comes with the next full look */
        take_more(e, &v[i], false);
        saw_depth(e, v[i].attr.curmsgs, v[i].used, now);
    }
    free(v);
}

static void sample(struct pmq_watch *w, uint64_t now)
{
    uint64_t began = timefmt_now(CLOCK_MONOTONIC);
    uint64_t cost;

    for (size_t i = 0; i < w->n; i++)
        look_at(w->v[i], w->opts.inspector, now);
    sample_more(w, now);
    cost = timefmt_now(CLOCK_MONOTONIC) - began;
    w->next_sample = now + MAX(w->opts.sample, cost * SHARE);
}

/* ---- the listing ---- */

static int compare_ids(uint64_t dev_a, uint64_t ino_a, uint64_t dev_b, uint64_t ino_b)
{
    if (dev_a != dev_b)
        return dev_a < dev_b ? -1 : 1;
    return ino_a < ino_b ? -1 : ino_a > ino_b;
}

static int by_id(const void *pa, const void *pb)
{
    const struct entry *a = *(struct entry *const *)pa, *b = *(struct entry *const *)pb;

    return compare_ids(a->q.attr.dev, a->q.attr.ino, b->q.attr.dev, b->q.attr.ino);
}

static struct entry *find(const struct pmq_watch *w, const struct pmq_attr *attr)
{
    size_t low = 0, high = w->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct pmq_attr *at = &w->v[mid]->q.attr;
        int c = compare_ids(attr->dev, attr->ino, at->dev, at->ino);

        if (c == 0)
            return w->v[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

static struct entry *entry_new(const struct pmq_attr *attr)
{
    struct entry *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->q.attr = *attr;
    e->q.oldest_wait = PMQ_UNKNOWN;
    e->q.sent = e->q.received = PMQ_UNKNOWN;
    e->depth_before = PMQ_UNKNOWN;
    for (size_t i = 0; i < PMQ_WATCH_SECONDS; i++)
        e->deepest[i] = PMQ_UNKNOWN;
    return e;
}

static void take_info(struct entry *e, const struct pmq_info *info)
{
    struct pmq_attr attr = info->attr;

    e->found = true;
    attr.bytes = PMQ_UNKNOWN;
    attr.notify = PMQ_NOTIFY_UNKNOWN;
    attr.notify_pid = 0;
    e->q.attr = attr;
    e->q.known = info->known;
    e->q.used = attr.curmsgs;
    e->q.room = attr.maxmsg;
    e->q.holders = info->n_holders;
    saw_waiters(&e->q, info->waiters, info->n_waiters);
    e->openable = true;
    if (attr.name[0] && !attr.unlinked) {
        e->ref = (struct pmq_ref){.kind = PMQ_REF_NAME};
        memcpy(e->ref.name, attr.name, sizeof(e->ref.name));
    } else if (info->n_holders) {
        e->ref = (struct pmq_ref){
            .kind = PMQ_REF_PID_FD, .pid = info->holders[0].tid, .fd = info->holders[0].fd};
    } else {
        e->openable = false;
    }
}

/* The entry of a queue that was listed, found or new. NULL: no memory, or it was listed before
 * (@twice). */
static struct entry *meet(const struct pmq_watch *w, const struct pmq_attr *attr, bool *twice)
{
    struct entry *e = find(w, attr);

    *twice = e && e->found;
    if (*twice)
        return NULL;
    e = e ? e : entry_new(attr);
    if (e)
        e->found = true;
    return e;
}

/* What a full look has found. */
struct listing {
    const struct pmq_set *set;
    size_t n_set; /* so many of its queues count */
    const struct pmq_watched *more;
    size_t n_more;
};

/* Return: how many entries, or -ENOMEM; what is in @v then has .found. */
static ssize_t list_entries(const struct pmq_watch *w, const struct listing *l, struct entry **v)
{
    const struct pmq_set *set = l->set;
    size_t n = 0;
    bool twice;

    for (size_t i = 0; i < l->n_set + l->n_more; i++) {
        const struct pmq_watched *more = i < l->n_set ? NULL : &l->more[i - l->n_set];
        struct entry *e = meet(w, more ? &more->attr : &set->v[i].attr, &twice);

        if (!e && twice)
            continue;
        if (!e)
            return -ENOMEM;
        v[n++] = e;
        if (more) {
            take_more(e, more, true);
            continue;
        }
        take_info(e, &set->v[i]);
        e->q.holders_complete = set->holders_complete;
        e->q.waiters_complete = set->waiters_complete;
    }
    return (ssize_t)n;
}

/* Keeps what is still there, adds what is new, forgets the rest. */
static int merge(struct pmq_watch *w, const struct listing *l)
{
    size_t room = l->n_set + l->n_more + 1;
    struct entry **v = calloc(room, sizeof(*v));
    const struct pmq_watched **selected = calloc(room, sizeof(*selected));
    ssize_t n = v && selected ? list_entries(w, l, v) : -ENOMEM;

    if (n < 0) {
        /* What was new is in no other list. */
        for (size_t i = 0; v && i < room && v[i]; i++)
            if (!find(w, &v[i]->q.attr))
                free(v[i]);
        for (size_t i = 0; i < w->n; i++)
            w->v[i]->found = false;
        free(v);
        free(selected);
        return (int)n;
    }
    for (size_t i = 0; i < w->n; i++)
        if (!w->v[i]->found)
            free(w->v[i]);
    free(w->v);
    free(w->selected);
    w->v = v;
    w->selected = selected;
    w->n = (size_t)n;
    for (size_t i = 0; i < w->n; i++)
        v[i]->found = false;
    if (n)
        array_sort(v, w->n, sizeof(*v), by_id);
    return 0;
}

static int scan(struct pmq_watch *w, uint64_t now, struct err *e)
{
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    uint64_t began = timefmt_now(CLOCK_MONOTONIC), cost;
    struct listing l = {.n_more = 0};
    struct pmq_watched *more = NULL;
    int r = pmq_scan(PMQ_SCAN_HOLDERS | PMQ_SCAN_WAITERS | PMQ_SCAN_UNLINKED, 0, &set, e);

    if (r == 0 && w->opts.more)
        r = w->opts.more(w->opts.more_ctx, true, &more, &l.n_more);
    if (r < 0)
        return r;
    l.set = set;
    l.n_set = w->opts.only_more ? 0 : set->n;
    l.more = more;
    r = merge(w, &l);
    free(more);
    if (r < 0)
        return r;
    memcpy(w->note, set->note, sizeof(w->note));
    w->names_complete = set->names_complete;
    cost = timefmt_now(CLOCK_MONOTONIC) - began;
    w->next_scan = now + MAX(w->opts.scan, cost * SHARE);
    return r;
}

int pmq_watch_look(struct pmq_watch *w, uint64_t now, uint64_t *next, struct err *e)
{
    int r = 0;

    if (now >= w->next_scan) {
        r = scan(w, now, e);
        if (r < 0)
            return r;
        w->next_sample = now; /* what is new has not been looked at */
    }
    if (now >= w->next_sample)
        sample(w, now);
    *next = MIN(w->next_scan, w->next_sample);
    return r;
}

/* ---- intervals ---- */

static void end_interval(struct pmq_watch *w, struct entry *e, uint64_t now)
{
    struct msgq_counters c;

    e->q.interval = now - w->interval_began;
    e->q.sent = e->q.received = PMQ_UNKNOWN;
    if (w->opts.count && e->q.known && e->q.uncounted) {
        e->has_counted = false;
    } else if (w->opts.count && e->q.known) {
        if (w->opts.count(w->opts.count_ctx, e->q.attr.dev, e->q.attr.ino, &c) < 0)
            return;
        if (e->has_counted) {
            e->q.sent = c.sent - e->counted.sent;
            e->q.received = c.received - e->counted.received;
        }
        e->counted = c;
        e->has_counted = true;
    } else if (w->any_interval && e->q.known) {
        e->q.sent = e->rises;
        e->q.received = e->falls;
    }
    e->rises = e->falls = 0;
}

int pmq_watch_interval(struct pmq_watch *w, uint64_t now, struct err *e)
{
    uint64_t next;
    int r = pmq_watch_look(w, now, &next, e);

    if (r < 0)
        return r;
    sample(w, now);
    for (size_t i = 0; i < w->n; i++)
        end_interval(w, w->v[i], now);
    w->interval_began = now;
    w->any_interval = true;
    return 0;
}

double pmq_watch_rate(uint64_t messages, uint64_t interval)
{
    if (messages == PMQ_UNKNOWN || interval == 0)
        return -1;
    return (double)messages * (double)NSEC_PER_SEC / (double)interval;
}

void pmq_watch_history(const struct pmq_watched *q, int *out, size_t n)
{
    const struct entry *e = container_of((struct pmq_watched *)(uintptr_t)q, struct entry, q);
    uint64_t first = e->second + 1; /* modulo: the oldest */

    for (size_t i = 0; i < n; i++)
        out[i] = -1;
    if (!e->second || !q->room)
        return;
    for (size_t i = 0; i < PMQ_WATCH_SECONDS; i++) {
        uint64_t depth = e->deepest[(first + i) % PMQ_WATCH_SECONDS];
        int *part = &out[i * n / PMQ_WATCH_SECONDS];
        int level;

        if (depth == PMQ_UNKNOWN)
            continue;
        level = (int)(MIN(depth, q->room) * 1000 / q->room);
        *part = MAX(*part, level);
    }
}

int pmq_watch_ref(const struct pmq_watched *q, struct pmq_ref *out)
{
    const struct entry *e = container_of((struct pmq_watched *)(uintptr_t)q, struct entry, q);

    if (!e->openable)
        return -ENOENT;
    *out = e->ref;
    return 0;
}

/* ---- order ---- */

struct order {
    enum pmq_watch_key by;
    bool reverse;
};

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* Unknown counts as less than anything known. */
static uint64_t known(uint64_t n)
{
    return n == PMQ_UNKNOWN ? 0 : n + 1;
}

static uint64_t fill(const struct pmq_watched *q)
{
    return q->known && q->room ? q->used * 1000000 / q->room : 0;
}

static int compare_by(const struct pmq_watched *a, const struct pmq_watched *b,
                      enum pmq_watch_key by)
{
    switch (by) {
    case PMQ_WATCH_BY_FILL:
        return compare_u64(fill(a), fill(b));
    case PMQ_WATCH_BY_DEPTH:
        return compare_u64(a->attr.curmsgs, b->attr.curmsgs);
    case PMQ_WATCH_BY_IN:
        return compare_u64(known(a->sent), known(b->sent));
    case PMQ_WATCH_BY_OUT:
        return compare_u64(known(a->received), known(b->received));
    case PMQ_WATCH_BY_BLOCKED:
        return compare_u64(a->senders + a->receivers, b->senders + b->receivers);
    case PMQ_WATCH_BY_WAIT:
        return compare_u64(known(a->oldest_wait), known(b->oldest_wait));
    case PMQ_WATCH_BY_NAME:
    case PMQ_WATCH_N_KEYS:
        break;
    }
    return -strcmp(a->attr.name, b->attr.name);
}

static int by_order(const void *pa, const void *pb, void *ctx)
{
    const struct pmq_watched *a = *(const struct pmq_watched *const *)pa;
    const struct pmq_watched *b = *(const struct pmq_watched *const *)pb;
    const struct order *o = ctx;
    int c = compare_by(b, a, o->by);

    if (c)
        return o->reverse ? -c : c;
    c = strcmp(a->attr.name, b->attr.name);
    return c ? c : compare_ids(a->attr.dev, a->attr.ino, b->attr.dev, b->attr.ino);
}

size_t pmq_watch_select(struct pmq_watch *w, enum pmq_watch_key by, bool reverse,
                        const char *filter, const struct pmq_watched ***v)
{
    struct order order = {.by = by, .reverse = reverse};
    size_t n = 0;

    for (size_t i = 0; i < w->n; i++)
        if (strcasestr(w->v[i]->q.attr.name, filter))
            w->selected[n++] = &w->v[i]->q;
    if (n)
        qsort_r(w->selected, n, sizeof(*w->selected), by_order, &order);
    *v = w->selected;
    return n;
}
