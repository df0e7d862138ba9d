/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of mqpeek and mqdump share. */
#include "qcmd.h"

#include <string.h>

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

const char *const qcmd_backends[] = {"syscall", "fcntl", "ioctl", "bpf", "drain", NULL};

int qcmd_open(struct cli_ctx *ctx, const char *operand, unsigned int flags, struct pmq_queue **ret)
{
    struct err e = ERR_INIT;
    struct pmq_ref ref;
    int r = pmq_ref_parse(operand, &ref, &e);

    if (r < 0)
        return cli_usage(ctx, "\"%s\" names no queue: %s", operand, err_text(&e, r));
    if (ref.kind == PMQ_REF_NAME && operand[0] != '/')
        cli_note(ctx, "taking \"%s\" as %s", operand, ref.name);
    r = pmq_queue_open(&ref, flags, ret, &e);
    return r < 0 ? cli_fail(ctx, r, &e, "%s", operand) : CLI_OK;
}

int qcmd_peeker(struct cli_ctx *ctx, const struct qcmd_common *common,
                const struct pmq_queue *sample, struct pmq_peek_opts *opts, struct pmq_peeker **ret)
{
    struct err e = ERR_INIT;
    int r;

    opts->backend = ctx->backend;
    opts->max_snapshot = common->max_snapshot;
    opts->mq_syscall = (long)common->mq_syscall;
    opts->sample = sample;
    r = pmq_peeker_new(opts, ret, &e);
    if (r == 0)
        return CLI_OK;
    if (ctx->backend)
        return cli_fail(ctx, r, &e, "cannot peek with %s", ctx->backend);
    return cli_fail(ctx, r, &e, "cannot peek");
}
