/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading a queue by index, in several calls, between which it can change. */
#include "indexed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "pmq_attr.h"
#include "timefmt.h"

enum {
    ROUNDS = 32, /* of reading twice, before the snapshot is said to be torn */
    DEFAULT_MAX = 64 * 1024 * 1024,
};

/* ---- collections ---- */

int pmq_collection_add(struct pmq_collection *c, uint32_t priority)
{
    if (priority >= PMQ_PRIO_MAX)
        return -EPROTO;
    if (c->n == c->cap) {
        size_t cap = MAX((size_t)64, c->cap * 2);
        void *v = reallocarray(c->v, cap, sizeof(*c->v));

        if (!v)
            return -ENOMEM;
        c->v = v;
        c->cap = cap;
    }
    c->v[c->n++] = (struct pmq_collected){.offset = c->data.len, .priority = priority};
    return 0;
}

void pmq_collection_end(struct pmq_collection *c)
{
    struct pmq_collected *m = &c->v[c->n - 1];

    m->length = (uint32_t)(c->data.len - m->offset);
}

void pmq_collection_drop(struct pmq_collection *c)
{
    c->n--;
    c->data.len = c->v[c->n].offset;
}

static void collection_clear(struct pmq_collection *c)
{
    buf_clear(&c->data);
    c->n = 0;
}

static void collection_done(struct pmq_collection *c)
{
    buf_done(&c->data);
    free(c->v);
    *c = (struct pmq_collection){.n = 0};
}

static uint64_t collection_size(const struct pmq_collection *c)
{
    return c->data.len + c->n * sizeof(*c->v);
}

/* Whether all of @part is what @c holds from @index on. */
static bool collection_has(const struct pmq_collection *c, size_t index,
                           const struct pmq_collection *part)
{
    if (index + part->n > c->n)
        return false;
    for (size_t i = 0; i < part->n; i++) {
        const struct pmq_collected *a = &c->v[index + i], *b = &part->v[i];

        if (a->length != b->length || a->priority != b->priority)
            return false;
        if (a->length && memcmp(c->data.data + a->offset, part->data.data + b->offset, a->length))
            return false;
    }
    return true;
}

/* ---- taking a snapshot ---- */

/* What tells that a queue was left alone, as far as one can see without touching it. */
struct moment {
    uint64_t curmsgs;
    uint64_t changed;
};

static int look(const struct pmq_queue *q, struct moment *m)
{
    struct pmq_attr a;
    int r = pmq_queue_attr_basic(q, &a);

    if (r < 0)
        return r;
    *m = (struct moment){.curmsgs = a.curmsgs, .changed = a.changed};
    return 0;
}

static int fetch(struct pmq_indexed *x, uint64_t index, struct pmq_collection *c, struct err *e)
{
    int r;

    /* No queue has more: a kernel that goes on would never end. */
    if (index >= x->maxmsg)
        return 0;
    r = x->fetch(x, index, c, e);
    return r >= 0 && buf_error(&c->data) ? -ENOMEM : r;
}

/* Return: 0 with the whole queue in @x->all, 1 when it is too large, -errno. */
static int collect(struct pmq_indexed *x, struct err *e)
{
    int r;

    collection_clear(&x->all);
    do {
        r = fetch(x, x->all.n, &x->all, e);
        if (r > 0 && collection_size(&x->all) > x->max)
            return 1;
    } while (r > 0);
    return r;
}

/* Return: 1 when a second reading finds the same, 0 when not, -errno. */
static int verify(struct pmq_indexed *x, struct err *e)
{
    size_t index = 0;
    int r;

    for (;;) {
        collection_clear(&x->some);
        r = fetch(x, index, &x->some, e);
        if (r == -EAGAIN)
            return 0;
        if (r < 0)
            return r;
        if (r == 0)
            return index == x->all.n;
        if (!collection_has(&x->all, index, &x->some))
            return 0;
        index += x->some.n;
    }
}

