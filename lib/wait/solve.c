/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the live threads: first those that do not wait for an object of the graph, then every
 * thread that a live thread could wake, until nothing changes. Each thread and each edge is visited
 * once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "graph.h"

/* An edge: @waiter can be woken by a process, or by one thread of it. */
struct edge {
    uint32_t process;
    size_t owner;
    size_t waiter;
};

struct solver {
    struct graph *g;
    struct edge *edges; /* sorted by process */
    size_t n, room;
    size_t *first; /* for each process the index of its first edge */
    size_t *todo;
    size_t n_todo;
};

static int by_process(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;

    return (x->process > y->process) - (x->process < y->process);
}

static int collect_edges(struct solver *s)
{
    const struct graph *g = s->g;

    for (size_t i = 0; i < g->n_threads; i++)
        for (size_t k = 0; k < g->threads[i].n_alternatives; k++) {
            const struct alternative *a = &g->alternatives[g->threads[i].first_alternative + k];

            for (size_t w = 0; w < a->n_wakers; w++) {
                struct edge *e = ARRAY_MORE(s->edges, s->n, s->room);

                if (!e)
                    return -ENOMEM;
                *e = (struct edge){g->wakers[a->first_waker + w], a->owner, i};
            }
        }
    if (s->n)
        array_sort(s->edges, s->n, sizeof(*s->edges), by_process);
    s->first = calloc(g->n_processes + 1, sizeof(*s->first));
    s->todo = calloc(g->n_threads + 1, sizeof(*s->todo));
    if (!s->first || !s->todo)
        return -ENOMEM;
    for (size_t i = 0, p = 0; p <= g->n_processes; p++) {
        while (i < s->n && s->edges[i].process < p)
            i++;
        s->first[p] = i;
    }
    return 0;
}

static void make_live(struct solver *s, size_t thread)
{
    struct thread *t = &s->g->threads[thread];

    if (t->live || t->stopped)
        return;
    t->live = true;
    s->todo[s->n_todo++] = thread;
}

static void spread(struct solver *s)
{
    while (s->n_todo) {
        size_t from = s->todo[--s->n_todo];
        uint32_t p = s->g->threads[from].process;

        for (size_t i = s->first[p]; i < s->first[p + 1]; i++) {
            const struct edge *e = &s->edges[i];

            if (e->waiter != from && (e->owner == NO_THREAD || e->owner == from))
                make_live(s, e->waiter);
        }
    }
}

static void solver_done(struct solver *s)
{
    free(s->edges);
    free(s->first);
    free(s->todo);
}

/*
 * Makes those threads live that have a reason of their own, or are in @moved (may be NULL), and all
 * threads that these can wake.
 */
static void solve(struct graph *g, const bool *moved)
{
    struct solver s = {.g = g};

    if (collect_edges(&s) < 0) {
        g->error = -ENOMEM;
    } else {
        for (size_t i = 0; i < g->n_threads; i++) {
            const struct process *p = &g->processes[g->threads[i].process];

            if (g->threads[i].outside || p->hidden || (moved && moved[i]))
                make_live(&s, i);
        }
        spread(&s);
    }
    solver_done(&s);
}

uint64_t graph_switches(const struct graph *g, const struct thread *t)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    const char *at;
    char path[64];

    snprintf(path, sizeof(path), "%d/task/%d/status", (int)g->processes[t->process].pid,
             (int)t->tid);
    if (file_read(g->proc, path, 1 << 20, &text) < 0)
        return UINT64_MAX;
    at = strstr(buf_str(&text), "\nvoluntary_ctxt_switches:");
    return at ? strtoull(at + 25, NULL, 10) : 0;
}

void graph_solve(struct graph *g)
{
    solve(g, NULL);
    for (size_t i = 0; i < g->n_threads; i++)
        if (!g->threads[i].live && !g->threads[i].switches_known)
            g->threads[i].switches = graph_switches(g, &g->threads[i]);
}

static bool same_wait(const struct graph *g, const struct thread *t, const struct graph *before)
{
    const struct process *p = graph_process(before, g->processes[t->process].pid);

    for (size_t i = 0; p && i < p->n_threads; i++) {
        const struct thread *o = &before->threads[p->first_thread + i];

        if (o->tid == t->tid)
            return !o->live && o->stopped == t->stopped && o->switches == t->switches &&
                   o->call.state == t->call.state && o->call.nr == t->call.nr &&
                   !memcmp(o->call.args, t->call.args, sizeof(t->call.args));
    }
    return false;
}

int graph_confirm(struct graph *g, const struct graph *before)
{
    _cleanup_(freep) bool *moved = calloc(g->n_threads + 1, sizeof(*moved));

    if (!moved)
        return -ENOMEM;
    for (size_t i = 0; i < g->n_threads; i++) {
        struct thread *t = &g->threads[i];

        moved[i] = !t->live && !same_wait(g, t, before);
        t->stopped = t->stopped && !moved[i];
    }
    /* Threads that are live already would not be visited again, so the solution starts anew. */
    for (size_t i = 0; i < g->n_threads; i++)
        g->threads[i].live = false;
    solve(g, moved);
    return g->error;
}
