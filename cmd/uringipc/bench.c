/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uringipc bench: embedded channels against pipes, sockets and POSIX queues, in one run. */
#include <stdlib.h>

#include "chan_bench.h"
#include "ucmd.h"

enum { RUNS_MAX = 99 };

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
    double against_best;
};

static const struct out_col bench_cols[] = {
    OUT_STR(struct bench_row, what, "what", "one way to so many receivers, or there and back"),
    OUT_U32(struct bench_row, receivers, "receivers", "each gets every message",
            .flags = OUT_HIDDEN),
    OUT_SIZE(struct bench_row, size, "size", "of a message, bytes"),
    OUT_U64(struct bench_row, channel, "channel", "ns for a message to all its receivers"),
    OUT_U64(struct bench_row, pipe, "pipe", "the same, written to each"),
    OUT_U64(struct bench_row, seqpacket, "seqpacket", "unix sockets"),
    OUT_U64(struct bench_row, mqueue, "mqueue",
            "POSIX queues; - when their messages may not be so long"),
    OUT_F64(struct bench_row, against_pipe, "pipe_ratio", "how many times faster than pipes"),
    OUT_F64(struct bench_row, against_best, "best_ratio",
            "how many times faster than the fastest of the others"),
    OUT_END,
};

/* What is measured, and with how many messages through the channel; the others get an eighth. */
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
    qsort(v, n, sizeof(*v), compare);
    return (uint64_t)(v[n / 2] + 0.5);
}

/* Runs one case, all transports in turn. Return: CLI_OK or a reported error. */
static int run_case(struct cli_ctx *ctx, const struct bench_args *args, size_t which,
                    uint64_t result[BENCH_TRANSPORTS])
{
    double ns[BENCH_TRANSPORTS][RUNS_MAX];
    uint32_t n[BENCH_TRANSPORTS] = {0};

    for (uint32_t i = 0; i < args->runs; i++)
        for (enum bench_transport t = 0; t < BENCH_TRANSPORTS; t++) {
            struct bench_case c = cases[which].c;
            struct err e = ERR_INIT;
            int r;

            c.messages /= (t != BENCH_CHANNEL && c.receivers ? 8U : 1U) * (args->quick ? 10U : 1U);
            r = bench_run(ucmd_dir(), &c, t, &ns[t][n[t]], &e);
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

static int bench_run_verb(struct cli_ctx *ctx, const void *argp)
{
    const struct bench_args *args = argp;
    int r = CLI_OK;

    out_list_begin(ctx->out, "results", bench_cols, OUT_RECORDS);
    for (size_t i = 0; i < ARRAY_SIZE(cases) && r == CLI_OK; i++) {
        uint64_t ns[BENCH_TRANSPORTS], best;
        struct bench_row row;

        r = run_case(ctx, args, i, ns);
        if (r != CLI_OK)
            break;
        best = MIN(ns[BENCH_PIPE], ns[BENCH_SEQPACKET]);
        best = MIN(best, ns[BENCH_MQUEUE]);
        row = (struct bench_row){
            .what = cases[i].what,
            .receivers = MAX(cases[i].c.receivers, 1U),
            .size = cases[i].c.size,
            .channel = ns[BENCH_CHANNEL],
            .pipe = ns[BENCH_PIPE],
            .seqpacket = ns[BENCH_SEQPACKET],
            .mqueue = ns[BENCH_MQUEUE],
            .against_pipe = ratio(ns[BENCH_PIPE], ns[BENCH_CHANNEL]),
            .against_best = ratio(best, ns[BENCH_CHANNEL]),
        };
        out_row(ctx->out, &row);
    }
    out_list_end(ctx->out);
    return r;
}

const struct cli_verb uringipc_bench_verb = {
    .name = "bench",
    .summary = "compare with pipes, sockets and queues",
    .description =
        "All times are in ns and between real processes; every receiver checks every message. "
        "Channels are embedded ones. Sockets and pipes have buffers of 1 MiB, as far as they may. "
        "Trust the ratios, and them only on a machine that has nothing else to do.",
    .opts = bench_opts,
    .args_size = sizeof(struct bench_args),
    .defaults = &bench_defaults,
    .cols = bench_cols,
    .run = bench_run_verb,
};
