/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Operations on a channel that begin later, because they follow another one in a chain or wait for
 * what was submitted before them. Only the kernel knows when their turn comes, and it can then only
 * do what it knows: so the operation becomes a SEND to, or a RECV from, a socket whose other end
 * the supervisor has.
 *
 * The supervisor sends what comes out of such a socket to the channel that the socket stands for,
 * in the order in which it was put in, as soon as there is room. A message for a subscriber is put
 * into its socket when the RECV is submitted; if the RECV is then cancelled, the next one gets it.
 *
 * The program gets its end of the socket as a descriptor with a high number, closed on exec.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cleanup.h"
#include "emul_uring.h"
#include "timefmt.h"

enum {
    SENDS = 512,    /* sockets for operations that wait */
    NUMBERS = 1024, /* the program's descriptors get numbers below this */
    ROOM = 3 << 19, /* bytes of a socket's buffer: room for the longest message */
};

/**
 * struct socket_pair - the sockets that stand for a channel
 * @ours: the supervisor's end
 * @theirs: the program's end: a second descriptor of the socket that the program has
 * @ino: the inode of @theirs
 * @number: the program's descriptor, as it was last, or -1
 */
struct socket_pair {
    int ours;
    int theirs;
    ino_t ino;
    int number;
};

/**
 * struct deferred_send - sockets for operations that send
 * @pair: made when first used
 * @chan: the channel, with a reference; NULL when the entry is free
 * @ring: the ring of the operations; NULL when it has gone, and only messages are left
 * @target, @user_data: as in the operations
 * @waiting: how many operations have not begun, or were cancelled
 * @turn: counts up with each use, so that the oldest can be told
 */
struct deferred_send {
    struct socket_pair pair;
    const struct ring *ring;
    struct uchan *chan;
    uint32_t target;
    uint64_t user_data;
    unsigned int waiting;
    uint64_t turn;
};

struct deferred {
    pthread_mutex_t lock; /* before those of channels */
    int epoll;
    struct deferred_send sends[SENDS];
    size_t used;
    uint64_t turn;
};

/* ---- the sockets ---- */

static void pair_close(struct socket_pair *l)
{
    closep(&l->ours);
    closep(&l->theirs);
    l->ours = l->theirs = -1;
}

/* Without privilege the system's limit on buffers also limits the size of a message. */
static void widen(int fd)
{
    const int room = ROOM;

    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
}

static int pair_open(struct socket_pair *l)
{
    const int on = 1;
    int pair[2];
    struct stat st;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    *l = (struct socket_pair){.ours = pair[0], .theirs = pair[1], .number = -1};
    widen(l->ours);
    widen(l->theirs);
    /* With its timestamp a message tells when the program put it in. */
    if (fstat(l->theirs, &st) < 0 ||
        setsockopt(l->ours, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0) {
        pair_close(l);
        return -errno;
    }
    l->ino = st.st_ino;
    return 0;
}

static bool fits(int fd, uint32_t len)
{
    int room = 0;
    socklen_t n = sizeof(room);

    return getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &n) == 0 && len < (uint32_t)room - 1024;
}

