/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of mqpeek and mqdump share. */
#include "qcmd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "pmq_journal.h"
#include "pmq_restoring.h"

const struct qcmd_common qcmd_common_defaults = {
    .max_snapshot = 64 * 1024 * 1024,
};

const struct cli_opt qcmd_common_opts[] = {
    CLI_SIZE(struct qcmd_common, max_snapshot, 0, "max-snapshot", "BYTES",
             "memory for one queue's messages; a larger queue is read in windows (64M)", .min = 1,
             .max = UINT64_MAX),
    CLI_U64(struct qcmd_common, mq_syscall, 0, "mq-syscall", "N",
            "number of mq_timedreceive2 on a patched kernel (548)", .min = 1, .max = INT32_MAX),
    CLI_END,
};

const char *const qcmd_backends[] = {"syscall", "fcntl", "ioctl",      "bpf", "copy",
                                     "drain",   "fexit", "tracepoint", NULL};

void qcmd_offer(struct cli_offers *o, enum cli_complete what _unused_)
{
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    struct err e = ERR_INIT;

    if (pmq_scan(0, 0, &set, &e) < 0)
        return; /* none to offer */
    for (size_t i = 0; i < set->n; i++)
        if (set->v[i].attr.name[0])
            cli_offer(o, set->v[i].attr.name, NULL);
}

/* Messages that are in no queue are not for -q to hide. */
static void tell_journal(const struct cli_ctx *ctx, const char *operand,
                         const struct pmq_journal_info *j)
{
    struct cli_ctx loud = *ctx;

    loud.quiet = false;
    if (j->busy)
        cli_note(ctx, "%s: a drain is at work on it: messages are out of it for a moment", operand);
    else if (!j->readable)
        cli_note(&loud,
                 "%s: a drain was interrupted: messages of it are in %s (put them back, with "
                 "the rights of who drained: mqpeek recover %s)",
                 operand, j->path, operand);
    else if (j->this_boot)
        cli_note(&loud,
                 "%s: a drain was interrupted: %" PRIu64 " of its messages are in %s "
                 "(put them back: mqpeek recover %s)",
                 operand, j->held, j->path, operand);
    else
        cli_note(&loud,
                 "%s: a drain was interrupted, before the machine was started: %" PRIu64
                 " of its messages are in %s (put them into a queue of that name: mqpeek recover "
                 "--force %s)",
                 operand, j->held, j->path, operand);
}

static void tell_journal_of(const struct cli_ctx *ctx, const char *operand,
                            const struct pmq_queue *q)
{
    struct pmq_journal_info j;
    struct pmq_attr attr;

    if (pmq_queue_attr_basic(q, &attr) == 0 && pmq_journal_pending(&attr, &j) > 0)
        tell_journal(ctx, operand, &j);
}

struct listed {
    const struct cli_ctx *ctx;
    const struct pmq_set *set;
};

static int tell_listed(const struct pmq_journal_info *j, void *argp)
{
    const struct listed *l = argp;
    const char *name = j->readable ? j->label : NULL;

    for (size_t i = 0; l->set && j->this_boot && i < l->set->n; i++)
        if (l->set->v[i].attr.dev == j->dev && l->set->v[i].attr.ino == j->ino && !name)
            name = l->set->v[i].attr.name;
    if (name)
        tell_journal(l->ctx, name, j);
    return 0;
}

void qcmd_tell_journals(const struct cli_ctx *ctx, const struct pmq_set *set)
{
    struct listed l = {.ctx = ctx, .set = set};

    /* Where none can be kept, or looked for, there is nothing to tell. */
    (void)pmq_journal_list(true, tell_listed, &l, NULL);
}

uint64_t qcmd_tell_restores(const struct cli_ctx *ctx, bool all)
{
    struct cli_ctx loud = *ctx;
    struct pmq_unfinished_set set;
    uint64_t ipc_ns = pmq_own_ipc_ns(), told = 0;

    loud.quiet = false;
    if (pmq_unfinished_read(false, &set, NULL) < 0)
        return 0;
    for (size_t i = 0; i < set.n; i++) {
        const struct pmq_unfinished *u = &set.v[i];

        if (u->running || u->ipc_ns != ipc_ns || (!u->replaces && !all))
            continue;
        told++;
        cli_note(&loud,
                 "%s: a restore was interrupted%s%s (finish or undo it: mqdump restore "
                 "--recover)",
                 u->name, u->replaces ? ": what was there before is in " : "",
                 u->replaces ? u->replaces : "");
    }
    pmq_unfinished_done(&set);
    return told;
}

int qcmd_open(struct cli_ctx *ctx, const char *operand, unsigned int flags, struct pmq_queue **ret)
{
    struct err e = ERR_INIT;
    struct pmq_ref ref;
    int r = pmq_ref_parse(operand, &ref, &e);

    if (r < 0)
        return cli_bad_operand(ctx, operand, "queue", r, &e);
    if (ref.kind == PMQ_REF_NAME && operand[0] != '/')
        cli_note(ctx, "taking \"%s\" as %s", operand, ref.name);
    r = pmq_queue_open(&ref, flags, ret, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "%s", operand);
    tell_journal_of(ctx, operand, *ret);
    return CLI_OK;
}

/* Tells why there is no peeker. Return: an exit status. */
static int peeker_status(struct cli_ctx *ctx, int r, const struct err *e)
{
    if (r == 0)
        return CLI_OK;
    if (r == -EINVAL)
        return cli_usage(ctx, "%s", err_text(e, r));
    if (ctx->backend)
        return cli_fail(ctx, r, e, "cannot peek with %s", ctx->backend);
    return cli_fail(ctx, r, e, "cannot peek");
}

int qcmd_peeker(struct cli_ctx *ctx, const struct qcmd_common *common,
                const struct pmq_queue *sample, struct msgq_peek_opts *opts,
                struct msgq_peeker **ret)
{
    struct err e = ERR_INIT;

    opts->backend = ctx->backend;
    opts->max_snapshot = common->max_snapshot;
    opts->mq_syscall = (long)common->mq_syscall;
    opts->sample = sample;
    return peeker_status(ctx, pmq_peeker_new(opts, ret, &e), &e);
}

int qcmd_open_sysv(struct cli_ctx *ctx, const char *operand, struct sysv_queue *q,
                   struct sysv_there *there)
{
    struct err e = ERR_INIT;
    struct sysv_ref ref;
    int r = sysv_ref_parse(operand, &ref, &e);

    if (r < 0)
        return cli_bad_operand(ctx, operand, "queue", r, &e);
    r = sysv_open(&ref, q, there, &e);
    return r < 0 ? cli_fail(ctx, r, &e, "%s", operand) : CLI_OK;
}

int qcmd_peeker_sysv(struct cli_ctx *ctx, const struct qcmd_common *common,
                     struct msgq_peek_opts *opts, struct msgq_peeker **ret)
{
    struct err e = ERR_INIT;

    opts->backend = ctx->backend;
    opts->max_snapshot = common->max_snapshot;
    return peeker_status(ctx, sysv_peeker_new(opts, ret, &e), &e);
}
