/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A POSIX queue in use: its descriptor says it all. */
#include <errno.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdlib.h>

#include "macros.h"
#include "mqio_ops.h"

struct posix_io {
    struct mqio io;
    struct pmq_queue *queue;
    uint64_t msgsize;
    char *buf; /* room for one message */
};

static void posix_close(struct mqio *io)
{
    struct posix_io *p = container_of(io, struct posix_io, io);

    pmq_queue_close(p->queue);
    free(p->buf);
    free(p);
}

static int posix_fd(const struct mqio *io)
{
    return pmq_queue_fd(((const struct posix_io *)io)->queue);
}

static uint64_t posix_max_length(const struct mqio *io)
{
    return ((const struct posix_io *)io)->msgsize;
}

/* A deadline that has passed: take or leave. */
static const struct timespec at_once;

static int posix_send(struct mqio *io, const struct mqio_message *m, bool wait, struct err *e)
{
    struct posix_io *p = container_of(io, struct posix_io, io);
    int fd = pmq_queue_fd(p->queue);
    int r = wait ? mq_send(fd, m->data, m->length, m->priority)
                 : mq_timedsend(fd, m->data, m->length, m->priority, &at_once);

    if (r == 0)
        return 0;
    if (errno == ETIMEDOUT || errno == EAGAIN)
        return err_set(e, -EAGAIN, NULL, "the queue is full");
    if (errno == EMSGSIZE)
        return err_set(e, -EMSGSIZE, NULL,
                       "the message has %zu bytes, the queue takes at most %" PRIu64, m->length,
                       p->msgsize);
    return -errno;
}

static int posix_recv(struct mqio *io, const struct mqio_want *want _unused_,
                      struct mqio_message *m, bool wait, struct err *e)
{
    struct posix_io *p = container_of(io, struct posix_io, io);
    int fd = pmq_queue_fd(p->queue);
    unsigned int priority;
    ssize_t n = wait ? mq_receive(fd, p->buf, p->msgsize, &priority)
                     : mq_timedreceive(fd, p->buf, p->msgsize, &priority, &at_once);

    if (n < 0 && (errno == ETIMEDOUT || errno == EAGAIN))
        return err_set(e, -EAGAIN, NULL, "the queue is empty");
    if (n < 0)
        return -errno;
    *m = (struct mqio_message){.data = p->buf, .length = (size_t)n, .priority = priority};
    return 0;
}

static int posix_state(struct mqio *io, struct mqio_state *out, struct err *e _unused_)
{
    struct posix_io *p = container_of(io, struct posix_io, io);
    struct mq_attr attr;

    if (mq_getattr(pmq_queue_fd(p->queue), &attr) < 0)
        return -errno;
    *out = (struct mqio_state){
        .depth = (uint64_t)attr.mq_curmsgs,
        .max_depth = (uint64_t)attr.mq_maxmsg,
        .bytes = UINT64_MAX,
        .limit = UINT64_MAX,
    };
    return 0;
}

static const struct mqio_ops posix_ops = {
    .close = posix_close,
    .fd = posix_fd,
    .max_length = posix_max_length,
    .send = posix_send,
    .recv = posix_recv,
    .state = posix_state,
};

int mqio_open_posix(const struct pmq_ref *ref, enum mqio_use use, struct mqio **ret, struct err *e)
{
    unsigned int flags = PMQ_OPEN_BLOCK | (use == MQIO_SEND ? PMQ_OPEN_SEND : 0U);
    struct posix_io *p = calloc(1, sizeof(*p));
    struct mq_attr attr;
    int r;

    if (!p)
        return -ENOMEM;
    p->io.ops = &posix_ops;
    r = pmq_queue_open(ref, flags, &p->queue, e);
    if (r < 0) {
        free(p);
        return r;
    }
    if (mq_getattr(pmq_queue_fd(p->queue), &attr) < 0)
        r = -errno;
    p->msgsize = r == 0 ? (uint64_t)attr.mq_msgsize : 0;
    if (r == 0 && use == MQIO_RECV) {
        p->buf = malloc(p->msgsize);
        r = p->buf ? 0 : -ENOMEM;
    }
    if (r < 0) {
        posix_close(&p->io);
        return r;
    }
    *ret = &p->io;
    return 0;
}
