/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqctl set: owner, group, mode and limit of a queue. */
#include "mqctl.h"
#include "parse.h"
#include "users.h"

struct set_args {
    const char *owner;
    const char *group;
    uint32_t mode;
    uint64_t limit;
};

static const struct set_args set_defaults = {.mode = UINT32_MAX, .limit = UINT64_MAX};

static const struct cli_opt set_opts[] = {
    CLI_STR(struct set_args, owner, 0, "owner", "USER", "name or number"),
    CLI_STR(struct set_args, group, 0, "group", "GROUP", "name or number"),
    CLI_MODE(struct set_args, mode, 0, "mode", "MODE", "permission bits, in octal"),
    CLI_SIZE(struct set_args, limit, 0, "limit", "BYTES", "most bytes of a System V queue",
             .min = 0, .max = UINT64_MAX - 1),
    CLI_END,
};

/* Ids of -1 mean "leave it" to the kernel. */
static int number(const char *text, uint32_t *out)
{
    uint64_t v;
    int r = parse_u64_max(text, UINT32_MAX - 1, &v);

    if (r == 0)
        *out = (uint32_t)v;
    return r;
}

static int look_up(struct cli_ctx *ctx, const struct set_args *args, struct mqio_change *c)
{
    if (args->owner && user_by_name(args->owner, &c->uid) < 0 && number(args->owner, &c->uid) < 0)
        return cli_usage(ctx, "--owner: there is no user \"%s\"", args->owner);
    if (args->group && group_by_name(args->group, &c->gid) < 0 && number(args->group, &c->gid) < 0)
        return cli_usage(ctx, "--group: there is no group \"%s\"", args->group);
    return CLI_OK;
}

static int set_run(struct cli_ctx *ctx, const void *argp)
{
    const struct set_args *args = argp;
    struct mqio_change c = {UINT32_MAX, UINT32_MAX, args->mode, args->limit};
    struct mqio_ref ref;
    struct err e = ERR_INIT;
    int r = mqctl_ref(ctx, ctx->operands[0], &ref);

    if (r != CLI_OK)
        return r;
    if (!args->owner && !args->group && args->mode == UINT32_MAX && args->limit == UINT64_MAX)
        return cli_usage(ctx, "say what to set: --owner, --group, --mode, --limit");
    if (!ref.is_sysv && args->limit != UINT64_MAX)
        return cli_usage(ctx, "--limit is for System V queues: the size of a POSIX queue never "
                              "changes");
    r = look_up(ctx, args, &c);
    if (r != CLI_OK)
        return r;
    r = mqio_set(&ref, &c, &e);
    return r < 0 ? cli_fail(ctx, r, &e, "%s: not changed", ctx->operands[0]) : CLI_OK;
}

static const struct cli_example set_examples[] = {
    {"mqctl set /jobs --mode 660 --group adm", "let a group use it"},
    {"mqctl set sysv:61 --limit 1M", "let more bytes wait"},
    {NULL, NULL},
};

const struct cli_verb mqctl_set_verb = {
    .name = "set",
    .operands = "QUEUE",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_QUEUE,
    .summary = "change a queue's owner, mode or limit",
    .description =
        "All that is given is changed, or nothing. A change wakes every thread that is blocked on "
        "a System V queue for a moment; those that sleep until their message fits look again.",
    .examples = set_examples,
    .opts = set_opts,
    .args_size = sizeof(struct set_args),
    .defaults = &set_defaults,
    .run = set_run,
};
