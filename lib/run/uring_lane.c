/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Operations on a channel that begin later: those that follow another in a chain, or wait for what
 * was submitted before them. Only the kernel knows when their turn comes, and it must then do
 * something that it has: a SEND to, or a RECV from a socket whose other end is here.
 *
 * What comes out of a socket is sent to the channel that it stands for, in the order in which it
 * was put in, as soon as there is room. What a subscriber shall receive is put into its socket when
 * the operation is submitted; if that is then cancelled, it is what the next one gets.
 *
 * The program's end has a number of its own choosing by nobody: a high one, closed by exec.
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
    LANES = 512,    /* operations that may wait at a time */
    NUMBERS = 1024, /* the program's ends lie below */
    ROOM = 3 << 19, /* for the longest message */
};

/**
 * struct lane - a pair of sockets
 * @ours, @theirs: the ends; @theirs is a second descriptor of what the program has
 * @ino: of @theirs
 * @number: of the program's descriptor, where it was last
 */
struct lane {
    int ours;
    int theirs;
    ino_t ino;
    int number;
};

/**
 * struct outlet - a lane for what is to be sent
 * @lane: made when first used
 * @chan: where to, with a reference; NULL: free
 * @ring: whose; NULL when that is gone, and only what was put in is left
 * @target, @user_data: of the operation
 * @waiting: operations that have not begun, or were cancelled
 * @turn: when it was used last
 */
struct outlet {
    struct lane lane;
    const struct ring *ring;
    struct uchan *chan;
    uint32_t target;
    uint64_t user_data;
    unsigned int waiting;
    uint64_t turn;
};

struct lanes {
    pthread_mutex_t lock; /* before those of channels */
    int epoll;
    struct outlet outlets[LANES];
    size_t used;
    uint64_t turn;
};

/* ---- the sockets ---- */

static void lane_close(struct lane *l)
{
    closep(&l->ours);
    closep(&l->theirs);
    l->ours = l->theirs = -1;
}

/* Without privilege the system's limit on buffers is one on messages, too. */
static void widen(int fd)
{
    const int room = ROOM;

    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
}

