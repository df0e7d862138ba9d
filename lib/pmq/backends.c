// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The backends for POSIX queues in order of preference. BPF comes first: it reads a whole queue in
 * one go, where the proposed system calls copy message by message and walk the queue for each
 * again.
 */
#include "pmq_backends.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "indexed.h"
#include "pmq_attr.h"
#include "timefmt.h"

const struct msgq_ops *const pmq_backends[] = {
    &pmq_bpf_ops, &pmq_syscall_ops, &pmq_fcntl_ops, &pmq_ioctl_ops, &pmq_drain_ops, NULL,
};

int pmq_peeker_new(const struct msgq_peek_opts *opts, struct msgq_peeker **ret, struct err *e)
{
    long number;
    /* A wrong number is an error of the caller, and no reason to take another backend. */
    int r = pmq_syscall_number(opts, &number, e);

    return r < 0 ? r : msgq_peeker_new(pmq_backends, opts, ret, e);
}

int pmq_sample(const struct msgq_peek_opts *opts, int *own, struct err *e)
{
    struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 1};
    char name[64];
    uint64_t nonce = 0;
    mqd_t fd;

    *own = -1;
    if (opts->sample)
        return pmq_queue_fd(opts->sample);
    if (getrandom(&nonce, sizeof(nonce), GRND_NONBLOCK) < 0)
        nonce = timefmt_now(CLOCK_MONOTONIC);
    snprintf(name, sizeof(name), "/ipcbox-%d-%016" PRIx64, (int)getpid(), nonce);
    fd = mq_open(name, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr);
    if (fd < 0 && errno == ENOSYS)
        return pmq_no_queues(e);
    if (fd < 0)
        return err_set(e, -errno, NULL, "no queue to try it on: %s", err_text(NULL, -errno));
    mq_unlink(name);
    *own = (int)fd;
    return fd;
}

/* ---- reading by index ---- */

static int look(const void *queue, struct msgq_moment *m)
{
    struct pmq_attr a;
    int r = pmq_queue_attr_basic(queue, &a);

    if (r == 0)
        *m = (struct msgq_moment){
            .messages = a.curmsgs, .bytes = MSGQ_UNKNOWN, .changed = {a.changed}};
    return r;
}

static int begin(struct msgq_indexed *x, const void *queue)
{
    struct pmq_attr a;
    int r = pmq_queue_attr_basic(queue, &a);

    if (r < 0)
        return r;
    if (a.msgsize > PMQ_HARD_MSGSIZEMAX)
        return -EPROTO;
    x->handle = pmq_queue_fd(queue);
    x->msgsize = (size_t)a.msgsize;
    x->maxmsg = a.maxmsg;
    return 0;
}

int pmq_indexed_open(const struct msgq_peek_opts *opts, msgq_fetch_fn fetch,
                     struct msgq_indexed **ret)
{
    static const struct msgq_indexed_kind kind = {.begin = begin, .look = look};

    return msgq_indexed_open(&kind, opts, fetch, ret);
}

int pmq_collection_add(struct msgq_collection *c, uint32_t priority)
{
    return priority < PMQ_PRIO_MAX ? msgq_collection_add(c, priority) : -EPROTO;
}
