/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads by recvmsg(2) with MSG_PEEK, on a duplicate of the descriptor. Refused where this would
 * have an effect: if SO_PEEK_OFF is set, its offset would move; a pending error would be consumed;
 * and the kernel would wake a sender that is blocked on a datagram socket. No control buffer is
 * passed, so the descriptors in a message are not installed.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "backend.h"
#include "cleanup.h"

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif

struct recv_state {
    struct buf records;
    bool heads;
};

static int recv_probe(struct err *e)
{
    (void)e;
    return 0;
}

static int recv_open(const struct fdq_peek_opts *opts, void **state)
{
    struct recv_state *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->heads = opts->heads;
    *state = s;
    return 0;
}

static void recv_close(void *state)
{
    struct recv_state *s = state;

    buf_done(&s->records);
    free(s);
}

static bool recv_serves(const struct fdq_queue *q)
{
    return fdq_is_socket(q->kind) && !q->listening;
}

static int refuse(struct err *e, const char *why)
{
    return err_set(e, -EOPNOTSUPP, "run as root, with BPF",
                   "looking with MSG_PEEK would disturb it: %s", why);
}

static int check_harmless(int fd, const struct fdq_queue *q, struct err *e)
{
    struct pollfd p = {.fd = fd};
    int offset = -1;
    socklen_t len = sizeof(offset);

    if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, &len) < 0)
        return refuse(e, "its SO_PEEK_OFF is not known");
    if (offset != -1)
        return refuse(e, "its owner uses SO_PEEK_OFF");
    if (poll(&p, 1, 0) > 0 && p.revents & POLLERR)
        return refuse(e, "an error waits in it");
    if (q->kind != FDQ_STREAM && fdq_blocked(q, true))
        return refuse(e, "a sender is blocked on it, and would wake up");
    return 0;
}

/* Tells whether the other end is closed: then recvmsg() returns 0 as for an empty message. */
static bool ended(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};

    return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP);
}

/*
 * Reads once into the buffer, as a single record. Another message may be the first one by now, and
 * may be longer than @room. Return: bytes, or -errno; -ENODATA at the end.
 */
static ssize_t peek_bytes(struct recv_state *s, int fd, size_t room, bool stream)
{
    _cleanup_(freep) char *data = NULL;
    size_t size = room;
    ssize_t n;

    do {
        struct iovec iov = {.iov_len = size};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
        char *larger = realloc(data, size ? size : 1);

        if (!larger)
            return -ENOMEM;
        iov.iov_base = data = larger;
        n = recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT | (stream ? 0 : MSG_TRUNC));
        if (n < 0)
            return -errno;
    } while ((size_t)n > size && (size = (size_t)n));
    if (n == 0 && ended(fd))
        return -ENODATA;
    fdq_add_record(&s->records, data, s->heads ? 0 : (size_t)n, 0);
    if (s->heads)
        ((struct fdpeek_record *)(void *)s->records.data)->length = (uint64_t)n;
    return n;
}

static void tell_rest(struct fdq_peek_info *info, const struct fdq_queue *q, ssize_t n, int waiting)
{
    info->complete = q->kind == FDQ_STREAM && n >= waiting;
    if (info->complete)
        return;
    snprintf(info->note, sizeof(info->note), "%s; BPF shows all",
             q->kind == FDQ_STREAM ? "it goes on behind out-of-band data or passed descriptors"
                                   : "MSG_PEEK shows the first message only");
}

static int recv_look(void *state, const struct fdq_queue *q, struct fdq_catch *found,
                     struct fdq_peek_info *info, struct err *e)
{
    _cleanup_(closep) int fd = fdq_open_holder(q, &q->readers, true, e);
    struct recv_state *s = state;
    int waiting = 0, r;
    ssize_t n;

    if (fd < 0)
        return fd;
    r = check_harmless(fd, q, e);
    if (r < 0)
        return r;
    if (ioctl(fd, SIOCINQ, &waiting) < 0)
        return err_set(e, -errno, NULL, "cannot ask how much waits: %s", err_text(NULL, -errno));
    buf_clear(&s->records);
    *found = (struct fdq_catch){0};
    info->consistent = true;
    /* For an empty stream, the call would report its end or consume its error. */
    if (waiting == 0 && q->kind == FDQ_STREAM) {
        info->complete = true;
        info->depth = 0;
        return 0;
    }
    n = peek_bytes(s, fd, (size_t)waiting, q->kind == FDQ_STREAM);
    if (n == -EAGAIN) {
        info->complete = true;
        info->depth = 0;
        return 0;
    }
    if (n == -ENODATA) {
        snprintf(info->note, sizeof(info->note),
                 "empty messages may wait: the other end is gone, and looks the same");
        return 0;
    }
    if (n < 0)
        return err_set(e, (int)n, NULL, "cannot peek: %s", err_text(NULL, (int)n));
    if (buf_error(&s->records))
        return -ENOMEM;
    *found = (struct fdq_catch){s->records.data, s->records.len, 1};
    tell_rest(info, q, n, waiting);
    return 0;
}

const struct fdq_ops fdq_recv_ops = {
    .name = "recv",
    .probe = recv_probe,
    .open = recv_open,
    .serves = recv_serves,
    .look = recv_look,
    .close = recv_close,
};
