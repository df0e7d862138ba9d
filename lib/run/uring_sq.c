/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a program is about to submit. An operation on a channel is done here at once, in order, and
 * its SQE becomes a NOP with the operation's result, so that links, completions and all flags stay
 * the kernel's. The program's SQE is put back before the program uses it again.
 *
 * Some operations cannot be done at once. One that the kernel refuses before it begins is replaced
 * by something that the kernel refuses in the same way, and nothing of its chain is done. One that
 * follows a failed operation in a chain is not done. One that follows an operation of the kernel in
 * a chain is deferred (uring_deferred.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "emul_uring.h"

enum { OP_INVALID = 255 };

/**
 * struct op - one SQE of a submission
 * @index: its place in the array of SQEs
 * @position: its place in the submission queue
 * @sqe: as the program left it
 * @ipc: it is an operation on a channel
 * @done: it was dealt with before, and has not been submitted since
 */
struct op {
    uint32_t index;
    uint32_t position;
    struct io_uring_sqe sqe;
    bool ipc;
    bool done;
};

/* A submission that is being looked at, by the thread that answers its system call. */
struct submission {
    struct uring_emulator *u;
    struct ring *r;
    const struct call *c;
    bool drained; /* an operation with IOSQE_IO_DRAIN came: it and all after it have to wait */
};

/* ---- the ring's memory ---- */

static int ring_word(const struct submission *s, uint32_t offset, uint32_t *value)
{
    if (!s->r->map)
        return call_read(s->c, s->r->their_map + offset, value, sizeof(*value));
    *value = __atomic_load_n((const uint32_t *)(const void *)(s->r->map + offset),
                             __ATOMIC_ACQUIRE);
    return 0;
}

static size_t sqe_at(const struct ring *r, uint32_t index)
{
    return (size_t)index * sizeof(struct io_uring_sqe) << (r->flags & IORING_SETUP_SQE128 ? 1 : 0);
}

static int sqe_load(const struct submission *s, uint32_t index, struct io_uring_sqe *sqe)
{
    if (!s->r->sqes)
        return call_read(s->c, s->r->their_sqes + sqe_at(s->r, index), sqe, sizeof(*sqe));
    memcpy(sqe, s->r->sqes + sqe_at(s->r, index), sizeof(*sqe));
    return 0;
}

static void sqe_store(const struct submission *s, uint32_t index, const struct io_uring_sqe *sqe)
{
    if (s->r->sqes)
        memcpy(s->r->sqes + sqe_at(s->r, index), sqe, sizeof(*sqe));
    else /* it was read before, so this cannot fail but for the end of the program */
        (void)call_write(s->c, s->r->their_sqes + sqe_at(s->r, index), sqe, sizeof(*sqe));
}

static bool is_ipc(const struct io_uring_sqe *sqe)
{
    return sqe->opcode == URING_IPC_OP_SEND || sqe->opcode == URING_IPC_OP_RECV;
}

/* ---- replacing, and putting back ---- */

static int replace(const struct submission *s, const struct op *op, struct io_uring_sqe *with)
{
    struct replaced *was;

    if (!s->r->replaced)
        s->r->replaced = calloc(s->r->sq_entries, sizeof(*s->r->replaced));
    if (!s->r->replaced)
        return -ENOMEM;
    with->__pad2[0] = s->u->tag;
    was = &s->r->replaced[op->index];
    *was = (struct replaced){
        .theirs = op->sqe, .ours = *with, .position = op->position, .used = true};
    sqe_store(s, op->index, with);
    return 0;
}

static bool same_sqe(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct io_uring_sqe)) == 0;
}

#define PUT_BACK(field)                     \
    do {                                    \
        if (sqe->field == was->ours.field)  \
            sqe->field = was->theirs.field; \
    } while (0)

/*
 * A program may submit an SQE again as it is, or set some of its fields and rely on the others:
 * each field that still has our value gets the program's value back. An SQE that the program has
 * written anew has lost our tag. Return: whether the SQE was done before and is still to be
 * submitted.
 */
static bool put_back(const struct submission *s, struct op *op)
{
    struct replaced *was = s->r->replaced ? &s->r->replaced[op->index] : NULL;
    struct io_uring_sqe *sqe = &op->sqe;

    if (!was || !was->used)
        return false;
    if (sqe->__pad2[0] == s->u->tag) {
        if (was->position == op->position && same_sqe(sqe, &was->ours))
            return true;
        /* A program that makes it another operation sets its length, too. */
        if (sqe->opcode == was->ours.opcode)
            PUT_BACK(len);
        if (sqe->user_data == was->theirs.user_data)
            PUT_BACK(opcode);
        PUT_BACK(flags);
        PUT_BACK(ioprio);
        PUT_BACK(fd);
        PUT_BACK(off);
        PUT_BACK(rw_flags);
        PUT_BACK(file_index);
        PUT_BACK(__pad2[0]);
        sqe_store(s, op->index, sqe);
    }
    was->used = false;
    return false;
}

