/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One look, and where it finds something a second one: only what both show is told. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "cleanup.h"
#include "graph.h"
#include "realuser.h"

static int look_once(struct graph *g, struct err *e)
{
    int r = graph_scan(g, e);

    if (r == 0) {
        graph_explain(g);
        graph_solve(g);
        r = g->error;
    }
    return r;
}

static bool anything_stuck(const struct graph *g)
{
    for (size_t i = 0; i < g->n_threads; i++)
        if (!g->threads[i].live)
            return true;
    return false;
}

static void pause_for(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000),
                            .tv_nsec = (long)(ns % 1000000000)};

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

static int report(const struct graph *g, const pid_t *pids, size_t n, struct wait_report *out,
                  struct err *e)
{
    struct proc_view view = {0};
    int r = proc_view(g->proc, &view);

    out->all_users = r == 0 && view.users;
    out->processes_seen = g->n_processes - g->hidden;
    out->threads_seen = g->n_threads;
    out->processes_hidden = g->hidden;
    for (size_t i = 0; i < n; i++)
        if (!graph_process(g, pids[i]))
            return err_set(e, -ESRCH, NULL, "there is no process %d", (int)pids[i]);
    return graph_findings(g, pids, n, out);
}

static int look(const pid_t *pids, size_t n, uint64_t watch_ns, struct wait_report *out,
                struct err *e)
{
    struct graph first, second;
    int r = look_once(&first, e);

    if (r == 0 && anything_stuck(&first)) {
        pause_for(watch_ns);
        r = look_once(&second, e);
        if (r == 0)
            r = graph_confirm(&second, &first);
        if (r == 0)
            r = report(&second, pids, n, out, e);
        graph_done(&second);
    } else if (r == 0) {
        r = report(&first, pids, n, out, e);
    }
    graph_done(&first);
    return r;
}

int wait_look(const pid_t *pids, size_t n, uint64_t watch_ns, struct wait_report **ret,
              struct err *e)
{
    _cleanup_(wait_report_freep) struct wait_report *out = calloc(1, sizeof(*out));
    struct realuser saved;
    int r = out ? realuser_enter(&saved) : -ENOMEM;

    if (r < 0)
        return r;
    r = look(pids, n, watch_ns, out, e);
    realuser_leave(&saved);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(out);
    return 0;
}

void wait_report_free(struct wait_report *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_findings; i++) {
        for (size_t k = 0; k < r->findings[i].n; k++)
            wait_thread_done(&r->findings[i].threads[k]);
        free(r->findings[i].threads);
        free(r->findings[i].frozen);
    }
    for (size_t i = 0; i < r->n_chain; i++)
        wait_thread_done(&r->chain[i]);
    free(r->findings);
    free(r->chain);
    free(r);
}

void wait_report_freep(struct wait_report **r)
{
    wait_report_free(*r);
}