static int begin(struct pmq_indexed *x, const struct pmq_queue *q)
{
    struct pmq_attr a;
    int r = pmq_queue_attr_basic(q, &a);

    if (r < 0)
        return r;
    if (a.msgsize > PMQ_HARD_MSGSIZEMAX)
        return -EPROTO;
    x->fd = pmq_queue_fd(q);
    x->msgsize = (size_t)a.msgsize;
    x->maxmsg = a.maxmsg;
    x->windows = false;
    if (x->scratch_size < x->msgsize) {
        char *scratch = malloc(x->msgsize);

        if (!scratch)
            return -ENOMEM;
        free(x->scratch);
        x->scratch = scratch;
        x->scratch_size = x->msgsize;
    }
    return 0;
}

int pmq_indexed_snapshot(void *state, const struct pmq_queue *q, struct pmq_snapshot_info *info,
                         struct err *e)
{
    struct moment before, after;
    struct pmq_indexed *x = state;
    bool have = false;
    int r = begin(x, q);

    if (r < 0)
        return r;
    info->consistency = PMQ_TORN;
    for (int round = 0; round < ROUNDS && info->consistency == PMQ_TORN; round++) {
        r = look(q, &before);
        if (r < 0)
            return r;
        info->tries++;
        info->taken = timefmt_now(CLOCK_REALTIME);
        r = collect(x, e);
        x->windows = r == 1;
        if (x->windows)
            break;
        have = r == 0;
        if (r == -EAGAIN)
            continue;
        if (r < 0)
            return r;
        info->tries++;
        r = verify(x, e);
        if (r == 1)
            r = look(q, &after)
                    ?: before.curmsgs == x->all.n && !memcmp(&before, &after, sizeof(after));
        if (r < 0)
            return r;
        if (r == 1)
            info->consistency = PMQ_VERIFIED;
    }
    collection_done(&x->some);
    info->messages = x->windows ? PMQ_UNKNOWN : x->all.n;
    info->bytes = x->windows ? PMQ_UNKNOWN : x->all.data.len;
    if (x->windows)
        collection_done(&x->all);
    else if (!have)
        return err_set(e, -EAGAIN, "try again when the queue is less busy",
                       "the queue changed during each of %u tries", info->tries);
    return 0;
}

/* ---- walking it ---- */

static int visit_collection(const struct pmq_indexed *x, const struct pmq_collection *c,
                            uint64_t first, pmq_visit_fn visit, void *ctx)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct pmq_message m = {
            .index = first + i,
            .priority = c->v[i].priority,
            .length = c->v[i].length,
            .data = x->heads ? NULL : buf_str(&c->data) + c->v[i].offset,
        };
        int r = visit(&m, ctx);

        if (r)
            return r;
    }
    return 0;
}

int pmq_indexed_visit(void *state, pmq_visit_fn visit, void *ctx, struct err *e)
{
    struct pmq_indexed *x = state;
    uint64_t index = 0;
    int r = 0;

    if (!x->windows)
        return visit_collection(x, &x->all, 0, visit, ctx);
    do {
        collection_clear(&x->some);
        do
            r = fetch(x, index + x->some.n, &x->some, e);
        while (r > 0 && collection_size(&x->some) < x->max);
        if (r >= 0) {
            int v = visit_collection(x, &x->some, index, visit, ctx);

            if (v)
                return v;
        }
        index += x->some.n;
    } while (r > 0);
    if (r == -EAGAIN)
        return err_set(e, r, "try again when the queue is less busy",
                       "the queue kept changing at message %" PRIu64, index);
    return r;
}

void pmq_indexed_release(void *state)
{
    struct pmq_indexed *x = state;

    collection_done(&x->all);
    collection_done(&x->some);
}

int pmq_indexed_open(const struct pmq_peek_opts *opts, pmq_fetch_fn fetch_fn,
                     struct pmq_indexed **ret)
{
    struct pmq_indexed *x = calloc(1, sizeof(*x));

    if (!x)
        return -ENOMEM;
    x->fetch = fetch_fn;
    x->heads = opts->heads;
    x->max = opts->max_snapshot ?: DEFAULT_MAX;
    *ret = x;
    return 0;
}

void pmq_indexed_close(void *state)
{
    struct pmq_indexed *x = state;

    pmq_indexed_release(x);
    free(x->scratch);
    free(x);
}

int pmq_sample(const struct pmq_peek_opts *opts, int *own, struct err *e)
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
