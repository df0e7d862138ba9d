/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds, from a system call and its arguments, what the thread waits for, and which processes could
 * end that wait. If anything is not understood with certainty, the thread is taken to be live.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "look.h"
#include "macros.h"

enum {
    MOST_POLLED = 4096, /* descriptors of one poll(2) or select(2) that are examined */
    NESTED_EPOLLS = 5,  /* EP_MAX_NESTS of fs/eventpoll.c */
    TEXT_MAX = 16 << 20,
};

void look_live(const struct look *l, const char *why)
{
    if (!l->t->outside)
        l->t->outside = why;
}

static bool read_process(pid_t pid, uint64_t address, void *to, size_t n)
{
    struct iovec here = {.iov_base = to, .iov_len = n};
    struct iovec there = {.iov_base = (void *)(uintptr_t)address, .iov_len = n};

    return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)n;
}

bool look_memory(const struct look *l, uint64_t address, void *to, size_t n)
{
    return read_process(l->p->pid, address, to, n);
}

/* Reads a string that may end before @size bytes can be read. */
static bool read_string(pid_t pid, uint64_t address, char *to, size_t size)
{
    size_t n = 0, page = 4096;

    while (n < size) {
        size_t part = MIN(page - (address + n) % page, size - n);

        if (!read_process(pid, address + n, to + n, part))
            return false;
        if (memchr(to + n, '\0', part))
            return true;
        n += part;
    }
    return false;
}

/* ---- alternatives ---- */

bool look_add(const struct look *l, enum wait_object_kind kind, uint64_t dev, uint64_t inode,
              int fd)
{
    struct graph *g = l->g;
    struct alternative *a = ARRAY_MORE(g->alternatives, g->n_alternatives, g->alternatives_room);

    if (!a) {
        g->error = -ENOMEM;
        return false;
    }
    *a = (struct alternative){
        .kind = kind,
        .dev = dev,
        .inode = inode,
        .fd = fd,
        .first_waker = g->n_wakers,
        .owner = NO_THREAD,
    };
    l->t->n_alternatives++;
    return true;
}

struct alternative *look_latest(const struct look *l)
{
    return &l->g->alternatives[l->g->n_alternatives - 1];
}

void look_add_waker(const struct look *l, size_t process)
{
    struct graph *g = l->g;
    struct alternative *a = look_latest(l);
    uint32_t *w;

    for (size_t i = 0; i < a->n_wakers; i++)
        if (g->wakers[a->first_waker + i] == process)
            return;
    w = ARRAY_MORE(g->wakers, g->n_wakers, g->wakers_room);
    if (!w) {
        g->error = -ENOMEM;
        return;
    }
    *w = (uint32_t)process;
    a->n_wakers++;
}

static void add_waker_pid(const struct look *l, pid_t pid)
{
    const struct process *p = graph_process(l->g, pid);

    if (p)
        look_add_waker(l, (size_t)(p - l->g->processes));
}

enum side { ANY_SIDE, READERS, WRITERS };

/* Adds every process that has an object open as a waker. Return: whether there is any. */
static bool add_holders(const struct look *l, enum descriptor_kind kind, uint64_t dev,
                        uint64_t inode, enum side side)
{
    size_t n;
    const uint32_t *at = graph_holders(l->g, kind, dev, inode, &n);
    pid_t self = kind == FD_QUEUE ? getpid() : 0; /* which only looks into queues */
    size_t before = look_latest(l)->n_wakers;

    for (size_t i = 0; i < n; i++) {
        const struct descriptor *d = &l->g->fds[at[i]];

        if ((side == ANY_SIDE || (side == READERS ? d->reads : d->writes)) &&
            l->g->processes[d->process].pid != self)
            look_add_waker(l, d->process);
    }
    return look_latest(l)->n_wakers > before;
}

/* ---- descriptors ---- */

static const char elsewhere[] = "the other end is held where it cannot be seen";

/*
 * Finds the ids of eventfds, which tell them apart; done when the first thread that waits for one
 * is met.
 */
