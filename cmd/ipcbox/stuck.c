/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipcbox stuck: shows which threads wait for which, and which can never go on. */
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "stuck_show.h"
#include "verbs.h"
#include "waits.h"

struct stuck_args {
    uint64_t watch;
    bool dot;
    int backend;
};

/* "auto", then those of wait_backends. */
static const char *const stuck_backends[] = {"auto", "bpf", "proc", NULL};

static const struct stuck_args stuck_defaults = {.watch = 200000000};

static const struct cli_opt stuck_opts[] = {
    CLI_SPAN(struct stuck_args, watch, 'w', "watch", "SEC",
             "how long nothing may have moved before it counts as stuck (0.2)"),
    CLI_FLAG(struct stuck_args, dot, 0, "dot", "in the language of Graphviz"),
    CLI_ENUM(struct stuck_args, backend, 0, "backend", "NAME",
             "where threads and descriptors are found: bpf needs root and is faster (auto)",
             stuck_backends),
    CLI_END,
};

static int parse_pids(struct cli_ctx *ctx, pid_t *pids)
{
    for (size_t i = 0; i < ctx->n_operands; i++)
        if (proc_parse_id(ctx->operands[i], &pids[i]) < 0)
            return cli_usage(ctx, "%s: not the number of a process", ctx->operands[i]);
    return CLI_OK;
}

static int stuck_run(struct cli_ctx *ctx, const void *argp)
{
    const struct stuck_args *args = argp;
    _cleanup_(freep) pid_t *pids = calloc(ctx->n_operands + 1, sizeof(*pids));
    _cleanup_(wait_report_freep) struct wait_report *r = NULL;
    _cleanup_(stuck_unread_done) struct stuck_unread_list unread = {0};
    const struct wait_opts opts = {
        .backend = args->backend ? stuck_backends[args->backend] : NULL,
        .watch_ns = args->watch,
        .pids = pids,
        .n = ctx->n_operands,
    };
    bool chain = ctx->n_operands > 0;
    struct err e = ERR_INIT;
    int status, err;

    if (!pids)
        return cli_fail(ctx, -ENOMEM, NULL, "cannot look");
    if (args->dot && out_get_mode(ctx->out) != OUT_MODE_TABLE)
        return cli_usage(ctx, "--dot is a format of its own");
    status = parse_pids(ctx, pids);
    if (status != CLI_OK)
        return status;
    err = wait_look(&opts, &r, &e);
    if (err < 0)
        return cli_fail(ctx, err, &e, "cannot tell who waits for whom");
    err = stuck_unread_find(r, &unread);
    if (err < 0)
        cli_note(ctx, "what is unread cannot be shown: %s", err_text(NULL, err));
    if (args->dot)
        stuck_show_dot(ctx, r, chain);
    else if (out_get_mode(ctx->out) == OUT_MODE_TABLE)
        stuck_show_text(ctx, r, &unread, chain);
    else
        stuck_show_json(ctx, r, &unread, chain);
    return r->n_findings ? CLI_FAILED : CLI_OK;
}

static const struct cli_example stuck_examples[] = {
    {"ipcbox stuck", "everything that can never go on; the exit status is 1 when there is any"},
    {"ipcbox stuck 4711", "what process 4711 waits for, and that in turn, to the end"},
    {"ipcbox stuck -J | jq -r '.findings[] | .summary, .advice[]'", "for a monitoring check"},
    {"ipcbox stuck --dot 4711 | dot -Tsvg >stuck.svg", "draw it"},
    {NULL, NULL},
};

static const struct cli_table stuck_tables[] = {
    {"", stuck_cols},
    {"findings", stuck_finding_cols},
    {"findings[].threads", waits_thread_cols},
    {"unread", stuck_unread_cols},
    {"chain", waits_thread_cols},
    {NULL, NULL},
};

const struct cli_verb ipcbox_stuck_verb = {
    .name = "stuck",
    .operands = "[PID…]",
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_PID,
    .summary = "who waits for whom: deadlocks, waits for stopped processes, waits for nobody",
    .description =
        "Looks at every thread, what it waits for and who could wake it: over pipes, FIFOs, unix "
        "sockets, message queues of both kinds, mutexes and futexes whose owner is known, file "
        "locks, embedded channels, a served bus "
        "and children. It changes nothing, and needs no privilege for one's own processes. "
        "Threads and descriptors are found in /proc; for root, on kernels with BPF, by BPF "
        "iterators, which "
        "is faster and nearly one moment. The output names which.\n"
        "\n"
        "A thread is live if it runs, waits for a clock, a signal, the network or something that "
        "cannot be seen, or if a live thread could wake it. What is not live can never go on: a "
        "deadlock (threads that nobody outside of them can wake), a wait for a process that is "
        "stopped, traced or frozen by its control group, or a wait for what nobody else has open. "
        "Condition variables, requests that were read but not answered, and io_uring cannot be "
        "seen: "
        "such threads are taken as live, and so are processes that may not be looked into, whose "
        "number is told.\n"
        "\n"
        "A message queue that nobody else has open may be opened by anybody later: a receiver at "
        "rest is told as an orphan.\n"
        "\n"
        "What the processes of a finding have been sent and have not read is told as well, decoded "
        "where "
        "it is D-Bus or Varlink; with PID also what the last process of the chain has sent to one "
        "that is "
        "stopped. A client of a stopped D-Bus service waits for the bus daemon, which is live.\n"
        "\n"
        "Everything is looked at twice; what moved in between was not stuck. The exit status is 0 "
        "when nothing is stuck and 1 when something is; with PID, when that process is.",
    .examples = stuck_examples,
    .opts = stuck_opts,
    .args_size = sizeof(struct stuck_args),
    .defaults = &stuck_defaults,
    .cols = stuck_finding_cols,
    .more_cols = stuck_tables,
    .run = stuck_run,
};
