/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the machine once, and again if something is stuck: only what both readings show is
 * reported.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "graph.h"
#include "realuser.h"

const char *const wait_backends[] = {"bpf", "proc", NULL};

static int look_once(struct graph *g, const struct graph_bpf *bpf, struct err *e)
{
    int r = graph_scan(g, bpf, e);

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

static int add_stopped(const struct graph *g, struct wait_report *out)
{
    size_t room = 0;

    for (size_t i = 0; i < g->n_threads; i++) {
        pid_t pid = g->processes[g->threads[i].process].pid, *at;

        if (!g->threads[i].stopped || (out->n_stopped && out->stopped[out->n_stopped - 1] == pid))
            continue;
        at = ARRAY_MORE(out->stopped, out->n_stopped, room);
        if (!at)
            return -ENOMEM;
        *at = pid;
    }
    return 0;
}

static int report(const struct graph *g, const struct wait_opts *opts, struct wait_report *out,
                  struct err *e)
{
    struct proc_view view = {0};
    int r = proc_view(g->proc, &view);

    out->all_users = r == 0 && view.users;
    out->processes_seen = g->n_processes - g->hidden;
    out->threads_seen = g->n_threads;
    out->processes_hidden = g->hidden;
    for (size_t i = 0; i < opts->n; i++)
        if (!graph_process(g, opts->pids[i]))
            return err_set(e, -ESRCH, NULL, "there is no process %d", (int)opts->pids[i]);
    if (opts->n && add_stopped(g, out) < 0)
        return -ENOMEM;
    return graph_findings(g, opts, out);
}

static int look(const struct wait_opts *opts, const struct graph_bpf *bpf, struct wait_report *out,
                struct err *e)
{
    struct graph first, second;
    int r = look_once(&first, bpf, e);

    if (r == 0 && anything_stuck(&first)) {
        pause_for(opts->watch_ns);
        r = look_once(&second, bpf, e);
        if (r == 0)
            r = graph_confirm(&second, &first);
        if (r == 0)
            r = report(&second, opts, out, e);
        graph_done(&second);
    } else if (r == 0) {
        r = report(&first, opts, out, e);
    }
    graph_done(&first);
    return r;
}

/* Chooses the source of threads and descriptors. @bpf stays NULL for /proc. */
static int choose(const struct wait_opts *opts, struct graph_bpf **bpf, struct wait_report *out,
                  struct err *e)
{
    bool known = !opts->backend;
    int r;

    for (size_t i = 0; wait_backends[i] && !known; i++)
        known = !strcmp(opts->backend, wait_backends[i]);
    if (!known)
        return err_set(e, -EINVAL, NULL, "there is no backend of that name, only bpf and proc");
    out->backend = "proc";
    if (opts->backend && !strcmp(opts->backend, "proc"))
        return 0;
    r = graph_bpf_open(bpf, &out->no_bpf);
    if (r == 0)
        out->backend = "bpf";
    if (r < 0 && opts->backend && e)
        *e = out->no_bpf;
    return opts->backend || r == -ENOMEM ? r : 0;
}

int wait_look(const struct wait_opts *opts, struct wait_report **ret, struct err *e)
{
    _cleanup_(wait_report_freep) struct wait_report *out = calloc(1, sizeof(*out));
    _cleanup_(graph_bpf_closep) struct graph_bpf *bpf = NULL;
    struct realuser saved;
    int r = out ? choose(opts, &bpf, out, e) : -ENOMEM;

    if (r == 0)
        r = realuser_enter(&saved);
    if (r < 0)
        return r;
    r = look(opts, bpf, out, e);
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
    free(r->stopped);
    free(r);
}

void wait_report_freep(struct wait_report **r)
{
    wait_report_free(*r);
}