static void number_events(struct graph *g)
{
    if (g->events_read)
        return;
    g->events_read = true;
    for (size_t i = 0; i < g->n_fds; i++) {
        struct descriptor *d = &g->fds[i];
        _cleanup_(buf_done) struct buf text = BUF_INIT;
        char path[64];
        const char *id;

        if (d->kind != FD_EVENTFD)
            continue;
        snprintf(path, sizeof(path), "%d/fdinfo/%d", (int)d->table, d->fd);
        if (file_read(g->proc, path, TEXT_MAX, &text) < 0)
            continue;
        id = strstr(buf_str(&text), "eventfd-id:");
        d->dev = id != NULL; /* 0: this kernel does not number them */
        d->inode = id ? strtoull(id + 11, NULL, 10) : 0;
    }
    /*
     * Only eventfds have changed, so the positions of other descriptors in the index are still
     * right.
     */
    for (size_t i = 0; i < g->n_fds; i++)
        if (g->fds[i].kind == FD_EVENTFD && !g->fds[i].dev)
            g->fds[i].kind = FD_OTHER;
}

static void wait_for_event(const struct look *l, struct descriptor *d)
{
    number_events(l->g);
    if (d->kind != FD_EVENTFD) {
        look_live(l, "an event counter");
        return;
    }
    if (!look_add(l, WAIT_EVENTFD, d->dev, d->inode, d->fd))
        return;
    for (size_t i = 0; i < l->g->n_fds; i++)
        if (l->g->fds[i].kind == FD_EVENTFD && l->g->fds[i].inode == d->inode)
            look_add_waker(l, l->g->fds[i].process);
}

static void wait_for_socket(const struct look *l, const struct descriptor *d, bool reads)
{
    const struct socket *s = graph_socket(l->g, d->inode);
    uint64_t other;

    if (!s)
        look_live(l, "the network, or a socket of a namespace that cannot be seen");
    else if (s->listens)
        look_live(l, "anybody may connect");
    else if (reads && s->type == SOCK_DGRAM && s->name)
        look_live(l, "anybody may send to it");
    else if (!(other = s->peer ? s->peer : graph_listener_of(l->g, s->inode)))
        look_live(l, "a socket that is connected to none");
    else if (look_add(l, WAIT_UNIX, 0, d->inode, d->fd) &&
             !add_holders(l, FD_SOCKET, 0, other, ANY_SIDE))
        look_live(l, elsewhere);
}

static void wait_for_epoll(const struct look *l, const struct descriptor *d, int depth);

/*
 * Adds what a thread waits for that reads or writes a descriptor, or polls it for reading or
 * writing.
 */
static void wait_for_fd(const struct look *l, struct descriptor *d, bool reads, int depth)
{
    enum side side = reads ? WRITERS : READERS;

    switch (d->kind) {
    case FD_PIPE:
    case FD_FIFO:
        if (look_add(l, d->kind == FD_PIPE ? WAIT_PIPE : WAIT_FIFO, d->dev, d->inode, d->fd) &&
            !add_holders(l, d->kind, d->dev, d->inode, side))
            look_live(l, elsewhere); /* the other end must exist, or the call would not wait */
        break;
    case FD_QUEUE:
        if (look_add(l, WAIT_MQ, d->dev, d->inode, d->fd))
            add_holders(l, FD_QUEUE, d->dev, d->inode, side);
        break;
    case FD_SOCKET:
        wait_for_socket(l, d, reads);
        break;
    case FD_EPOLL:
        wait_for_epoll(l, d, depth + 1);
        break;
    case FD_EVENTFD:
        wait_for_event(l, d);
        break;
    case FD_FILE:
        if (!look_bus(l, d))
            look_live(l, "a file");
        break;
    default:
        look_live(l, "a device");
    }
}

/* Adds the waits for the events of poll(2) or epoll(7), which have the same numbers. */
static void wait_for_events(const struct look *l, struct descriptor *d, unsigned int events,
                            int depth)
{
    if (!d) {
        look_live(l, "a descriptor that cannot be seen");
        return;
    }
    if (events & POLLOUT)
        wait_for_fd(l, d, false, depth);
    /* POLLHUP, when the other end is closed, is always reported. */
    if (events & POLLIN || !(events & POLLOUT))
        wait_for_fd(l, d, true, depth);
}

