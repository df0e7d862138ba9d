/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * First every descriptor of every process, then the sockets of each network namespace that was met,
 * then each descriptor is given to its queue. What vanishes between is left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "array.h"
#include "cleanup.h"
#include "diag.h"
#include "fdq.h"
#include "macros.h"
#include "realuser.h"

enum { TCP_LISTEN_STATE = 10 }; /* enum in net/tcp_states.h, which unix sockets share */

/* A descriptor that may be one of a queue. */
struct found {
    uint64_t dev; /* 0 for a socket */
    uint64_t inode;
    uint32_t process;
    int fd;
    bool fifo;
    bool reads, writes; /* of a pipe */
};

struct process {
    pid_t pid;
    char comm[PROC_COMM_SIZE];
    char state;
    size_t first, end; /* of its descriptors in scan.found */
};

struct namespace
{
    uint64_t inode;
    int fd;
};

/* A client and the listener that has not accepted it yet. */
struct waiting {
    uint64_t client;
    uint64_t listener;
};

struct scan {
    int proc;
    unsigned int flags;
    const pid_t *only; /* NULL: all processes */
    size_t n_only;
    struct fdq_set *set;
    size_t room;
    struct process *processes;
    size_t n_processes, processes_room;
    struct found *found;
    size_t n_found, found_room;
    struct namespace *spaces; /* the first is the caller's */
    size_t n_spaces, spaces_room;
    struct waiting *waiting;
    size_t n_waiting, waiting_room;
    uint64_t net_ns; /* that of the sockets being listed; 0: the caller's */
    struct err *e;
};

/* ---- processes ---- */

/* Pipes and sockets are told by their links; a FIFO only by asking what a path leads to. */
static bool is_queue(const struct proc_fd *f, struct found *out)
{
    struct statx st;

    if (!strncmp(f->link, "socket:[", 8))
        return proc_parse_ns(f->link, "socket", &out->inode) == 0;
    if (strncmp(f->link, "pipe:[", 6) && f->link[0] != '/')
        return false;
    if (statx(f->dir, f->entry, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO, &st) <
            0 ||
        !S_ISFIFO(st.stx_mode))
        return false;
    out->fifo = f->link[0] == '/';
    out->inode = st.stx_ino;
    out->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
    return true;
}

