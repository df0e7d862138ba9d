/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which backend: the first in order that works here, remembering why those before it did not; or
 * the one that was named, and then no other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "pmq_backend.h"

const struct pmq_ops *const pmq_backends[] = {
    &pmq_syscall_ops, &pmq_fcntl_ops, &pmq_ioctl_ops, &pmq_bpf_ops, &pmq_drain_ops, NULL,
};

struct pmq_peeker {
    const struct pmq_ops *ops;
    void *state;
    struct buf reason;
    struct pmq_snapshot *snapshot; /* the one that is out */
};

struct pmq_snapshot {
    struct pmq_peeker *peeker;
    struct pmq_snapshot_info info;
};

const char *pmq_consistency_name(enum pmq_consistency c)
{
    static const char *const names[] = {
        [PMQ_TORN] = "torn",
        [PMQ_VERIFIED] = "verified",
        [PMQ_ATOMIC] = "atomic",
        [PMQ_EXCLUSIVE] = "exclusive",
    };

    return (size_t)c < ARRAY_SIZE(names) ? names[c] : "unknown";
}

static int try_backend(struct pmq_peeker *p, const struct pmq_ops *ops,
                       const struct pmq_peek_opts *opts, struct err *e)
{
    int r = ops->probe(opts, e);

    if (r == 0)
        r = ops->open(opts, &p->state, e);
    if (r == 0)
        p->ops = ops;
    return r;
}

static int choose_named(struct pmq_peeker *p, const struct pmq_peek_opts *opts, struct err *e)
{
    _cleanup_(buf_done) struct buf names = BUF_INIT;

    for (const struct pmq_ops *const *o = pmq_backends; *o; o++) {
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

static int choose_first(struct pmq_peeker *p, const struct pmq_peek_opts *opts, struct err *e)
{
    struct err why = ERR_INIT, last = ERR_INIT;
    int best = 0;

    for (const struct pmq_ops *const *o = pmq_backends; *o; o++) {
        int r;

        if ((*o)->explicit_only)
            continue;
        why = (struct err)ERR_INIT;
        r = try_backend(p, *o, opts, &why);
        if (r == 0)
            return buf_error(&p->reason);
        buf_printf(&p->reason, "%s%s: %s", p->reason.len ? "; " : "", (*o)->name,
                   err_text(&why, r));
        /* The last of equals: the later a backend, the more kernels have it. */
        if (more_telling(r, best) || !more_telling(best, r)) {
            best = r;
            last = why;
        }
    }
    if (best == 0)
        return err_set(e, -EOPNOTSUPP, NULL, "this build has no backend that can peek");
    return err_set(e, best, last.remedy, "no way to peek works here (%s)", buf_str(&p->reason));
}

int pmq_peeker_new(const struct pmq_peek_opts *opts, struct pmq_peeker **ret, struct err *e)
{
    _cleanup_(pmq_peeker_freep) struct pmq_peeker *p = calloc(1, sizeof(*p));
    long number;
    int r;

    if (!p)
        return -ENOMEM;
    /* What cannot be meant is an error, and no reason to take another backend. */
    r = pmq_syscall_number(opts, &number, e);
    if (r < 0)
        return r;
    r = opts->backend ? choose_named(p, opts, e) : choose_first(p, opts, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(p);
    return 0;
}

void pmq_peeker_free(struct pmq_peeker *p)
{
    if (!p)
        return;
    if (p->ops)
        p->ops->close(p->state);
    buf_done(&p->reason);
    free(p);
}

void pmq_peeker_freep(struct pmq_peeker **p)
{
    pmq_peeker_free(*p);
}

const char *pmq_peeker_backend(const struct pmq_peeker *p)
{
    return p->ops->name;
}

const char *pmq_peeker_reason(const struct pmq_peeker *p)
{
    return buf_str(&p->reason);
}

int pmq_peek(struct pmq_peeker *p, const struct pmq_queue *q, struct pmq_snapshot **ret,
             struct err *e)
{
    _cleanup_(pmq_snapshot_freep) struct pmq_snapshot *s = NULL;
    int r;

    if (p->snapshot)
        return err_set(e, -EBUSY, NULL, "the last snapshot is still in use");
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->info.backend = p->ops->name;
    r = p->ops->snapshot(p->state, q, &s->info, e);
    if (r < 0)
        return r;
    s->peeker = p;
    p->snapshot = s;
    *ret = TAKE_PTR(s);
    return 0;
}

const struct pmq_snapshot_info *pmq_snapshot_info(const struct pmq_snapshot *s)
{
    return &s->info;
}

int pmq_snapshot_visit(struct pmq_snapshot *s, pmq_visit_fn visit, void *ctx, struct err *e)
{
    return s->peeker->ops->visit(s->peeker->state, visit, ctx, e);
}

void pmq_snapshot_free(struct pmq_snapshot *s)
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

void pmq_snapshot_freep(struct pmq_snapshot **s)
{
    pmq_snapshot_free(*s);
}