static void wait_for_epoll(const struct look *l, const struct descriptor *d, int depth)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    char path[64], *line, *rest;

    snprintf(path, sizeof(path), "%d/fdinfo/%d", (int)d->table, d->fd);
    if (depth > NESTED_EPOLLS || file_read(l->g->proc, path, TEXT_MAX, &text) < 0 || !text.data) {
        look_live(l, "an epoll descriptor that cannot be looked into");
        return;
    }
    rest = text.data;
    while ((line = strsep(&rest, "\n"))) {
        unsigned int events;
        unsigned long inode;
        struct descriptor *watched;
        const char *ino = strstr(line, "ino:");
        int fd;

        if (sscanf(line, "tfd: %d events: %x", &fd, &events) != 2)
            continue;
        watched = graph_fd(l->g, l->t, (uint64_t)fd);
        /*
         * In this process the number may now be another file. All anonymous inodes have the same
         * number.
         */
        if (watched && ino && sscanf(ino, "ino:%lx", &inode) == 1 && watched->inode != inode &&
            watched->kind != FD_EPOLL && watched->kind != FD_EVENTFD && watched->kind != FD_OTHER)
            watched = NULL;
        wait_for_events(l, watched, events, depth);
    }
}

/* Notes if a blocking call on a socket has a time limit, which only the socket itself tells. */
static void check_timeout(const struct look *l, const struct descriptor *d, bool reads)
{
    struct timeval limit = {0};
    socklen_t n = sizeof(limit);
    int fd;

    if (l->t->outside || d->kind != FD_SOCKET)
        return;
    fd = proc_fd_take(l->p->pid, d->fd, NULL);
    if (fd == -ENOSYS) /* before Linux 5.6 */
        return;
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, reads ? SO_RCVTIMEO : SO_SNDTIMEO, &limit, &n) < 0)
        look_live(l, "whether it has a timeout cannot be seen");
    else if (limit.tv_sec || limit.tv_usec)
        look_live(l, "a timeout");
    if (fd >= 0)
        close(fd);
}

static void wait_on(const struct look *l, uint64_t fd, bool reads)
{
    struct descriptor *d = graph_fd(l->g, l->t, fd);

    if (!d) {
        look_live(l, "a descriptor that cannot be seen");
        return;
    }
    wait_for_fd(l, d, reads, 0);
    check_timeout(l, d, reads);
}

/* ---- one function for each kind of call ---- */

static void reads(const struct look *l)
{
    wait_on(l, l->t->call.args[0], true);
}

static void writes(const struct look *l)
{
    wait_on(l, l->t->call.args[0], false);
}

static void copies(const struct look *l) /* splice, tee */
{
    bool splice = l->t->call.nr == SYS_splice;

    wait_on(l, l->t->call.args[0], true);
    wait_on(l, l->t->call.args[splice ? 2 : 1], false);
}

static void timed_receive(const struct look *l)
{
    if (l->t->call.args[4])
        look_live(l, "a timeout");
    reads(l);
}

static void timed_send(const struct look *l)
{
    if (l->t->call.args[4])
        look_live(l, "a timeout");
    writes(l);
}

