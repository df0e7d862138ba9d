/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Describes a thread's wait: name and fill level of the object, and which processes could wake the
 * thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "graph.h"
#include "macros.h"

const char *wait_object_kind_name(enum wait_object_kind kind)
{
    static const char *const names[] = {
        [WAIT_PIPE] = "pipe",       [WAIT_FIFO] = "fifo",   [WAIT_UNIX] = "unix",
        [WAIT_MQ] = "mq",           [WAIT_SYSV] = "sysv",   [WAIT_FUTEX] = "futex",
        [WAIT_FLOCK] = "flock",     [WAIT_CHILD] = "child", [WAIT_POSIX_LOCK] = "posix_lock",
        [WAIT_CHANNEL] = "channel", [WAIT_BUS1] = "bus1",   [WAIT_EPOLL] = "epoll",
        [WAIT_EVENTFD] = "eventfd",
    };

    return names[kind];
}

const char *wait_direction_name(enum wait_direction direction)
{
    static const char *const names[] = {
        [WAIT_READ] = "read",      [WAIT_WRITE] = "write",   [WAIT_SEND] = "send",
        [WAIT_RECV] = "recv",      [WAIT_ACCEPT] = "accept", [WAIT_CONNECT] = "connect",
        [WAIT_LOCK] = "lock",      [WAIT_OPEN] = "open",     [WAIT_POLL] = "poll",
        [WAIT_FOR_CHILD] = "wait",
    };

    return names[direction];
}

/* Reads the link of a descriptor; "" when the process or the descriptor is gone. */
static void link_of(const struct graph *g, pid_t table, int fd, char *out, size_t size)
{
    char path[64];
    ssize_t n;

    snprintf(path, sizeof(path), "%d/fd/%d", (int)table, fd);
    n = readlinkat(g->proc, path, out, size - 1);
    out[MAX(n, (ssize_t)0)] = '\0';
}

/* Finds some descriptor of an object; NULL when there is none. */
static const struct descriptor *any_descriptor(const struct graph *g, enum descriptor_kind kind,
                                               const struct alternative *a)
{
    size_t n;
    const uint32_t *at = graph_holders(g, kind, a->dev, a->inode, &n);

    return n ? &g->fds[*at] : NULL;
}

static char *linked_name(const struct graph *g, const struct descriptor *d, const char *fallback,
                         uint64_t number)
{
    _cleanup_(buf_done) struct buf name = BUF_INIT;
    char link[4096] = "";

    if (d)
        link_of(g, d->table, d->fd, link, sizeof(link));
    if (link[0])
        buf_add_str(&name, link);
    else
        buf_printf(&name, "%s:[%" PRIu64 "]", fallback, number);
    return buf_steal(&name);
}

/* Name of a queue: the last component of its path, wherever the file system is mounted. */
static char *queue_name(const struct graph *g, const struct descriptor *d, uint64_t inode)
{
    char *name = linked_name(g, d, "mq", inode), *last = name ? strrchr(name, '/') : NULL;

    if (last)
        memmove(name, last, strlen(last) + 1);
    return name;
}

static char *socket_name(const struct graph *g, uint64_t inode)
{
    const struct socket *s = graph_socket(g, inode);
    const struct socket *peer = s && !s->name ? graph_socket(g, s->peer) : s;
    _cleanup_(buf_done) struct buf name = BUF_INIT;

    buf_printf(&name, "unix:[%" PRIu64 "]", inode);
    if (peer && peer->name)
        buf_printf(&name, " %s", peer->name);
    return buf_steal(&name);
}

static char *format_name(const char *what, uint64_t number)
{
    _cleanup_(buf_done) struct buf name = BUF_INIT;

    buf_printf(&name, "%s%" PRIu64, what, number);
    return buf_steal(&name);
}

static char *futex_name(uint64_t address)
{
    _cleanup_(buf_done) struct buf name = BUF_INIT;

    buf_printf(&name, "futex:0x%" PRIx64, address);
    return buf_steal(&name);
}

