/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of mqctl share. */
#include "mqctl.h"

#include "waker.h"

int mqctl_ref(struct cli_ctx *ctx, const char *operand, struct mqio_ref *ref)
{
    struct err e = ERR_INIT;
    int r = mqio_ref_parse(operand, ref, &e);

    if (r < 0)
        return cli_bad_operand(ctx, operand, "queue", r, &e);
    if (!ref->is_sysv && ref->posix.kind == PMQ_REF_NAME && operand[0] != '/')
        cli_note(ctx, "taking \"%s\" as %s", operand, ref->posix.name);
    return CLI_OK;
}

int mqctl_open(struct cli_ctx *ctx, enum mqio_use use, struct mqio_ref *ref, struct mqio **ret)
{
    struct err e = ERR_INIT;
    int r = mqctl_ref(ctx, ctx->operands[0], ref);

    if (r != CLI_OK)
        return r;
    r = mqio_open(ref, use, ret, &e);
    return r < 0 ? cli_fail(ctx, r, &e, "%s", ctx->operands[0]) : CLI_OK;
}

int mqctl_wait_begin(struct cli_stream *s)
{
    static const struct cli_stream_ops ops = {.cut = waker_now};
    int r = waker_init();

    s->ops = &ops;
    if (r == 0)
        r = cli_stream_begin(s);
    if (r < 0)
        return cli_fail(s->ctx, r, NULL, "cannot wait");
    waker_at(s->deadline);
    return CLI_OK;
}
