/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chooses a backend: the first in order that works here, remembering why those before it did not;
 * or the one that was named, and then no other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "msgq_backend.h"

struct msgq_peeker {
    const struct msgq_ops *ops;
    void *state;
    struct buf reason;
    struct msgq_snapshot *snapshot; /* the one that is out */
};

struct msgq_snapshot {
    struct msgq_peeker *peeker;
    struct msgq_snapshot_info info;
};

const char *msgq_consistency_name(enum msgq_consistency c)
{
    static const char *const names[] = {
        [MSGQ_TORN] = "torn",
        [MSGQ_VERIFIED] = "verified",
        [MSGQ_ATOMIC] = "atomic",
        [MSGQ_EXCLUSIVE] = "exclusive",
    };

    return (size_t)c < ARRAY_SIZE(names) ? names[c] : "unknown";
}

static int try_backend(struct msgq_peeker *p, const struct msgq_ops *ops,
                       const struct msgq_peek_opts *opts, struct err *e)
{
    int r = ops->probe(opts, e);

    if (r == 0)
        r = ops->open(opts, &p->state, e);
    if (r == 0)
        p->ops = ops;
    return r;
}

static int choose_named(struct msgq_peeker *p, const struct msgq_ops *const *backends,
                        const struct msgq_peek_opts *opts, struct err *e)
{
    _cleanup_(buf_done) struct buf names = BUF_INIT;

    for (const struct msgq_ops *const *o = backends; *o; o++) {
        if (!strcmp((*o)->name, opts->backend))
            return try_backend(p, *o, opts, e);
        buf_printf(&names, "%s%s", names.len ? ", " : "", (*o)->name);
    }
    return err_set(e, -EINVAL, NULL, "there is no backend of that name, only %s", buf_str(&names));
}

/* The failure that a user can most likely do something about: a missing permission. */
static bool more_telling(int r, int than)
{
    return than == 0 || ((r == -EPERM || r == -EACCES) && than != -EPERM && than != -EACCES);
}

static int choose_first(struct msgq_peeker *p, const struct msgq_ops *const *backends,
                        const struct msgq_peek_opts *opts, struct err *e)
{
    struct err why = ERR_INIT, last = ERR_INIT;
    int best = 0;

    for (const struct msgq_ops *const *o = backends; *o; o++) {
        int r;

        if ((*o)->explicit_only)
            continue;
        why = (struct err)ERR_INIT;
        r = try_backend(p, *o, opts, &why);
        if (r == 0)
            return buf_error(&p->reason);
        buf_printf(&p->reason, "%s%s: %s", p->reason.len ? "; " : "", (*o)->name,
                   err_text(&why, r));
        /* The first of equals is the one that most kernels have. */
        if (more_telling(r, best)) {
            best = r;
            last = why;
        }
    }
    if (best == 0)
        return err_set(e, -EOPNOTSUPP, NULL, "this build has no backend that can peek");
    return err_set(e, best, last.remedy, "%s (and no other way works here: ipcbox doctor)",
                   err_text(&last, best));
}

int msgq_peeker_new(const struct msgq_ops *const *backends, const struct msgq_peek_opts *opts,
                    struct msgq_peeker **ret, struct err *e)
{
    _cleanup_(msgq_peeker_freep) struct msgq_peeker *p = calloc(1, sizeof(*p));
    int r;

    if (!p)
        return -ENOMEM;
    r = opts->backend ? choose_named(p, backends, opts, e) : choose_first(p, backends, opts, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(p);
    return 0;
}

void msgq_peeker_free(struct msgq_peeker *p)
{
    if (!p)
        return;
    if (p->ops)
        p->ops->close(p->state);
    buf_done(&p->reason);
    free(p);
}

void msgq_peeker_freep(struct msgq_peeker **p)
{
    msgq_peeker_free(*p);
}

const char *msgq_peeker_backend(const struct msgq_peeker *p)
{
    return p->ops->name;
}

const char *msgq_peeker_reason(const struct msgq_peeker *p)
{
    return buf_str(&p->reason);
}

int msgq_peek(struct msgq_peeker *p, const void *queue, struct msgq_snapshot **ret, struct err *e)
{
    _cleanup_(msgq_snapshot_freep) struct msgq_snapshot *s = NULL;
    int r;

    if (p->snapshot)
        return err_set(e, -EBUSY, NULL, "the last snapshot is still in use");
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->info.backend = p->ops->name;
    r = p->ops->snapshot(p->state, queue, &s->info, e);
    if (r < 0)
        return r;
    s->peeker = p;
    p->snapshot = s;
    *ret = TAKE_PTR(s);
    return 0;
}

const struct msgq_snapshot_info *msgq_snapshot_info(const struct msgq_snapshot *s)
{
    return &s->info;
}

int msgq_snapshot_visit(struct msgq_snapshot *s, msgq_visit_fn visit, void *ctx, struct err *e)
{
    return s->peeker->ops->visit(s->peeker->state, visit, ctx, e);
}

void msgq_snapshot_free(struct msgq_snapshot *s)
{
    if (!s)
        return;
    if (s->peeker) {
        s->peeker->snapshot = NULL;
        if (s->peeker->ops->release)
            s->peeker->ops->release(s->peeker->state);
    }
    free(s);
}

void msgq_snapshot_freep(struct msgq_snapshot **s)
{
    msgq_snapshot_free(*s);
}