/* Path of the FIFO that a thread is opening. */
static char *opened_path(const struct graph *g, const struct thread *t, const struct alternative *a)
{
    char *path = graph_opened_path(g, t);

    return path ? path : linked_name(g, NULL, "fifo", a->inode);
}

static char *name_of(const struct graph *g, const struct thread *t, const struct alternative *a)
{
    if (a->name)
        return strdup(a->name);
    switch (a->kind) {
    case WAIT_PIPE:
        return linked_name(g, any_descriptor(g, FD_PIPE, a), "pipe", a->inode);
    case WAIT_FIFO:
        return a->fd < 0 ? opened_path(g, t, a)
                         : linked_name(g, any_descriptor(g, FD_FIFO, a), "fifo", a->inode);
    case WAIT_UNIX:
        return socket_name(g, a->inode);
    case WAIT_MQ:
        return queue_name(g, any_descriptor(g, FD_QUEUE, a), a->inode);
    case WAIT_SYSV:
        return format_name("sysv:", a->inode);
    case WAIT_FUTEX:
        return futex_name(a->inode);
    case WAIT_FLOCK:
    case WAIT_POSIX_LOCK:
        return linked_name(g, any_descriptor(g, FD_FILE, a), "inode", a->inode);
    case WAIT_CHILD:
        return a->inode ? format_name("child ", a->inode) : strdup("any child");
    case WAIT_EVENTFD:
        return format_name("eventfd ", a->inode);
    default:
        return strdup(wait_object_kind_name(a->kind));
    }
}

/*
 * A pipe is queried through a duplicate of an existing descriptor: opening it would add a reader.
 */
static void fill_pipe(const struct graph *g, const struct alternative *a, struct wait_object *out)
{
    const struct descriptor *d = any_descriptor(g, a->kind == WAIT_PIPE ? FD_PIPE : FD_FIFO, a);
    _cleanup_(closep) int fd = d ? proc_fd_take(g->processes[d->process].pid, d->fd, NULL) : -1;
    int bytes, size;

    if (fd < 0 || ioctl(fd, FIONREAD, &bytes) < 0 || (size = fcntl(fd, F_GETPIPE_SZ)) < 0)
        return;
    out->used = (uint64_t)bytes;
    out->limit = (uint64_t)size;
}

/* Opening a message queue does not change it, and the kernel checks that the user may read it. */
static void fill_queue(const struct graph *g, const struct alternative *a, struct wait_object *out)
{
    const struct descriptor *d = any_descriptor(g, FD_QUEUE, a);
    _cleanup_(closep) int fd = -1;
    struct mq_attr attr;
    char path[64];

    if (!d)
        return;
    snprintf(path, sizeof(path), "%d/fd/%d", (int)d->table, d->fd);
    fd = openat(g->proc, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || syscall(SYS_mq_getsetattr, fd, NULL, &attr) < 0)
        return;
    out->messages = true;
    out->used = (uint64_t)attr.mq_curmsgs;
    out->limit = (uint64_t)attr.mq_maxmsg;
}

static void fill_sysv(const struct graph *g, const struct alternative *a, struct wait_object *out)
{
    for (size_t i = 0; i < g->n_queues; i++)
        if ((uint64_t)g->queues[i].id == a->inode) {
            out->used = g->queues[i].messages;
            out->messages = true;
        }
}

/* The kernel adds " (deleted)" to the name of an unlinked file: the suffix becomes a flag. */
static void cut_deleted(struct wait_object *o)
{
    static const char mark[] = " (deleted)";
    size_t n = strlen(o->name), m = strlen(mark);

    if (n > m && !strcmp(o->name + n - m, mark)) {
        o->name[n - m] = '\0';
        o->unlinked = true;
    }
}

