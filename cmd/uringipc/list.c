/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uringipc list: the channels there are; info: all about one; destroy: the end of some. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "ucmd.h"
#include "users.h"

/* A row of list or info. Little is known of kernel channels that ipcbox does not keep. */
struct channel_row {
    const char *channel;
    uint64_t id;
    uint64_t key;
    const char *key_text;
    const char *name;
    const char *delivery;
    const char *backend;
    uint32_t entries;
    uint64_t size;
    const char *owner;
    uint32_t uid;
    uint32_t mode;
    uint64_t messages;
    uint64_t sent;
    uint64_t lost;
    uint32_t senders;
    uint32_t receivers;
    uint32_t processes;
    int32_t pid;
    int32_t fd;
    uint64_t created;
    const char *problem;
    char channel_buffer[32];
    char key_buffer[24];
    char owner_buffer[64];
};

/* The columns; @more: flags of columns that a list has no room for. */
#define CHANNEL_COLS(more)                                                                         \
    OUT_STR(struct channel_row, channel, "channel",                                                \
            "what to call it by: its id; pid:PID:FD where that is not known"),                     \
        OUT_U64(struct channel_row, id, "id", "its number; not known of others' kernel channels",  \
                .flags = OUT_JSON),                                                                \
        OUT_STR(struct channel_row, key_text, "key", "what it is found by, besides the id"),       \
        OUT_STR(struct channel_row, name, "name", "what the key was made from"),                   \
        OUT_STR(struct channel_row, delivery, "delivery", "unicast, broadcast or multicast"),      \
        OUT_STR(struct channel_row, backend, "backend", "kernel or embedded"),                     \
        OUT_U32(struct channel_row, entries, "entries", "messages that the ring holds"),           \
        OUT_SIZE(struct channel_row, size, "size", "largest message, bytes"),                      \
        OUT_STR(struct channel_row, owner, "owner", "user that made it"),                          \
        OUT_MODE(struct channel_row, mode, "mode", "read: receive; read and write: send"),         \
        OUT_U64(struct channel_row, messages, "depth", "waiting to be received",                   \
                .heading = "MSGS"),                                                                \
        OUT_U32(struct channel_row, senders, "sender_count", "handles open for sending",           \
                .heading = "SEND"),                                                                \
        OUT_U32(struct channel_row, receivers, "receiver_count", "subscribed", .heading = "RECV"), \
        OUT_U32(struct channel_row, processes, "process_count", "that have it open",               \
                .heading = "PROCESSES"),                                                           \
        OUT_I32(struct channel_row, pid, "pid", "a process that has a kernel channel open",        \
                .flags = (more)),                                                                  \
        OUT_I32(struct channel_row, fd, "fd", "its descriptor", .flags = (more)),                  \
        OUT_U32(struct channel_row, uid, "uid", "owner's number", .flags = (more)),                \
        OUT_U64(struct channel_row, sent, "sent", "messages ever sent; kernel: modulo 2^32",       \
                .flags = (more)),                                                                  \
        OUT_U64(struct channel_row, lost, "lost",                                                  \
                "messages whose sender died while it wrote them", .flags = (more)),                \
        OUT_TIME(struct channel_row, created, "created", "when it was made", .flags = (more)),     \
        OUT_STR(struct channel_row, problem, "problem", "why one cannot look into it",             \
                .flags = OUT_HIDDEN | OUT_OPTIONAL),                                               \
        OUT_END

static const struct out_col list_cols[] = {CHANNEL_COLS(OUT_HIDDEN)};
static const struct out_col info_cols[] = {CHANNEL_COLS(0)};

