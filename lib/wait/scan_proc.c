/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes with their threads and descriptors, from /proc. Processes that end meanwhile are left
 * out; those that may not be inspected are marked as hidden.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "scan.h"

enum {
    PF_KTHREAD = 0x00200000,   /* include/linux/sched.h */
    MQUEUE_MAGIC = 0x19800202, /* ipc/mqueue.c */
    TEXT_MAX = 1 << 20,
};

/* ---- threads ---- */

/* Parses the fields of a stat file after the name. Return: how many were read. */
static int parse_stat(const char *text, char *state, int *parent, unsigned int *flags, int *threads)
{
    const char *end = strrchr(text, ')');

    return end ? sscanf(end + 1,
                        " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d",
                        state, parent, flags, threads)
               : 0;
}

static int add_thread(struct scan *s, uint32_t process, pid_t tid, char state, bool alone)
{
    struct graph *g = s->g;
    struct thread *t;
    int r;

    /* When the first thread has ended before the others, it does nothing and wakes nobody. */
    if (state == 'Z' && !alone)
        return 0;
    t = ARRAY_MORE(g->threads, g->n_threads, g->threads_room);
    if (!t)
        return -ENOMEM;
    *t = (struct thread){.process = process, .tid = tid, .state = state};
    t->stopped = scan_is_stopped(state) || g->cgroups[g->processes[process].cgroup].frozen;
    g->processes[process].n_threads++;
    r = proc_thread_call(g->proc, g->processes[process].pid, tid, &t->call);
    if (r < 0)
        t->outside = "it may not be looked into";
    return r == -ENOMEM ? r : 0;
}

struct walk {
    struct scan *s;
    uint32_t process;
};

static int on_thread(pid_t tid, void *ctx)
{
    const struct walk *w = ctx;
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    char path[64], state;
    unsigned int flags;
    int parent, threads;

    snprintf(path, sizeof(path), "%d/task/%d/stat", (int)w->s->g->processes[w->process].pid,
             (int)tid);
    if (file_read(w->s->g->proc, path, TEXT_MAX, &text) < 0 ||
        parse_stat(buf_str(&text), &state, &parent, &flags, &threads) < 4)
        return 0;
    return add_thread(w->s, w->process, tid, state, false);
}

/* ---- descriptors ---- */

/*
 * Mounts in our own namespace are known already; asking a FUSE file could block, because its server
 * may be stopped.
 */
static bool on_mqueue(struct scan *s, const struct proc_fd *f, uint64_t dev)
{
    char path[64];
    struct statfs fs;

    for (size_t i = 0; i < s->n_systems; i++)
        if (s->systems[i].dev == dev)
            return s->systems[i].queues;
    snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)f->tid, f->entry);
    if (statfs(path, &fs) < 0)
        return false;
    if (scan_add_system(s, dev, fs.f_type == MQUEUE_MAGIC) < 0)
        s->g->error = -ENOMEM;
    return fs.f_type == MQUEUE_MAGIC;
}

/* Fills in kind, device and inode. Return: whether a thread could wait for such a descriptor. */
static bool identify(struct scan *s, const struct proc_fd *f, struct descriptor *d)
{
    struct statx st;

    if (!strncmp(f->link, "socket:[", 8)) {
        d->kind = FD_SOCKET;
        return proc_parse_ns(f->link, "socket", &d->inode) == 0;
    }
    if (!strncmp(f->link, "anon_inode:", 11)) {
        d->kind = strstr(f->link, "[eventpoll]") ? FD_EPOLL
                  : strstr(f->link, "[eventfd]") ? FD_EVENTFD
                                                 : FD_OTHER;
        return true;
    }
    if (strncmp(f->link, "pipe:[", 6) && f->link[0] != '/') {
        d->kind = FD_OTHER;
        return true;
    }
    if (statx(f->dir, f->entry, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO, &st) <
        0)
        return false;
    d->inode = st.stx_ino;
    d->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
    if (S_ISFIFO(st.stx_mode))
        d->kind = f->link[0] == '/' ? FD_FIFO : FD_PIPE;
    else if (!S_ISREG(st.stx_mode))
        d->kind = FD_OTHER;
    else /* message queues are on file systems without a device */
        d->kind = !st.stx_dev_major && on_mqueue(s, f, d->dev) ? FD_QUEUE : FD_FILE;
    return true;
}

static int on_fd(const struct proc_fd *f, void *ctx)
{
    const struct walk *w = ctx;
    struct graph *g = w->s->g;
    struct descriptor d = {.process = w->process, .table = f->tid, .fd = f->fd}, *at;
    struct stat st;

    if (!identify(w->s, f, &d))
        return 0;
    if (d.kind != FD_SOCKET && d.kind != FD_FILE && d.kind != FD_OTHER &&
        fstatat(f->dir, f->entry, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        /* The permission bits of the link itself tell how the descriptor was opened. */
        d.reads = st.st_mode & S_IRUSR;
        d.writes = st.st_mode & S_IWUSR;
    }
    at = ARRAY_MORE(g->fds, g->n_fds, g->fds_room);
    if (!at)
        return -ENOMEM;
    *at = d;
    g->processes[w->process].n_fds++;
    return 0;
}

/* ---- processes ---- */

static int add_process(struct scan *s, struct process *p, char state, int threads)
{
    struct graph *g = s->g;
    struct walk w = {.s = s, .process = (uint32_t)g->n_processes};
    struct process *at = ARRAY_MORE(g->processes, g->n_processes, g->processes_room);
    int r;

    if (!at)
        return -ENOMEM;
    p->first_fd = g->n_fds;
    p->first_thread = g->n_threads;
    *at = *p;
    r = proc_visit_fds(g->proc, p->pid, on_fd, &w);
    if (r == -EACCES || r == -EPERM) {
        g->processes[w.process].hidden = true;
        g->hidden++;
    }
    if (r == -ENOMEM)
        return r;
    r = threads > 1 ? proc_visit_tids(g->proc, p->pid, on_thread, &w)
                    : add_thread(s, w.process, p->pid, state, true);
    return r == -ENOMEM ? r : scan_add_net(s, p->pid, 0);
}

static int on_process(pid_t pid, void *ctx)
{
    struct scan *s = ctx;
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    struct process p = {.pid = pid};
    unsigned int flags;
    int threads, r;
    char path[32], state;

    snprintf(path, sizeof(path), "%d/stat", (int)pid);
    if (file_read(s->g->proc, path, TEXT_MAX, &text) < 0 ||
        parse_stat(buf_str(&text), &state, &p.parent, &flags, &threads) < 4 || flags & PF_KTHREAD)
        return 0;
    if (proc_parse_state(buf_str(&text), p.comm, &state) < 0)
        return 0;
    r = scan_add_cgroup(s->g, pid, 0, &p.cgroup);
    return r < 0 ? r : add_process(s, &p, state, threads);
}

int scan_proc(struct scan *s)
{
    return proc_visit_pids(s->g->proc, on_process, s);
}
