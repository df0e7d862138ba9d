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

static int offer_channel(const struct uipc_info *info, void *ctx)
{
    char id[16];

    snprintf(id, sizeof(id), "%u", info->id);
    cli_offer(ctx, info->c.name[0] ? info->c.name : id, info->c.name[0] ? id : NULL);
    return 0;
}

void ucmd_offer(struct cli_offers *o, enum cli_complete what _unused_)
{
    struct err e = ERR_INIT;
    uint64_t hidden;

    (void)uipc_embedded_ops.list(ucmd_dir(), offer_channel, o, &hidden, &e); /* else none */
}

int ucmd_select(struct cli_ctx *ctx, struct uipc_providers *providers)
{
    struct err e = ERR_INIT;
    int r = uipc_select(ctx->backend, providers, &e);

    return r < 0 ? cli_fail(ctx, r, &e, "cannot use the %s backend", ctx->backend) : CLI_OK;
}

void ucmd_tell_embedded(struct cli_ctx *ctx, const struct uipc_providers *providers)
{
    if (providers->why.why[0])
        cli_note(ctx, "using embedded channels: %s", providers->why.why);
}

int ucmd_ref(struct cli_ctx *ctx, const char *name, struct uipc_ref *ref)
{
    struct err e = ERR_INIT;
    int r = uipc_ref_parse(name, ref, &e);

    return r < 0 ? cli_usage(ctx, "\"%s\" names no channel: %s", name, err_text(&e, r)) : CLI_OK;
}

int ucmd_no_channel(struct cli_ctx *ctx, const struct uipc_providers *providers, const char *name,
                    int r, const struct err *e)
{
    /* A descriptor of something else, or of a channel that has been destroyed. */
    if (r == -EBADF || r == -EIDRM)
        r = -ENOENT;
    r = cli_fail(ctx, r, e, "%s", name);
    ucmd_tell_embedded(ctx, providers);
    return r;
}

int ucmd_open_name(struct cli_ctx *ctx, const char *name, unsigned int access, struct uipc **u)
{
    struct uipc_providers providers;
    struct err e = ERR_INIT;
    struct uipc_ref ref;
    int r = ucmd_ref(ctx, name, &ref);

    if (r == CLI_OK)
        r = ucmd_select(ctx, &providers);
    if (r != CLI_OK)
        return r;
    r = uipc_find(&providers, ucmd_dir(), &ref, access, u, &e);
    if (r < 0)
        return ucmd_no_channel(ctx, &providers, name, r, &e);
    if (e.why[0])
        cli_note(ctx, "%s: %s", name, e.why);
    return CLI_OK;
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
        .content = {data, (size_t)MIN((uint64_t)msg->len, cut), msg->len},
    };
}
