/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How fast channels are, and what else one could use, between real processes. */
#include "chan_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "macros.h"
#include "timefmt.h"

enum {
    ENDS_MAX = BENCH_RECEIVERS_MAX,
    BUFFER = 1 << 20,
    STREAM_SLOTS = 8192,    /* at most */
    ROUND_TRIP_SLOTS = 256, /* of which one is in use at a time */
};

/* One direction: a channel, or as many pipes, sockets or queues as there are receivers. */
struct way {
    const struct uipc_ops *ops;
    const char *dir;
    enum bench_transport t;
    size_t size;
    unsigned int n;
    uint32_t slots_max;
    struct uipc_keep *keep;
    uint32_t channel;
    struct uipc *u;    /* of the process that has opened its end */
    int in[ENDS_MAX];  /* what a sender writes to */
    int out[ENDS_MAX]; /* what receiver i reads from */
};

static const char *const names[] = {
    [BENCH_CHANNEL] = "channel",
    [BENCH_PIPE] = "pipe",
    [BENCH_SEQPACKET] = "seqpacket",
    [BENCH_MQUEUE] = "mqueue",
};

const char *bench_transport_name(enum bench_transport t)
{
    return names[t];
}

/* A channel holds no more bytes of messages than the others' buffers. */
static uint32_t slots(const struct way *w)
{
    uint32_t n = 1;

    while (n < w->slots_max && 2 * n * w->size <= (size_t)BUFFER)
        n *= 2;
    return n;
}

static int make_channel(struct way *w, struct err *e)
{
    struct chan_conf conf = {
        .delivery = w->n > 1 ? CHAN_BROADCAST : CHAN_UNICAST,
        .entries = slots(w),
        .max_msg = (uint32_t)w->size,
        .mode = 0600,
    };

    return uipc_create(w->ops, w->dir, &conf, &w->keep, &w->channel, e);
}

static int make_end(struct way *w, unsigned int i)
{
    struct mq_attr attr = {.mq_maxmsg = w->size > 8192 ? 4 : 10, .mq_msgsize = (long)w->size};
    int buffer = BUFFER;
    char name[64];
    int fd[2];

    switch (w->t) {
    case BENCH_PIPE:
        if (pipe2(fd, O_CLOEXEC) < 0)
            return -errno;
        (void)fcntl(fd[1], F_SETPIPE_SZ, BUFFER); /* as much as it may have */
        break;
    case BENCH_SEQPACKET:
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0)
            return -errno;
        (void)setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
        break;
    default:
        snprintf(name, sizeof(name), "/ipcbox-bench-%d-%u", (int)getpid(), i);
        fd[0] = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
        if (fd[0] < 0)
            return -errno;
        mq_unlink(name);
        fd[1] = fcntl(fd[0], F_DUPFD_CLOEXEC, 3);
        if (fd[1] < 0) {
            close(fd[0]);
            return -errno;
        }
        break;
    }
    w->out[i] = fd[0];
    w->in[i] = fd[1];
    return 0;
}

static void way_done(struct way *w)
{
    uipc_close(TAKE_PTR(w->u));
    uipc_keep_release(TAKE_PTR(w->keep));
    for (unsigned int i = 0; i < w->n; i++) {
        if (w->in[i] >= 0)
            close(w->in[i]);
        if (w->out[i] >= 0)
            close(w->out[i]);
        w->in[i] = w->out[i] = -1;
    }
}

/* @w tells what: its ops, dir, t, size, n and slots_max. */
static int way_init(struct way *w, struct err *e)
{
    unsigned int n = w->n;
    int r = 0;

    for (unsigned int i = 0; i < n; i++)
        w->in[i] = w->out[i] = -1;
    if (w->t == BENCH_CHANNEL)
        return make_channel(w, e);
    for (unsigned int i = 0; i < n && r == 0; i++)
        r = make_end(w, i);
    if (r == -EINVAL && w->t == BENCH_MQUEUE)
        return err_set(e, r, "see /proc/sys/fs/mqueue/msgsize_max",
                       "queues may not have messages of %zu bytes", w->size);
    return r;
}

/* Opens this process's end of a channel. */
static int way_open(struct way *w, unsigned int access)
{
    if (w->t != BENCH_CHANNEL)
        return 0;
    return uipc_open(w->ops, w->dir, &(struct uipc_ref){.id = w->channel}, access, &w->u, NULL);
}

