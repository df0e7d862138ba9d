/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pipe is asked through a duplicate of somebody's descriptor, for the moment of two calls: an
 * open of its own would add a reader or a writer.
 */
#include "fdq_fill.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "cleanup.h"
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

int fdq_fill(struct fdq_set *s)
{
    struct realuser saved;
    int r = realuser_enter(&saved);

    if (r < 0)
        return r;
    for (size_t i = 0; i < s->n; i++) {
        struct fdq_queue *q = &s->v[i];

        if (fdq_is_socket(q->kind))
            continue;
        ask_pipe(q, &q->readers);
        ask_pipe(q, &q->writers);
    }
    realuser_leave(&saved);
    return 0;
}
