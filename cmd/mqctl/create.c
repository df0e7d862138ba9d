/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqctl create: a new queue. */
#include <errno.h>
#include <limits.h>

#include "mqctl.h"
#include "parse.h"

struct create_args {
    uint64_t maxmsg;
    uint64_t msgsize;
    uint32_t mode;
    bool sysv;
    const char *key;
    uint64_t limit;
    bool exist_ok;
};

static const struct create_args create_defaults = {.mode = 0600, .limit = UINT64_MAX};

static const struct cli_opt create_opts[] = {
    CLI_U64(struct create_args, maxmsg, 0, "maxmsg", "N", "at most N messages (msg_default)",
            .min = 1, .max = PMQ_HARD_MSGMAX),
    CLI_SIZE(struct create_args, msgsize, 0, "msgsize", "BYTES",
             "messages of at most that (msgsize_default)", .min = 1, .max = PMQ_HARD_MSGSIZEMAX),
    CLI_MODE(struct create_args, mode, 0, "mode", "MODE", "permission bits (0600)"),
    CLI_FLAG(struct create_args, sysv, 0, "sysv", "a System V queue"),
    CLI_STR(struct create_args, key, 0, "key", "0xKEY",
            "of System V: under this key; without, only its id leads to it"),
    CLI_SIZE(struct create_args, limit, 0, "limit", "BYTES",
             "of System V: at most so many bytes (msgmnb)", .min = 0, .max = ULONG_MAX - 1),
    CLI_FLAG(struct create_args, exist_ok, 0, "exist-ok", "take one that exists as it is"),
    CLI_END,
};

struct create_row {
    const char *queue;
    bool created;
};

static const struct out_col create_cols[] = {
    OUT_STR(struct create_row, queue, "queue", "what to call it", .flags = OUT_JSON),
    OUT_BOOL(struct create_row, created, "created", "false: it existed", .flags = OUT_JSON),
    OUT_END,
};

static int take_key(struct cli_ctx *ctx, const char *text, struct mqio_make *m)
{
    uint64_t key;

    if (parse_u64_max(text, UINT32_MAX, &key) < 0 || key == 0)
        return cli_usage(ctx, "--key is a number from 0x1 to 0xffffffff, not \"%s\"", text);
    m->ref.sysv = (struct sysv_ref){.by_key = true, .id = -1, .key = (uint32_t)key};
    return CLI_OK;
}

/* What is to be made, from the operand and the options. */
static int fill(struct cli_ctx *ctx, const struct create_args *args, struct mqio_make *m)
{
    bool sysv = args->sysv || args->key;
    int r = CLI_OK;

    if (ctx->n_operands == 1)
        r = mqctl_ref(ctx, ctx->operands[0], &m->ref);
    else if (!sysv)
        return cli_usage(ctx, "say which queue to make: /name, or --sysv");
    if (r != CLI_OK)
        return r;
    if (ctx->n_operands == 1 && sysv && !m->ref.is_sysv)
        return cli_usage(ctx, "a System V queue has no name, but a --key");
    if (ctx->n_operands == 1 && sysv && args->key)
        return cli_usage(ctx, "%s and --key exclude each other", ctx->operands[0]);
    if (m->ref.is_sysv && (!m->ref.sysv.by_key || m->ref.sysv.pid))
        return cli_usage(ctx, "the kernel chooses the id: create --sysv prints it");
    if (!m->ref.is_sysv && !sysv && m->ref.posix.kind != PMQ_REF_NAME)
        return cli_usage(ctx, "a new queue is /name");
    m->private = sysv && !m->ref.is_sysv && !args->key;
    m->ref.is_sysv |= sysv;
    if (args->key)
        r = take_key(ctx, args->key, m);
    if (r == CLI_OK && m->ref.is_sysv && (args->maxmsg || args->msgsize))
        return cli_usage(ctx, "--maxmsg and --msgsize are for POSIX queues, System V has --limit");
    if (r == CLI_OK && !m->ref.is_sysv && args->limit != UINT64_MAX)
        return cli_usage(ctx, "--limit is for System V queues, POSIX has --maxmsg and --msgsize");
    return r;
}

static int create_run(struct cli_ctx *ctx, const void *argp)
{
    const struct create_args *args = argp;
    struct mqio_make m = {
        .mode = args->mode,
        .maxmsg = args->maxmsg,
        .msgsize = args->msgsize,
        .limit = args->limit,
        .exist_ok = args->exist_ok,
    };
    char name[MQIO_REF_SIZE];
    struct create_row row = {.queue = name};
    struct err e = ERR_INIT;
    int id = -1, r = fill(ctx, args, &m);

    if (r != CLI_OK)
        return r;
    r = mqio_make(&m, &id, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "%s: cannot create it",
                        ctx->n_operands ? ctx->operands[0]
                        : args->key     ? args->key
                                        : "System V queue");
    if (m.ref.is_sysv)
        m.ref.sysv = (struct sysv_ref){.id = id};
    mqio_ref_format(&m.ref, name);
    row.created = r == 0;
    if (m.ref.is_sysv)
        out_text(ctx->out, "%s", name);
    out_fields(ctx->out, create_cols, &row);
    return CLI_OK;
}

static const struct cli_example create_examples[] = {
    {"mqctl create /jobs --maxmsg 10 --msgsize 256", "a POSIX queue"},
    {"q=$(mqctl create --sysv)", "a System V queue, whose name is sysv:ID"},
    {"mqctl create --sysv --key 0x4d51 --mode 660 --exist-ok", "one that programs find by its key"},
    {NULL, NULL},
};

const struct cli_verb mqctl_create_verb = {
    .name = "create",
    .operands = "[QUEUE]",
    .max_operands = 1,
    .summary = "make a queue",
    .description =
        "Makes a POSIX queue of that name, or with --sysv a System V queue, and prints what to "
        "call that. The mode is taken as it is given, whatever the umask says.",
    .examples = create_examples,
    .opts = create_opts,
    .args_size = sizeof(struct create_args),
    .defaults = &create_defaults,
    .cols = create_cols,
    .run = create_run,
};