/* The kernel completes it with @res. */
static void complete(const struct submission *s, const struct op *op, int64_t res)
{
    struct io_uring_sqe nop = op->sqe;

    nop.opcode = IORING_OP_NOP;
    nop.len = (uint32_t)res;
    nop.rw_flags = RING_NOP_INJECT_RESULT;
    (void)replace(s, op, &nop);
}

/* The kernel refuses it before it begins. */
static void refuse(const struct submission *s, const struct op *op, int why)
{
    struct io_uring_sqe bad = op->sqe;

    bad.opcode = why == -EOPNOTSUPP ? IORING_OP_NOP : OP_INVALID;
    (void)replace(s, op, &bad);
}

/* ---- the operations ---- */

struct usub *ring_sub(const struct ring *r, uint32_t id)
{
    struct usub *sub = r->subs;

    while (sub && sub->id != id)
        sub = sub->owned;
    return sub;
}

/* Whether the kernel refuses an operation before it begins. Return: 0, -EOPNOTSUPP, -EINVAL. */
static int refused(const struct ring *r, const struct io_uring_sqe *sqe)
{
    if (sqe->flags & IOSQE_BUFFER_SELECT)
        return -EOPNOTSUPP;
    if (sqe->ioprio || sqe->rw_flags || sqe->buf_index || sqe->personality ||
        r->flags & IORING_SETUP_IOPOLL)
        return -EINVAL;
    return 0;
}

/* The channel that a SEND goes to, with a reference. */
static int send_channel(const struct submission *s, const struct io_uring_sqe *sqe,
                        struct uchan **ret)
{
    const struct usub *sub = ring_sub(s->r, (uint32_t)sqe->fd);
    struct uchan *chan;

    if (sub) {
        if (!(sub->flags & URING_IPC_SUB_SEND))
            return -EACCES;
        chan = sub->chan;
        uchan_ref(&s->u->chans, chan);
    } else {
        chan = uring_find_channel(s->u, (uint32_t)sqe->fd, 0);
        if (!chan)
            return -ENOENT;
        if (!uchan_allowed(s->c, chan, URING_IPC_SUB_SEND)) {
            uchan_unref(&s->u->chans, chan);
            return -EACCES;
        }
    }
    *ret = chan;
    return 0;
}

static int64_t send_to(const struct submission *s, const struct io_uring_sqe *sqe,
                       struct uchan *chan)
{
    char small[1024];
    _cleanup_(freep) char *large = NULL;
    char *data = small;
    int64_t r;
    int got;

    if (sqe->len > chan->max_msg)
        return -EMSGSIZE;
    if (sqe->len > sizeof(small)) {
        large = malloc(sqe->len);
        if (!large)
            return -ENOMEM;
        data = large;
    }
    got = call_read(s->c, sqe->addr, data, sqe->len);
    if (got == -ESRCH)
        return got; /* the program was killed */
    r = uchan_send(chan, got < 0 ? NULL : data, sqe->len, sqe->user_data, sqe->file_index);
    if (r == -ENOBUFS && chan->flags & URING_IPC_F_BROADCAST) {
        /* Perhaps the receiver that makes it full has gone. */
        run_will_wait(s->c);
        rings_reap(s->u, true);
        r = uchan_send(chan, got < 0 ? NULL : data, sqe->len, sqe->user_data, sqe->file_index);
    }
    return r;
}

static int64_t do_send(const struct submission *s, const struct io_uring_sqe *sqe)
{
    struct uchan *chan;
    int64_t r = send_channel(s, sqe, &chan);

    if (r < 0)
        return r;
    deferred_flush(s->u, chan);
    r = send_to(s, sqe, chan);
    uchan_unref(&s->u->chans, chan);
    return r;
}

struct destination {
    const struct call *c;
    uint64_t to;
};

static int copy_out(void *ctx, const void *data, size_t n)
{
    const struct destination *g = ctx;

    return call_write(g->c, g->to, data, n);
}

static int64_t do_recv(const struct submission *s, const struct io_uring_sqe *sqe)
{
    struct usub *sub = ring_sub(s->r, (uint32_t)sqe->fd);
    struct destination g = {.c = s->c, .to = sqe->addr};
    int64_t r;

    if (!sub)
        return -ENOENT;
    if (!(sub->flags & URING_IPC_SUB_RECV))
        return -EACCES;
    deferred_flush(s->u, sub->chan);
    r = deferred_recv(sub, sqe->len, copy_out, &g);
    if (r == -EAGAIN)
        r = usub_recv(sub, sqe->len, copy_out, &g);
    if (r >= 0)
        deferred_flush(s->u, sub->chan); /* there is room */
    return r;
}

