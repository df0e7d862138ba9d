/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads and descriptors from two BPF iterators: all of the machine's in some milliseconds, where
 * /proc takes a system call or two for each. They come in the order of thread numbers and are
 * sorted by process here.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "kbpf.h"
#include "kdev.h"
#include "kiter.h"
#include "scan.h"
#include "waitscan_abi.h"

#include "waitscan.skel.h"

struct graph_bpf {
    struct waitscan_bpf *skel;
};

int graph_bpf_open(struct graph_bpf **ret, struct err *e)
{
    _cleanup_(graph_bpf_closep) struct graph_bpf *b = calloc(1, sizeof(*b));
    _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
    int r;

    if (!b)
        return -ENOMEM;
    if (!kbpf_is_root())
        return err_set(e, -EPERM, "run as root",
                       "BPF shows the processes of all users, which is for root");
    r = kbpf_begin(&k, KBPF_SYSCALL, e);
    if (r == 0)
        r = kiter_begin(&k, e);
    if (r < 0)
        return r;
    LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = kbpf_btf_path(&k));
    b->skel = waitscan_bpf__open_opts(&opts);
    r = kbpf_load(&k, b->skel ? b->skel->skeleton : NULL, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(b);
    return 0;
}

void graph_bpf_close(struct graph_bpf *b)
{
    if (b)
        waitscan_bpf__destroy(b->skel);
    free(b);
}

void graph_bpf_closep(struct graph_bpf **b)
{
    graph_bpf_close(*b);
}

/* ---- records ---- */

struct records {
    struct waitscan_thread *threads;
    size_t n_threads, threads_room;
    struct waitscan_file *files;
    size_t n_files, files_room;
    pid_t self;
    uint64_t now;
};

static void records_done(struct records *r)
{
    free(r->threads);
    free(r->files);
}

static int on_thread(const void *record, void *ctx)
{
    struct records *all = ctx;
    const struct waitscan_thread *t = record;
    struct waitscan_thread *at;

    if (t->pid <= 0 || t->tid <= 0)
        return 0;
    if (t->tid == all->self)
        all->now = t->ran;
    at = ARRAY_MORE(all->threads, all->n_threads, all->threads_room);
    if (!at)
        return -ENOMEM;
    *at = *t;
    return 0;
}

static int on_file(const void *record, void *ctx)
{
    struct records *all = ctx;
    const struct waitscan_file *f = record;
    struct waitscan_file *at;

    if (f->pid <= 0)
        return 0;
    at = ARRAY_MORE(all->files, all->n_files, all->files_room);
    if (!at)
        return -ENOMEM;
    *at = *f;
    return 0;
}

/* Sorts by process; the first thread of each comes first. */
static int by_thread(const void *a, const void *b)
{
    const struct waitscan_thread *x = a, *y = b;

    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    if ((x->tid == x->pid) != (y->tid == y->pid))
        return x->tid == x->pid ? -1 : 1;
    return (x->tid > y->tid) - (x->tid < y->tid);
}

static int by_process(const void *a, const void *b)
{
    const struct waitscan_file *x = a, *y = b;

    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    if (x->table != y->table)
        return x->table < y->table ? -1 : 1;
    return (x->fd > y->fd) - (x->fd < y->fd);
}

/* ---- from records to the graph ---- */

/*
 * The letter that ps(1) shows for the state. These bits of include/linux/sched.h have never
 * changed.
 */
static char letter_of(const struct waitscan_thread *t)
{
    enum { STOPPED = 4, TRACED = 8, DEAD = 16, ZOMBIE = 32 };

    if (t->exit_state)
        return t->exit_state & ZOMBIE ? 'Z' : 'X';
    if (t->notes & WAITSCAN_RUNS)
        return 'R';
    return t->state & STOPPED ? 'T' : t->state & TRACED ? 't' : t->state & 1 ? 'S' : 'D';
}

static int add_call(const struct graph *g, const struct waitscan_thread *from, struct thread *t)
{
    int r;

    if (from->notes & WAITSCAN_NO_REGS) {
        r = proc_thread_call(g->proc, from->pid, from->tid, &t->call);
        if (r < 0)
            t->outside = "it may not be looked into";
        return r == -ENOMEM ? r : 0;
    }
    t->call.state = from->notes & WAITSCAN_RUNS ? PROC_CALL_RUNNING
                    : from->nr < 0              ? PROC_CALL_OUTSIDE
                                                : PROC_CALL_BLOCKED;
    t->call.nr = (long)from->nr;
    memcpy(t->call.args, from->args, sizeof(t->call.args));
    return 0;
}