static ino_t number_ino(const struct call *c, int number)
{
    char path[48];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%d/fd/%d", c->tid, number);
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* The number of the caller's descriptor of its end, which is given to it if need be. */
static int pair_number(const struct call *c, struct socket_pair *l)
{
    struct seccomp_notif_addfd add = {
        .id = c->id,
        .flags = SECCOMP_ADDFD_FLAG_SETFD,
        .srcfd = (uint32_t)l->theirs,
        .newfd_flags = O_CLOEXEC,
    };
    struct rlimit limit = {.rlim_cur = NUMBERS};

    if (l->number >= 0 && number_ino(c, l->number) == l->ino)
        return l->number;
    (void)prlimit(c->tid, RLIMIT_NOFILE, NULL, &limit);
    l->number = (int)MIN(limit.rlim_cur, (rlim_t)NUMBERS);
    while (--l->number > 2 && number_ino(c, l->number))
        ;
    if (l->number <= 2)
        return -EMFILE;
    add.newfd = (uint32_t)l->number;
    return ioctl(c->run->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 ? -errno : l->number;
}

/* ---- sending later ---- */

static void deferred_send_take(struct uring_emulator *u, struct deferred_send *o,
                               const struct ring *r, struct uchan *chan)
{
    uchan_ref(&u->chans, chan);
    __atomic_fetch_add(&chan->sends, 1, __ATOMIC_SEQ_CST);
    o->chan = chan;
    o->ring = r;
    o->waiting = 0;
}

static void deferred_send_free(struct uring_emulator *u, struct deferred_send *o)
{
    __atomic_fetch_sub(&o->chan->sends, 1, __ATOMIC_SEQ_CST);
    uchan_unref(&u->chans, o->chan);
    o->chan = NULL;
    o->ring = NULL;
}

/* Whether a message for this channel waits in the sockets, and since when. */
static bool waits_since(const struct deferred_send *o, const struct uchan *chan, uint64_t *when)
{
    union {
        struct cmsghdr align;
        char control[CMSG_SPACE(sizeof(struct timespec))];
    } cmsg;
    struct msghdr m = {.msg_control = &cmsg, .msg_controllen = sizeof(cmsg)};
    struct timespec ts = {0};
    struct cmsghdr *c;

    if (o->chan != chan || recvmsg(o->pair.ours, &m, MSG_PEEK | MSG_DONTWAIT) < 0)
        return false;
    c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS)
        memcpy(&ts, CMSG_DATA(c), sizeof(ts));
    *when = timefmt_from_timespec(&ts);
    return true;
}

static struct deferred_send *first_waiting(struct deferred *all, const struct uchan *chan)
{
    struct deferred_send *first = NULL;
    uint64_t best = 0, when;

    for (size_t i = 0; i < all->used; i++)
        if (waits_since(&all->sends[i], chan, &when) && (!first || when < best)) {
            first = &all->sends[i];
            best = when;
        }
    return first;
}

/* Sends what waits for a channel, in order, as far as there is room. Called with the lock. */
static void flush(struct uring_emulator *u, struct uchan *chan)
{
    struct deferred *all = u->deferred;
    _cleanup_(freep) char *data = NULL;
    struct deferred_send *o, *again;
    uint64_t when;

    for (;;) {
        ssize_t n;

        o = first_waiting(all, chan);
        if (!o || uchan_sendable(chan, 0) < 0)
            return;
        /* One that was put in earlier may have appeared while we looked. */
        again = first_waiting(all, chan);
        o = again ? again : o;
        if (!data)
            data = malloc(chan->max_msg);
        if (!data)
            return;
        n = recv(o->pair.ours, data, chan->max_msg, MSG_DONTWAIT);
        if (n < 0)
            return;
        (void)uchan_send(chan, data, (uint32_t)n, o->user_data, o->target);
        if (o->ring ? --o->waiting == 0 : !waits_since(o, chan, &when))
            deferred_send_free(u, o);
    }
}

void deferred_flush(struct uring_emulator *u, struct uchan *chan)
{
    if (!__atomic_load_n(&chan->sends, __ATOMIC_SEQ_CST))
        return;
    uchan_ref(&u->chans, chan);
    pthread_mutex_lock(&u->deferred->lock);
    flush(u, chan);
    pthread_mutex_unlock(&u->deferred->lock);
    uchan_unref(&u->chans, chan);
}

void deferred_flush_all(struct uring_emulator *u)
{
    struct epoll_event ev[16];
    int n;

    while ((n = epoll_wait(u->deferred->epoll, ev, ARRAY_SIZE(ev), 0)) > 0)
        for (int i = 0; i < n; i++) {
            struct deferred_send *o = ev[i].data.ptr;
            struct uchan *chan;

            pthread_mutex_lock(&u->deferred->lock);
            chan = o->chan;
            if (chan) {
                uchan_ref(&u->chans, chan);
                flush(u, chan);
                uchan_unref(&u->chans, chan);
            }
            pthread_mutex_unlock(&u->deferred->lock);
        }
}

int deferred_fd(const struct uring_emulator *u)
{
    return u->deferred->epoll;
}

void deferred_forget(struct uring_emulator *u, const struct ring *r)
{
    uint64_t when;

    pthread_mutex_lock(&u->deferred->lock);
    for (size_t i = 0; i < u->deferred->used; i++) {
        struct deferred_send *o = &u->deferred->sends[i];

        if (!o->chan || o->ring != r)
            continue;
        o->ring = NULL; /* messages that were put in are still sent when there is room */
        if (!waits_since(o, o->chan, &when))
            deferred_send_free(u, o);
    }
    pthread_mutex_unlock(&u->deferred->lock);
}

static struct deferred_send *deferred_send_new(struct deferred *all)
{
    struct deferred_send *o = &all->sends[all->used];
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = o};

    if (all->used == SENDS || pair_open(&o->pair) < 0)
        return NULL;
    if (epoll_ctl(all->epoll, EPOLL_CTL_ADD, o->pair.ours, &ev) < 0) {
        pair_close(&o->pair);
        return NULL;
    }
    all->used++;
    return o;
}

/*
 * The entry for operations like this one, or a free one. Operations that were cancelled keep their
 * entry; when there is none left, the oldest of the same ring and channel is used again.
 */