static void poll_fds(const struct look *l, uint64_t address, uint64_t n)
{
    _cleanup_(freep) struct pollfd *fds = calloc(MIN(n, (uint64_t)MOST_POLLED) + 1, sizeof(*fds));

    if (n > MOST_POLLED)
        look_live(l, "more descriptors than are looked at");
    n = MIN(n, (uint64_t)MOST_POLLED);
    if (!fds || (n && !look_memory(l, address, fds, n * sizeof(*fds)))) {
        look_live(l, "its memory cannot be read");
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        if (fds[i].fd >= 0)
            wait_for_events(l, graph_fd(l->g, l->t, (uint64_t)fds[i].fd),
                            (unsigned int)(unsigned short)fds[i].events, 0);
    if (!l->t->n_alternatives)
        look_live(l, "a signal");
}

static _unused_ void polls(const struct look *l)
{
    if ((int32_t)l->t->call.args[2] >= 0)
        look_live(l, "a timeout");
    poll_fds(l, l->t->call.args[0], l->t->call.args[1]);
}

static void ppolls(const struct look *l)
{
    if (l->t->call.args[2])
        look_live(l, "a timeout");
    poll_fds(l, l->t->call.args[0], l->t->call.args[1]);
}

static void select_set(const struct look *l, uint64_t address, uint64_t n, unsigned int events)
{
    unsigned char bits[MOST_POLLED / 8];

    if (!address)
        return;
    if (n > MOST_POLLED || !look_memory(l, address, bits, (n + 7) / 8)) {
        look_live(l, "its memory cannot be read");
        return;
    }
    for (uint64_t fd = 0; fd < n; fd++)
        if (bits[fd / 8] >> (fd % 8) & 1)
            wait_for_events(l, graph_fd(l->g, l->t, fd), events, 0);
}

static void selects(const struct look *l)
{
    const uint64_t *a = l->t->call.args;

    if (a[4])
        look_live(l, "a timeout");
    select_set(l, a[1], a[0], POLLIN);
    select_set(l, a[2], a[0], POLLOUT);
    select_set(l, a[3], a[0], POLLPRI);
    if (!l->t->n_alternatives)
        look_live(l, "a signal");
}

static void epolls(const struct look *l)
{
    const struct descriptor *d = graph_fd(l->g, l->t, l->t->call.args[0]);
    bool timeout = l->t->call.nr == SYS_epoll_pwait2 ? l->t->call.args[3] != 0
                                                     : (int32_t)l->t->call.args[3] >= 0;

    if (timeout)
        look_live(l, "a timeout");
    if (d && d->kind == FD_EPOLL)
        wait_for_epoll(l, d, 0);
    if (!l->t->n_alternatives)
        look_live(l, "a descriptor that cannot be seen");
}

bool look_same_numbers(const struct look *l)
{
    uint64_t own, theirs;

    return proc_ns(l->g->proc, PROC_SELF, "pid", &own) == 0 &&
           proc_ns(l->g->proc, l->p->pid, "pid", &theirs) == 0 && own == theirs;
}

static void wait_for_children(const struct look *l, pid_t only)
{
    if (!look_add(l, WAIT_CHILD, 0, only > 0 ? (uint64_t)only : 0, -1))
        return;
    for (size_t i = 0; i < l->g->n_processes; i++)
        if (l->g->processes[i].parent == l->p->pid && (only <= 0 || l->g->processes[i].pid == only))
            look_add_waker(l, i);
    if (!look_latest(l)->n_wakers)
        look_live(l, "a child that cannot be seen");
}

static void waits_pid(const struct look *l)
{
    pid_t pid = (pid_t)l->t->call.args[0];

    wait_for_children(l, pid > 0 && look_same_numbers(l) ? pid : 0);
}

static void waits_id(const struct look *l)
{
    pid_t pid = (pid_t)l->t->call.args[1];

    wait_for_children(l, l->t->call.args[0] == P_PID && look_same_numbers(l) ? pid : 0);
}

static void accepts(const struct look *l)
{
    look_live(l, "anybody may connect");
    wait_on(l, l->t->call.args[0], true);
}

/*
 * Opens a path as the process sees it, using only what the kernel has cached: a file system whose
 * server does not answer would block us as it blocks the thread that is examined. The path of a
 * FIFO whose opener waits for the other end is always cached. Return: a descriptor, or -1.
 */
static int open_cached(const struct look *l, int dirfd, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_CACHED};
    _cleanup_(closep) int from = -1;
    char start[64];
    int fd;

    if (path[0] == '/') {
        snprintf(start, sizeof(start), "%d/root", (int)l->p->pid);
        how.resolve |= RESOLVE_IN_ROOT;
    } else if (dirfd == AT_FDCWD) {
        snprintf(start, sizeof(start), "%d/cwd", (int)l->p->pid);
    } else {
        snprintf(start, sizeof(start), "%d/fd/%d", (int)l->p->pid, dirfd);
    }
    from = openat(l->g->proc, start, O_PATH | O_CLOEXEC);
    if (from < 0)
        return -1;
    fd = (int)syscall(SYS_openat2, from, path, &how, sizeof(how));
    if (fd >= 0 || (errno != ENOSYS && errno != EINVAL))
        return fd;
    /* Before Linux 5.12 */
    return openat(from, path + strspn(path, "/"), O_PATH | O_CLOEXEC);
}

