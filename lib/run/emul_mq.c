/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The three proposed ways to look into a message queue (mqpeek_abi.h), answered by a real peek
 * through the caller's own descriptor: a program may peek at a queue if it may read the queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "mqpeek_abi.h"
#include "pmq.h"
#include "run_internal.h"
#include "timefmt.h"

enum {
    BULK_CAP = 64 * 1024, /* what one bulk peek can give: the later version's buffer */
    SIGNAL_POLL_MS = 20,
    MANY = 64, /* messages: to collect so many takes longer than to wake another thread */
};

struct mq_emulator {
    pthread_mutex_t lock; /* a peeker takes one snapshot at a time */
    struct msgq_peek_opts opts;
    struct msgq_peeker *peeker;
};

int mq_emulator_new(const struct run_opts *opts, struct mq_emulator **ret, struct err *e)
{
    struct mq_emulator *m = calloc(1, sizeof(*m));
    int r;

    if (!m)
        return -ENOMEM;
    pthread_mutex_init(&m->lock, NULL);
    m->opts.mq_syscall = opts->mq_syscall;
    r = pmq_peeker_new(&m->opts, &m->peeker, e);
    if (r < 0 && opts->allow_drain) {
        m->opts.backend = "drain";
        m->opts.force = true;
        r = pmq_peeker_new(&m->opts, &m->peeker, e);
    }
    if (r < 0) {
        mq_emulator_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

void mq_emulator_free(struct mq_emulator *m)
{
    if (!m)
        return;
    msgq_peeker_free(m->peeker);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* ---- the caller's queue ---- */

/* The descriptor as one of ours: -EBADF when it is no queue, or not open for reading. */
static int get_queue(const struct call *c, int theirs, struct pmq_queue **ret)
{
    int fd = call_getfd(c, theirs);

    return fd < 0 ? fd : pmq_queue_adopt(fd, "a descriptor of another process", ret);
}

/* One message of a queue, copied. */
struct wanted {
    uint64_t index;
    bool found;
    uint32_t priority;
    struct buf data;
};

static int pick(const struct msgq_message *msg, void *ctx)
{
    struct wanted *w = ctx;

    if (msg->index != w->index)
        return 0;
    w->found = true;
    w->priority = msg->priority;
    buf_add(&w->data, msg->data, msg->length);
    return 1;
}

/* A peek at many messages, or waiting for another peek, takes long. */
static void lock_peeker(struct mq_emulator *m, const struct call *c, const struct pmq_queue *q)
{
    struct pmq_attr attr;

    if (pmq_queue_attr_basic(q, &attr) == 0 && attr.curmsgs > MANY)
        run_will_wait(c);
    if (pthread_mutex_trylock(&m->lock) == 0)
        return;
    run_will_wait(c);
    pthread_mutex_lock(&m->lock);
}

/* Visits up to @count messages from index @first on. */
static int peek(struct mq_emulator *m, const struct call *c, const struct pmq_queue *q,
                uint64_t first, uint64_t count, msgq_visit_fn visit, void *ctx)
{
    _cleanup_(msgq_snapshot_freep) struct msgq_snapshot *s = NULL;
    int r;

    lock_peeker(m, c, q);
    m->opts.first = first;
    m->opts.count = count;
    r = pmq_peek(m->peeker, q, &s, NULL);
    if (r == 0)
        r = msgq_snapshot_visit(s, visit, ctx, NULL);
    msgq_snapshot_free(TAKE_PTR(s));
    pthread_mutex_unlock(&m->lock);
    return r;
}

static int peek_one(struct mq_emulator *m, const struct call *c, const struct pmq_queue *q,
                    struct wanted *w)
{
    int r = peek(m, c, q, w->index, 1, pick, w);

    return r < 0 ? r : buf_error(&w->data);
}

/* ---- mq_timedreceive2() ---- */

static int read_timeout(const struct call *c, uint64_t at, struct timespec *ts)
{
    int r;

    if (!at)
        return 0;
    r = call_read(c, at, ts, sizeof(*ts));
    if (r == 0 && (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= (long)NSEC_PER_SEC))
        r = -EINVAL;
    return r;
}

static int64_t give_message(const struct call *c, const struct xlat_mq_timedreceive2_args *args,
                            uint32_t priority, const void *data, size_t n)
{
    int r = 0;

    /* The priority arrives even when the payload then does not. */
    if (args->msg_prio)
        r = call_write(c, (uintptr_t)args->msg_prio, &priority, sizeof(priority));
    if (r == 0)
        r = call_write(c, (uintptr_t)args->msg_ptr, data, n);
    return r < 0 ? r : (int64_t)n;
}

/* Whether a signal waits that the caller handles: its wait must end. */
static bool signal_waits(const struct call *c)
{
    static const char *const keys[] = {"SigPnd", "ShdPnd", "SigBlk", "SigCgt"};
    _cleanup_(buf_done) struct buf status = BUF_INIT;
    unsigned long long mask[ARRAY_SIZE(keys)] = {0};

    if (call_status(c, &status) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *at = call_status_line(&status, keys[i]);

        if (at)
            mask[i] = strtoull(at, NULL, 16);
    }
    return ((mask[0] | mask[1]) & ~mask[2] & mask[3]) != 0;
}

/* Waits for a message. Return: 0 when there may be one, else -errno. */
static int wait_for_message(const struct call *c, int fd, const struct timespec *deadline)
{
    struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = c->run->stop, .events = POLLIN}};

    if (fcntl(fd, F_GETFL) & O_NONBLOCK)
        return -EAGAIN;
    if (deadline && timefmt_now(CLOCK_REALTIME) >= timefmt_from_timespec(deadline))
        return -ETIMEDOUT;
    run_will_wait(c);
    if (poll(p, ARRAY_SIZE(p), SIGNAL_POLL_MS) > 0)
        return p[1].revents ? -ENOSYS : 0;
    if (!call_alive(c))
        return -ESRCH;
    return signal_waits(c) ? -EINTR : 0;
}

/* Without MQ_PEEK it receives, as mq_timedreceive() does; the supervisor waits, in small steps. */
static int64_t receive(const struct call *c, const struct pmq_queue *q,
                       const struct xlat_mq_timedreceive2_args *args,
                       const struct timespec *deadline)
{
    static const struct timespec past = {0};
    _cleanup_(freep) char *data = NULL;
    struct pmq_attr attr;
    int r = pmq_queue_attr_basic(q, &attr);

    if (r < 0)
        return r;
    if (args->msg_len < attr.msgsize)
        return -EMSGSIZE;
    data = malloc(attr.msgsize + 1);
    if (!data)
        return -ENOMEM;
    for (;;) {
        unsigned int priority = 0;
        ssize_t n = mq_timedreceive(pmq_queue_fd(q), data, attr.msgsize, &priority, &past);

        if (n >= 0)
            return give_message(c, args, priority, data, (size_t)n);
        if (errno != ETIMEDOUT && errno != EAGAIN)
            return -errno;
        r = wait_for_message(c, pmq_queue_fd(q), deadline);
        if (r < 0)
            return r;
    }
}

int64_t mq_timedreceive2(struct mq_emulator *m, const struct call *c)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    struct xlat_mq_timedreceive2_args args;
    struct timespec deadline;
    struct wanted w = {.index = c->args[3]};
    struct pmq_attr attr;
    int64_t result;
    int r;

    r = call_read(c, c->args[1], &args, sizeof(args));
    if (r == 0)
        r = read_timeout(c, c->args[4], &deadline);
    if (r == 0)
        r = get_queue(c, call_int(c, 0), &q);
    if (r < 0)
        return r;
    if (!(call_u32(c, 2) & XLAT_MQ_PEEK))
        return receive(c, q, &args, c->args[4] ? &deadline : NULL);
    r = pmq_queue_attr_basic(q, &attr);
    if (r < 0)
        return r;
    if (args.msg_len < attr.msgsize)
        return -EMSGSIZE;
    if (w.index >= attr.maxmsg)
        return -ENOENT;
    r = peek_one(m, c, q, &w);
    if (r < 0)
        result = r;
    else if (w.found)
        result = give_message(c, &args, w.priority, buf_str(&w.data), w.data.len);
    else
        result = attr.curmsgs == 0 ? -EAGAIN : -ENOENT;
    buf_done(&w.data);
    return result;
}