static struct deferred_send *deferred_send_for(struct deferred *all, const struct ring *r,
                                               const struct uchan *chan,
                                               const struct io_uring_sqe *sqe)
{
    struct deferred_send *unused = NULL, *oldest = NULL;

    for (size_t i = 0; i < all->used; i++) {
        struct deferred_send *o = &all->sends[i];

        if (!o->chan) {
            unused = o;
        } else if (o->ring == r && o->chan == chan) {
            if (o->target == sqe->file_index && o->user_data == sqe->user_data)
                return o;
            if (!oldest || o->turn < oldest->turn)
                oldest = o;
        }
    }
    if (!unused)
        unused = deferred_send_new(all);
    return unused ? unused : oldest;
}

int defer_send(struct uring_emulator *u, struct ring *r, const struct call *c, struct uchan *chan,
               struct io_uring_sqe *sqe)
{
    struct deferred *all = u->deferred;
    struct deferred_send *o;
    int number = -ENOBUFS;

    pthread_mutex_lock(&all->lock);
    o = deferred_send_for(all, r, chan, sqe);
    if (o)
        number = fits(o->pair.theirs, sqe->len) ? pair_number(c, &o->pair) : -EMSGSIZE;
    if (number >= 0) {
        if (!o->chan)
            deferred_send_take(u, o, r, chan);
        o->target = sqe->file_index;
        o->user_data = sqe->user_data;
        o->turn = ++all->turn;
        o->waiting++;
        sqe->opcode = IORING_OP_SEND;
        sqe->flags &= (uint8_t)~IOSQE_FIXED_FILE;
        sqe->fd = number;
        sqe->off = 0;
        sqe->rw_flags = MSG_NOSIGNAL;
        sqe->file_index = 0;
    }
    pthread_mutex_unlock(&all->lock);
    return MIN(number, 0);
}

/* ---- receiving later ---- */

/* Puts a message into a subscriber's socket, from where its RECV takes it. */
static int fill(void *ctx, const void *data, size_t n)
{
    const struct socket_pair *l = ctx;

    return send(l->ours, data, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int defer_recv(const struct call *c, struct usub *sub, struct io_uring_sqe *sqe)
{
    int64_t r = 0;
    int number;

    if (!sub->deferred) {
        sub->deferred = calloc(1, sizeof(*sub->deferred));
        if (!sub->deferred)
            return -ENOMEM;
        r = pair_open(sub->deferred);
        if (r < 0) {
            free(TAKE_PTR(sub->deferred));
            return (int)r;
        }
    }
    number = pair_number(c, sub->deferred);
    if (number < 0)
        return number;
    r = usub_recv(sub, UINT32_MAX, fill, sub->deferred);
    if (r == -EMSGSIZE)
        return -ENOBUFS;
    sqe->opcode = IORING_OP_RECV;
    sqe->flags &= (uint8_t)~IOSQE_FIXED_FILE;
    sqe->fd = number;
    sqe->off = 0;
    sqe->rw_flags = MSG_DONTWAIT;
    sqe->file_index = 0;
    return 0;
}

int64_t deferred_recv(struct usub *sub, uint32_t cap, uchan_give_fn give, void *ctx)
{
    _cleanup_(freep) char *data = NULL;
    ssize_t n;
    int r;

    if (!sub->deferred)
        return -EAGAIN;
    data = malloc(sub->chan->max_msg);
    if (!data)
        return -ENOMEM;
    n = recv(sub->deferred->theirs, data, sub->chan->max_msg, MSG_DONTWAIT);
    if (n < 0)
        return -EAGAIN;
    r = give(ctx, data, (size_t)MIN(n, (ssize_t)cap));
    if (r == 0)
        return MIN(n, (ssize_t)cap);
    (void)fill(sub->deferred, data, (size_t)n); /* it stays for the next RECV */
    return r;
}

void deferred_recv_free(struct usub *sub)
{
    if (sub->deferred)
        pair_close(sub->deferred);
    free(TAKE_PTR(sub->deferred));
}

/* ---- making and ending ---- */

int deferred_new(struct deferred **ret)
{
    struct deferred *all = calloc(1, sizeof(*all));

    if (!all)
        return -ENOMEM;
    all->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (all->epoll < 0) {
        free(all);
        return -errno;
    }
    pthread_mutex_init(&all->lock, NULL);
    *ret = all;
    return 0;
}

void deferred_free(struct uring_emulator *u)
{
    struct deferred *all = u->deferred;

    if (!all)
        return;
    for (size_t i = 0; i < all->used; i++) {
        if (all->sends[i].chan)
            deferred_send_free(u, &all->sends[i]);
        pair_close(&all->sends[i].pair);
    }
    closep(&all->epoll);
    pthread_mutex_destroy(&all->lock);
    free(all);
}