/* Inode number of the file that a path leads to for the process; 0 where that is not known. */
static uint64_t file_of(const struct look *l, int dirfd, const char *path, bool *fifo,
                        uint64_t *dev)
{
    _cleanup_(closep) int fd = open_cached(l, dirfd, path);
    struct statx st;

    if (fd < 0 ||
        statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st) < 0)
        return 0;
    *fifo = S_ISFIFO(st.stx_mode);
    *dev = makedev(st.stx_dev_major, st.stx_dev_minor);
    return st.stx_ino;
}

/* Adds the sockets that receive at a unix address as what the thread waits for. */
static void wait_for_address(const struct look *l, uint64_t address, uint64_t n, int fd)
{
    struct sockaddr_un un = {0};
    const struct descriptor *own = graph_fd(l->g, l->t, (uint64_t)fd);
    const size_t head = offsetof(struct sockaddr_un, sun_path);
    uint64_t inode = 0, dev;
    bool fifo, any = false;
    char name[sizeof(un.sun_path) + 1] = {0};

    if (n <= head || n > sizeof(un) || !look_memory(l, address, &un, n) ||
        un.sun_family != AF_UNIX || !own || !graph_socket(l->g, own->inode)) {
        look_live(l, "the network");
        return;
    }
    memcpy(name, un.sun_path, n - head);
    if (name[0])
        inode = file_of(l, AT_FDCWD, name, &fifo, &dev);
    else
        for (size_t i = 0; i < n - head; i++)
            name[i] = name[i] ? name[i] : '@';
    if (!look_add(l, WAIT_UNIX, 0, own->inode, fd))
        return;
    for (size_t i = 0; i < l->g->n_sockets; i++) {
        const struct socket *s = &l->g->sockets[i];

        if (inode ? s->file == inode : s->name && !strcmp(s->name, name))
            any = add_holders(l, FD_SOCKET, 0, s->inode, ANY_SIDE) || any;
    }
    if (!any)
        look_live(l, elsewhere);
    check_timeout(l, own, false);
}

static void connects(const struct look *l)
{
    const uint64_t *a = l->t->call.args;

    wait_for_address(l, a[1], a[2], (int)a[0]);
}

static void sends_to(const struct look *l)
{
    const uint64_t *a = l->t->call.args;

    if (a[4])
        wait_for_address(l, a[4], a[5], (int)a[0]);
    else
        writes(l);
}

static void sends_message(const struct look *l)
{
    const uint64_t *a = l->t->call.args;
    struct msghdr m;

    if (!look_memory(l, a[1], &m, sizeof(m)))
        look_live(l, "its memory cannot be read");
    else if (m.msg_name)
        wait_for_address(l, (uint64_t)(uintptr_t)m.msg_name, m.msg_namelen, (int)a[0]);
    else
        writes(l);
}

/* Finds a thread of the process, or with @any of any process. */
static size_t thread_of(const struct look *l, pid_t tid, bool any)
{
    for (size_t i = 0; i < l->p->n_threads; i++)
        if (l->g->threads[l->p->first_thread + i].tid == tid)
            return l->p->first_thread + i;
    return any ? graph_thread(l->g, tid) : NO_THREAD;
}

/* pthread_mutex_t of glibc, nptl/sysdeps/nptl/bits/struct_mutex.h */
struct glibc_mutex {
    uint32_t lock;
    uint32_t count;
    int32_t owner;
    uint32_t users;
    int32_t kind;
};