static void fill(struct channel_row *row, const struct uipc_info *info)
{
    const struct chan_info *c = &info->c;
    bool embedded = strcmp(info->backend, uipc_embedded_ops.name) == 0;
    bool inside = info->error == 0;
    bool known = info->known && (inside || !embedded);

    *row = (struct channel_row){
        .id = info->id ? info->id : OUT_UNKNOWN_U64,
        .key = c->key,
        .name = known && c->name[0] ? c->name : NULL,
        .delivery = ucmd_delivery(info->delivery),
        .backend = info->backend,
        .entries = inside ? c->entries : OUT_UNKNOWN_U32,
        .size = inside ? c->max_msg : OUT_UNKNOWN_U64,
        .uid = info->known ? c->uid : OUT_UNKNOWN_U32,
        .mode = info->known ? c->mode : OUT_UNKNOWN_U32,
        .messages = inside ? c->waiting : OUT_UNKNOWN_U64,
        .sent = inside ? c->tail : OUT_UNKNOWN_U64,
        .lost = inside && embedded ? c->lost : OUT_UNKNOWN_U64,
        .senders = inside && embedded ? c->senders : OUT_UNKNOWN_U32,
        .receivers = inside && embedded ? c->receivers : OUT_UNKNOWN_U32,
        /* A kernel channel that nobody was seen to have open may be open all the same. */
        .processes = embedded ? (inside ? c->processes : OUT_UNKNOWN_U32)
                              : (c->processes ? c->processes : OUT_UNKNOWN_U32),
        .pid = info->pid ? info->pid : OUT_UNKNOWN_I32,
        .fd = info->pid && info->fd >= 0 ? info->fd : OUT_UNKNOWN_I32,
        .created = known ? c->created_ns : OUT_UNKNOWN_U64,
        .problem = inside                   ? NULL
                   : info->error == -EIDRM  ? "it has been destroyed"
                   : info->error == -EACCES ? "its mode does not let you"
                                            : strerrordesc_np(-info->error),
    };
    if (info->id)
        snprintf(row->channel_buffer, sizeof(row->channel_buffer), "%u", info->id);
    else
        snprintf(row->channel_buffer, sizeof(row->channel_buffer), "pid:%d:%d", info->pid,
                 info->fd);
    row->channel = row->channel_buffer;
    if (c->key && (inside || !embedded)) {
        snprintf(row->key_buffer, sizeof(row->key_buffer), "0x%llx", (unsigned long long)c->key);
        row->key_text = row->key_buffer;
    }
    if (info->known) {
        user_name(c->uid, row->owner_buffer, sizeof(row->owner_buffer));
        row->owner = row->owner_buffer;
    }
}

static int list_one(const struct uipc_info *info, void *argp)
{
    struct cli_ctx *ctx = argp;
    struct channel_row row;

    fill(&row, info);
    out_row(ctx->out, &row);
    return out_error(ctx->out) != 0;
}

static void tell_hidden(struct cli_ctx *ctx, uint64_t hidden)
{
    if (hidden)
        cli_note(ctx,
                 "%" PRIu64
                 " process%s may not be looked at: which channels %s open is not known%s",
                 hidden, hidden == 1 ? "" : "es", hidden == 1 ? "it has" : "they have",
                 geteuid() ? " (run as root)" : "");
}

static int list_run(struct cli_ctx *ctx, const void *argp _unused_)
{
    struct uipc_providers providers;
    struct err e = ERR_INIT;
    uint64_t hidden = 0, none;
    int r = ucmd_select(ctx, &providers);

    if (r != CLI_OK)
        return r;
    ucmd_tell_embedded(ctx, &providers);
    out_list_begin(ctx->out, "channels", list_cols, OUT_RECORDS);
    r = providers.first->list(ucmd_dir(), list_one, ctx, &hidden, &e);
    if (r == 0 && providers.second)
        r = providers.second->list(ucmd_dir(), list_one, ctx, &none, &e);
    out_list_end(ctx->out);
    tell_hidden(ctx, hidden);
    return r < 0 ? cli_fail(ctx, r, &e, "cannot list channels") : CLI_OK;
}

static const struct cli_example list_examples[] = {
    {"uringipc", "the channels that can be seen"},
    {"uringipc -J | jq -r '.channels[] | select(.depth > 0) | .id'", "those with messages"},
    {NULL, NULL},
};

const struct cli_verb uringipc_list_verb = {
    .name = "list",
    .summary = "show the channels",
    .description =
        "Embedded channels are found in their directories. Kernel channels have no list: each id "
        "is "
        "tried, by attaching to it for a moment as a sender, which holds up nobody; and the "
        "processes that the caller may trace are asked for channels that are open there. Of one "
        "whose mode does not let the caller send only the id is known then. Key, owner and mode "
        "are "
        "known only of channels that ipcbox keeps (uringipc create).",
    .examples = list_examples,
    .cols = list_cols,
    .run = list_run,
};

/* ---- info ------------------------------------------------------------------------------------ */

struct peer_row {
    const char *role;
    uint32_t pid;
    int32_t fd;
    uint32_t id;
    uint64_t position;
    uint64_t messages;
    uint64_t lost;
};

static const struct out_col peer_cols[] = {
    OUT_STR(struct peer_row, role, "role", "sender, receiver, or holder of a kernel channel"),
    OUT_U32(struct peer_row, pid, "pid", "process, as it sees itself"),
    OUT_I32(struct peer_row, fd, "fd", "of a holder: its descriptor"),
    OUT_U32(struct peer_row, id, "subscriber", "id to send to"),
    OUT_U64(struct peer_row, position, "position", "of the message it receives next"),
    OUT_U64(struct peer_row, messages, "message_count", "sent or received", .heading = "MESSAGES"),
    OUT_U64(struct peer_row, lost, "lost", "messages that it found lost"),
    OUT_END,
};

