/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds out how full queues are where sock_diag(7) does not tell: by BPF if it can be used.
 * Otherwise a pipe is queried through a duplicate of an existing descriptor, for the time of two
 * calls, because opening it would add a reader or a writer.
 */
#include <fcntl.h>
#include <sys/ioctl.h>

#include "cleanup.h"
#include "fdq_peek.h"
#include "realuser.h"

static void ask_pipe(struct fdq_queue *q, const struct fdq_holders *h)
{
    for (size_t i = 0; i < h->n && q->bytes == FDQ_UNKNOWN; i++) {
        _cleanup_(closep) int fd = proc_fd_take(h->v[i].pid, h->v[i].fd, NULL);
        int bytes, size;

        if (fd < 0 || ioctl(fd, FIONREAD, &bytes) < 0 || (size = fcntl(fd, F_GETPIPE_SZ)) < 0)
            continue;
        q->bytes = (uint64_t)bytes;
        q->bytes_complete = true;
        q->depth = bytes ? FDQ_UNKNOWN : 0;
        q->capacity = (uint64_t)size;
    }
}

static void ask_pipes(struct fdq_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct fdq_queue *q = &s->v[i];

        if (fdq_is_socket(q->kind) || q->bytes != FDQ_UNKNOWN)
            continue;
        ask_pipe(q, &q->readers);
        ask_pipe(q, &q->writers);
    }
}

/* Queues whose numbers are known exactly are skipped. */
static bool is_open_question(const struct fdq_queue *q)
{
    return !q->bytes_complete || q->depth == FDQ_UNKNOWN;
}

static void ask_bpf(struct fdq_set *s)
{
    const struct fdq_peek_opts opts = {.backend = "bpf", .heads = true};
    _cleanup_(fdq_peeker_freep) struct fdq_peeker *p = NULL;

    if (!s->n || fdq_backend_probe("bpf", NULL) < 0 || fdq_peeker_new(&opts, &p, NULL) < 0)
        return;
    for (size_t i = 0; i < s->n; i++) {
        struct fdq_queue *q = &s->v[i];
        struct fdq_peek_info info;

        if (!is_open_question(q) || fdq_peek(p, q, &info, NULL) < 0)
            continue;
        q->bytes = info.bytes;
        q->bytes_complete = info.consistent;
        q->depth = info.depth;
        q->capacity = info.capacity;
    }
}

int fdq_set_fill(struct fdq_set *s)
{
    struct realuser saved;
    int r;

    ask_bpf(s);
    r = realuser_enter(&saved);
    if (r < 0)
        return r;
    ask_pipes(s);
    realuser_leave(&saved);
    return 0;
}
