/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notices of processes that end and had a queue open, and of queues that are created and unlinked.
 * They are read from other sources than the messages, and are kept here until they can be shown in
 * order of time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "follow.h"
#include "pmq_names.h"
#include "proc_events.h"
#include "timefmt.h"

enum {
    CACHE = 64,       /* users that were seen last */
    RECENT = 256,     /* exits that are kept until the messages before them have been read */
    SCAN_SECONDS = 3, /* time between two scans for processes that have the queues open */
    SCAN_SHARE = 100, /* at most one part in this many of the time is spent on scans */
};

/* A process that uses a queue. */
struct user {
    pid_t pid;
    uint64_t dev;
    uint64_t ino;
    char queue[PMQ_REF_SIZE];
    char comm[16];
    /* when its end was reported, else 0; kept for its messages that are read later */
    uint64_t ended;
    bool seen; /* found in the last scan */
};

/* A queue that may be shown. */
struct known {
    char name[PMQ_REF_SIZE];
    uint64_t dev;
    uint64_t ino;
    bool gone;
};

struct cached {
    pid_t pid;
    uint64_t ino;
};

struct follow_notices {
    struct cli_ctx *ctx;
    struct msgq_follow *follow;
    bool all;
    struct proc_events *exits;
    struct pmq_names *names;
    uint64_t next_scan;
    struct user *users;
    size_t n_users, max_users;
    struct known *known;
    size_t n_known, max_known;
    struct follow_notice *queue;
    size_t n_queue, max_queue;
    size_t taken;
    struct cached cache[CACHE];
    struct proc_exit recent[RECENT];
    size_t n_recent; /* a running count; its index is modulo RECENT */
    bool missed;     /* the loss has been reported */
};

/* Makes room for one more in an array. */
static void *grow(void *v, size_t n, size_t *max, size_t size)
{
    void *bigger;

    if (n < *max)
        return v;
    bigger = reallocarray(v, *max ? *max * 2 : 16, size);
    if (bigger)
        *max = *max ? *max * 2 : 16;
    return bigger;
}

static struct follow_notice *notice_add(struct follow_notices *n, const char *event,
                                        const char *queue, uint64_t time)
{
    struct follow_notice *v = grow(n->queue, n->n_queue, &n->max_queue, sizeof(*v));

    if (!v)
        return NULL;
    n->queue = v;
    v += n->n_queue++;
    for (; v > n->queue + n->taken && v[-1].time > time; v--)
        v[0] = v[-1]; /* keep the order of time */
    *v = (struct follow_notice){.time = time, .event = event};
    strncat(v->queue, queue, sizeof(v->queue) - 1);
    return v;
}

const struct follow_notice *follow_notices_take(struct follow_notices *n, uint64_t time)
{
    if (!n)
        return NULL;
    if (n->taken < n->n_queue && n->queue[n->taken].time <= time)
        return &n->queue[n->taken++];
    if (n->taken == n->n_queue)
        n->taken = n->n_queue = 0;
    return NULL;
}

/* ---- queues ---- */

static struct known *known_find(struct follow_notices *n, const char *name)
{
    for (size_t i = 0; i < n->n_known; i++)
        if (!strcmp(n->known[i].name, name))
            return &n->known[i];
    return NULL;
}

static struct known *known_by_id(struct follow_notices *n, uint64_t dev, uint64_t ino)
{
    for (size_t i = 0; i < n->n_known; i++)
        if (n->known[i].ino == ino && n->known[i].dev == dev)
            return &n->known[i];
    return NULL;
}

static int known_add(struct follow_notices *n, const char *name, uint64_t dev, uint64_t ino)
{
    struct known *v = known_find(n, name);

    if (!v) {
        v = grow(n->known, n->n_known, &n->max_known, sizeof(*v));
        if (!v)
            return -ENOMEM;
        n->known = v;
        v += n->n_known++;
    }
    *v = (struct known){.dev = dev, .ino = ino};
    strncat(v->name, name, sizeof(v->name) - 1);
    return 0;
}

int follow_notices_add(struct follow_notices *n, const struct pmq_queue *q)
{
    struct pmq_attr attr;
    int r = pmq_queue_attr_basic(q, &attr);

    return r < 0 ? r : known_add(n, pmq_queue_label(q), attr.dev, attr.ino);
}

/*
 * Handles the creation of a name that is followed (any with --all), if the caller may open the
 * queue.
 */