/* A receiver must see the end when the sender dies. */
static void way_close_in(struct way *w)
{
    for (unsigned int i = 0; i < w->n; i++)
        if (w->in[i] >= 0)
            close(TAKE_FD(w->in[i]));
}

static int put_one(const struct way *w, unsigned int i, const char *buf)
{
    if (w->t == BENCH_MQUEUE)
        return mq_send(w->in[i], buf, w->size, 0) < 0 ? -errno : 0;
    for (size_t done = 0; done < w->size;) {
        ssize_t n = write(w->in[i], buf + done, w->size - done);

        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int put(const struct way *w, char *buf, uint32_t number)
{
    int r = 0;

    memcpy(buf, &number, sizeof(number));
    if (w->t == BENCH_CHANNEL)
        return uipc_send(w->u, buf, w->size, number, 0, 60 * NSEC_PER_SEC, NULL);
    for (unsigned int i = 0; i < w->n && r == 0; i++)
        r = put_one(w, i, buf);
    return r;
}

static int get_bytes(const struct way *w, unsigned int i, char *buf)
{
    for (size_t done = 0; done < w->size;) {
        ssize_t n = w->t == BENCH_MQUEUE ? mq_receive(w->out[i], buf, w->size, NULL)
                                         : read(w->out[i], buf + done, w->size - done);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0 || (n > 0 && w->t != BENCH_PIPE && (size_t)n != w->size))
            return -EPIPE;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int get(const struct way *w, unsigned int i, char *buf, uint32_t number)
{
    struct chan_got got;
    uint32_t have;
    int r;

    if (w->t == BENCH_CHANNEL) {
        r = uipc_recv(w->u, buf, w->size, &got, 60 * NSEC_PER_SEC, NULL);
        if (r == 0 && (got.msg.len != w->size || got.lost))
            r = -EBADMSG;
    } else {
        r = get_bytes(w, i, buf);
    }
    memcpy(&have, buf, sizeof(have));
    return r < 0 ? r : have == number ? 0 : -EBADMSG;
}

/* Starts a child that does @role's part. Its exit status is 0, or 1 when anything went wrong. */
struct role {
    const struct bench_case *b;
    struct way *there;
    struct way *back; /* of a round trip */
    unsigned int i;
    int ready;
};

static int play(const struct role *role, char *buf)
{
    struct way *w = role->there;
    int r = way_open(w, CHAN_RECV);

    if (r == 0 && role->back)
        r = way_open(role->back, CHAN_SEND);
    if (w->t != BENCH_CHANNEL)
        way_close_in(w);
    if (r == 0 && write(role->ready, "", 1) != 1)
        r = -errno;
    for (uint32_t k = 0; k < role->b->messages && r == 0; k++) {
        r = get(w, role->i, buf, k);
        if (r == 0 && role->back)
            r = put(role->back, buf, k);
    }
    return r;
}

static pid_t start(const struct role *role, char *buf)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        _exit(play(role, buf) < 0 ? 1 : 0);
    }
    return pid < 0 ? -errno : pid;
}

/* The sender's part, with the clock. */
static int send_all(const struct bench_case *b, struct way *there, struct way *back, char *buf,
                    uint64_t *begin)
{
    int r = way_open(there, CHAN_SEND);

    if (r == 0 && back)
        r = way_open(back, CHAN_RECV);
    *begin = timefmt_now(CLOCK_MONOTONIC);
    for (uint32_t k = 0; k < b->messages && r == 0; k++) {
        r = put(there, buf, k);
        if (r == 0 && back)
            r = get(back, 0, buf, k);
    }
    return r;
}

static int measure(const struct bench_case *b, struct way *there, struct way *back, char *buf,
                   double *ns)
{
    unsigned int n = MAX(b->receivers, 1U), started = 0;
    pid_t pids[BENCH_RECEIVERS_MAX];
    int ready[2], r = 0;
    uint64_t begin = 0;

    if (pipe2(ready, O_CLOEXEC) < 0)
        return -errno;
    for (; started < n && r >= 0; started++) {
        struct role role = {b, there, back, started, ready[1]};

        r = pids[started] = start(&role, buf);
        if (r < 0)
            break;
    }
    close(ready[1]);
    for (unsigned int i = 0; i < n && r >= 0; i++) {
        char c;

        if (read(ready[0], &c, 1) != 1)
            r = -EPIPE;
    }
    if (r >= 0)
        r = send_all(b, there, back, buf, &begin);
    for (unsigned int i = 0; i < started; i++) {
        int status = -1;

        if (r < 0)
            kill(pids[i], SIGKILL);
        waitpid(pids[i], &status, 0);
        if (status != 0 && r == 0)
            r = -EPIPE;
    }
    *ns = (double)(timefmt_now(CLOCK_MONOTONIC) - begin) / b->messages;
    close(ready[0]);
    return r;
}

int bench_run(const struct uipc_ops *ops, const char *dir, const struct bench_case *b,
              enum bench_transport t, double *ns, struct err *e)
{
    bool round_trip = b->receivers == 0;
    struct way there = {
        .ops = ops,
        .dir = dir,
        .t = t,
        .size = b->size,
        .slots_max = round_trip ? ROUND_TRIP_SLOTS : STREAM_SLOTS,
    };
    struct way back;
    char *buf;
    int r;

    if (b->size < sizeof(uint32_t) || b->receivers > BENCH_RECEIVERS_MAX || !b->messages)
        return -EINVAL;
    buf = calloc(1, b->size);
    if (!buf)
        return -ENOMEM;
    there.n = MAX(b->receivers, 1U);
    back = there;
    r = way_init(&there, e);
    if (r == 0 && round_trip)
        r = way_init(&back, e);
    if (r == 0)
        r = measure(b, &there, round_trip ? &back : NULL, buf, ns);
    way_done(&there);
    if (round_trip)
        way_done(&back);
    free(buf);
    return r;
}

/* ---- idle receivers -------------------------------------------------------------------------- */

static pid_t start_idle(struct way *w, int ready)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    char buf[64];

    if (pid == 0) {
        struct chan_got got;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || way_open(w, CHAN_RECV) < 0 || write(ready, "", 1) != 1)
            _exit(1);
        (void)uipc_recv(w->u, buf, sizeof(buf), &got, CHAN_FOREVER, NULL);
        _exit(1);
    }
    return pid < 0 ? -errno : pid;
}

