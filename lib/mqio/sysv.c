/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A System V queue in use. It may be removed between any two calls, and its id is then as invalid
 * as a message that is too long: EINVAL means three things, which are told apart here.
 */
#include "sysv.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>

#include "cleanup.h"
#include "ipcns.h"
#include "mqio_ops.h"

struct sysv_io {
    struct mqio io;
    int id;
    bool seen;          /* it was there: an invalid id means that it was removed */
    size_t room;        /* bytes of a message that fit */
    struct msgbuf *buf; /* the type and the message, as the system calls want them */
};

static void sysv_close(struct mqio *io)
{
    struct sysv_io *s = container_of(io, struct sysv_io, io);

    free(s->buf);
    free(s);
}

static int sysv_fd(const struct mqio *io _unused_)
{
    return -1;
}

static uint64_t sysv_max_length(const struct mqio *io _unused_)
{
    struct sysv_limits limits;

    sysv_limits_read(&limits);
    return MIN(limits.msgmax, (uint64_t)INT_MAX);
}

static int reserve(struct sysv_io *s, size_t room)
{
    struct msgbuf *p;

    if (s->buf && room <= s->room)
        return 0;
    p = realloc(s->buf, offsetof(struct msgbuf, mtext) + room + 1);
    if (!p)
        return -ENOMEM;
    s->buf = p;
    s->room = room;
    return 0;
}

static int explain(const struct sysv_io *s, int r, struct err *e)
{
    return sysv_explain(r == -EINVAL && s->seen ? -EIDRM : r, e);
}

/* Why a message cannot be sent, now or ever. @r: of msgsnd(), -EAGAIN too. */
static int explain_send(const struct sysv_io *s, int r, size_t length, struct err *e)
{
    struct sysv_limits limits;
    struct sysv_attr attr;

    if (r == -EINVAL) {
        sysv_limits_read(&limits);
        if (length > limits.msgmax)
            return err_set(e, -EMSGSIZE, "raise /proc/sys/kernel/msgmax",
                           "the message has %zu bytes, msgmax allows %" PRIu64, length,
                           limits.msgmax);
    }
    if (r != -EAGAIN)
        return explain(s, r, e);
    /* Who may write it, but not read it, cannot ask. */
    if (sysv_stat(s->id, &attr, NULL) == 0 && MAX(length, 1U) > attr.limit)
        return err_set(e, -EMSGSIZE, "mqctl set --limit raises it",
                       "the message has %zu bytes and never fits: the queue's limit is %" PRIu64,
                       length, attr.limit);
    return err_set(e, -EAGAIN, NULL, "the queue is full");
}

static int sysv_send(struct mqio *io, const struct mqio_message *m, bool wait, struct err *e)
{
    struct sysv_io *s = container_of(io, struct sysv_io, io);
    int r = reserve(s, m->length);

    if (r < 0)
        return r;
    s->buf->mtype = (long)m->mtype;
    if (m->length)
        memcpy(s->buf->mtext, m->data, m->length);
    if (msgsnd(s->id, s->buf, m->length, IPC_NOWAIT) == 0)
        return 0;
    r = explain_send(s, -errno, m->length, e);
    if (r != -EAGAIN || !wait)
        return r;
    if (msgsnd(s->id, s->buf, m->length, 0) == 0)
        return 0;
    return errno == EINTR ? -EINTR : explain_send(s, -errno, m->length, e);
}

/* A message that is longer than the room stays in the queue: the room grows until it fits. */
static int sysv_recv(struct mqio *io, const struct mqio_want *want, struct mqio_message *m,
                     bool wait, struct err *e)
{
    struct sysv_io *s = container_of(io, struct sysv_io, io);
    int flags = (wait ? 0 : IPC_NOWAIT) | (want->except ? MSG_EXCEPT : 0);
    ssize_t n;
    int r = 0;

    do {
        n = msgrcv(s->id, s->buf, s->room, (long)want->type, flags);
        if (n < 0 && errno == E2BIG)
            r = reserve(s, 2 * s->room);
    } while (n < 0 && errno == E2BIG && r == 0);
    if (r < 0)
        return r;
    if (n < 0 && errno == ENOMSG)
        return err_set(e, -EAGAIN, NULL, want->type ? "no such message" : "the queue is empty");
    if (n < 0)
        return errno == EINTR ? -EINTR : explain(s, -errno, e);
    *m = (struct mqio_message){
        .data = s->buf->mtext,
        .length = (size_t)n,
        .mtype = s->buf->mtype,
    };
    return 0;
}

static int sysv_state(struct mqio *io, struct mqio_state *out, struct err *e)
{
    struct sysv_io *s = container_of(io, struct sysv_io, io);
    struct sysv_attr a;
    int r = sysv_stat(s->id, &a, e);

    if (r < 0)
        return r == -ENOENT ? explain(s, -EIDRM, e) : r;
    *out = (struct mqio_state){
        .depth = a.depth,
        .max_depth = a.limit, /* each message counts as a byte at least */
        .bytes = a.bytes,
        .limit = a.limit,
    };
    return 0;
}

static const struct mqio_ops sysv_ops = {
    .close = sysv_close,
    .fd = sysv_fd,
    .max_length = sysv_max_length,
    .send = sysv_send,
    .recv = sysv_recv,
    .state = sysv_state,
};

/* A queue that may only be written tells nothing before the first message is sent. */
static int check(struct sysv_io *s, enum mqio_use use, struct err *e)
{
    struct sysv_attr attr;
    int r = sysv_stat(s->id, &attr, e);

    s->seen = r == 0;
    return use == MQIO_SEND && r == -EACCES ? 0 : r;
}

/* A queue of another IPC namespace is used from within it. */
static int go_there(pid_t pid, struct err *e)
{
    _cleanup_(closep) int ns = -1;
    int r = ipcns_open(pid, &ns, e);

    if (r == 0)
        r = ipcns_enter(ns);
    return r == -EPERM ? ipcns_denied(pid, e) : r;
}

int mqio_open_sysv(const struct sysv_ref *ref, enum mqio_use use, struct mqio **ret, struct err *e)
{
    struct sysv_io *s;
    int id = ref->pid ? go_there(ref->pid, e) : 0;
    int r;

    id = id < 0 ? id : sysv_find(ref, e);
    if (id < 0)
        return id;
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->io.ops = &sysv_ops;
    s->id = id;
    r = check(s, use, e);
    if (r == 0)
        r = reserve(s, 8192);
    if (r < 0)
        sysv_close(&s->io);
    else
        *ret = &s->io;
    return r;
}