static int on_created(struct follow_notices *n, const char *name, uint64_t now)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    struct known *known = known_find(n, name);
    struct err e = ERR_INIT;
    struct pmq_ref ref;
    int r;

    if (!n->all && !known)
        return 0;
    r = pmq_ref_parse(name, &ref, NULL);
    if (r == 0)
        r = pmq_queue_open(&ref, PMQ_OPEN_READ, &q, &e);
    if (r == -ENOMEM)
        return r;
    if (r < 0) {
        if (known && r != -ENOENT)
            cli_note(n->ctx, "%s was created again and cannot be followed: %s", name,
                     err_text(&e, r));
        return 0;
    }
    r = follow_notices_add(n, q);
    if (r == 0 && !n->all)
        r = pmq_follow_add(n->follow, q, NULL, &e);
    if (r < 0) {
        cli_note(n->ctx, "%s was created again and cannot be followed: %s", name, err_text(&e, r));
        return 0;
    }
    return notice_add(n, "create", name, now) ? 0 : -ENOMEM;
}

static int on_name(const char *name, bool created, void *ctx)
{
    struct follow_notices *n = ctx;
    uint64_t now = timefmt_now(CLOCK_REALTIME);
    struct known *known;

    if (created)
        return on_created(n, name, now);
    known = known_find(n, name);
    if (!known || known->gone)
        return 0;
    known->gone = true;
    return notice_add(n, "unlink", name, now) ? 0 : -ENOMEM;
}

/* ---- users ---- */

static struct user *user_find(struct follow_notices *n, pid_t pid, uint64_t dev, uint64_t ino)
{
    for (size_t i = 0; i < n->n_users; i++)
        if (n->users[i].pid == pid && n->users[i].ino == ino && n->users[i].dev == dev)
            return &n->users[i];
    return NULL;
}

static int user_add(struct follow_notices *n, pid_t pid, uint64_t dev, uint64_t ino,
                    const char *queue, const char *comm)
{
    struct user *u = user_find(n, pid, dev, ino);

    if (!u) {
        u = grow(n->users, n->n_users, &n->max_users, sizeof(*u));
        if (!u)
            return -ENOMEM;
        n->users = u;
        u += n->n_users++;
        *u = (struct user){.pid = pid, .dev = dev, .ino = ino};
        strncat(u->queue, queue, sizeof(u->queue) - 1);
    }
    memcpy(u->comm, comm, sizeof(u->comm));
    u->ended = 0;
    u->seen = true;
    return 0;
}

/* Makes a notice for every queue that the process used. */
static int user_exits(struct follow_notices *n, const struct proc_exit *x)
{
    for (size_t i = 0; i < n->n_users; i++) {
        struct follow_notice *notice;

        if (n->users[i].pid != x->pid || n->users[i].ended)
            continue;
        notice = notice_add(n, "exit", n->users[i].queue, x->time);
        if (!notice)
            return -ENOMEM;
        notice->pid = x->pid;
        notice->status = x->status;
        memcpy(notice->comm, n->users[i].comm, sizeof(notice->comm));
        n->users[i].ended = x->time;
    }
    return 0;
}

static int on_exit_event(const struct proc_exit *x, void *ctx)
{
    struct follow_notices *n = ctx;

    n->recent[n->n_recent++ % RECENT] = *x;
    return user_exits(n, x);
}

static int settle(struct follow_notices *n, int r)
{
    if (r != -ENOBUFS)
        return r;
    if (!n->missed)
        cli_note(n->ctx, "some exits or names came too fast and are missing");
    n->missed = true;
    n->next_scan = 0;
    return 0;
}

/*
 * Places the notice of a creation before the queue's first message, when it was noticed only after
 * that message.
 */
static void put_before(struct follow_notices *n, const struct msgq_event *ev)
{
    for (size_t i = n->taken; i < n->n_queue; i++) {
        struct follow_notice v = n->queue[i];

        if (v.event[0] != 'c' || v.time <= ev->time || strcmp(v.queue, ev->label) != 0)
            continue;
        v.time = ev->time;
        for (; i > n->taken && n->queue[i - 1].time > v.time; i--)
            n->queue[i] = n->queue[i - 1];
        n->queue[i] = v;
        return;
    }
}

/*
 * Handles the first message of a process on a queue: if the queue is new, its creation is reported
 * first.
 */
static int meet_queue(struct follow_notices *n, const struct msgq_event *ev)
{
    int r = 0;

    if (n->names && !known_by_id(n, ev->dev, ev->ino))
        r = settle(n, pmq_names_read(n->names, on_name, n));
    if (r == 0)
        put_before(n, ev);
    return r;
}