/* The thread that owns a glibc mutex; 0 when it is not a mutex, or the owner is not known. */
static pid_t mutex_owner(const struct look *l, bool private)
{
    enum { ROBUST = 16, SHARED = 128, KINDS = 512 };
    struct glibc_mutex m;

    if (!look_memory(l, l->t->call.args[0], &m, sizeof(m)) || m.kind < 0 || m.kind >= KINDS ||
        !m.users || private == !!(m.kind & SHARED))
        return 0;
    if (m.kind & ROBUST)
        return (m.lock & FUTEX_TID_MASK) == (uint32_t)m.owner ? m.owner : 0;
    return m.lock == 2 ? m.owner : 0;
}

static void locks_futex(const struct look *l)
{
    const uint64_t *a = l->t->call.args;
    int op = (int)a[1] & FUTEX_CMD_MASK;
    bool private = a[1] & FUTEX_PRIVATE_FLAG;
    bool pi = op == FUTEX_LOCK_PI || op == 13 /* FUTEX_LOCK_PI2, Linux 5.14 */;
    uint32_t word;
    pid_t owner = 0;
    size_t thread;

    if (op == FUTEX_WAIT_BITSET && !private && look_channel(l))
        return;
    if ((pi || op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET) && a[3])
        look_live(l, "a timeout");
    if (pi)
        owner = look_memory(l, a[0], &word, sizeof(word)) ? (pid_t)(word & FUTEX_TID_MASK) : 0;
    else if (op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET)
        owner = mutex_owner(l, private);
    thread = owner > 0 && owner != l->t->tid && look_same_numbers(l) ? thread_of(l, owner, !private)
                                                                     : NO_THREAD;
    if (!look_add(l, WAIT_FUTEX, 0, a[0], -1))
        return;
    if (thread == NO_THREAD) {
        look_live(l, "a futex whose owner cannot be known");
        return;
    }
    look_add_waker(l, l->g->threads[thread].process);
    look_latest(l)->owner = thread;
}

/* ---- file locks ---- */

/*
 * Tells whether two descriptors of two processes are one open file; if unknown, the answer is yes.
 */
static bool same_open_file(const struct descriptor *x, const struct descriptor *y,
                           const struct graph *g)
{
    return syscall(SYS_kcmp, g->processes[x->process].pid, g->processes[y->process].pid, KCMP_FILE,
                   x->fd, y->fd) <= 0;
}

/*
 * Adds the processes that share the open file: a lock of flock(2) belongs to it, not to a process.
 */
static void add_sharers(const struct look *l, const struct descriptor *file,
                        const struct process *owner)
{
    const struct graph *g = l->g;
    size_t n;
    const uint32_t *at = graph_holders(g, FD_FILE, file->dev, file->inode, &n);

    for (size_t i = 0; i < n; i++) {
        const struct descriptor *d = &g->fds[at[i]];

        if (&g->processes[d->process] == owner || d->process == l->t->process)
            continue;
        for (size_t k = 0; k < n; k++) {
            const struct descriptor *theirs = &g->fds[at[k]];

            if (!owner || (&g->processes[theirs->process] == owner && same_open_file(d, theirs, g)))
                look_add_waker(l, d->process);
        }
    }
}

static void wait_for_lock(const struct look *l, bool flock)
{
    struct descriptor *d = graph_fd(l->g, l->t, l->t->call.args[0]);

    graph_read_locks(l->g);
    if (!d || d->kind != FD_FILE) {
        look_live(l, "a lock of something that cannot be seen");
        return;
    }
    if (!look_add(l, flock ? WAIT_FLOCK : WAIT_POSIX_LOCK, d->dev, d->inode, d->fd))
        return;
    for (size_t i = 0; i < l->g->n_locks; i++) {
        const struct file_lock *k = &l->g->locks[i];
        const struct process *owner;

        if (k->waits || k->flock != flock || k->dev != d->dev || k->inode != d->inode)
            continue;
        owner = graph_process(l->g, k->pid);
        if (!owner && (!flock || k->pid <= 0))
            look_live(l, "a lock whose owner cannot be seen");
        if (owner)
            look_add_waker(l, (size_t)(owner - l->g->processes));
        if (flock)
            add_sharers(l, d, owner);
    }
    if (!look_latest(l)->n_wakers)
        look_live(l, "a lock whose owner cannot be seen");
}

