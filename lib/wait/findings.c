/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stuck threads form strongly connected sets (Tarjan's algorithm, without recursion). A set of
 * several threads is a deadlock. A single thread that waits for no other stuck thread is the end of
 * a chain: a stopped thread, or an orphan. The threads that wait for such a set, directly or not,
 * are reported with it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "graph.h"

const char *wait_finding_name(enum wait_finding_kind kind)
{
    static const char *const names[] = {
        [WAIT_DEADLOCK] = "deadlock",
        [WAIT_STOPPED] = "stopped",
        [WAIT_ORPHAN] = "orphan",
    };

    return names[kind];
}

/* The stuck threads, and for each the stuck threads that it waits for. */
struct net {
    const struct graph *g;
    size_t *stuck; /* thread numbers */
    size_t n;
    size_t *place; /* for each thread its index in stuck, or NO_THREAD */
    size_t *next;  /* the successors of all threads, one list after the other */
    size_t n_next, next_room;
    size_t *first; /* for each thread the index of its first successor */
    size_t *set;   /* for each thread the strongly connected set that it belongs to */
    size_t n_sets;
};

static void net_done(struct net *n)
{
    free(n->stuck);
    free(n->place);
    free(n->next);
    free(n->first);
    free(n->set);
}

static int add_next(struct net *n, size_t from, size_t thread)
{
    size_t to = n->place[thread], *at;

    if (to == NO_THREAD || to == from)
        return 0;
    at = ARRAY_MORE(n->next, n->n_next, n->next_room);
    if (!at)
        return -ENOMEM;
    *at = to;
    return 0;
}

static int add_wakers(struct net *n, size_t from, const struct alternative *a)
{
    const struct graph *g = n->g;
    int r = 0;

    if (a->owner != NO_THREAD)
        return add_next(n, from, a->owner);
    for (size_t w = 0; w < a->n_wakers; w++) {
        const struct process *p = &g->processes[g->wakers[a->first_waker + w]];

        for (size_t i = 0; i < p->n_threads && r == 0; i++)
            r = add_next(n, from, p->first_thread + i);
    }
    return r;
}

static int net_make(struct net *n, const struct graph *g)
{
    *n = (struct net){.g = g};
    n->stuck = calloc(g->n_threads + 1, sizeof(*n->stuck));
    n->place = calloc(g->n_threads + 1, sizeof(*n->place));
    n->first = calloc(g->n_threads + 2, sizeof(*n->first));
    n->set = calloc(g->n_threads + 1, sizeof(*n->set));
    if (!n->stuck || !n->place || !n->first || !n->set)
        return -ENOMEM;
    for (size_t i = 0; i < g->n_threads; i++) {
        n->place[i] = g->threads[i].live ? NO_THREAD : n->n;
        if (!g->threads[i].live)
            n->stuck[n->n++] = i;
    }
    for (size_t i = 0; i < n->n; i++) {
        const struct thread *t = &g->threads[n->stuck[i]];

        n->first[i] = n->n_next;
        for (size_t k = 0; k < t->n_alternatives; k++)
            if (add_wakers(n, i, &g->alternatives[t->first_alternative + k]) < 0)
                return -ENOMEM;
    }
    n->first[n->n] = n->n_next;
    return 0;
}

/* ---- strongly connected sets ---- */

struct visit {
    size_t thread;
    size_t at; /* the next successor to visit */
};

struct tarjan {
    size_t *index, *low; /* 0: not visited */
    size_t *stack;
    bool *on_stack;
    struct visit *path;
    size_t n_stack, n_path, count;
};

static void enter(struct tarjan *t, const struct net *n, size_t v)
{
    t->index[v] = t->low[v] = ++t->count;
    t->stack[t->n_stack++] = v;
    t->on_stack[v] = true;
    t->path[t->n_path++] = (struct visit){v, n->first[v]};
}

static void leave(struct tarjan *t, struct net *n, size_t v)
{
    size_t x;

    t->n_path--;
    if (t->n_path) {
        size_t parent = t->path[t->n_path - 1].thread;

        t->low[parent] = t->low[v] < t->low[parent] ? t->low[v] : t->low[parent];
    }
    if (t->low[v] != t->index[v])
        return;
    do {
        x = t->stack[--t->n_stack];
        t->on_stack[x] = false;
        n->set[x] = n->n_sets;
    } while (x != v);
    n->n_sets++;
}

static void visit_all(struct tarjan *t, struct net *n)
{
    for (size_t start = 0; start < n->n; start++) {
        if (t->index[start])
            continue;
        enter(t, n, start);
        while (t->n_path) {
            struct visit *top = &t->path[t->n_path - 1];
            size_t v = top->thread;

            if (top->at == n->first[v + 1]) {
                leave(t, n, v);
            } else {
                size_t to = n->next[top->at++];

                if (!t->index[to])
                    enter(t, n, to);
                else if (t->on_stack[to] && t->index[to] < t->low[v])
                    t->low[v] = t->index[to];
            }
        }
    }
}

static int find_sets(struct net *n)
{
    struct tarjan t = {
        .index = calloc(n->n + 1, sizeof(*t.index)),
        .low = calloc(n->n + 1, sizeof(*t.low)),
        .stack = calloc(n->n + 1, sizeof(*t.stack)),
        .on_stack = calloc(n->n + 1, sizeof(*t.on_stack)),
        .path = calloc(n->n + 1, sizeof(*t.path)),
    };
    int r = t.index && t.low && t.stack && t.on_stack && t.path ? 0 : -ENOMEM;

    if (r == 0)
        visit_all(&t, n);
    free(t.index);
    free(t.low);
    free(t.stack);
    free(t.on_stack);
    free(t.path);
    return r;
}

/* ---- findings ---- */

/* Marks every stuck thread that waits, directly or not, for one that is marked. */
static void mark_behind(const struct net *n, bool *marked)
{
    bool more = true;

    while (more) {
        more = false;
        for (size_t i = 0; i < n->n; i++)
            for (size_t k = n->first[i]; !marked[i] && k < n->first[i + 1]; k++)
                if (marked[n->next[k]])
                    more = marked[i] = true;
    }
}

static const struct thread *stuck_thread(const struct net *n, size_t i)
{
    return &n->g->threads[n->stuck[i]];
}

static pid_t pid_of(const struct net *n, size_t i)
{
    return n->g->processes[stuck_thread(n, i)->process].pid;
}

static int add_thread(const struct net *n, struct wait_finding *f, size_t i)
{
    int r = graph_describe(n->g, stuck_thread(n, i), &f->threads[f->n]);

    f->n++;
    return r;
}

static int name_stopped(const struct net *n, size_t i, struct wait_finding *f)
{
    const struct graph *g = n->g;
    const struct process *p = &g->processes[stuck_thread(n, i)->process];
    const struct cgroup *c = &g->cgroups[p->cgroup];

    f->stopped_pid = p->pid;
    memcpy(f->stopped_comm, p->comm, sizeof(f->stopped_comm));
    if (stuck_thread(n, i)->state == 't')
        f->tracer = graph_tracer(g, p->pid);
    if (stuck_thread(n, i)->state != 'T' && !f->tracer && c->frozen) {
        if (asprintf(&f->frozen, "%s%s", g->cgroup_mount, c->path) < 0)
            return -ENOMEM;
    }
    return 0;
}

struct finder {
    const struct net *n;
    struct wait_report *out;
    size_t room;
    const pid_t *pids; /* report only findings with a thread of one of these; none: all */
    size_t n_pids;
};

/*
 * Makes the finding of a set: first its own threads (but not a stopped one, which does not wait),
 * then the threads that wait for them.
 */
static int make_finding(const struct finder *f, struct wait_finding *out, size_t set,
                        const bool *marked)
{
    const struct net *n = f->n;
    size_t most = 1;
    int r = 0;

    for (size_t i = 0; i < n->n; i++)
        most += marked[i] || n->set[i] == set;
    out->threads = calloc(most, sizeof(*out->threads));
    if (!out->threads)
        return -ENOMEM;
    for (size_t i = 0; i < n->n && r == 0; i++)
        if (n->set[i] == set)
            r = out->kind == WAIT_STOPPED ? name_stopped(n, i, out) : add_thread(n, out, i);
    out->n_core = out->n;
    for (size_t i = 0; i < n->n && r == 0; i++)
        if (marked[i] && n->set[i] != set && !stuck_thread(n, i)->stopped)
            r = add_thread(n, out, i);
    return r;
}

static bool wanted(const struct finder *f, const bool *marked)
{
    for (size_t i = 0; i < f->n->n && f->n_pids; i++)
        for (size_t k = 0; k < f->n_pids && marked[i]; k++)
            if (pid_of(f->n, i) == f->pids[k])
                return true;
    return !f->n_pids;
}

/* Tells whether the stopped process has been reported already: its threads are one finding. */
static bool is_told(const struct finder *f, pid_t stopped)
{
    for (size_t i = 0; i < f->out->n_findings; i++)
        if (f->out->findings[i].stopped_pid == stopped)
            return true;
    return false;
}

static int add_finding(struct finder *f, size_t set, enum wait_finding_kind kind, pid_t stopped)
{
    const struct net *n = f->n;
    _cleanup_(freep) bool *marked = calloc(n->n + 1, sizeof(*marked));
    struct wait_finding *at;
    size_t behind = 0;

    if (!marked)
        return -ENOMEM;
    for (size_t i = 0; i < n->n; i++)
        marked[i] = stopped ? stuck_thread(n, i)->stopped && pid_of(n, i) == stopped
                            : n->set[i] == set;
    mark_behind(n, marked);
    for (size_t i = 0; i < n->n; i++)
        behind += marked[i] && n->set[i] != set && !stuck_thread(n, i)->stopped;
    if ((stopped && (!behind || is_told(f, stopped))) || !wanted(f, marked))
        return 0;
    at = ARRAY_MORE(f->out->findings, f->out->n_findings, f->room);
    if (!at)
        return -ENOMEM;
    at->kind = kind;
    return make_finding(f, at, set, marked);
}

/*
 * Reports the sets that wait for no other stuck thread. The others are reported with the set that
 * they wait for.
 */
static int look_at_sets(struct finder *f)
{
    const struct net *n = f->n;
    _cleanup_(freep) size_t *size = calloc(n->n_sets + 1, sizeof(*size));
    _cleanup_(freep) size_t *member = calloc(n->n_sets + 1, sizeof(*member));
    _cleanup_(freep) bool *waits = calloc(n->n_sets + 1, sizeof(*waits));
    int r = 0;

    if (!size || !member || !waits)
        return -ENOMEM;
    for (size_t i = 0; i < n->n; i++) {
        size[n->set[i]]++;
        member[n->set[i]] = i;
        for (size_t k = n->first[i]; k < n->first[i + 1]; k++)
            waits[n->set[i]] = waits[n->set[i]] || n->set[n->next[k]] != n->set[i];
    }
    for (size_t set = 0; set < n->n_sets && r == 0; set++) {
        size_t i = member[set];

        if (size[set] > 1)
            r = add_finding(f, set, WAIT_DEADLOCK, 0);
        else if (stuck_thread(n, i)->stopped)
            r = add_finding(f, set, WAIT_STOPPED, pid_of(n, i));
        else if (!waits[set])
            r = add_finding(f, set, WAIT_ORPHAN, 0);
    }
    return r;
}

static int by_threads(const void *a, const void *b)
{
    const struct wait_finding *x = a, *y = b;

    return (x->n < y->n) - (x->n > y->n);
}

/* ---- the chain of one process ---- */

/* The thread that @t waits for next: preferably a stuck one. */
static size_t next_thread(const struct graph *g, size_t t, const bool *seen)
{
    const struct thread *from = &g->threads[t];
    size_t found = NO_THREAD;

    for (size_t k = 0; k < from->n_alternatives; k++) {
        const struct alternative *a = &g->alternatives[from->first_alternative + k];

        if (a->owner != NO_THREAD)
            return seen[a->owner] ? NO_THREAD : a->owner;
        for (size_t w = 0; w < a->n_wakers; w++) {
            const struct process *p = &g->processes[g->wakers[a->first_waker + w]];

            for (size_t i = p->first_thread; i < p->first_thread + p->n_threads; i++)
                if (!seen[i] &&
                    (found == NO_THREAD || (g->threads[found].live && !g->threads[i].live)))
                    found = i;
        }
    }
    return found;
}

/* Where the chain begins: at a stuck thread of the process, else at its first thread. */
static size_t first_of(const struct graph *g, const struct process *p)
{
    for (size_t i = 0; i < p->n_threads; i++)
        if (!g->threads[p->first_thread + i].live)
            return p->first_thread + i;
    return p->n_threads ? p->first_thread : NO_THREAD;
}

/* The thread that the chain of the process number @i begins with. */
static size_t begin_of(const struct graph *g, const struct wait_opts *opts, size_t i)
{
    return opts->threads && opts->threads[i] ? graph_thread(g, opts->threads[i])
                                             : first_of(g, graph_process(g, opts->pids[i]));
}

static int make_chain(const struct graph *g, size_t t, size_t *room, struct wait_report *out)
{
    _cleanup_(freep) bool *seen = calloc(g->n_threads + 1, sizeof(*seen));

    if (!seen)
        return -ENOMEM;
    while (t != NO_THREAD) {
        struct wait_thread *at = ARRAY_MORE(out->chain, out->n_chain, *room);

        if (!at || graph_describe(g, &g->threads[t], at) < 0)
            return -ENOMEM;
        seen[t] = true;
        /* A thread that is live for a reason of its own waits for no other. */
        t = g->threads[t].outside && !g->threads[t].n_alternatives ? NO_THREAD
                                                                   : next_thread(g, t, seen);
    }
    return 0;
}

int graph_findings(const struct graph *g, const struct wait_opts *opts, struct wait_report *out)
{
    struct finder f = {.out = out, .pids = opts->pids, .n_pids = opts->n};
    size_t room = 0;
    struct net n;
    int r = net_make(&n, g);

    f.n = &n;
    if (r == 0)
        r = find_sets(&n);
    if (r == 0)
        r = look_at_sets(&f);
    if (r == 0 && out->n_findings)
        array_sort(out->findings, out->n_findings, sizeof(*out->findings), by_threads);
    for (size_t i = 0; i < opts->n && r == 0; i++)
        r = make_chain(g, begin_of(g, opts, i), &room, out);
    net_done(&n);
    return r;
}