int follow_notices_learn(struct follow_notices *n, const struct msgq_event *ev)
{
    size_t slot = ((size_t)ev->pid * 31 + (size_t)ev->ino) % CACHE;
    struct cached *c;
    const struct user *u;
    int r;

    if (!n || ev->sysv)
        return 0;
    c = &n->cache[slot];
    if (c->pid == ev->pid && c->ino == ev->ino)
        return 0;
    r = meet_queue(n, ev);
    if (r < 0)
        return r;
    if (!n->exits || !ev->pid) {
        *c = (struct cached){.pid = ev->pid, .ino = ev->ino};
        return 0;
    }
    u = user_find(n, ev->pid, ev->dev, ev->ino);
    if (u && u->ended >= ev->time)
        return 0;
    r = user_add(n, ev->pid, ev->dev, ev->ino, ev->label, ev->comm);
    if (r < 0)
        return r;
    *c = (struct cached){.pid = ev->pid, .ino = ev->ino};
    /* The end of the process may have been reported before its messages were read. */
    for (size_t i = 0; i < MIN(n->n_recent, (size_t)RECENT); i++)
        if (n->recent[i].pid == ev->pid && n->recent[i].time >= ev->time)
            return user_exits(n, &n->recent[i]);
    return 0;
}

static int learn_info(struct follow_notices *n, const struct pmq_info *info)
{
    struct known *known = known_by_id(n, info->attr.dev, info->attr.ino);
    const char *name = known ? known->name : info->attr.name;
    int r = 0;

    if (!info->known || (!n->all && !known))
        return 0;
    if (!known && name[0])
        r = known_add(n, name, info->attr.dev, info->attr.ino);
    for (size_t i = 0; r == 0 && i < info->n_holders; i++)
        r = user_add(n, info->holders[i].pid, info->attr.dev, info->attr.ino, name,
                     info->holders[i].comm);
    return r;
}

static int look(struct follow_notices *n, struct err *e)
{
    unsigned int flags = n->exits ? PMQ_SCAN_HOLDERS | PMQ_SCAN_UNLINKED : 0;
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    uint64_t began = timefmt_now(CLOCK_MONOTONIC), cost;
    size_t kept = 0;
    int r = pmq_scan(flags, 0, &set, e);

    if (r < 0)
        return r;
    for (size_t i = 0; i < n->n_users; i++)
        n->users[i].seen = false;
    for (size_t i = 0; r == 0 && i < set->n; i++)
        r = learn_info(n, &set->v[i]);
    for (size_t i = 0; i < n->n_users; i++)
        if (n->users[i].seen)
            n->users[kept++] = n->users[i];
    n->n_users = kept;
    memset(n->cache, 0, sizeof(n->cache));
    cost = timefmt_now(CLOCK_MONOTONIC) - began;
    n->next_scan = began + MAX(SCAN_SECONDS * NSEC_PER_SEC, cost * SCAN_SHARE);
    return r;
}

/* ---- reading ---- */

int follow_notices_new(struct cli_ctx *ctx, struct msgq_follow *f, bool all,
                       struct follow_notices **ret)
{
    struct follow_notices *n = calloc(1, sizeof(*n));
    struct err e = ERR_INIT;
    int r;

    if (!n)
        return -ENOMEM;
    n->ctx = ctx;
    n->follow = f;
    n->all = all;
    r = pmq_names_open(&n->names, &e);
    if (r < 0)
        cli_note(ctx, "queues that are created or unlinked are not shown: %s", err_text(&e, r));
    e = (struct err)ERR_INIT;
    r = proc_events_open(&n->exits, &e);
    if (r < 0)
        cli_note(ctx, "processes that exit are not shown: %s", err_text(&e, r));
    *ret = n;
    return 0;
}

void follow_notices_free(struct follow_notices *n)
{
    if (!n)
        return;
    pmq_names_close(n->names);
    proc_events_close(n->exits);
    free(n->users);
    free(n->known);
    free(n->queue);
    free(n);
}

size_t follow_notices_fds(const struct follow_notices *n, int fds[2])
{
    size_t count = 0;

    if (!n)
        return 0;
    if (n->names)
        fds[count++] = pmq_names_fd(n->names);
    if (n->exits)
        fds[count++] = proc_events_fd(n->exits);
    return count;
}

int follow_notices_read(struct follow_notices *n, struct err *e)
{
    int r = 0;

    if (!n)
        return 0;
    if (n->names)
        r = settle(n, pmq_names_read(n->names, on_name, n));
    if (r == 0 && n->exits)
        r = settle(n, proc_events_read(n->exits, on_exit_event, n));
    if (r == 0 && (n->exits || n->names) && timefmt_now(CLOCK_MONOTONIC) >= n->next_scan)
        r = look(n, e);
    return r;
}