static void flocks(const struct look *l)
{
    wait_for_lock(l, true);
}

static void fcntls(const struct look *l)
{
    if (l->t->call.args[1] == F_SETLKW)
        wait_for_lock(l, false);
    else
        look_live(l, "fcntl");
}

/* ---- the rest ---- */

static void open_at(const struct look *l, int dirfd, uint64_t address)
{
    char path[PATH_MAX];
    uint64_t inode, dev = 0;
    bool fifo = false;

    inode = read_string(l->p->pid, address, path, sizeof(path))
                ? file_of(l, dirfd, path, &fifo, &dev)
                : 0;
    /* open(2) of a FIFO waits until another process opens its other end. */
    if (!inode || !fifo || !look_add(l, WAIT_FIFO, dev, inode, -1))
        look_live(l, "a file system");
}

static _unused_ void opens(const struct look *l)
{
    open_at(l, AT_FDCWD, l->t->call.args[0]);
}

static void opens_at(const struct look *l)
{
    open_at(l, (int)l->t->call.args[0], l->t->call.args[1]);
}

char *graph_opened_path(const struct graph *g, const struct thread *t)
{
    char path[PATH_MAX];
    bool at = t->call.nr == SYS_openat;

    if (t->direction != WAIT_OPEN ||
        !read_string(g->processes[t->process].pid, t->call.args[at ? 1 : 0], path, sizeof(path)))
        return NULL;
    return strdup(path);
}

static void wait_for_sysv(const struct look *l)
{
    int id = (int)l->t->call.args[0];
    const struct sysv_queue *q = NULL;
    uint64_t ns;

    graph_read_queues(l->g);
    for (size_t i = 0; i < l->g->n_queues; i++)
        if (l->g->queues[i].id == id)
            q = &l->g->queues[i];
    if (!q || proc_ns(l->g->proc, l->p->pid, "ipc", &ns) < 0 || ns != l->g->own_ipc) {
        look_live(l, "a queue that cannot be seen");
        return;
    }
    if (!look_add(l, WAIT_SYSV, 0, (uint64_t)id, -1))
        return;
    add_waker_pid(l, q->sender);
    add_waker_pid(l, q->receiver);
    for (size_t i = 0; i < l->g->n_threads; i++) {
        const struct thread *o = &l->g->threads[i];

        if (o->call.state == PROC_CALL_BLOCKED && o != l->t &&
            (o->call.nr == SYS_msgsnd || o->call.nr == SYS_msgrcv) && (int)o->call.args[0] == id)
            look_add_waker(l, o->process);
    }
}

struct known_call {
    long nr;
    const char *name;
    enum wait_direction direction;
    void (*explain)(const struct look *l);
};

