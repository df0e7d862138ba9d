/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Peeking with ioctl(MQ_IOC_BULK_PEEK): many messages a call, a long one in chunks over several.
 * What the kernel writes is checked like any other input.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "indexed.h"
#include "peekcalls.h"
#include "pmq_backends.h"

enum {
    BUFFER = 64 * 1024, /* the most that a known version fills at once */
    HEADER = sizeof(struct xlat_mq_peek_msg_hdr),
};

static int impossible(struct err *e, const char *what)
{
    return err_set(e, -EPROTO, NULL, "ioctl(MQ_IOC_BULK_PEEK) returned %s", what);
}

static int ioctl_probe(const struct msgq_peek_opts *opts, struct err *e)
{
    uint64_t buffer[64];
    struct xlat_mq_bulk_peek_args args = {
        .start_idx = UINT32_MAX, /* past the end of any queue: succeeds with nothing */
        .max_count = 1,
        .buf_ptr = (uintptr_t)buffer,
        .buf_size = sizeof(buffer),
        .out_count = UINT32_MAX,
    };
    _cleanup_(closep) int own = -1;
    int fd = pmq_sample(opts, &own, e);

    if (fd < 0)
        return fd;
    if (pmq_peek_calls.ioctl(fd, XLAT_MQ_IOC_BULK_PEEK, &args) == 0 && args.out_count == 0)
        return 0;
    if (errno == ENOTTY)
        return err_set(e, -EOPNOTSUPP, "a kernel with the MQ_IOC_BULK_PEEK patch",
                       "this kernel's queues have no MQ_IOC_BULK_PEEK");
    if (errno == EPERM)
        return err_set(e, -EPERM, "run as root",
                       "MQ_IOC_BULK_PEEK needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN");
    return err_set(e, -EOPNOTSUPP, NULL, "ioctl %#x is something else here",
                   (unsigned int)XLAT_MQ_IOC_BULK_PEEK);
}

/**
 * struct walk - where a fetch is
 * @index, @offset: of the next byte to ask for
 * @length, @priority: of the message that has come in part; meaningful while @offset is not 0
 */
struct walk {
    uint32_t index;
    uint32_t offset;
    uint32_t length;
    uint32_t priority;
};

/* One entry of @n bytes at most. Return: bytes it took, -EAGAIN when the message changed, -errno.
 */
static ssize_t take_entry(struct msgq_indexed *x, struct walk *w, struct msgq_collection *c,
                          const char *at, size_t n, struct err *e)
{
    struct xlat_mq_peek_msg_hdr h;
    int r;

    if (n < HEADER)
        return impossible(e, "more entries than fit");
    memcpy(&h, at, HEADER);
    if (h.chunk_len > n - HEADER)
        return impossible(e, "an entry that is longer than the buffer");
    if (w->offset == 0) {
        if (h.total_msg_len > x->msgsize)
            return impossible(e, "a message that is longer than the queue's limit");
        r = pmq_collection_add(c, h.msg_prio);
        if (r < 0)
            return r == -EPROTO ? impossible(e, "an impossible priority") : r;
        w->length = h.total_msg_len;
        w->priority = h.msg_prio;
    } else if (h.total_msg_len != w->length || h.msg_prio != w->priority) {
        return -EAGAIN;
    }
    if (h.chunk_len > w->length - w->offset ||
        (h.chunk_len == w->length - w->offset) != !(h.flags & XLAT_MQ_PEEK_FLAG_HAS_MORE))
        return impossible(e, "a chunk that does not fit its message");
    buf_add(&c->data, at + HEADER, h.chunk_len);
    if (h.flags & XLAT_MQ_PEEK_FLAG_HAS_MORE) {
        w->offset += h.chunk_len;
        if (!w->offset) /* there was room for its header only: it comes again */
            msgq_collection_drop(c);
    } else {
        w->offset = 0;
        w->index++;
        msgq_collection_end(c);
    }
    n = HEADER + h.chunk_len + (-(size_t)h.chunk_len & (XLAT_MQ_BULK_PEEK_ENTRY_SIZE - 1));
    return (ssize_t)n;
}

/* One call. Return: 1 when something came, 0 at the end, -EAGAIN, -errno. */
static int take_bulk(struct msgq_indexed *x, struct walk *w, struct msgq_collection *c,
                     struct err *e)
{
    struct xlat_mq_bulk_peek_args args = {
        .start_idx = w->index,
        .start_offset = w->offset,
        .max_count = (uint32_t)MIN(x->want, (uint64_t)PMQ_HARD_MSGMAX),
        .buf_ptr = (uintptr_t)x->scratch,
        .buf_size = x->scratch_size,
    };
    const struct walk start = *w;
    size_t at = 0;

    if (pmq_peek_calls.ioctl(x->handle, XLAT_MQ_IOC_BULK_PEEK, &args) < 0)
        return -errno;
    if (args.out_count > args.max_count)
        return impossible(e, "more entries than were asked for");
    for (uint32_t i = 0; i < args.out_count; i++) {
        ssize_t n;

        if (i > 0 && w->offset)
            return impossible(e, "an entry behind an unfinished one");
        /* The last entry's padding need not lie in the buffer. */
        n = take_entry(x, w, c, x->scratch + MIN(at, x->scratch_size),
                       x->scratch_size - MIN(at, x->scratch_size), e);
        if (n < 0)
            return (int)n;
        at += (size_t)n;
    }
    if (args.out_count == 0)
        return 0;
    if (args.next_idx != w->index || args.next_offset != w->offset)
        return impossible(e, "a position that does not follow from its entries");
    if (w->index == start.index && w->offset == start.offset)
        return impossible(e, "no progress");
    return 1;
}

static int ioctl_fetch(struct msgq_indexed *x, uint64_t index, struct msgq_collection *c,
                       struct err *e)
{
    struct walk w = {.index = (uint32_t)index};
    int r;

    do
        r = take_bulk(x, &w, c, e);
    while (r == 1 && w.offset);
    if (r == 1 || (r == 0 && w.offset == 0))
        return r;
    /* Half a message whose rest is gone or has become another's. */
    if (w.offset)
        msgq_collection_drop(c);
    if (r == 0 || r == -EAGAIN)
        return w.index > index ? 1 : -EAGAIN;
    return r;
}

static int ioctl_open(const struct msgq_peek_opts *opts, void **state, struct err *e)
{
    struct msgq_indexed *x;
    int r = pmq_indexed_open(opts, ioctl_fetch, &x);

    (void)e;
    if (r < 0)
        return r;
    x->scratch = malloc(BUFFER);
    x->scratch_size = BUFFER;
    if (!x->scratch) {
        msgq_indexed_close(x);
        return -ENOMEM;
    }
    *state = x;
    return 0;
}

const struct msgq_ops pmq_ioctl_ops = {
    .name = "ioctl",
    .caps = MSGQ_CAP_WINDOWS,
    .needs = "a kernel with MQ_IOC_BULK_PEEK, and CAP_CHECKPOINT_RESTORE",
    .probe = ioctl_probe,
    .open = ioctl_open,
    .snapshot = msgq_indexed_snapshot,
    .visit = msgq_indexed_visit,
    .release = msgq_indexed_release,
    .close = msgq_indexed_close,
};
