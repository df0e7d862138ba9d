/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of uringipc share. */
#include "ucmd.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

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

int ucmd_ref(struct cli_ctx *ctx, const char *name, struct uipc_ref *ref)
{
    struct err e = ERR_INIT;
    int r = uipc_ref_parse(name, ref, &e);

    return r < 0 ? cli_usage(ctx, "\"%s\" names no channel: %s", name, err_text(&e, r)) : CLI_OK;
}

int ucmd_try(struct cli_ctx *ctx, const struct uipc_ops *ops, const char *name,
             int (*call)(const struct uipc_ops *ops, void *arg, struct err *e), void *arg)
{
    struct err e = ERR_INIT;
    int r = call(ops, arg, &e);

    if (r == -ENOENT && !ctx->backend && ops != &uipc_embedded_ops) {
        struct err other = ERR_INIT;
        int r2 = call(&uipc_embedded_ops, arg, &other);

        if (r2 != -ENOENT) {
            r = r2;
            e = other;
        }
    }
    if (r < 0)
        return cli_fail(ctx, r == -EBADF ? -ENOENT : r, &e, "%s", name); /* a descriptor of none */
    if (e.why[0])
        cli_note(ctx, "%s: %s", name, e.why);
    return CLI_OK;
}

struct opening {
    struct uipc_ref ref;
    unsigned int access;
    struct uipc **u;
};

static int open_with(const struct uipc_ops *ops, void *arg, struct err *e)
{
    const struct opening *o = arg;

    return uipc_open(ops, ucmd_dir(), &o->ref, o->access, o->u, e);
}

int ucmd_open_name(struct cli_ctx *ctx, const char *name, unsigned int access, struct uipc **u)
{
    struct opening o = {.access = access, .u = u};
    const struct uipc_ops *ops;
    int r = ucmd_ref(ctx, name, &o.ref);

    if (r == CLI_OK)
        r = ucmd_select(ctx, &ops);
    return r == CLI_OK ? ucmd_try(ctx, ops, name, open_with, &o) : r;
}

int ucmd_open(struct cli_ctx *ctx, unsigned int access, struct uipc **u)
{
    return ucmd_open_name(ctx, ctx->operands[0], access, u);
}

bool ucmd_reader_gone(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO};

    return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
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
        .msg_id = msg->msg_id ? msg->msg_id : OUT_UNKNOWN_U64,
        .target = msg->target,
        .user_data = msg->user_data,
        .length = msg->len,
        .content = {data, (size_t)MIN((uint64_t)msg->len, cut)},
    };
}