/*
 * @alone: the process has no other thread. A zombie whose process has other threads does nothing
 * any more.
 */
static int add_thread(struct graph *g, uint32_t process, const struct waitscan_thread *from,
                      bool alone)
{
    struct thread *t;
    char state = letter_of(from);

    if (state == 'Z' && !alone)
        return 0;
    t = ARRAY_MORE(g->threads, g->n_threads, g->threads_room);
    if (!t)
        return -ENOMEM;
    *t = (struct thread){
        .process = process,
        .tid = from->tid,
        .state = state,
        .switches = from->switches,
        .switches_known = true,
        .ran = from->ran,
    };
    t->stopped = scan_is_stopped(state) || g->cgroups[g->processes[process].cgroup].frozen;
    g->processes[process].n_threads++;
    return add_call(g, from, t);
}

static int add_file(struct graph *g, uint32_t process, const struct waitscan_file *f)
{
    static const enum descriptor_kind kinds[] = {
        [WAITSCAN_OTHER] = FD_OTHER,   [WAITSCAN_PIPE] = FD_PIPE,       [WAITSCAN_FIFO] = FD_FIFO,
        [WAITSCAN_SOCKET] = FD_SOCKET, [WAITSCAN_QUEUE] = FD_QUEUE,     [WAITSCAN_FILE] = FD_FILE,
        [WAITSCAN_EPOLL] = FD_EPOLL,   [WAITSCAN_EVENTFD] = FD_EVENTFD,
    };
    struct descriptor *d = ARRAY_MORE(g->fds, g->n_fds, g->fds_room);

    if (!d)
        return -ENOMEM;
    *d = (struct descriptor){
        .process = process,
        .table = f->table,
        .fd = f->fd,
        .kind = f->kind < ARRAY_SIZE(kinds) ? kinds[f->kind] : FD_OTHER,
        .inode = f->inode,
        .dev = kdev_for_user(f->dev),
        .reads = f->reads,
        .writes = f->writes,
    };
    if (d->kind == FD_SOCKET)
        d->dev = 0;
    g->processes[process].n_fds++;
    return 0;
}

/* Adds one process: its @n threads, and its files from @file on. */
static int add_process(struct scan *s, const struct records *all, size_t first, size_t n,
                       size_t *file)
{
    struct graph *g = s->g;
    const struct waitscan_thread *t = &all->threads[first];
    uint32_t process = (uint32_t)g->n_processes;
    struct process *p = ARRAY_MORE(g->processes, g->n_processes, g->processes_room);
    int r;

    if (!p)
        return -ENOMEM;
    *p = (struct process){
        .pid = t->pid,
        .parent = t->parent,
        .first_fd = g->n_fds,
        .first_thread = g->n_threads,
    };
    memcpy(p->comm, t->comm, sizeof(p->comm));
    p->comm[sizeof(p->comm) - 1] = '\0';
    r = scan_add_cgroup(g, t->pid, t->groups, &p->cgroup);
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_thread(g, process, &t[i], n == 1);
    while (*file < all->n_files && all->files[*file].pid < t->pid)
        ++*file;
    for (; r == 0 && *file < all->n_files && all->files[*file].pid == t->pid; ++*file)
        r = add_file(g, process, &all->files[*file]);
    return r < 0 || !t->net ? r : scan_add_net(s, t->pid, t->net);
}

int scan_bpf(const struct graph_bpf *b, struct scan *s, struct err *e)
{
    _cleanup_(records_done) struct records all = {.self = gettid()};
    size_t file = 0, n;
    int r = kiter_run(b->skel->progs.files, sizeof(*all.files), on_file, &all, e);

    if (r == 0)
        r = kiter_run(b->skel->progs.threads, sizeof(*all.threads), on_thread, &all, e);
    if (r < 0)
        return r;
    if (all.n_threads)
        qsort(all.threads, all.n_threads, sizeof(*all.threads), by_thread);
    if (all.n_files)
        qsort(all.files, all.n_files, sizeof(*all.files), by_process);
    s->g->events_read = true;
    s->g->now = all.now;
    for (size_t i = 0; i < all.n_threads && r == 0; i += n) {
        for (n = 1; i + n < all.n_threads && all.threads[i + n].pid == all.threads[i].pid; n++)
            ;
        r = add_process(s, &all, i, n, &file);
    }
    return r;
}
