/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Peeking with msgrcv(MSG_COPY), which takes no privilege: one message a call, by its index. The
 * kernel walks the queue from its beginning for each, so the time grows with the square of their
 * number.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>

#include "indexed.h"
#include "macros.h"
#include "realuser.h"
#include "sysv_backends.h"

static int copy_probe(const struct msgq_peek_opts *opts _unused_, struct err *e)
{
    struct msginfo info;
    struct msgbuf buf;

    /* No queue has this id: what is asked is whether the flag is known. */
    if (msgctl(0, IPC_INFO, (struct msqid_ds *)(void *)&info) < 0 && errno == ENOSYS)
        return sysv_explain(-ENOSYS, e);
    if (msgrcv(INT_MAX, &buf, 0, 0, MSG_COPY | IPC_NOWAIT) < 0 && errno == ENOSYS)
        return err_set(e, -EOPNOTSUPP, "a kernel built with CONFIG_CHECKPOINT_RESTORE",
                       "this kernel's msgrcv has no MSG_COPY");
    return 0;
}

static int begin(struct msgq_indexed *x, const void *queue)
{
    const struct sysv_queue *q = queue;
    struct sysv_limits limits;
    struct sysv_attr attr;
    int r = sysv_stat(q->id, &attr, NULL);

    if (r < 0)
        return r;
    sysv_limits_read(&limits);
    x->handle = q->id;
    /* The kernel copies as many bytes into the buffer's place as the buffer has: no more than that.
     */
    x->msgsize = sizeof(long) + MIN(MAX(limits.msgmax, attr.bytes), (uint64_t)INT_MAX);
    x->maxmsg = UINT32_MAX;
    return 0;
}

static int look(const void *queue, struct msgq_moment *m)
{
    const struct sysv_queue *q = queue;
    struct sysv_attr a;
    int r = sysv_stat(q->id, &a, NULL);

    if (r == 0)
        *m = (struct msgq_moment){
            .messages = a.depth,
            .bytes = a.bytes,
            .changed = {a.stime, a.rtime, a.ctime, (uint64_t)a.lspid << 32 | (uint32_t)a.lrpid},
        };
    return r;
}

static int copy_fetch(struct msgq_indexed *x, uint64_t index, struct msgq_collection *c,
                      struct err *e)
{
    struct msgbuf *buf = (struct msgbuf *)(void *)x->scratch;
    size_t room = x->scratch_size - offsetof(struct msgbuf, mtext);
    ssize_t n = msgrcv(x->handle, buf, room, (long)index, MSG_COPY | IPC_NOWAIT);
    struct sysv_attr attr;
    int r;

    if (n < 0 && errno == ENOMSG)
        return 0;
    if (n < 0 && errno == EINVAL && sysv_stat(x->handle, &attr, e) == 0)
        return err_set(e, -EMSGSIZE, "raise /proc/sys/kernel/msgmax, or use --backend bpf",
                       "message %llu is longer than msgmax, which was lowered",
                       (unsigned long long)index);
    if (n < 0 && errno == E2BIG)
        return -EAGAIN; /* a longer one has come since the room was made */
    if (n < 0)
        return sysv_explain(-errno, e);
    r = msgq_collection_add(c, buf->mtype);
    if (r < 0)
        return r;
    buf_add(&c->data, buf->mtext, (size_t)n);
    msgq_collection_end(c);
    return 1;
}

static int copy_open(const struct msgq_peek_opts *opts, void **state, struct err *e _unused_)
{
    static const struct msgq_indexed_kind kind = {.begin = begin, .look = look};
    struct msgq_indexed *x;
    int r = msgq_indexed_open(&kind, opts, copy_fetch, &x);

    if (r == 0)
        *state = x;
    return r;
}

/* CAP_IPC_OWNER, which the program may have been given, opens every queue: not here. */
static int copy_snapshot(void *state, const void *queue, struct msgq_snapshot_info *info,
                         struct err *e)
{
    const struct sysv_queue *q = queue;
    struct realuser rights;
    struct sysv_attr attr;
    int r = realuser_enter(&rights);

    if (r < 0)
        return r;
    r = sysv_stat(q->id, &attr, e);
    if (r == 0)
        r = msgq_indexed_snapshot(state, queue, info, e);
    realuser_leave(&rights);
    return r;
}

static int copy_visit(void *state, msgq_visit_fn visit, void *ctx, struct err *e)
{
    struct realuser rights;
    int r = realuser_enter(&rights);

    if (r == 0)
        r = msgq_indexed_visit(state, visit, ctx, e);
    realuser_leave(&rights);
    return r;
}

const struct msgq_ops sysv_copy_ops = {
    .name = "copy",
    .caps = MSGQ_CAP_WINDOWS,
    .needs = "a kernel with CONFIG_CHECKPOINT_RESTORE",
    .probe = copy_probe,
    .open = copy_open,
    .snapshot = copy_snapshot,
    .visit = copy_visit,
    .release = msgq_indexed_release,
    .close = msgq_indexed_close,
};