/* ---- fcntl(F_MQ_PEEK) ---- */

int64_t mq_fcntl_peek(struct mq_emulator *m, const struct call *c)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    struct xlat_mq_peek_attr attr;
    struct wanted w = {0};
    int64_t result;
    int r = get_queue(c, call_int(c, 0), &q);

    if (r == 0)
        r = call_read(c, c->args[2], &attr, sizeof(attr));
    if (r < 0)
        return r;
    if (attr.offset < 0)
        return -EINVAL;
    w.index = (uint64_t)attr.offset;
    r = peek_one(m, c, q, &w);
    result = (int64_t)MIN(w.data.len, attr.buf_len);
    attr.msg_prio = w.priority;
    if (r == 0 && !w.found)
        r = -ENOMSG;
    if (r == 0)
        r = call_write(c, (uintptr_t)attr.buf, buf_str(&w.data), (size_t)result);
    if (r == 0)
        r = call_write(c, c->args[2], &attr, sizeof(attr));
    buf_done(&w.data);
    return r < 0 ? r : result;
}

/* ---- ioctl(MQ_IOC_BULK_PEEK) ---- */

struct bulk {
    struct xlat_mq_bulk_peek_args *args;
    uint64_t room; /* bytes that still fit */
    struct buf out;
};

static int add_entry(const struct msgq_message *msg, void *ctx)
{
    struct bulk *b = ctx;
    struct xlat_mq_bulk_peek_args *a = b->args;
    size_t from = msg->index == a->start_idx ? a->start_offset : 0;
    struct xlat_mq_peek_msg_hdr h = {
        .total_msg_len = (uint32_t)msg->length,
        .msg_prio = msg->priority,
    };
    size_t left, chunk, padded;

    if (msg->index < a->start_idx)
        return 0;
    if (from > msg->length)
        return -EINVAL;
    left = msg->length - from;
    if (a->out_count == a->max_count || b->room < sizeof(h) || (left && b->room == sizeof(h)))
        return 1;
    chunk = MIN(left, (size_t)(b->room - sizeof(h)));
    h.chunk_len = (uint32_t)chunk;
    h.flags = chunk < left ? XLAT_MQ_PEEK_FLAG_HAS_MORE : 0;
    buf_add(&b->out, &h, sizeof(h));
    buf_add(&b->out, (const char *)msg->data + from, chunk);
    padded = (sizeof(h) + chunk + 7) & ~(size_t)7;
    buf_add_repeat(&b->out, '\0', MIN(padded, (size_t)b->room) - sizeof(h) - chunk);
    b->room -= MIN(padded, (size_t)b->room);
    a->out_count++;
    a->next_idx = (uint32_t)(chunk < left ? msg->index : msg->index + 1);
    a->next_offset = chunk < left ? (uint32_t)(from + chunk) : 0;
    return chunk < left;
}

