/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uringipc bench: channels against pipes, sockets and POSIX queues, in one run. */
#include <stdlib.h>

#include "array.h"
#include "chan_bench.h"
#include "timefmt.h"
#include "ucmd.h"

enum { RUNS_MAX = 99, IDLE = 16 };

struct bench_args {
    uint32_t runs;
    bool quick;
};

static const struct bench_args bench_defaults = {.runs = 5};

static const struct cli_opt bench_opts[] = {
    CLI_U32(struct bench_args, runs, 'r', "runs", "N", "repetitions; the median counts (5)",
            .min = 1, .max = RUNS_MAX),
    CLI_FLAG(struct bench_args, quick, 0, "quick", "a tenth of the messages: rough figures"),
    CLI_END,
};

struct bench_row {
    const char *what;
    uint32_t receivers;
    uint64_t size;
    uint64_t channel;
    uint64_t pipe;
    uint64_t seqpacket;
    uint64_t mqueue;
    double against_pipe;
    double against_socket;
    double against_best;
};

static const struct out_col bench_cols[] = {
    OUT_STR(struct bench_row, what, "what", "one way to so many receivers, or there and back"),
    OUT_U32(struct bench_row, receivers, "receiver_count", "each gets every message",
            .heading = "RECV", .flags = OUT_HIDDEN),
    OUT_SIZE(struct bench_row, size, "size", "of a message, bytes"),
    OUT_U64(struct bench_row, channel, "channel", "ns for a message to all its receivers"),
    OUT_U64(struct bench_row, pipe, "pipe", "the same, written to each"),
    OUT_U64(struct bench_row, seqpacket, "seqpacket", "unix sockets"),
    OUT_U64(struct bench_row, mqueue, "mqueue",
            "POSIX queues; - when their messages may not be so long"),
    OUT_F64(struct bench_row, against_pipe, "pipe_ratio", "how many times faster than pipes"),
    OUT_F64(struct bench_row, against_socket, "socket_ratio",
            "how many times faster than unix sockets"),
    OUT_F64(struct bench_row, against_best, "best_ratio",
            "how many times faster than the fastest of the others"),
    OUT_END,
};