static const struct known_call calls[] = {
    {SYS_read, "read", WAIT_READ, reads},
    {SYS_readv, "readv", WAIT_READ, reads},
    {SYS_preadv2, "preadv2", WAIT_READ, reads},
    {SYS_recvfrom, "recvfrom", WAIT_RECV, reads},
    {SYS_recvmsg, "recvmsg", WAIT_RECV, reads},
    {SYS_recvmmsg, "recvmmsg", WAIT_RECV, timed_receive},
    {SYS_mq_timedreceive, "mq_timedreceive", WAIT_RECV, timed_receive},
    {SYS_write, "write", WAIT_WRITE, writes},
    {SYS_writev, "writev", WAIT_WRITE, writes},
    {SYS_pwritev2, "pwritev2", WAIT_WRITE, writes},
    {SYS_vmsplice, "vmsplice", WAIT_WRITE, writes},
    {SYS_sendfile, "sendfile", WAIT_WRITE, writes},
    {SYS_splice, "splice", WAIT_READ, copies},
    {SYS_tee, "tee", WAIT_READ, copies},
    {SYS_sendto, "sendto", WAIT_SEND, sends_to},
    {SYS_sendmsg, "sendmsg", WAIT_SEND, sends_message},
    {SYS_sendmmsg, "sendmmsg", WAIT_SEND, sends_message},
    {SYS_mq_timedsend, "mq_timedsend", WAIT_SEND, timed_send},
    {SYS_accept, "accept", WAIT_ACCEPT, accepts},
    {SYS_accept4, "accept4", WAIT_ACCEPT, accepts},
    {SYS_connect, "connect", WAIT_CONNECT, connects},
#ifdef SYS_poll
    {SYS_poll, "poll", WAIT_POLL, polls},
    {SYS_select, "select", WAIT_POLL, selects},
    {SYS_epoll_wait, "epoll_wait", WAIT_POLL, epolls},
    {SYS_open, "open", WAIT_OPEN, opens},
#endif
    {SYS_ppoll, "ppoll", WAIT_POLL, ppolls},
    {SYS_pselect6, "pselect6", WAIT_POLL, selects},
    {SYS_epoll_pwait, "epoll_pwait", WAIT_POLL, epolls},
    {SYS_epoll_pwait2, "epoll_pwait2", WAIT_POLL, epolls},
    {SYS_openat, "openat", WAIT_OPEN, opens_at},
    {SYS_wait4, "wait4", WAIT_FOR_CHILD, waits_pid},
    {SYS_waitid, "waitid", WAIT_FOR_CHILD, waits_id},
    {SYS_futex, "futex", WAIT_LOCK, locks_futex},
    {SYS_flock, "flock", WAIT_LOCK, flocks},
    {SYS_fcntl, "fcntl", WAIT_LOCK, fcntls},
    {SYS_msgsnd, "msgsnd", WAIT_SEND, wait_for_sysv},
    {SYS_msgrcv, "msgrcv", WAIT_RECV, wait_for_sysv},
};

/* Tells whether the process catches SIGCHLD: then the end of a child interrupts its threads. */
static bool catches_sigchld(const struct look *l)
{
    enum { SIGCHLD_BIT = 16 };
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    const char *caught;
    char path[32];

    snprintf(path, sizeof(path), "%d/status", (int)l->p->pid);
    if (file_read(l->g->proc, path, TEXT_MAX, &text) < 0)
        return true;
    caught = strstr(buf_str(&text), "\nSigCgt:");
    return !caught || strtoull(caught + 8, NULL, 16) >> SIGCHLD_BIT & 1;
}

/* Tells whether the process has our word size: others have other call numbers and structures. */
static bool has_our_format(const struct look *l)
{
    unsigned char head[5] = {0};
    char path[32];
    int fd;
    bool ours;

    snprintf(path, sizeof(path), "%d/exe", (int)l->p->pid);
    fd = openat(l->g->proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ours = read(fd, head, sizeof(head)) == (ssize_t)sizeof(head) && head[4] == sizeof(void *) / 4;
    close(fd);
    return ours;
}

static void explain_call(const struct look *l)
{
    const struct known_call *c = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(calls) && !c; i++)
        if (calls[i].nr == l->t->call.nr)
            c = &calls[i];
    if (!c) {
        look_live(l, "a call that is not looked into");
        return;
    }
    l->t->name = c->name;
    l->t->direction = c->direction;
    c->explain(l);
    if (l->t->outside)
        return;
    if (!has_our_format(l))
        look_live(l, "a program of another word size");
    else if (l->p->is_parent && c->direction != WAIT_FOR_CHILD && catches_sigchld(l))
        wait_for_children(l, 0);
}

void graph_explain(struct graph *g)
{
    for (size_t i = 0; i < g->n_threads; i++) {
        struct look l = {.g = g, .t = &g->threads[i], .p = &g->processes[g->threads[i].process]};

        l.t->first_alternative = g->n_alternatives;
        if (l.t->outside || l.t->stopped)
            continue;
        if (l.t->state == 'Z' || l.t->state == 'X')
            look_live(&l, "it has ended");
        else if (l.t->call.state == PROC_CALL_RUNNING)
            look_live(&l, "it runs");
        else if (l.t->call.state == PROC_CALL_OUTSIDE)
            look_live(&l, "the kernel");
        else
            explain_call(&l);
    }
}
