/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Peeking with fcntl(F_MQ_PEEK): one message a call, by its index. */
#include <errno.h>
#include <unistd.h>

#include "cleanup.h"
#include "indexed.h"
#include "peekcalls.h"
#include "pmq_backends.h"

static int fcntl_probe(const struct msgq_peek_opts *opts, struct err *e)
{
    /* Past the end of any queue: where the command exists the answer is always the same. */
    struct xlat_mq_peek_attr attr = {.offset = INT32_MAX};
    _cleanup_(closep) int own = -1;
    int fd = pmq_sample(opts, &own, e);
    int n;

    if (fd < 0)
        return fd;
    n = pmq_peek_calls.fcntl(fd, XLAT_F_MQ_PEEK, &attr);
    if (n < 0 && errno == ENOMSG)
        return 0;
    if (n < 0 && errno == EINVAL)
        return err_set(e, -EOPNOTSUPP, "a kernel with the F_MQ_PEEK patch",
                       "this kernel's fcntl has no F_MQ_PEEK");
    return err_set(e, -EOPNOTSUPP, NULL, "fcntl command %d is something else here", XLAT_F_MQ_PEEK);
}

static int fcntl_fetch(struct msgq_indexed *x, uint64_t index, struct msgq_collection *c,
                       struct err *e)
{
    struct xlat_mq_peek_attr attr = {
        .offset = (int32_t)index, /* below maxmsg, which is at most 65536 */
        .buf_len = x->msgsize,    /* anything shorter would cut without a word */
        .buf = x->scratch,
    };
    int n, r;

    n = pmq_peek_calls.fcntl(x->handle, XLAT_F_MQ_PEEK, &attr);
    if (n < 0)
        return errno == ENOMSG ? 0 : -errno;
    r = (size_t)n > x->msgsize ? -EPROTO : pmq_collection_add(c, attr.msg_prio);
    if (r == -EPROTO)
        return err_set(e, r, NULL, "fcntl(F_MQ_PEEK) returned an impossible message");
    if (r < 0)
        return r;
    buf_add(&c->data, x->scratch, (size_t)n);
    msgq_collection_end(c);
    return 1;
}

static int fcntl_open(const struct msgq_peek_opts *opts, void **state, struct err *e)
{
    struct msgq_indexed *x;
    int r = pmq_indexed_open(opts, fcntl_fetch, &x);

    (void)e;
    if (r == 0)
        *state = x;
    return r;
}

const struct msgq_ops pmq_fcntl_ops = {
    .name = "fcntl",
    .caps = MSGQ_CAP_WINDOWS,
    .needs = "a kernel with F_MQ_PEEK",
    .probe = fcntl_probe,
    .open = fcntl_open,
    .snapshot = msgq_indexed_snapshot,
    .visit = msgq_indexed_visit,
    .release = msgq_indexed_release,
    .close = msgq_indexed_close,
};