/* The measurements, with the number of messages through a channel; the others get an eighth. */
static const struct {
    const char *what;
    struct bench_case c;
} cases[] = {
    {"1 to 1", {.receivers = 1, .size = 64, .messages = 400000}},
    {"1 to 1", {.receivers = 1, .size = 32768, .messages = 16000}},
    {"1 to 4", {.receivers = 4, .size = 64, .messages = 80000}},
    {"1 to 4", {.receivers = 4, .size = 32768, .messages = 4000}},
    {"1 to 16", {.receivers = 16, .size = 64, .messages = 16000}},
    {"round trip", {.receivers = 0, .size = 64, .messages = 8000}},
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static uint64_t median(double *v, uint32_t n)
{
    if (!n)
        return OUT_UNKNOWN_U64;
    array_sort(v, n, sizeof(*v), compare);
    return (uint64_t)(v[n / 2] + 0.5);
}

/* Runs one case, all transports in turn. Return: CLI_OK or a reported error. */
static int run_case(struct cli_ctx *ctx, const struct uipc_ops *ops, const struct bench_args *args,
                    size_t which, uint64_t result[BENCH_TRANSPORTS])
{
    double ns[BENCH_TRANSPORTS][RUNS_MAX];
    uint32_t n[BENCH_TRANSPORTS] = {0};

    for (uint32_t i = 0; i < args->runs; i++)
        for (enum bench_transport t = 0; t < BENCH_TRANSPORTS; t++) {
            struct bench_case c = cases[which].c;
            struct err e = ERR_INIT;
            int r;

            c.messages /= (t != BENCH_CHANNEL && c.receivers ? 8U : 1U) * (args->quick ? 10U : 1U);
            r = bench_run(ops, ucmd_dir(), &c, t, &ns[t][n[t]], &e);
            if (r < 0 && t == BENCH_CHANNEL)
                return cli_fail(ctx, r, &e, "%s, %zu bytes", cases[which].what, c.size);
            if (r < 0 && i == 0)
                cli_note(ctx, "%s, %zu bytes: no figure for %s: %s", cases[which].what, c.size,
                         bench_transport_name(t), err_text(&e, r));
            n[t] += r == 0;
        }
    for (enum bench_transport t = 0; t < BENCH_TRANSPORTS; t++)
        result[t] = median(ns[t], n[t]);
    return CLI_OK;
}

static double ratio(uint64_t other, uint64_t channel)
{
    return other == OUT_UNKNOWN_U64 || !channel ? OUT_UNKNOWN_F64 : (double)other / (double)channel;
}

struct bench_head {
    const char *backend;
    uint32_t idle_receivers;
    double idle_percent;
};

static const struct out_col head_cols[] = {
    OUT_STR(struct bench_head, backend, "backend", "whose channels they are: kernel or embedded"),
    OUT_U32(struct bench_head, idle_receivers, "idle_receiver_count", "that wait at once"),
    OUT_F64(struct bench_head, idle_percent, "idle_percent",
            "of a core, used by the one of them that used most"),
    OUT_END,
};

static int show_head(struct cli_ctx *ctx, const struct uipc_ops *ops, const struct bench_args *args)
{
    struct bench_head head = {.backend = ops->name, .idle_receivers = IDLE};
    struct err e = ERR_INIT;
    int r = bench_idle(ops, ucmd_dir(), IDLE, (args->quick ? 1 : 4) * NSEC_PER_SEC,
                       &head.idle_percent, &e);

    if (r < 0)
        return cli_fail(ctx, r, &e, "%d idle receivers", IDLE);
    out_fields(ctx->out, head_cols, &head);
    return CLI_OK;
}

static int show_case(struct cli_ctx *ctx, const struct uipc_ops *ops, const struct bench_args *args,
                     size_t which)
{
    uint64_t ns[BENCH_TRANSPORTS], best;
    struct bench_row row;
    int r = run_case(ctx, ops, args, which, ns);

    if (r != CLI_OK)
        return r;
    best = MIN(ns[BENCH_PIPE], ns[BENCH_SEQPACKET]);
    best = MIN(best, ns[BENCH_MQUEUE]);
    row = (struct bench_row){
        .what = cases[which].what,
        .receivers = MAX(cases[which].c.receivers, 1U),
        .size = cases[which].c.size,
        .channel = ns[BENCH_CHANNEL],
        .pipe = ns[BENCH_PIPE],
        .seqpacket = ns[BENCH_SEQPACKET],
        .mqueue = ns[BENCH_MQUEUE],
        .against_pipe = ratio(ns[BENCH_PIPE], ns[BENCH_CHANNEL]),
        .against_socket = ratio(ns[BENCH_SEQPACKET], ns[BENCH_CHANNEL]),
        .against_best = ratio(best, ns[BENCH_CHANNEL]),
    };
    out_row(ctx->out, &row);
    return CLI_OK;
}

static int bench_run_verb(struct cli_ctx *ctx, const void *argp)
{
    const struct bench_args *args = argp;
    struct uipc_providers providers;
    const struct uipc_ops *ops;
    int r = ucmd_select(ctx, &providers);

    if (r != CLI_OK)
        return r;
    ops = providers.first;
    r = show_head(ctx, ops, args);
    if (r != CLI_OK)
        return r;
    out_list_begin(ctx->out, "results", bench_cols, OUT_RECORDS);
    for (size_t i = 0; i < ARRAY_SIZE(cases) && r == CLI_OK; i++)
        r = show_case(ctx, ops, args, i);
    out_list_end(ctx->out);
    return r;
}

static const struct cli_table bench_tables[] = {{"", head_cols}, {NULL, NULL}};

const struct cli_verb uringipc_bench_verb = {
    .name = "bench",
    .summary = "compare with pipes, sockets and queues",
    .description =
        "All times are in ns and between real processes; every receiver checks every message. "
        "Channels are those of the backend. Sockets and pipes have buffers of 1 MiB, as far as "
        "they may, channels as many slots as fit into that, up to 8192. "
        "Trust the ratios, and them only on a machine that has nothing else to do.",
    .opts = bench_opts,
    .args_size = sizeof(struct bench_args),
    .defaults = &bench_defaults,
    .cols = bench_cols,
    .more_cols = bench_tables,
    .run = bench_run_verb,
};