/* The kernel asks for one of two capabilities; so do we, of the caller. */
static bool may_checkpoint(const struct call *c)
{
    _cleanup_(buf_done) struct buf status = BUF_INIT;
    const char *at = call_status(c, &status) < 0 ? NULL : call_status_line(&status, "CapEff");

    return at &&
           (strtoull(at, NULL, 16) & (1ull << CAP_SYS_ADMIN | 1ull << CAP_CHECKPOINT_RESTORE)) != 0;
}

int64_t mq_bulk_peek(struct mq_emulator *m, const struct call *c)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    struct xlat_mq_bulk_peek_args args;
    struct bulk b = {.args = &args};
    uint64_t count;
    int r = get_queue(c, call_int(c, 0), &q);

    if (r == -EBADF)
        return CALL_CONTINUE; /* no queue: the kernel answers this ioctl */
    if (r == 0 && !may_checkpoint(c))
        r = -EPERM;
    if (r == 0)
        r = call_read(c, c->args[2], &args, sizeof(args));
    if (r < 0)
        return r;
    args.out_count = 0;
    args.next_idx = args.start_idx;
    args.next_offset = args.start_offset;
    b.room = MIN(args.buf_size, (uint64_t)BULK_CAP);
    count = MIN((uint64_t)args.max_count, b.room / sizeof(struct xlat_mq_peek_msg_hdr) + 1);
    r = peek(m, c, q, args.start_idx, MAX(count, UINT64_C(1)), add_entry, &b);
    if (r >= 0)
        r = buf_error(&b.out);
    if (r == 0)
        r = call_write(c, args.buf_ptr, buf_str(&b.out), b.out.len);
    if (r == 0)
        r = call_write(c, c->args[2], &args, sizeof(args));
    buf_done(&b.out);
    return r;
}
