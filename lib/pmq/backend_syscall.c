/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Peeking with mq_timedreceive2(2): one message a call, by its index. */
#include <errno.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "indexed.h"
#include "parse.h"
#include "peekcalls.h"
#include "pmq_backends.h"

int pmq_syscall_number(const struct msgq_peek_opts *opts, long *out, struct err *e)
{
    const char *env = getenv("IPCBOX_MQ_SYSCALL");
    uint64_t v = XLAT_NR_MQ_TIMEDRECEIVE2;

    if (opts->mq_syscall > 0)
        v = (uint64_t)opts->mq_syscall;
    else if (env && *env && parse_u64_max(env, INT32_MAX, &v) < 0)
        return err_set(e, -EINVAL, NULL, "IPCBOX_MQ_SYSCALL is no system call number");
    /* Such as read(), which answers a bad descriptor with EBADF, too. */
    if (v <= XLAT_NR_TAKEN)
        return err_set(e, -EINVAL, NULL,
                       "system call %" PRIu64 " is not mq_timedreceive2 on any kernel", v);
    *out = (long)v;
    return 0;
}

static int syscall_probe(const struct msgq_peek_opts *opts, struct err *e)
{
    unsigned int priority;
    char byte;
    struct xlat_mq_timedreceive2_args args = {1, &priority, &byte};
    long number = 0, n;
    int r = pmq_syscall_number(opts, &number, e);

    if (r < 0)
        return r;
    n = pmq_peek_calls.timedreceive2(number, -1, &args, XLAT_MQ_PEEK, 0, NULL);
    if (n < 0 && errno == EBADF)
        return 0;
    if (n < 0 && errno == ENOSYS)
        return err_set(e, -EOPNOTSUPP, "a kernel with the MQ_PEEK patches, or --mq-syscall N",
                       "this kernel has no mq_timedreceive2 (system call %ld)", number);
    /* Some other call answers to the number. It is not ours to use. */
    return err_set(e, -EOPNOTSUPP, "give the right number with --mq-syscall",
                   "system call %ld is something else here", number);
}

/* Empty, as the kernel tells it: then EAGAIN means that and nothing else. */
static bool is_empty(int fd)
{
    struct mq_attr a;

    return mq_getattr(fd, &a) == 0 && a.mq_curmsgs == 0;
}

static int syscall_fetch(struct msgq_indexed *x, uint64_t index, struct msgq_collection *c,
                         struct err *e)
{
    unsigned int priority = 0;
    struct xlat_mq_timedreceive2_args args = {x->msgsize, &priority, x->scratch};

    for (int i = 0; i < MSGQ_FETCH_TRIES; i++) {
        long n = pmq_peek_calls.timedreceive2(x->number, x->handle, &args, XLAT_MQ_PEEK, index,
                                              NULL);
        int r;

        if (n < 0 && errno == ENOENT)
            return 0;
        if (n < 0 && errno == EAGAIN) {
            if (is_empty(x->handle))
                return 0;
            continue;
        }
        if (n < 0)
            return -errno;
        r = (size_t)n > x->msgsize ? -EPROTO : pmq_collection_add(c, priority);
        if (r == -EPROTO)
            return err_set(e, r, NULL, "mq_timedreceive2 returned an impossible message");
        if (r < 0)
            return r;
        buf_add(&c->data, x->scratch, (size_t)n);
        msgq_collection_end(c);
        return 1;
    }
    return -EAGAIN;
}

static int syscall_open(const struct msgq_peek_opts *opts, void **state, struct err *e)
{
    struct msgq_indexed *x;
    long number = 0;
    int r = pmq_syscall_number(opts, &number, e);

    if (r == 0)
        r = pmq_indexed_open(opts, syscall_fetch, &x);
    if (r < 0)
        return r;
    x->number = number;
    *state = x;
    return 0;
}

const struct msgq_ops pmq_syscall_ops = {
    .name = "syscall",
    .caps = MSGQ_CAP_WINDOWS,
    .needs = "a kernel with mq_timedreceive2 and MQ_PEEK",
    .probe = syscall_probe,
    .open = syscall_open,
    .snapshot = msgq_indexed_snapshot,
    .visit = msgq_indexed_visit,
    .release = msgq_indexed_release,
    .close = msgq_indexed_close,
};

static long real_timedreceive2(long number, int fd, struct xlat_mq_timedreceive2_args *args,
                               unsigned int flags, unsigned long index,
                               const struct timespec *timeout)
{
    return syscall(number, fd, args, flags, index, timeout);
}

static int real_fcntl(int fd, int command, struct xlat_mq_peek_attr *attr)
{
    return (int)syscall(SYS_fcntl, fd, command, attr);
}

static int real_ioctl(int fd, unsigned long request, struct xlat_mq_bulk_peek_args *args)
{
    return ioctl(fd, request, args);
}

struct pmq_peek_calls pmq_peek_calls = {real_timedreceive2, real_fcntl, real_ioctl};
