/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Peeking by receiving everything and sending it again: what is left where nothing else works, and
 * only when it is asked for by name. A journal keeps the messages meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "drain.h"
#include "pmq_backends.h"
#include "realuser.h"
#include "timefmt.h"

enum { DEFAULT_MAX = 64 * 1024 * 1024 };

struct drain {
    const struct msgq_peek_opts *opts;
    uint64_t max;
    struct journal journal; /* of the last snapshot: its file is gone, its content is not */
};

static int drain_probe(const struct msgq_peek_opts *opts, struct err *e)
{
    (void)opts;
    (void)e;
    return 0;
}

static int drain_open(const struct msgq_peek_opts *opts, void **state, struct err *e)
{
    struct drain *d = calloc(1, sizeof(*d));

    (void)e;
    if (!d)
        return -ENOMEM;
    d->opts = opts;
    d->max = opts->max_snapshot ?: DEFAULT_MAX;
    d->journal.fd = -1;
    *state = d;
    return 0;
}

static void drain_release(void *state)
{
    struct drain *d = state;

    journal_close(&d->journal);
}

/* Everything between the first message taken and the last put back. */
static int there_and_back(struct journal *j, const struct pmq_queue *q, struct err *e)
{
    struct journal_head *h = journal_head(j);
    struct pmq_attr between;
    int fd = pmq_queue_fd(q);
    int r = drain_receive(j, fd);

    if (r == 0)
        r = pmq_queue_attr(q, &between);
    if (r < 0)
        return err_set(e, r, "run: mqpeek recover", "%s; what was taken is in %s",
                       err_text(NULL, r), j->path);
    h->base_depth = between.curmsgs;
    h->base_bytes = between.bytes;
    __atomic_store_n(&h->phase, JOURNAL_SENDING, __ATOMIC_SEQ_CST);
    return drain_send(j, fd, e);
}

/* With the real user's rights and every signal held back. */
static int drain_queue(struct drain *d, const struct pmq_queue *q, struct msgq_snapshot_info *info,
                       struct err *e)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *own = NULL;
    struct pmq_attr before, after;
    bool alone;
    int r = pmq_queue_reopen(q, PMQ_OPEN_WRITE, &own, e);

    if (r == 0)
        r = pmq_queue_attr(own, &before);
    if (r < 0)
        return r;
    r = drain_allowed(&before, e);
    alone = r == 0;
    if (!alone && !d->opts->force)
        return r;
    if (before.bytes + before.curmsgs * JOURNAL_RECORD > d->max)
        return err_set(e, -EFBIG, "raise --max-snapshot", "it holds %" PRIu64 " bytes",
                       before.bytes);
    r = journal_create(own, &before, &d->journal, e);
    if (r < 0)
        return r;
    info->taken = timefmt_now(CLOCK_REALTIME);
    r = there_and_back(&d->journal, own, e);
    if (r == 0)
        r = pmq_queue_attr(own, &after);
    if (r < 0)
        return r;
    info->tries = 1;
    info->messages = d->journal.n;
    info->bytes = d->journal.bytes;
    info->consistency = MSGQ_TORN;
    if (alone && before.curmsgs == d->journal.n && before.bytes == d->journal.bytes &&
        after.curmsgs == before.curmsgs && after.bytes == before.bytes &&
        drain_allowed(&after, NULL) == 0)
        info->consistency = MSGQ_EXCLUSIVE;
    return 0;
}

static int drain_snapshot(void *state, const void *queue, struct msgq_snapshot_info *info,
                          struct err *e)
{
    struct drain *d = state;
    struct realuser rights;
    sigset_t all, old;
    int r = realuser_enter(&rights);

    if (r < 0)
        return r;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    drain_release(d);
    r = drain_queue(d, queue, info, e);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    realuser_leave(&rights);
    return r;
}

static int drain_visit(void *state, msgq_visit_fn visit, void *ctx, struct err *e)
{
    const struct drain *d = state;
    uint64_t first = d->opts->first, count = d->opts->count ? d->opts->count : UINT64_MAX;
    size_t at = JOURNAL_HEAD;

    (void)e;
    for (uint64_t i = 0; i < d->journal.n && (i < first || i - first < count); i++) {
        const struct journal_record *rec = journal_at(&d->journal, at);
        const struct msgq_message m = {
            .index = i,
            .priority = rec->priority,
            .type = rec->priority,
            .length = rec->commit - 1,
            .data = d->opts->heads ? NULL : rec + 1,
        };
        int r = i < first ? 0 : visit(&m, ctx);

        if (r)
            return r;
        at += journal_space(m.length);
    }
    return 0;
}

static void drain_close(void *state)
{
    drain_release(state);
    free(state);
}

const struct msgq_ops pmq_drain_ops = {
    .name = "drain",
    .explicit_only = true,
    .needs = "write permission, and a queue that nobody else has open (or --force)",
    .probe = drain_probe,
    .open = drain_open,
    .snapshot = drain_snapshot,
    .visit = drain_visit,
    .release = drain_release,
    .close = drain_close,
};