struct process_count {
    uint32_t processes;
    uint32_t last;
};

struct peer_ctx {
    struct cli_ctx *ctx;
    bool kernel;
};

static int show_peer(const struct chan_peer *peer, void *argp)
{
    const struct peer_ctx *p = argp;
    struct peer_row row = {
        .role = p->kernel  ? "holder"
                : peer->id ? "receiver"
                           : "sender",
        .pid = peer->pid,
        .fd = peer->fd >= 0 ? peer->fd : OUT_UNKNOWN_I32,
        .id = peer->id ? peer->id : OUT_UNKNOWN_U32,
        .position = peer->id ? peer->position : OUT_UNKNOWN_U64,
        .messages = p->kernel ? OUT_UNKNOWN_U64 : peer->count,
        .lost = peer->id ? peer->lost : OUT_UNKNOWN_U64,
    };

    out_row(p->ctx->out, &row);
    return 0;
}

/* Counts the processes among peers; those of one process come together. */
static int count_process(const struct chan_peer *peer, void *argp)
{
    struct process_count *n = argp;

    if (n->processes == 0 || n->last != peer->pid)
        n->processes++;
    n->last = peer->pid;
    return 0;
}

static int info_run(struct cli_ctx *ctx, const void *argp _unused_)
{
    _cleanup_(uipc_closep) struct uipc *u = NULL;
    struct peer_ctx p = {.ctx = ctx};
    struct channel_row row;
    struct uipc_info info;
    uint64_t hidden = 0;
    int r = ucmd_open(ctx, CHAN_LOOK, &u);

    if (r != CLI_OK)
        return r;
    r = uipc_get_info(u, &info);
    if (r < 0)
        return cli_fail(ctx, r, NULL, "%s", ctx->operands[0]);
    p.kernel = u->ops == &uipc_kernel_ops;
    if (p.kernel) {
        struct process_count n = {0};

        (void)uipc_visit_peers(u, count_process, &n, &hidden); /* its failure is reported below */
        info.c.processes = n.processes;
    }
    fill(&row, &info);
    out_name(ctx->out, "channel");
    out_fields(ctx->out, info_cols, &row);
    out_list_begin(ctx->out, "peers", peer_cols, OUT_RECORDS);
    r = uipc_visit_peers(u, show_peer, &p, &hidden);
    out_list_end(ctx->out);
    tell_hidden(ctx, hidden);
    return r < 0 ? cli_fail(ctx, r, NULL, "%s: cannot see its peers", ctx->operands[0]) : CLI_OK;
}

static const struct cli_table info_tables[] = {{"", info_cols}, {NULL, NULL}};

const struct cli_verb uringipc_info_verb = {
    .name = "info",
    .operands = "CH",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_CHANNEL,
    .summary = "all about a channel, and who has it open",
    .cols = peer_cols,
    .more_cols = info_tables,
    .run = info_run,
};

/* ---- destroy --------------------------------------------------------------------------------- */

struct destroy_args {
    bool force;
};

static const struct cli_opt destroy_opts[] = {
    CLI_FLAG(struct destroy_args, force, 0, "force",
             "also a kernel channel that ipcbox does not "
             "keep: it may be anybody's"),
    CLI_END,
};

static int destroy_run(struct cli_ctx *ctx, const void *argp)
{
    const struct destroy_args *args = argp;
    struct uipc_providers providers;
    int r = ucmd_select(ctx, &providers);

    if (r != CLI_OK)
        return r;
    for (size_t i = 0; i < ctx->n_operands; i++) {
        struct err e = ERR_INIT;
        struct uipc_ref ref;

        r = ucmd_ref(ctx, ctx->operands[i], &ref);
        if (r != CLI_OK)
            return r;
        r = uipc_destroy(&providers, ucmd_dir(), &ref, args->force, &e);
        if (r < 0)
            (void)ucmd_no_channel(ctx, &providers, ctx->operands[i], r, &e);
    }
    return ctx->status;
}

const struct cli_verb uringipc_destroy_verb = {
    .name = "destroy",
    .operands = "CH…",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_CHANNEL,
    .summary = "end channels",
    .description =
        "New senders and receivers no longer find the channel. Receivers of an embedded channel "
        "get "
        "the messages that are still in it, and then its end. Only the owner and root may end it.\n"
        "\n"
        "A kernel channel ends with the process that made it: the process that uringipc create "
        "left "
        "behind is told to end.",
    .opts = destroy_opts,
    .args_size = sizeof(struct destroy_args),
    .run = destroy_run,
};