static int lane_open(struct lane *l)
{
    const int on = 1;
    int pair[2];
    struct stat st;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    *l = (struct lane){.ours = pair[0], .theirs = pair[1], .number = -1};
    widen(l->ours);
    widen(l->theirs);
    /* Each message tells when it was put in. */
    if (fstat(l->theirs, &st) < 0 ||
        setsockopt(l->ours, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0) {
        lane_close(l);
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

/* The number by which the caller has its end, given to it if need be. */
static int lane_number(const struct call *c, struct lane *l)
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

static void outlet_take(struct uring_emulator *u, struct outlet *o, const struct ring *r,
                        struct uchan *chan)
{
    uchan_ref(&u->chans, chan);
    __atomic_fetch_add(&chan->outlets, 1, __ATOMIC_SEQ_CST);
    o->chan = chan;
    o->ring = r;
    o->waiting = 0;
}

static void outlet_free(struct uring_emulator *u, struct outlet *o)
{
    __atomic_fetch_sub(&o->chan->outlets, 1, __ATOMIC_SEQ_CST);
    uchan_unref(&u->chans, o->chan);
    o->chan = NULL;
    o->ring = NULL;
}

/* A message that waits in an outlet of this channel: when it was put in. Return: false: none. */
static bool waits_since(const struct outlet *o, const struct uchan *chan, uint64_t *when)
{
    union {
        struct cmsghdr align;
        char control[CMSG_SPACE(sizeof(struct timespec))];
    } cmsg;
    struct msghdr m = {.msg_control = &cmsg, .msg_controllen = sizeof(cmsg)};
    struct timespec ts = {0};
    struct cmsghdr *c;

    if (o->chan != chan || recvmsg(o->lane.ours, &m, MSG_PEEK | MSG_DONTWAIT) < 0)
        return false;
    c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS)
        memcpy(&ts, CMSG_DATA(c), sizeof(ts));
    *when = timefmt_from_timespec(&ts);
    return true;
}

static struct outlet *first_waiting(struct lanes *all, const struct uchan *chan)
{
    struct outlet *first = NULL;
    uint64_t best = 0, when;

    for (size_t i = 0; i < all->used; i++)
        if (waits_since(&all->outlets[i], chan, &when) && (!first || when < best)) {
            first = &all->outlets[i];
            best = when;
        }
    return first;
}

/* Sends what waits, in order. With the lock. */
static void pump(struct uring_emulator *u, struct uchan *chan)
{
    struct lanes *all = u->lanes;
    _cleanup_(freep) char *data = NULL;
    struct outlet *o, *again;
    uint64_t when;

    for (;;) {
        ssize_t n;

        o = first_waiting(all, chan);
        if (!o || uchan_sendable(chan, 0) < 0)
            return;
        /* What was put in before it, while we looked, is there now. */
        again = first_waiting(all, chan);
        o = again ? again : o;
        if (!data)
            data = malloc(chan->max_msg);
        if (!data)
            return;
        n = recv(o->lane.ours, data, chan->max_msg, MSG_DONTWAIT);
        if (n < 0)
            return;
        (void)uchan_send(chan, data, (uint32_t)n, o->user_data, o->target);
        if (o->ring ? --o->waiting == 0 : !waits_since(o, chan, &when))
            outlet_free(u, o);
    }
}

void lanes_pump(struct uring_emulator *u, struct uchan *chan)
{
    if (!__atomic_load_n(&chan->outlets, __ATOMIC_SEQ_CST))
        return;
    uchan_ref(&u->chans, chan);
    pthread_mutex_lock(&u->lanes->lock);
    pump(u, chan);
    pthread_mutex_unlock(&u->lanes->lock);
    uchan_unref(&u->chans, chan);
}

void lanes_pump_all(struct uring_emulator *u)
{
    struct epoll_event ev[16];
    int n;

    while ((n = epoll_wait(u->lanes->epoll, ev, ARRAY_SIZE(ev), 0)) > 0)
        for (int i = 0; i < n; i++) {
            struct outlet *o = ev[i].data.ptr;
            struct uchan *chan;

            pthread_mutex_lock(&u->lanes->lock);
            chan = o->chan;
            if (chan) {
                uchan_ref(&u->chans, chan);
                pump(u, chan);
                uchan_unref(&u->chans, chan);
            }
            pthread_mutex_unlock(&u->lanes->lock);
        }
}

int lanes_fd(const struct uring_emulator *u)
{
    return u->lanes->epoll;
}

void lanes_forget(struct uring_emulator *u, const struct ring *r)
{
    uint64_t when;

    pthread_mutex_lock(&u->lanes->lock);
    for (size_t i = 0; i < u->lanes->used; i++) {
        struct outlet *o = &u->lanes->outlets[i];

        if (!o->chan || o->ring != r)
            continue;
        o->ring = NULL; /* what was put in is sent when there is room */
        if (!waits_since(o, o->chan, &when))
            outlet_free(u, o);
    }
    pthread_mutex_unlock(&u->lanes->lock);
}

static struct outlet *outlet_new(struct lanes *all)
{
    struct outlet *o = &all->outlets[all->used];
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = o};

    if (all->used == LANES || lane_open(&o->lane) < 0)
        return NULL;
    if (epoll_ctl(all->epoll, EPOLL_CTL_ADD, o->lane.ours, &ev) < 0) {
        lane_close(&o->lane);
        return NULL;
    }
    all->used++;
    return o;
}

/*
 * One that stands for the same, or a free one. Operations that were cancelled keep theirs: when
 * there are too many of them, the oldest goes, of the same ring and channel.
 */
static struct outlet *outlet_for(struct lanes *all, const struct ring *r, const struct uchan *chan,
                                 const struct io_uring_sqe *sqe)
{
    struct outlet *unused = NULL, *oldest = NULL;

    for (size_t i = 0; i < all->used; i++) {
        struct outlet *o = &all->outlets[i];

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
        unused = outlet_new(all);
    return unused ? unused : oldest;
}

int lane_send(struct uring_emulator *u, struct ring *r, const struct call *c, struct uchan *chan,
              struct io_uring_sqe *sqe)
{
    struct lanes *all = u->lanes;
    struct outlet *o;
    int number = -ENOBUFS;

    pthread_mutex_lock(&all->lock);
    o = outlet_for(all, r, chan, sqe);
    if (o)
        number = fits(o->lane.theirs, sqe->len) ? lane_number(c, &o->lane) : -EMSGSIZE;
    if (number >= 0) {
        if (!o->chan)
            outlet_take(u, o, r, chan);
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

/* Puts a message into a subscriber's socket. */
static int fill(void *ctx, const void *data, size_t n)
{
    const struct lane *l = ctx;

    return send(l->ours, data, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int lane_recv(const struct call *c, struct usub *sub, struct io_uring_sqe *sqe)
{
    int64_t r = 0;
    int number;

    if (!sub->inbox) {
        sub->inbox = calloc(1, sizeof(*sub->inbox));
        if (!sub->inbox)
            return -ENOMEM;
        r = lane_open(sub->inbox);
        if (r < 0) {
            free(TAKE_PTR(sub->inbox));
            return (int)r;
        }
    }
    number = lane_number(c, sub->inbox);
    if (number < 0)
        return number;
    r = usub_recv(sub, UINT32_MAX, fill, sub->inbox);
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

int64_t inbox_recv(struct usub *sub, uint32_t cap, uchan_give_fn give, void *ctx)
{
    _cleanup_(freep) char *data = NULL;
    ssize_t n;
    int r;

    if (!sub->inbox)
        return -EAGAIN;
    data = malloc(sub->chan->max_msg);
    if (!data)
        return -ENOMEM;
    n = recv(sub->inbox->theirs, data, sub->chan->max_msg, MSG_DONTWAIT);
    if (n < 0)
        return -EAGAIN;
    r = give(ctx, data, (size_t)MIN(n, (ssize_t)cap));
    if (r == 0)
        return MIN(n, (ssize_t)cap);
    (void)fill(sub->inbox, data, (size_t)n); /* kept */
    return r;
}

void inbox_free(struct usub *sub)
{
    if (sub->inbox)
        lane_close(sub->inbox);
    free(TAKE_PTR(sub->inbox));
}

/* ---- making and ending ---- */

int lanes_new(struct lanes **ret)
{
    struct lanes *all = calloc(1, sizeof(*all));

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

void lanes_free(struct uring_emulator *u)
{
    struct lanes *all = u->lanes;

    if (!all)
        return;
    for (size_t i = 0; i < all->used; i++) {
        if (all->outlets[i].chan)
            outlet_free(u, &all->outlets[i]);
        lane_close(&all->outlets[i].lane);
    }
    closep(&all->epoll);
    pthread_mutex_destroy(&all->lock);
    free(all);
}