/* The link's own permission bits tell how the descriptor was opened. */
static void add_access(const struct proc_fd *f, struct found *out)
{
    struct stat st;

    if (fstatat(f->dir, f->entry, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    out->reads = st.st_mode & S_IRUSR;
    out->writes = st.st_mode & S_IWUSR;
}

static int on_fd(const struct proc_fd *f, void *ctx)
{
    struct scan *s = ctx;
    struct found got = {.process = (uint32_t)s->n_processes - 1, .fd = f->fd}, *at;

    if (!is_queue(f, &got))
        return 0;
    if (got.dev)
        add_access(f, &got);
    at = ARRAY_MORE(s->found, s->n_found, s->found_room);
    if (!at)
        return -ENOMEM;
    *at = got;
    return 0;
}

static int add_space(struct scan *s, pid_t pid)
{
    struct namespace *at;
    uint64_t inode;
    char path[64];
    int fd;

    if (proc_ns(s->proc, pid, "net", &inode) < 0)
        return 0;
    for (size_t i = 0; i < s->n_spaces; i++)
        if (s->spaces[i].inode == inode)
            return 0;
    snprintf(path, sizeof(path), "%d/ns/net", (int)pid);
    fd = openat(s->proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0; /* it has gone */
    at = ARRAY_MORE(s->spaces, s->n_spaces, s->spaces_room);
    if (!at) {
        close(fd);
        return -ENOMEM;
    }
    *at = (struct namespace){.inode = inode, .fd = fd};
    return 0;
}

static int on_process(pid_t pid, void *ctx)
{
    struct scan *s = ctx;
    struct process *p = ARRAY_MORE(s->processes, s->n_processes, s->processes_room);
    int r;

    if (!p)
        return -ENOMEM;
    p->pid = pid;
    p->first = s->n_found;
    r = proc_visit_fds(s->proc, pid, on_fd, s);
    p = &s->processes[s->n_processes - 1];
    p->end = s->n_found;
    if (r == -ENOMEM)
        return r;
    if (r == -EACCES || r == -EPERM)
        s->set->processes_hidden++;
    if (p->end == p->first) {
        s->n_processes--;
        return 0;
    }
    if (proc_name_and_state(s->proc, pid, p->comm, &p->state) < 0)
        p->state = '?';
    return add_space(s, pid);
}

/* ---- sockets ---- */

static enum fdq_kind kind_of(int type)
{
    return type == SOCK_STREAM ? FDQ_STREAM : type == SOCK_DGRAM ? FDQ_DGRAM : FDQ_SEQPACKET;
}

/* The name as a string: in an abstract one, zero bytes become '@'. */
static char *name_of(const struct diag_socket *d)
{
    bool abstract = d->name_len && !d->name[0];
    size_t n = abstract ? d->name_len : strnlen(d->name ? d->name : "", d->name_len);
    char *name = n ? malloc(n + 1) : NULL;

    if (!name)
        return NULL;
    for (size_t i = 0; i < n; i++)
        name[i] = abstract && !d->name[i] ? '@' : d->name[i];
    name[n] = '\0';
    return name;
}

static int add_waiting(struct scan *s, const struct diag_socket *d)
{
    for (size_t i = 0; i < d->n_clients; i++) {
        struct waiting *w = ARRAY_MORE(s->waiting, s->n_waiting, s->waiting_room);

        if (!w)
            return -ENOMEM;
        *w = (struct waiting){.client = d->clients[i], .listener = d->inode};
    }
    return 0;
}

static int on_socket(const struct diag_socket *d, void *ctx)
{
    struct scan *s = ctx;
    struct fdq_queue *q;

    if (!d->inode) /* nobody has accepted it */
        return 0;
    q = ARRAY_MORE(s->set->v, s->set->n, s->room);
    if (!q)
        return -ENOMEM;
    *q = (struct fdq_queue){
        .kind = kind_of(d->type),
        .inode = d->inode,
        .net_ns = s->net_ns,
        .listening = d->state == TCP_LISTEN_STATE,
        .peer = d->peer,
        .bytes = d->rqueue,
        .bytes_complete = d->type != SOCK_DGRAM,
        .depth = FDQ_UNKNOWN,
        .capacity = FDQ_UNKNOWN,
        .path = name_of(d),
        .vfs_dev = d->vfs_dev,
        .vfs_inode = d->vfs_inode,
    };
    if (d->name_len && !q->path)
        return -ENOMEM;
    if (q->listening) {
        q->pending = d->rqueue;
        q->bytes = 0;
        q->bytes_complete = !q->pending;
    }
    if (q->bytes_complete && !q->bytes && q->kind != FDQ_SEQPACKET)
        q->depth = 0;
    return add_waiting(s, d);
}

static int list_sockets(struct scan *s)
{
    int r;

    for (size_t i = 0; i < s->n_spaces; i++) {
        bool own = i == 0;

        s->net_ns = own ? 0 : s->spaces[i].inode;
        r = diag_visit(own ? -1 : s->spaces[i].fd, on_socket, s, s->e);
        if (r < 0 && (own || r == -ENOMEM))
            return r;
        s->set->namespaces_hidden += r < 0;
    }
    return 0;
}

/* ---- pipes ---- */

static int by_place(const void *a, const void *b)
{
    const struct fdq_queue *x = a, *y = b;

    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

static char *link_of(const struct scan *s, const struct found *f)
{
    char path[64], link[4096];
    ssize_t n;

    snprintf(path, sizeof(path), "%d/fd/%d", (int)s->processes[f->process].pid, f->fd);
    n = readlinkat(s->proc, path, link, sizeof(link));
    return n > 0 ? strndup(link, (size_t)n) : NULL;
}

/* Each pipe and FIFO once, though many descriptors lead to it. */
static int add_pipes(struct scan *s)
{
    size_t sockets = s->set->n, kept;

    for (size_t i = 0; i < s->n_found; i++) {
        const struct found *f = &s->found[i];
        struct fdq_queue *q;

        if (!f->dev)
            continue;
        q = ARRAY_MORE(s->set->v, s->set->n, s->room);
        if (!q)
            return -ENOMEM;
        *q = (struct fdq_queue){
            .kind = f->fifo ? FDQ_FIFO : FDQ_PIPE,
            .dev = f->dev,
            .inode = f->inode,
            .bytes = FDQ_UNKNOWN,
            .depth = FDQ_UNKNOWN,
            .capacity = FDQ_UNKNOWN,
        };
    }
    array_sort(s->set->v + sockets, s->set->n - sockets, sizeof(*s->set->v), by_place);
    kept = sockets;
    for (size_t i = sockets; i < s->set->n; i++)
        if (kept == sockets || by_place(&s->set->v[kept - 1], &s->set->v[i]) != 0)
            s->set->v[kept++] = s->set->v[i];
    s->set->n = kept;
    array_sort(s->set->v, s->set->n, sizeof(*s->set->v), by_place);
    return 0;
}

/* ---- who holds what ---- */

static int add_holder(struct fdq_holders *h, const struct fdq_holder *one)
{
    struct fdq_holder *v = h->v;

    /* A power of two is full. */
    if (!(h->n & (h->n - 1))) {
        v = reallocarray(h->v, h->n ? 2 * h->n : 1, sizeof(*v));
        if (!v)
            return -ENOMEM;
        h->v = v;
    }
    v[h->n++] = *one;
    return 0;
}

static struct fdq_queue *queue_of(const struct scan *s, const struct found *f)
{
    return fdq_set_find(s->set, f->dev, f->inode);
}

static int give_holders(struct scan *s)
{
    int r = 0;

    for (size_t i = 0; i < s->n_found && r == 0; i++) {
        const struct found *f = &s->found[i];
        const struct process *p = &s->processes[f->process];
        struct fdq_holder h = {.pid = p->pid, .fd = f->fd, .state = p->state};
        struct fdq_queue *q = queue_of(s, f);

        if (!q)
            continue;
        memcpy(h.comm, p->comm, sizeof(h.comm));
        if (!f->dev || f->reads)
            r = add_holder(&q->readers, &h);
        if (r == 0 && f->writes)
            r = add_holder(&q->writers, &h);
        if (r == 0 && f->fifo && !q->path)
            q->path = link_of(s, f);
    }
    return r;
}

static int by_client(const void *a, const void *b)
{
    const struct waiting *x = a, *y = b;

    return (x->client > y->client) - (x->client < y->client);
}

/* The socket whose queue what is sent through @q goes into; NULL when it is connected to none. */
static struct fdq_queue *other_end(const struct scan *s, const struct fdq_queue *q)
{
    const struct waiting key = {.client = q->inode};
    const struct waiting *w;

    if (q->peer)
        return fdq_set_find(s->set, 0, q->peer);
    w = s->n_waiting ? bsearch(&key, s->waiting, s->n_waiting, sizeof(key), by_client) : NULL;
    return w ? fdq_set_find(s->set, 0, w->listener) : NULL;
}

static int give_writers(struct scan *s)
{
    if (s->n_waiting)
        array_sort(s->waiting, s->n_waiting, sizeof(*s->waiting), by_client);
    for (size_t i = 0; i < s->set->n; i++) {
        struct fdq_queue *from = &s->set->v[i];
        struct fdq_queue *to = fdq_is_socket(from->kind) ? other_end(s, from) : NULL;

        from->sends_to = to ? to->inode : 0;
        for (size_t k = 0; to && k < from->readers.n; k++)
            if (add_holder(&to->writers, &from->readers.v[k]) < 0)
                return -ENOMEM;
    }
    return 0;
}

/* ---- who is blocked ---- */

enum direction { NEITHER, READS, SENDS };

/* Calls whose first argument is the descriptor that they wait for. */
static enum direction direction_of(long nr)
{
    switch (nr) {
    case SYS_read:
    case SYS_readv:
    case SYS_preadv2:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_recvmmsg:
    case SYS_accept:
    case SYS_accept4:
    case SYS_splice:
    case SYS_tee:
        return READS;
    case SYS_write:
    case SYS_writev:
    case SYS_pwritev2:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
    case SYS_vmsplice:
    case SYS_sendfile:
        return SENDS;
    default:
        return NEITHER;
    }
}

struct look {
    struct scan *s;
    const struct process *p;
};

static int add_thread(struct fdq_queue *q, const struct process *p, pid_t tid, bool sends)
{
    struct fdq_thread *v = reallocarray(q->threads, q->n_threads + 1, sizeof(*v));

    if (!v)
        return -ENOMEM;
    q->threads = v;
    v[q->n_threads] = (struct fdq_thread){.pid = p->pid, .tid = tid, .sends = sends};
    memcpy(v[q->n_threads++].comm, p->comm, sizeof(p->comm));
    return 0;
}

static int on_thread(pid_t tid, void *ctx)
{
    const struct look *l = ctx;
    struct proc_call call;
    enum direction way;

    if (proc_thread_call(l->s->proc, l->p->pid, tid, &call) < 0 || call.state != PROC_CALL_BLOCKED)
        return 0;
    way = direction_of(call.nr);
    for (size_t i = l->p->first; way != NEITHER && i < l->p->end; i++) {
        const struct found *f = &l->s->found[i];
        struct fdq_queue *q;

        if ((uint64_t)f->fd != call.args[0])
            continue;
        q = queue_of(l->s, f);
        if (q && way == SENDS && fdq_is_socket(q->kind))
            q = fdq_set_find(l->s->set, 0, q->sends_to);
        return q ? add_thread(q, l->p, tid, way == SENDS) : 0;
    }
    return 0;
}

static int give_threads(struct scan *s)
{
    for (size_t i = 0; i < s->n_processes; i++) {
        struct look l = {.s = s, .p = &s->processes[i]};

        if (l.p->pid != getpid() && proc_visit_tids(s->proc, l.p->pid, on_thread, &l) == -ENOMEM)
            return -ENOMEM;
    }
    return 0;
}

/* ---- all of it ---- */

static int look_at_processes(struct scan *s)
{
    int r = 0;

    if (!s->only)
        return proc_visit_pids(s->proc, on_process, s);
    for (size_t i = 0; i < s->n_only && r == 0; i++)
        r = on_process(s->only[i], s);
    return r;
}

static int scan_all(struct scan *s)
{
    int r = add_space(s, getpid());

    if (r == 0 && !s->n_spaces)
        r = -ENOENT; /* no /proc that shows this process */
    if (r == 0)
        r = look_at_processes(s);
    if (r == 0)
        r = list_sockets(s);
    if (r == 0)
        r = add_pipes(s);
    if (r == 0)
        r = give_holders(s);
    if (r == 0)
        r = give_writers(s);
    if (r == 0 && s->flags & FDQ_SCAN_THREADS)
        r = give_threads(s);
    return r;
}

static void scan_done(struct scan *s)
{
    for (size_t i = 0; i < s->n_spaces; i++)
        close(s->spaces[i].fd);
    free(s->processes);
    free(s->found);
    free(s->spaces);
    free(s->waiting);
}

/* @pids: NULL for all. */
static int scan(unsigned int flags, const pid_t *pids, size_t n, struct fdq_set **ret,
                struct err *e)
{
    _cleanup_(fdq_set_freep) struct fdq_set *set = calloc(1, sizeof(*set));
    _cleanup_(closep) int proc = proc_open(NULL);
    struct scan s = {
        .proc = proc, .flags = flags, .only = pids, .n_only = n, .set = set, .e = e};
    struct realuser saved;
    int r;

    if (!set)
        return -ENOMEM;
    if (proc < 0)
        return err_set(e, proc, NULL, "cannot open /proc: %s", err_text(NULL, proc));
    r = realuser_enter(&saved);
    if (r < 0)
        return r;
    r = scan_all(&s);
    scan_done(&s);
    realuser_leave(&saved);
    if (r == 0 && flags & FDQ_SCAN_FILL)
        r = fdq_set_fill(set);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(set);
    return 0;
}

int fdq_scan(unsigned int flags, pid_t pid, struct fdq_set **ret, struct err *e)
{
    return scan(flags, pid ? &pid : NULL, 1, ret, e);
}

int fdq_scan_processes(unsigned int flags, const pid_t *pids, size_t n, struct fdq_set **ret,
                       struct err *e)
{
    static const pid_t none;

    return scan(flags, n ? pids : &none, n, ret, e);
}