/* Processor time of a process so far, ns. */
static uint64_t used(pid_t pid)
{
    clockid_t clock;

    return clock_getcpuclockid(pid, &clock) == 0 ? timefmt_now(clock) : 0;
}

static int watch_idle(const pid_t *pids, unsigned int n, uint64_t for_ns, double *percent)
{
    uint64_t before[BENCH_RECEIVERS_MAX], most = 0, start;
    struct timespec ts = timefmt_to_timespec(NSEC_PER_SEC / 4); /* until they have settled */

    nanosleep(&ts, NULL);
    start = timefmt_now(CLOCK_MONOTONIC);
    for (unsigned int i = 0; i < n; i++)
        before[i] = used(pids[i]);
    ts = timefmt_to_timespec(for_ns);
    nanosleep(&ts, NULL);
    for (unsigned int i = 0; i < n; i++) {
        if (waitpid(pids[i], NULL, WNOHANG) != 0)
            return -EPIPE; /* it should be waiting */
        most = MAX(most, used(pids[i]) - before[i]);
    }
    *percent = 100 * (double)most / (double)(timefmt_now(CLOCK_MONOTONIC) - start);
    return 0;
}

int bench_idle(const struct uipc_ops *ops, const char *dir, unsigned int receivers, uint64_t for_ns,
               double *percent, struct err *e)
{
    struct way w = {
        .ops = ops,
        .dir = dir,
        .t = BENCH_CHANNEL,
        .size = 64,
        .n = receivers,
        .slots_max = STREAM_SLOTS,
    };
    pid_t pids[BENCH_RECEIVERS_MAX];
    unsigned int started = 0;
    int ready[2], r;

    if (!receivers || receivers > BENCH_RECEIVERS_MAX)
        return -EINVAL;
    for (unsigned int i = 0; i < receivers; i++)
        w.in[i] = w.out[i] = -1;
    if (pipe2(ready, O_CLOEXEC) < 0)
        return -errno;
    r = make_channel(&w, e);
    for (; started < receivers && r >= 0; started++) {
        r = pids[started] = start_idle(&w, ready[1]);
        if (r < 0)
            break;
    }
    close(ready[1]);
    for (unsigned int i = 0; i < started && r >= 0; i++)
        if (read(ready[0], &(char){0}, 1) != 1)
            r = -EPIPE;
    if (r >= 0)
        r = watch_idle(pids, started, for_ns, percent);
    for (unsigned int i = 0; i < started; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    close(ready[0]);
    way_done(&w);
    return MIN(r, 0);
}
