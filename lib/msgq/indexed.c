/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading a queue by index, in several calls, between which it can change. */
#include "indexed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "macros.h"
#include "timefmt.h"

enum {
    ROUNDS = 32, /* of reading twice, before the snapshot is said to be torn */
    DEFAULT_MAX = 64 * 1024 * 1024,
};

/* ---- collections ---- */

int msgq_collection_add(struct msgq_collection *c, int64_t type)
{
    if (c->n == c->cap) {
        size_t cap = MAX((size_t)64, c->cap * 2);
        void *v = reallocarray(c->v, cap, sizeof(*c->v));

        if (!v)
            return -ENOMEM;
        c->v = v;
        c->cap = cap;
    }
    c->v[c->n++] = (struct msgq_collected){.offset = c->data.len, .type = type};
    return 0;
}

void msgq_collection_end(struct msgq_collection *c)
{
    struct msgq_collected *m = &c->v[c->n - 1];

    m->length = c->data.len - m->offset;
}

void msgq_collection_drop(struct msgq_collection *c)
{
    c->n--;
    c->data.len = c->v[c->n].offset;
}

static void collection_clear(struct msgq_collection *c)
{
    buf_clear(&c->data);
    c->n = 0;
}

static void collection_done(struct msgq_collection *c)
{
    buf_done(&c->data);
    free(c->v);
    *c = (struct msgq_collection){.n = 0};
}

static uint64_t collection_size(const struct msgq_collection *c)
{
    return c->data.len + c->n * sizeof(*c->v);
}

/* Whether all of @part is what @c holds from @index on. */
static bool collection_has(const struct msgq_collection *c, size_t index,
                           const struct msgq_collection *part)
{
    if (index + part->n > c->n)
        return false;
    for (size_t i = 0; i < part->n; i++) {
        const struct msgq_collected *a = &c->v[index + i], *b = &part->v[i];

        if (a->length != b->length || a->type != b->type)
            return false;
        if (a->length && memcmp(c->data.data + a->offset, part->data.data + b->offset, a->length))
            return false;
    }
    return true;
}

/* ---- taking a snapshot ---- */

/* How many messages are wanted, at most. */
static uint64_t wanted(const struct msgq_indexed *x)
{
    return x->opts->count ? x->opts->count : UINT64_MAX;
}

/* Reads what follows the @have messages that were read already. */
static int fetch(struct msgq_indexed *x, uint64_t have, struct msgq_collection *c, struct err *e)
{
    int r;

    /* No queue has more messages than that: a kernel that goes on would never end. */
    if (x->opts->first >= x->maxmsg || have >= x->maxmsg - x->opts->first || have >= wanted(x))
        return 0;
    x->want = wanted(x) - have;
    r = x->fetch(x, x->opts->first + have, c, e);
    return r >= 0 && buf_error(&c->data) ? -ENOMEM : r;
}

/* Return: 0 with all that is wanted in @x->all, 1 when it is too large, -errno. */
static int collect(struct msgq_indexed *x, struct err *e)
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
static int verify(struct msgq_indexed *x, struct err *e)
{
    size_t have = 0;
    int r;

    for (;;) {
        collection_clear(&x->some);
        r = fetch(x, have, &x->some, e);
        if (r == -EAGAIN)
            return 0;
        if (r < 0)
            return r;
        if (r == 0)
            return have == x->all.n;
        if (!collection_has(&x->all, have, &x->some))
            return 0;
        have += x->some.n;
    }
}

/* Whether what was read is as many messages as a queue of @total gives. */
static bool right_number(const struct msgq_indexed *x, uint64_t total)
{
    uint64_t behind = total > x->opts->first ? total - x->opts->first : 0;

    return x->all.n == MIN(behind, wanted(x));
}

