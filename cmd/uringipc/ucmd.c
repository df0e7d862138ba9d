/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of uringipc share. */
#include "ucmd.h"

#include <stdlib.h>

const char *const ucmd_backends[] = {"kernel", "embedded", NULL};

const char *ucmd_dir(void)
{
    const char *dir = secure_getenv("IPCBOX_CHANNELS");

    return dir && *dir ? dir : NULL;
}

int ucmd_select(struct cli_ctx *ctx, const struct uipc_ops **ops)
{
    struct err e = ERR_INIT;
    int r = uipc_select(ctx->backend, ops, &e);

    if (r < 0)
        return cli_fail(ctx, r, &e, "cannot use the %s backend", ctx->backend);
    if (e.why[0])
        cli_note(ctx, "using embedded channels: %s", e.why);
    return CLI_OK;
}

int ucmd_ref(struct cli_ctx *ctx, size_t i, struct uipc_ref *ref)
{
    struct err e = ERR_INIT;
    int r = uipc_ref_parse(ctx->operands[i], ref, &e);

    return r < 0 ? cli_usage(ctx, "\"%s\" names no channel: %s", ctx->operands[i], err_text(&e, r))
                 : CLI_OK;
}

int ucmd_open(struct cli_ctx *ctx, unsigned int access, struct uipc **u)
{
    const struct uipc_ops *ops;
    struct err e = ERR_INIT;
    struct uipc_ref ref;
    int r = ucmd_ref(ctx, 0, &ref);

    if (r == CLI_OK)
        r = ucmd_select(ctx, &ops);
    if (r != CLI_OK)
        return r;
    r = uipc_open(ops, ucmd_dir(), &ref, access, u, &e);
    return r < 0 ? cli_fail(ctx, r, &e, "%s", ctx->operands[0]) : CLI_OK;
}

const char *ucmd_delivery(int delivery)
{
    static const char *const names[] = {
        [CHAN_UNICAST] = "unicast",
        [CHAN_BROADCAST] = "broadcast",
        [CHAN_MULTICAST] = "multicast",
    };

    return delivery >= 0 && (size_t)delivery < ARRAY_SIZE(names) ? names[delivery] : NULL;
}

void ucmd_msg_fill(struct ucmd_msg *row, const struct ringmap_msg *msg, const void *data,
                   uint64_t cut)
{
    *row = (struct ucmd_msg){
        .time = OUT_UNKNOWN_U64,
        .position = msg->position,
        .msg_id = msg->msg_id,
        .target = msg->target,
        .user_data = msg->user_data,
        .length = msg->len,
        .content = {data, (size_t)MIN((uint64_t)msg->len, cut)},
    };
}
