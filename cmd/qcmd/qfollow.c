/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Followers of both kinds of queue, the second of which writes into the ring of the first. */
#include "qfollow.h"

#include <errno.h>

#include "cleanup.h"
#include "qcmd.h"

unsigned int qfollow_kinds(const struct cli_ctx *ctx)
{
    unsigned int kinds = 0;

    for (size_t i = 0; i < ctx->n_operands; i++)
        kinds |= sysv_ref_is(ctx->operands[i]) ? QFOLLOW_SYSV : QFOLLOW_POSIX;
    return kinds;
}

int qfollow_new(unsigned int kinds, const struct msgq_follow_opts *opts, struct qfollow *f,
                struct err *e)
{
    struct msgq_follow_opts more = *opts;
    int r = kinds & QFOLLOW_POSIX ? pmq_follow_new(opts, &f->posix, e) : 0;

    more.join = f->posix;
    if (r == 0 && (kinds & QFOLLOW_SYSV))
        r = sysv_follow_new(&more, &f->sysv, e);
    return r;
}

void qfollow_done(struct qfollow *f)
{
    msgq_follow_free(TAKE_PTR(f->sysv));
    msgq_follow_free(TAKE_PTR(f->posix));
}

struct msgq_follow *qfollow_reader(const struct qfollow *f)
{
    return f->posix ? f->posix : f->sysv;
}

int qfollow_add_sysv(struct cli_ctx *ctx, const struct qfollow *f, const char *operand)
{
    struct sysv_there there;
    struct sysv_queue q;
    struct err e = ERR_INIT;
    int r = qcmd_open_sysv(ctx, operand, &q, &there);

    if (r != CLI_OK)
        return r;
    r = sysv_follow_add(f->sysv, &q, NULL, &e);
    sysv_leave(&there);
    return r < 0 && r != -EEXIST ? cli_fail(ctx, r, &e, "%s: cannot follow", operand) : CLI_OK;
}

int qfollow_start(const struct qfollow *f, struct err *e)
{
    int r = f->posix ? msgq_follow_start(f->posix, e) : 0;

    return r == 0 && f->sysv ? msgq_follow_start(f->sysv, e) : r;
}

void qfollow_stop(const struct qfollow *f)
{
    if (f->sysv)
        msgq_follow_stop(f->sysv);
    if (f->posix)
        msgq_follow_stop(f->posix);
}

void qfollow_cut(const struct qfollow *f)
{
    if (f->sysv)
        msgq_follow_cut(f->sysv);
    if (f->posix)
        msgq_follow_cut(f->posix);
}

void qfollow_totals(const struct qfollow *f, struct msgq_follow_totals *out)
{
    struct msgq_follow_totals more = {0};

    msgq_follow_totals(qfollow_reader(f), out);
    if (f->posix && f->sysv)
        msgq_follow_totals(f->sysv, &more);
    out->events += more.events;
    out->lost += more.lost;
    out->uncovered += more.uncovered;
}