static int describe_object(const struct graph *g, const struct thread *t,
                           const struct alternative *a, struct wait_object *out)
{
    *out = (struct wait_object){
        .kind = a->kind,
        .inode = a->kind == WAIT_FUTEX || a->kind == WAIT_CHILD || a->kind == WAIT_SYSV ? 0
                                                                                        : a->inode,
        .used = WAIT_UNKNOWN,
        .limit = WAIT_UNKNOWN,
        .name = name_of(g, t, a),
    };
    if (!out->name)
        return -ENOMEM;
    if (a->kind == WAIT_MQ)
        cut_deleted(out);
    if (a->kind == WAIT_PIPE || a->kind == WAIT_FIFO)
        fill_pipe(g, a, out);
    else if (a->kind == WAIT_MQ)
        fill_queue(g, a, out);
    else if (a->kind == WAIT_SYSV)
        fill_sysv(g, a, out);
    return 0;
}

/* Collects the processes that could wake the thread, over all its alternatives. */
static int collect_wakers(const struct graph *g, const struct thread *t, struct wait_thread *out)
{
    size_t most = 0;

    for (size_t i = 0; i < t->n_alternatives; i++)
        most += g->alternatives[t->first_alternative + i].n_wakers;
    out->wakers = calloc(most + 1, sizeof(*out->wakers));
    if (!out->wakers)
        return -ENOMEM;
    for (size_t i = 0; i < t->n_alternatives; i++) {
        const struct alternative *a = &g->alternatives[t->first_alternative + i];

        for (size_t k = 0; k < a->n_wakers; k++) {
            pid_t pid = g->processes[g->wakers[a->first_waker + k]].pid;
            bool known = false;

            for (size_t n = 0; n < out->n_wakers; n++)
                known = known || out->wakers[n] == pid;
            if (!known)
                out->wakers[out->n_wakers++] = pid;
        }
    }
    return 0;
}

/*
 * How long the thread has waited. The kernel loses the time of its last run in /proc when it moves
 * the sleeping thread to another processor; then the time that BPF has read is used.
 */
static uint64_t waited_for(const struct graph *g, const struct thread *t)
{
    uint64_t ns;

    if (proc_thread_since(g->proc, g->processes[t->process].pid, t->tid, &ns) == 0)
        return ns;
    return t->ran && g->now > t->ran ? g->now - t->ran : WAIT_UNKNOWN;
}

int graph_describe(const struct graph *g, const struct thread *t, struct wait_thread *out)
{
    const struct process *p = &g->processes[t->process];
    const char *cgroup = g->cgroups[p->cgroup].path;
    const struct alternative *first = t->n_alternatives ? &g->alternatives[t->first_alternative]
                                                        : NULL;

    *out = (struct wait_thread){
        .pid = p->pid,
        .tid = t->tid,
        .state = t->state,
        .call = t->name,
        .waits = first != NULL,
        .direction = t->direction,
        .fd = first ? first->fd : -1,
        .outside = t->outside,
        .cgroup = strcmp(cgroup, g->own_cgroup) ? strdup(cgroup) : NULL,
    };
    memcpy(out->comm, p->comm, sizeof(out->comm));
    /*
     * A wait in a channel is interrupted several times a second, to check whether the channel still
     * exists, so the time since the thread last ran says nothing.
     */
    out->since_ns = first && first->kind != WAIT_CHANNEL ? waited_for(g, t) : WAIT_UNKNOWN;
    if (first && describe_object(g, t, first, &out->object) < 0)
        return -ENOMEM;
    /* In epoll_wait(2) the thread waits for the whole set; the name is that of its first member. */
    if (first && t->name && !strncmp(t->name, "epoll", 5))
        out->object.kind = WAIT_EPOLL;
    return collect_wakers(g, t, out);
}

void wait_thread_done(struct wait_thread *t)
{
    free(t->object.name);
    free(t->wakers);
    free(t->cgroup);
}

pid_t graph_tracer(const struct graph *g, pid_t pid)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    const char *at;
    char path[32];

    snprintf(path, sizeof(path), "%d/status", (int)pid);
    if (file_read(g->proc, path, 1 << 20, &text) < 0)
        return 0;
    at = strstr(buf_str(&text), "\nTracerPid:");
    return at ? (pid_t)strtol(at + 11, NULL, 10) : 0;
}
