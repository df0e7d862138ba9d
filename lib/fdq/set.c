/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A set of queues: finding one, naming it, releasing the set. */
#include <stdio.h>
#include <stdlib.h>

#include "fdq.h"
#include "macros.h"

const char *fdq_kind_name(enum fdq_kind kind)
{
    static const char *const names[] = {
        [FDQ_STREAM] = "stream", [FDQ_DGRAM] = "dgram", [FDQ_SEQPACKET] = "seqpacket",
        [FDQ_PIPE] = "pipe",     [FDQ_FIFO] = "fifo",
    };

    return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "unknown";
}

static void queue_done(struct fdq_queue *q)
{
    free(q->path);
    free(q->readers.v);
    free(q->writers.v);
    free(q->threads);
}

void fdq_set_keep(struct fdq_set *s, bool (*wanted)(const struct fdq_queue *q, const void *ctx),
                  const void *ctx)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->n; i++) {
        if (wanted(&s->v[i], ctx))
            s->v[kept++] = s->v[i];
        else
            queue_done(&s->v[i]);
    }
    s->n = kept;
}

void fdq_set_free(struct fdq_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        queue_done(&s->v[i]);
    free(s->v);
    free(s);
}

void fdq_set_freep(struct fdq_set **s)
{
    fdq_set_free(*s);
}

struct fdq_queue *fdq_set_find(const struct fdq_set *s, uint64_t dev, uint64_t inode)
{
    size_t from = 0, to = s->n;

    while (from < to) {
        size_t at = from + (to - from) / 2;
        struct fdq_queue *q = &s->v[at];

        if (q->dev == dev && q->inode == inode)
            return q;
        if (q->dev < dev || (q->dev == dev && q->inode < inode))
            from = at + 1;
        else
            to = at;
    }
    return NULL;
}

uint64_t fdq_blocked(const struct fdq_queue *q, bool sends)
{
    uint64_t n = 0;

    for (size_t i = 0; i < q->n_threads; i++)
        n += q->threads[i].sends == sends;
    return n;
}

void fdq_target_of(const struct fdq_queue *q, char out[FDQ_TARGET_SIZE])
{
    const struct fdq_holders *h = q->readers.n ? &q->readers : &q->writers;
    bool socket = fdq_is_socket(q->kind);

    /*
     * A socket that no visible process has open cannot be named by a descriptor of the other end.
     */
    if (h->n && (!socket || q->readers.n))
        snprintf(out, FDQ_TARGET_SIZE, "%d:%d", (int)h->v[0].pid, h->v[0].fd);
    else
        snprintf(out, FDQ_TARGET_SIZE, "%s:[%llu]", socket ? "socket" : "pipe",
                 (unsigned long long)q->inode);
}