static int begin(struct msgq_indexed *x, const void *queue)
{
    int r = x->kind->begin(x, queue);

    if (r < 0)
        return r;
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

/* Reads twice. Return: 1 when both agree, 0 when not, -EAGAIN when even one failed, -errno. */
static int try_once(struct msgq_indexed *x, const void *queue, struct msgq_moment *before,
                    struct msgq_snapshot_info *info, struct err *e)
{
    struct msgq_moment after;
    int r = x->kind->look(queue, before);

    if (r < 0)
        return r;
    info->tries++;
    info->taken = timefmt_now(CLOCK_REALTIME);
    r = collect(x, e);
    x->windows = r == 1;
    if (r)
        return r < 0 ? r : 0;
    info->tries++;
    r = verify(x, e);
    if (r <= 0)
        return r;
    r = x->kind->look(queue, &after);
    if (r < 0)
        return r;
    return right_number(x, before->messages) && !memcmp(before, &after, sizeof(after));
}

static void describe(const struct msgq_indexed *x, const struct msgq_moment *m,
                     struct msgq_snapshot_info *info)
{
    bool whole = !x->opts->first && !x->opts->count;

    info->messages = x->windows ? MSGQ_UNKNOWN : whole ? x->all.n : m->messages;
    info->bytes = x->windows ? MSGQ_UNKNOWN : whole ? x->all.data.len : m->bytes;
}

int msgq_indexed_snapshot(void *state, const void *queue, struct msgq_snapshot_info *info,
                          struct err *e)
{
    struct msgq_moment before = {0};
    struct msgq_indexed *x = state;
    bool have = false;
    int r = begin(x, queue);

    if (r < 0)
        return r;
    info->consistency = MSGQ_TORN;
    for (int round = 0; round < ROUNDS; round++) {
        r = try_once(x, queue, &before, info, e);
        if (r < 0 && r != -EAGAIN)
            return r;
        have = r != -EAGAIN;
        if (r == 1)
            info->consistency = MSGQ_VERIFIED;
        if (r == 1 || x->windows)
            break;
    }
    collection_done(&x->some);
    describe(x, &before, info);
    if (x->windows)
        collection_done(&x->all);
    else if (!have)
        return err_set(e, -EAGAIN, "try again when the queue is less busy",
                       "the queue changed during each of %u tries", info->tries);
    return 0;
}

/* ---- walking it ---- */

static int visit_collection(const struct msgq_indexed *x, const struct msgq_collection *c,
                            uint64_t first, msgq_visit_fn visit, void *ctx)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct msgq_message m = {
            .index = first + i,
            .priority = (uint32_t)c->v[i].type,
            .type = c->v[i].type,
            .length = c->v[i].length,
            .data = x->opts->heads ? NULL : buf_str(&c->data) + c->v[i].offset,
        };
        int r = visit(&m, ctx);

        if (r)
            return r;
    }
    return 0;
}

/* Reads one window behind @have messages into @x->some. Return: 1 when there is more, 0, -errno. */
static int read_window(struct msgq_indexed *x, uint64_t have, struct err *e)
{
    int r;

    collection_clear(&x->some);
    do
        r = fetch(x, have + x->some.n, &x->some, e);
    while (r > 0 && collection_size(&x->some) < x->max);
    return r;
}

int msgq_indexed_visit(void *state, msgq_visit_fn visit, void *ctx, struct err *e)
{
    struct msgq_indexed *x = state;
    uint64_t have = 0;
    int r, v = 0;

    if (!x->windows)
        return visit_collection(x, &x->all, x->opts->first, visit, ctx);
    do {
        r = read_window(x, have, e);
        if (r >= 0)
            v = visit_collection(x, &x->some, x->opts->first + have, visit, ctx);
        if (v)
            return v;
        have += x->some.n;
    } while (r > 0);
    if (r == -EAGAIN)
        return err_set(e, r, "try again when the queue is less busy",
                       "the queue kept changing at message %" PRIu64, x->opts->first + have);
    return r;
}

void msgq_indexed_release(void *state)
{
    struct msgq_indexed *x = state;

    collection_done(&x->all);
    collection_done(&x->some);
}

int msgq_indexed_open(const struct msgq_indexed_kind *kind, const struct msgq_peek_opts *opts,
                      msgq_fetch_fn fetch_fn, struct msgq_indexed **ret)
{
    struct msgq_indexed *x = calloc(1, sizeof(*x));

    if (!x)
        return -ENOMEM;
    x->kind = kind;
    x->fetch = fetch_fn;
    x->opts = opts;
    x->max = opts->max_snapshot ?: DEFAULT_MAX;
    *ret = x;
    return 0;
}

void msgq_indexed_close(void *state)
{
    struct msgq_indexed *x = state;

    msgq_indexed_release(x);
    free(x->scratch);
    free(x);
}