/* ---- later ---- */

/* Defers a SEND. Return: 0 with the SQE to submit instead, or the result, which is an error. */
static int send_later(const struct submission *s, struct io_uring_sqe *sqe)
{
    struct uchan *chan;
    int r = send_channel(s, sqe, &chan);

    if (r < 0)
        return r;
    if (sqe->len > chan->max_msg)
        r = -EMSGSIZE;
    if (r == 0)
        r = uchan_sendable(chan, sqe->file_index);
    if (r == 0)
        r = defer_send(s->u, s->r, s->c, chan, sqe);
    uchan_unref(&s->u->chans, chan);
    return r;
}

static int recv_later(const struct submission *s, struct io_uring_sqe *sqe)
{
    struct usub *sub = ring_sub(s->r, (uint32_t)sqe->fd);

    if (!sub)
        return -ENOENT;
    if (!(sub->flags & URING_IPC_SUB_RECV))
        return -EACCES;
    deferred_flush(s->u, sub->chan);
    return defer_recv(s->c, sub, sqe);
}

/* ---- chains ---- */

static bool linked(const struct io_uring_sqe *sqe)
{
    return sqe->flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK);
}

static bool breaks(const struct io_uring_sqe *sqe, int64_t res)
{
    return res < 0 && !(sqe->flags & IOSQE_IO_HARDLINK);
}

/* Does an operation now or defers it. Return: its result, or 0 when that is not known yet. */
static int64_t do_op(const struct submission *s, const struct op *op, bool later)
{
    bool sends = op->sqe.opcode == URING_IPC_OP_SEND;
    struct io_uring_sqe sqe = op->sqe;
    int64_t res;

    if (later) {
        res = sends ? send_later(s, &sqe) : recv_later(s, &sqe);
        if (res == 0) {
            (void)replace(s, op, &sqe);
            return 0;
        }
    } else {
        res = sends ? do_send(s, &sqe) : do_recv(s, &sqe);
    }
    complete(s, op, res);
    return res;
}

/* The operations from @op to @end, each linked to the next. */
static void submit_chain(struct submission *s, struct op *op, const struct op *end)
{
    bool nothing = false, follows = false;

    for (const struct op *i = op; i < end; i++)
        nothing |= i->ipc && refused(s->r, &i->sqe);
    for (; op < end; op++) {
        s->drained |= op->sqe.flags & IOSQE_IO_DRAIN;
        if (op->done && op->sqe.opcode == IORING_OP_NOP)
            nothing |= breaks(&op->sqe, (int32_t)op->sqe.len);
        else if (!op->ipc)
            follows = true;
        else if (refused(s->r, &op->sqe))
            refuse(s, op, refused(s->r, &op->sqe));
        else if (nothing)
            complete(s, op, 0); /* the kernel cancels it */
        else
            nothing |= breaks(&op->sqe, do_op(s, op, follows || s->drained));
    }
}

/* Reads the next SQEs. Return: how many. */
static uint32_t load_batch(const struct submission *s, uint32_t n)
{
    struct ring *r = s->r;
    uint32_t head, tail, i;

    if (ring_word(s, r->off.head, &head) < 0 || ring_word(s, r->off.tail, &tail) < 0)
        return 0;
    n = MIN(n, tail - head);
    n = MIN(n, r->sq_entries);
    for (i = 0; i < n; i++) {
        struct op *op = &r->batch[i];
        uint32_t at = (head + i) & (r->sq_entries - 1);

        op->index = at;
        op->position = head + i;
        if (!(r->flags & RING_SETUP_NO_SQARRAY) &&
            ring_word(s, r->off.array + at * (uint32_t)sizeof(uint32_t), &op->index) < 0)
            break;
        if (op->index >= r->sq_entries || sqe_load(s, op->index, &op->sqe) < 0)
            break;
        op->done = put_back(s, op);
        op->ipc = !op->done && is_ipc(&op->sqe);
    }
    return i;
}

void ring_submit(struct uring_emulator *u, struct ring *r, const struct call *c, uint32_t n)
{
    struct submission s = {.u = u, .r = r, .c = c};
    uint32_t first = 0;

    pthread_mutex_lock(&r->lock);
    if (!r->batch)
        r->batch = calloc(r->sq_entries, sizeof(*r->batch));
    n = r->batch ? load_batch(&s, n) : 0;
    for (uint32_t i = 0; i < n; i++)
        if (i + 1 == n || !linked(&r->batch[i].sqe)) {
            submit_chain(&s, &r->batch[first], &r->batch[i + 1]);
            first = i + 1;
        }
    pthread_mutex_unlock(&r->lock);
}
